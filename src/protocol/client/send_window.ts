/**
 * How much a client may have under way, and when it may send at all: less after each refusal and each loss, and when what is
 * under way waits in queues; more with what is delivered; after a refusal nothing for a while, and longer each time. Pure.
 *
 * Invariants: every session may always have one sequence under way; a pause ends by itself. It begins small and doubles each
 * round trip until something is in the way; then it grows by an eighth up to where that was nearly so, and slowly
 * beyond. What was not used does not grow.
 */
import { QueueDelay } from "../queue_delay.ts";

const PAUSE_FIRST_US = 1_000;
const PAUSE_MAX_US = 100_000;
/** Below where something was in the way, what may be under way grows by one for so many that are delivered. */
const GROWTH = 8;
/** Beyond, each round trip, by one of so many, or by a few where that is more, of all sessions together. */
const SLOW_GROWTH = 64;
const FEW = 4;
/** From this share of what something of was lost on it grows slowly. */
const NEAR_LOSS = 0.7;
/** What all sessions together may have under way at first; no gap and no delay brings it lower. */
const FIRST = 64;
/** Before a value came back nobody knows how long that takes. */
const LEAST_FIRST_US = 10_000;

export class SendWindow {
  /** Sequences that each session may have under way, by what proposers take and the network carries. */
  sequences: number;
  /** While it lies ahead nothing is sent; −1: not paused. */
  resumeUs = -1;
  /** When the present or last pause began. */
  pausedUs = 0;
  readonly #sessions: number;
  readonly #random: () => number;
  readonly #delay: QueueDelay;
  /** From here on it grows slowly; ∞: nothing has been in the way yet. */
  #slowFrom = Number.POSITIVE_INFINITY;
  #pauseUs = PAUSE_FIRST_US;
  #gapUs = Number.NEGATIVE_INFINITY;

  /** `queueUs`: how long what is under way may wait in queues; 0: as long as it likes. */
  constructor(sessions: number, random: () => number, queueUs: number) {
    this.#sessions = sessions;
    this.#random = random;
    this.#delay = new QueueDelay(queueUs);
    this.sequences = this.#first;
  }

  get isPaused(): boolean {
    return this.resumeUs >= 0;
  }

  /** The shortest time that a value took to come back lately, in microseconds. */
  get leastUs(): number {
    return Math.min(LEAST_FIRST_US, this.#delay.leastUs);
  }

  get #first(): number {
    return Math.max(1, FIRST / this.#sessions);
  }

  /** A proposer has refused what was sent, of which a session had at most `inFlight` sequences under way. */
  refused(nowUs: number, inFlight: number): void {
    const most = this.#halve(inFlight, 1);
    if (this.#slowFrom === Number.POSITIVE_INFINITY && most > 0) this.#slowFrom = most;
    this.pausedUs = nowUs;
    this.resumeUs = nowUs + this.#pauseUs * (0.5 + this.#random());
    this.#pauseUs = Math.min(PAUSE_MAX_US, this.#pauseUs * 2);
  }

  /** Whether a gap told now can be of a loss that the window does not know of: many are told of one. */
  isNewLoss(nowUs: number): boolean {
    return !this.isPaused && nowUs - this.#gapUs >= this.leastUs;
  }

  /** Something on the way was lost. */
  lost(nowUs: number, inFlight: number): void {
    this.#gapUs = nowUs;
    const most = this.#halve(inFlight, this.#first);
    if (most > 0) this.#slowFrom = Math.max(this.sequences, most * NEAR_LOSS);
  }

  /** A value that was sent once came back after so long. */
  sample(latencyUs: number, nowUs: number): void {
    const share = this.#delay.sample(latencyUs, nowUs);
    if (share < 1) {
      this.sequences = Math.max(Math.min(this.#first, this.sequences), this.sequences * share);
      this.#slowFrom = this.sequences;
    } else if (this.#slowFrom === Number.POSITIVE_INFINITY && this.#delay.hasWaited(latencyUs)) {
      this.#slowFrom = this.sequences;
    }
  }

  /** So many sequences more of a session are delivered, which had `inFlight` under way: the next pause is a short one again. */
  delivered(sequences: number, inFlight: number): void {
    this.#pauseUs = PAUSE_FIRST_US;
    if (inFlight * 2 < this.sequences || this.#delay.isNear) return;
    this.sequences += (sequences * this.#growth()) / this.#sessions;
  }

  /** Another proposer is in use: how far that one is nobody knows yet. */
  switched(): void {
    this.#delay.forget();
  }

  #growth(): number {
    if (this.#slowFrom === Number.POSITIVE_INFINITY) return 1;
    if (this.sequences < this.#slowFrom) return 1 / GROWTH;
    return Math.min(1 / GROWTH, Math.max(1 / SLOW_GROWTH, FEW / (this.sequences * this.#sessions)));
  }

  /** Half of what is under way was too much already, or more. Returns how much it was. */
  #halve(inFlight: number, least: number): number {
    const most = Math.min(this.sequences, inFlight);
    if (most > 0) this.sequences = Math.max(Math.min(least, this.sequences), Math.floor(most / 2));
    return most;
  }
}
