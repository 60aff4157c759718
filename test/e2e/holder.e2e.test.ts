/**
 * One server that has the store in memory alone: nothing is trimmed under it, it says so, and a restart with a file loses nothing.
 * And a server that comes to a log which was trimmed before. Real processes on loopback.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ExitCode } from "../../src/error.ts";
import { seat, type TestCluster, withCluster } from "../support/cluster.ts";
import { KvShell } from "../support/kv_shell.ts";
import { until } from "../support/until.ts";

const SEATS = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  seat("proposer", 0, 3),
  ...[0, 1].map((id) => seat("learner", id, 4 + id)),
];
const WINDOW = 64;
const SETTINGS = {
  "acceptor-window-instances": `${WINDOW}`,
  "trim-every": "8",
  "client-timeout": "200ms",
  batching: "no",
};
/** Seconds that a request waits; those that the cluster is too full for are given up. */
const IMPATIENT = ["--timeout", "3"];

/** The servers take the places of the learners. */
async function withAcceptors(body: (kv: KvShell, cluster: TestCluster) => Promise<void>): Promise<void> {
  const options = { seats: SEATS, link: "loopback", settings: SETTINGS, start: false } as const;
  await withCluster(options, async (cluster) => {
    const processes = [0, 1, 2].map((id) => cluster.start("acceptor", id));
    processes.push(cluster.start("proposer", 0));
    await Promise.all(processes.map((one) => one.ready()));
    await body(new KvShell(cluster), cluster);
  });
}

async function put(kv: KvShell, id: number, key: string): Promise<number> {
  const answer = await fetch(`http://kv/v1/keys/${key}`, { unix: kv.socket(id), method: "PUT", body: key });
  return answer.status;
}

/** Puts keys until one is not taken; how many were. */
async function fill(kv: KvShell, id: number): Promise<number> {
  for (let i = 0; i < 2 * WINDOW; i++) if ((await put(kv, id, `k${i}`)) !== 200) return i;
  throw new Error("it is never full");
}

/** Far more than the window has room for. */
async function goesOn(kv: KvShell, id: number): Promise<void> {
  for (let i = 0; i < 3 * WINDOW; i++) expect(await put(kv, id, `more${i}`)).toBe(200);
}

// They mostly wait.
describe.concurrent("a server that has the store in memory alone", () => {
  test("keeps the log, says so, and loses nothing when it is started again with a file", async () => {
    await withAcceptors(async (kv, cluster) => {
      let server = await kv.serve(0, IMPATIENT);
      const taken = await fill(kv, 0);
      expect(taken).toBeGreaterThan(WINDOW / 2);
      const line = await server.waitForLine(
        /only this process has the state of the application "kv"/,
        20_000,
      );
      expect(line).toMatch(/restart this one with snapshot-path/);
      expect((await kv.status(0)).isAlone).toBe(true);
      await cluster
        .member("acceptor", 0)
        .waitForLine(/the window is \d+ % full .* \(id 0\) has acknowledged instance 0 only/, 20_000);
      expect((await server.stop()).exitCode).toBe(0);
      server = await kv.serve(0, [...IMPATIENT, "--snapshot-path", join(cluster.directory, "snapshots")]);
      await until("it answers", async () => (await kv.run(["get", "k0", "--id", "0"])).exitCode === 0);
      for (let i = 0; i < taken; i++) {
        const answer = await fetch(`http://kv/v1/keys/k${i}`, { unix: kv.socket(0) });
        expect(await answer.text()).toBe(`k${i}`);
      }
      await goesOn(kv, 0);
      expect((await kv.status(0)).isAlone).toBe(false);
    });
  }, 90_000);

  test("goes on when a second one comes, and either may be killed then", async () => {
    await withAcceptors(async (kv) => {
      const first = await kv.serve(0, IMPATIENT);
      const taken = await fill(kv, 0);
      await kv.serve(1, IMPATIENT);
      await until("there is room", async () => (await put(kv, 0, "room")) === 200, 20_000);
      await goesOn(kv, 1);
      first.kill("SIGKILL");
      await first.exited;
      await kv.serve(0, IMPATIENT);
      const last = `k${taken - 1}`;
      expect(await kv.ok(["get", last, "--id", "0"])).toBe(last);
    });
  }, 90_000);
});

test.concurrent("a server that comes to a trimmed log says what it can be told; told so it begins empty, and the next one gets its state", async () => {
  await withAcceptors(async (kv, cluster) => {
    const learner = cluster.start("learner", 1);
    await learner.ready();
    await cluster.runClient(["--values", `${8 * WINDOW}`, "--outstanding", "4"]);
    await learner.stop();
    const waiting = kv.launch(0, IMPATIENT);
    const flags = IMPATIENT.join(" ");
    const command = `kpaxos kv serve -f ${cluster.configPath} --id 0 ${flags} --begin-empty`;
    const line = await waiting.waitForLine(/nothing can be delivered here: .*application "kv"/, 20_000);
    expect(line).toContain(`\`${command}\` has it begin with an empty state`);
    const { applied, known, isBehind, reasons } = await kv.status(0);
    expect([applied, isBehind]).toEqual([0, true]);
    expect(known).toBeGreaterThan(WINDOW);
    expect(reasons[0]).toMatch(/^instances 1 to \d+ are trimmed, and no snapshot has come/);
    expect(reasons[0]).toEndWith(`if there never was one, begin empty: \`${command}\``);
    for (const [words, exitCode] of [
      [["put", "a", "1"], ExitCode.unknownOutcome],
      [["get", "a"], ExitCode.unavailable],
    ] as const) {
      const said = await kv.run([...words, "--id", "0", "--timeout", "1"]);
      expect([said.exitCode, said.stderr]).toEqual([exitCode, expect.stringContaining(reasons[0]!)]);
    }
    await waiting.stop();
    const first = kv.launch(0, [...IMPATIENT, "--begin-empty"]);
    await first.waitForLine(/"kv" begins with an empty state behind instance \d+/, 20_000);
    await until("it takes a key", async () => (await put(kv, 0, "a")) === 200, 20_000);
    await kv.serve(1, [...IMPATIENT, "--begin-empty"]);
    expect(await kv.ok(["get", "a", "--id", "1"])).toBe("a");
    await goesOn(kv, 1);
    expect(await kv.ok(["get", "more0", "--id", "0"])).toBe("more0");
  });
}, 90_000);
