/**
 * The client of the native wire sends new values and takes off delivered ones in runs: where a run ends, what is told of it, and
 * that nothing is left out or comes twice, by hand and on random walks.
 */
import { describe, expect, test } from "bun:test";
import { BatchReader, EntryFlag } from "../../src/protocol/batch.ts";
import type { SessionClientOptions } from "../../src/protocol/client/client.ts";
import { SessionClient } from "../../src/protocol/client/session_client.ts";
import type { ValueSource } from "../../src/protocol/client/value_source.ts";
import { AckKind, Busy } from "../../src/protocol/types.ts";
import { seededRandom } from "../support/random.ts";
import { Recorder } from "../support/recorder.ts";

const MAX_VALUE = 200;
const PIECE = MAX_VALUE - 16;
/** Frames that the client leaves to others. */
const RESERVE = 8;
const BEGAN_US = 1_000_000;
const TIMEOUT_MS = 60_000;

/** Values that tell their numbers; each is asked for once, in order. */
class TestValues implements ValueSource {
  asked = 0;
  released = -1;
  readonly #sizeOf: (number: number) => number;

  constructor(sizeOf: (number: number) => number) {
    this.#sizeOf = sizeOf;
  }

  sizeOf(_client: number, number: number): number {
    expect(number).toBe(this.asked++);
    return this.#sizeOf(number);
  }

  copy(_client: number, number: number, from: number, length: number, into: Uint8Array, at: number): void {
    expect(number).toBeGreaterThan(this.released);
    into.set(this.bytesOf(number).subarray(from, from + length), at);
  }

  release(_client: number, number: number): void {
    expect(number).toBeGreaterThan(this.released);
    this.released = number;
  }

