/**
 * What clients submitted and what learners delivered. Every value chosen was submitted by a client, byte for byte; every
 * learner delivers what is chosen, in order, leaving nothing out without being told.
 */
import { BatchReader } from "../protocol/batch.ts";
import { crc32c } from "../protocol/crc32c.ts";
import type { Application } from "../protocol/learner/learner.ts";
import { isReset } from "../protocol/reset_entry.ts";
import { isSame, type Observer, show } from "./observer.ts";
import type { Watcher } from "./parts.ts";
import { Violation } from "./violation.ts";

/** Everything that clients have sent. */
export class Submissions {
  count = 0;
  /** Entries that were chosen. */
  chosenCount = 0;
  /** How often all sessions began anew. */
  resetCount = 0;
  /** Of each entry: the checksums of its values, one unless something is wrong. */
  readonly #entries = new Map<string, number>();
  readonly #reader = new BatchReader();

  /** A client sends a value, perhaps again. */
  sent(bytes: Uint8Array, offset: number, length: number): void {
    const reader = this.#reader;
    reader.open(bytes, offset, length);
    while (reader.next()) {
      const key = keyOf(reader);
      const sum = crc32c(bytes, reader.valueOffset, reader.valueLength);
      const before = this.#entries.get(key);
      if (before === undefined) this.count++;
      else if (before !== sum) throw new Violation("validity", `a client sends two values as ${key}`);
      this.#entries.set(key, sum);
    }
  }

  /** The value of an instance was chosen. */
  chosen(iid: number, value: Uint8Array): void {
    // No client's, but a leader's.
    if (isReset(value, 0, value.length)) {
      this.resetCount++;
      return;
    }
    const reader = this.#reader;
    reader.open(value, 0, value.length);
    while (reader.next()) {
      this.chosenCount++;
      const key = keyOf(reader);
      const sum = this.#entries.get(key);
      if (sum !== crc32c(value, reader.valueOffset, reader.valueLength)) {
        const what = sum === undefined ? "which nobody submitted" : "with other bytes than were submitted";
        throw new Violation("validity", `at ${iid} entry ${key} is chosen, ${what}`);
      }
    }
  }
}

function keyOf({ session, sequence, flags }: BatchReader): string {
  return `${session}/${sequence}/${flags}`;
}

export interface LearnerPlan {
  readonly name: string;
  readonly observer: Observer;
  /** It begins with instance 1, or says what it leaves out. */
  readonly fromStart: boolean;
  /** What it hands the instances on to: a client's own log, the sessions. */
  readonly behind?: Application;
  /** Whether its application has time for a value now. */
  readonly takes: () => boolean;
}

/** A learner's application. */
export class SimApplication implements Watcher {
  /** The last instance delivered, or covered by the snapshot it began with. */
  last = 0;
  delivered = 0;
  skips = 0;
  restored = 0;
  unknown = 0;
  readonly #plan: LearnerPlan;

  constructor(plan: LearnerPlan) {
    this.#plan = plan;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const { name, observer, fromStart, behind, takes } = this.#plan;
    if (!takes()) return false;
    const isNext = this.last === 0 ? !fromStart || iid === 1 : iid === this.last + 1;
    if (!isNext) throw new Violation("no gap", `${name} delivers ${iid} after ${this.last}`);
    const value = bytes.subarray(offset, offset + length);
    const chosen = observer.chosen(iid);
    if (chosen === undefined)
      throw new Violation("agreement", `${name} delivers ${show(value)} at ${iid}, where nothing is chosen`);
    if (!isSame(chosen, value)) {
      const what = `${name} delivers ${show(value)} at ${iid}, where ${show(chosen)} is chosen`;
      throw new Violation("agreement", what);
    }
    this.last = iid;
    this.delivered++;
    behind?.deliver(iid, bytes, offset, length);
    return true;
  }

  skipped(first: number, last: number): void {
    // What a snapshot covers is told when the state has it already.
    if (last <= this.last) return;
    if (first !== this.last + 1 && this.last > 0)
      throw new Violation("no gap", `${this.#plan.name} skips ${first}…${last} after ${this.last}`);
    this.skips++;
    this.last = last;
    this.#plan.behind?.skipped(first, last);
  }

  acknowledged(): number {
    return this.last;
  }

  /** It goes on behind `iid` with a snapshot: of what was delivered, so of what is chosen. */
  began(iid: number): void {
    this.#goOn(iid);
    this.restored++;
  }

  /** … without one, behind what is trimmed. */
  beganUnknown(iid: number): void {
    this.#goOn(iid);
    this.unknown++;
  }

  #goOn(iid: number): void {
    for (let one = this.last + 1; one <= iid; one++) {
      if (this.#plan.observer.chosen(one) !== undefined) continue;
      const what = `${this.#plan.name} goes on behind ${iid}, and nothing is chosen at ${one}`;
      throw new Violation("agreement", what);
    }
    this.last = iid;
  }
}
