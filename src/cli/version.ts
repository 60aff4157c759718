/**
 * `kpaxos --version`: release, runtime, platform and wire version, so that a report of trouble needs one line.
 */
import { NATIVE_WIRE_VERSION, VERSION } from "../node/version.ts";
import { print, printJson } from "./output.ts";

export function printVersion(json: boolean): void {
  const platform = `${process.platform}-${process.arch}`;
  if (json) {
    printJson({ name: "kpaxos", version: VERSION, bun: Bun.version, platform, wire: NATIVE_WIRE_VERSION });
  } else {
    print(`kpaxos ${VERSION} (bun ${Bun.version}, ${platform}, wire ${NATIVE_WIRE_VERSION})`);
  }
}
