/**
 * Acceptors that keep everything in memory, killed and started again one after the other under a client's load: each takes up
 * what the others hold, and nothing that was delivered is lost or delivered in another order.
 */
import { expect, test } from "bun:test";
import { type Delivery, STANDARD, withCluster } from "../support/cluster.ts";
import { endClient, goesOn, hasBegun, QUICK } from "../support/e2e.ts";
import { until } from "../support/until.ts";

const ROUNDS = 2;
const ACCEPTORS = [0, 1, 2];

test("acceptors in memory are killed and come back, one after the other", async () => {
  await withCluster({ seats: STANDARD, link: "loopback", settings: QUICK, start: false }, async (cluster) => {
    const core = STANDARD.filter(({ role }) => role !== "learner");
    for (const { role, id } of core) cluster.start(role, id);
    const begun = /votes: born with the cluster, at generation 1/;
    await Promise.all(ACCEPTORS.map((id) => cluster.member("acceptor", id).waitForLine(begun, 10_000)));
    const early = cluster.startLearner(0, ["--catch-up", "--no-cantrim"]);
    await early.process.ready();
    const client = cluster.client(cluster.spareHost, ["--no-cantrim", "--outstanding", "2", "--json"]);
    await hasBegun(client);
    for (let round = 1; round <= ROUNDS; round++) {
      for (const id of ACCEPTORS) {
        cluster.member("acceptor", id).kill("SIGKILL");
        await cluster.member("acceptor", id).exited;
        const again = cluster.start("acceptor", id);
        await again.waitForLine(
          new RegExp(`votes: has recovered what the others hold, at generation ${round + 1}`),
          15_000,
        );
        await goesOn(client);
      }
    }
    await endClient(client);
    const late = cluster.startLearner(1, ["--catch-up", "--no-cantrim"]);
    // The late one begins behind what was trimmed; from there on it has the same as the early one, to the end.
    const places = (list: readonly Delivery[]) =>
      list.map(({ iid, index, value }) => `${iid} ${index} ${value}`);
    const ends = () => late.list.at(-1)?.iid === early.list.at(-1)?.iid;
    await until("the late learner is at the end", () => late.list.length > 0 && ends(), 60_000);
    const begins = early.list.findIndex(({ iid }) => iid === late.list[0]!.iid);
    expect(begins).toBeGreaterThanOrEqual(0);
    expect(places(late.list)).toEqual(places(early.list.slice(begins)));
    expect(new Set(early.list.map(({ iid, index }) => `${iid} ${index}`)).size).toBe(early.list.length);
  });
}, 180_000);

test("an acceptor that cannot vote says why, and what to do; --fresh does it", async () => {
  await withCluster({ seats: STANDARD, link: "loopback", start: false }, async (cluster) => {
    const first = cluster.start("acceptor", 0);
    const why = /does not vote yet: a new cluster begins when all 3 .* acceptor 2 does not answer.*--fresh/;
    const second = cluster.start("acceptor", 1);
    await Promise.all([first, second].map((one) => one.waitForLine(/acceptor.* not answer/, 15_000)));
    await first.waitForLine(why, 15_000);
    for (const one of [first, second]) expect((await one.stop()).exitCode).toBe(0);
    // Told to, two of three begin; the third takes up what they hold.
    for (const id of [0, 1]) {
      await cluster.start("acceptor", id, { args: ["--fresh"] }).waitForLine(/as --fresh says/, 10_000);
    }
    await cluster.start("acceptor", 2).waitForLine(/has recovered what the others hold/, 15_000);
  });
}, 60_000);
