/**
 * How an acceptor that has forgotten everything takes up what others hold (PROTOCOL: birth and amnesia): phase 1 at a ballot
 * above all they have promised, answered by so many others that every quorum which its former self may have been part of
 * has one of them. What they report it keeps as hearsay, which is never its vote.
 *
 * Invariants: an answer counts only when it knows the generation that is about to begin, and no other answer knows its
 * sender to have forgotten since; an answer counts when it has come to its end without a gap.
 */

import type { Outbox } from "../outbox.ts";
import { PromiseQuorum } from "../promise_quorum.ts";
import { type Ballot, type Life, MAX_IID, NO_BALLOT } from "../types.ts";
import type { AcceptorLog } from "./acceptor_log.ts";
import { type Journal, RecordFlag } from "./journal.ts";

/** So many others that no quorum with this acceptor in it is without one of them. */
export function othersNeeded(acceptors: number): number {
  return Math.ceil(acceptors / 2);
}

/** So many others that every quorum without this acceptor, and whoever it recovered from, has one of them. */
export function othersInQuorum(acceptors: number): number {
  return Math.floor(acceptors / 2);
}

export class Recovery {
  ballot: Ballot = NO_BALLOT;
  /** What the window had too little of, the last time something did not fit. */
  lacks: "instances" | "bytes" | undefined;
  /** Records taken over. */
  records = 0;
  /** The highest ballot of a record taken over, and its life: no lower one may be accepted any more. */
  highestBallot: Ballot = NO_BALLOT;
  highestLife: Life = 0;
  readonly #aid: number;
  readonly #log: AcceptorLog;
  readonly #journal: Journal;
  readonly #outbox: Outbox;
  readonly #quorum: PromiseQuorum;
  /** Without a gap from the trim point on, of each acceptor. */
  readonly #coveredTo: Float64Array;
  readonly #begun: Uint8Array;
  /** The frame being read: from whom (−1: none), and up to where it holds. */
  #reading = -1;
  #last = 0;

  constructor(aid: number, acceptors: number, log: AcceptorLog, journal: Journal, outbox: Outbox) {
    this.#aid = aid;
    this.#log = log;
    this.#journal = journal;
    this.#outbox = outbox;
    this.#quorum = new PromiseQuorum(acceptors, othersNeeded(acceptors));
    this.#coveredTo = new Float64Array(acceptors);
    this.#begun = new Uint8Array(acceptors);
  }

  /** What the log holds is no more than hearsay: another has voted in this acceptor's place since. */
  takeOver(): void {
    const log = this.#log;
    for (let iid = log.trimIid + 1; iid <= log.highestIid; iid++) {
      const ballot = log.ballotAt(iid);
      if (ballot === NO_BALLOT) continue;
      log.setFlags(iid, log.flagsAt(iid) | RecordFlag.hearsay);
      if (ballot <= this.highestBallot) continue;
      this.highestBallot = ballot;
      this.highestLife = log.lifeAt(iid);
    }
  }

  /** Another ballot: everybody is asked from the trim point on. */
  begin(ballot: Ballot): void {
    this.ballot = ballot;
    this.lacks = undefined;
    this.#reading = -1;
    this.#quorum.begin();
    this.#coveredTo.fill(this.#log.trimIid);
    this.#begun.fill(0);
  }

  /** Whether the acceptor's whole answer is there. */
  has(aid: number): boolean {
    return this.#quorum.has(aid);
  }

  /** Whether it has begun to answer at the present ballot. */
  hasBegun(aid: number): boolean {
    return this.#begun[aid] === 1;
  }

  /** How many answers are there. */
  get answers(): number {
    return this.#quorum.count;
  }

  /** Asks for what has not come of one acceptor's answer. */
  ask(aid: number): void {
    if (aid === this.#aid || this.#quorum.has(aid)) return;
    this.#outbox.recover(aid, Math.max(this.#coveredTo[aid]!, this.#log.trimIid) + 1, this.ballot);
  }

  /** One frame of an answer begins; the value is its sender's standing. */
  onBegin(
    aid: number,
    asked: number,
    last: number,
    trimIid: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#reading = -1;
    this.#begun[aid] = 1;
    const counts = this.#quorum.note(aid, bytes, offset, length);
    for (let other = 0; other < this.#coveredTo.length; other++) {
      if (this.#quorum.takeDropped(other)) this.#coveredTo[other] = 0;
    }
    if (!counts || asked > Math.max(this.#coveredTo[aid]!, this.#log.trimIid) + 1) return;
    this.#reading = aid;
    this.#last = last;
    if (trimIid <= this.#log.trimIid) return;
    this.#log.trim(trimIid);
    this.#journal.trimmed(trimIid);
  }

  onRecord(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const log = this.#log;
    if (this.#reading < 0 || iid <= log.trimIid || iid > this.#last) return;
    const held = log.ballotAt(iid);
    const mark = flags & RecordFlag.chosen;
    if (held === ballot && log.lifeAt(iid) === life) {
      log.setFlags(iid, log.flagsAt(iid) | mark);
      return;
    }
    if (held >= ballot) return;
    const kept = RecordFlag.hearsay | mark;
    const fits = log.covers(iid);
    if (!fits || !log.accept(iid, ballot, life, kept, bytes, offset, length)) {
      this.lacks = fits ? "bytes" : "instances";
      this.#last = iid - 1;
      return;
    }
    this.#journal.accepted(iid, ballot, life, kept, bytes, offset, length);
    this.records++;
    if (ballot <= this.highestBallot) return;
    this.highestBallot = ballot;
    this.highestLife = life;
  }

  /** True when enough others have answered, each to the end. */
  onEnd(aid: number): boolean {
    if (this.#reading !== aid) return false;
    this.#reading = -1;
    const covered = Math.max(this.#coveredTo[aid]!, this.#log.trimIid);
    // A duplicate brings nothing new, and must not have the acceptor asked twice.
    const isNews = this.#last > covered;
    this.#coveredTo[aid] = Math.max(covered, this.#last);
    if (this.#last === MAX_IID) {
      this.lacks = undefined;
      this.#quorum.complete(aid);
    } else if (isNews) {
      this.lacks = undefined;
      this.ask(aid);
    }
    return this.#quorum.isComplete();
  }
}
