/**
 * Runs a function with this thread in a named network namespace. What it opens stays there: so one test can hold
 * links on several hosts. The function must not be async.
 */
import { dlopen, FFIType } from "bun:ffi";
import { closeSync, openSync } from "node:fs";
import { assert } from "../../src/protocol/assert.ts";

const CLONE_NEWNET = 0x40000000;
const { symbols } = dlopen("libc.so.6", {
  setns: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
});

export function inNamespace<T>(name: string, body: () => T): T {
  const home = openSync("/proc/thread-self/ns/net", "r");
  const there = openSync(`/run/netns/${name}`, "r");
  try {
    if (symbols.setns(there, CLONE_NEWNET) !== 0) throw new Error(`cannot enter network namespace ${name}`);
    try {
      return body();
    } finally {
      assert(symbols.setns(home, CLONE_NEWNET) === 0, "the thread gets home again");
    }
  } finally {
    closeSync(there);
    closeSync(home);
  }
}
