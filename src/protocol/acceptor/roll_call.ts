/**
 * One round of questions to all other acceptors: what are you, and what do you know? Each round has a nonce of its own, and
 * an answer counts in the round that asked for it only, so everything known here was said after the round began.
 */
import type { Outbox } from "../outbox.ts";
import type { StandingVector } from "../standing.ts";
import { type Ballot, type Life, Standing } from "../types.ts";

/** A nonce: random, below 2^52. */
const NONCES = 2 ** 52 - 2;
/** Nobody is asked more often than this, whoever asks us. */
const LEAST_GAP_US = 5_000;

export class RollCall {
  nonce = 0;
  /** The highest ballot that anybody said it has promised, ever. */
  highestBallot = 0;
  /** What each said it is in this round (`Standing`), 0: nothing yet. */
  readonly answers: Uint8Array;
  /** What each gave as its own incarnation: that of one which has never voted is its life. */
  readonly incarnations: Float64Array;
  /** … and as its own generation. */
  readonly #generations: Float64Array;
  /** Which generation of this acceptor each knows. */
  readonly #known: Float64Array;
  readonly #askedUs: Float64Array;
  readonly #aid: number;
  readonly #random: () => number;
  readonly #outbox: Outbox;

  constructor(aid: number, acceptors: number, random: () => number, outbox: Outbox) {
    this.#aid = aid;
    this.#random = random;
    this.#outbox = outbox;
    this.answers = new Uint8Array(acceptors);
    this.incarnations = new Float64Array(acceptors);
    this.#generations = new Float64Array(acceptors);
    this.#known = new Float64Array(acceptors);
    this.#askedUs = new Float64Array(acceptors).fill(Number.NEGATIVE_INFINITY);
  }

  /** Another round: nobody has answered. */
  begin(): void {
    this.nonce = 1 + Math.floor(this.#random() * NONCES);
    this.answers.fill(0);
    this.#askedUs.fill(Number.NEGATIVE_INFINITY);
  }

  /** Asks one acceptor, unless it was asked just now. */
  ask(aid: number, standing: Standing, generation: number, nowUs: number): void {
    if (aid === this.#aid || nowUs - this.#askedUs[aid]! < LEAST_GAP_US) return;
    this.#askedUs[aid] = nowUs;
    this.#outbox.standingAsk(aid, this.nonce, standing, generation);
  }

  note(aid: number, standing: Standing, ballot: Ballot, vector: StandingVector): void {
    this.answers[aid] = standing;
    this.incarnations[aid] = vector.incarnations[aid]!;
    this.#generations[aid] = vector.generations[aid]!;
    this.#known[aid] = vector.generations[this.#aid]!;
    if (ballot > this.highestBallot) this.highestBallot = ballot;
  }

  /** What this acceptor said is of a former life of it. */
  forget(aid: number): void {
    this.answers[aid] = 0;
  }

  /** Whether it has answered in its present life. */
  hasAnswered(aid: number, life: Life): boolean {
    const standing = this.answers[aid]!;
    return standing !== 0 && (standing !== Standing.fresh || this.incarnations[aid] === life);
  }

  /** How many others said that they are this; 0: have not answered. */
  count(standing: Standing | 0): number {
    let count = 0;
    for (let aid = 0; aid < this.answers.length; aid++) {
      if (aid !== this.#aid && this.answers[aid] === standing) count++;
    }
    return count;
  }

  /** How many of those that vote have answered, each as the one that is the newest known here. */
  confirmed(vector: StandingVector): number {
    let count = 0;
    for (let aid = 0; aid < this.answers.length; aid++) {
      if (this.answers[aid] !== Standing.voting) continue;
      if (!vector.outdates(aid, this.#generations[aid]!, this.incarnations[aid]!)) count++;
    }
    return count;
  }

  /** How many of those that vote know of this generation of ours, or of a later one. */
  acknowledged(generation: number): number {
    let count = 0;
    for (let aid = 0; aid < this.answers.length; aid++) {
      if (this.answers[aid] === Standing.voting && this.#known[aid]! >= generation) count++;
    }
    return count;
  }

  /** The highest generation of ours that anybody who votes knows. */
  highestKnown(): number {
    let highest = 0;
    for (let aid = 0; aid < this.answers.length; aid++) {
      if (this.answers[aid] === Standing.voting) highest = Math.max(highest, this.#known[aid]!);
    }
    return highest;
  }
}
