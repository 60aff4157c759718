/**
 * Raw Ethernet in bundles: what is sent, delivered and counted with them; hosts that take none, and paths that let none pass.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { newKeyLine, writeKeyFile } from "../../src/node/key_file.ts";
import {
  expectSameOrder,
  REPLICAS,
  SHARED_MAC,
  STANDARD,
  seat,
  type TestCluster,
  withCluster,
} from "../support/cluster.ts";
import { expectDone } from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const MODES = ["recvmmsg", "ring"] as const;
const CATCH_UP = ["--catch-up"];
const PROPOSER_HOST = 3;
/** By then all have been asked whether bundles come. */
const ASKED_MS = 1000;
const VALUES = 30_000;
const LOAD = ["--outstanding", "1000"];
/** Of a frame, with its header; it carries one value of those. */
const FRAME = 1514;
const LARGE = ["--value-size", "1000"];

function counted(cluster: TestCluster, host: number, what: string): number {
  return Number(cluster.lab!.exec(host, ["cat", `/sys/class/net/eth0/statistics/${what}`]).stdout);
}

async function load(cluster: TestCluster, id: number): Promise<void> {
  const figures = await cluster.runClient([...LOAD, "--values", `${VALUES}`, "--id", `${id}`]);
  expect(figures).toMatchObject({ values: VALUES, duplicates: 0 });
}

/** A device that cuts what is several frames in one, or leaves it to who sends. */
const UNABLE = ["gso_max_segs", "1"];

/** How long packets are, in bytes, on the average. */
interface Packets {
  /** Those of the leader's host. */
  readonly sent: number;
  /** Those that another one hears. */
  readonly heard: number;
}

function packetsSince(before: readonly number[], now: readonly number[]): Packets {
  const [sentBytes, sentPackets, heardBytes, heardPackets] = now.map((count, i) => count - before[i]!);
  return { sent: sentBytes! / sentPackets!, heard: heardBytes! / heardPackets! };
}

/**
 * Sends values of which no frame carries two, and looks at packets once all who listen have been asked, the client too: half a second
 * of them. With `isAwaited`, until bundles are among them: a busy host may answer late.
 */
async function packets(cluster: TestCluster, isAwaited: boolean): Promise<Packets> {
  const look = (): readonly number[] => [
    ...["tx_bytes", "tx_packets"].map((what) => counted(cluster, PROPOSER_HOST, what)),
    ...["rx_bytes", "rx_packets"].map((what) => counted(cluster, 0, what)),
  ];
  const client = cluster.client(cluster.spareHost, [...LOAD, ...LARGE, "--id", "11", "--json"]);
  await Bun.sleep(ASKED_MS);
  let result: Packets;
  let before = look();
  const deadline = performance.now() + 20_000;
  do {
    await Bun.sleep(500);
    const now = look();
    result = packetsSince(before, now);
    before = now;
  } while (isAwaited && result.sent < 2 * FRAME && performance.now() < deadline);
  client.kill("SIGTERM");
  await client.ending(5000);
  // Values were among them.
  expect(result.sent).toBeGreaterThan(500);
  return result;
}

/** Of a cluster with these settings. */
async function packetsWith(
  isAwaited: boolean,
  settings: Readonly<Record<string, string>> = {},
): Promise<number> {
  let result = 0;
  await withCluster({ seats: STANDARD, settings, start: false }, async (cluster) => {
    const key = join(cluster.directory, "cluster.key");
    writeKeyFile(key, newKeyLine(), false);
    const learners = [0, 1].map((id) => cluster.startLearner(id, CATCH_UP));
    await cluster.startAll();
    await load(cluster, 10);
    result = (await packets(cluster, isAwaited)).sent;
    await Promise.all(learners.map((learner) => learner.reach(VALUES)));
    await expectSameOrder(learners);
  });
  return result;
}

describeNetns("bundles", () => {
  test.each(MODES)("carry more than a frame does, everything arrives once and in order: %s", async (mode) => {
    expect(await packetsWith(true, { "receive-mode": mode })).toBeGreaterThan(2 * FRAME);
  });

  test("are not made with `offload no`", async () => {
    expect(await packetsWith(false, { offload: "no" })).toBeLessThan(FRAME);
  });

  test("are authenticated frame by frame", async () => {
    expect(await packetsWith(true, { "cluster-key": "cluster.key" })).toBeGreaterThan(2 * FRAME);
  });

  test("reach roles that share a host, and proposers with a receive queue for client values", async () => {
    const settings = { "receive-queues": "2" };
    await withCluster({ seats: SHARED_MAC, settings }, async (cluster) => {
      await load(cluster, 10);
      await load(cluster, 11);
    });
  });

  test.each(MODES)("are lost as a whole, doubled and damaged without harm: %s", async (mode) => {
    const faults = { loss: 2, dup: 2, corrupt: 1 };
    const settings = { "receive-mode": mode };
    await withCluster({ seats: REPLICAS, faults, settings, start: false }, async (cluster) => {
      const learners = [0, 1, 2].map((id) => cluster.startLearner(id, [], "replica"));
      await cluster.startAll();
      await load(cluster, 10);
      await Promise.all(learners.map((learner) => learner.reach(VALUES)));
      await expectSameOrder(learners);
      expect((await cluster.relay!.stats()).bundles).toBeGreaterThan(100);
    });
  });
});

