/**
 * Where the C library is: in a checkout the built file, in a compiled executable its embedded copy. A module of its
 * own, so that a checkout without a built library fails when the library is needed, and with words of ours.
 */
/// <reference path="./so.d.ts" />
import libraryPath from "../../ffi/build/libkpaxos.so" with { type: "file" };

export { libraryPath };
