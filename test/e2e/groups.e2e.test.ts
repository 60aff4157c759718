/**
 * Groups as processes: two logs with the same members, and neither notices what happens to the other.
 */
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { groupOfKey } from "../../src/config/groups.ts";
import { LabProcess } from "../../src/ops/lab_process.ts";
import type { Seat } from "../../src/ops/seats.ts";
import {
  COMMAND,
  type Deliveries,
  type Delivery,
  expectSameOrder,
  seat,
  withCluster,
} from "../support/cluster.ts";
import { endClient, goesOn, hasBegun } from "../support/e2e.ts";
import { GroupedCluster } from "../support/groups.ts";
import { describeNetns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const PROPOSERS = [0, 1];
const SEATS: readonly Seat[] = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  ...PROPOSERS.map((id) => seat("proposer", id, id)),
  seat("learner", 0, 2),
];
const OUTSTANDING = 4;
const SETTINGS = { groups: "2", "client-timeout": "200ms", "leader-timeout": "200ms" };

describeNetns("groups", () => {
  for (const link of ["ethernet", "udp"] as const) {
    test(`${link}: two groups choose their own values; when the leader of one is killed the other does not notice`, async () => {
      await withCluster({ seats: SEATS, settings: SETTINGS, link, start: false }, async (cluster) => {
        const grouped = new GroupedCluster(cluster, 2);
        const learners = [0, 1].map((group) => grouped.learner(group, 0));
        // That one of group 0 is replaced is not to come from a busy machine.
        await grouped.startAll(SEATS, (group) => (group === 0 ? ["--leader-timeout", "20s"] : []));
        await grouped.leader(0, PROPOSERS);
        const leader = await grouped.leader(1, PROPOSERS);
        const clients = [0, 1].map((group) =>
          cluster.client(cluster.spareHost, [
            "--json",
            "--outstanding",
            `${OUTSTANDING}`,
            "--group",
            `${group}`,
          ]),
        );
        await Promise.all(clients.map((client) => hasBegun(client)));
        const ballots = (id: number) =>
          grouped
            .member(0, "proposer", id)
            .stderr.filter((line) => /leading at ballot|steps down/.test(line));
        const before = PROPOSERS.map(ballots);
        const victim = grouped.member(1, "proposer", leader);
        victim.kill("SIGKILL");
        await victim.exited;
        await grouped.leader(1, [1 - leader]);
        for (const client of clients) await goesOn(client);
        expect(PROPOSERS.map(ballots)).toEqual(before);
        const figures = [await endClient(clients[0]!), await endClient(clients[1]!)];
        for (const group of [0, 1]) {
          const { list } = learners[group]!;
          const { values } = figures[group]!;
          await until(`learner of group ${group}`, () => list.length >= values);
          // Every value of its own group's client, and nobody else's; what was under way came after the last figures.
          expect(list.length).toBeLessThanOrEqual(values + OUTSTANDING);
          expect(new Set(list.map(({ session }) => session)).size).toBe(1);
        }
      });
    }, 90_000);
  }

  test("one client serves all groups, and values go to the group of their key", async () => {
    await withCluster({ seats: SEATS, settings: SETTINGS, start: false }, async (cluster) => {
      const grouped = new GroupedCluster(cluster, 2);
      const learners = [0, 1].map((group) => grouped.learner(group, 0));
      await grouped.startAll(SEATS);
      const figures = await cluster.runClient(["--nclients", "3", "--outstanding", "2", "--values", "1001"]);
      expect(figures.values).toBe(1001);
      await Promise.all(learners.map((learner, group) => learner.reach(501 - group)));
      expect(learners.map(({ list }) => list.length)).toEqual([501, 500]);
      for (const key of ["a", "b", "c", "d"]) {
        const words = ["submit", "-f", cluster.configPath, "--key", key, `value of ${key}`];
        const ending = await cluster.launch("submit", cluster.spareHost, words).ending(20_000);
        expect(ending.exitCode).toBe(0);
      }
      const keys = (learner: Deliveries) =>
        learner.values.filter((hex) => hex.length === 20).map((hex) => Buffer.from(hex, "hex").toString());
      await until("all are delivered", () => learners.flatMap(keys).length === 4);
      const belongs = (group: number) =>
        ["a", "b", "c", "d"]
          .filter((key) => groupOfKey(Buffer.from(key), 2) === group)
          .map((key) => `value of ${key}`);
      expect(learners.map(keys)).toEqual([belongs(0), belongs(1)]);

      // A line for each: a key, a tab, a value; confirmed in the order of the lines.
      const input = 'for i in $(seq 200); do printf "k$i\\tline $i\\n"; done';
      const words = ["submit", "-", "--keyed", "--confirm", "-f", cluster.configPath];
      const shell = ["sh", "-c", `{ ${input}; } | "$@"`, "sh", ...COMMAND, ...words];
      const child = cluster.network.spawn(cluster.spareHost, shell, { cwd: cluster.directory });
      const submitting = new LabProcess("submit", shell, child);
      cluster.processes.push(submitting);
      expect((await submitting.ending(30_000)).exitCode).toBe(0);
      expect(submitting.stdout.at(-1)).toBe("200");
      const lines = (learner: Deliveries) =>
        learner.values
          .map((hex) => Buffer.from(hex, "hex").toString())
          .filter((text) => text.startsWith("line "));
      await until("all lines are delivered", () => learners.flatMap(lines).length === 200);
      const linesOf = (group: number) =>
        Array.from({ length: 200 }, (_, i) => i + 1)
          .filter((i) => groupOfKey(Buffer.from(`k${i}`), 2) === group)
          .map((i) => `line ${i}`);
      expect(learners.map(lines)).toEqual([linesOf(0), linesOf(1)]);
    });
  }, 90_000);

  test("a client needs no group that is away", async () => {
    await withCluster({ seats: SEATS, settings: SETTINGS, start: false }, async (cluster) => {
      const grouped = new GroupedCluster(cluster, 1);
      await grouped.startAll(SEATS);
      const client = cluster.client(cluster.spareHost, ["--json", "--nclients", "2"]);
      await hasBegun(client);
      await client.waitForLine(/group 1: .*no quorum/, 15_000);
      await goesOn(client);
      await endClient(client);
    });
  }, 60_000);

  test("learners that merge all groups deliver one order, also when groups are idle or lose their leader", async () => {
    const settings = { ...SETTINGS, groups: "3", merge: "yes" };
    await withCluster({ seats: SEATS, settings, start: false }, async (cluster) => {
      const grouped = new GroupedCluster(cluster, 3);
      const merged = [0, 7].map((id) => grouped.merged(id, 2));
      await grouped.startAll(SEATS);
      const client = (group: number, values: number) =>
        cluster.runClient(["--group", `${group}`, "--values", `${values}`, "--outstanding", "8"]);
      // Groups 1 and 2 have nothing to say.
      await client(0, 300);
      await Promise.all(merged.map((learner) => learner.reach(300)));
      const leader = await grouped.leader(2, PROPOSERS);
      const victim = grouped.member(2, "proposer", leader);
      victim.kill("SIGKILL");
      await victim.exited;
      await Promise.all([client(0, 200), client(1, 300), client(2, 100)]);
      await Promise.all(merged.map((learner) => learner.reach(900)));
      await expectSameOrder(merged);
      const { list } = merged[0]!;
      expect(list.length).toBe(900);
      expect(list.map(({ iid }) => iid)).toEqual(list.map(({ iid }) => iid).toSorted((a, b) => a - b));
      // The position names the group.
      const counts = [0, 0, 0];
      for (const { iid } of list) counts[(iid - 1) % 3]!++;
      expect(counts).toEqual([500, 300, 100]);
    });
  }, 120_000);

  test("a learner of all groups that does not merge them says whose each value is", async () => {
    await withCluster({ seats: SEATS, settings: SETTINGS, start: false }, async (cluster) => {
      const grouped = new GroupedCluster(cluster, 2);
      const learner = grouped.merged(0, 2);
      await grouped.startAll(SEATS);
      await cluster.runClient(["--nclients", "2", "--values", "100", "--outstanding", "4"]);
      await learner.reach(100);
      for (const group of [0, 1]) {
        const own = (learner.list as (Delivery & { group: number })[]).filter((one) => one.group === group);
        expect(own.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
      }
    });
  }, 60_000);

  test("a group without a quorum holds up the order of all, which is said, and only for so long", async () => {
    const settings = { ...SETTINGS, merge: "yes" };
    await withCluster({ seats: SEATS, settings, start: false }, async (cluster) => {
      const grouped = new GroupedCluster(cluster, 2);
      const merged = grouped.merged(0, 2);
      await grouped.startAll(SEATS);
      const client = (): Promise<unknown> => cluster.runClient(["--group", "0", "--values", "50"]);
      await client();
      await merged.reach(50);
      const sleepers = [0, 1].map((id) => grouped.member(1, "acceptor", id));
      for (const sleeper of sleepers) sleeper.kill("SIGSTOP");
      await client();
      await merged.process.waitForLine(/group 1: nothing moves: .*do not answer/, 20_000);
      expect(merged.list.length).toBeLessThan(100);
      for (const sleeper of sleepers) sleeper.kill("SIGCONT");
      await merged.reach(100);
    });
  }, 90_000);

  test("on disk: what is merged is trimmed, and a merging learner that comes back goes on where it was", async () => {
    const directory = mkdtempSync(join(tmpdir(), "kpaxos-groups-"));
    const settings = {
      ...SETTINGS,
      merge: "yes",
      "storage-backend": "sqlite",
      "storage-path": directory,
      "snapshot-every": "20",
      "trim-every": "20",
    };
    try {
      await withCluster({ seats: SEATS, settings, start: false }, async (cluster) => {
        const grouped = new GroupedCluster(cluster, 2);
        const before = grouped.merged(0, 2);
        await grouped.startAll(SEATS);
        const load = (...words: string[]) => cluster.runClient(["--outstanding", "2", ...words]);
        await load("--nclients", "2", "--values", "400");
        await load("--group", "1", "--values", "100");
        await before.reach(500);
        // Snapshots of both groups are there, and trimming has begun.
        await until("snapshots are on disk", () =>
          [0, 1].every((group) => existsSync(join(directory, `group-${group}`, "learner-0.snapshot"))),
        );
        expect(readdirSync(join(directory, "group-1"))).toContain("acceptor-2.db");
        const ended = await before.process.stop(5000);
        expect(ended.exitCode).toBe(0);
        const after = grouped.merged(0, 2);
        await load("--nclients", "2", "--values", "100");
        const last = before.list.at(-1)!;
        const fresh = () => after.list.filter(({ iid }) => iid > last.iid);
        await until("what is new is delivered", () => fresh().length === 100, 20_000);
        // What comes again is what was there: the same values at the same positions.
        const known = new Map(before.list.map((one) => [`${one.iid}.${one.index}`, one]));
        for (const one of after.list.filter(({ iid }) => iid <= last.iid)) {
          expect(known.get(`${one.iid}.${one.index}`)).toEqual(one);
        }
        const again = after.list.length - 100;
        expect(again).toBeLessThan(500);
        const first = after.list[0]!.iid;
        expect(before.list.filter(({ iid }) => iid >= first)).toHaveLength(again);
      });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }, 120_000);
});