describeNetns("a card that cannot cut", () => {
  test("on the way: the kernel does it, and receivers hear the frames one by one", async () => {
    await withCluster({ seats: STANDARD, start: false }, async (cluster) => {
      const learners = [0, 1].map((id) => cluster.startLearner(id, CATCH_UP));
      await cluster.startAll();
      for (const port of cluster.lab!.ports)
        expectDone(cluster.lab!.execInHub(["ip", "link", "set", port, ...UNABLE]));
      await load(cluster, 10);
      const { sent, heard } = await packets(cluster, true);
      expect(sent).toBeGreaterThan(2 * FRAME);
      expect(heard).toBeLessThan(FRAME);
      await Promise.all(learners.map((learner) => learner.reach(VALUES)));
      await expectSameOrder(learners);
    });
  });

  test("of the sender: its frames leave one by one, and none is counted as lost", async () => {
    await withCluster({ seats: STANDARD }, async (cluster) => {
      for (let host = 0; host <= cluster.spareHost; host++)
        expectDone(cluster.lab!.exec(host, ["ip", "link", "set", "eth0", "gso_max_size", "2000"]));
      await load(cluster, 10);
      expect((await packets(cluster, false)).sent).toBeLessThan(FRAME);
      expect(cluster.logs()).not.toContain("frames dropped");
    });
  });
});

describeNetns("without bundles", () => {
  test("from the beginning: the path lets none pass, and nothing but speed is missing", async () => {
    await withCluster({ seats: REPLICAS, faults: { bundles: false } }, async (cluster) => {
      await load(cluster, 10);
      const { bundles, partitioned } = await cluster.relay!.stats();
      expect(bundles).toBe(0);
      // Somebody asked, twice a second.
      expect(partitioned).toBeGreaterThan(0);
      expect(partitioned).toBeLessThan(1000);
    });
  });

  test("from some time on: the cluster goes on singly, and in bundles when they pass again", async () => {
    await withCluster({ seats: REPLICAS, faults: {} }, async (cluster) => {
      const client = cluster.client(cluster.spareHost, [...LOAD, "--id", "10", "--json"]);
      const bundles = async (): Promise<number> => (await cluster.relay!.stats()).bundles;
      const done = (): number => client.stdout.length;
      await until("bundles pass", async () => (await bundles()) > 1000, 20_000);
      await cluster.relay!.set({ bundles: false });
      await Bun.sleep(5000);
      const { partitioned: before } = await cluster.relay!.stats();
      const lines = done();
      await Bun.sleep(2000);
      const { partitioned: after } = await cluster.relay!.stats();
      // Only what asks.
      expect(after - before).toBeLessThan(200);
      expect(done()).toBeGreaterThan(lines);
      const single = await bundles();
      await cluster.relay!.set({ bundles: true });
      await until("bundles pass again", async () => (await bundles()) > single + 1000, 20_000);
      client.kill("SIGTERM");
      await client.ending(5000);
    });
  });

  test.each([
    ["an acceptor", "acceptor 1"],
    ["a learner", "learner 1"],
  ] as const)("for all while %s takes none", async (_, who) => {
    const args = ["--no-offload"];
    const seats = STANDARD.map((one) => (`${one.role} ${one.id}` === who ? { ...one, args } : one));
    await withCluster({ seats }, async (cluster) => {
      await load(cluster, 10);
      expect((await packets(cluster, false)).sent).toBeLessThan(FRAME);
      await cluster
        .member("proposer", 0)
        .waitForLine(/frames in bundles do not reach 02:4b:50:00:00:0[26] /, 5000);
    });
  });

  test("a single host's processes have them through lo", async () => {
    const seats = [
      ...[0, 1, 2].map((id) => seat("acceptor", id, 0)),
      seat("proposer", 0, 0),
      seat("learner", 0, 0),
    ];
    await withCluster({ seats }, async (cluster) => {
      await load(cluster, 10);
    });
  });
});
