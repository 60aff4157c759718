/**
 * A leader is killed under load, again and again: values go on being chosen, and the clients of the proposers that are left
 * need not be started again. How fast it can be is `bench/failover.ts`; a busy machine is slower.
 */
import { expect, test } from "bun:test";
import type { Seat } from "../../src/ops/seats.ts";
import { expectSameOrder, seat, withCluster } from "../support/cluster.ts";
import { endClient, goesOn, hasBegun } from "../support/e2e.ts";
import { DeliveryTimes, killLeader } from "../support/failover.ts";
import { describeNetns } from "../support/netns.ts";

const PROPOSERS = [0, 1, 2];
const SEATS: readonly Seat[] = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  ...PROPOSERS.map((id) => seat("proposer", id, 3 + id)),
  seat("learner", 0, 6, ["--print", "--json"]),
  seat("learner", 1, 7, ["--catch-up"]),
];
const KILLS = 4;

describeNetns("failover", () => {
  for (const { name, settings, withinMs } of [
    { name: "default settings", settings: {}, withinMs: 1000 },
    {
      name: "leader-timeout 20ms",
      settings: { "leader-timeout": "20ms" },
      withinMs: 500,
    },
  ]) {
    test(`${name}: values go on being delivered when the leader is killed`, async () => {
      await withCluster({ seats: SEATS, settings, start: false }, async (cluster) => {
        const times = new DeliveryTimes();
        cluster.start("learner", 0, { onStdout: times.feed });
        const log = cluster.startLearner(1, ["--catch-up"]);
        await cluster.startAll();
        const clients = PROPOSERS.map((id) =>
          cluster.client(cluster.spareHost, ["--json", "--outstanding", "4", "-p", `${id}`, "--id", `${id}`]),
        );
        await Promise.all(clients.map((client) => hasBegun(client)));
        const gaps: number[] = [];
        for (let i = 0; i < KILLS; i++) gaps.push((await killLeader(cluster, PROPOSERS, times)).gapMs);
        console.log(`${name}: nothing delivered for ${gaps.map((ms) => Math.round(ms)).join(", ")} ms`);
        // The median: on a machine that does other things too, any one of them may have had to wait for a processor.
        expect(gaps.toSorted((a, b) => a - b)[KILLS >> 1]!).toBeLessThan(withinMs);
        for (const client of clients) {
          await goesOn(client);
          await endClient(client);
        }
        await expectSameOrder([log]);
      });
    }, 120_000);
  }
});
