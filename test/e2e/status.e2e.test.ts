/**
 * `kpaxos status` against real clusters: both links, both wires, groups, members that were killed, acceptors that are full, a
 * wrong key; and that whoever is asked goes on as if nobody had.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { GroupStatus } from "../../src/node/group_status.ts";
import { seat, type TestCluster, withCluster } from "../support/cluster.ts";
import { describeNetns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const SEATS = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  ...[0, 1].map((id) => seat("proposer", id, 3 + id)),
  seat("learner", 0, 5),
];

interface Answer {
  readonly exitCode: number | null;
  readonly ok: boolean;
  readonly wire: string;
  readonly link: string;
  readonly groups: readonly GroupStatus[];
}

async function said(cluster: TestCluster, words: readonly string[], host = cluster.spareHost) {
  // A busy machine answers late; where all do, this costs nothing.
  const patience = words.includes("--timeout") ? [] : ["--timeout", "2"];
  const args = ["status", "-f", cluster.configPath, ...patience, ...words];
  const one = cluster.launch("status", host, args);
  const { exitCode } = await one.ending(20_000);
  return { exitCode, out: one.stdout, err: one.stderr.join("\n") };
}

async function ask(cluster: TestCluster, ...words: readonly string[]): Promise<Answer> {
  const { exitCode, out, err } = await said(cluster, ["--json", ...words]);
  if (out.length !== 1) throw new Error(err);
  return { ...(JSON.parse(out[0]!) as Omit<Answer, "exitCode">), exitCode };
}

/** Asks until it is so. */
async function asks(
  cluster: TestCluster,
  what: string,
  isSo: (answer: Answer) => boolean,
  ...words: readonly string[]
): Promise<Answer> {
  let last = await ask(cluster, ...words);
  const deadline = Date.now() + 15_000;
  while (!isSo(last)) {
    if (Date.now() > deadline) throw new Error(`${what} was not told: ${JSON.stringify(last)}`);
    last = await ask(cluster, ...words);
  }
  return last;
}

const isOk = ({ ok }: Answer): boolean => ok;

async function killed(cluster: TestCluster, role: "acceptor" | "proposer", id: number): Promise<void> {
  const one = cluster.member(role, id);
  one.kill("SIGKILL");
  await until(`${role} ${id} has ended`, () => !one.isRunning);
}

