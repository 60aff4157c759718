/**
 * How much a client may have under way, and when it may send at all: less after each refusal and each gap, more with each
 * value that comes back; after a refusal nothing for a while, and longer each time. Pure.
 */

const PAUSE_FIRST_US = 1_000;
const PAUSE_MAX_US = 100_000;
/** What may be under way grows by one for so many values that come back; for a gap alone it is not halved below the second. */
const GROWTH = 8;
const LEAST_AFTER_GAP = 64;

export class SendWindow {
  /** Sequences that each session may have under way, by what proposers take and the network carries. */
  sequences = Number.POSITIVE_INFINITY;
  /** The shortest time that a value took to come back, in microseconds. */
  leastUs = 1_000;
  /** While it lies ahead nothing is sent; −1: not paused. */
  resumeUs = -1;
  /** When the present or last pause began. */
  pausedUs = 0;
  readonly #random: () => number;
  #pauseUs = PAUSE_FIRST_US;

  constructor(random: () => number) {
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

  /** Something on the way was lost. */
  gap(inFlight: number): void {
    if (!this.isPaused) this.#halve(inFlight, LEAST_AFTER_GAP);
  }

  /** A value that was sent once came back after so long. */
  sample(latencyUs: number): void {
    if (latencyUs < this.leastUs) this.leastUs = latencyUs;
    this.sequences += 1 / GROWTH;
  }

  /** What was sent is taken: the next pause is a short one again. */
  progress(): void {
    this.#pauseUs = PAUSE_FIRST_US;
  }

  /** Half of what is under way was too much already, or more. */
  #halve(inFlight: number, least: number): void {
    this.sequences = Math.max(least, Math.floor(Math.min(this.sequences, inFlight) / 2));
  }
}
