/**
 * The client of the wire without sessions: how many values it has under way, by what comes back and how long that takes; and whose
 * turn it is where not all of its virtual clients may send.
 */
import { expect, test } from "bun:test";
import { RecordClient } from "../../src/protocol/client/record_client.ts";
import { KernelPaxosValues } from "../../src/wire/kernel_paxos_values.ts";
import { Recorder } from "../support/recorder.ts";

const FIRST = 64;
const LEAST = 128;
const LIMIT_US = 5_000;
const WAY_US = 100;
const TIMEOUT_US = 1_000_000;

interface Plan {
  readonly clients?: number;
  readonly outstanding?: number;
  readonly values?: number;
  readonly queueDelayMs?: number;
  /** How long what serves values takes for one. */
  readonly usEach: number;
}

/** A client before a queue that serves its values one after the other. */
class World {
  readonly client: RecordClient;
  /** How long each value took, in order. */
  readonly latencies: number[] = [];
  /** Of each virtual client: values that came back. */
  readonly returned: number[];
  usEach: number;
  losesAll = false;
  nowUs = 1_000_000;
  #servedUs = 0;
  readonly #queue: { readonly dueUs: number; readonly value: Uint8Array }[] = [];

  constructor({ clients = 1, outstanding = 10_000, values, queueDelayMs, usEach }: Plan) {
    this.usEach = usEach;
    this.returned = Array.from({ length: clients }, () => 0);
    const outbox = new Recorder();
    outbox.clientValue = (_proposerId, bytes, offset, length) => {
      if (this.losesAll) return;
      this.#servedUs = Math.max(this.#servedUs, this.nowUs + WAY_US) + this.usEach;
      this.#queue.push({ dueUs: this.#servedUs, value: bytes.slice(offset, offset + length) });
    };
    const options = {
      clients,
      outstanding,
      leastSize: 8,
      mostSize: 8,
      proposerId: 0,
      timeoutMs: TIMEOUT_US / 1000,
      queueDelayMs: queueDelayMs ?? LIMIT_US / 1000,
      values: values ?? Number.POSITIVE_INFINITY,
      random: () => 0.5,
    };
    this.client = new RecordClient(options, new KernelPaxosValues(0, clients, 8), outbox, {
      delivered: (latencyUs, _bytes, client) => {
        this.latencies.push(latencyUs);
        this.returned[client]!++;
      },
    });
    this.client.ready = true;
  }

  /** From one value that comes back to the next, or to the client's own timer. */
  run(us: number): void {
    const { client } = this;
    const queue = this.#queue;
    for (const endUs = this.nowUs + us; this.nowUs < endUs; ) {
      client.tick(this.nowUs);
      while (queue[0] !== undefined && queue[0].dueUs <= this.nowUs) {
        const { value } = queue.shift()!;
        client.onDelivered(0, 0, 1, value, 0, value.length);
      }
      client.pump(this.nowUs);
      const dueUs = Math.min(queue[0]?.dueUs ?? Number.POSITIVE_INFINITY, client.nextTickUs(), endUs);
      this.nowUs = Math.max(this.nowUs + 1, dueUs);
    }
  }

  /** The longest that any of the values of the last time took. */
  longestIn(us: number): number {
    this.latencies.length = 0;
    this.run(us);
    return Math.max(...this.latencies);
  }
}

test("begins with a few values under way, and soon has as many as it is asked for", () => {
  const world = new World({ outstanding: 1000, usEach: 1 });
  world.run(WAY_US);
  expect(world.client.outstanding).toBe(FIRST);
  world.run(20_000);
  expect(world.client.outstanding).toBe(1000);
});

test("values under way wait no longer than they may, whatever the queue takes for one, and the queue is never empty", () => {
  for (const usEach of [4, 16, 30]) {
    const world = new World({ usEach });
    world.run(2_000_000);
    expect(world.longestIn(200_000)).toBeLessThan(WAY_US + 1.5 * LIMIT_US);
    expect(world.latencies.length).toBeGreaterThan((0.98 * 200_000) / usEach);
  }
});

test("without a limit all of them are under way, however long they wait", () => {
  const world = new World({ usEach: 4, queueDelayMs: 0 });
  world.run(1_000_000);
  expect(world.longestIn(100_000)).toBeGreaterThan(30_000);
  expect(world.client.outstanding).toBe(10_000);
});

test("what waits for a processor that others use is no reason to have less than a few frames under way", () => {
  const world = new World({ usEach: 1 });
  world.run(200_000);
  world.usEach = 100;
  world.run(6_000_000);
  expect(world.client.outstanding).toBe(LEAST);
});

test("what is lost is sent again, and nothing new meanwhile; soon there is as much under way as before", () => {
  const world = new World({ outstanding: 1000, usEach: 4 });
  world.run(100_000);
  expect(world.client.outstanding).toBe(1000);
  world.losesAll = true;
  world.run(TIMEOUT_US * 1.5);
  // The lost ones are sent again, all of them; nothing else is.
  expect(world.client.counters.resent).toBe(1000);
  world.losesAll = false;
  world.run(TIMEOUT_US);
  const { submitted, delivered, resent } = world.client.counters;
  expect(resent).toBe(2000);
  expect(submitted - delivered).toBe(world.client.outstanding);
  world.run(2_000_000);
  expect(world.client.outstanding).toBe(1000);
  expect(world.client.counters.duplicates).toBe(0);
});

test("where not all may send, virtual clients take turns", () => {
  const world = new World({ clients: 400, outstanding: 10, usEach: 20 });
  world.run(2_000_000);
  const [least, most] = [Math.min(...world.returned), Math.max(...world.returned)];
  expect(world.client.outstanding).toBeLessThan(1000);
  expect(least).toBeGreaterThan(100);
  expect(most - least).toBeLessThanOrEqual(20);
});

test("ends after as many values as it was to send, one under way at a time or many", () => {
  for (const outstanding of [1, 7, 2000]) {
    const world = new World({ outstanding, values: 1500, usEach: 3 });
    world.run(2_000_000);
    expect(world.client.isDone).toBe(true);
    expect(world.client.counters).toEqual({
      submitted: 1500,
      delivered: 1500,
      resent: 0,
      duplicates: 0,
      uncertain: 0,
    });
  }
});
