/**
 * `kpaxos sim` as its users have it: what a run that passes and one that fails say, and that the command which a failure prints
 * repeats it.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMAND } from "./support/cluster.ts";

async function sim(words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([...COMMAND, "sim", ...words], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, out, err };
}

test("a run that passes: its digest, what was done, what came of it, what was checked", async () => {
  const { code, out, err } = await sim(["--scenario", "kv-replicas", "--seed", "3", "--duration", "2"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const lines = out.trimEnd().split("\n");
  expect(lines[0]).toMatch(
    /^kv-replicas seed 3: ok, \d+ deliveries of \d+ instances in [\d.]+ s, digest [0-9a-f]{8}$/,
  );
  expect(lines[1]).toMatch(
    /^1 run, 0 failed; [\d.]+ min simulated in [\d.]+ s \([\d.]+ times as fast, \d+ runs an hour\)$/,
  );
  expect(lines[3]).toMatch(/^done to them: .*\bcrash(InTurn|Leader)? \d+/);
  expect(lines[4]).toMatch(/^came of it: .*\blost \d+/);
  expect(lines[5]).toMatch(/^checked: .*\bcalls \d+/);
  expect(lines[5]).not.toContain("undecided");
}, 60_000);

test("a run that fails: the property, what happened last, and the command that repeats it", async () => {
  const { code, out } = await sim([
    "--seeds",
    "1-3",
    "--scenario",
    "crashes",
    "--plant",
    "reply-before-persist",
  ]);
  expect(code).toBe(1);
  const [message, , ...rest] = out.split("\n");
  expect(message).toMatch(
    /^crashes seed \d: nothing revealed is forgotten: acceptor \d had (accepted|promised) /,
  );
  expect(rest[0]).toMatch(/^ +[\d.]+ ms {2}\w+ \d+ +/);
  const repeat = rest.find((line) => line.startsWith("  repeat it: "))!;
  const again = await sim(repeat.replace("  repeat it: kpaxos sim ", "").split(" "));
  expect(again.code).toBe(1);
  expect(again.out.split("\n")[0]).toBe(message!);
}, 60_000);

test("--json and --trace: the figures of each run and their sum; every message in a file", async () => {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
  try {
    const trace = join(directory, "trace");
    const words = ["--scenario", "strangers", "--count", "2", "--duration", "1", "--json", "--trace", trace];
    const { code, out } = await sim(words);
    expect(code).toBe(0);
    const [first, second, sum] = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect([first.seed, second.seed, sum.runs, sum.failures]).toEqual([1, 2, 2, 0]);
    expect(sum.checks.strangers).toBe(first.checks.strangers + second.checks.strangers);
    expect(sum.faults.refused).toBeGreaterThan(sum.faults.corrupted);
    expect(sum.runsPerHour).toBeGreaterThan(0);
    expect(existsSync(trace)).toBe(true);
    const told = readFileSync(trace, "utf8");
    expect(told).toMatch(/ms {2}stranger 0 +starts$/m);
    expect(told).toMatch(/ms {2}acceptor 0 +votes: born with the cluster/);
    const nowhere = await sim([
      "--count",
      "1",
      "--duration",
      "1",
      "--trace",
      join(directory, "none", "trace"),
    ]);
    expect(nowhere).toMatchObject({ code: 1, out: "" });
    expect(nowhere.err).toMatch(/^error: cannot write the trace to .*: ENOENT\nhint: /);
    const full = await sim(["--count", "1", "--duration", "1", "--trace", "/dev/full"]);
    expect(full.err).toMatch(/^error: cannot write the trace to \/dev\/full: ENOSPC\nhint: /);
  } finally {
    rmSync(directory, { recursive: true });
  }
}, 60_000);

test("seeds that take time: no line for each, and they end", async () => {
  const { code, out } = await sim(["--minutes", "0.02", "--seed", "7", "--duration", "0.5"]);
  expect(code).toBe(0);
  // However slow the machine is: of one run alone, too.
  expect(out).toMatch(/^\d+ runs?, 0 failed; /);
}, 60_000);
