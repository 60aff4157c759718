/**
 * A cluster in memory loses everything and begins a new log; a learner comes back with the snapshot file of the former one when
 * the new log has long outgrown it. Real processes on loopback.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seat, withCluster } from "../support/cluster.ts";
import { QUICK } from "../support/e2e.ts";
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
