/**
 * The heartbeats of one leadership: numbered rounds, when each was sent, and which of them a quorum of acceptors has
 * echoed. An echo of a later round is one of every earlier one. Pure.
 *
 * Invariant: what is said of a round rests on echoes of distinct acceptors to heartbeats of this very leadership (the
 * caller compares ballot and life).
 */
import { quorumOf } from "../quorum.ts";

/** Rounds whose time of sending is kept; older ones count as never sent. */
const ROUNDS = 256;
const FIRST_ROUND_TRIP_US = 2_500;

export class Heartbeats {
  /** The last round sent, 0: none. */
  round = 0;
  /** The last round that a quorum has echoed, 0: none. */
  echoedRound = 0;
  /** Smoothed, from sending a round to the echo that made its quorum. */
  roundTripUs = FIRST_ROUND_TRIP_US;
  readonly #quorum: number;
  readonly #echoes: Float64Array;
  readonly #sentUs = new Float64Array(ROUNDS);

  constructor(acceptors: number) {
    this.#quorum = quorumOf(acceptors);
    this.#echoes = new Float64Array(acceptors);
  }

  /** Another leadership. */
  begin(): void {
    this.round = 0;
    this.echoedRound = 0;
    this.#echoes.fill(0);
  }

  /** The number of the round that leaves now. */
  send(nowUs: number): number {
    this.round++;
    this.#sentUs[this.round % ROUNDS] = nowUs;
    return this.round;
  }

  /** True when the echo completes a quorum for a round that had none. */
  onEcho(aid: number, round: number, nowUs: number): boolean {
    if (round > this.round || round <= this.#echoes[aid]!) return false;
    this.#echoes[aid] = round;
    let echoed = this.echoedRound;
    for (let i = 0; i < this.#echoes.length; i++) {
      const candidate = this.#echoes[i]!;
      if (candidate > echoed && this.#count(candidate) >= this.#quorum) echoed = candidate;
    }
    if (echoed === this.echoedRound) return false;
    this.echoedRound = echoed;
    this.roundTripUs += (nowUs - this.sentUs(echoed) - this.roundTripUs) / 8;
    return true;
  }

  /** When the round was sent. */
  sentUs(round: number): number {
    const isKept = round > 0 && round > this.round - ROUNDS;
    return isKept ? this.#sentUs[round % ROUNDS]! : Number.NEGATIVE_INFINITY;
  }

  /** When the last round left that a quorum has echoed; −∞: none did. */
  get echoedSentUs(): number {
    return this.sentUs(this.echoedRound);
  }

  /** How many acceptors have echoed a round sent at `sinceUs` or later. */
  heardBy(sinceUs: number): number {
    let count = 0;
    for (let i = 0; i < this.#echoes.length; i++) if (this.sentUs(this.#echoes[i]!) >= sinceUs) count++;
    return count;
  }

  #count(round: number): number {
    let count = 0;
    for (let i = 0; i < this.#echoes.length; i++) if (this.#echoes[i]! >= round) count++;
    return count;
  }
}
