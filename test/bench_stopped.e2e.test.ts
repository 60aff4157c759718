/**
 * Programs of bench/ that need a laboratory, ended by a signal in the middle: no directory, namespace or process of theirs is left.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

async function stopped(words: readonly string[], signal: NodeJS.Signals): Promise<void> {
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
      return readdirSync(own).length > 0 && namespacesOf(bench.pid).length > 1;
    };
    await until("it is under way", isUnderWay, 30_000);
    bench.kill(signal);
    await bench.exited;
    expect(await bench.stderr.text()).toBe("");
    expect(bench.signalCode).toBe(signal);
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
  });
});
