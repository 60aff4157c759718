/**
 * How much may be under way at once where nobody says how much there is room for: less after each loss, and when what is
 * under way waits in queues; more with what comes back. Pure: time is what is told.
 *
 * It begins small and doubles each round trip until something waits; then it grows by an eighth, and slowly from near where it was
 * too much. What was not used does not grow.
 */
import { QueueDelay } from "./queue_delay.ts";

/** Below where something was in the way, it grows by one for so many that come back. */
const GROWTH = 8;
/** Beyond, each round trip, by one of so many, or by a few where that is more. */
const SLOW_GROWTH = 64;
const FEW = 4;
/** From this share of what something of was lost on it grows slowly. */
const NEAR_LOSS = 0.7;
/** Before anything came back nobody knows how long that takes. */
const LEAST_FIRST_US = 10_000;

export class FlowWindow {
  /** What each party may have under way; a fraction counts for nothing yet. */
  size: number;
  protected readonly delay: QueueDelay;
  readonly #first: number;
  readonly #floor: number;
  readonly #parties: number;
  /** From here on it grows slowly; ∞: nothing has been in the way yet. */
  protected slowFrom = Number.POSITIVE_INFINITY;
  /** Nothing has waited yet. */
  #doubles = true;
  #lostUs = Number.NEGATIVE_INFINITY;

  /**
   * Of all parties together: `first`, how much at first, and whatever is lost; `floor`, how much whatever waits. That may be for
   * processors that others use: then less under way is only less. `queueUs`: how long what is under way may wait in queues;
   * 0: as long as it likes.
   */
  constructor(first: number, floor: number, parties: number, queueUs: number) {
    this.#parties = parties;
    this.#first = Math.max(1, first / parties);
    this.#floor = Math.max(1, floor / parties);
    this.delay = new QueueDelay(queueUs);
    this.size = this.#first;
  }

  /** The shortest time that anything took to come back lately, in microseconds. */
  get leastUs(): number {
    return Math.min(LEAST_FIRST_US, this.delay.leastUs);
  }

  /** Whether a loss told now can be one that is not known of yet: many are told of one. */
  isNewLoss(nowUs: number): boolean {
    return nowUs - this.#lostUs >= this.leastUs;
  }

  /** Something on the way was lost. `underWay`: the most that a party had. */
  lost(nowUs: number, underWay: number): void {
    this.#lostUs = nowUs;
    const most = this.halve(underWay, this.#first);
    if (most > 0) this.slowFrom = Math.max(this.size, most * NEAR_LOSS);
  }

  /** What was sent once came back after so long. */
  sample(us: number, nowUs: number): void {
    const share = this.delay.sample(us, nowUs);
    if (share < 1) {
      this.size = Math.max(Math.min(this.#floor, this.size), this.size * share);
      this.slowFrom = Math.max(this.#floor, this.size);
    } else if (this.#doubles && this.size >= this.#floor && this.delay.hasWaited(us)) this.#doubles = false;
  }

  /** So much of a party has come back, which had so much under way. */
  returned(count: number, underWay: number): void {
    if (underWay * 2 < this.size || (this.delay.isNear && this.size >= this.#floor)) return;
    this.size += (count * this.#growth()) / this.#parties;
  }

  /** Half of what is under way was too much already, or more. Returns how much it was. */
  protected halve(underWay: number, least: number): number {
    const most = Math.min(this.size, underWay);
    this.#doubles = false;
    if (most > 0) this.size = Math.max(Math.min(least, this.size), Math.floor(most / 2));
    return most;
  }

  #growth(): number {
    if (this.size < this.slowFrom) return this.#doubles ? 1 : 1 / GROWTH;
    return Math.min(1 / GROWTH, Math.max(1 / SLOW_GROWTH, FEW / (this.size * this.#parties)));
  }
}
