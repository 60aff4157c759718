/**
 * Our roles against frames made by hand: the test plays the reference's proposer, acceptors, learners and clients, and strangers,
 * and looks at every byte of the answers. What the reference sends is taken from its own vectors, cut values included.
 */
import { describe, expect, test } from "bun:test";
import { seat, type TestCluster, withCluster } from "../support/cluster.ts";
import { ethernetVectors, userFrames } from "../support/kernel_paxos_fixture.ts";
import { describeNetns } from "../support/netns.ts";
import { RawHost } from "../support/raw_host.ts";

const TYPE = {
  prepare: 0xcafa,
  promise: 0xcafb,
  accept: 0xcafc,
  accepted: 0xcafd,
  preempted: 0xcafe,
  repeat: 0xcaff,
  trim: 0xcb00,
  state: 0xcb01,
  clientValue: 0xcb02,
  hi: 0xcb03,
  del: 0xcb04,
  ok: 0xcb05,
} as const;

const SEATS = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  ...[0, 1].map((id) => seat("proposer", id, 3 + id)),
  seat("learner", 0, 5, ["--catch-up"]),
];
const [PROPOSER, LEARNER, STRANGER] = [3, 5, 6];
const HI = "0000cb03";
const OK = "0000cb05";
const DEL = "0000cb04";

/** Big-endian words as hex. */
function words(...numbers: readonly number[]): string {
  return numbers.map((number) => number.toString(16).padStart(8, "0")).join("");
}

function vector(name: string): string {
  return ethernetVectors.find((one) => one.name === name)!.payload;
}

/** What follows the first words of a vector: the length, and as much of the value as the reference sends. */
function tail(name: string, header: number): string {
  return vector(name).slice(8 * header);
}

const VALUE_64 = ethernetVectors.find(({ name }) => name === "accept-small-v64")!.value!;
/** What is left of it when four bytes are missing: they read as zero. */
const CUT_64 = `${VALUE_64.slice(0, 120)}00000000`;

function raw(cluster: TestCluster, host: number): Promise<RawHost> {
  return RawHost.start(host, (argv) =>
    cluster.network.spawn(host, argv, { stdin: "pipe", stderr: "inherit" }),
  );
}

const options = { seats: SEATS, settings: { wire: "kernel-paxos" }, start: false } as const;

/** Our acceptor 0 on host 0; proposer, learner and stranger are played. */
async function withAcceptor(
  body: (peers: { proposer: RawHost; learner: RawHost; stranger: RawHost }) => Promise<void>,
): Promise<void> {
  await withCluster(options, async (cluster) => {
    await cluster.start("acceptor", 0).ready();
    const [proposer, learner, stranger] = await Promise.all(
      [PROPOSER, LEARNER, STRANGER].map((host) => raw(cluster, host)),
    );
    await body({ proposer: proposer!, learner: learner!, stranger: stranger! });
  });
}

