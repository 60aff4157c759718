/**
 * The demo's promises about beginning and end, with a program behind it that only looks like kpaxos.
 */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LabProcess } from "../src/ops/lab_process.ts";
import { listNamespaces } from "../src/ops/lab_sweep.ts";
import { describeNetns } from "./support/netns.ts";
import { until } from "./support/until.ts";

const FAKE = join(import.meta.dir, "support/fake_main.ts");

interface Ended {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the demo; `during` gets it while it runs. Afterwards nothing of it may be left. */
async function demo(
  args: readonly string[],
  wrong = "",
  during: (process: LabProcess) => Promise<void> = async () => {},
): Promise<Ended> {
  const argv = [process.execPath, FAKE, "demo", ...args];
  const marker = `${process.pid}-${performance.now()}`;
  const child = Bun.spawn(argv, {
    env: { ...process.env, FAKE: wrong, FAKE_MARKER: marker },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const running = new LabProcess("demo", argv, child);
  await during(running);
  const ending = await running.ending(30_000);
  expect(ending.killed).toBe(false);
  expect(listNamespaces().filter((name) => name.startsWith(`kpx${child.pid}`))).toEqual([]);
  expect(clusterDirectories().filter((name) => name.includes(`-${child.pid}-`))).toEqual([]);
  await until("no process of the demo is left", () => withMarker(marker).length === 0, 2000);
  return {
    exitCode: ending.exitCode,
    signal: ending.signal,
    stdout: running.stdout.join("\n"),
    stderr: running.stderr.join("\n"),
  };
}

function clusterDirectories(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("kpaxos-cluster-"));
}

/** Processes that inherited the marker. */
function withMarker(marker: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      const path = `/proc/${pid}/environ`;
      try {
        return existsSync(path) && readFileSync(path, "utf8").includes(`FAKE_MARKER=${marker}`);
      } catch {
        return false; // It has just ended.
      }
    });
}

function behaves(name: string, where: readonly string[]): void {
  test(`${name}: a good run reports and exits 0`, async () => {
    const ended = await demo(where);
    expect(ended.stderr).toBe("");
    expect(ended.exitCode).toBe(0);
    for (const part of [
      "values/s",
      "2 delivered the same 1,000 values",
      "last instance 77",
      "nothing is left",
    ]) {
      expect(ended.stdout).toContain(part);
    }
  });

  test(`${name}: --json prints one object`, async () => {
    const ended = await demo([...where, "--json"]);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      learners: { learners: 2, values: 1000 },
      runs: [{ window: 1 }, { window: 100 }],
      stopped: 8,
    });
  });

  for (const [wrong, said] of [
    ["zero", "no value was chosen"],
    ["differ", "learners differ"],
    ["crash", "proposer 0 ended with exit code 3"],
    ["stubborn", "only by SIGKILL"],
  ] as const) {
    test(`${name}: ${wrong} is a failure that says why`, async () => {
      const ended = await demo(where, wrong);
      expect(ended.exitCode).toBe(1);
      expect(ended.stderr).toContain(said);
    }, 20_000);
  }

  test(`${name}: a signal while it runs ends everything, and the demo by that signal`, async () => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const ended = await demo(where, "silent", async (running) => {
        await running.waitForLine(/^kpaxos demo/, 5000, "stdout");
        running.kill(signal);
      });
      expect(ended.signal).toBe(signal);
      expect(ended.stderr).toBe("");
    }
  });

  test(`${name}: --keep runs until a signal and then exits 0`, async () => {
    const ended = await demo([...where, "--keep"], "", async (running) => {
      await running.waitForLine(/run client/, 10_000, "stdout");
      running.kill("SIGINT");
    });
    expect(ended.stderr).toBe("");
    expect(ended.exitCode).toBe(0);
    expect(ended.stdout).toContain("nothing is left");
  });

  test(`${name}: even SIGKILL leaves no process behind`, async () => {
    let pid = 0;
    const argv = [process.execPath, FAKE, "demo", "--keep", ...where];
    const marker = `${process.pid}-${performance.now()}`;
    const env = { ...process.env, FAKE_MARKER: marker };
    const child = Bun.spawn(argv, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    const running = new LabProcess("demo", argv, child);
    pid = child.pid;
    await running.waitForLine(/run client/, 10_000, "stdout");
    expect(withMarker(marker).length).toBe(7);
    process.kill(pid, "SIGKILL");
    await running.exited;
    await until("no process of the demo is left", () => withMarker(marker).length === 0, 2000);
  });
}

behaves("UDP", ["--udp"]);
describeNetns("raw Ethernet", () => behaves("raw Ethernet", []));
