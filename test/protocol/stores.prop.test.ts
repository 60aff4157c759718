/**
 * What holds values, against models that are too simple to be wrong: the arena, the queue of client values, batches.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Arena, MAX_BLOCK_BYTES, PAGE_BYTES } from "../../src/protocol/arena.ts";
import {
  BatchReader,
  ENTRY_HEADER_BYTES,
  EntryFlag,
  entryBytes,
  isBatch,
  MAX_SEQUENCE,
  SHORT_HEADER_BYTES,
  shortEntryBytes,
  writeEntryHeader,
  writeShortHeader,
} from "../../src/protocol/batch.ts";
import { ValueQueue } from "../../src/protocol/proposer/value_queue.ts";

interface Block {
  readonly offset: number;
  readonly length: number;
  readonly mark: number;
}

const length = fc.oneof(
  fc.nat(100),
  fc.nat(2000),
  fc.nat(MAX_BLOCK_BYTES),
  fc.constantFrom(0, 1, 32, 33, 64, 65, 32768, 32769, 65535, MAX_BLOCK_BYTES),
);

/** Room between blocks, page by page, where blocks are whole units of 32 bytes. */
function gapsOf(blocks: readonly Block[], pages: number): number[] {
  const taken = blocks.filter(({ length: size }) => size > 0).sort((a, b) => a.offset - b.offset);
  const gaps: number[] = [];
  for (let page = 0; page < pages; page++) {
    let at = page * PAGE_BYTES;
    const end = at + PAGE_BYTES;
    for (const { offset, length: size } of taken) {
      if (offset < at || offset >= end) continue;
      gaps.push(offset - at);
      at = offset + Math.ceil(size / 32) * 32;
    }
    gaps.push(end - at);
  }
  return gaps;
}

test("Arena: blocks never overlap, keep their bytes, and come back; one that fits anywhere is not refused", () => {
  const op = fc.oneof(
    { weight: 3, arbitrary: fc.record({ take: length }) },
    { weight: 2, arbitrary: fc.record({ give: fc.nat() }) },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(op, { maxLength: 120, size: "max" }),
      (pages, ops) => {
        const arena = new Arena(pages * PAGE_BYTES);
        const blocks: Block[] = [];
        let marks = 0;
        const give = (index: number): void => {
          const { offset, length: size, mark } = blocks.splice(index, 1)[0]!;
          // The whole block, in one comparison: nobody else wrote into it.
          expect(arena.bytes.subarray(offset, offset + size).every((byte) => byte === mark)).toBe(true);
          arena.free(offset, size);
        };
        for (const o of ops) {
          if ("take" in o) {
            const offset = arena.alloc(o.take);
            if (offset < 0) {
              expect(Math.max(...gapsOf(blocks, pages))).toBeLessThan(o.take);
              continue;
            }
            expect(offset + o.take).toBeLessThanOrEqual(arena.capacity);
            marks = (marks + 1) % 256;
            arena.bytes.fill(marks, offset, offset + o.take);
            blocks.push({ offset, length: o.take, mark: marks });
          } else if (blocks.length > 0) give(o.give % blocks.length);
          expect(arena.used).toBeGreaterThanOrEqual(blocks.reduce((sum, b) => sum + b.length, 0));
          expect(arena.used).toBeLessThanOrEqual(arena.capacity);
        }
        while (blocks.length > 0) give(0);
        expect(arena.used).toBe(0);
        // All of it can be had again, in any size.
        for (let page = 0; page < pages; page++)
          expect(arena.alloc(MAX_BLOCK_BYTES)).toBeGreaterThanOrEqual(0);
        expect(arena.alloc(1)).toBe(-1);
      },
    ),
    { numRuns: 150 },
  );
});

