/**
 * Reading in bulk, against acceptors that are mere maps: with loss, late answers, silent acceptors, records that are not
 * marked and instances that some lack, everything comes, what is under way stays bounded, and acceptors share the work.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CatchUp } from "../../src/protocol/learner/catch_up.ts";
import { LearnerWindow } from "../../src/protocol/learner/learner_window.ts";
import type { Outbox } from "../../src/protocol/outbox.ts";
import { type Ballot, RepeatFlag } from "../../src/protocol/types.ts";
import { seededRandom } from "../support/random.ts";
import { Recorder } from "../support/recorder.ts";

const BALLOT = 65536 as Ballot;
const LIFE = 7;
const MOST_UNDER_WAY = 262_144;
/** Of the test itself: its own time is counted in steps, and how long those take is the machine's. */
const TIMEOUT_MS = 300_000;

interface World {
  readonly acceptors: number;
  readonly instances: number;
  readonly valueBytes: number;
  readonly loss: number;
  readonly marked: number;
  /** Acceptors that never answer. */
  readonly silent: readonly number[];
  /** What each acceptor has trimmed. */
  readonly trims?: readonly number[];
  readonly seed: number;
  readonly windowBytes?: number;
}

interface Repeat {
  readonly aid: number;
  readonly first: number;
  readonly last: number;
  readonly dueUs: number;
}

class Run {
  readonly window: LearnerWindow;
  readonly bulk: CatchUp;
  readonly asked: number[];
  next = 1;
  nowUs = 1_000_000;
  mostBytes = 0;
  readonly #world: World;
  readonly #random: () => number;
  #underWay: Repeat[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#random = seededRandom(world.seed);
    this.asked = new Array<number>(world.acceptors).fill(0);
    this.window = new LearnerWindow(1024, world.windowBytes ?? 4 << 20, world.acceptors);
    const outbox: Outbox = Object.assign(new Recorder(), {
      repeat: (aid: number, first: number, last: number) => {
        this.asked[aid] = this.asked[aid]! + 1;
        this.#underWay.push({ aid, first, last, dueUs: this.nowUs + 200 + this.#random() * 600 });
      },
    });
    this.bulk = new CatchUp(world.acceptors, this.window, outbox);
    for (const [aid, iid] of (world.trims ?? []).entries()) this.bulk.onTrim(aid, iid);
  }

  /** Runs until everything is delivered; returns the time it took. */
  toTheEnd(limitUs = 60_000_000): number {
    const begin = this.nowUs;
    while (this.next <= this.#world.instances) {
      if (this.nowUs - begin > limitUs) throw new Error(`stuck at ${this.next} of ${this.#world.instances}`);
      this.bulk.run(this.nowUs, this.next, this.#world.instances);
      this.mostBytes = Math.max(this.mostBytes, this.bulk.expectedBytes);
      this.nowUs += 100;
      const due = this.#underWay.filter(({ dueUs }) => dueUs <= this.nowUs);
      this.#underWay = this.#underWay.filter(({ dueUs }) => dueUs > this.nowUs);
      for (const repeat of due) this.#answer(repeat);
      for (; this.window.isReady(this.next); this.next++) {
        const length = this.window.length(this.next);
        if (length !== this.#lengthOf(this.next)) throw new Error("another value");
        this.window.release(this.next);
      }
    }
    return this.nowUs - begin;
  }

  #lengthOf(iid: number): number {
    return (iid * 37) % (2 * this.#world.valueBytes + 1);
  }

  /** As an acceptor: at most 64 records and 64 KiB, in order. */
  #answer({ aid, first, last }: Repeat): void {
    const { loss, marked, silent, trims } = this.#world;
    if (silent.includes(aid)) return;
    let bytes = 0;
    for (let iid = Math.max(first, (trims?.[aid] ?? 0) + 1); iid < first + 64 && iid <= last; iid++) {
      if (bytes >= 65536) return;
      const value = new Uint8Array(this.#lengthOf(iid)).fill(iid);
      bytes += value.length;
      if (this.#random() < loss || iid < this.next) continue;
      // Which records are marked is the acceptor's; that it is, is true of the record.
      const isMarked = (iid * 7919 + aid) % 1000 < marked * 1000;
      const flags = RepeatFlag.known | (isMarked ? RepeatFlag.marked : 0);
      this.window.vote(iid, aid, BALLOT, LIFE, flags);
      this.window.offer(iid, BALLOT, LIFE, value, 0, value.length);
      this.bulk.onRecord(aid, iid, value.length);
    }
  }
}

const GOOD: World = {
  acceptors: 3,
  instances: 20_000,
  valueBytes: 100,
  loss: 0,
  marked: 1,
  silent: [],
  seed: 1,
};

describe("bulk catch-up", () => {
  test("marked records are asked of one acceptor each, and all acceptors share the work", () => {
    const run = new Run(GOOD);
    run.toTheEnd();
    const total = run.asked.reduce((a, b) => a + b);
    expect(total).toBeLessThan((GOOD.instances / 64) * 1.5);
    for (const asked of run.asked) expect(asked).toBeGreaterThan(total / 4);
  });

  test("many ranges are under way: a hundred instances a millisecond and more, with half a millisecond to an answer", () => {
    const us = new Run(GOOD).toTheEnd();
    expect(GOOD.instances / (us / 1000)).toBeGreaterThan(100);
  });

  test("what does not come back marked is asked of the others; after a while all are asked at once", () => {
    const run = new Run({ ...GOOD, marked: 0 });
    run.toTheEnd();
    expect(run.bulk.counters.unmarked).toBeGreaterThan(3);
    expect(run.bulk.counters.unmarked).toBeLessThan(GOOD.instances / 64 / 4);
  });

  test("an acceptor that is silent is left alone for a while", () => {
    const run = new Run({ ...GOOD, silent: [1] });
    run.toTheEnd();
    expect(run.asked[1]!).toBeLessThan(run.asked[0]! / 4);
  });

  test("an acceptor is not asked for what it has trimmed", () => {
    const run = new Run({ ...GOOD, trims: [0, 15_000, 0] });
    run.toTheEnd();
    expect(run.asked[1]!).toBeLessThan(run.asked[0]! / 2);
  });

  test("a window that holds only a part of what could come: what is delivered first always gets in", () => {
    new Run({ ...GOOD, instances: 3000, valueBytes: 1300, windowBytes: 262_144 }).toTheEnd();
  });

  test(
    "everything comes, and what is under way stays bounded",
    () => {
      const world = fc.record({
        acceptors: fc.constantFrom(1, 3, 5),
        instances: fc.integer({ min: 1, max: 3000 }),
        valueBytes: fc.constantFrom(0, 20, 600, 5000),
        loss: fc.constantFrom(0, 0.01, 0.2),
        marked: fc.constantFrom(0, 0.5, 1),
        silent: fc.constantFrom<readonly number[]>([], [1]),
        seed: fc.integer({ min: 1, max: 1_000_000 }),
      });
      fc.assert(
        fc.property(world, (w) => {
          const run = new Run(w);
          run.toTheEnd();
          // The last range that found room, and what is next, which goes whatever is under way; each asked of everybody.
          expect(run.mostBytes).toBeLessThanOrEqual(MOST_UNDER_WAY + 2 * w.acceptors * 16_500);
          expect(run.window.arena.used).toBe(0);
        }),
        { numRuns: 60 },
      );
    },
    TIMEOUT_MS,
  );
});
