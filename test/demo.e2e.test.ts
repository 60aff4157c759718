/**
 * The demo's promises about beginning and end, with a program behind it that only looks like kpaxos.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LabProcess } from "../src/ops/lab_process.ts";
import { listNamespaces } from "../src/ops/lab_sweep.ts";
import { describeNetns } from "./support/netns.ts";
import { until } from "./support/until.ts";

const FAKE = join(import.meta.dir, "support/fake_main.ts");

/** Where clusters that are kept are written down. */
let states = "";

beforeAll(() => {
  states = mkdtempSync(join(tmpdir(), "kpaxos-demo-test-"));
});
afterAll(() => rmSync(states, { recursive: true, force: true }));

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
    env: { ...process.env, FAKE: wrong, FAKE_MARKER: marker, XDG_STATE_HOME: states },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const running = new LabProcess("demo", argv, child);
  await during(running);
  const ending = await running.ending(50_000);
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
      "acceptor 2, and started again",
      "2 delivered the same 1,000 values",
      "took up 30 records (to instance 40) from the others, and voted again after",
      "last instance 77, 77, 77\n",
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
      outage: {
        acceptor: 2,
        recovered: { records: 30, upTo: 40 },
        clients: [{ values: 250 }, { deliveries: "user-learner" }],
      },
      stopped: 12,
    });
  });

  for (const [wrong, said] of [
    ["zero", "no value was chosen"],
    ["differ", "learners differ"],
    ["crash", "proposer 0 ended with exit code 3"],
    ["stubborn", "only by SIGKILL"],
    ["idle", "acceptor 2 was started again, and voted again from instance 41 on, but has accepted nothing"],
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

  test(`${name}: --keep leaves the cluster to kpaxos cluster, once`, async () => {
    const env = { ...process.env, XDG_STATE_HOME: states, FAKE: "" };
    const run = (words: readonly string[]) =>
      Bun.spawnSync([process.execPath, FAKE, ...words], { env, stdout: "pipe", stderr: "pipe" });
    const first = run(["demo", "--keep", ...where]);
    expect(first.stderr.toString()).toBe("");
    expect(first.exitCode).toBe(0);
    for (const part of ["cluster exec --name demo client -- kpaxos run client", "cluster down --name demo"])
      expect(first.stdout.toString()).toContain(part);
    expect(run(["cluster", "status", "--name", "demo"]).exitCode).toBe(0);
    const second = run(["demo", "--keep", ...where]);
    expect(second.exitCode).toBe(1);
    expect(second.stderr.toString()).toContain("cluster down --name demo");
    expect(run(["cluster", "down", "--name", "demo"]).exitCode).toBe(0);
    expect(run(["cluster", "status", "--name", "demo"]).exitCode).toBe(1);
    expect(readdirSync(join(states, "kpaxos/clusters"))).toEqual([]);
  });

  test(`${name}: even SIGKILL leaves no process behind`, async () => {
    const argv = [process.execPath, FAKE, "demo", ...where];
    const marker = `${process.pid}-${performance.now()}`;
    const env = { ...process.env, FAKE: "endless", FAKE_MARKER: marker };
    const child = Bun.spawn(argv, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    const running = new LabProcess("demo", argv, child);
    // The demo, seven roles and a client.
    await until("everything runs", () => withMarker(marker).length === 9, 10_000);
    process.kill(child.pid, "SIGKILL");
    await running.exited;
    await until("no process of the demo is left", () => withMarker(marker).length === 0, 2000);
  });
}

behaves("UDP", ["--udp"]);
test("values that stop are a failure that says when", async () => {
  const ended = await demo(["--udp"], "stall");
  expect(ended.exitCode).toBe(1);
  expect(ended.stderr).toContain("got no value back before an acceptor was killed");
}, 20_000);
test("an acceptor that does not say that it votes again is a failure", async () => {
  const ended = await demo(["--udp"], "mute");
  expect(ended.exitCode).toBe(1);
  expect(ended.stderr).toContain("acceptor 2 does not vote again after 30 s; its log ends with");
  expect(ended.stdout).not.toContain("empty memory");
}, 60_000);
test("the Kernel_Paxos wire, in which nobody recovers, does not say that somebody did", async () => {
  const ended = await demo(["--udp", "--wire", "kernel-paxos"], "mute");
  expect(ended.exitCode).toBe(0);
  expect(ended.stdout).toContain("came back with an empty memory, and voted at once");
});
test("acceptors that do not end at the same instance are told", async () => {
  const ended = await demo(["--udp"], "lags");
  expect(ended.exitCode).toBe(0);
  expect(ended.stdout).toContain("last instance 77, 77, 41: not the same");
});
describeNetns("raw Ethernet", () => behaves("raw Ethernet", []));
