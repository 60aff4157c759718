/**
 * The hot path allocates nothing per message. Two instruments: what survives a full collection is counted before and after
 * half a million steps of each role in each wire; and the blocks that the heap has taken, because garbage needs them, too. The
 * same of whole clusters, made as processes are: a million values packed, and hundreds of thousands of messages with one. That
 * both instruments notice an allocation is tested first.
 */

import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { Cluster } from "../bench/parties.ts";
import { acceptorStep, clientStep, learnerStep, proposerStep } from "../bench/steps.ts";
import type { WireName } from "../src/config/config.ts";
import type { Receiver } from "../src/protocol/receiver.ts";
import { HostStep } from "./support/host_step.ts";
import { MemoryCluster } from "./support/memory_cluster.ts";
import { TurnCluster, type TurnClusterOptions } from "./support/turn_cluster.ts";

const WARM_UP = 20_000;
const STEPS = 500_000;
/** Compiled code and other things of the runtime, not of messages. */
const OBJECTS = 3_000;
const HEAP_BYTES = 512 * 1024;
/** Of blocks that the heap has taken: an object of the smallest size for each twentieth step is more. */
const GARBAGE_BYTES = 1024 * 1024;
/** The compilers leave garbage, too, but not each time. */
const ATTEMPTS = 4;
/** Half a million steps take a second or five; on a machine with other things to do, more. */
const TIMEOUT_MS = 180_000;
const WIRES: readonly WireName[] = ["native", "kernel-paxos"];
const ROLES = { acceptor: acceptorStep, learner: learnerStep, proposer: proposerStep, client: clientStep };

interface Load {
  readonly name: string;
  readonly options: TurnClusterOptions;
  readonly values: number;
}
const SINGLE = { packs: false, outstanding: 100 };
const PACKED = { packs: true, outstanding: 1000 };
const LOADS: readonly Load[] = [
  { name: "roles, packed", options: { wire: "native", ...PACKED }, values: 1_000_000 },
  { name: "roles, single", options: { wire: "native", ...SINGLE }, values: 150_000 },
  { name: "replicas, packed", options: { wire: "native", replicas: true, ...PACKED }, values: 1_200_000 },
  { name: "replicas, single", options: { wire: "native", replicas: true, ...SINGLE }, values: 150_000 },
  { name: "roles", options: { wire: "kernel-paxos", ...SINGLE }, values: 100_000 },
  { name: "replicas", options: { wire: "kernel-paxos", replicas: true, ...SINGLE }, values: 100_000 },
];
const CLUSTER_WARM_UP = 60_000;

function repeat(step: () => void, times: number): void {
  for (let i = 0; i < times; i++) step();
}

/** How much memory the heap has taken for garbage, at least. */
function garbageOf(work: () => void): number {
  Bun.gc(true);
  const before = heapStats().heapCapacity;
  work();
  return heapStats().heapCapacity - before;
}

/** The least of some attempts; ends with the first that leaves next to none. */
function leastGarbage(work: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && least >= GARBAGE_BYTES; attempt++)
    least = Math.min(least, garbageOf(work));
  return least;
}

function heap(): { objects: number; bytes: number; types: Record<string, number> } {
  Bun.gc(true);
  const { objectCount, heapSize, objectTypeCounts } = heapStats();
  return { objects: objectCount, bytes: heapSize, types: { ...objectTypeCounts } };
}

function expectNoGrowth(before: ReturnType<typeof heap>): void {
  const after = heap();
  expect(after.objects - before.objects).toBeLessThan(OBJECTS);
  expect(after.bytes - before.bytes).toBeLessThan(HEAP_BYTES);
  for (const [type, count] of Object.entries(after.types))
    expect({ type, grown: count - (before.types[type] ?? 0) > OBJECTS }).toEqual({ type, grown: false });
}

// How soon garbage is collected depends on the whole heap, so this is measured in a process without other tests.
const OWN_PROCESS = "KPAXOS_HOT_PATH";

if (process.env[OWN_PROCESS] === undefined) {
  test(
    "the hot path allocates nothing per message",
    async () => {
      const child = Bun.spawn([process.execPath, "test", `--timeout=${TIMEOUT_MS}`, import.meta.path], {
        env: { ...process.env, [OWN_PROCESS]: "1" },
        stdout: "pipe",
        stderr: "pipe",
      });
      const [code, output] = await Promise.all([child.exited, new Response(child.stderr).text()]);
      if (code !== 0) throw new Error(output);
      expect(output).toMatch(/^ *[1-9][0-9] pass$/m);
    },
    4 * TIMEOUT_MS,
  );
} else measure();

