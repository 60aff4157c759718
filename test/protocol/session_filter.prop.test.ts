/**
 * The session filter: every value that is to be delivered is handed on once, whole, in order, with its position, whenever the
 * consumer takes it; and a filter that goes on from a snapshot hands on what the first one would have.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BatchReader, EntryFlag } from "../../src/protocol/batch.ts";
import { SessionFilter, type ValueConsumer } from "../../src/protocol/learner/session_filter.ts";
import { Outcome, SessionTable } from "../../src/protocol/learner/session_table.ts";
import { MAX_IID } from "../../src/protocol/types.ts";
import { batchOf, type Entry, open } from "../support/entries.ts";

const LIMITS = { sessions: 4, maxValueBytes: 64 };

/** Writes down what it takes; `refuses` says how often it says "not now". */
class Collector implements ValueConsumer {
  readonly taken: string[] = [];
  readonly #refuses: () => boolean;

  constructor(refuses: () => boolean = () => false) {
    this.#refuses = refuses;
  }

  take(
    iid: number,
    index: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    if (this.#refuses()) return false;
    const value = new TextDecoder().decode(bytes.subarray(offset, offset + length));
    this.taken.push(`${iid}.${index}${isLast ? " last" : ""} ${session}/${sequence} ${value}`);
    return true;
  }

  finished(iid: number): void {
    this.taken.push(`${iid} done`);
  }

  skipped(first: number, last: number): void {
    this.taken.push(`${first}-${last} skipped`);
  }

  acknowledged(): number {
    return MAX_IID;
  }
}

/** Takes runs as a whole, when it takes them. */
class RunCollector extends Collector {
  runs = 0;

