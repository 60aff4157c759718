/**
 * Lives of roles, in both wires: started in any order, late, killed and replaced; logs that are trimmed, by themselves or
 * too late.
 */
import { describe, expect, test } from "bun:test";
import type { LabProcess } from "../../src/ops/lab_process.ts";
import type { MemberRole } from "../../src/ops/seats.ts";
import {
  type Deliveries,
  expectSameOrder,
  STANDARD,
  seat,
  type TestCluster,
  withCluster,
} from "../support/cluster.ts";
import { endClient, finished, goesOn, hasBegun, QUICK, WIRES } from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const ONE_LEARNER = STANDARD.filter(({ role, id }) => role !== "learner" || id === 0);
const CORE = STANDARD.filter(({ role }) => role !== "learner");

const ORDERS: readonly (readonly (MemberRole | "client")[])[] = [
  ["client", "learner", "proposer", "acceptor"],
  ["proposer", "client", "acceptor", "learner"],
  ["learner", "acceptor", "client", "proposer"],
];

/** Starts all of a role and waits until they run. */
async function startRole(cluster: TestCluster, role: MemberRole | "client"): Promise<LabProcess[]> {
  const started =
    role === "client"
      ? [cluster.client(cluster.spareHost, ["--values", "100", "--outstanding", "4", "--json"])]
      : cluster.seats.filter((one) => one.role === role).map(({ id }) => cluster.start(role, id));
  await Promise.all(started.map((one) => one.ready()));
  return started;
}

/** What an acceptor says as it ends. */
async function lastWords(acceptor: LabProcess): Promise<{ last: number; trimmed: number }> {
  const line = await acceptor.waitForLine(/last instance \d+, trimmed to \d+/, 5000);
  const [, last, trimmed] = /last instance (\d+), trimmed to (\d+)/.exec(line)!;
  return { last: Number(last), trimmed: Number(trimmed) };
}

