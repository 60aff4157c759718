/**
 * How much a client may have under way, and when it may send at all: less after each refusal and each loss, more with
 * what is delivered; after a refusal nothing for a while, and longer each time. Pure.
 *
 * Invariants: every session may always have one sequence under way; a pause ends by itself. What grows is one eighth of what
 * is delivered, shared by all sessions, so a window that was too small for long is back within some tens of round trips.
 */

const PAUSE_FIRST_US = 1_000;
const PAUSE_MAX_US = 100_000;
/** What may be under way grows by one for so many that are delivered; for a gap alone it is not halved below the second. */
const GROWTH = 8;
const LEAST_AFTER_GAP = 64;
/** Before a value came back nobody knows how long that takes. */
const LEAST_FIRST_US = 10_000;

export class SendWindow {
  /** Sequences that each session may have under way, by what proposers take and the network carries. */
  sequences = Number.POSITIVE_INFINITY;
  /** While it lies ahead nothing is sent; −1: not paused. */
  resumeUs = -1;
  /** When the present or last pause began. */
  pausedUs = 0;
  /** The shortest time that a value took to come back, in microseconds. */
  leastUs = LEAST_FIRST_US;
  readonly #growth: number;
  readonly #random: () => number;
  #pauseUs = PAUSE_FIRST_US;
  #gapUs = Number.NEGATIVE_INFINITY;

  constructor(sessions: number, random: () => number) {
    this.#growth = 1 / (GROWTH * sessions);
    this.#random = random;
  }

  get isPaused(): boolean {
    return this.resumeUs >= 0;
  }

  /** A proposer has refused what was sent, of which a session had at most `inFlight` sequences under way. */
  refused(nowUs: number, inFlight: number): void {
    this.#halve(inFlight, 1);
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
    this.#halve(inFlight, LEAST_AFTER_GAP);
  }

  /** A value that was sent once came back after so long. */
  sample(latencyUs: number): void {
    if (latencyUs < this.leastUs) this.leastUs = latencyUs;
  }

  /** So many sequences more of a session are delivered: the next pause is a short one again. */
  delivered(sequences: number): void {
    this.sequences += sequences * this.#growth;
    this.#pauseUs = PAUSE_FIRST_US;
  }

  /** Another proposer is in use: how far that one is nobody knows yet. */
  switched(): void {
    this.leastUs = LEAST_FIRST_US;
  }

  /** Half of what is under way was too much already, or more. */
  #halve(inFlight: number, least: number): void {
    if (inFlight > 0) this.sequences = Math.max(least, Math.floor(Math.min(this.sequences, inFlight) / 2));
  }
}
