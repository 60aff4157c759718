/**
 * Whole clusters in one process: instances that were chosen by a quorum of which one acceptor is gone for good, while the one that
 * was not in it has no record of them. The other alone has them, and a quorum is up.
 */
import { describe, expect, test } from "bun:test";
import { type Host, MemoryCluster } from "./support/memory_cluster.ts";

const ROOMY = ["learner-window-instances 1024", "learner-window-bytes 4MiB"];
const SMALL = [...ROOMY, "acceptor-window-instances 2048", "acceptor-window-bytes 8MiB"];

/** A client of its own that sends so many values, until all came back. */
function submit(cluster: MemoryCluster, values: number, proposerId = 0, size?: number): void {
  const sizes = size === undefined ? {} : { leastSize: size, mostSize: size };
  const client = cluster.client({ values, canTrim: false, proposerId, ...sizes });
  cluster.runUntil(`${values} values came back`, () => client.cores.client!.isDone);
  cluster.stop(client);
}

function restart(cluster: MemoryCluster, host: Host, start: () => Host): Host {
  cluster.stop(host, false);
  cluster.runFor(200_000);
  const again = start();
  cluster.runFor(3_000_000);
  return again;
}

/** Instances above the trim point that this acceptor has no record of. */
function holes({ cores }: Host, upTo: number): number {
  const { log } = cores.acceptor!;
  let count = 0;
  for (let iid = log.trimIid + 1; iid <= upTo; iid++) if (log.ballotAt(iid) === 0) count++;
  return count;
}

/** Acceptors 0 and 1 choose what acceptor 2 misses; 1 dies, after `before` came to pass. 0 and 2 are a quorum, and go on. */
function loneRecords(
  wire: "native" | "kernel-paxos",
  before?: (cluster: MemoryCluster) => void,
  {
    settings = ROOMY,
    behind = 40,
    size,
  }: { settings?: readonly string[]; behind?: number; size?: number } = {},
) {
  const maxPayload = size === undefined ? 600 : 1500;
  const cluster = new MemoryCluster({ seed: 5, wire, learners: 0, settings, durable: true, maxPayload });
  cluster.startAll();
  cluster.runFor(1_000_000);
  const [proposer, missing] = [cluster.host("proposer 0"), cluster.host("acceptor 2")];
  cluster.network.cut(proposer.link, missing.link);
  submit(cluster, 40, 0, size);
  const last = cluster.host("acceptor 0").cores.acceptor!.log.highestIid;
  cluster.network.heal();
  cluster.runFor(1_000_000);
  submit(cluster, behind, 0, size);
  expect(holes(missing, last)).toBeGreaterThan(5);
  before?.(cluster);
  cluster.stop(cluster.host("acceptor 1"), false);
  cluster.runFor(1_000_000);
  // In the Kernel_Paxos wire nothing comes back: a client, too, begins at the first instance.
  if (wire === "native") submit(cluster, 40);
  expect(holes(missing, last)).toBeGreaterThan(5);
  return cluster;
}

const restartsHolder = (cluster: MemoryCluster): void => {
  restart(cluster, cluster.host("acceptor 0"), () => cluster.acceptor(0));
};

/** A learner that begins at 1 delivers all that there is. */
function readsAll(cluster: MemoryCluster): void {
  const late = cluster.learner(7);
  const { highestIid } = cluster.host("acceptor 0").cores.acceptor!.log;
  cluster.runUntil("it is at the end", () => late.recorder!.last >= highestIid, 5_000_000);
  expect(late.recorder!.first).toBe(1);
  expect(late.recorder!.skips).toEqual([]);
}

