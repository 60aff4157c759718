/**
 * Instances as full as they can be: their records do not fit a promise beside the standing, and go in frames without it. A new
 * leader and an acceptor that has forgotten everything get them all the same.
 */
import { describe, expect, test } from "bun:test";
import { ENTRY_HEADER_BYTES } from "../src/protocol/batch.ts";
import { maxNativeValue } from "../src/wire/native.ts";
import { type Host, MemoryCluster } from "./support/memory_cluster.ts";

const STORM = { loss: 0.2, duplication: 0.2, reordering: 0.2 };

/** A cluster whose instances are all full, so that none of its records fits beside a standing. */
function full(seed: number, values: number): MemoryCluster {
  const cluster = new MemoryCluster({ seed, wire: "native", proposers: 2, faults: STORM });
  cluster.startAll();
  const size = maxNativeValue(cluster.hosts[0]!.link, 3) - ENTRY_HEADER_BYTES;
  cluster.client({ values, outstanding: 24, leastSize: size, mostSize: size });
  return cluster;
}

const leader = (cluster: MemoryCluster): Host | undefined =>
  cluster.hosts.find(({ cores }) => cores.proposer?.isReady === true);

describe("full instances", () => {
  test.each([1, 2, 3, 4, 5, 6])("a new leader takes over what may be chosen (seed %d)", (seed) => {
    const cluster = full(seed, 400);
    let taken = 0;
    for (const at of [60, 160, 260]) {
      cluster.runUntil(`${at} instances`, () => cluster.delivered.last >= at);
      const former = leader(cluster);
      if (former === undefined) continue;
      const id = former.cores.proposer!.id;
      cluster.stop(former, false);
      cluster.runUntil("another leads", () => leader(cluster) !== undefined);
      const { recovered } = leader(cluster)!.cores.proposer!.leadership;
      taken += recovered.last + 1 - recovered.first;
      cluster.proposer(id);
    }
    cluster.finish();
    expect(taken).toBeGreaterThan(0);
  });

  test.each([11, 12, 13])("an acceptor that has forgotten them is told of them all (seed %d)", (seed) => {
    const cluster = full(seed, 300);
    cluster.runUntil("half of it", () => cluster.delivered.last >= 150);
    cluster.stop(cluster.host("acceptor 1"), false);
    const { acceptor } = cluster.acceptor(1).cores;
    cluster.runUntil("it votes again", () => acceptor!.isVoting);
    expect(acceptor!.fellows!.recovery.records).toBeGreaterThan(0);
    cluster.finish();
  });
});
