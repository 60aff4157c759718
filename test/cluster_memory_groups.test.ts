/**
 * Learners that merge groups, on real nodes and cores: each group a cluster in memory with loss, duplication and reordering and a
 * clock of its own, so that nothing of one group comes in any order with what comes of another.
 */
import { describe, expect } from "bun:test";
import { buildLearning } from "../src/delivery/learning.ts";
import { Merge } from "../src/delivery/merge.ts";
import { buildFilter } from "../src/node/build.ts";
import type { CoreContext } from "../src/node/context.ts";
import type { ValueConsumer } from "../src/protocol/learner/session_filter.ts";
import { MAX_IID, Role } from "../src/protocol/types.ts";
import type { Parts } from "../src/sim/cluster.ts";
import { type Host, MemoryCluster } from "./support/memory_cluster.ts";
import { seededRandom } from "./support/random.ts";
import { seeds } from "./support/seeds.ts";

const STORM = { loss: 0.1, duplication: 0.1, reordering: 0.2 };

/** What one merging learner handed on. */
class Merged implements ValueConsumer {
  readonly values = new Map<number, string[]>();
  readonly gaps: [number, number][] = [];
  /** The position up to which all is done; applications are done with it a little later. */
  done = 0;
  acknowledges = true;

  take(iid: number, index: number, _isLast: boolean, session: number, sequence: number): boolean {
    expect(iid).toBeGreaterThan(this.done);
    const list = this.values.get(iid) ?? [];
    expect(index).toBeGreaterThanOrEqual(list.length);
    list.push(`${session}:${sequence}`);
    this.values.set(iid, list);
    return true;
  }
  finished(iid: number): void {
    expect(iid).toBe(this.done + 1);
    this.done = iid;
  }
  skipped(first: number, last: number): void {
    expect(first).toBe(this.done + 1);
    this.gaps.push([first, last]);
    this.done = last;
  }
  acknowledged(): number {
    return this.acknowledges ? Math.max(0, this.done - 10) : MAX_IID;
  }
  get count(): number {
    let count = 0;
    for (const list of this.values.values()) count += list.length;
    return count;
  }
}

class World {
  readonly random: () => number;
  readonly groups: MemoryCluster[];
  readonly #seed: number;

  constructor(seed: number, groups: number, settings: readonly string[] = []) {
    this.#seed = seed;
    this.random = seededRandom(seed);
    this.groups = Array.from({ length: groups }, (_, group) => {
      const cluster = new MemoryCluster({
        seed: seed * 64 + group,
        wire: "native",
        proposers: 2,
        learners: 2,
        faults: STORM,
        settings: ["merge yes", ...settings],
      });
      for (const id of [0, 1, 2]) cluster.acceptor(id);
      for (const id of [0, 1]) cluster.proposer(id);
      return cluster;
    });
  }

  /** A learner of all groups, begun in each of them. */
  merging(id: number): { readonly host: Merged; readonly hosts: readonly Host[] } {
    const host = new Merged();
    const merge = new Merge(this.groups.length, host);
    const build = (context: CoreContext, group: number): Parts => {
      const lane = merge.lanes[group]!;
      lane.state = buildFilter(context, lane.consumer);
      const outbox = context.outbox(Role.learner);
      const plan = {
        role: Role.learner,
        canTrim: true,
        name: `learner-${id}`,
        start: "first",
        state: lane,
      } as const;
      const onGap = (_first: number, last: number): void => lane.leftOut(last);
      const { learner, snapshots } = buildLearning(context, { ...plan, onGap }, outbox);
      lane.attach(learner, { outbox, proposers: 2, onWait: () => undefined });
      return { cores: { learner, isMerged: true }, extras: [snapshots, lane] };
    };
    const hosts = this.groups.map((cluster, group) =>
      cluster.start(`learner ${id}`, id, Role.learner, Role.learner, (context) => build(context, group)),
    );
    return { host, hosts };
  }

  stop(hosts: readonly Host[], politely: boolean): void {
    this.groups.forEach((cluster, group) => {
      cluster.stop(hosts[group]!, politely);
    });
  }

