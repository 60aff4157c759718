/**
 * How an acceptor that has forgotten everything takes up what others hold (PROTOCOL: birth and amnesia): phase 1 at a ballot
 * above all they have promised, answered by so many others that every quorum which its former self may have been part of
 * has one of them. What they report it keeps as hearsay, which is never its vote.
 *
 * Each of them is asked for some frames at a time (a burst), and for the next ones when the last of these is there. How many is
 * bounded by what a receive buffer holds of all their bursts; it begins with one, doubles while none is lost, and is halved
 * when one is.
 *
 * Invariants: an answer counts only when it knows the generation that is about to begin, and no other answer knows its
 * sender to have forgotten since; an answer counts when it has come to its end without a gap; of one instance after another an
 * acceptor is asked from there on once, once again where the end of a burst shows a gap, and then when it has been silent.
 */

import { FlowWindow } from "../flow_window.ts";
import type { Outbox } from "../outbox.ts";
import { PromiseQuorum } from "../promise_quorum.ts";
import { Retry } from "../retry.ts";
import { type Ballot, type Life, MAX_IID, NO_BALLOT } from "../types.ts";
import type { AcceptorLog } from "./acceptor_log.ts";
import { type Journal, RecordFlag } from "./journal.ts";

/** What all others together may have under way, in full frames. */
const BURST_BYTES = 65_536;
const ANSWER_LIMIT_US = 250_000;
const MOST_ATTEMPTS = 255;

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
  /** Frames that each acceptor may send at once, and the most there may be. */
  readonly #window: FlowWindow;
  readonly #mostFrames: number;
  readonly #retry = new Retry(ANSWER_LIMIT_US);
  /** Of the last request to each acceptor: from where on, for how many frames, when it left, how often (0: answered), when to repeat it. */
  readonly #from: Float64Array;
  readonly #frames: Float64Array;
  readonly #sentUs: Float64Array;
  readonly #sendings: Uint8Array;
  readonly #dueUs: Float64Array;
  /** How patient to be with it: repeats without an answer to a request that was sent once (Karn's rule). */
  readonly #attempts: Uint8Array;
  /** 1: a gap at its very beginning has it repeated at once. */
  readonly #mayRepeat: Uint8Array;
  #nowUs = 0;
  /** The frame being read: from whom (−1: none), and up to where it holds; and of whom the one is that came behind a gap. */
  #reading = -1;
  #last = 0;
  #beyond = -1;

  constructor(aid: number, acceptors: number, log: AcceptorLog, journal: Journal, outbox: Outbox) {
    const others = Math.max(1, acceptors - 1);
    this.#aid = aid;
    this.#log = log;
    this.#journal = journal;
    this.#outbox = outbox;
    this.#quorum = new PromiseQuorum(acceptors, othersNeeded(acceptors));
    this.#window = new FlowWindow(others, others, others, 0);
    this.#mostFrames = Math.max(1, Math.floor(BURST_BYTES / outbox.maxValue / others));
    this.#coveredTo = new Float64Array(acceptors);
    this.#begun = new Uint8Array(acceptors);
    this.#from = new Float64Array(acceptors);
    this.#frames = new Float64Array(acceptors);
    this.#sentUs = new Float64Array(acceptors);
    this.#sendings = new Uint8Array(acceptors);
    this.#dueUs = new Float64Array(acceptors);
    this.#attempts = new Uint8Array(acceptors);
    this.#mayRepeat = new Uint8Array(acceptors);
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

  /** Another ballot: everybody is asked from the trim point on, at once. */
  begin(ballot: Ballot): void {
    this.ballot = ballot;
    this.lacks = undefined;
    this.#reading = -1;
    this.#quorum.begin();
    this.#coveredTo.fill(this.#log.trimIid);
    this.#begun.fill(0);
    this.#frames.fill(0);
    this.#sendings.fill(0);
    this.#attempts.fill(0);
    this.#dueUs.fill(this.#nowUs);
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
  }

  /** When somebody has been silent for so long that a frame must be lost. */
  dueUs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (let aid = 0; aid < this.#dueUs.length; aid++) {
      if (aid !== this.#aid && !this.#quorum.has(aid)) due = Math.min(due, this.#dueUs[aid]!);
    }
    return due;
  }

  isDue(aid: number): boolean {
    return aid !== this.#aid && !this.#quorum.has(aid) && this.#nowUs >= this.#dueUs[aid]!;
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

  /** Asks an acceptor for what has not come of its answer, for the first time or because it is silent. */
  ask(aid: number): void {
    if (this.#frames[aid]! > 0) this.#missed(aid);
    this.#attempts[aid] = Math.min(MOST_ATTEMPTS, this.#attempts[aid]! + 1);
    this.#send(aid, true);
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
    this.#reading = this.#beyond = -1;
    this.#begun[aid] = 1;
    const counts = this.#quorum.note(aid, bytes, offset, length);
    for (let other = 0; other < this.#coveredTo.length; other++) {
      if (!this.#quorum.takeDropped(other)) continue;
      this.#coveredTo[other] = 0;
      // Two that contradict each other would be asked in turn for ever.
      this.#mayRepeat[other] = 0;
    }
    if (!counts) return;
    this.#dueUs[aid] = this.#nowUs + this.#retry.pauseUs(this.#attempts[aid]!);
    if (asked > this.#next(aid)) {
      this.#beyond = aid;
      return;
    }
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

  /** `more`: another frame of the burst follows. True when enough others have answered, each to the end. */
  onEnd(aid: number, more: boolean): boolean {
    if (this.#beyond === aid && !more) this.#askForGap(aid);
    if (this.#reading !== aid) return false;
    this.#reading = -1;
    const next = this.#next(aid);
    this.#coveredTo[aid] = Math.max(next - 1, this.#last);
    if (this.#last >= next) this.#moved(aid);
    if (this.#last === MAX_IID) this.#quorum.complete(aid);
    // What was asked for before, and comes late or twice, must not have the acceptor asked twice.
    else if (!more && this.#last >= this.#from[aid]!) this.#send(aid, true);
    return this.#quorum.isComplete();
  }

  #moved(aid: number): void {
    this.lacks = undefined;
    this.#window.returned(1, this.#frames[aid]!);
    if (this.#sendings[aid] === 1) {
      const us = this.#nowUs - this.#sentUs[aid]!;
      this.#retry.sample(us);
      this.#window.sample(us, this.#nowUs);
      this.#attempts[aid] = 1;
    }
    this.#sendings[aid] = 0;
  }

  /** The last frame of a burst came, and one before it has not. */
  #askForGap(aid: number): void {
    if (this.#next(aid) <= this.#from[aid]! && this.#mayRepeat[aid] === 0) return;
    this.#missed(aid);
    this.#send(aid, false);
  }

  /** Some of what was asked for has not come. */
  #missed(aid: number): void {
    if (this.#begun[aid] === 1 && this.lacks === undefined && this.#window.isNewLoss(this.#nowUs))
      this.#window.lost(this.#nowUs, this.#frames[aid]!);
  }

  /** The first instance of which the acceptor's answer has not come. */
  #next(aid: number): number {
    return Math.max(this.#coveredTo[aid]!, this.#log.trimIid) + 1;
  }

  #send(aid: number, mayRepeat: boolean): void {
    // Where nothing fits one frame is enough to see whether it does now.
    const most = this.lacks === undefined ? this.#mostFrames : 1;
    const frames = Math.min(most, Math.floor(this.#window.size));
    this.#from[aid] = this.#next(aid);
    this.#frames[aid] = frames;
    this.#mayRepeat[aid] = mayRepeat ? 1 : 0;
    this.#sentUs[aid] = this.#nowUs;
    this.#sendings[aid] = Math.min(MOST_ATTEMPTS, this.#sendings[aid]! + 1);
    this.#dueUs[aid] = this.#nowUs + this.#retry.pauseUs(this.#attempts[aid]!);
    this.#outbox.recover(aid, this.#from[aid]!, this.ballot, frames);
  }
}
