/**
 * The session table against a model that is too simple to be wrong; with evictions, values in pieces, and a copy made from its
 * bytes at any point. The parts it is made of likewise.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EntryFlag } from "../../src/protocol/batch.ts";
import { blocksOf, PartialValues, PIECE_BLOCK_BYTES } from "../../src/protocol/learner/partial_values.ts";
import type { SessionLimits } from "../../src/protocol/learner/session_image.ts";
import { Outcome, SessionTable } from "../../src/protocol/learner/session_table.ts";
import { NumberIndex } from "../../src/protocol/number_index.ts";
import { Recency } from "../../src/protocol/recency.ts";

interface ModelSession {
  readonly id: number;
  readonly nonce: number;
  next: number;
  pieces: number[];
}

/** Sessions in the order of their last use, oldest first. */
class Model {
  sessions: ModelSession[] = [];
  value: number[] = [];
  readonly #limits: SessionLimits;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  decide(
    iid: number,
    index: number,
    session: number,
    sequence: number,
    flags: number,
    value: number[],
  ): Outcome {
    if ((flags & EntryFlag.open) !== 0) {
      if (index !== 0 || session === 0 || sequence !== 0) return Outcome.misplaced;
      const known = this.sessions.find(({ nonce }) => nonce === session);
      if (known !== undefined) {
        this.#use(known);
        return Outcome.reopened;
      }
      if (this.sessions.length === this.#limits.sessions) this.sessions.shift();
      this.sessions.push({ id: iid, nonce: session, next: 1, pieces: [] });
      return Outcome.opened;
    }
    const known = this.sessions.find(({ id }) => id === session);
    if (known === undefined) return Outcome.unknown;
    this.#use(known);
    if (sequence !== known.next) return sequence < known.next ? Outcome.duplicate : Outcome.gap;
    if ((flags & EntryFlag.close) !== 0) {
      this.sessions.pop();
      return Outcome.closed;
    }
    if (known.pieces.length + value.length > this.#limits.maxValueBytes) {
      this.sessions.pop();
      return Outcome.oversized;
    }
    known.next++;
    if ((flags & EntryFlag.more) !== 0) {
      known.pieces.push(...value);
      return Outcome.piece;
    }
    this.value = [...known.pieces, ...value];
    known.pieces = [];
    return Outcome.deliver;
  }

  #use(session: ModelSession): void {
    this.sessions = [...this.sessions.filter((one) => one !== session), session];
  }
}

/** Of a few sessions and nonces, so that they meet; a gap of −1…2 around the sequence that is due. */
const entry = fc.record({
  kind: fc.constantFrom("open", "value", "value", "value", "value", "more", "more", "close"),
  who: fc.nat(9),
  off: fc.constantFrom(0, 0, 0, 0, 0, 0, -1, 1, 2),
  index: fc.constantFrom(0, 0, 0, 0, 1),
  size: fc.constantFrom(0, 1, 3, 20, 60),
  copy: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

test("what is delivered, what is discarded, who is evicted: as in the model, also from a copy", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(entry, { maxLength: 200, size: "max" }),
      (sessions, ops) => {
        const limits = { sessions, maxValueBytes: 100 };
        const model = new Model(limits);
        let table = new SessionTable(limits);
        const opened: number[] = [];
        let iid = 0;
        for (const { kind, who, off, index, size, copy } of ops) {
          iid++;
          // Sessions that are gone come back too, and ids that never were.
          const id = opened[opened.length - 1 - who] ?? 1_000_000 + who;
          const due = model.sessions.find((one) => one.id === id)?.next ?? 1;
          const isOpen = kind === "open";
          const flags = { open: EntryFlag.open, more: EntryFlag.more, close: EntryFlag.close, value: 0 }[
            kind
          ];
          const session = isOpen ? 2 ** 50 + who : id;
          const sequence = isOpen ? 0 : Math.max(0, due + off);
          const value = Array.from({ length: size }, (_, i) => (iid * 7 + i) & 0xff);
          const bytes = Uint8Array.from([1, 2, 3, ...value]);
          const wanted = model.decide(iid, index, session, sequence, flags, value);
          const got = table.decide(iid, index, session, sequence, flags, bytes, 3, size);
          expect(got).toBe(wanted);
          if (got === Outcome.deliver) {
            const { valueBytes, valueOffset, valueLength } = table;
            expect([...valueBytes.subarray(valueOffset, valueOffset + valueLength)]).toEqual(model.value);
          }
          if (got === Outcome.opened) {
            opened.push(iid);
            expect(table.idAt(table.slot)).toBe(iid);
          }
          expect(table.count).toBe(model.sessions.length);
          if (copy) {
            const image = table.serialize();
            const other = new SessionTable(limits);
            expect(other.restore(image)).toBe(null);
            // The copy's slots are others, its bytes are the same.
            expect(Buffer.compare(other.serialize(), image)).toBe(0);
            table = other;
          }
        }
        for (const { id, nonce, next } of model.sessions) {
          const slot = table.find(id);
          expect(table.findNonce(nonce)).toBe(slot);
          expect([table.idAt(slot), table.nextAt(slot)]).toEqual([id, next]);
        }
      },
    ),
    { numRuns: 400 },
  );
});