test("Arena: what it holds fits in any order, and no more than its capacity", () => {
  const lengths = fc.array(length, { minLength: 1, maxLength: 60, size: "max" });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), lengths, (pages, all) => {
      const arena = new Arena(pages * PAGE_BYTES);
      const blocks: Block[] = [];
      const sizes = all.map((size) => Math.ceil(size / 32) * 32);
      let held = 0;
      all.forEach((size, at) => {
        const isHeld = held + sizes[at]! <= arena.capacity;
        expect(arena.holds(size)).toBe(isHeld);
        let offset = arena.alloc(size);
        if (!isHeld) expect(offset).toBe(-1);
        if (offset < 0 && isHeld) {
          arena.widen();
          offset = arena.alloc(size);
          expect(offset).toBeGreaterThanOrEqual(0);
        }
        if (offset < 0) return;
        held += sizes[at]!;
        arena.bytes.fill(at, offset, offset + size);
        blocks.push({ offset, length: size, mark: at });
      });
      expect(arena.used).toBe(held);
      for (const { offset, length: size, mark } of blocks) {
        expect(arena.bytes.subarray(offset, offset + size).every((byte) => byte === mark)).toBe(true);
        arena.free(offset, size);
      }
      expect(arena.used).toBe(0);
    }),
  );
});

/** Units of 32 bytes, each taken or not: a block is granted where any page has room for it in one piece. */
class PlainArena {
  readonly #pages: Uint8Array[];

  constructor(pages: number) {
    this.#pages = Array.from({ length: pages }, () => new Uint8Array(PAGE_BYTES / 32));
  }

  grants(size: number): boolean {
    const free = "0".repeat(Math.ceil(size / 32));
    return this.#pages.some((page) => page.join("").includes(free));
  }

  set(offset: number, size: number, taken: 0 | 1): void {
    const first = (offset % PAGE_BYTES) / 32;
    const units = this.#pages[Math.floor(offset / PAGE_BYTES)]!.subarray(first, first + Math.ceil(size / 32));
    expect(units.every((unit) => unit !== taken)).toBe(true);
    units.fill(taken);
  }
}

test("Arena: grants and refuses as a plain one; who is refused makes no page be searched that has not changed", () => {
  const size = fc.oneof(
    fc.integer({ min: 1, max: 4096 }),
    fc.integer({ min: 4096, max: 40_000 }),
    fc.integer({ min: 20_000, max: MAX_BLOCK_BYTES }),
  );
  const op = fc.oneof(
    { weight: 3, arbitrary: fc.record({ take: size }) },
    { weight: 2, arbitrary: fc.record({ give: fc.nat() }) },
  );
  let refused = 0;
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.integer({ min: 600, max: 9000 }), { minLength: 40, maxLength: 60 }),
      fc.array(op, { maxLength: 120, size: "max" }),
      (pages, fill, ops) => {
        const arena = new Arena(pages * PAGE_BYTES);
        const plain = new PlainArena(pages);
        const blocks: [number, number][] = [];
        let granted = 0;
        let freed = 0;
        const take = (bytes: number): void => {
          const grants = plain.grants(bytes);
          const offset = arena.alloc(bytes);
          expect(offset >= 0).toBe(grants);
          if (!grants) {
            refused++;
            return;
          }
          granted++;
          plain.set(offset, bytes, 1);
          blocks.push([offset, bytes]);
        };
        for (const bytes of fill) take(bytes);
        for (const o of ops) {
          if ("take" in o) take(o.take);
          else if (blocks.length > 0) {
            const [offset, bytes] = blocks.splice(o.give % blocks.length, 1)[0]!;
            arena.free(offset, bytes);
            plain.set(offset, bytes, 0);
            freed++;
          }
        }
        // A search finds a hole, or comes after a change to its page: a block given back, put in, or what was left of a page.
        expect(arena.searches).toBeLessThanOrEqual(freed + 3 * granted);
      },
    ),
    { numRuns: 150 },
  );
  expect(refused).toBeGreaterThan(1000);
});

test("Arena: where each page has holes and none is long enough, what is given back has its own page searched at most", () => {
  const pages = 64;
  const perPage = PAGE_BYTES / 1024;
  const arena = new Arena(pages * PAGE_BYTES);
  for (let block = 0; block < pages * perPage; block++) expect(arena.alloc(1024)).toBe(block * 1024);
  for (let block = 0; block < pages * perPage; block += 2) arena.free(block * 1024, 1024);
  expect(arena.alloc(1500)).toBe(-1);
  expect(arena.searches).toBe(pages);
  for (let turn = 0; turn < 1000; turn++) {
    const before = arena.searches;
    const block = arena.alloc(1024);
    expect(block).toBeGreaterThanOrEqual(0);
    expect(arena.alloc(turn % 2 === 0 ? 1500 : 2000)).toBe(-1);
    arena.free(block, 1024);
    expect(arena.alloc(turn % 2 === 0 ? 2000 : 1500)).toBe(-1);
    expect(arena.alloc(4000)).toBe(-1);
    expect(arena.searches - before).toBeLessThanOrEqual(3);
  }
  const last = (pages - 1) * PAGE_BYTES;
  arena.free(last + 1024, 1024);
  expect(arena.alloc(3000)).toBe(last);
});