describeNetns(
  "status",
  () => {
    for (const link of ["ethernet", "udp"] as const) {
      test(`${link}: whole, without an acceptor, without its leader, without a quorum`, async () => {
        await withCluster({ seats: SEATS, link }, async (cluster) => {
          const fresh = await asks(cluster, "a leader", isOk);
          expect(fresh).toMatchObject({ exitCode: 0, wire: "native", link });
          const { id: leader } = fresh.groups[0]!.leader!;
          await cluster.runClient(["--values", "50"]);
          const used = await ask(cluster);
          expect(used).toMatchObject({ exitCode: 0, ok: true });
          const [group] = used.groups;
          expect(group).toMatchObject({ group: null, quorum: 2, reasons: [] });
          expect(group!.leader).toMatchObject({ id: leader, confirmed: true });
          expect(group!.leader!.chosenIid).toBeGreaterThan(0);
          expect(group!.proposers.map(({ heard }) => heard)).toEqual([true, true]);
          for (const acceptor of group!.acceptors) {
            expect(acceptor).toMatchObject({ answers: true, votes: true, trimmedIid: 0, room: "free" });
            expect(acceptor.highestIid).toBe(group!.leader!.chosenIid);
            expect(acceptor.acceptedBallot! % 65536).toBe(leader);
            expect(acceptor.followsBallot).toBe(link === "udp" ? null : group!.leader!.ballot);
          }

          await killed(cluster, "acceptor", 2);
          const less = await said(cluster, []);
          expect(less.exitCode).toBe(0);
          expect(less.out.at(-1)).toBe(
            `values can be chosen: proposer ${leader} leads, 2 of 3 acceptors vote`,
          );
          expect(less.out).toContainEqual(expect.stringMatching(/^acceptor 2 .* silent$/));

          await killed(cluster, "proposer", leader);
          const next = await asks(cluster, "the other leader", isOk);
          expect(next.groups[0]!.leader).toMatchObject({ id: 1 - leader });
          expect(next.groups[0]!.proposers[leader]).toMatchObject({ heard: false });

          await killed(cluster, "acceptor", 1);
          const broken = await said(cluster, ["--timeout", "2"]);
          expect(broken.exitCode).toBe(1);
          expect(broken.out.at(-1)).toContain(
            "no value can be chosen now: 1 of 3 acceptors vote, and 2 are a quorum",
          );

          await killed(cluster, "proposer", 1 - leader);
          const headless = await asks(
            cluster,
            "that nobody leads",
            ({ groups }) => groups[0]!.leader === null,
          );
          expect(headless).toMatchObject({ exitCode: 1, ok: false });
        });
      }, 60_000);
    }

    test("from the host of a member, beside it", async () => {
      await withCluster({ seats: SEATS }, async (cluster) => {
        await asks(cluster, "a leader", isOk);
        for (const host of [0, 3, 5]) {
          const { exitCode, out } = await said(cluster, [], host);
          expect({ exitCode, last: out.at(-1) }).toMatchObject({
            exitCode: 0,
            last: expect.stringContaining("3 of 3 acceptors vote"),
          });
        }
      });
    });

    test("processors and priorities of the cluster are not its own", async () => {
      await withCluster({ seats: SEATS }, async (cluster) => {
        await asks(cluster, "a leader", isOk);
        const path = join(cluster.directory, "fast.conf");
        const fast = "cpu 1023\nscheduling realtime\nbusy-poll yes\nkeep-awake yes\n";
        writeFileSync(path, `${readFileSync(cluster.configPath, "utf8")}\n${fast}`);
        const guest = cluster.launch("guest", cluster.spareHost, ["status", "-f", path, "--timeout", "3"]);
        expect(await guest.ending(20_000)).toMatchObject({ exitCode: 0 });
        const args = ["submit", "a", "-f", path];
        const giver = cluster.launch("giver", cluster.spareHost, args);
        expect(await giver.ending(20_000)).toMatchObject({ exitCode: 0 });
        const own = ["status", "-f", path, "--cpu", "1023"];
        const strict = cluster.launch("strict", cluster.spareHost, own);
        expect(await strict.ending(20_000)).toMatchObject({ exitCode: 78 });
      });
    });

    test("a signal ends it as one ends any command, without a verdict, and not without its farewell", async () => {
      await withCluster(
        { seats: SEATS, link: "udp", settings: { wire: "kernel-paxos" } },
        async (cluster) => {
          await asks(cluster, "a quorum", isOk);
          for (const signal of ["SIGINT", "SIGTERM"] as const) {
            const args = ["status", "-f", cluster.configPath, "--timeout", "60", "--verbosity", "debug"];
            const one = cluster.launch(signal, cluster.spareHost, args);
            const log = (): string => one.stderr.join("\n");
            await until("it has asked", () => log().includes("acceptorOk"));
            one.kill(signal);
            expect(await one.ending(5000)).toMatchObject({ signal, killed: false });
            expect(one.stdout).toEqual([]);
            expect(log()).toContain("learnerDel");
          }
        },
      );
    });

    for (const link of ["ethernet", "udp"] as const) {
      test(`${link}: full acceptors: nobody trims`, async () => {
        const settings = { "acceptor-window-instances": "256", "trim-every": "64" };
        await withCluster({ seats: SEATS, link, settings, start: false }, async (cluster) => {
          for (const { role, id } of SEATS.slice(0, 5)) await cluster.start(role, id).ready();
          const learner = cluster.start("learner", 0, { args: ["--no-cantrim"] });
          await learner.ready();
          const load = cluster.client(cluster.spareHost, ["--outstanding", "20", "--no-batching"]);
          const full = await asks(cluster, "that acceptors are full", ({ ok, groups }) => {
            return !ok && groups[0]!.acceptors.every(({ room }) => room === "full");
          });
          expect(full).toMatchObject({ exitCode: 1 });
          expect(full.groups[0]!.verdict).toContain("3 acceptors are full, because nobody trims");
          // On UDP a leader is known by its answer only, which waits for what it cannot have chosen.
          if (link === "ethernet") expect(full.groups[0]!.leader).not.toBeNull();
          expect(full.groups[0]!.verdict).not.toContain("nobody leads");
          load.kill("SIGTERM");
          await load.ending(5000);
          // Asking has not made anybody wait for who asked: a learner that trims sets the cluster going again.
          await learner.stop(3000);
          await cluster.start("learner", 0, { args: ["--catch-up"] }).ready();
          const free = await asks(cluster, "that there is room again", isOk);
          expect(free.groups[0]!.acceptors.every(({ trimmedIid }) => trimmedIid! > 0)).toBe(true);
        });
      }, 60_000);
    }

    for (const link of ["ethernet", "udp"] as const) {
      test(`${link}: a key that is missing, or another's, is named`, async () => {
        await withCluster({ seats: SEATS, link, start: false }, async (cluster) => {
          const [right, wrong] = ["right.key", "wrong.key"].map((name, at) => {
            const path = join(cluster.directory, name);
            writeFileSync(path, `kpaxos-key-1 ${Buffer.alloc(32, at + 1).toString("base64")}\n`, {
              mode: 0o600,
            });
            return path;
          });
          const key = ["--cluster-key", right!];
          for (const { role, id } of SEATS) cluster.start(role, id, { args: key });
          await Promise.all(SEATS.map(({ role, id }) => cluster.member(role, id).ready()));
          await asks(cluster, "a leader", isOk, ...key);
          for (const words of [[], ["--cluster-key", wrong!]]) {
            const answer = await ask(cluster, ...words);
            expect(answer).toMatchObject({ exitCode: 1, ok: false });
            expect(answer.groups[0]!.acceptors.some(({ answers }) => answers)).toBe(false);
            expect(answer.groups[0]!.reasons.join("\n")).toContain("`cluster-key`");
          }
        });
      });
    }

    test("the other wire is named", async () => {
      await withCluster({ seats: SEATS }, async (cluster) => {
        const { exitCode, out } = await said(cluster, ["--wire", "kernel-paxos"]);
        expect(exitCode).toBe(1);
        expect(out).toContainEqual(expect.stringMatching(/^why: /));
        expect(out.at(-1)).toContain("0 of 3 acceptors answer");
      });
    });

    describe("kernel-paxos", () => {
      for (const link of ["ethernet", "udp"] as const) {
        test(`${link}: a quorum, and who had values accepted meanwhile`, async () => {
          const settings = { wire: "kernel-paxos" };
          await withCluster({ seats: SEATS, link, settings }, async (cluster) => {
            const idle = await asks(cluster, "a quorum", isOk);
            expect(idle).toMatchObject({ exitCode: 0, groups: [{ leader: null }] });
            expect(idle.groups[0]!.proposers.map(({ heard }) => heard)).toEqual([null, null]);
            expect(idle.groups[0]!.acceptors[0]).toMatchObject({ answers: true, votes: null, room: null });
            const load = cluster.client(cluster.spareHost, ["--json"]);
            const busy = await asks(cluster, "who proposes", ({ groups }) => groups[0]!.leader !== null);
            const { leader } = busy.groups[0]!;
            expect(leader).toMatchObject({ id: leader!.ballot! % 10, chosenIid: null, confirmed: null });
            load.kill("SIGTERM");
            expect(await load.ending(5000)).toMatchObject({ exitCode: 0 });
            for (const id of [0, 1]) await killed(cluster, "acceptor", id);
            const { exitCode, out } = await said(cluster, []);
            expect(exitCode).toBe(1);
            expect(out.at(-1)).toContain("1 of 3 acceptors answer, and 2 are a quorum");
          });
        }, 60_000);
      }
    });

    test("groups: one section each, or the one that is named", async () => {
      const seats = [0, 1, 2].map((id) => seat("replica", id, id));
      await withCluster({ seats, settings: { groups: "2" }, start: false }, async (cluster) => {
        for (const group of [0, 1]) {
          for (const { id } of seats) {
            await cluster.start("replica", id, { args: ["--group", `${group}`] }).ready();
          }
        }
        const both = await asks(cluster, "two leaders", isOk);
        expect(both.groups.map(({ group }) => group)).toEqual([0, 1]);
        const one = await ask(cluster, "--group", "1");
        expect(one).toMatchObject({ exitCode: 0, groups: [{ group: 1 }] });
        const { out } = await said(cluster, []);
        expect(out.filter((line) => /^group/.test(line))).toEqual(["group 0", "group 1"]);
        expect(out.at(-1)).toMatch(/^ {2}values can be chosen/);
      });
    });
  },
  describe.concurrent,
);