  takeRun(
    iid: number,
    index: number,
    count: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const reader = new BatchReader();
    reader.open(bytes, offset, length);
    for (let i = 0; reader.next(); i++) {
      expect([reader.session, reader.sequence, reader.index]).toEqual([session, sequence + i, i]);
      const isEnd = isLast && i === count - 1;
      // What is refused in the middle of a run was offered value by value.
      if (
        !super.take(
          iid,
          index + i,
          isEnd,
          session,
          sequence + i,
          bytes,
          reader.valueOffset,
          reader.valueLength,
        )
      ) {
        this.taken.length -= i;
        return false;
      }
    }
    expect(reader.index).toBe(count - 1);
    this.runs++;
    return true;
  }
}

/** Decides value by value. */
function plainFilterFor(consumer: ValueConsumer): SessionFilter {
  const filter = filterFor(consumer);
  filter.table.decideRun = () => false;
  return filter;
}

function filterFor(consumer: ValueConsumer | null): SessionFilter {
  return new SessionFilter(new SessionTable(LIMITS), consumer);
}

/** Delivers as a learner does: again and again, from wherever the value lies then. */
function deliver(filter: SessionFilter, iid: number, batch: Uint8Array, shift = 0): void {
  for (let attempt = 0; ; attempt++) {
    const bytes = new Uint8Array(batch.length + shift + attempt + 3).fill(0xee);
    bytes.set(batch, shift + attempt);
    if (filter.deliver(iid, bytes, shift + attempt, batch.length)) return;
    expect(attempt).toBeLessThan(1000);
  }
}

test("values, pieces, duplicates, gaps and strangers", () => {
  const collector = new Collector();
  const filter = filterFor(collector);
  const more = EntryFlag.more;
  const instances: Entry[][] = [
    [open(77)],
    [
      { session: 1, sequence: 1, value: "a" },
      { session: 1, sequence: 2, value: "big", flags: more },
      { session: 1, sequence: 2, value: "big", flags: more },
    ],
    [
      { session: 1, sequence: 4, value: "too soon" },
      { session: 1, sequence: 3, value: " enough" },
      { session: 1, sequence: 1, value: "a" },
      { session: 9, sequence: 1, value: "stranger" },
    ],
    [],
    [{ session: 1, sequence: 4, value: "d" }, open(78), { session: 1, sequence: 5, value: "" }],
    [
      { session: 1, sequence: 6, flags: EntryFlag.close },
      { session: 1, sequence: 7, value: "late" },
    ],
  ];
  const outcomes: number[] = [];
  filter.listen({ onEntry: (outcome) => outcomes.push(outcome), onTableReplaced: () => undefined });
  instances.forEach((entries, i) => {
    deliver(filter, i + 1, batchOf(entries));
  });
  expect(collector.taken).toEqual([
    "1 done",
    "2.0 last 1/1 a",
    "2 done",
    "3.1 last 1/3 big enough",
    "3 done",
    "4 done",
    "5.0 1/4 d",
    "5.2 last 1/5 ",
    "5 done",
    "6 done",
  ]);
  expect(outcomes).toEqual([
    Outcome.opened,
    Outcome.deliver,
    Outcome.piece,
    Outcome.duplicate,
    Outcome.gap,
    Outcome.deliver,
    Outcome.duplicate,
    Outcome.unknown,
    Outcome.deliver,
    Outcome.misplaced,
    Outcome.deliver,
    Outcome.closed,
    Outcome.unknown,
  ]);
  expect(filter.counters).toEqual({
    values: 4,
    pieces: 1,
    duplicates: 2,
    gaps: 1,
    unknown: 2,
    misplaced: 1,
  });
});

describe("all sessions begin anew", () => {
  const reset: Entry = { session: 0, sequence: 0, flags: EntryFlag.reset };
  const value = (session: number, sequence: number, text: string): Entry => ({
    session,
    sequence,
    value: text,
  });

  test("a filter that knows them forgets them there, and nothing of them is delivered again", () => {
    const collector = new Collector();
    const filter = filterFor(collector);
    let replaced = 0;
    filter.listen({ onEntry: () => undefined, onTableReplaced: () => replaced++ });
    deliver(filter, 1, batchOf([open(7)]));
    deliver(filter, 2, batchOf([value(1, 1, "a"), { ...value(1, 2, "half"), flags: EntryFlag.more }]));
    deliver(filter, 3, batchOf([reset]));
    expect([filter.table.count, filter.isWhole, filter.iid, filter.resets, replaced]).toEqual([
      0,
      true,
      3,
      1,
      1,
    ]);
    deliver(filter, 4, batchOf([value(1, 1, "a"), value(1, 3, "whole"), open(7)]));
    deliver(filter, 5, batchOf([open(7)]));
    deliver(filter, 6, batchOf([value(1, 2, "b"), value(5, 1, "c")]));
    expect(collector.taken).toEqual([
      ...["1 done", "2.0 last 1/1 a", "2 done", "3 done", "4 done", "5 done"],
      ...["6.1 last 5/1 c", "6 done"],
    ]);
    // And once more: that is all it does.
    deliver(filter, 7, batchOf([reset]));
    deliver(filter, 8, batchOf([value(5, 2, "d")]));
    expect(collector.taken.slice(8)).toEqual(["7 done", "8 done"]);
  });

  test("one that begins in the middle delivers nothing before, and tells what it passed over", () => {
    const collector = new Collector();
    const filter = filterFor(collector);
    deliver(filter, 5, batchOf([value(1, 1, "a")]));
    expect([filter.isWhole, filter.iid]).toEqual([false, 5]);
    deliver(filter, 6, batchOf([open(7)]));
    deliver(filter, 7, batchOf([value(6, 1, "b")]));
    expect(collector.taken).toEqual([]);
    filter.skipped(8, 10);
    deliver(filter, 11, batchOf([value(6, 2, "c")]));
    expect(collector.taken).toEqual(["5-7 skipped", "8-10 skipped"]);
    filter.beginUnknown(20);
    expect(collector.taken.slice(2)).toEqual(["11-11 skipped"]);
    deliver(filter, 21, batchOf([open(8)]));
    deliver(filter, 22, batchOf([reset]));
    expect([filter.isWhole, filter.table.count]).toEqual([true, 0]);
    deliver(filter, 23, batchOf([open(8)]));
    deliver(filter, 24, batchOf([value(21, 1, "old"), value(6, 3, "older"), value(23, 1, "new")]));
    expect(collector.taken.slice(3)).toEqual([
      ...["21-21 skipped", "22 done", "23 done", "24.2 last 23/1 new", "24 done"],
    ]);
  });

  test("from there on all have one table, whatever they knew", () => {
    const whole = filterFor(new Collector());
    const late = filterFor(new Collector());
    deliver(whole, 1, batchOf([open(1)]));
    deliver(whole, 2, batchOf([open(2), value(1, 1, "a")]));
    late.beginUnknown(1);
    deliver(late, 2, batchOf([open(2), value(1, 1, "a")]));
    for (const filter of [whole, late]) {
      deliver(filter, 3, batchOf([reset]));
      deliver(filter, 4, batchOf([open(3)]));
      deliver(filter, 5, batchOf([open(4), { ...value(4, 1, "piece"), flags: EntryFlag.more }]));
    }
    expect(Buffer.compare(whole.snapshot()!, late.snapshot()!)).toBe(0);
  });

  test("a snapshot that comes before makes it whole as well", () => {
    const first = filterFor(null);
    deliver(first, 1, batchOf([open(1)]));
    deliver(first, 2, batchOf([value(1, 1, "a")]));
    const collector = new Collector();
    const filter = filterFor(collector);
    filter.beginUnknown(1);
    deliver(filter, 2, batchOf([value(1, 1, "a")]));
    expect(filter.restore(first.snapshot()!, 2)).toBe(null);
    deliver(filter, 3, batchOf([value(1, 2, "b")]));
    expect(collector.taken).toEqual(["2-2 skipped", "3.0 last 1/2 b", "3 done"]);
  });

  test.each([
    ["behind another", [value(1, 1, "a"), reset]],
    ["before another", [reset, value(1, 1, "a")]],
    ["with a value", [{ ...reset, value: "x" }]],
    ["with another flag", [{ ...reset, flags: EntryFlag.reset | EntryFlag.close }]],
    ["as an opening", [{ session: 9, sequence: 0, flags: EntryFlag.reset | EntryFlag.open }]],
  ] as const)("%s it is discarded, by all alike", (_what, entries) => {
    const collector = new Collector();
    const filter = filterFor(collector);
    const outcomes: number[] = [];
    deliver(filter, 1, batchOf([open(7)]));
    filter.listen({ onEntry: (outcome) => outcomes.push(outcome), onTableReplaced: () => undefined });
    deliver(filter, 2, batchOf(entries));
    expect(outcomes).toContain(Outcome.misplaced);
    expect([filter.table.count, filter.resets, filter.counters.misplaced]).toEqual([1, 0, 1]);
    const unknown = filterFor(new Collector());
    unknown.beginUnknown(1);
    deliver(unknown, 2, batchOf(entries));
    expect(unknown.isWhole).toBe(false);
  });
});

describe("any log, any back-pressure", () => {
  const piece = fc.record({
    who: fc.nat(2),
    off: fc.constantFrom(0, 0, 0, 0, -1, 1),
    more: fc.nat(3).map((n) => n === 0),
    size: fc.nat(30),
  });
  const instance = fc.oneof(
    { weight: 1, arbitrary: fc.nat(5).map((n) => n) },
    { weight: 5, arbitrary: fc.array(piece, { maxLength: 6 }) },
    // Runs of one session.
    {
      weight: 3,
      arbitrary: fc
        .array(fc.nat(30), { minLength: 2, maxLength: 6 })
        .map((sizes) => sizes.map((size) => ({ who: 0, off: 0, more: false, size }))),
    },
  );

  /** Turns a plan into batches: sequences near those that are due. */
  function logOf(plan: readonly (number | { who: number; off: number; more: boolean; size: number }[])[]) {
    const opened: number[] = [];
    const due: number[] = [];
    return plan.map((one, at) => {
      if (typeof one === "number") {
        opened.push(at + 1);
        due.push(1);
        return batchOf([open(1000 + at)]);
      }
      return batchOf(
        one.map(({ who, off, more, size }, i) => {
          const index = opened.length - 1 - who;
          const sequence = Math.max(1, (due[index] ?? 1) + off);
          if (off === 0 && index >= 0) due[index] = due[index]! + 1;
          const value = String.fromCharCode(97 + ((at + i) % 26)).repeat(size);
          return { session: opened[index] ?? 999_999, sequence, value, flags: more ? EntryFlag.more : 0 };
        }),
      );
    });
  }

  test("the same values in the same order, also from a snapshot on, and run by run", () => {
    let runsTaken = 0;
    fc.assert(
      fc.property(
        fc.array(instance, { maxLength: 40 }),
        fc.infiniteStream(fc.nat(2)),
        fc.nat(40),
        (plan, refusals, cut) => {
          const log = logOf(plan);
          const wanted = new Collector();
          const straight = filterFor(wanted);
          const slow = new Collector(() => refusals.next().value === 0);
          const stalled = filterFor(slow);
          const one = new Collector();
          const plain = plainFilterFor(one);
          const whole = new RunCollector(() => refusals.next().value === 0);
          const runs = filterFor(whole);
          let resumed: SessionFilter | undefined;
          const rest = new Collector();
          let seen = 0;
          log.forEach((batch, i) => {
            if (i === cut) {
              resumed = filterFor(rest);
              const image = straight.snapshot()!;
              expect(resumed.restore(image, i)).toBe(null);
              seen = wanted.taken.length;
            }
            deliver(straight, i + 1, batch);
            deliver(stalled, i + 1, batch, i % 4);
            deliver(plain, i + 1, batch);
            deliver(runs, i + 1, batch, i % 4);
            if (resumed !== undefined) deliver(resumed, i + 1, batch);
          });
          expect(slow.taken).toEqual(wanted.taken);
          expect(one.taken).toEqual(wanted.taken);
          expect(whole.taken).toEqual(wanted.taken);
          expect(plain.counters).toEqual(straight.counters);
          expect(Buffer.compare(plain.snapshot()!, straight.snapshot()!)).toBe(0);
          runsTaken += whole.runs;
          expect(Buffer.compare(stalled.snapshot()!, straight.snapshot()!)).toBe(0);
          if (resumed === undefined) return;
          expect(rest.taken).toEqual(wanted.taken.slice(seen));
          expect(resumed.isWhole).toBe(true);
          expect(Buffer.compare(resumed.snapshot()!, straight.snapshot()!)).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
    expect(runsTaken).toBeGreaterThan(10);
  });

  test("no snapshot in the middle of an instance", () => {
    let takes = false;
    const filter = filterFor(new Collector(() => !takes));
    deliver(filter, 1, batchOf([open(7)]));
    const batch = batchOf([{ session: 1, sequence: 1, value: "a" }]);
    expect(filter.deliver(2, batch, 0, batch.length)).toBe(false);
    expect(filter.snapshot()).toBe(null);
    takes = true;
    expect(filter.deliver(2, batch, 0, batch.length)).toBe(true);
    expect(filter.snapshot()).not.toBe(null);
  });
});
