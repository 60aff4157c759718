/**
 * The same cluster on every link and in both wires: raw Ethernet, UDP over IPv4 and IPv6, loopback without privileges; then
 * with loss, duplication and reordering, values of every size, and the largest ones.
 */
import { describe, expect, test } from "bun:test";
import {
  type Deliveries,
  expectSameOrder,
  STANDARD,
  type TestCluster,
  withCluster,
} from "../support/cluster.ts";
import { QUICK, startUserLearner, WIRES } from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";
import { unprivileged } from "../support/unprivileged.ts";

const LINKS = ["ethernet", "udp", "udp6"] as const;
const CATCH_UP = ["--catch-up"];
const LOAD = ["--values", "200", "--outstanding", "10"];

/** Starts everything, with two learners whose deliveries are kept. */
async function up(cluster: TestCluster): Promise<Deliveries[]> {
  const learners = [0, 1].map((id) => cluster.startLearner(id, CATCH_UP));
  await cluster.startAll();
  return learners;
}

/** Each learner has exactly the values of these sizes (native wire) or longer by the client's record. */
function sizes(learner: Deliveries, overhead: number): number[] {
  return learner.values.map((value) => value.length / 2 - overhead);
}

describe("loopback", () => {
  for (const wire of WIRES) {
    test(`${wire}: a user without privileges needs no root`, async () => {
      const options = { seats: STANDARD, link: "loopback", settings: { wire }, start: false } as const;
      await withCluster({ ...options, ...unprivileged() }, async (cluster) => {
        unprivileged.own(cluster.directory);
        const learners = await up(cluster);
        expect(await cluster.runClient(LOAD)).toMatchObject({ values: 200, duplicates: 0 });
        await Promise.all(learners.map((learner) => learner.reach(200)));
        await expectSameOrder(learners);
      });
    });
  }
});

