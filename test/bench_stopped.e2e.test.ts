/**
 * Programs of bench/ that need a laboratory, ended by a signal in the middle: no directory, namespace or process of theirs is left.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readProc } from "../src/ops/proc.ts";
import { describeNetns } from "./support/netns.ts";
import { describeUnless } from "./support/skip.ts";
import { until } from "./support/until.ts";

const TIMEOUT_MS = 60_000;
const BENCH = join(import.meta.dir, "../bench");

/** The namespaces of a laboratory that this process made. */
function namespacesOf(pid: number): string[] {
  const { stdout } = Bun.spawnSync(["ip", "netns", "list"]);
  return stdout
    .toString()
    .split("\n")
    .filter((line) => new RegExp(`^kpx${pid}[^0-9]`).test(line));
}

/** The programs of this name that it has started itself. */
function childrenOf(pid: number, name: string): number[] {
  const children = readProc(`/proc/${pid}/task/${pid}/children`)?.split(" ") ?? [];
  return children.map(Number).filter((one) => one > 0 && readProc(`/proc/${one}/comm`) === `${name}\n`);
}

/** `child`: a program of its own that it waits for when the signal comes. */
async function stopped(words: readonly string[], signal: NodeJS.Signals, child?: string): Promise<void> {
  const own = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
  const [program, ...rest] = words;
  const bench = Bun.spawn([process.execPath, join(BENCH, program!), ...rest], {
    env: { ...process.env, TMPDIR: own },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  try {
    const isUnderWay = (): boolean => {
      if (bench.exitCode !== null) throw new Error("it has ended by itself");
      if (child !== undefined) return childrenOf(bench.pid, child).length > 0;
      return readdirSync(own).length > 0 && namespacesOf(bench.pid).length > 1;
    };
    await until("it is under way", isUnderWay, 30_000);
    const children = child === undefined ? [] : childrenOf(bench.pid, child);
    bench.kill(signal);
    await bench.exited;
    expect(await bench.stderr.text()).toBe("");
    expect(bench.signalCode).toBe(signal);
    expect(children.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
    expect(namespacesOf(bench.pid)).toEqual([]);
    expect(readdirSync(own)).toEqual([]);
  } finally {
    bench.kill("SIGKILL");
    rmSync(own, { recursive: true });
  }
}

describeNetns("a signal ends, and nothing stays of", () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`bench/xdp.ts, ${signal}`, () => stopped(["xdp.ts", "--seconds", "30"], signal), TIMEOUT_MS);
    test(
      `bench/threads.ts, ${signal}`,
      () => stopped(["threads.ts", "busy", "--seconds", "30"], signal),
      TIMEOUT_MS,
    );
  }
  const reason = Bun.which("perf") === null ? "the program perf is missing" : undefined;
  describeUnless(reason, "perf's user", () => {
    test("bench/where.ts", () => stopped(["where.ts"], "SIGTERM"), TIMEOUT_MS);
    const sampled = ["where.ts", "--warm-up", "0", "--seconds", "40"];
    test("bench/where.ts with its perf", () => stopped(sampled, "SIGINT", "perf"), TIMEOUT_MS);
  });
});
