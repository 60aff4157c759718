/**
 * The hot path allocates nothing per message. Two instruments: what survives a full collection is counted before and after
 * half a million steps of each role in each wire; and objects that nobody holds, laid out before, must survive the steps,
 * because without garbage nothing is ever collected. That this notices an allocation is tested first.
 */

import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import { Cluster } from "../bench/parties.ts";
import { acceptorStep, clientStep, learnerStep, proposerStep } from "../bench/steps.ts";
import type { WireName } from "../src/config/config.ts";
import { MemoryCluster } from "./support/memory_cluster.ts";

const WARM_UP = 20_000;
const STEPS = 500_000;
/** Compiled code and other things of the runtime, not of messages. */
const OBJECTS = 3_000;
const HEAP_BYTES = 512 * 1024;
/** Half a million steps take a second or five; on a machine with other things to do, more. */
const TIMEOUT_MS = 180_000;
const WIRES: readonly WireName[] = ["native", "kernel-paxos"];
const ROLES = { acceptor: acceptorStep, learner: learnerStep, proposer: proposerStep, client: clientStep };

function repeat(step: () => void, times: number): void {
  for (let i = 0; i < times; i++) step();
}

/** Whether garbage was collected meanwhile. */
async function collects(work: () => void): Promise<boolean> {
  Bun.gc(true);
  const canaries = Array.from({ length: 100 }, (_, i) => new WeakRef({ i }));
  // Until the end of this task they are held.
  await Bun.sleep(0);
  work();
  return canaries.some((canary) => canary.deref() === undefined);
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
      expect(output).toMatch(/^ *1[0-9] pass$/m);
    },
    2 * TIMEOUT_MS,
  );
} else measure();

function measure(): void {
  test("an object per step would be noticed", async () => {
    // Kept for a while, so that the compiler cannot do without the object.
    const held: unknown[] = [];
    let i = 0;
    const step = (): void => {
      i++;
      held[i & 1023] = { i };
    };
    expect(await collects(() => repeat(step, STEPS))).toBe(true);
  });

  describe.each([...WIRES])("wire %s", (wire) => {
    test.each(Object.keys(ROLES) as (keyof typeof ROLES)[])(
      "%s: nothing per message",
      async (role) => {
        const step = ROLES[role](new Cluster(wire));
        repeat(step, WARM_UP);
        const before = heap();
        // The compiler may collect once for its own sake; garbage of messages would be collected every time.
        let clean = false;
        for (let attempt = 0; attempt < 4 && !clean; attempt++)
          clean = !(await collects(() => repeat(step, STEPS)));
        expect(clean).toBe(true);
        expectNoGrowth(before);
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
}