/** Keeps things for a while, so that the compiler cannot do without them. */
class Shelf {
  readonly #held: unknown[] = [];
  #at = 0;

  keep(thing: unknown): void {
    this.#held[this.#at++ & 1023] = thing;
  }
}

/** One object for each accept that one acceptor hears. */
function wasteful(name: string, roles: Receiver): Receiver {
  if (!/^(acceptor|replica) 0$/.test(name)) return roles;
  const shelf = new Shelf();
  const heard = roles.onAccept;
  roles.onAccept = (from, iid, promiseIid, ballot, life, bytes, offset, length) => {
    shelf.keep({ from });
    heard.call(roles, from, iid, promiseIid, ballot, life, bytes, offset, length);
  };
  return roles;
}

function load(cluster: TurnCluster, values: number): () => void {
  return () => {
    const messages = cluster.messages();
    cluster.runTo(cluster.client.counters.delivered + values);
    expect(cluster.messages() - messages).toBeGreaterThan(300_000);
  };
}

function measure(): void {
  test.each([0.1, 1, 10])("%d objects a step would be noticed", (each) => {
    const shelf = new Shelf();
    let due = 0;
    const step = (): void => {
      for (due += each; due >= 1; due--) shelf.keep({ due });
    };
    repeat(step, WARM_UP);
    expect(leastGarbage(() => repeat(step, STEPS))).toBeGreaterThan(GARBAGE_BYTES);
  });

  describe.each([...WIRES])("wire %s", (wire) => {
    test.each(Object.keys(ROLES) as (keyof typeof ROLES)[])(
      "%s: nothing per message",
      (role) => {
        const step = ROLES[role](new Cluster(wire));
        repeat(step, WARM_UP);
        const before = heap();
        expect(leastGarbage(() => repeat(step, STEPS))).toBeLessThan(GARBAGE_BYTES);
        expectNoGrowth(before);
      },
      TIMEOUT_MS,
    );

    test(
      "a user-learner behind a device: nothing per value",
      () => {
        const host = new HostStep(new Cluster(wire));
        try {
          repeat(host.step, WARM_UP);
          const before = heap();
          expect(leastGarbage(() => repeat(host.step, STEPS))).toBeLessThan(GARBAGE_BYTES);
          expectNoGrowth(before);
        } finally {
          host.close();
        }
      },
      TIMEOUT_MS,
    );

    test(
      "a whole cluster over links in memory holds on to nothing (fault 31: crash after two hours)",
      () => {
        const cluster = new MemoryCluster({ seed: 1, wire, settings: ["trim-every 256"] });
        cluster.delivered.keeps = cluster.values.keeps = false;
        cluster.startAll();
        const { client } = cluster.client({ values: 40_000, outstanding: 16, canTrim: true }).cores;
        const delivered = (count: number) => () => client!.counters.delivered >= count;
        cluster.runUntil("warm", delivered(10_000));
        const before = heap();
        cluster.runUntil("done", delivered(40_000));
        expectNoGrowth(before);
      },
      TIMEOUT_MS,
    );
  });

  describe.each([...LOADS])("$options.wire, $name", ({ options, values }) => {
    test(
      "turns of all processes: nothing per message",
      () => {
        const cluster = new TurnCluster(options);
        cluster.runTo(CLUSTER_WARM_UP);
        const before = heap();
        expect(leastGarbage(load(cluster, values))).toBeLessThan(GARBAGE_BYTES);
        expectNoGrowth(before);
        for (const reader of cluster.readers)
          expect(reader.values).toBeGreaterThan(cluster.client.counters.delivered - 1100);
      },
      TIMEOUT_MS,
    );
  });

  test.each([LOADS[0]!, LOADS[4]!])(
    "$options.wire, $name: an object for each accept that one process hears would be noticed",
    ({ options, values }) => {
      const cluster = new TurnCluster({ ...options, receiver: wasteful });
      cluster.runTo(CLUSTER_WARM_UP);
      expect(leastGarbage(load(cluster, values))).toBeGreaterThan(GARBAGE_BYTES);
    },
    TIMEOUT_MS,
  );
}
