/**
 * A learner and trims: what the acceptors have trimmed, so that nothing is waited for that can never come; and what this
 * learner reports, so that they may trim.
 */
import type { Outbox } from "../outbox.ts";
import { quorumOf } from "../quorum.ts";
import { StateFlag } from "../types.ts";

/** While the log grows, or acceptors run full; and else. */
const REPORT_US = 100_000;
const IDLE_REPORT_US = 1_000_000;

export interface LearnerTrimsOptions {
  readonly acceptors: number;
  /**
   * Native wire: an acceptor's state tells its highest instance; and a report is repeated, for it says who still reads. In
   * the Kernel_Paxos wire a trim is an order.
   */
  readonly statesTellHighest: boolean;
  readonly canTrim: boolean;
  /** Somebody behind this learner needs the values: its reports count before those of learners that need them for themselves only. */
  readonly hasApplications: boolean;
  /** Of the state that it keeps snapshots of; unless given 0, the sessions alone. Those of one kind can go on with each other's. */
  readonly kind?: number | undefined;
  readonly trimEvery: number;
  /** … and at the latest after so many bytes: acceptors hold no more than a few times as much. */
  readonly trimBytes: number;
}

export class LearnerTrims {
  sent = 0;
  /** When a report is due. */
  dueUs: number;
  readonly #options: LearnerTrimsOptions;
  readonly #outbox: Outbox;
  readonly #trims: Float64Array;
  #reported = 0;
  /** How far the log went at the last report. */
  #highest = 0;
  /** Bytes delivered since the last report. */
  #unreportedBytes = 0;
  /** An acceptor is half full, or was when it was last heard. */
  pressure = false;

  constructor(options: LearnerTrimsOptions, outbox: Outbox) {
    this.#options = options;
    this.#outbox = outbox;
    this.#trims = new Float64Array(options.acceptors);
    this.dueUs = options.canTrim ? 0 : Number.POSITIVE_INFINITY;
  }

  onState(aid: number, trimIid: number, flags: number): void {
    this.#trims[aid] = Math.max(this.#trims[aid]!, trimIid);
    if ((flags & StateFlag.halfFull) !== 0 && !this.pressure) {
      this.pressure = true;
      if (this.#options.canTrim) this.dueUs = 0;
    } else if (flags === 0) this.pressure = false;
  }

  /** What was trimmed was of another log. */
  forget(): void {
    this.#trims.fill(0);
  }

  /** The highest instance that any acceptor has trimmed. */
  highest(): number {
    let highest = 0;
    for (let aid = 0; aid < this.#trims.length; aid++) highest = Math.max(highest, this.#trims[aid]!);
    return highest;
  }

  delivered(bytes: number): void {
    this.#unreportedBytes += bytes;
  }

  /** Tells the acceptors up to where this learner needs nothing any more. `highest`: how far the log goes. */
  report(acknowledged: number, highest: number, nowUs: number): void {
    const { canTrim, statesTellHighest, trimEvery, trimBytes } = this.#options;
    if (!canTrim) return;
    const grown =
      acknowledged - this.#reported >= trimEvery ||
      (this.#unreportedBytes >= trimBytes && acknowledged > this.#reported);
    if (!grown && nowUs < this.dueUs) return;
    const news = grown || (this.pressure && acknowledged > this.#reported);
    if (news) {
      this.#reported = acknowledged;
      this.#unreportedBytes = 0;
    }
    const grows = statesTellHighest && highest > this.#highest;
    this.#highest = highest;
    this.dueUs = nowUs + (grows || this.pressure ? REPORT_US : IDLE_REPORT_US);
    // An order is repeated only where it was lost.
    if (!news && !statesTellHighest && !this.#isLagging()) return;
    const { hasApplications, kind = 0 } = this.#options;
    this.#outbox.trim(Math.max(0, this.#reported), hasApplications, kind);
    this.sent++;
  }

  /** The last instance that no quorum can repeat any more because so many acceptors have trimmed it. */
  lost(): number {
    const acceptors = this.#trims.length;
    let lost = 0;
    for (let aid = 0; aid < acceptors; aid++) {
      const trim = this.#trims[aid]!;
      let trimmedHere = 0;
      for (let other = 0; other < acceptors; other++) if (this.#trims[other]! >= trim) trimmedHere++;
      if (acceptors - trimmedHere < quorumOf(acceptors)) lost = Math.max(lost, trim);
    }
    return lost;
  }

  #isLagging(): boolean {
    for (let aid = 0; aid < this.#trims.length; aid++) if (this.#trims[aid]! < this.#reported) return true;
    return false;
  }
}