describeNetns("the reference's frames", () => {
  describe("our acceptor", () => {
    // Fault 20: there, hi is answered only for an address never seen, and del removes the proposer too.
    test("answers every hi; a del leaves a proposer of the same address in", async () => {
      await withAcceptor(async ({ proposer, learner }) => {
        for (let times = 0; times < 3; times++) {
          learner.toHost(0, TYPE.hi, HI);
          expect(await learner.next(0, TYPE.ok, times)).toBe(OK);
        }
        expect(await learner.next(0, TYPE.state)).toBe(words(0, 0));
        proposer.toHost(0, TYPE.prepare, words(1, 10));
        await proposer.next(0, TYPE.promise);
        proposer.toHost(0, TYPE.hi, HI);
        await proposer.next(0, TYPE.ok);
        proposer.toHost(0, TYPE.del, DEL);
        const accepted = (iid: number): string => `${words(0, iid, 0, 10, 10, 2)}6869`;
        proposer.toHost(0, TYPE.accept, `${words(1, 0, 10, 2)}6869`);
        expect(await proposer.next(0, TYPE.accepted)).toBe(accepted(1));
        expect(await learner.next(0, TYPE.accepted)).toBe(accepted(1));
        learner.toHost(0, TYPE.del, DEL);
        // An answer to what was sent after the del: by then the acceptor has read it.
        learner.toHost(0, TYPE.repeat, words(1, 1));
        await learner.next(0, TYPE.accepted, 1);
        const states = learner.heard(0, TYPE.state).length;
        proposer.toHost(0, TYPE.accept, `${words(2, 0, 10, 2)}6869`);
        expect(await proposer.next(0, TYPE.accepted, 1)).toBe(accepted(2));
        // The next states go to the proposer alone.
        await proposer.next(0, TYPE.state, proposer.heard(0, TYPE.state).length + 1);
        expect(learner.heard(0, TYPE.accepted)).toEqual([accepted(1), accepted(1)]);
        expect(learner.heard(0, TYPE.state).length).toBe(states);
      });
    });

    // Faults 1 and 6.
    test("understands cut values, answers whole ones, and takes an empty value for a value", async () => {
      await withAcceptor(async ({ proposer, learner }) => {
        learner.toHost(0, TYPE.hi, HI);
        await learner.next(0, TYPE.ok);
        proposer.toHost(0, TYPE.prepare, words(1, 10));
        expect(await proposer.next(0, TYPE.promise)).toBe(words(0, 1, 10, 0, 0));
        // As the vector stands: below the promise.
        proposer.toHost(0, TYPE.accept, vector("accept-small-v64"));
        expect(await proposer.next(0, TYPE.preempted)).toBe(words(0, 1, 10));
        proposer.toHost(0, TYPE.accept, words(1, 2, 10) + tail("accept-small-v64", 3));
        const accepted = words(0, 1, 2, 10, 10, 64) + CUT_64;
        expect(await proposer.next(0, TYPE.accepted)).toBe(accepted);
        expect(await learner.next(0, TYPE.accepted)).toBe(accepted);
        // Not even its length arrives whole.
        proposer.toHost(0, TYPE.accept, words(2, 0, 10) + tail("accept-small-v0", 3));
        expect(await proposer.next(0, TYPE.accepted, 1)).toBe(words(0, 2, 0, 10, 10, 0));
        proposer.toHost(0, TYPE.accept, words(3, 0, 10) + tail("accept-len-v3", 3));
        expect(await proposer.next(0, TYPE.accepted, 2)).toBe(`${words(0, 3, 0, 10, 10, 3)}000000`);
        // Empty: repeated, and carried over by a promise.
        learner.toHost(0, TYPE.repeat, words(2, 2));
        expect(await learner.next(0, TYPE.accepted, 3)).toBe(words(0, 2, 0, 10, 10, 0));
        proposer.toHost(0, TYPE.prepare, words(2, 20));
        expect(await proposer.next(0, TYPE.promise, 1)).toBe(words(0, 2, 20, 10, 0));
      });
    });

    // Faults 2 to 5.
    test("ignores strangers, frames for others and nonsense; answers a repeat of everything", async () => {
      await withAcceptor(async ({ proposer, learner, stranger }) => {
        const elsewhere = "02:4b:50:00:00:77";
        stranger.toHost(0, TYPE.prepare, words(1, 990));
        stranger.toHost(0, TYPE.accept, `${words(1, 0, 990, 1)}ff`);
        proposer.send(elsewhere, TYPE.prepare, words(1, 980));
        proposer.send("ff:ff:ff:ff:ff:ff", TYPE.prepare, words(1, 970));
        for (const nonsense of ["", "00", words(1), words(1, 0, 10, 0xffffffff), words(1, 0, 10, 1000)]) {
          for (const type of Object.values(TYPE)) {
            // A trim is one word, whatever follows: that one makes sense.
            if (type !== TYPE.trim || nonsense.length < 8) proposer.toHost(0, type, nonsense);
          }
        }
        proposer.toHost(0, TYPE.accept, `${words(0, 0, 10, 1)}ff`);
        proposer.toHost(0, TYPE.accept, words(9, 0, 960, 1480) + "ab".repeat(1480));
        learner.toHost(0, TYPE.repeat, words(0, 0xffffffff));
        learner.toHost(0, TYPE.repeat, words(1, 0xffffffff));
        const before = proposer.heard(0, TYPE.promise).length;
        proposer.toHost(0, TYPE.prepare, words(1, 10));
        proposer.toHost(0, TYPE.prepare, words(9, 10));
        expect(await proposer.next(0, TYPE.promise, before + 1)).toBe(words(0, 9, 10, 0, 0));
        expect(proposer.heard(0, TYPE.promise)[before]).toBe(words(0, 1, 10, 0, 0));
        for (let iid = 1; iid <= 3; iid++) proposer.toHost(0, TYPE.accept, `${words(iid, 0, 10, 1)}0${iid}`);
        await proposer.next(0, TYPE.accepted, 2);
        learner.toHost(0, TYPE.repeat, words(1, 0xffffffff));
        await learner.next(0, TYPE.accepted, 2);
        expect(learner.heard(0, TYPE.accepted)).toEqual(
          [1, 2, 3].map((iid) => `${words(0, iid, 0, 10, 10, 1)}0${iid}`),
        );
        expect(stranger.heard(0, TYPE.promise)).toEqual([]);
        expect(stranger.heard(0, TYPE.preempted)).toEqual([]);
      });
    });
  });

  describe("our proposer and learner", () => {
    const record = userFrames.find(({ name }) => name === "client_to_proposer-v1")!;
    const value = record.payload_hex!.slice(8);
    const length = value.length / 2;

    test("serve the reference's acceptors and client", async () => {
      await withCluster(options, async (cluster) => {
        const acceptors = await Promise.all([0, 1].map((host) => raw(cluster, host)));
        const client = await raw(cluster, STRANGER);
        const learner = cluster.startLearner(0);
        await cluster.start("proposer", 0).ready();
        // The learner says hi again until it is answered.
        expect(await acceptors[0]!.next(LEARNER, TYPE.hi, 2)).toBe(HI);
        for (const one of acceptors) one.toHost(LEARNER, TYPE.ok, OK);
        // The whole preexecution window is prepared.
        await acceptors[0]!.next(PROPOSER, TYPE.prepare, 127);
        // A slow test sees some of them sent again.
        const prepares = [...new Set(acceptors[0]!.heard(PROPOSER, TYPE.prepare))];
        expect(prepares).toEqual(Array.from({ length: 128 }, (_, at) => words(at + 1, 10)));
        acceptors.forEach((one, aid) => {
          one.toHost(PROPOSER, TYPE.promise, words(aid, 1, 10, 0, 0));
        });
        client.toHost(PROPOSER, TYPE.clientValue, record.payload_hex!);
        // The next instance's prepare rides on the accept, which is whole.
        for (const one of acceptors) {
          expect(await one.next(PROPOSER, TYPE.accept)).toBe(words(1, 129, 10, length) + value);
        }
        acceptors.forEach((one, aid) => {
          const cut = words(aid, 1, 129, 10, 10, length) + value.slice(0, -8);
          one.toHost(PROPOSER, TYPE.accepted, cut);
          one.toHost(LEARNER, TYPE.accepted, cut);
        });
        await learner.reach(1);
        expect(learner.list[0]).toMatchObject({ iid: 1, value: `${value.slice(0, -8)}00000000` });
        await learner.process.waitForLine(/cuts the last bytes of its values/, 5000);
        // SIGTERM: the learner says del.
        await learner.process.stop();
        expect(await acceptors[0]!.next(LEARNER, TYPE.del)).toBe(DEL);
      });
    });

    // Faults 2, 3 and 10.
    test("count a quorum of distinct acceptors at one accepted ballot, and nobody else", async () => {
      await withCluster(options, async (cluster) => {
        const hosts = await Promise.all([0, 1, STRANGER].map((host) => raw(cluster, host)));
        const [first, second, stranger] = hosts as [RawHost, RawHost, RawHost];
        const learner = cluster.startLearner(0);
        await first.next(LEARNER, TYPE.hi);
        const accepted = (aid: number, ballot: number, valueBallot: number, byte: string): string =>
          words(aid, 1, 0, ballot, valueBallot, 1) + byte;
        first.toHost(LEARNER, TYPE.accepted, accepted(0, 10, 10, "aa"));
        first.toHost(LEARNER, TYPE.accepted, accepted(0, 10, 10, "aa"));
        // In another's name, from nowhere, with an id that nobody has.
        first.toHost(LEARNER, TYPE.accepted, accepted(1, 10, 10, "aa"));
        stranger.toHost(LEARNER, TYPE.accepted, accepted(1, 10, 10, "aa"));
        second.toHost(LEARNER, TYPE.accepted, accepted(200, 10, 10, "aa"));
        second.toHost(LEARNER, TYPE.accepted, accepted(0xffffffff, 10, 10, "aa"));
        // A repeat answer of the reference: promised at 10, accepted at 9 with another value.
        second.toHost(LEARNER, TYPE.accepted, accepted(1, 10, 9, "bb"));
        // Frames of one sender arrive in order, so what is asked for afterwards was seen after all this.
        const asked = second.heard(LEARNER, TYPE.repeat).length;
        await second.next(LEARNER, TYPE.repeat, asked + 1);
        expect(learner.list).toEqual([]);
        second.toHost(LEARNER, TYPE.accepted, accepted(1, 10, 10, "aa"));
        await learner.reach(1);
        expect(learner.list[0]).toMatchObject({ iid: 1, value: "aa" });
      });
    });
  });
});
