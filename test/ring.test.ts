import { dlopen, FFIType } from "bun:ffi";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { Ring, RingError, type RingMemory } from "../src/native/ring.ts";
import { SharedMemory } from "../src/native/shared_memory.ts";

const CAPACITY = 1024;

function memoryOf(size: number): RingMemory {
  const buffer = new ArrayBuffer(size);
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer) };
}

function newRing(capacity = CAPACITY): { memory: RingMemory; producer: Ring; consumer: Ring } {
  const memory = memoryOf(Ring.bytesFor(capacity));
  const producer = Ring.create(memory, 0, capacity);
  return { memory, producer, consumer: Ring.attach(memory, 0) };
}

function byteOf(type: number, i: number): number {
  return (type + i * 7) & 255;
}

function put(ring: Ring, length: number, type: number): boolean {
  const at = ring.reserve(length, type);
  if (at < 0) return false;
  for (let i = 0; i < length; i++) ring.memory.bytes[at + i] = byteOf(type, i);
  return true;
}

/** The record that `peek` found has the type and bytes that `put` gave it. */
function expectRecord(ring: Ring, length: number, type: number): void {
  expect([ring.recordLength, ring.recordType]).toEqual([length, type]);
  let wrong = 0;
  for (let i = 0; i < length; i++) if (ring.memory.bytes[ring.recordOffset + i] !== byteOf(type, i)) wrong++;
  expect(wrong).toBe(0);
}

describe("a ring against a plain array", () => {
  const length = fc.oneof(fc.nat(40), fc.nat(CAPACITY / 2 - 8));
  const command = fc.oneof(
    fc.record({ what: fc.constant("reserve" as const), length }),
    fc.record({ what: fc.constantFrom("submit", "cancel", "peek", "peek", "release") }),
  );

  test("what is reserved and submitted is peeked, once, in order, intact", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
        const { producer, consumer } = newRing();
        const reserved: [number, number][] = [];
        const published: [number, number][] = [];
        let held = 0;
        let type = 0;
        for (const step of commands) {
          if (step.what === "reserve") {
            type++;
            const empty = reserved.length === 0 && published.length === 0 && held === 0;
            if (put(producer, step.length, type)) reserved.push([step.length, type]);
            else expect(empty).toBe(false);
          } else if (step.what === "submit") {
            producer.submit();
            published.push(...reserved.splice(0));
          } else if (step.what === "cancel") {
            producer.cancel();
            reserved.length = 0;
          } else if (step.what === "release") {
            consumer.release();
            held = 0;
          } else {
            const wanted = published.shift();
            expect(consumer.peek()).toBe(wanted !== undefined);
            if (wanted !== undefined) {
              expectRecord(consumer, ...wanted);
              held++;
            }
          }
        }
        expect([producer.fault, consumer.fault]).toEqual(["", ""]);
      }),
      { numRuns: 300 },
    );
  });

  test("counters go on over 2^32", () => {
    const { memory } = newRing();
    memory.words[16] = memory.words[32] = -256;
    const producer = Ring.attach(memory, 0);
    const consumer = Ring.attach(memory, 0);
    for (let n = 0; n < 100; n++) {
      expect(put(producer, 100, n)).toBe(true);
      producer.submit();
      expect(consumer.peek()).toBe(true);
      expectRecord(consumer, 100, n);
      consumer.release();
    }
  });
});

describe("limits", () => {
  test("the largest record fits an empty ring at every position", () => {
    for (let start = 0; start < CAPACITY; start += 8) {
      const { producer, consumer } = newRing();
      for (let i = 0; i < start; i += 8) {
        put(producer, 0, 1);
        producer.submit();
        expect(consumer.peek()).toBe(true);
        consumer.release();
      }
      expect(put(producer, producer.maxPayload, 2)).toBe(true);
      producer.submit();
      expect(consumer.peek()).toBe(true);
      expectRecord(consumer, producer.maxPayload, 2);
    }
  });

  test("a larger one is the caller's mistake", () => {
    const { producer } = newRing();
    expect(() => producer.reserve(producer.maxPayload + 1, 0)).toThrow("invariant broken");
  });

  test("full is −1 until something is released", () => {
    const { producer, consumer } = newRing();
    while (put(producer, 8, 3)) producer.submit();
    expect(consumer.peek()).toBe(true);
    expect(producer.reserve(8, 3)).toBe(-1);
    consumer.release();
    expect(producer.reserve(8, 3)).toBeGreaterThan(0);
  });

  test("closing is seen by the other side", () => {
    const { producer, consumer } = newRing();
    put(producer, 1, 1);
    producer.submit();
    producer.closeProducer();
    expect(consumer.producerClosed).toBe(true);
    expect(consumer.peek()).toBe(true);
    consumer.closeConsumer();
    expect(producer.consumerClosed).toBe(true);
    while (put(producer, 8, 3)) producer.submit();
    expect(producer.fault).toBe("");
  });
});