test("the bytes are the same for the same log, whatever happened to the slots before", () => {
  const limits = { sessions: 8, maxValueBytes: 1000 };
  const decide = (table: SessionTable, from: number, to: number): void => {
    for (let iid = from; iid <= to; iid++) {
      const value = new Uint8Array(40).fill(iid);
      if (iid % 3 === 1) table.decide(iid, 0, 5_000 + iid, 0, EntryFlag.open, value, 0, 0);
      else table.decide(iid, 0, iid - (iid % 3) + 1, (iid % 3) - 1 || 2, EntryFlag.more, value, 0, 40);
    }
  };
  const straight = new SessionTable(limits);
  decide(straight, 1, 300);
  const resumed = new SessionTable(limits);
  const first = new SessionTable(limits);
  decide(first, 1, 100);
  expect(resumed.restore(first.serialize())).toBe(null);
  decide(resumed, 101, 300);
  expect(Buffer.compare(resumed.serialize(), straight.serialize())).toBe(0);
});

describe("bytes that are no table", () => {
  const limits = { sessions: 4, maxValueBytes: 64 };
  const filled = (): SessionTable => {
    const table = new SessionTable(limits);
    for (let iid = 1; iid <= 3; iid++)
      table.decide(iid, 0, 90 + iid, 0, EntryFlag.open, new Uint8Array(0), 0, 0);
    table.decide(4, 0, 2, 1, EntryFlag.more, new Uint8Array(20).fill(7), 0, 20);
    return table;
  };
  const change = (at: number, value: number): Uint8Array => {
    const image = filled().serialize();
    image[at] = value;
    return image;
  };

  test("are refused, and change nothing", () => {
    const table = filled();
    const before = table.serialize();
    const image = filled().serialize();
    const last = image.length - 56;
    const cases: [Uint8Array, string][] = [
      [new Uint8Array(0), "format"],
      [image.subarray(0, 20), "format"],
      [change(0, 1), "format"],
      [change(4, 2), "version"],
      [change(8, 5), "limits"],
      [change(16, 65), "limits"],
      [change(12, 5), "contents"],
      [change(12, 2), "contents"],
      [image.subarray(0, image.length - 1), "contents"],
      [image.subarray(0, last), "contents"],
      [Buffer.concat([image, new Uint8Array(8)]), "contents"],
      [change(24, 0), "contents"],
      [change(24 + 7, 0xff), "contents"],
      [change(24, 3), "contents"],
      [change(24 + 8, 93), "contents"],
      [change(last + 24, 65), "contents"],
    ];
    for (const [bytes, why] of cases) {
      expect(table.restore(bytes)).toBe(why as never);
      expect(Buffer.compare(table.serialize(), before)).toBe(0);
    }
    expect(table.restore(image)).toBe(null);
  });

  test("any bytes at all: taken or refused, never a throw", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), fc.nat(), fc.nat(255), (at, value, at2, value2) => {
        const image = filled().serialize();
        image[at % image.length] = value;
        image[at2 % image.length] = value2;
        const table = new SessionTable(limits);
        if (table.restore(image) === null) expect(filled().restore(table.serialize())).toBe(null);
      }),
    );
  });
});

test("values in pieces have a bound in all: the session whose pieces came longest ago gives way", () => {
  const maxValueBytes = 8 << 20;
  const table = new SessionTable({ sessions: 16, maxValueBytes });
  const bytes = new Uint8Array(maxValueBytes);
  const open = (iid: number) => table.decide(iid, 0, iid, 0, EntryFlag.open, bytes, 0, 0);
  const piece = (session: number, sequence: number, length: number) =>
    table.decide(100 + sequence, 0, session, sequence, EntryFlag.more, bytes, 0, length);
  for (let iid = 1; iid <= 9; iid++) open(iid);
  for (let iid = 1; iid <= 8; iid++)
    expect(piece(iid, 1, maxValueBytes - PIECE_BLOCK_BYTES)).toBe(Outcome.piece);
  // Eight blocks are left. Session 1 is used again, so that session 2 is the oldest.
  expect(piece(1, 1, 1)).toBe(Outcome.duplicate);
  for (let i = 1; i <= 8; i++) expect(piece(9, i, PIECE_BLOCK_BYTES)).toBe(Outcome.piece);
  expect(table.count).toBe(9);
  expect(piece(9, 9, 1)).toBe(Outcome.piece);
  expect(table.find(2)).toBe(-1);
  expect([1, 3, 4, 5, 6, 7, 8, 9].every((id) => table.find(id) >= 0)).toBe(true);
  expect(table.counters).toEqual({ evicted: 0, partialsEvicted: 1 });
});

