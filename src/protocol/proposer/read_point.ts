/**
 * Linearizable reads at the leader: who asks is told an instance; who has delivered that has seen everything that was
 * acknowledged to anybody before the question came. Pure.
 *
 * The instance is the highest that the leader had proposed when it was asked (what others have learned to be chosen at
 * its ballot is among them; what was chosen before lies below). It is told when everything up to there is chosen, so that
 * nobody waits for it in vain, and when no other can have chosen anything before the question came:
 * - a quorum of acceptors has echoed a heartbeat that was begun after the question came; many questions share one; or
 * - a lease runs: since the sending of a heartbeat that a quorum has echoed, less 1 % for clocks that differ. The turn's time
 *   is read after its frames were received, so a lease that runs then runs after the question came, however long the
 *   turn takes. A question that this process asked itself meanwhile waits for the next turn.
 */

import type { Outbox } from "../outbox.ts";
import type { Peer } from "../types.ts";
import type { Heartbeats } from "./heartbeats.ts";

/** Questions that may wait; more are told to come back. */
const QUESTIONS = 4096;
const CLOCK_DRIFT = 0.01;
/** Frames kept free while questions are answered in bulk. */
const ROOM_RESERVE = 16;
const LEAST_RETRY_US = 2_000;

export class ReadPoint {
  readonly counters = { asked: 0, confirmed: 0, leased: 0, unconfirmed: 0 };
  readonly #outbox: Outbox;
  readonly #heartbeats: Heartbeats;
  readonly #leaseUs: number;
  readonly #peers = new Int32Array(QUESTIONS);
  readonly #nonces = new Float64Array(QUESTIONS);
  readonly #iids = new Float64Array(QUESTIONS);
  /** The first heartbeat begun after the question came. */
  readonly #rounds = new Float64Array(QUESTIONS);
  /** The turn from which on a lease may answer it. */
  readonly #turns = new Float64Array(QUESTIONS);
  #head = 0;
  #count = 0;
  #turn = 0;
  #acted = false;
  /** Only heartbeats from this one on asked for a lease. */
  #leaseRound = 1;

  constructor(outbox: Outbox, heartbeats: Heartbeats, leaseMs: number) {
    this.#outbox = outbox;
    this.#heartbeats = heartbeats;
    this.#leaseUs = leaseMs * 1000 * (1 - CLOCK_DRIFT);
  }

  /** Questions that wait. */
  get waiting(): number {
    return this.#count;
  }

  /** A turn begins. */
  tick(): void {
    this.#turn++;
    this.#acted = false;
  }

  /** The heartbeats that follow ask for leases. */
  begin(): void {
    this.#leaseRound = this.#heartbeats.round + 1;
  }

  /** Whoever leads: `highestIid` is the highest instance proposed. */
  ask(from: Peer, nonce: number, highestIid: number): void {
    this.counters.asked++;
    if (this.#count === QUESTIONS) return this.refuse(from, nonce);
    const at = (this.#head + this.#count++) % QUESTIONS;
    this.#peers[at] = from;
    this.#nonces[at] = nonce;
    this.#iids[at] = highestIid;
    this.#rounds[at] = this.#heartbeats.round + 1;
    this.#turns[at] = this.#turn + (this.#acted ? 1 : 0);
  }

  /** Not here, or not now. */
  refuse(from: Peer, nonce: number): void {
    this.counters.unconfirmed++;
    this.#outbox.readIndex(from, nonce, 0, false);
  }

  /** The leadership has ended: nobody is told what cannot be known any more. */
  refuseAll(): void {
    while (this.#count > 0) {
      this.refuse(this.#peers[this.#head]! as Peer, this.#nonces[this.#head]!);
      this.#drop();
    }
  }

  /** Answers what can be answered; everything ≤ `chosenIid` is chosen. True: frames ran out before. */
  answer(nowUs: number, chosenIid: number): boolean {
    this.#acted = true;
    const { echoedRound } = this.#heartbeats;
    const isLeased = this.isLeased(nowUs);
    while (this.#count > 0) {
      const at = this.#head;
      if (this.#iids[at]! > chosenIid) return false;
      const isConfirmed = this.#rounds[at]! <= echoedRound;
      if (!isConfirmed && !(isLeased && this.#turns[at]! <= this.#turn)) return false;
      if (this.#outbox.room() < ROOM_RESERVE) return true;
      if (isConfirmed) this.counters.confirmed++;
      else this.counters.leased++;
      this.#outbox.readIndex(this.#peers[at]! as Peer, this.#nonces[at]!, this.#iids[at]!, true);
      this.#drop();
    }
    return false;
  }

  isLeased(nowUs: number): boolean {
    const { echoedRound, echoedSentUs } = this.#heartbeats;
    return this.#leaseUs > 0 && echoedRound >= this.#leaseRound && nowUs < echoedSentUs + this.#leaseUs;
  }

  /** When a heartbeat is due for the sake of a question: at once, unless one is under way that may be echoed yet. */
  dueUs(nowUs: number): number {
    const { round, echoedRound, roundTripUs } = this.#heartbeats;
    if (this.#count === 0) return Number.POSITIVE_INFINITY;
    const wanted = this.#rounds[(this.#head + this.#count - 1) % QUESTIONS]!;
    if (wanted <= echoedRound) return Number.POSITIVE_INFINITY;
    if (wanted > round && echoedRound >= round) return nowUs;
    return this.#heartbeats.sentUs(round) + LEAST_RETRY_US + 4 * roundTripUs;
  }

  #drop(): void {
    this.#head = (this.#head + 1) % QUESTIONS;
    this.#count--;
  }
}