describe("the other side is not believed", () => {
  test("attach refuses what is not a sane ring", () => {
    const spoil = (word: number, value: number) => {
      const { memory } = newRing();
      memory.words[word] = value;
      return () => Ring.attach(memory, 0);
    };
    expect(() => Ring.attach(memoryOf(2048), 0)).toThrow(RingError);
    for (const [word, value] of [
      [0, 1],
      [1, 2],
      [2, 1000],
      [2, 2048],
      [2, -1],
      [16, 4],
      [16, CAPACITY + 8],
      [32, 8],
    ] as const)
      expect(spoil(word, value)).toThrow(RingError);
    expect(() => Ring.attach(memoryOf(128), 0)).toThrow(RingError);
    expect(() => Ring.create(memoryOf(4096), 32, 64)).toThrow(RingError);
    expect(() => Ring.create(memoryOf(4096), 0, 100)).toThrow(RingError);
    expect(() => Ring.create(memoryOf(256), 0, 64)).toThrow(RingError);
  });

  test("a wrong producer index ends the ring for good", () => {
    for (const wrong of [4, CAPACITY + 8, -8]) {
      const { memory, consumer } = newRing();
      Atomics.store(memory.words, 16, wrong);
      expect(consumer.peek()).toBe(false);
      expect(consumer.fault).toBe("producer index");
      Atomics.store(memory.words, 16, 0);
      expect(consumer.peek()).toBe(false);
    }
  });

  test("a wrong consumer index ends the ring for good", () => {
    for (const wrong of [4, CAPACITY + 8, -8]) {
      const { memory, producer } = newRing();
      while (put(producer, 8, 1)) producer.submit();
      Atomics.store(memory.words, 32, wrong);
      expect(producer.reserve(8, 1)).toBe(-1);
      expect(producer.fault).toBe("consumer index");
    }
  });

  test("wrong lengths and markers never lead out of the ring", () => {
    for (const wrong of [9, 512, 0x7fffffff, -1, -2, -0x80000000]) {
      const { memory, producer, consumer } = newRing();
      put(producer, 8, 1);
      producer.submit();
      memory.words[64] = wrong;
      expect(consumer.peek()).toBe(false);
      expect(consumer.fault).toBe(wrong === -1 ? "wrap marker" : "record length");
    }
  });

  test("any garbage is refused or stays inside", () => {
    const directory = mkdtempSync(join(tmpdir(), "kpaxos-ring-"));
    const memory = SharedMemory.create(join(directory, "garbage"), Ring.bytesFor(CAPACITY));
    rmSync(directory, { recursive: true });
    const words = fc.array(fc.tuple(fc.nat(64 + CAPACITY / 4 - 1), fc.oneof(fc.integer(), fc.nat(64))), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(words, fc.nat(60), (garbage, used) => {
        const producer = Ring.create(memory, 0, CAPACITY);
        const consumer = Ring.attach(memory, 0);
        for (let n = 0; n < used && put(producer, n, n); n++) producer.submit();
        for (const [word, value] of garbage) memory.words[word] = value;
        for (let n = 0; n < 300 && consumer.peek(); n++) {
          expect(consumer.recordOffset).toBeGreaterThanOrEqual(256 + 8);
          expect(consumer.recordOffset + consumer.recordLength).toBeLessThanOrEqual(256 + CAPACITY);
          consumer.release();
        }
        for (let n = 0; n < 300; n++) {
          const at = producer.reserve(16, 1);
          if (at < 0) break;
          expect(at + 16).toBeLessThanOrEqual(256 + CAPACITY);
          producer.submit();
        }
      }),
      { numRuns: 500 },
    );
    memory.close();
  });
});

