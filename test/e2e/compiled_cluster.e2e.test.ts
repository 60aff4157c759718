/**
 * The main topology once more with the standalone executable (npm run build) as every process of it.
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expectSameOrder, STANDARD, withCluster } from "../support/cluster.ts";
import { learnerAt, startUserLearner, WIRES } from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";
import { describeUnless } from "../support/skip.ts";

const KPAXOS = join(import.meta.dir, "../../dist/kpaxos");
const LOAD = ["--values", "200", "--outstanding", "10"];
const GOOD = { values: 200, duplicates: 0 };

const missing = existsSync(KPAXOS) ? undefined : "dist/kpaxos is not there: npm run build";

describeNetns("the compiled executable", () => {
  describeUnless(missing, "as a cluster", () => {
    for (const wire of WIRES) {
      test(`${wire}: two learners, a user-learner, clients of every shape`, async () => {
        const options = { seats: STANDARD, settings: { wire }, command: [KPAXOS], start: false };
        await withCluster(options, async (cluster) => {
          const learners = [0, 1].map((id) => cluster.startLearner(id, ["--catch-up"]));
          await cluster.startAll();
          await startUserLearner(cluster, 4, 0);
          // Who leads is not told in the Kernel_Paxos wire: there it waits in vain.
          const patience = wire === "native" ? "9" : "2";
          const status = cluster.launch("status", cluster.spareHost, [
            "status",
            "-f",
            cluster.configPath,
            "--timeout",
            patience,
          ]);
          expect(await status.ending(10_000)).toMatchObject({ exitCode: 0 });
          expect(status.stdout.at(-1)).toContain("3 of 3 acceptors");
          const spare = { host: cluster.spareHost };
          expect(await cluster.runClient(LOAD, spare)).toMatchObject(GOOD);
          expect(await cluster.runClient([...LOAD, "--device", "1"], { host: 5 })).toMatchObject(GOOD);
          expect(await cluster.runClient([...LOAD, ...learnerAt(4)], spare)).toMatchObject(GOOD);
          await Promise.all(learners.map((learner) => learner.reach(600)));
          await expectSameOrder(learners);
          expect(learners[0]!.list.length).toBe(600);
        });
      });
    }
  });
});