test("Arena: a hole and what is left over behind it are one hole, also for who was missed", () => {
  const arena = new Arena(2 * PAGE_BYTES);
  expect(arena.alloc(32_800)).toBe(0);
  expect(arena.alloc(32_768)).toBe(PAGE_BYTES);
  expect(arena.alloc(32_800)).toBe(-1);
  arena.free(0, 32_800);
  expect(arena.alloc(32)).toBe(0);
  expect(arena.alloc(9344)).toBe(32);
  arena.free(32, 9344);
  expect(arena.alloc(56_192)).toBe(32);
});

test("Arena: more than a block is refused", () => {
  expect(new Arena(4 * PAGE_BYTES).alloc(MAX_BLOCK_BYTES + 1)).toBe(-1);
});

/** Space a value takes in the queue's ring. */
function spaceOf(value: Buffer): number {
  return 4 + ((value.length + 3) & ~3);
}

/** What `batchLength` promises, by the words of its description. */
function batchOf(values: readonly Buffer[], limit: number): number {
  let total = values[0]!.length;
  if (total % 4 !== 0) return total;
  for (const value of values.slice(1)) {
    const opens = value.length >= ENTRY_HEADER_BYTES && (value[3]! & EntryFlag.open) !== 0;
    if (total + value.length > limit || value.length % 4 !== 0 || opens) break;
    total += value.length;
  }
  return total;
}

test("ValueQueue: first in, first out, nothing lost, nothing overwritten", () => {
  const capacities = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 600 }));
  const size = fc.oneof(
    fc.nat(40),
    fc.nat(10).map((n) => 4 * n),
    fc.nat(300),
  );
  const op = fc.oneof(
    { weight: 4, arbitrary: fc.record({ push: size }) },
    { weight: 2, arbitrary: fc.record({ pop: fc.constant(1) }) },
    { weight: 2, arbitrary: fc.record({ batch: fc.nat(200) }) },
  );
  fc.assert(
    fc.property(capacities, fc.array(op, { maxLength: 150, size: "max" }), (capacity, ops) => {
      const queue = new ValueQueue(capacity);
      const model: Buffer[] = [];
      let mark = 0;
      for (const o of ops) {
        if ("push" in o) {
          mark = (mark + 1) % 256;
          const value = Buffer.alloc(o.push + 2, mark);
          if (queue.push(value, 1, o.push)) model.push(value.subarray(1, 1 + o.push));
          else if (model.length === 0) expect(spaceOf(value.subarray(2))).toBeGreaterThan(queue.bytes.length);
          else expect(queue.usedBytes + 2 * spaceOf(value.subarray(2))).toBeGreaterThan(queue.bytes.length);
        } else if ("pop" in o && model.length > 0) {
          model.shift();
          queue.pop();
        } else if ("batch" in o && model.length > 0) {
          const total = queue.batchLength(o.batch);
          expect(total).toBe(batchOf(model, o.batch));
          const into = Buffer.alloc(total + 8, 0xee);
          const taken = queue.takeBatch(into, 4, total);
          expect(into.subarray(4, 4 + total).equals(Buffer.concat(model.splice(0, taken)))).toBe(true);
          expect(into.readUInt32LE(0) === 0xeeeeeeee && into.readUInt32LE(4 + total) === 0xeeeeeeee).toBe(
            true,
          );
        }
        expect(queue.count).toBe(model.length);
        expect(queue.peekLength()).toBe(model[0]?.length ?? -1);
        if (model.length > 0) {
          const at = queue.peekOffset();
          expect(model[0]!.equals(queue.bytes.subarray(at, at + queue.peekLength()))).toBe(true);
        }
        const least = model.reduce((sum, value) => sum + spaceOf(value), 0);
        expect(queue.usedBytes).toBeGreaterThanOrEqual(least);
        expect(queue.usedBytes).toBeLessThanOrEqual(queue.bytes.length);
      }
    }),
    { numRuns: 300 },
  );
});