describeNetns("networks", () => {
  test.each(["ethernet", "udp"] as const)(
    "%s: what a turn sends at most has room in the kernel",
    async (link) => {
      await withCluster({ seats: STANDARD, link }, async (cluster) => {
        const { pid } = cluster.member("acceptor", 0);
        const { stdout } = cluster.lab!.exec(0, [
          "ss",
          "--no-header",
          "--packet",
          "--udp",
          "--all",
          "--memory",
          "--processes",
        ]);
        const own = stdout.split(/\n(?=\S)/).filter((socket) => socket.includes(`pid=${pid},`));
        const rooms = own.map((socket) => Number(/,tb(\d+),/.exec(socket)?.[1]));
        expect(Math.max(...rooms)).toBeGreaterThanOrEqual(512 * 4096);
      });
    },
  );

  for (const wire of WIRES) {
    // What a client's record adds to its value.
    const overhead = wire === "native" ? 0 : 32;

    describe(wire, () => {
      for (const link of LINKS) {
        test(`${link}: everything arrives, once and in one order`, async () => {
          await withCluster({ seats: STANDARD, link, settings: { wire }, start: false }, async (cluster) => {
            const learners = await up(cluster);
            expect(await cluster.runClient(LOAD)).toMatchObject({ values: 200, duplicates: 0 });
            await Promise.all(learners.map((learner) => learner.reach(200)));
            await expectSameOrder(learners);
            for (const { list } of learners) expect(list.length).toBe(200);
          });
        });

        test(`${link}: loss, duplication and reordering of 12 % each`, async () => {
          const faults = { loss: 12, dup: 12, reorder: 12 };
          const options = { seats: STANDARD, link, settings: { wire, ...QUICK }, start: false } as const;
          // Over UDP the faults begin later: what the kernel asks to find its neighbours, it asks once a second.
          const isUdp = link !== "ethernet";
          await withCluster({ ...options, faults: isUdp ? {} : faults }, async (cluster) => {
            const learners = await up(cluster);
            const before = isUdp ? 10 : 0;
            if (isUdp) await cluster.runClient(["--values", `${before}`, "--id", "10"]);
            await cluster.relay!.set(faults);
            expect(await cluster.runClient(LOAD)).toMatchObject({ values: 200 });
            await Promise.all(learners.map((learner) => learner.reach(before + 200)));
            await expectSameOrder(learners);
            const stats = await cluster.relay!.stats();
            for (const fault of ["lost", "duplicated", "reordered"] as const) {
              expect(stats[fault]).toBeGreaterThan((isUdp ? 0.05 : 0.08) * stats.rx);
            }
          });
        });
      }

      test("udp: remote clients of a user-learner, and clients on a device", async () => {
        await withCluster({ seats: STANDARD, link: "udp", settings: { wire } }, async (cluster) => {
          const address = "10.75.80.5:9900";
          await startUserLearner(cluster, 4, 0, ["--listen", address]);
          const words = [
            ["--learner", address],
            ["--learner", address],
            ["--device", "0"],
          ];
          const figures = await Promise.all(
            words.map((one, at) => {
              const host = one[0] === "--device" ? 4 : cluster.spareHost;
              return cluster.runClient([...LOAD, ...one, "--id", `${at * 10}`], { host });
            }),
          );
          for (const one of figures) expect(one).toMatchObject({ values: 200, duplicates: 0 });
        });
      });

      for (const link of ["ethernet", "udp"] as const) {
        test(`${link}: values of 0 bytes, 1, mixed, the largest, and one more`, async () => {
          await withCluster({ seats: STANDARD, link, settings: { wire }, start: false }, async (cluster) => {
            const learners = await up(cluster);
            const limit = await refusedLimit(cluster);
            const native = wire === "native";
            const runs: readonly (readonly [words: string, least: number, most: number, count: number])[] = [
              ["0", 0, 0, 50],
              ["1", 1, 1, 50],
              ["0-300", 0, 300, 50],
              // Some of them are larger than an instance, and come in pieces.
              ...(native ? ([["1300-6000", 1300, 6000, 50]] as const) : []),
              [`${limit}`, limit, limit, native ? 3 : 50],
            ];
            for (const [words, , , count] of runs) {
              const one = ["--values", `${count}`, "--outstanding", "5", "--value-size", words];
              const figures = await cluster.runClient(one);
              expect(figures).toMatchObject({ values: count, duplicates: 0 });
            }
            const total = runs.reduce((sum, [, , , count]) => sum + count, 0);
            await Promise.all(learners.map((learner) => learner.reach(total)));
            await expectSameOrder(learners);
            const got = sizes(learners[0]!, overhead);
            expect(got.length).toBe(total);
            let at = 0;
            runs.forEach(([, least, most, count]) => {
              const part = got.slice(at, at + count);
              at += count;
              expect(Math.min(...part)).toBeGreaterThanOrEqual(least);
              expect(Math.max(...part)).toBeLessThanOrEqual(most);
              if (most > least) expect(new Set(part).size).toBeGreaterThan(10);
            });
          });
        });
      }
    });
  }

  test("native: values about as large as a jumbo frame", async () => {
    await withCluster({ seats: STANDARD, mtu: 9000, start: false }, async (cluster) => {
      const learners = await up(cluster);
      // Entries of up to 8 kB and more go whole, larger ones in two pieces.
      const words = ["--values", "60", "--value-size", "8000-9500"];
      expect(await cluster.runClient(words)).toMatchObject({ values: 60, duplicates: 0 });
      await learners[0]!.reach(60);
      const got = sizes(learners[0]!, 0);
      expect(Math.min(...got)).toBeLessThan(8500);
      expect(Math.max(...got)).toBeGreaterThan(9000);
      expect(Math.max(...got)).toBeLessThanOrEqual(9500);
    });
  });
});

/** The largest value a client may send, as its refusal of a larger one says; what is one byte more is refused too. */
async function refusedLimit(cluster: TestCluster): Promise<number> {
  let size = 2 ** 24 - 1;
  let limit = 0;
  for (let attempt = 0; attempt < 2; attempt++) {
    const client = cluster.client(cluster.spareHost, ["--values", "1", "--value-size", `${size}`]);
    expect(await client.ending(5000)).toMatchObject({ exitCode: 2 });
    const said = /--value-size \d+ is more than .*: at most (\d+) bytes/.exec(client.stderr.join("\n"));
    expect(said, client.tail()).not.toBeNull();
    limit = Number(said![1]);
    size = limit + 1;
  }
  return limit;
}
