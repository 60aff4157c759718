/**
 * What goes on between acceptors (native wire): questions about who votes, and recoveries, this acceptor's own and
 * those of others. What is decided of it is in `birth.ts` and `recovery.ts`.
 */

import type { Outbox } from "../outbox.ts";
import type { Ballot, Life, Peer, Standing } from "../types.ts";
import type { Acceptor } from "./acceptor.ts";
import { Birth } from "./birth.ts";
import type { BirthOptions } from "./birth_options.ts";
import type { Journal } from "./journal.ts";
import { Recovery } from "./recovery.ts";

/** Frames that answer others' recoveries in one turn; each that asks gets one at least, as long as there are any. */
const TURN_FRAMES = 64;
/** Frames left to others. */
const ROOM_RESERVE = 32;

export class FellowAcceptors {
  readonly birth: Birth;
  readonly recovery: Recovery;
  readonly #acceptor: Acceptor;
  readonly #life: Life;
  readonly #outbox: Outbox;
  /**
   * The ballot and life at which each other acceptor recovers from this one, and the generation that was known of it when that ballot
   * was promised. A promise given to a leader before a later generation was known does not tell the leader of it: the former self
   * may have voted with it.
   */
  readonly #ballots: Float64Array;
  readonly #lives: Float64Array;
  readonly #generations: Float64Array;
  /**
   * The highest instance held here when that ballot was promised. What was accepted above it since then was accepted at higher
   * ballots, at which the former self of who recovers never voted: an answer that told it too might never come to its end.
   */
  readonly #ends: Float64Array;
  /** The promise frame being read is an answer to our recovery. */
  #reads = false;
  /** Of this turn's. */
  #framesLeft = TURN_FRAMES;

  constructor(acceptor: Acceptor, options: BirthOptions, journal: Journal, outbox: Outbox) {
    const { aid, acceptors } = options;
    this.#acceptor = acceptor;
    this.#life = options.life;
    this.#outbox = outbox;
    this.#ballots = new Float64Array(acceptors);
    this.#lives = new Float64Array(acceptors);
    this.#generations = new Float64Array(acceptors);
    this.#ends = new Float64Array(acceptors);
    this.recovery = new Recovery(aid, acceptors, acceptor.log, journal, outbox);
    this.birth = new Birth(options, acceptor.standing, this.recovery, journal, outbox);
  }

  tick(nowUs: number): void {
    const { log } = this.#acceptor;
    this.#framesLeft = TURN_FRAMES;
    if (this.birth.tick(nowUs, log.highestIid > 0 || log.trimIid > 0)) this.#vote();
  }

  onStandingAsk(
    from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    generation: number,
    life: Life,
  ): void {
    this.birth.onStandingAsk(from, aid, nonce, standing, generation, life, this.#acceptor.promised);
  }

  onStanding(
    aid: number,
    nonce: number,
    standing: Standing,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (this.birth.onStanding(aid, nonce, standing, ballot, bytes, offset, length)) this.#vote();
  }

  /** Another acceptor recovers: it is told whatever was here above the trim point when its ballot was promised. */
  onRecover(from: Peer, aid: number, iid: number, ballot: Ballot, life: Life, frames: number): void {
    const acceptor = this.#acceptor;
    if (this.birth.voice === null) return;
    // Its ballot is promised once, before the first part; what is promised to others by who knows its generation does not touch what it needs.
    const generation = acceptor.standing.generations[aid]!;
    const isKnown = this.#ballots[aid] === ballot && this.#lives[aid] === life;
    if (!isKnown || this.#generations[aid] !== generation) {
      // Promised already: by this acceptor before it restarted with its storage.
      const isPromised = ballot === acceptor.promised && life === acceptor.promisedLife;
      if (ballot <= acceptor.promised && !isPromised) return this.birth.answer(aid, acceptor.promised);
      // No lease stands against it: nothing is ever proposed at such a ballot.
      if (!isPromised) acceptor.promise(ballot, life);
      this.#ballots[aid] = ballot;
      this.#lives[aid] = life;
      this.#generations[aid] = generation;
      this.#ends[aid] = acceptor.log.highestIid;
    }
    const first = Math.max(iid, acceptor.log.trimIid + 1);
    const room = this.#outbox.room();
    const most = Math.max(1, Math.min(frames, this.#framesLeft, room - ROOM_RESERVE));
    acceptor.answerPhaseOne(from, iid, first, this.#ends[aid]!, ballot, life, most);
    this.#framesLeft -= room - this.#outbox.room();
  }

  /** A promise frame, which may be an answer to our recovery. */
  onPromiseBegin(
    aid: number,
    ballot: Ballot,
    life: Life,
    asked: number,
    last: number,
    trimIid: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#reads = this.birth.onPromiseBegin(ballot, life, bytes, offset, length);
    if (this.#reads) this.recovery.onBegin(aid, asked, last, trimIid, bytes, offset, length);
  }

  onPromiseRecord(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (this.#reads) this.recovery.onRecord(iid, ballot, life, flags, bytes, offset, length);
  }

  onPromiseEnd(aid: number, more: boolean): void {
    if (!this.#reads) return;
    this.#reads = false;
    if (!this.recovery.onEnd(aid, more)) return;
    const { ballot, highestBallot, highestLife } = this.recovery;
    // Neither below what all who answered have promised for us, nor below what we hold;
    // and one that was outlived keeps a higher promise of its own.
    const [promised, by] = highestBallot > ballot ? [highestBallot, highestLife] : [ballot, this.#life];
    if (promised > this.#acceptor.promised) this.#acceptor.promise(promised, by);
    this.birth.recovered();
    this.#vote();
  }

  /** It votes from now on: whoever has asked is told. */
  #vote(): void {
    this.#acceptor.begins(this.birth.voice!);
    this.birth.tellAskers(this.#acceptor.promised);
  }
}