const entry = fc.record({
  session: fc.oneof(fc.nat(5), fc.maxSafeNat()),
  sequence: fc.oneof(fc.nat(5), fc.integer({ min: 0, max: MAX_SEQUENCE })),
  flags: fc.nat(255).map((flags) => flags & ~EntryFlag.next),
  value: fc.uint8Array({ maxLength: 70 }),
  /** Without session and sequence, where it can be. */
  isShort: fc.boolean(),
});

test("batch: what is written is read, each entry in its place", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 12 }), fc.nat(16), (entries, unaligned) => {
      const offset = unaligned * 4;
      const bytes = new Uint8Array(offset + 12 * 90 + 4).fill(0xff);
      const view = new DataView(bytes.buffer);
      const isShort = entries.map((e, i) => e.isShort && i > 0 && (e.flags & EntryFlag.open) === 0);
      let at = offset;
      for (const [i, e] of entries.entries()) {
        if (isShort[i]) writeShortHeader(view, at, e.value.length, e.flags);
        else writeEntryHeader(view, at, e.session, e.sequence, e.value.length, e.flags);
        bytes.set(e.value, at + (isShort[i] ? SHORT_HEADER_BYTES : ENTRY_HEADER_BYTES));
        at += isShort[i] ? shortEntryBytes(e.value.length) : entryBytes(e.value.length);
      }
      const total = at - offset;
      expect(isBatch(bytes, offset, total)).toBe(true);
      const reader = new BatchReader();
      reader.open(bytes, offset, total);
      for (const [index, e] of entries.entries()) {
        expect(reader.next()).toBe(true);
        const value = bytes.slice(reader.valueOffset, reader.valueOffset + reader.valueLength);
        const before = entries.slice(0, index).findLastIndex((_, i) => !isShort[i]);
        const named = isShort[index] ? entries[before]! : e;
        expect(reader.index).toBe(index);
        expect([reader.flags, reader.isShort, value]).toEqual([e.flags, isShort[index]!, e.value]);
        expect(reader.session).toBe(named.session);
        expect(reader.sequence).toBe(named.sequence + (isShort[index] ? index - before : 0));
      }
      expect(reader.next()).toBe(false);
      // One byte less or more is no batch.
      if (total > 0) expect(isBatch(bytes, offset, total - 1)).toBe(false);
      expect(isBatch(bytes, offset, total + 1)).toBe(false);
    }),
    { numRuns: 300 },
  );
});

/** Bytes of which only offset…offset + length − 1 may be read. */
function guarded(bytes: Uint8Array, offset: number, size: number): Uint8Array {
  return new Proxy(bytes, {
    get(target, key) {
      const index = typeof key === "string" && /^\d+$/.test(key) ? Number(key) : undefined;
      if (index !== undefined && (index < offset || index >= offset + size))
        throw new Error(`read at ${index}`);
      return Reflect.get(target, key, target);
    },
  });
}

test("batch: any bytes are a batch or not, and nothing beyond them is read", () => {
  // Headers with small lengths, so that some fit.
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .tuple(fc.nat(30), fc.nat(15), fc.uint8Array({ minLength: 12, maxLength: 12 }))
      .map(([n, flags, words]) => {
        const head = (flags & EntryFlag.next) !== 0 ? [] : words;
        return new Uint8Array([n, 0, 0, flags, ...head, ...new Array<number>((n + 3) & ~3).fill(1)]);
      }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 5 }), fc.nat(9), (pieces, offset) => {
      const content = pieces.flatMap((p) => [...p]);
      const bytes = new Uint8Array([...new Array<number>(offset).fill(7), ...content, 7, 7, 7, 7]);
      const view = guarded(bytes, offset, content.length);
      const whole = isBatch(view, offset, content.length);
      const reader = new BatchReader();
      reader.open(view, offset, content.length);
      let read = 0;
      while (reader.next()) {
        const { isShort, valueLength } = reader;
        expect(reader.valueOffset).toBe(offset + read + (isShort ? SHORT_HEADER_BYTES : ENTRY_HEADER_BYTES));
        read += isShort ? shortEntryBytes(valueLength) : entryBytes(valueLength);
        expect(read).toBeLessThanOrEqual(content.length);
      }
      expect(read === content.length).toBe(whole);
    }),
    { numRuns: 500 },
  );
});
