/**
 * Makes the C library with threads around its links (link_threads.c), to be loaded in place of the real one, and programs that
 * use it in all roles of a cluster or in the leader alone.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const FFI = join(import.meta.dir, "../../ffi");
const SOURCE = join(import.meta.dir, "link_threads.c");
const FLAGS = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-fPIC", "-fvisibility=hidden", "-pthread", `-I${FFI}`];
/** What link_threads.c puts in front of the library's own. */
const CALLS = ["open", "step", "info", "counters", "close"];

export const WHICH = ["receive", "send", "both"] as const;
export type Which = (typeof WHICH)[number];

/** Compiles it into a directory; returns its path. */
export function threadedLibrary(directory: string): string {
  const compiler = process.env.CC ?? "cc";
  const run = (words: readonly string[]): void => {
    const { exitCode, stderr } = Bun.spawnSync([compiler, ...FLAGS, ...words], {
      cwd: directory,
      stderr: "pipe",
    });
    if (exitCode !== 0) throw new Error(`${compiler} failed:\n${stderr.toString()}`);
  };
  const objects = join(directory, "objects");
  mkdirSync(objects);
  const renames = CALLS.map((call) => `-Dkpx_link_${call}=plain_${call}`);
  const made = [...new Bun.Glob("*.c").scanSync({ cwd: FFI, absolute: true })].map((source) => {
    const object = join(objects, `${basename(source)}.o`);
    run([...renames, "-c", source, "-o", object]);
    return object;
  });
  const library = join(directory, "libkpaxos-threads.so");
  run(["-shared", SOURCE, ...made, "-o", library]);
  return library;
}

/** A program that is `kpaxos`, with threads in processes that run as proposer only. */
export function withThreadedLeader(
  directory: string,
  library: string,
  which: Which,
  kpaxos: readonly string[],
): string {
  const path = join(directory, `kpaxos-leader-${which}`);
  const words = kpaxos.map((word) => `'${word}'`).join(" ");
  const script = [
    "#!/bin/sh",
    `case "$*" in *"run proposer"*) export KPAXOS_LIBRARY='${library}' KPX_THREADS=${which};; esac`,
    `exec ${words} "$@"`,
  ];
  writeFileSync(path, `${script.join("\n")}\n`);
  chmodSync(path, 0o755);
  return path;
}
