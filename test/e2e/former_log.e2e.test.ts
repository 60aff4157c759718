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

/** Acceptors, a proposer and server 0 of the store, with 30 keys in it; then the acceptors, and with `more` the proposer, begin anew. */
async function afterLoss(
  proposerToo: boolean,
  body: (kv: KvShell, server: LabProcess, proposer: LabProcess) => Promise<void>,
): Promise<void> {
  const settings = { ...QUICK, batching: "no" };
  await withCluster({ seats: SEATS, link: "loopback", settings, start: false }, async (cluster) => {
    const begin = () => [0, 1, 2].map((id) => cluster.start("acceptor", id));
    const acceptors = begin();
    const proposer = cluster.start("proposer", 0);
    const kv = new KvShell(cluster);
    const server = await kv.serve(0);
    for (let i = 0; i < 30; i++) await kv.ok(["put", `key${i}`, "former"]);
    const lost = proposerToo ? [...acceptors, proposer] : acceptors;
    for (const one of lost) one.kill("SIGKILL");
    await Promise.all(lost.map((one) => one.exited));
    begin();
    await body(kv, server, proposerToo ? cluster.start("proposer", 0) : proposer);
  });
}

test("a server that runs on ends when the new log is written from its beginning, and answers with nothing of the former one", async () => {
  await afterLoss(true, async (kv, server) => {
    await kv.serve(1);
    await kv.ok(["put", "key3", "new", "--id", "1"]);
    expect((await server.ending(20_000)).exitCode).toBe(78);
    expect(server.stderr.join("\n")).toMatch(
      /error.*: the acceptors have begun a new log, from its beginning: .* up to instance \d+ is of the former one, and cannot go on in it\n.*start it again/,
    );
    await kv.serve(0);
    expect(await kv.ok(["get", "key3", "--id", "0"])).toBe("new");
    expect((await kv.run(["get", "key4", "--id", "0"])).stderr).toContain('no key "key4"');
  });
}, 90_000);

test("it goes on, and says so, where the leader lives on", async () => {
  await afterLoss(false, async (kv, server, proposer) => {
    const said = /error .*: the acceptors have begun a new log: all of them had lost everything/;
    await Promise.all([server, proposer].map((one) => one.waitForLine(said, 20_000)));
    await kv.ok(["put", "key3", "new"]);
    expect(await kv.ok(["get", "key3"])).toBe("new");
    expect(await kv.ok(["get", "key4"])).toBe("former");
    expect([server.isRunning, proposer.isRunning]).toEqual([true, true]);
  });
}, 90_000);