describeNetns(
  "lives",
  () => {
    for (const wire of WIRES) {
      const settings = { wire, ...QUICK };

      describe(wire, () => {
        for (const order of ORDERS) {
          test(`started as ${order.join(", ")}`, async () => {
            await withCluster({ seats: ONE_LEARNER, settings, start: false }, async (cluster) => {
              let client: LabProcess | undefined;
              for (const role of order) {
                const started = await startRole(cluster, role);
                if (role === "client") client = started[0];
              }
              await finished(client!);
            });
          });
        }

        test("a late learner gets everything with --catch-up, and starts at the present without", async () => {
          const open = { ...settings, batching: "no" };
          await withCluster({ seats: STANDARD, settings: open, start: false }, async (cluster) => {
            for (const { role, id } of CORE) cluster.start(role, id);
            await Promise.all(CORE.map(({ role, id }) => cluster.member(role, id).ready()));
            const load = ["--outstanding", "10", "--no-cantrim", "--values"];
            await cluster.runClient([...load, "300"]);
            // Nothing new closes while it asks.
            const whole = cluster.startLearner(0, ["--catch-up", "--no-cantrim"]);
            await whole.reach(300);
            // In the native wire the first instance opens the client's session.
            expect(whole.list[0]!.iid).toBe(wire === "native" ? 2 : 1);
            const late = cluster.startLearner(1, ["--no-cantrim"]);
            await late.process.ready();
            await until("the late learner delivers", async () => {
              await cluster.runClient([...load, "10"]);
              return late.list.length > 0;
            });
            await until("both are at one instance", () => whole.list.at(-1)!.iid === late.list.at(-1)!.iid);
            expect(late.list[0]!.iid).toBeGreaterThan(300);
            expect(late.list).toEqual(whole.list.filter(({ iid }) => iid >= late.list[0]!.iid));
          });
        });

        test("--trim-every: acceptors drop what was delivered, and who comes later is told", async () => {
          const open = { ...settings, batching: "no" };
          await withCluster({ seats: STANDARD, settings: open, start: false }, async (cluster) => {
            const trimming = cluster.startLearner(0, ["--catch-up", "--cantrim", "--trim-every", "500"]);
            for (const { role, id } of CORE) cluster.start(role, id);
            await Promise.all(CORE.map(({ role, id }) => cluster.member(role, id).ready()));
            // Long enough for acceptors to have heard all learners before they trim.
            const { values } = await cluster.runClient([
              "--seconds",
              "4",
              "--outstanding",
              "5",
              "--no-cantrim",
            ]);
            await trimming.reach(values);
            const late = cluster.startLearner(1, ["--catch-up"]);
            const said = await late.process.waitForLine(/instances 1 to \d+ were trimmed before/, 10_000);
            const lost = Number(/1 to (\d+)/.exec(said)![1]);
            expect(lost).toBeGreaterThanOrEqual(values / 2);
            await late.reach(trimming.list.filter(({ iid }) => iid > lost).length);
            expect(late.list).toEqual(trimming.list.filter(({ iid }) => iid > lost));
            const acceptors = [0, 1, 2].map((id) => cluster.member("acceptor", id));
            await cluster.stopCleanly();
            for (const acceptor of acceptors) {
              const { last, trimmed } = await lastWords(acceptor);
              expect(trimmed).toBeGreaterThanOrEqual(values / 2);
              expect(trimmed).toBeLessThanOrEqual(last);
            }
          });
        });

        // Faults 12 and 19: there, the store overwrites silently, and a trim beyond the window stops the proposer for good.
        test("a window that nobody trims: refused, said, and over once a learner trims", async () => {
          const small = {
            ...settings,
            ...{
              batching: "no",
              "acceptor-window-instances": "256",
              "trim-every": "64",
              "learner-timeout": "1h",
            },
          };
          await withCluster({ seats: ONE_LEARNER, settings: small, start: false }, async (cluster) => {
            for (const { role, id } of CORE) cluster.start(role, id);
            await Promise.all(CORE.map(({ role, id }) => cluster.member(role, id).ready()));
            const load = ["--no-cantrim", "--outstanding", "10", "--json"];
            const learners: Deliveries[] = [];
            if (wire === "native") {
              // Where no learner is heard proposers have the log trimmed; one that is counted and stands still holds them back.
              const learner = cluster.startLearner(0, ["--catch-up", "--cantrim"]);
              await cluster.runClient([...load, "--values", "20"]);
              await learner.reach(20);
              learner.process.kill("SIGSTOP");
              learners.push(learner);
            }
            const client = cluster.client(cluster.spareHost, load);
            const acceptors = [0, 1, 2].map((id) => cluster.member("acceptor", id));
            const why =
              wire === "native" ? /window is .* full.*acknowledged instance/ : /window is .* full.*--cantrim/;
            await Promise.all(acceptors.map((one) => one.waitForLine(why, 10_000)));
            if (wire === "native") await client.waitForLine(/nothing moves.*no learner reports what/, 10_000);
            // Nothing was overwritten: the learner gets it all from the first instance on.
            if (wire === "native") learners[0]!.process.kill("SIGCONT");
            else learners.push(cluster.startLearner(0, ["--catch-up", "--cantrim"]));
            const learner = learners[0]!;
            await learner.reach(1000);
            await goesOn(client);
            await endClient(client);
            const list = learner.list.slice(0, 1000);
            const up = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
            // In the native wire what opens and closes a session takes instances, too: of each session no value is missing.
            if (wire === "native")
              expect(list.map(({ sequence }) => sequence)).toEqual([...up(20), ...up(980)]);
            else expect(list.map(({ iid }) => iid)).toEqual(up(1000));
          });
        });

        test("an acceptor is killed and a quorum goes on; without one nothing does, and that is said", async () => {
          await withCluster({ seats: ONE_LEARNER, settings, start: false }, async (cluster) => {
            const learner = cluster.startLearner(0, ["--catch-up"]);
            await cluster.startAll();
            const client = cluster.client(cluster.spareHost, ["--outstanding", "4", "--json"]);
            await hasBegun(client);
            // In the native wire one that is killed has forgotten everything, and two of three are too many for that.
            const native = wire === "native";
            cluster.member("acceptor", 2).kill(native ? "SIGSTOP" : "SIGKILL");
            await goesOn(client);
            cluster.member("acceptor", 1).kill("SIGKILL");
            await client.waitForLine(
              /acceptor 1 \(.*\) and acceptor 2 \(.*\) do not answer.*no quorum/,
              15_000,
            );
            // One that was down before comes back; it has promised and accepted less than the one that stayed.
            if (native) cluster.member("acceptor", 2).kill("SIGCONT");
            else await cluster.start("acceptor", 2).ready();
            await goesOn(client);
            await endClient(client);
            await expectSameOrder([learner]);
            expect(new Set(learner.list.map(({ iid, index }) => `${iid} ${index}`)).size).toBe(
              learner.list.length,
            );
          });
        });
      });
    }

    test("seats of a role that is not there are an error of the configuration", async () => {
      const seats = [...ONE_LEARNER, { ...seat("learner", 1, 4), listed: false }];
      await withCluster({ seats, start: false }, async (cluster) => {
        const missing = cluster.launch("acceptor 3", 0, [
          "run",
          "acceptor",
          "-f",
          cluster.configPath,
          "--id",
          "3",
        ]);
        expect(await missing.ending(5000)).toMatchObject({ exitCode: 78 });
        expect(missing.stderr.join("\n")).toMatch(/has no acceptor 3\n.*it has acceptor 0, 1, 2/);
      });
    });
  },
  describe.concurrent,
);
