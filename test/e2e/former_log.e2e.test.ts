/**
 * A cluster in memory loses everything and begins a new log. A learner comes back with the snapshot file of the former one when
 * the new log has long outgrown it; servers run on meanwhile. Real processes on loopback.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LabProcess } from "../../src/ops/lab_process.ts";
import { seat, withCluster } from "../support/cluster.ts";
import { QUICK } from "../support/e2e.ts";
import { KvShell } from "../support/kv_shell.ts";
import { until } from "../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "kpaxos-former-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SEATS = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  seat("proposer", 0, 3),
  seat("learner", 0, 4),
  seat("learner", 1, 5),
];
const FORMER =
  /learner-0\.snapshot cannot be used: its log has the id \d+, and that of the acceptors \d+: it is of a former log\n.*move it away/;

test("the learner ends and names the file; with the file moved away it goes on with the new log", async () => {
  const settings = { ...QUICK, batching: "no", "trim-every": "100", "snapshot-path": folder };
  await withCluster({ seats: SEATS, link: "loopback", settings, start: false }, async (cluster) => {
    const begin = () => [0, 1, 2].map((id) => cluster.start("acceptor", id));
    const run = (values: number) => cluster.runClient(["--values", `${values}`]);
    const file = join(folder, "learner-0.snapshot");
    const first = [...begin(), cluster.start("proposer", 0), cluster.start("learner", 0)];
    await run(500);
    await until("its snapshot is written", () => existsSync(file));
    for (const one of first) one.kill("SIGKILL");
    await Promise.all(first.map((one) => one.exited));
    rmSync(join(folder, "proposer-0.snapshot"), { force: true });

    begin();
    cluster.start("proposer", 0);
    cluster.start("learner", 1);
    await run(2000);
    const refused = cluster.start("learner", 0);
    expect((await refused.ending(20_000)).exitCode).toBe(78);
    expect(refused.stderr.join("\n")).toMatch(FORMER);

    rmSync(file);
    const again = cluster.startLearner(0, ["--catch-up"]);
    await again.process.ready();
    await run(100);
    await again.reach(100);
  });
}, 90_000);

interface Lost {
  readonly kv: KvShell;
  /** Server 0 of the store, which has delivered 30 keys. */
  readonly server: LabProcess;
  /** Proposer 0, which led. */
  readonly proposer: LabProcess;
  readonly startProposer: (id: number) => LabProcess;
}

/** Acceptors, a proposer and a server of the store, with 30 keys in it; then the acceptors begin anew, and the proposer is killed or stopped with them. */
async function afterLoss(
  signal: "SIGKILL" | "SIGSTOP" | undefined,
  body: (lost: Lost) => Promise<void>,
): Promise<void> {
  const settings = { ...QUICK, batching: "no" };
  const seats = [...SEATS, seat("proposer", 1, 6)];
  await withCluster({ seats, link: "loopback", settings, start: false }, async (cluster) => {
    const begin = () => [0, 1, 2].map((id) => cluster.start("acceptor", id));
    const acceptors = begin();
    const startProposer = (id: number) => cluster.start("proposer", id);
    const proposer = startProposer(0);
    const kv = new KvShell(cluster);
    const server = await kv.serve(0);
    for (let i = 0; i < 30; i++) await kv.ok(["put", `key${i}`, "former"]);
    if (signal !== undefined) proposer.kill(signal);
    for (const one of acceptors) one.kill("SIGKILL");
    await Promise.all(acceptors.map((one) => one.exited));
    begin();
    await body({ kv, server, proposer, startProposer });
  });
}

const ENDED =
  /error.*: the acceptors have begun a new log: .* up to instance \d+ is of the former one, and does not go on in it\n.*start it again/;

const ends = async (one: LabProcess): Promise<void> => {
  expect((await one.ending(20_000)).exitCode).toBe(78);
  expect(one.stderr.join("\n")).toMatch(ENDED);
};

test("a server that runs on ends when there is a new log, and answers with nothing of the former one", async () => {
  await afterLoss("SIGKILL", async ({ kv, server, proposer, startProposer }) => {
    await proposer.exited;
    startProposer(0);
    await kv.serve(1);
    await kv.ok(["put", "key3", "new", "--id", "1"]);
    await ends(server);
    await kv.serve(0);
    expect(await kv.ok(["get", "key3", "--id", "0"])).toBe("new");
    expect((await kv.run(["get", "key4", "--id", "0"])).stderr).toContain('no key "key4"');
  });
}, 90_000);

test("a leader and a server that run on end, and have written nothing into the new log", async () => {
  await afterLoss(undefined, async ({ kv, server, proposer, startProposer }) => {
    await Promise.all([server, proposer].map(ends));
    startProposer(0);
    await kv.serve(0);
    await kv.ok(["put", "key3", "new"]);
    expect(await kv.ok(["get", "key3"])).toBe("new");
    expect((await kv.run(["get", "key4"])).stderr).toContain('no key "key4"');
  });
}, 90_000);

test("a leader that stood still meanwhile puts nothing of the former log into a new one that is longer, and ends", async () => {
  await afterLoss("SIGSTOP", async ({ kv, server, proposer, startProposer }) => {
    const newOne = startProposer(1);
    await kv.serve(1);
    for (let i = 0; i < 60; i++) await kv.ok(["put", `key${i % 20}`, "new", "--id", "1"]);
    newOne.kill("SIGKILL");
    await newOne.exited;
    proposer.kill("SIGCONT");
    await Promise.all([server, proposer].map(ends));
    startProposer(0);
    await kv.ok(["put", "key3", "newer", "--id", "1"]);
    expect(await kv.ok(["get", "key3", "--id", "1"])).toBe("newer");
    expect((await kv.run(["get", "key25", "--id", "1"])).stderr).toContain('no key "key25"');
  });
}, 90_000);
