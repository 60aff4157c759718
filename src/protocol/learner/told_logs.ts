/**
 * Of which log acceptors and leaders speak, and which of it counts for a learner that knows the log it delivers from. Where all
 * acceptors have lost everything they begin another one, and whoever ran on hears of both.
 *
 * Invariant: where the learner's log is known, what an acceptor says counts only after it has said, in the life in which it speaks, that it
 * has that log, or that it knows of none; what a leader says does not where its frame has the mark of another (`log_mark.ts`).
 */
import { isOtherMark, markOfLog, NO_MARK } from "../log_mark.ts";
import { quorumOf } from "../quorum.ts";
import type { Life } from "../types.ts";

export class ToldLogs {
  /** The log that is delivered from; 0: not known. */
  own = 0;
  /** The log that a quorum of acceptors tells of; 0: none does. */
  told = 0;
  /** What the acceptor counts for that speaks. */
  counts = true;
  /** The proposer that spoke last is of another log. */
  isOtherLeader = false;
  readonly #ids: Float64Array;
  /** Of each acceptor the life in which it told of its log last. */
  readonly #lives: Float64Array;
  /** An acceptor has told of a log, and then of another. */
  #hasChanged = false;
  #speaker = 0;
  #mark = NO_MARK;

  constructor(acceptors: number) {
    this.#ids = new Float64Array(acceptors);
    this.#lives = new Float64Array(acceptors).fill(-1);
  }

  /** This is the log that is delivered from from now on. True: what was counted before may be of another. */
  isOf(logId: number): boolean {
    let hasOther = this.#hasChanged || (this.own !== 0 && this.own !== logId);
    this.#hasChanged = false;
    this.own = logId;
    this.#mark = markOfLog(logId);
    for (let aid = 0; aid < this.#ids.length; aid++) if (!this.#isOwn(this.#ids[aid]!)) hasOther = true;
    return hasOther;
  }

  onLogMark(logMark: number): void {
    this.isOtherLeader = isOtherMark(logMark, this.#mark);
  }

  /** An acceptor speaks. False: it has to tell of its log first. */
  onLife(aid: number, life: Life): boolean {
    this.#speaker = life;
    const isKnown = this.own === 0 || this.#lives[aid] === life;
    this.counts = isKnown && this.#isOwn(this.#ids[aid]!);
    return isKnown;
  }

  /** It tells. */
  onState(aid: number, logId: number): void {
    this.#lives[aid] = this.#speaker;
    this.counts = this.#isOwn(logId);
    if (this.#ids[aid] !== logId) this.#tells(aid, logId);
  }

  /** Whether any acceptor that was heard since then has told of this log, and of no other since. */
  hearsOf(logId: number, heardUs: Float64Array, sinceUs: number): boolean {
    for (let aid = 0; aid < this.#ids.length; aid++)
      if (this.#ids[aid] === logId && heardUs[aid]! > sinceUs) return true;
    return false;
  }

  #isOwn(logId: number): boolean {
    return this.own === 0 || logId === 0 || logId === this.own;
  }

  #tells(teller: number, logId: number): void {
    const ids = this.#ids;
    if (ids[teller] !== 0) this.#hasChanged = true;
    ids[teller] = logId;
    this.told = 0;
    for (let aid = 0; aid < ids.length; aid++) {
      let tellers = 0;
      for (let other = 0; other < ids.length; other++) if (ids[other] === ids[aid]) tellers++;
      if (tellers >= quorumOf(ids.length)) this.told = ids[aid]!;
    }
  }
}