test("two whole values can be held at once", () => {
  const table = new SessionTable({ sessions: 4, maxValueBytes: 64 });
  const values: { bytes: Uint8Array; offset: number; length: number }[] = [];
  for (let who = 1; who <= 2; who++) {
    table.decide(who, 0, 70 + who, 0, EntryFlag.open, new Uint8Array(0), 0, 0);
    const bytes = new Uint8Array(8).fill(who);
    table.decide(3, 0, who, 1, EntryFlag.more, bytes, 0, 8);
    expect(table.decide(4, 0, who, 2, 0, bytes, 0, 4)).toBe(Outcome.deliver);
    values.push({ bytes: table.valueBytes, offset: table.valueOffset, length: table.valueLength });
  }
  values.forEach(({ bytes, offset, length }, i) => {
    expect([...bytes.subarray(offset, offset + length)]).toEqual(Array(12).fill(i + 1));
  });
});

test("NumberIndex: finds what was added and not removed", () => {
  const key = fc.oneof(
    fc.nat(40),
    fc.nat(40).map((n) => n * 2 ** 32 + 1),
    fc.maxSafeNat(),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), key), { maxLength: 200, size: "max" }), (ops) => {
      const keys = new Float64Array(64);
      const index = new NumberIndex(keys);
      const model = new Map<number, number>();
      const free = Array.from({ length: 64 }, (_, i) => i);
      for (const [adds, raw] of ops) {
        const number = raw + 1;
        const slot = model.get(number);
        expect(index.find(number)).toBe(slot ?? -1);
        if (adds && slot === undefined && free.length > 0) {
          const taken = free.splice(number % free.length, 1)[0]!;
          keys[taken] = number;
          index.add(taken);
          model.set(number, taken);
        } else if (!adds && slot !== undefined) {
          index.remove(slot);
          model.delete(number);
          free.push(slot);
        }
      }
      for (const [number, slot] of model) expect(index.find(number)).toBe(slot);
    }),
    { numRuns: 300 },
  );
});

test("Recency: the order of last use", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(9)), { maxLength: 100 }), (ops) => {
      const recency = new Recency(10);
      let model: number[] = [];
      for (const [touches, slot] of ops) {
        model = model.filter((one) => one !== slot);
        if (touches) {
          model.push(slot);
          recency.touch(slot);
        } else recency.remove(slot);
        const order: number[] = [];
        for (let at = recency.oldest; at >= 0; at = recency.newer(at)) order.push(at);
        expect(order).toEqual(model);
        expect([recency.count, recency.newest]).toEqual([model.length, model.at(-1) ?? -1]);
        expect(Array.from({ length: 10 }, (_, i) => recency.has(i))).toEqual(
          Array.from({ length: 10 }, (_, i) => model.includes(i)),
        );
      }
    }),
  );
});

test("PartialValues: bytes come out as they went in, and blocks come back", () => {
  const size = fc.constantFrom(
    0,
    1,
    100,
    PIECE_BLOCK_BYTES - 1,
    PIECE_BLOCK_BYTES,
    PIECE_BLOCK_BYTES + 1,
    9000,
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.boolean(), size), { maxLength: 60 }), (ops) => {
      const partials = new PartialValues(4, 40);
      const model: Buffer[] = [0, 1, 2, 3].map(() => Buffer.alloc(0));
      let mark = 0;
      for (const [slot, releases, length] of ops) {
        if (releases) {
          partials.release(slot);
          model[slot] = Buffer.alloc(0);
        } else if (partials.blocksFor(slot, length) <= partials.freeBlocks) {
          const bytes = Buffer.alloc(length + 5, ++mark);
          partials.append(slot, bytes, 5, length);
          model[slot] = Buffer.concat([model[slot]!, bytes.subarray(5)]);
        }
        expect(partials.freeBlocks).toBe(40 - model.reduce((sum, { length: n }) => sum + blocksOf(n), 0));
        model.forEach((bytes, one) => {
          const out = new Uint8Array(bytes.length + 2);
          partials.copy(one, out, 1);
          expect(partials.length(one)).toBe(bytes.length);
          expect(Buffer.compare(out.subarray(1, 1 + bytes.length), bytes)).toBe(0);
        });
      }
    }),
    { numRuns: 100 },
  );
});
