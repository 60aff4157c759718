/**
 * The delivery log against a model that keeps everything: every cursor is given every position from where it began, in
 * order, as a value or within a missed range; and only what was really overwritten is missed.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DeliveryLog } from "../src/delivery/delivery_log.ts";
import type { LogCursor } from "../src/delivery/log_cursor.ts";
import { Found, LAST_INDEX, LOG_RECORD_BYTES, type StartAt } from "../src/delivery/log_record.ts";
import { ENTRY_HEADER_BYTES } from "../src/protocol/batch.ts";
import { batchOf } from "./support/entries.ts";

interface Entry {
  readonly iid: number;
  readonly index: number;
  /** Of a gap: its last instance. */
  readonly lastIid: number;
  readonly value: Uint8Array | undefined;
  /** It takes so many bytes of the log. */
  readonly space: number;
}

type Step =
  | { readonly kind: "instance"; readonly skip: number; readonly sizes: readonly number[] }
  | { readonly kind: "run"; readonly skip: number; readonly sizes: readonly number[]; readonly after: number }
  | { readonly kind: "gap"; readonly length: number }
  | { readonly kind: "open"; readonly start: "present" | "oldest" | "past" | "future"; readonly back: number }
  | { readonly kind: "read"; readonly reader: number; readonly most: number }
  | { readonly kind: "close"; readonly reader: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("instance" as const),
      skip: fc.nat(3),
      sizes: fc.array(fc.oneof(fc.nat(20), fc.nat(700)), { maxLength: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("run" as const),
      skip: fc.nat(3),
      sizes: fc.array(fc.nat(90), { minLength: 2, maxLength: 6 }),
      after: fc.nat(2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("gap" as const), length: fc.nat(5) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("open" as const),
      start: fc.constantFrom("present" as const, "oldest" as const, "past" as const, "future" as const),
      back: fc.nat(40),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("read" as const), reader: fc.nat(9), most: fc.nat(30) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("close" as const), reader: fc.nat(9) }) },
);

const isBefore = (iid: number, index: number, otherIid: number, otherIndex: number): boolean =>
  iid < otherIid || (iid === otherIid && index < otherIndex);

