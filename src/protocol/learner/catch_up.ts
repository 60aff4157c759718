/**
 * How a learner that is far behind reads the log: in ranges, several of them under way at once, spread over the acceptors. A
 * range is asked of one acceptor first, for old records come marked as chosen and one answer proves them; what does not
 * come back marked is asked of the others too. Pure.
 *
 * What is under way is bounded in bytes, by what the values seen lately were long: it begins small, grows while answers
 * come, and is halved when one does not. So the answers never overflow a receive buffer for long, neither here nor, by
 * way of the acceptors, at those who work at the head of the log. The next range is asked for as soon as there is room.
 */

import type { Outbox } from "../outbox.ts";
import { Retry } from "../retry.ts";
import type { LearnerWindow } from "./learner_window.ts";

/** Instances asked for at once: what an acceptor answers at most. */
const SPAN = 64;
/** Bytes that one range may bring: more ranges under way, rather than long ones, keep each acceptor's turn short. */
const SPAN_BYTES = 16_384;
/** Bytes under way: at first, at least, and at most (a receive buffer of 212 kB holds no more small frames than that). */
const FIRST_BYTES = 65_536;
const LEAST_BYTES = 16_384;
const MOST_BYTES = 262_144;
const REQUESTS = 64;
/** What a message and its share of a frame cost beside the value. */
const RECORD_BYTES = 48;
const FIRST_VALUE_BYTES = 1024;
const ANSWER_LIMIT_US = 200_000;
/** An acceptor that did not answer is not asked alone again for so long. */
const AVOID_US = 500_000;
/** So many ranges in a row came back without marks: acceptors do not know what is chosen. All are asked at once then, … */
const UNMARKED_RANGES = 4;
/** … but for every so many-th range. */
const PROBE_EVERY = 16;
/** So many instances are always asked for, however little the window's store seems to hold. */
const LEAST_AHEAD = 1;
/** Frames left to others. */
const ROOM_RESERVE = 16;

/** In the place of an acceptor's id. Waiting: to be asked again as soon as there is room. */
const FREE = -1;
const EVERYONE = -2;
const WAITING = -3;

export class CatchUp {
  readonly counters = { ranges: 0, unmarked: 0, unanswered: 0 };
  /** Bytes that may be under way. */
  windowBytes = FIRST_BYTES;
  /** Ranges under way, and the bytes they are expected to bring. */
  requests = 0;
  expectedBytes = 0;
  readonly #window: LearnerWindow;
  readonly #outbox: Outbox;
  readonly #acceptors: number;
  readonly #retry = new Retry(ANSWER_LIMIT_US);
  /** Of each range: whom it was asked of, its instances, the highest one answered, the bytes expected, when and how often asked. */
  readonly #aid = new Int32Array(REQUESTS).fill(FREE);
  readonly #first = new Float64Array(REQUESTS);
  readonly #last = new Float64Array(REQUESTS);
  readonly #answered = new Float64Array(REQUESTS);
  readonly #bytes = new Float64Array(REQUESTS);
  readonly #sentUs = new Float64Array(REQUESTS);
  readonly #tries = new Uint8Array(REQUESTS);
  /** Of a range that waits: who need not be asked, because it has answered. */
  readonly #except = new Int32Array(REQUESTS);
  readonly #avoidUntilUs: Float64Array;
  readonly #trims: Float64Array;
  #valueBytes = FIRST_VALUE_BYTES;
  /** Everything wanted below was asked for once. */
  #cursor = 0;
  #turn = 0;
  #unmarked = 0;
  #ranges = 0;
  /** How far ahead values fit the window's store: halved when one did not, and when that was. */
  #ahead: number;
  #refused = 0;
  #tightUs = Number.NEGATIVE_INFINITY;
  /** Until the first answer is missing the window doubles with each round trip. */
  #isNew = true;
  #shrunkUs = Number.NEGATIVE_INFINITY;
  #nowUs = 0;

  constructor(acceptors: number, window: LearnerWindow, outbox: Outbox) {
    this.#acceptors = acceptors;
    this.#window = window;
    this.#outbox = outbox;
    this.#ahead = window.instances;
    this.#avoidUntilUs = new Float64Array(acceptors);
    this.#trims = new Float64Array(acceptors);
  }

