/**
 * What one learner of all groups hands on, compared with the order that follows from the logs: by instance, and of one instance by
 * group, written down a second time as plainly as possible. Every value of every position is due there, none is left out, and what
 * is passed over is what a snapshot covers.
 */
import { crc32c } from "../protocol/crc32c.ts";
import type { ValueConsumer } from "../protocol/learner/session_filter.ts";
import { type Run, RunReader } from "./runs.ts";
import type { Delivery } from "./session_oracle.ts";
import type { ValueLog } from "./value_log.ts";
import { Violation } from "./violation.ts";

export class MergedOrder implements ValueConsumer {
  /** The last position that was handed on, or passed over. */
  done = 0;
  /** Positions that were handed on, each compared with what is due. */
  compared = 0;
  readonly #name: string;
  readonly #logs: readonly ValueLog[];
  readonly #runs: RunReader;
  /** Up to where a snapshot of some group covers it. */
  #covered = 0;
  /** Values of the position under way. */
  #taken = 0;
  #hasBegun = false;

  /** `logs`: of each group. */
  constructor(name: string, logs: readonly ValueLog[]) {
    this.#name = name;
    this.#logs = logs;
    this.#runs = new RunReader(name, this);
  }

  /** A group goes on behind its instance `iid`, with a snapshot: the order begins there, or says that it passes over. */
  goesOn(group: number, iid: number): void {
    this.#covered = Math.max(this.#covered, (iid - 1) * this.#logs.length + group + 1);
    if (!this.#hasBegun) this.done = this.#covered;
  }

  /** Whether values come so is for whoever is in front of it to say. */
  takeRun(...run: Run): boolean {
    this.#runs.take(...run);
    return true;
  }

  take(
    position: number,
    index: number,
    _isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    this.#isNext(position);
    const due = this.#dueAt(position)[this.#taken];
    const isDue =
      due?.index === index &&
      due.session === session &&
      due.sequence === sequence &&
      due.checksum === crc32c(bytes, offset, length);
    if (!isDue) {
      const wanted = due === undefined ? "nothing more" : show(due);
      const what = `${this.#name} hands on ${session}/${sequence}, where ${wanted} is due, at position ${position}`;
      throw new Violation("order", what);
    }
    this.#taken++;
    return true;
  }

  finished(position: number): void {
    this.#isNext(position);
    const due = this.#dueAt(position)[this.#taken];
    if (due !== undefined)
      throw new Violation("integrity", `${this.#name} leaves out ${show(due)} of position ${position}`);
    this.#taken = 0;
    this.done = position;
    this.compared++;
  }

  skipped(first: number, last: number): void {
    const isNext = this.#hasBegun ? first === this.done + 1 : first <= this.done + 1;
    if (!isNext || last !== this.#covered || this.#taken > 0) {
      const what = `${this.#name} passes over ${first}…${last} after ${this.done}, and a snapshot covers ${this.#covered}`;
      throw new Violation("no gap", what);
    }
    this.done = last;
  }

  acknowledged(): number {
    return this.done;
  }

  #isNext(position: number): void {
    this.#hasBegun = true;
    if (position === this.done + 1) return;
    throw new Violation("order", `${this.#name} hands on position ${position} after ${this.done}`);
  }

  #dueAt(position: number): readonly Delivery[] {
    const groups = this.#logs.length;
    const group = (position - 1) % groups;
    return this.#logs[group]!.expected((position - 1 - group) / groups + 1) ?? [];
  }
}

function show({ session, sequence, index }: Delivery): string {
  return `${session}/${sequence} (entry ${index})`;
}