  /** Groups run by turns, as long as it pleases. */
  runUntil(what: string, condition: () => boolean, limit = 400_000): void {
    for (let step = 0; !condition(); step++) {
      if (step === limit) throw new Error(`seed ${this.#seed}: not ${what}\n${this.describe()}`);
      const cluster = this.groups[Math.floor(this.random() * this.groups.length)]!;
      cluster.runFor(Math.floor(this.random() ** 3 * 20_000));
    }
  }

  describe(): string {
    return this.groups.map((cluster, group) => `group ${group}: ${cluster.describe()}`).join("\n");
  }
}

/** At every position that two of them handed on, it was the same. */
function expectSame(a: Merged, b: Merged): void {
  const [later, other] = a.values.size < b.values.size ? [a, b] : [b, a];
  for (const [iid, values] of later.values) expect(other.values.get(iid)).toEqual(values);
}

describe("learners that merge", () => {
  seeds("deliver one order with everything in it, one of three groups being idle", 6, (seed) => {
    const world = new World(seed, 3);
    const merged = [0, 1].map((id) => world.merging(id).host);
    const clients = [0, 1].map((group) =>
      world.groups[group]!.client({ values: 60, clients: 2, outstanding: 3 }),
    );
    world.runUntil("all is delivered", () => merged.every(({ count }) => count === 120));
    expect(clients.map(({ cores }) => cores.client!.counters.delivered)).toEqual([60, 60]);
    expect(merged.map(({ gaps }) => gaps)).toEqual([[], []]);
    expectSame(merged[0]!, merged[1]!);
    expect(merged[0]!.values.size).toBe(merged[1]!.values.size);
  });

  seeds("go on when leaders die, in an idle group as well", 6, (seed) => {
    const world = new World(seed, 2);
    const merged = [0, 1].map((id) => world.merging(id).host);
    world.groups[0]!.client({ values: 100, outstanding: 2 });
    for (const cluster of world.groups) {
      const at = 20 + Math.floor(world.random() * 40);
      world.runUntil("some are delivered", () => merged[0]!.count >= at);
      const leader = cluster.hosts.find(({ cores }) => cores.proposer?.stage === "leading");
      if (leader !== undefined) cluster.stop(leader, false);
    }
    world.runUntil("all is delivered", () => merged.every(({ count }) => count === 100));
    expectSame(merged[0]!, merged[1]!);
  });

  seeds(
    "have no more trimmed than applications are done with, and come back with what is left",
    6,
    (seed) => {
      const world = new World(seed, 2, ["trim-every 20", "snapshot-every 20"]);
      const stays = world.merging(0).host;
      const goes = world.merging(1);
      for (const cluster of world.groups) cluster.client({ values: 300, outstanding: 4, mostSize: 20 });
      let trims = 0;
      const check = (): boolean => {
        for (const [group, cluster] of world.groups.entries()) {
          for (const { cores } of cluster.hosts) {
            const trimmed = cores.acceptor?.log.trimIid ?? 0;
            if (trimmed === 0) continue;
            trims++;
            expect(2 * (trimmed - 1) + group + 1).toBeLessThanOrEqual(stays.done - 10);
          }
        }
        return true;
      };
      world.runUntil("half is delivered", () => check() && stays.count >= 300);
      world.stop(goes.hosts, false);
      world.runUntil("the rest is delivered", () => check() && stays.count === 600);
      world.runUntil("something of it is trimmed", () => check() && trims > 0);
      const back = world.merging(1).host;
      const more = world.groups.map((cluster) => cluster.client({ values: 50, outstanding: 4 }));
      world.runUntil(
        "what is new is delivered everywhere",
        () => stays.count === 700 && back.done >= stays.done,
      );
      expect(more.map(({ cores }) => cores.client!.counters.delivered)).toEqual([50, 50]);
      expectSame(stays, back);
      expectSame(stays, goes.host);
      // What it did not get was before its first value.
      const first = Math.min(...back.values.keys());
      const missed = [...stays.values.keys()].filter((iid) => iid >= first && !back.values.has(iid));
      expect(missed.filter((iid) => !back.gaps.some(([from, to]) => iid >= from && iid <= to))).toEqual([]);
    },
  );
});