describe("between threads and processes", () => {
  const RECORDS = 200_000;
  let directory = "";
  const files: SharedMemory[] = [];

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "kpaxos-ring-"));
  });
  afterAll(() => {
    for (const file of files) file.close();
    rmSync(directory, { recursive: true });
  });

  function shared(name: string): SharedMemory {
    const memory = SharedMemory.create(join(directory, name), Ring.bytesFor(1 << 14));
    files.push(memory);
    return memory;
  }

  function random(): () => number {
    let state = 99;
    return () => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % 200;
    };
  }

  function cThread() {
    const library = join(directory, "thread.so");
    const ffi = join(import.meta.dir, "..", "ffi");
    const sources = [join(ffi, "test", "ring_thread.c"), join(ffi, "ring.c")];
    const flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", "-pthread"];
    const built = Bun.spawnSync([process.env.CC ?? "cc", ...flags, ...sources, "-o", library]);
    expect(built.stderr.toString()).toBe("");
    return dlopen(library, {
      test_start_producer: { args: [FFIType.ptr, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
      test_start_consumer: { args: [FFIType.ptr, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
      test_join: { args: [], returns: FFIType.i32 },
    }).symbols;
  }

  function produceAll(ring: Ring): void {
    const length = random();
    const { bytes } = ring.memory;
    for (let n = 0; n < RECORDS; n++) {
      const size = length();
      let at = ring.reserve(size, n);
      for (const since = performance.now(); at < 0; at = ring.reserve(size, n))
        if (performance.now() - since > 10_000) throw new Error(`no room for record ${n} ${ring.fault}`);
      for (let i = 0; i < size; i++) bytes[at + i] = n + i;
      ring.submit();
    }
    ring.closeProducer();
  }

  function consumeAll(ring: Ring): number {
    const length = random();
    const { bytes } = ring.memory;
    let n = 0;
    for (;;) {
      while (ring.peek()) {
        let right = ring.recordType === n && ring.recordLength === length();
        for (let i = 0; right && i < ring.recordLength; i++)
          right = bytes[ring.recordOffset + i] === ((n + i) & 255);
        if (!right) return -1;
        n++;
        if (n % 7 === 0) ring.release();
      }
      ring.release();
      if (ring.fault !== "") return -2;
      if (ring.producerClosed && !ring.hasMore) return n;
      if (!ring.wait(10_000_000)) return -3;
    }
  }

  test("a C thread and TypeScript, both ways", () => {
    const c = cThread();
    const down = shared("down");
    const toUs = Ring.create(down, 0, 1 << 14);
    expect(c.test_start_producer(down.words, down.size, RECORDS)).toBe(0);
    expect(consumeAll(toUs)).toBe(RECORDS);
    expect(c.test_join()).toBe(0);

    const up = shared("up");
    const fromUs = Ring.create(up, 0, 1 << 14);
    expect(c.test_start_consumer(up.words, up.size, RECORDS)).toBe(0);
    produceAll(fromUs);
    expect(c.test_join()).toBe(0);
  }, 30_000);

  test("two processes", async () => {
    const memory = shared("processes");
    const ring = Ring.create(memory, 0, 1 << 14);
    const child = Bun.spawn([process.execPath, join(import.meta.dir, "support", "ring_producer.ts")], {
      env: { ...process.env, RING_FILE: join(directory, "processes"), RECORDS: String(RECORDS) },
      stderr: "inherit",
    });
    expect(consumeAll(ring)).toBe(RECORDS);
    expect(await child.exited).toBe(0);
  }, 30_000);

  test("a sleep ends with its time, with a record, or with the producer", () => {
    const memory = shared("sleep");
    const ring = Ring.create(memory, 0, 1 << 14);
    const from = performance.now();
    expect(ring.wait(20_000)).toBe(false);
    expect(performance.now() - from).toBeGreaterThanOrEqual(19);
    const other = Ring.attach(memory, 0);
    expect(ring.prepareSleep()).toBe(true);
    put(other, 1, 1);
    expect(other.submit()).toBe(2);
    ring.wokeUp();
    expect(ring.prepareSleep()).toBe(false);
    expect(ring.wait(10_000_000)).toBe(true);
    expect(ring.peek()).toBe(true);
    other.closeProducer();
    expect(ring.wait(10_000_000)).toBe(true);
  });

  test("views of a closed mapping are empty, not dangling", () => {
    const memory = shared("closed");
    const ring = Ring.create(memory, 0, 1 << 14);
    memory.close();
    expect(memory.bytes.length).toBe(0);
    expect(() => ring.submit()).not.toThrow();
    expect(() => ring.peek()).toThrow(TypeError);
  });
});