class Model {
  readonly log: DeliveryLog;
  readonly all: Entry[] = [];
  readonly readers: { readonly cursor: LogCursor; at: number; fromIid: number; fromIndex: number }[] = [];
  readonly #capacity: number;
  /** The log begins with this instance. */
  #firstIid = 0;
  #iid = 5;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.log = new DeliveryLog(capacity);
  }

  instance(skip: number, sizes: readonly number[]): void {
    this.#iid += 1 + skip;
    const iid = this.#iid;
    this.log.openInstance(iid);
    this.#firstIid ||= iid;
    sizes.forEach((size, index) => {
      const value = new Uint8Array(Math.min(size, this.#capacity - LOG_RECORD_BYTES)).fill(iid + index);
      this.log.append(iid, index, index === sizes.length - 1, iid * 3, iid * 2 ** 30, value, 0, value.length);
      const space = LOG_RECORD_BYTES + ((value.length + 7) & ~7);
      this.all.push({ iid, index, lastIid: iid, value, space });
    });
    this.log.closeInstance(iid);
  }

  /** Values that come together; their sequences and indices follow each other, behind `after` that were left out. */
  run(skip: number, sizes: readonly number[], after: number): void {
    this.#iid += 1 + skip;
    const iid = this.#iid;
    this.#firstIid ||= iid;
    const values = sizes.map((size, i) => new Uint8Array(size).fill(iid + after + i));
    const session = iid * 3;
    const bytes = batchOf(values.map((value, i) => ({ session, sequence: iid * 2 ** 30 + i, value })));
    const count = sizes.length;
    const isLast = iid % 2 === 0;
    const isWhole = bytes.length <= this.#capacity - LOG_RECORD_BYTES;
    const taken = this.log.appendRun(
      iid,
      after,
      count,
      isLast,
      session,
      iid * 2 ** 30,
      bytes,
      0,
      bytes.length,
    );
    expect(taken).toBe(isWhole);
    if (!taken) return;
    values.forEach((value, i) => {
      const header = i === 0 ? LOG_RECORD_BYTES + ENTRY_HEADER_BYTES : 0;
      this.all.push({ iid, index: after + i, lastIid: iid, value, space: header + value.length });
    });
    this.log.closeInstance(iid);
  }

  gap(length: number): void {
    const first = this.#iid + 1;
    this.#iid = first + length;
    this.#firstIid ||= first;
    this.log.gap(first, this.#iid);
    this.all.push({ iid: first, index: 0, lastIid: this.#iid, value: undefined, space: LOG_RECORD_BYTES });
  }

  open(kind: string, back: number): void {
    const iid = Math.max(1, kind === "past" ? this.#iid - back : this.#iid + back);
    const index = back % 3;
    const start: StartAt = kind === "present" || kind === "oldest" ? kind : { iid, index };
    const cursor = this.log.open(start);
    const { log } = this;
    if (kind === "present") this.readers.push({ cursor, at: this.all.length, fromIid: 0, fromIndex: 0 });
    else if (kind === "oldest") {
      const at = this.all.findIndex((e) =>
        isBefore(log.floorIid, log.floorIndex, e.lastIid, e.value === undefined ? LAST_INDEX : e.index),
      );
      this.readers.push({ cursor, at: at < 0 ? this.all.length : at, fromIid: 0, fromIndex: 0 });
    } else this.readers.push({ cursor, at: 0, fromIid: iid, fromIndex: index });
  }

  /** Reads some, and holds each against the list of all. */
  read(which: number, most: number): void {
    const reader = this.readers[which % Math.max(1, this.readers.length)];
    if (reader === undefined) return;
    const { cursor } = reader;
    for (let n = 0; n <= most; n++) {
      const found = cursor.peek();
      this.#skipUnwanted(reader);
      const next = this.all[reader.at];
      if (found === Found.nothing) {
        expect(next).toBeUndefined();
        expect(cursor.isAtEnd).toBe(true);
        return;
      }
      if (found === Found.value) {
        expect([cursor.iid, cursor.index, next?.value?.length ?? -1]).toEqual([
          next!.iid,
          next!.index,
          cursor.length,
        ]);
        const bytes = cursor.bytes.slice(cursor.offset, cursor.offset + cursor.length);
        expect(Buffer.compare(bytes, next!.value!)).toBe(0);
        const inRun = cursor.sequence - cursor.iid * 2 ** 30;
        expect([cursor.session, inRun <= cursor.index]).toEqual([cursor.iid * 3, true]);
        const header = new DataView(cursor.bytes.buffer, cursor.offset - LOG_RECORD_BYTES, LOG_RECORD_BYTES);
        expect(header.getUint32(24, true)).toBe((cursor.index | (cursor.isLast ? 1 << 31 : 0)) >>> 0);
        expect([header.getUint32(0, true), header.getUint32(28, true)]).toEqual([cursor.iid, cursor.length]);
        reader.at++;
      } else this.#missed(reader, cursor);
      cursor.advance();
      reader.fromIid = cursor.iid;
      reader.fromIndex = 0;
    }
  }

  #skipUnwanted(reader: { at: number; fromIid: number; fromIndex: number }): void {
    for (; reader.at < this.all.length; reader.at++) {
      const entry = this.all[reader.at]!;
      const lastIndex = entry.value === undefined ? LAST_INDEX : entry.index;
      if (!isBefore(entry.lastIid, lastIndex, reader.fromIid, reader.fromIndex)) return;
    }
  }

  #missed(reader: { at: number; fromIid: number; fromIndex: number }, cursor: LogCursor): void {
    const next = this.all[reader.at];
    const { log } = this;
    const last: readonly [number, number] = [cursor.lastIid, cursor.lastIndex];
    if (next !== undefined && next.value === undefined && next.lastIid === cursor.lastIid) {
      // The learner's own gap: told exactly.
      reader.at++;
      return;
    }
    expect([...last]).toEqual([log.floorIid, log.floorIndex]);
    const asked = reader.fromIid > 0 && cursor.iid === reader.fromIid && cursor.index === reader.fromIndex;
    // It begins at what comes next for this reader, or at what it asked for, before the log.
    if (!asked) expect([cursor.iid, cursor.index]).toEqual([next!.iid, next!.index]);
    for (; reader.at < this.all.length; reader.at++) {
      const entry = this.all[reader.at]!;
      const index = entry.value === undefined ? LAST_INDEX : entry.index;
      if (isBefore(...last, entry.lastIid, index)) return;
    }
  }

  /** What is still there, and nothing that is not, is above the floor. */
  check(): void {
    const { log } = this;
    const kept = this.all.filter((e) =>
      isBefore(log.floorIid, log.floorIndex, e.lastIid, e.value === undefined ? LAST_INDEX : e.index),
    );
    expect(log.nextSerial - log.oldestSerial).toBe(kept.length);
    let used = 0;
    for (const entry of kept) used += entry.space;
    expect(used).toBeLessThanOrEqual(this.#capacity);
    // No more was thrown away than the next value and the end of the buffer took.
    if (log.counters.overwritten > 0)
      expect(used).toBeGreaterThan(this.#capacity - 3 * (LOG_RECORD_BYTES + 704));
    if (this.#firstIid > 0) expect(log.floorIid).toBeGreaterThanOrEqual(this.#firstIid - 1);
  }
}

describe("delivery log", () => {
  test("cursors against a model that forgets nothing", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(736, 1504, 4096, 1 << 18),
        fc.array(step, { maxLength: 150, size: "max" }),
        (capacity, steps) => {
          const model = new Model(capacity);
          for (const one of steps) {
            if (one.kind === "instance") model.instance(one.skip, one.sizes);
            else if (one.kind === "run") model.run(one.skip, one.sizes, one.after);
            else if (one.kind === "gap") model.gap(one.length);
            else if (one.kind === "open") model.open(one.start, one.back);
            else if (one.kind === "read") model.read(one.reader, one.most);
            else model.readers.splice(one.reader % Math.max(1, model.readers.length), 1)[0]?.cursor.close();
            model.check();
          }
          for (let reader = 0; reader < model.readers.length; reader++) model.read(reader, 10_000);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("a position is found from close by, wherever it is", () => {
    const log = new DeliveryLog(1 << 20);
    for (let iid = 1; iid <= 30_000; iid++) {
      log.append(iid, 0, true, 0, 0, new Uint8Array(100), 0, iid % 100);
      log.closeInstance(iid);
    }
    expect(log.counters.overwritten).toBeGreaterThan(0);
    for (let iid = log.floorIid + 1; iid <= 30_000; iid += 97) {
      const cursor = log.open({ iid, index: 0 });
      // A block of 64 KiB holds at most 2048 records.
      const near = cursor.serial;
      expect(cursor.peek()).toBe(Found.value);
      expect(cursor.iid).toBe(iid);
      expect(cursor.serial - near).toBeLessThanOrEqual(2048);
      cursor.close();
    }
  });
});
