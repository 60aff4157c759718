/**
 * Whole clusters in one process: trimming, full windows and the way out of them, learners that come late, applications that
 * do not keep up, limits of sizes and slots.
 */
import { describe, expect, test } from "bun:test";
import type { WireName } from "../src/config/config.ts";
import { type Host, MemoryCluster } from "./support/memory_cluster.ts";

const STORM = { loss: 0.2, duplication: 0.2, reordering: 0.2 };
const SMALL = ["acceptor-window-instances 64", "trim-every 8"];
const WIRES: readonly WireName[] = ["native", "kernel-paxos"];

const held = (cluster: MemoryCluster): number[] =>
  cluster.acceptors().map(({ log }) => log.highestIid - log.trimIid);

describe.each([...WIRES])("wire %s", (wire) => {
  test("a learner that comes late catches up from instance 1, also in a storm", () => {
    const cluster = new MemoryCluster({ seed: 21, wire, faults: STORM, learners: 3 });
    cluster.startAll([() => cluster.client({ values: 600, outstanding: 32 })]);
    cluster.runUntil("half of it", () => cluster.delivered.last >= 40);
    cluster.stop(cluster.host("learner 1"));
    cluster.finish();
    const again = cluster.learner(1);
    cluster.runUntil("it has everything", () => again.recorder!.last === cluster.delivered.last);
    expect(again.recorder!.first).toBe(1);
    expect(again.recorder!.skips).toEqual([]);
  });

  test("a learner without catch-up begins with the present and misses nothing from then on", () => {
    const cluster = new MemoryCluster({ seed: 22, wire });
    cluster.startAll();
    cluster.client({ values: 3000 });
    cluster.runUntil("something", () => cluster.delivered.last >= 200);
    const present = cluster.delivered.last;
    const late = cluster.learner(7, false, false);
    cluster.finish();
    expect(late.recorder!.first).toBeGreaterThanOrEqual(present);
    expect(late.recorder!.first).toBeLessThan(cluster.delivered.last);
  });

  test("small windows: trims keep them moving, in a storm too", () => {
    for (let seed = 30; seed < 36; seed++) {
      const cluster = new MemoryCluster({ seed, wire, faults: STORM, settings: SMALL });
      cluster.startAll([() => cluster.learner(5, true, true), () => cluster.client({ values: 400 })]);
      let most = 0;
      cluster.runUntil("all clients done", () => {
        most = Math.max(most, ...held(cluster));
        return cluster.clients().every((client) => client.isDone);
      });
      cluster.finish();
      expect(cluster.delivered.last).toBeGreaterThan(64);
      for (const { log } of cluster.acceptors()) expect(log.trimIid).toBeGreaterThan(0);
      expect(most).toBeLessThanOrEqual(64);
    }
  });

  test("a full window refuses and says so; a learner that may trim sets it free", () => {
    const cluster = new MemoryCluster({ seed: 40, wire, learners: 0, settings: SMALL });
    cluster.startAll();
    const release = holdTrims(cluster, wire);
    const client = trimless(cluster, 2000);
    cluster.runUntil("the windows are full", () => held(cluster).every((count) => count >= 57));
    cluster.runFor(3_000_000);
    const { delivered } = client.cores.client!.counters;
    expect(held(cluster).every((count) => count <= 64)).toBe(true);
    expect(cluster.delivered.last).toBeLessThanOrEqual(64);
    cluster.runFor(2_000_000);
    expect(client.cores.client!.counters.delivered).toBe(delivered);
    expect(cluster.acceptors().some((acceptor) => acceptor.counters.refusedFull > 0)).toBe(true);
    release();
    cluster.finish();
    expect(client.cores.client!.counters.delivered).toBe(2000);
    expect(cluster.delivered.last).toBeGreaterThan(64);
  });

  test("full in bytes: refused, and set free by a learner that may trim", () => {
    const settings = ["acceptor-window-bytes 2097152", "acceptor-window-instances 65536", "trim-every 64"];
    const cluster = new MemoryCluster({ seed: 41, wire, learners: 0, settings });
    cluster.startAll();
    const release = holdTrims(cluster, wire);
    const client = trimless(cluster, 6000, 400);
    cluster.runUntil("full", () => cluster.acceptors().every(({ log }) => log.fill() >= 0.9));
    cluster.runFor(2_000_000);
    expect(client.cores.client!.counters.delivered).toBeLessThan(6000);
    for (const { log } of cluster.acceptors()) expect(log.arena.used).toBeLessThanOrEqual(2097152);
    release();
    cluster.finish();
  });

  test("an application that does not take its values holds up nobody else", () => {
    const cluster = new MemoryCluster({ seed: 42, wire, learners: 2 });
    cluster.startAll();
    cluster.client({ values: 2000, outstanding: 16 });
    const slow = cluster.host("learner 1").recorder!;
    cluster.runUntil("both begin", () => slow.last > 5);
    slow.takes = false;
    const { last } = slow;
    cluster.runUntil("done", () => cluster.clients().every((client) => client.isDone));
    expect(slow.last).toBe(last);
    expect(cluster.host("learner 0").recorder!.last).toBeGreaterThan(last);
    slow.takes = true;
    cluster.finish();
    expect(slow.skips).toEqual([]);
  });

  test("few transmit slots: everything is slower, nothing is lost for good", () => {
    const cluster = new MemoryCluster({ seed: 43, wire, acceptors: 5, faults: STORM, txSlots: 40 });
    cluster.startAll([() => cluster.client({ values: 500, outstanding: 64 })]);
    cluster.finish();
  });
});

/**
 * From now on nothing is trimmed, until the function that is returned is called. In the native wire that takes a learner whose
 * application takes nothing: else the proposers' own learners would have the log trimmed.
 */
function holdTrims(cluster: MemoryCluster, wire: WireName): () => void {
  if (wire !== "native") return () => cluster.learner(0, true, true);
  const recorder = cluster.learner(0, true, true).recorder!;
  recorder.takes = false;
  return () => {
    recorder.takes = true;
  };
}

/** A client whose learner never trims. */
function trimless(cluster: MemoryCluster, values: number, mostSize?: number): Host {
  const size = mostSize === undefined ? {} : { leastSize: mostSize, mostSize };
  return cluster.client({ values, outstanding: 16, canTrim: false, ...size });
}
