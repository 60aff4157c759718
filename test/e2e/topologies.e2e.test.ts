/**
 * The three topologies of the manual's picture on real processes, in both wires: a client with its learner inside, a
 * client on the device of a learner of its host, and remote clients of a user-learner. And what happens to them
 * when a part of them ends and comes back.
 */
import { describe, expect, test } from "bun:test";
import type { ClientFigures } from "../../src/ops/lab_figures.ts";
import { seat, withCluster } from "../support/cluster.ts";
import {
  DeviceValues,
  endClient,
  goesOn,
  hasBegun,
  learnerAt,
  QUICK,
  startUserLearner,
  WIRES,
} from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const CORE = [seat("acceptor", 0, 0), seat("acceptor", 1, 1), seat("acceptor", 2, 2), seat("proposer", 0, 3)];
const LEARNER_HOST = 4;
const WITH_LEARNER = [...CORE, seat("learner", 0, LEARNER_HOST, ["--catch-up"])];
const OUTSTANDING = 10;
const LOAD = ["--values", "300", "--outstanding", `${OUTSTANDING}`];

/** Everything came back at the first attempt, and no place stood empty for long (Little's law). */
function expectSmooth(figures: ClientFigures, clients = 1): void {
  expect(figures).toMatchObject({ values: 300, duplicates: 0 });
  const busySeconds = (figures.values * figures.latencyUs.mean) / 1e6 / OUTSTANDING / clients;
  expect(figures.seconds).toBeLessThan(0.1 + 4 * busySeconds);
}

describeNetns("topologies", () => {
  for (const wire of WIRES) {
    const settings = { wire, ...QUICK };

    describe(wire, () => {
      test("1: a client with its learner inside, a proposer, three acceptors", async () => {
        await withCluster({ seats: CORE, settings: { wire } }, async (cluster) => {
          const figures = await cluster.runClient(LOAD);
          expectSmooth(figures);
          expect(figures.latencyUs.p50).toBeGreaterThan(0);
        });
      });

      test("2: clients on the device of their host's learner", async () => {
        await withCluster({ seats: WITH_LEARNER, settings: { wire } }, async (cluster) => {
          const figures = await Promise.all(
            [1, 2].map((id) =>
              cluster.runClient([...LOAD, "--device", "0", "--id", `${id * 100}`], { host: LEARNER_HOST }),
            ),
          );
          for (const one of figures) expectSmooth(one);
        });
      });

      test("3: four remote clients of one user-learner", async () => {
        await withCluster({ seats: WITH_LEARNER, settings: { wire }, spareHosts: 4 }, async (cluster) => {
          await startUserLearner(cluster, LEARNER_HOST, 0);
          const figures = await Promise.all(
            [0, 1, 2, 3].map((at) =>
              cluster.runClient(
                [...LOAD, ...learnerAt(LEARNER_HOST), "--nclients", "3", "--id", `${at * 10}`],
                { host: cluster.spareHost + at },
              ),
            ),
          );
          for (const one of figures) expectSmooth(one, 3);
        });
      });

      test("3: remote clients that share a host, and one on the user-learner's own", async () => {
        await withCluster({ seats: WITH_LEARNER, settings: { wire } }, async (cluster) => {
          await startUserLearner(cluster, LEARNER_HOST, 0);
          const hosts = [cluster.spareHost, cluster.spareHost, LEARNER_HOST];
          const figures = await Promise.all(
            hosts.map((host, at) =>
              cluster.runClient([...LOAD, ...learnerAt(LEARNER_HOST), "--id", `${at * 10}`], { host }),
            ),
          );
          for (const one of figures) expectSmooth(one);
        });
      });

      test("3: the user-learner is killed while clients run, and comes back", async () => {
        await withCluster({ seats: WITH_LEARNER, settings }, async (cluster) => {
          const first = await startUserLearner(cluster, LEARNER_HOST, 0);
          const clients = [0, 1].map((at) =>
            cluster.client(cluster.spareHost, [
              ...["--json", "--id", `${at * 10}`],
              ...learnerAt(LEARNER_HOST),
            ]),
          );
          await Promise.all(clients.map((client) => hasBegun(client)));
          first.kill("SIGKILL");
          await first.exited;
          await startUserLearner(cluster, LEARNER_HOST, 0);
          await Promise.all(clients.map((client) => goesOn(client)));
          for (const client of clients) {
            const { resent } = await endClient(client);
            // In the native wire proposers acknowledge what the host could not tell.
            if (wire !== "native") expect(resent).toBeGreaterThan(0);
          }
        });
      });

      // Fault 30: unloading a learner kills its reader.
      test("2 and 3: a learner restarts and its applications go on", async () => {
        await withCluster({ seats: WITH_LEARNER, settings }, async (cluster) => {
          await startUserLearner(cluster, LEARNER_HOST, 0);
          const device = cluster.client(LEARNER_HOST, ["--device", "0", "--json"]);
          const remote = cluster.client(cluster.spareHost, [
            ...learnerAt(LEARNER_HOST),
            ...["--json", "--id", "10"],
          ]);
          const clients = [device, remote];
          await Promise.all(clients.map((client) => hasBegun(client)));
          for (const signal of ["SIGTERM", "SIGKILL"] as const) {
            const learner = cluster.member("learner", 0);
            learner.kill(signal);
            await learner.exited;
            await cluster.start("learner", 0).ready();
          }
          await Promise.all(clients.map((client) => goesOn(client)));
          for (const client of clients) await endClient(client);
        });
      });

      // Fault 27: the device overwrites when its reader is slow.
      test("a slow reader of a device loses nothing", async () => {
        const seats = [...WITH_LEARNER, seat("learner", 1, 5, ["--catch-up"])];
        await withCluster({ seats, settings: { wire }, start: false }, async (cluster) => {
          const other = cluster.startLearner(1, ["--catch-up"]);
          await cluster.startAll();
          const slow = new DeviceValues(cluster, 0);
          await slow.attached();
          // More than the reader's ring takes: the learner has to wait.
          const load = ["--values", "2000", "--outstanding", "50", "--value-size", "1000"];
          await cluster.runClient(load);
          await other.reach(2000);
          await until("everything was read", () => {
            slow.take();
            return slow.iids.length >= 2000;
          });
          expect(slow.iids).toEqual(other.list.map(({ iid }) => iid));
          slow.reader.close();
        });
      });
    });
  }
});
