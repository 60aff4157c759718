/**
 * A leader whose learners merge its log with others makes no-ops when they wait for it, and only then.
 */
import { expect, test } from "bun:test";
import type { Proposer } from "../../src/protocol/proposer/proposer.ts";
import { type Host, MemoryCluster } from "../support/memory_cluster.ts";

function begin(settings: readonly string[], proposers = 1) {
  const cluster = new MemoryCluster({ seed: 5, wire: "native", proposers, settings });
  for (const id of [0, 1, 2]) cluster.acceptor(id);
  const hosts = Array.from({ length: proposers }, (_, id) => cluster.proposer(id));
  const learner = cluster.learner(0).cores.learner!;
  const of = (host: Host): Proposer => host.cores.proposer!;
  cluster.runUntil("somebody leads", () => hosts.some((host) => of(host).stage === "leading"));
  const leading = of(hosts.find((host) => of(host).stage === "leading")!);
  return { cluster, learner, leading, others: hosts.map(of).filter((one) => one !== leading) };
}

test("instances up to the one that is waited for are no-ops, each chosen and delivered", () => {
  const { cluster, learner, leading } = begin(["groups 1", "merge yes"]);
  leading.onAdvance(200);
  cluster.runUntil("all is delivered", () => learner.next === 201);
  cluster.runFor(1_000_000);
  expect(learner.next).toBe(201);
  expect(learner.counters.deliveredBytes).toBe(0);
  // What was there before is not asked for again.
  leading.onAdvance(190);
  cluster.runFor(1_000_000);
  expect(learner.next).toBe(201);
});

test("values take the places of no-ops, and go on after them", () => {
  const { cluster, learner, leading } = begin(["merge yes"]);
  const client = cluster.client({ values: 50, outstanding: 1 });
  for (let i = 1; i <= 20; i++) {
    cluster.runFor(1000);
    leading.onAdvance(20 * i);
  }
  cluster.finish();
  expect(client.cores.client!.counters.delivered).toBe(50);
  cluster.runUntil("all instances are there", () => learner.next > 400);
});

test("nobody makes more at once than a learner's window holds, whatever is asked for", () => {
  const { cluster, learner, leading } = begin(["merge yes"]);
  leading.onAdvance(2 ** 53 - 1);
  cluster.runFor(5_000_000);
  expect(learner.next).toBeLessThanOrEqual(257);
});

test("without merge nobody is asked for anything", () => {
  const { cluster, learner, leading } = begin([]);
  leading.onAdvance(10);
  cluster.runFor(1_000_000);
  expect(learner.next).toBe(1);
});

test("what a former leader may have had under way is filled, and nothing that is further ahead", () => {
  const { cluster, learner, leading } = begin([]);
  const { instances } = leading.window;
  leading.onProposedBefore(instances + 1);
  cluster.runFor(1_000_000);
  expect([learner.next, leading.counters.tooFar]).toEqual([1, 1]);
  leading.onProposedBefore(2 ** 53 - 1);
  leading.onProposedBefore(10);
  cluster.runFor(1_000_000);
  expect([learner.next, leading.counters.tooFar]).toEqual([11, 2]);
  leading.onProposedBefore(instances + 10);
  cluster.runFor(1_000_000);
  expect([learner.next, leading.counters.tooFar]).toEqual([instances + 11, 2]);
});

test("who does not lead makes none", () => {
  const { cluster, learner, others } = begin(["merge yes"], 2);
  others[0]!.onAdvance(10);
  others[0]!.onProposedBefore(10);
  cluster.runFor(1_000_000);
  expect(learner.next).toBe(1);
});