  /** The acceptor has nothing at or below `iid` any more. */
  onTrim(aid: number, iid: number): void {
    if (iid > this.#trims[aid]!) this.#trims[aid] = iid;
  }

  /** A record came that was asked for, or may have been; `length` −1: the acceptor has none of a chosen instance. */
  onRecord(aid: number, iid: number, length: number): void {
    if (length >= 0) this.#valueBytes += (length - this.#valueBytes) / 16;
    for (let i = 0; i < REQUESTS; i++) {
      const asked = this.#aid[i]!;
      if (asked === FREE || iid < this.#first[i]! || iid > this.#last[i]!) continue;
      if (asked === aid && iid > this.#answered[i]!) this.#answered[i] = iid;
      return;
    }
  }

  /** Goes on: `next`…`limit` are wanted. To be called once a turn, and when it is due. */
  run(nowUs: number, next: number, limit: number): void {
    this.#nowUs = nowUs;
    this.#fit(next);
    for (let i = 0; i < REQUESTS; i++) if (this.#aid[i] !== FREE) this.#look(i, next);
    if (this.#cursor < next) this.#cursor = next;
    else if (this.#cursor > next && !this.#window.isReady(next) && this.#requestOf(next) < 0) {
      // It came, and had to make room in the store: what is under way above would only have to do so, too.
      this.stop();
      this.#cursor = next;
    }
    const last = Math.min(limit, next + Math.floor(this.#ahead) - 1);
    // The lowest goes before all others, whatever is under way: a range that was cut leaves it to be asked for.
    const isAsked = this.#window.isReady(next) || this.#requestOf(next) >= 0;
    if (!isAsked && this.requests < REQUESTS && this.#outbox.room() > ROOM_RESERVE) this.#askNext(last);
    while (this.#outbox.room() > ROOM_RESERVE && this.#hasRoom()) {
      if (!this.#askAgain() && (this.requests === REQUESTS || !this.#askNext(last))) break;
    }
  }

  /** When an answer is missing; `Infinity` while none is waited for. */
  dueUs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (let i = 0; i < REQUESTS; i++) {
      if (this.#aid[i]! >= 0 || this.#aid[i] === EVERYONE)
        due = Math.min(due, this.#sentUs[i]! + this.#retry.pauseUs(this.#tries[i]!));
    }
    return due;
  }

  /** There is nothing to catch up with any more. */
  stop(): void {
    this.#aid.fill(FREE);
    this.requests = 0;
    this.expectedBytes = 0;
    this.#cursor = 0;
  }

  /** Where values found no room, what is further ahead is not waited for. */
  #fit(next: number): void {
    if (this.#window.refusedFull === this.#refused) return;
    this.#refused = this.#window.refusedFull;
    this.#tightUs = this.#nowUs;
    this.#ahead = Math.max(LEAST_AHEAD, Math.min(this.#ahead, this.#cursor - next) / 2);
    const end = next + Math.floor(this.#ahead) - 1;
    for (let i = 0; i < REQUESTS; i++) {
      if (this.#aid[i] === FREE) continue;
      this.#last[i] = Math.min(this.#last[i]!, end);
      if (this.#first[i]! > end) this.#free(i);
    }
    this.#cursor = Math.min(this.#cursor, end + 1);
  }

  #free(i: number): void {
    this.expectedBytes -= this.#bytes[i]!;
    this.#aid[i] = FREE;
    this.requests--;
  }

  /** One range may always be under way: the lowest, which frees room when it is delivered. */
  #hasRoom(): boolean {
    if (this.expectedBytes === 0) return true;
    const { arena } = this.#window;
    const isFull = arena.used + this.expectedBytes > arena.capacity / 2;
    return !isFull && this.expectedBytes < this.windowBytes;
  }

  /** What became of a range. */
  #look(i: number, next: number): void {
    const window = this.#window;
    let first = Math.max(this.#first[i]!, next);
    const last = this.#last[i]!;
    while (first <= last && window.isReady(first)) first++;
    this.#first[i] = first;
    if (first > last) return this.#done(i);
    const asked = this.#aid[i]!;
    if (asked === WAITING) return;
    if (asked !== EVERYONE && this.#answered[i]! >= last) {
      if (this.#tightUs >= this.#sentUs[i]!) return this.#wait(i, FREE);
      // It has told what it has. The rest it has not, or does not know to be chosen.
      this.#unmarked++;
      this.counters.unmarked++;
      return this.#wait(i, this.#acceptors > 1 ? asked : FREE);
    }
    if (this.#nowUs - this.#sentUs[i]! < this.#retry.pauseUs(this.#tries[i]!)) return;
    this.counters.unanswered++;
    // What is lost at one time is one sign of too much, not many.
    if (this.#sentUs[i]! > this.#shrunkUs) {
      this.#isNew = false;
      this.#shrunkUs = this.#nowUs;
      this.windowBytes = Math.max(LEAST_BYTES, this.windowBytes / 2);
    }
    if (asked !== EVERYONE) this.#avoidUntilUs[asked] = this.#nowUs + AVOID_US;
    this.#wait(i, FREE);
  }

  #wait(i: number, except: number): void {
    this.expectedBytes -= this.#bytes[i]!;
    this.#bytes[i] = 0;
    this.#aid[i] = WAITING;
    this.#except[i] = except;
  }

  /** Asks again for the lowest range that waits; false: none does. */
  #askAgain(): boolean {
    let lowest = -1;
    for (let i = 0; i < REQUESTS; i++) {
      if (this.#aid[i] === WAITING && (lowest < 0 || this.#first[i]! < this.#first[lowest]!)) lowest = i;
    }
    if (lowest < 0) return false;
    // Values may be longer than they were: the rest of the range is asked for in its turn.
    const end = this.#first[lowest]! + this.#span() - 1;
    if (end < this.#last[lowest]!) {
      this.#last[lowest] = end;
      this.#cursor = Math.min(this.#cursor, end + 1);
    }
    const answered = this.#except[lowest]! >= 0;
    const one = !answered && this.#tries[lowest]! < 2;
    this.#send(lowest, one ? this.#oneAcceptor(this.#first[lowest]!) : EVERYONE);
    return true;
  }

  #done(i: number): void {
    const bytes = this.#bytes[i]!;
    if (this.#tries[i] === 1) this.#retry.sample(this.#nowUs - this.#sentUs[i]!);
    if (this.#aid[i] !== EVERYONE) this.#unmarked = 0;
    const grown = this.windowBytes + (this.#isNew ? bytes : (bytes * SPAN_BYTES) / this.windowBytes);
    this.windowBytes = Math.min(MOST_BYTES, grown);
    this.#ahead = Math.min(this.#window.instances, this.#ahead + 1);
    this.#free(i);
  }

  /** Asks for the next run of instances that are not here and not under way; false: there is none up to `last`. */
  #askNext(last: number): boolean {
    const window = this.#window;
    let first = this.#cursor;
    for (;;) {
      while (first <= last && window.isReady(first)) first++;
      if (first > last) {
        this.#cursor = first;
        return false;
      }
      const underWay = this.#requestOf(first);
      if (underWay < 0) break;
      first = this.#last[underWay]! + 1;
    }
    let end = Math.min(last, first + this.#span() - 1);
    for (let i = 0; i < REQUESTS; i++) {
      if (this.#aid[i] !== FREE && this.#first[i]! > first) end = Math.min(end, this.#first[i]! - 1);
    }
    let to = first;
    while (to < end && !window.isReady(to + 1)) to++;
    this.#cursor = to + 1;
    this.#begin(first, to);
    return true;
  }

  #span(): number {
    return Math.max(1, Math.min(SPAN, Math.floor(SPAN_BYTES / (this.#valueBytes + RECORD_BYTES))));
  }

  #begin(first: number, last: number): void {
    const i = this.#aid.indexOf(FREE);
    this.requests++;
    this.#ranges++;
    this.#first[i] = first;
    this.#last[i] = last;
    this.#bytes[i] = 0;
    this.#tries[i] = 0;
    this.#except[i] = FREE;
    const alone = this.#unmarked < UNMARKED_RANGES || this.#ranges % PROBE_EVERY === 0;
    this.#send(i, alone ? this.#oneAcceptor(first) : EVERYONE);
  }

  #send(i: number, aid: number): void {
    const first = this.#first[i]!;
    const last = this.#last[i]!;
    let copies = 0;
    for (let to = 0; to < this.#acceptors; to++) {
      if (to === this.#except[i] || (aid !== EVERYONE && to !== aid)) continue;
      this.#outbox.repeat(to, first, last);
      copies++;
    }
    this.counters.ranges += copies;
    this.#aid[i] = aid;
    this.#answered[i] = 0;
    this.#sentUs[i] = this.#nowUs;
    this.#tries[i] = Math.min(255, this.#tries[i]! + 1);
    const bytes = copies * (last - first + 1) * (Math.ceil(this.#valueBytes) + RECORD_BYTES);
    this.expectedBytes += bytes - this.#bytes[i]!;
    this.#bytes[i] = bytes;
  }

  /** The next of those that answered lately and still have the instance; everyone when there is none. */
  #oneAcceptor(iid: number): number {
    for (let tried = 0; tried < this.#acceptors; tried++) {
      const aid = (this.#turn + 1) % this.#acceptors;
      this.#turn = aid;
      if (this.#avoidUntilUs[aid]! <= this.#nowUs && this.#trims[aid]! < iid) return aid;
    }
    return EVERYONE;
  }

  #requestOf(iid: number): number {
    for (let i = 0; i < REQUESTS; i++) {
      if (this.#aid[i] !== FREE && iid >= this.#first[i]! && iid <= this.#last[i]!) return i;
    }
    return -1;
  }
}
