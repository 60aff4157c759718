/**
 * Whether what is under way waits in queues, by how long it takes to come back. What the way itself takes is the least that was
 * measured lately; the least of an interval that is above it by more than a limit is a queue that does not drain (a burst, or a
 * process that had to wait for its processor, leaves some that were fast). Pure: time is what the samples say.
 */

/**
 * Long enough that processes which share processors have all had their turn at a good moment. An interval has at least two round
 * trips: what was under way when less was let in is not held against it.
 */
const LEAST_INTERVAL_US = 100_000;
const ROUND_TRIPS = 2;
/** The way may have become longer: what was measured longer ago than twice this says nothing. */
const EPOCH_US = 10_000_000;
/** No interval takes more off. */
const LEAST_SHARE = 0.5;

export class QueueDelay {
  /** The least that anything took to come back lately; ∞: nothing did. */
  leastUs = Number.POSITIVE_INFINITY;
  /** More should not be let in now: the last interval was near the limit. */
  isNear = false;
  readonly #limitUs: number;
  #epochEndUs = Number.NEGATIVE_INFINITY;
  #epochLeastUs = Number.POSITIVE_INFINITY;
  #formerLeastUs = Number.POSITIVE_INFINITY;
  #intervalEndUs = Number.NEGATIVE_INFINITY;
  #intervalLeastUs = Number.POSITIVE_INFINITY;

  /** `limitUs`: how long anything may wait in queues; 0: as long as it likes. */
  constructor(limitUs: number) {
    this.#limitUs = limitUs;
  }

  /** Something came back after so long. Returns the share of what is under way that should be from now on; mostly 1. */
  sample(us: number, nowUs: number): number {
    if (nowUs >= this.#epochEndUs) this.#beginEpoch(nowUs);
    this.#epochLeastUs = Math.min(this.#epochLeastUs, us);
    this.leastUs = Math.min(this.leastUs, us);
    this.#intervalLeastUs = Math.min(this.#intervalLeastUs, us);
    return this.#limitUs > 0 && nowUs >= this.#intervalEndUs ? this.#endInterval(nowUs) : 1;
  }

  /** One that took so long has waited in a queue that is half as long as allowed, or more. */
  hasWaited(us: number): boolean {
    return this.#limitUs > 0 && us > this.leastUs + this.#limitUs / 2;
  }

  /** It is another way from now on. */
  forget(): void {
    this.leastUs =
      this.#epochLeastUs =
      this.#formerLeastUs =
      this.#intervalLeastUs =
        Number.POSITIVE_INFINITY;
    this.#epochEndUs = this.#intervalEndUs = Number.NEGATIVE_INFINITY;
    this.isNear = false;
  }

  #beginEpoch(nowUs: number): void {
    this.#formerLeastUs = this.#epochLeastUs;
    this.leastUs = this.#formerLeastUs;
    this.#epochLeastUs = Number.POSITIVE_INFINITY;
    this.#epochEndUs = nowUs + EPOCH_US;
  }

  #endInterval(nowUs: number): number {
    const us = this.#intervalLeastUs;
    this.#intervalLeastUs = Number.POSITIVE_INFINITY;
    this.#intervalEndUs = nowUs + Math.max(LEAST_INTERVAL_US, ROUND_TRIPS * us);
    this.isNear = this.hasWaited(us);
    const mostUs = this.leastUs + this.#limitUs;
    return us > mostUs ? Math.max(LEAST_SHARE, mostUs / us) : 1;
  }
}
