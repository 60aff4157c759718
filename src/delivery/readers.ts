/**
 * What the kinds of readers of one learner (rings, sockets, the Kernel_Paxos device) have in common: each reader goes
 * through the delivery log at its own pace, and tells what it is done with. Together they say how far the log of the
 * cluster may be trimmed.
 */
import type { Extra } from "../node/roles.ts";
import { MAX_IID } from "../protocol/types.ts";
import type { DeliveryLog } from "./delivery_log.ts";
import type { LogCursor } from "./log_cursor.ts";

/** What one reader is given in a turn, in records, so that nobody waits for a reader that catches up. */
export const RECORDS_PER_TURN = 1024;
/** How soon a reader that takes nothing now is tried again; it grows while it takes nothing. */
const RETRY_FIRST_US = 300;
const RETRY_MOST_US = 20_000;
/** How soon a new reader is noticed: most of what an idle learner wakes for. */
const NOTICE_US = 50_000;

/** Readers of one kind. */
export interface Readers {
  /** Gives each of them what it takes now; returns how many records that were. */
  pump(nowUs: number): number;
  /** After `pump`: one could be given more at once. */
  readonly hasMore: boolean;
  /** After `pump`: one is full, and no event will tell when it is not. */
  readonly isStuck: boolean;
  /** Looks for readers that came or went. */
  poll(nowUs: number): void;
  /** The lowest instance that readers who acknowledge are done with; MAX_IID when there is none to wait for. */
  acknowledged(): number;
  /** Up to where readers want the log trimmed; 0: no wish. */
  readonly trim: number;
  /** How many read now. */
  readonly readers: number;
  /** Tells the readers that the learner ends. */
  close(): void;
}

/** What a reader has said about its progress, checked against what it was given. */
export class Progress {
  /** Whether it said that it acknowledges. */
  readonly acknowledges: boolean;
  acknowledged: number;
  readonly #log: DeliveryLog;
  readonly #cursor: LogCursor;
  /** It missed values: it holds nothing back until it has acknowledged something beyond them. */
  #excusedTo = 0;
  #lossesSeen = 0;
  /** The last instance it was given a value of. */
  #givenIid = 0;

  constructor(log: DeliveryLog, cursor: LogCursor, acknowledges: boolean, from: number) {
    this.#log = log;
    this.#cursor = cursor;
    this.acknowledges = acknowledges;
    this.acknowledged = Math.min(from, log.closedIid);
  }

  /** What the cursor stands at has been given. */
  given(): void {
    const cursor = this.#cursor;
    if (cursor.losses !== this.#lossesSeen) {
      this.#lossesSeen = cursor.losses;
      this.#excusedTo = cursor.lastIid;
    } else this.#givenIid = cursor.iid;
  }

  acknowledge(iid: number): void {
    if (iid > this.acknowledged) this.acknowledged = Math.min(iid, this.#log.closedIid);
  }

  /** Up to where it holds nothing back. */
  limit(): number {
    if (!this.acknowledges || this.#cursor.lost || this.acknowledged < this.#excusedTo) return MAX_IID;
    // Instances behind the last one it was given had no values: there is nothing to be done with.
    if (this.#cursor.isAtEnd && this.acknowledged >= this.#givenIid) return this.#log.closedIid;
    return this.acknowledged;
  }
}

/** A learner's readers of all kinds, in its turn. */
export class LocalDelivery implements Extra {
  readonly log: DeliveryLog;
  readonly #kinds: readonly Readers[];
  #pollDueUs = 0;
  #retryUs = RETRY_FIRST_US;
  #retryDueUs = Number.POSITIVE_INFINITY;

  constructor(log: DeliveryLog, kinds: readonly Readers[]) {
    this.log = log;
    this.#kinds = kinds;
  }

  tick(nowUs: number): void {
    if (nowUs < this.#pollDueUs) return;
    for (const kind of this.#kinds) kind.poll(nowUs);
    this.#pollDueUs = nowUs + NOTICE_US;
  }

  nextTickUs(): number {
    return Math.min(this.#pollDueUs, this.#retryDueUs);
  }

  pump(nowUs: number): boolean {
    let given = 0;
    let more = false;
    let stuck = false;
    for (let i = 0; i < this.#kinds.length; i++) {
      const kind = this.#kinds[i]!;
      given += kind.pump(nowUs);
      more ||= kind.hasMore;
      stuck ||= kind.isStuck;
    }
    if (!stuck) this.#retryDueUs = Number.POSITIVE_INFINITY;
    else if (given > 0 || nowUs >= this.#retryDueUs || this.#retryDueUs === Number.POSITIVE_INFINITY) {
      this.#retryUs = given > 0 ? RETRY_FIRST_US : Math.min(this.#retryUs * 2, RETRY_MOST_US);
      this.#retryDueUs = nowUs + this.#retryUs;
    }
    return more;
  }

  /** Up to where the applications of this host need nothing any more. */
  acknowledged(): number {
    let limit = MAX_IID;
    let wished = 0;
    for (let i = 0; i < this.#kinds.length; i++) {
      const kind = this.#kinds[i]!;
      limit = Math.min(limit, kind.acknowledged());
      wished = Math.max(wished, kind.trim);
    }
    return wished > 0 ? Math.min(wished, limit) : limit;
  }

  /** How many applications read now. */
  get readers(): number {
    let sum = 0;
    for (let i = 0; i < this.#kinds.length; i++) sum += this.#kinds[i]!.readers;
    return sum;
  }

  close(): void {
    for (const kind of this.#kinds) kind.close();
  }
}