  bytesOf(number: number): Uint8Array {
    return Uint8Array.from({ length: this.#sizeOf(number) }, (_, i) => number * 31 + i * 7);
  }
}

/** A client with one session, and everything around it by hand. */
class Hand {
  readonly client: SessionClient;
  readonly source: TestValues;
  readonly outbox = new Recorder({ maxValue: MAX_VALUE });
  /** Of each message since `take`: its entries' sequences. */
  messages: number[][] = [];
  /** Of each session: its pieces by sequence, and the number of its first value. */
  readonly sessions = new Map<number, { readonly first: number; readonly pieces: Map<number, Uint8Array> }>();
  /** first…last latency × bytes. */
  told: string[] = [];
  /** When each value was made. */
  readonly madeUs: number[] = [];
  /** Told delivered, or uncertain. */
  settled = 0;
  uncertain: number[] = [];
  nowUs = BEGAN_US;
  #session = 0;

  constructor(sizeOf: (number: number) => number, plan: Partial<SessionClientOptions> = {}) {
    this.source = new TestValues(sizeOf);
    const reader = new BatchReader();
    this.outbox.clientValue = (_proposerId, bytes, offset, length) => {
      this.outbox.frames--;
      reader.open(bytes, offset, length);
      const message: number[] = [];
      while (reader.next()) {
        if ((reader.flags & EntryFlag.open) !== 0) continue;
        const { sequence, valueOffset, valueLength } = reader;
        message.push(sequence);
        this.#sent(reader.session, sequence, bytes.slice(valueOffset, valueOffset + valueLength));
      }
      expect(reader.valueEnd).toBe(offset + length);
      if (message.length > 0) this.messages.push(message);
    };
    const options = {
      clients: 1,
      outstanding: 100,
      proposerId: 0,
      proposers: 1,
      batching: true,
      timeoutMs: 500,
      queueDelayMs: 0,
      values: Number.POSITIVE_INFINITY,
      random: seededRandom(1),
      ...plan,
    };
    this.client = new SessionClient(options, this.source, this.outbox, {
      made: (_client, first, count) => {
        expect(first).toBe(this.madeUs.length);
        for (let left = count; left > 0; left--) this.madeUs.push(this.nowUs);
      },
      delivered: (latencyUs, bytes, _client, first, count) => {
        expect(first).toBe(this.settled);
        this.settled += count;
        this.told.push(`${first}…${this.settled - 1} ${latencyUs} µs × ${bytes}`);
        for (let number = first; number < this.settled; number++) {
          expect(latencyUs).toBe(this.nowUs - this.madeUs[number]!);
          expect(bytes).toBe(this.source.bytesOf(number).length);
        }
      },
      uncertain: (_client, number) => {
        expect(number).toBe(this.settled++);
        this.uncertain.push(number);
      },
    });
    this.client.ready = true;
    this.reopen();
  }

  /** The next session is open. */
  reopen(): void {
    this.turn(0);
    const { client, settled: first } = this;
    this.sessions.set(++this.#session, { first, pieces: new Map() });
    client.opened(client.sessions.nonce[0]!, this.#session);
  }

  turn(us: number): void {
    this.nowUs += us;
    this.client.tick(this.nowUs);
    this.client.pump(this.nowUs);
  }

  /** The next turn sends this. */
  sends(us = 1): number[][] {
    this.messages = [];
    this.turn(us);
    return this.messages;
  }

  heard(sequence: number): string[] {
    this.told = [];
    this.client.onDelivered(this.#session, sequence, 1);
    return this.told;
  }

  answered(kind: AckKind, sequence: number): string[] {
    this.told = [];
    this.client.onAcknowledge(kind, this.#session, sequence, 1, 0);
    return this.told;
  }

  #sent(session: number, sequence: number, piece: Uint8Array): void {
    const { pieces } = this.sessions.get(session)!;
    const before = pieces.get(sequence);
    if (before === undefined) expect(sequence).toBe(pieces.size + 1);
    else expect(piece).toEqual(before);
    pieces.set(sequence, piece);
  }

  /** What was sent in each session are its values, one after the other. */
  check(): void {
    for (const { first, pieces } of this.sessions.values()) {
      let number = first;
      for (let sequence = 1; sequence <= pieces.size; number++) {
        const expected = this.source.bytesOf(number);
        const parts: Uint8Array[] = [];
        for (let left = Math.max(1, Math.ceil(expected.length / PIECE)); left > 0; left--) {
          const piece = pieces.get(sequence++);
          // The last value of a session that is gone may have been sent in part.
          if (piece !== undefined) parts.push(piece);
        }
        const whole = Buffer.concat(parts);
        expect(whole).toEqual(Buffer.from(expected.subarray(0, whole.length)));
      }
    }
    const { submitted, delivered, uncertain } = this.client.counters;
    expect(submitted).toBe(this.madeUs.length);
    expect(submitted).toBe(this.source.asked);
    expect(delivered + uncertain).toBe(this.settled);
    expect(this.client.outstanding).toBe(submitted - this.settled);
    expect(this.source.released).toBe(this.settled - 1);
  }
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** 16 + 40 bytes, then 4 + 40 each: four of them in a message. */
const SMALL = 40;

describe("a run of new values ends", () => {
  test("with the places of its window, and goes round their end", () => {
    const hand = new Hand(() => SMALL, { outstanding: 10 });
    expect(hand.sends()).toEqual([range(1, 4), range(5, 8), range(9, 10)]);
    expect(hand.heard(7)).toEqual([`0…6 0 µs × ${SMALL}`]);
    expect(hand.sends()).toEqual([range(11, 14), range(15, 17)]);
    // Three of the first turn, at the end of the places, and five of the second.
    hand.nowUs += 9;
    hand.client.tick(hand.nowUs);
    expect(hand.heard(15)).toEqual([`7…9 10 µs × ${SMALL}`, `10…14 9 µs × ${SMALL}`]);
    expect(hand.sends().flat()).toEqual(range(18, 25));
    hand.heard(25);
    hand.check();
    expect(hand.client.outstanding).toBe(0);
  });

  test("where no more may be under way yet", () => {
    const hand = new Hand(() => SMALL, { outstanding: 1000 });
    expect(hand.sends().flat()).toEqual(range(1, 64));
    expect(hand.sends()).toEqual([]);
    // What came back makes room for itself, and for as much again.
    hand.heard(10);
    expect(hand.sends().flat()).toEqual(range(65, 84));
    hand.check();
  });

  test("with the last value that is to be sent, however often that is raised", () => {
    const hand = new Hand(() => SMALL, { values: 5 });
    expect(hand.sends().flat()).toEqual(range(1, 5));
    expect(hand.sends()).toEqual([]);
    for (const limit of [6, 6, 13]) hand.client.limit = limit;
    expect(hand.sends().flat()).toEqual(range(6, 13));
    hand.heard(13);
    expect(hand.client.isDone).toBe(true);
    hand.check();
  });

  test("with the frames: the value that found no room is made, asked for once, and the first to go later", () => {
    const hand = new Hand(() => SMALL);
    hand.outbox.frames = RESERVE + 1;
    expect(hand.sends()).toEqual([range(1, 4), range(5, 8)]);
    expect([hand.client.counters.submitted, hand.madeUs.length]).toEqual([9, 9]);
    expect(hand.client.pump(hand.nowUs)).toBe(true);
    expect(hand.sends(5)).toEqual([]);
    hand.outbox.frames = 1000;
    expect(hand.sends(5).flat()).toEqual(range(9, 64));
    // It was under way since it was made.
    expect(hand.heard(64)).toEqual([`0…8 10 µs × ${SMALL}`, `9…63 0 µs × ${SMALL}`]);
    hand.check();
  });

  test("with each value where none may share a message", () => {
    const hand = new Hand(() => SMALL, { batching: false, outstanding: 3 });
    expect(hand.sends()).toEqual([[1], [2], [3]]);
    hand.heard(2);
    expect(hand.sends()).toEqual([[4], [5]]);
    hand.check();
  });

  test("with a value in pieces, and the next begins after it", () => {
    const hand = new Hand((number) => (number === 2 ? 2 * PIECE + 1 : 3 - (number % 3)), { values: 5 });
    expect(hand.sends().flat()).toEqual(range(1, 7));
    expect([...hand.sessions.get(1)!.pieces.values()].map(({ length }) => length)).toEqual([
      3,
      2,
      PIECE,
      PIECE,
      1,
      3,
      2,
    ]);
    // Delivered are two values and a piece, the rest of it, and what follows.
    expect(hand.answered(AckKind.delivered, 3)).toHaveLength(2);
    expect(hand.answered(AckKind.delivered, 4)).toEqual([]);
    expect(hand.heard(5)).toEqual([`2…2 0 µs × ${2 * PIECE + 1}`]);
    expect(hand.heard(7)).toHaveLength(2);
    hand.check();
  });
});

describe("of a run that is delivered", () => {
  test("what was known before is not told again", () => {
    const hand = new Hand(() => SMALL, { values: 20 });
    hand.turn(1);
    expect(hand.answered(AckKind.delivered, 5)).toEqual([`0…4 0 µs × ${SMALL}`]);
    expect(hand.heard(3)).toEqual([]);
    expect(hand.heard(8)).toEqual([`5…7 0 µs × ${SMALL}`]);
    expect(hand.heard(8)).toEqual([]);
    expect(hand.answered(AckKind.delivered, 6)).toEqual([]);
    // Nor what was never sent.
    expect(hand.heard(21)).toEqual([]);
    expect(hand.answered(AckKind.delivered, 20)).toEqual([`8…19 0 µs × ${SMALL}`]);
    expect(hand.client.counters).toMatchObject({ delivered: 20, duplicates: 1 });
    hand.check();
  });

  test("sizes and times are those of each value", () => {
    const hand = new Hand((number) => 10 + (number >> 1), { values: 3 });
    hand.turn(1);
    hand.client.limit = 6;
    hand.turn(5);
    hand.nowUs += 2;
    hand.client.tick(hand.nowUs);
    const expected = ["0…1 7 µs × 10", "2…2 7 µs × 11", "3…3 2 µs × 11", "4…5 2 µs × 12"];
    expect(hand.heard(6)).toEqual(expected);
    hand.check();
  });

  test("a value that is sent again because of a gap is told once, and counted as sent again", () => {
    const hand = new Hand(() => SMALL, { values: 12 });
    hand.turn(1);
    hand.nowUs += 20_000;
    hand.client.tick(hand.nowUs);
    hand.answered(AckKind.gap, 4);
    expect(hand.sends().flat()).toEqual(range(5, 12));
    expect(hand.client.counters.resent).toBe(8);
    expect(hand.heard(12)).toEqual([`0…11 20001 µs × ${SMALL}`]);
    hand.check();
  });

  test("values delivered while they are about to be sent again are not", () => {
    const hand = new Hand(() => SMALL, { values: 12 });
    hand.turn(1);
    hand.nowUs += 20_000;
    hand.client.tick(hand.nowUs);
    hand.answered(AckKind.gap, 4);
    hand.heard(10);
    hand.client.limit = 14;
    expect(hand.sends()).toEqual([[11, 12, 13, 14]]);
    hand.heard(14);
    hand.check();
  });
});

test("how long a value takes is measured again in the place of one that was sent twice; waiting begins when it is sent", () => {
  const hand = new Hand(() => SMALL, { outstanding: 1, timeoutMs: 5_000 });
  const { counters } = hand.client;
  for (let ms = 0; counters.resent === 0; ms++) {
    expect(ms).toBeLessThan(100);
    hand.turn(1_000);
  }
  hand.heard(1);
  // As many values as it takes for that to be known, with pauses that are no answer to anything.
  for (let sequence = 2; sequence < 30; sequence++) {
    hand.client.limit = hand.client.counters.submitted;
    for (let ms = 0; ms < 300; ms++) hand.turn(1_000);
    hand.client.limit++;
    hand.turn(0);
    for (let ms = 0; ms < 20; ms++) hand.turn(1_000);
    expect(hand.heard(sequence)).toHaveLength(1);
  }
  expect(counters.resent).toBe(1);
  // Four times 20 ms, and what is added to it: it would be less than 60 ms had only the first value been measured.
  hand.client.limit++;
  hand.turn(0);
  for (let ms = 0; ms < 100; ms++) hand.turn(1_000);
  expect(counters.resent).toBe(1);
  for (let ms = 0; ms < 100; ms++) hand.turn(1_000);
  expect(counters.resent).toBe(2);
});

test("a session that expires in the middle: what was sent is uncertain, what was only made goes first in the next one", () => {
  const hand = new Hand(() => SMALL, { values: 12 });
  hand.outbox.frames = RESERVE + 1;
  hand.turn(1);
  expect(hand.client.counters.submitted).toBe(9);
  hand.heard(3);
  hand.answered(AckKind.expired, 0);
  expect(hand.uncertain).toEqual(range(3, 7));
  hand.outbox.frames = 1000;
  hand.reopen();
  expect(hand.sends().flat()).toEqual(range(1, 4));
  expect(hand.heard(4)).toEqual([`8…8 1 µs × ${SMALL}`, `9…11 0 µs × ${SMALL}`]);
  expect(hand.client.isDone).toBe(true);
  hand.check();
});

/** Whatever may happen to a client with one session, in any order. */
function walk(hand: Hand, random: () => number): void {
  const { client } = hand;
  const upTo = (count: number): number => Math.floor(random() * (count + 1));
  const { sessions } = client;
  for (let step = 0; step < 300; step++) {
    const done = sessions.done[0]!;
    const sent = sessions.sentTo[0]!;
    const chance = random();
    if (chance < 0.3) hand.heard(done + upTo(sent - done));
    else if (chance < 0.5) hand.answered(AckKind.delivered, done + upTo(sent - done));
    else if (chance < 0.55) hand.answered(AckKind.gap, done + upTo(sent - done));
    else if (chance < 0.6) hand.outbox.frames = RESERVE + upTo(4) - 1;
    else if (chance < 0.63) client.onBusy(Busy.queueFull);
    else if (chance < 0.65) {
      hand.outbox.frames = 1000;
      hand.answered(AckKind.expired, 0);
      hand.turn(200_000);
      hand.reopen();
    } else {
      if (random() < 0.8) hand.outbox.frames = 1000;
      client.limit += upTo(20);
      hand.turn(random() < 0.05 ? 200_000 : upTo(3_000));
    }
    expect(sessions.underWay(0)).toBeLessThanOrEqual(sessions.outstanding);
    expect(client.counters.submitted).toBeLessThanOrEqual(client.limit);
    expect(client.outstanding).toBe(sessions.underWay(0));
  }
}

test(
  "nothing is left out, comes twice or is told wrongly, whatever happens (50 seeds)",
  () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seededRandom(seed);
      const sizes =
        seed % 3 === 0 ? () => SMALL : (number: number) => (number * 7919) % (seed % 3 === 1 ? 60 : 500);
      const outstanding = [1, 3, 10, 64, 500][seed % 5]!;
      const hand = new Hand(sizes, { outstanding, values: 0, random, batching: seed % 7 !== 0 });
      walk(hand, random);
      hand.outbox.frames = Number.POSITIVE_INFINITY;
      for (let turns = 0; !hand.client.isDone; turns++) {
        if (turns > 10_000) throw new Error(`seed ${seed}: ${JSON.stringify(hand.client.counters)}`);
        hand.turn(10_000);
        hand.heard(hand.client.sessions.sentTo[0]!);
      }
      hand.check();
      expect(hand.settled).toBe(hand.client.limit);
    }
  },
  TIMEOUT_MS,
);