describe("what one living acceptor alone has", () => {
  test("a learner that comes late reads it, with the holder's marks", () => {
    readsAll(loneRecords("native"));
  });

  test("and without them: the holder has restarted with its disk", () => {
    readsAll(loneRecords("native", restartsHolder));
  });

  for (const [name, before] of [
    ["with marks", undefined],
    ["without marks", restartsHolder],
  ] as const) {
    test(`a proposer that restarts leads, reads it, and has values chosen: ${name}`, () => {
      const cluster = loneRecords("native", before);
      const again = restart(cluster, cluster.host("proposer 0"), () => cluster.proposer(0));
      submit(cluster, 40);
      const { learner, proposer } = again.cores;
      expect(proposer!.window.low).toBe(learner!.next);
      readsAll(cluster);
    });
  }

  test("the holder restarts while nobody leads: whoever leads next tells it what is chosen", () => {
    const cluster = loneRecords("native", restartsHolder);
    cluster.stop(cluster.host("proposer 0"), false);
    restartsHolder(cluster);
    expect(cluster.host("acceptor 0").cores.acceptor!.chosenIid).toBe(0);
    cluster.proposer(0);
    submit(cluster, 40);
    readsAll(cluster);
  });

  test.each([false, true])(
    "three replicas, of which one is gone; the holder restarted before: %p",
    (before) => {
      const cluster = new MemoryCluster({
        seed: 5,
        wire: "native",
        replicas: 3,
        settings: SMALL,
        durable: true,
      });
      cluster.startAll();
      cluster.runFor(1_000_000);
      const all = [0, 1, 2].map((id) => cluster.host(`replica ${id}`));
      const leader = all.find(({ cores }) => cores.proposer!.stage === "leading")!;
      const [holder, missing] = all.filter((one) => one !== leader) as [Host, Host];
      const again = (): Host => {
        const { name } = holder;
        return restart(cluster, cluster.host(name), () => cluster.replica(Number(name.at(-1))));
      };
      cluster.network.cut(leader.link, missing.link);
      submit(cluster, 40, Number(leader.name.at(-1)));
      const last = holder.cores.acceptor!.log.highestIid;
      cluster.network.heal();
      cluster.runFor(1_000_000);
      if (before) again();
      cluster.stop(leader, false);
      cluster.runFor(3_000_000);
      expect(holes(missing, last)).toBeGreaterThan(5);
      const now = again();
      // More than the acceptors' windows hold: the replicas trim them.
      submit(cluster, 20_000, Number(missing.name.at(-1)));
      cluster.runUntil("both are at the end", () => now.recorder!.last === missing.recorder!.last);
      expect(now.cores.acceptor!.log.trimIid).toBeGreaterThan(last);
    },
  );
});

describe("what one living acceptor alone has, with more behind it than a proposer's window holds", () => {
  const settings = [
    ...ROOMY,
    "acceptor-window-instances 131072",
    "acceptor-window-bytes 64MiB",
    "batching no",
  ];
  const highest = (cluster: MemoryCluster): number =>
    cluster.host("acceptor 0").cores.acceptor!.log.highestIid;

  test("all have restarted, and nobody knows what is chosen: it is chosen again, then what is behind it", () => {
    const cluster = loneRecords("native", undefined, { settings, behind: 9000 });
    const last = highest(cluster);
    expect(last).toBeGreaterThan(9000);
    for (const host of [...cluster.hosts]) cluster.stop(host, false);
    cluster.runFor(200_000);
    const acceptors = [0, 2].map((aid) => cluster.acceptor(aid).cores.acceptor!);
    const { proposer } = cluster.proposer(0).cores;
    cluster.runFor(100_000);
    expect(acceptors.map(({ isVoting, chosenIid }) => [isVoting, chosenIid])).toEqual([
      [true, 0],
      [true, 0],
    ]);
    cluster.runUntil("it leads", () => proposer!.isReady, 10_000_000);
    submit(cluster, 40);
    readsAll(cluster);
    expect(highest(cluster)).toBeGreaterThan(last);
  });

  test("all have restarted, and who lacks it has filled a proposer's store before the holder tells it", () => {
    const cluster = loneRecords("native", undefined, { settings, behind: 4000, size: 1200 });
    for (const host of [...cluster.hosts]) cluster.stop(host, false);
    for (const aid of [1, 2]) cluster.acceptor(aid);
    cluster.runUntil("they vote", () => cluster.acceptors().every((one) => one.isVoting), 1_000_000);
    cluster.stop(cluster.host("acceptor 1"), false);
    const { proposer } = cluster.proposer(0).cores;
    cluster.runUntil("it is full", () => proposer!.window.arena.used > 4e6, 2_000_000);
    cluster.runFor(100_000);
    cluster.acceptor(0);
    cluster.runUntil("it leads", () => proposer!.isReady, 20_000_000);
    submit(cluster, 40);
    readsAll(cluster);
  });

  // With the most even the end of phase 1 lies beyond the window.
  test.each([3000, 5000])(
    "the holder has restarted while nobody led: who is too far behind to lead tells it (%d)",
    (behind) => {
      const cluster = loneRecords("native", undefined, { settings, behind });
      cluster.stop(cluster.host("proposer 0"), false);
      restartsHolder(cluster);
      expect(cluster.host("acceptor 0").cores.acceptor!.chosenIid).toBe(0);
      const { proposer } = cluster.proposer(0).cores;
      cluster.runUntil("it leads", () => proposer!.isReady, 10_000_000);
      submit(cluster, 40);
      readsAll(cluster);
    },
  );
});

describe("in the Kernel_Paxos wire, where nobody says what is chosen", () => {
  test("it waits for a proposer that proposes it again: one that restarts", () => {
    const cluster = loneRecords("kernel-paxos", restartsHolder);
    const late = cluster.learner(7);
    cluster.runFor(5_000_000);
    expect(late.recorder!.last).toBe(0);
    restart(cluster, cluster.host("proposer 0"), () => cluster.proposer(0));
    const { highestIid } = cluster.host("acceptor 0").cores.acceptor!.log;
    cluster.runUntil("it is at the end", () => late.recorder!.last >= highestIid, 10_000_000);
    expect(late.recorder!.skips).toEqual([]);
  });
});
