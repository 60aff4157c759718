/**
 * How much a client may have under way, and when it may send at all: less after each refusal, each loss and each delay, more with
 * what is delivered (`flow_window.ts`); after a refusal nothing for a while, and longer each time. Pure.
 *
 * Invariants: every session may always have one sequence under way; a pause ends by itself.
 */
import { FlowWindow } from "../flow_window.ts";

const PAUSE_FIRST_US = 1_000;
const PAUSE_MAX_US = 100_000;
/** Sequences that all sessions together may have under way at first. */
const FIRST = 64;
/** … and at least, however long they wait. */
const FLOOR = 512;

/** Its size is in sequences of each session. */
export class SendWindow extends FlowWindow {
  /** While it lies ahead nothing is sent; −1: not paused. */
  resumeUs = -1;
  /** When the present or last pause began. */
  pausedUs = 0;
  readonly #random: () => number;
  #pauseUs = PAUSE_FIRST_US;

  /** `queueUs`: how long what is under way may wait in queues; 0: as long as it likes. */
  constructor(sessions: number, random: () => number, queueUs: number) {
    super(FIRST, FLOOR, sessions, queueUs);
    this.#random = random;
  }

  get isPaused(): boolean {
    return this.resumeUs >= 0;
  }

  override isNewLoss(nowUs: number): boolean {
    return !this.isPaused && super.isNewLoss(nowUs);
  }

  /** A proposer has refused what was sent, of which a session had at most `inFlight` sequences under way. */
  refused(nowUs: number, inFlight: number): void {
    const most = this.halve(inFlight, 1);
    if (this.slowFrom === Number.POSITIVE_INFINITY && most > 0) this.slowFrom = most;
    this.pausedUs = nowUs;
    this.resumeUs = nowUs + this.#pauseUs * (0.5 + this.#random());
    this.#pauseUs = Math.min(PAUSE_MAX_US, this.#pauseUs * 2);
  }

  /** So many sequences more of a session are delivered, which had `inFlight` under way: the next pause is a short one again. */
  delivered(sequences: number, inFlight: number): void {
    this.#pauseUs = PAUSE_FIRST_US;
    this.returned(sequences, inFlight);
  }

  /** Another proposer is in use: how far that one is nobody knows yet. */
  switched(): void {
    this.delay.forget();
  }
}
