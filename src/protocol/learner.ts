/**
 * The learner. Finds out what is chosen, delivers it in instance order, each instance once, and repairs what it missed:
 * it asks the acceptors to repeat. Pure.
 *
 * Invariants: instances are delivered in order; one is left out only when so many acceptors have trimmed it that no
 * quorum can repeat it, and that is told to the application, never silent.
 */
import { LearnerTrims, type LearnerTrimsOptions } from "./learner_trims.ts";
import { LearnerWindow } from "./learner_window.ts";
import type { Outbox } from "./outbox.ts";
import { quorumOf } from "./quorum.ts";
import { type Ballot, type Life, MAX_IID } from "./types.ts";

/** Instances asked for in one repeat, and runs of holes asked for in one pass. */
const REPEAT_SPAN = 64;
/** What one repeat may bring, in bytes: as much as an acceptor answers at once. */
const REPEAT_BYTES = 65536;
const REPEAT_RUNS = 4;
const NOTHING = new Uint8Array(0);
const HOLE_FIRST_US = 5_000;
const HOLE_MAX_US = 100_000;
const HI_FIRST_US = 100_000;
const HI_AGAIN_US = 1_000_000;
const OK_SILENCE_US = 3_500_000;
const PROBE_US = 1_000_000;
/** A probe that brought nothing for so long has found the end of the log. */
const PROBE_ANSWER_US = 50_000;

/** Where a learner's values go. */
export interface Application {
  /** Takes the value of the next instance; false: not now, offer it again (back-pressure). */
  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean;
  /** The instances first…last were trimmed before this learner got them: they will never be delivered here. */
  skipped(first: number, last: number): void;
  /** The highest instance whose effects the application keeps safe: up to there the log may be trimmed. */
  acknowledged(): number;
}

/** Values are learned but nobody wants them: a proposer's own learner. */
export const NO_APPLICATION: Application = {
  deliver: () => true,
  skipped: () => undefined,
  acknowledged: () => MAX_IID,
};

/** A core of the same process that wants to know of each instance as soon as its chosen value is known. */
export interface ChosenObserver {
  onLearned(iid: number, ballot: Ballot, life: Life, bytes: Uint8Array, offset: number, length: number): void;
}

export interface LearnerOptions extends LearnerTrimsOptions {
  readonly windowInstances: number;
  readonly windowBytes: number;
  /** Start from instance 1 instead of from the present. */
  readonly catchUp: boolean;
  /** A proposer's learner is told where to start (`startAt`): what is in flight then is the proposer's business too. */
  readonly waitsForStart: boolean;
  /** A first instance heard below this means that the log has just begun (Kernel_Paxos wire). */
  readonly beginning: number;
}

export class Learner {
  readonly window: LearnerWindow;
  /** Next instance to deliver; 0: not known yet where to start. */
  next: number;
  /** Reading the log from its beginning, and not yet at its end (Kernel_Paxos wire, where only probing finds it). */
  catchingUp: boolean;
  /** Highest instance known to have been accepted or chosen somewhere. */
  highestIid = 0;
  readonly counters = { delivered: 0, skipped: 0, repeatsSent: 0, outOfWindow: 0, stalled: 0 };
  /** When each acceptor was last heard (any message), in microseconds. */
  readonly heardUs: Float64Array;
  readonly #options: LearnerOptions;
  readonly #outbox: Outbox;
  readonly #application: Application;
  #observer: ChosenObserver | null = null;
  readonly #okUs: Float64Array;
  readonly #hiDueUs: Float64Array;
  readonly #trims: LearnerTrims;
  readonly #states: Float64Array;
  #nowUs = 0;
  #startedUs = -1;
  /** The instance `next` was blocked at, since when, and when to ask again. */
  #blockedIid = 0;
  #blockedSinceUs = 0;
  #askDueUs = 0;
  #askPauseUs = HOLE_FIRST_US;
  /** Bulk catch-up: last instance asked for; beyond it the next request leaves at once. */
  #askedTo = 0;
  #turnAcceptor = 0;
  /** Length of the values delivered lately, in bytes. */
  #valueBytes = 0;
  #probeDueUs = 0;
  #probedTo = 0;
  /** Highest instance that any acceptor was asked for. */
  #requestedTo = 0;
  readonly #readsByProbing: boolean;
  #probedUs = Number.NEGATIVE_INFINITY;

  constructor(options: LearnerOptions, outbox: Outbox, application: Application) {
    this.#options = options;
    this.#outbox = outbox;
    this.#application = application;
    this.window = new LearnerWindow(options.windowInstances, options.windowBytes, options.acceptors);
    this.next = options.catchUp ? 1 : 0;
    this.#readsByProbing = options.catchUp && !options.statesTellHighest;
    this.catchingUp = this.#readsByProbing;
    this.heardUs = new Float64Array(options.acceptors).fill(Number.NEGATIVE_INFINITY);
    this.#okUs = new Float64Array(options.acceptors).fill(Number.NEGATIVE_INFINITY);
    this.#hiDueUs = new Float64Array(options.acceptors);
    this.#trims = new LearnerTrims(options, outbox);
    this.#states = new Float64Array(options.acceptors).fill(-1);
  }

  observe(observer: ChosenObserver): void {
    this.#observer = observer;
  }

  /** Whether the acceptor knows us: it has answered our hi, and was heard lately (the reference answers only once). */
  isRegistered(aid: number): boolean {
    const everAnswered = this.#okUs[aid]! > Number.NEGATIVE_INFINITY;
    return everAnswered && this.#nowUs - Math.max(this.#okUs[aid]!, this.heardUs[aid]!) < OK_SILENCE_US;
  }

  /** Leaves out everything below `iid`: the caller knows that it is chosen and needs none of it. */
  startAt(iid: number): void {
    if (iid <= this.next) return;
    if (this.next > 0) this.#release(iid);
    this.next = iid;
  }

  /** The value that a proposer has sent for an instance (native wire: `accept` is multicast). */
  onAccept(iid: number, ballot: Ballot, life: Life, bytes: Uint8Array, offset: number, length: number): void {
    if (!this.#inWindow(iid) || this.window.isReady(iid)) return;
    this.window.offer(iid, ballot, life, bytes, offset, length);
    if (this.window.isReady(iid)) this.#learned(iid);
  }

  onAccepted(
    aid: number,
    iid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
    isChosen = false,
  ): void {
    this.heardUs[aid] = this.#nowUs;
    // From here on it is known how far the log goes: no need to probe for its end.
    if (this.isNews(iid)) this.catchingUp = false;
    if (iid > this.highestIid) this.highestIid = iid;
    if (!this.#inWindow(iid)) return;
    const wasReady = this.window.isReady(iid);
    this.window.vote(iid, aid, ballot, life, isChosen);
    if (length >= 0) this.window.offer(iid, ballot, life, bytes, offset, length);
    if (!wasReady && this.window.isReady(iid)) this.#learned(iid);
  }

  /** Instances first…last were accepted at one ballot. However long the range says it is, only the window's part counts. */
  onAcceptedRange(aid: number, first: number, last: number, ballot: Ballot, life: Life): void {
    const end = this.next === 0 ? first : Math.min(last, this.next + this.window.instances - 1);
    for (let iid = Math.max(first, this.next); iid <= end; iid++) {
      this.onAccepted(aid, iid, ballot, life, NOTHING, 0, -1);
    }
    if (last > this.highestIid) this.highestIid = last;
  }

  /** Everything ≤ `iid` is chosen; where we stand lower, something was missed. */
  onChosen(iid: number): void {
    if (iid > this.highestIid) this.highestIid = iid;
  }

  onAcceptorState(aid: number, trimIid: number, highestIid: number, flags: number): void {
    this.heardUs[aid] = this.#nowUs;
    this.#trims.onState(aid, trimIid, flags);
    // Where everything is trimmed there was something (and the Kernel_Paxos wire tells of nothing else).
    const highest = Math.max(trimIid, highestIid);
    this.#states[aid] = highest;
    if (highest > this.highestIid) this.highestIid = highest;
    if (this.next === 0 && this.#options.statesTellHighest && !this.#options.waitsForStart)
      this.#startFromStates();
  }

  onAcceptorOk(aid: number): void {
    this.heardUs[aid] = this.#nowUs;
    this.#okUs[aid] = this.#nowUs;
  }

  /** Delivers what is ready. To be called after the turn's messages; true while the application took everything. */
  deliver(): boolean {
    if (this.next === 0) return true;
    const window = this.window;
    while (window.isReady(this.next)) {
      const iid = this.next;
      if (!this.#application.deliver(iid, window.arena.bytes, window.offset(iid), window.length(iid))) {
        this.counters.stalled++;
        return false;
      }
      this.#trims.delivered(window.length(iid));
      this.#valueBytes += (window.length(iid) - this.#valueBytes) / 16;
      window.release(iid);
      this.next = iid + 1;
      this.counters.delivered++;
    }
    if (this.#askedTo > 0 && this.next > this.#askedTo && this.isBehind) this.#ask();
    return true;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (this.#startedUs < 0) this.#startedUs = nowUs;
    this.#sayHi();
    this.#repair();
    this.#trims.report(Math.min(this.#application.acknowledged(), this.next - 1), nowUs);
  }

  /** Wants to hear the clock again at this time. */
  nextTickUs(): number {
    let due = this.#isBlocked() ? Math.max(this.#askDueUs, this.#nowUs) : this.#nextProbeUs();
    for (let aid = 0; aid < this.#hiDueUs.length; aid++) due = Math.min(due, this.#hiDueUs[aid]!);
    return Math.min(due, this.#trims.dueUs);
  }

  /** Says goodbye to the acceptors. */
  close(): void {
    this.#outbox.learnerDel();
  }

  #inWindow(iid: number): boolean {
    if (this.next === 0) {
      if (this.#options.statesTellHighest || this.#options.waitsForStart) return false;
      this.next = iid <= this.#options.beginning ? 1 : iid;
    }
    if (iid < this.next) return false;
    if (iid < this.next + this.window.instances) return true;
    this.counters.outOfWindow++;
    return false;
  }

  #learned(iid: number): void {
    const window = this.window;
    this.#observer?.onLearned(
      iid,
      window.chosenBallot(iid),
      window.chosenLife(iid),
      window.arena.bytes,
      window.offset(iid),
      window.length(iid),
    );
  }

  /** The present: just above what a quorum of acceptors has accepted when we came. */
  #startFromStates(): void {
    let known = 0;
    let highest = 0;
    for (let aid = 0; aid < this.#states.length; aid++) {
      if (this.#states[aid]! < 0) continue;
      known++;
      highest = Math.max(highest, this.#states[aid]!);
    }
    if (known >= quorumOf(this.#options.acceptors)) this.next = highest + 1;
  }

  /** Whether what an acceptor says of this instance cannot be an answer to us. */
  isNews(iid: number): boolean {
    return this.#requestedTo > 0 && iid > this.#requestedTo;
  }

  /** More is known to be in the log than was delivered. */
  get isBehind(): boolean {
    return this.next > 0 && this.highestIid >= this.next;
  }

  /** Something is known beyond `next`, and `next` cannot be delivered for want of messages. */
  #isBlocked(): boolean {
    return this.isBehind && !this.window.isReady(this.next);
  }

  #sayHi(): void {
    for (let aid = 0; aid < this.#hiDueUs.length; aid++) {
      if (this.#nowUs < this.#hiDueUs[aid]!) continue;
      this.#outbox.learnerHi(aid);
      this.#hiDueUs[aid] = this.#nowUs + (this.isRegistered(aid) ? HI_AGAIN_US : HI_FIRST_US);
    }
  }

  #repair(): void {
    if (!this.#isBlocked()) {
      this.#blockedIid = 0;
      this.#askedTo = this.isBehind ? this.#askedTo : 0;
      this.#probe();
      return;
    }
    if (this.#blockedIid !== this.next) {
      this.#blockedIid = this.next;
      this.#blockedSinceUs = this.#nowUs;
      this.#askPauseUs = HOLE_FIRST_US;
      this.#askDueUs = this.#nowUs + HOLE_FIRST_US;
      return;
    }
    if (this.#nowUs < this.#askDueUs) return;
    if (this.#nowUs - this.#blockedSinceUs > HOLE_MAX_US) {
      // What nobody can repeat may be a hole that a proposer has to fill, and proposers wait for the catching up.
      this.catchingUp = this.#skipTrimmed() && this.#readsByProbing;
    }
    if (!this.#isBlocked()) return;
    this.#ask();
    this.#askPauseUs = Math.min(this.#askPauseUs * 2, HOLE_MAX_US);
    this.#askDueUs = this.#nowUs + this.#askPauseUs;
  }

  /**
   * Nobody may know that there is more: the last messages can be lost, and in the Kernel_Paxos wire no state tells of
   * the highest instance. So an idle learner asks once a second for what may follow.
   */
  #probe(): void {
    if (this.#options.statesTellHighest || this.next === 0) return;
    if (this.catchingUp && this.#probedTo > 0) {
      if (this.next > this.#probedTo) this.#probeDueUs = this.#nowUs;
      else if (this.#nowUs - this.#probedUs >= PROBE_ANSWER_US) this.catchingUp = false;
    }
    if (this.#nowUs < this.#probeDueUs) return;
    this.#probedTo = this.next + REPEAT_SPAN - 1;
    this.#probedUs = this.#nowUs;
    this.#probeDueUs = this.#nowUs + PROBE_US;
    this.#askAll(this.next, this.#probedTo);
  }

  #nextProbeUs(): number {
    if (this.#options.statesTellHighest || this.next === 0) return Number.POSITIVE_INFINITY;
    if (!this.catchingUp || this.#probedTo === 0) return this.#probeDueUs;
    return this.next > this.#probedTo ? this.#nowUs : this.#probedUs + PROBE_ANSWER_US;
  }

  /** Asks for the runs of instances that cannot be delivered yet, lowest first. */
  #ask(): void {
    const window = this.window;
    const limit = Math.min(this.highestIid, this.next + window.instances - 1);
    const span = Math.max(1, Math.min(REPEAT_SPAN, Math.floor(REPEAT_BYTES / (this.#valueBytes + 1))));
    let iid = this.next;
    for (let run = 0; run < REPEAT_RUNS && iid <= limit; run++) {
      while (iid <= limit && window.isReady(iid)) iid++;
      if (iid > limit) break;
      const first = iid;
      const wantsValue = window.isChosen(iid);
      while (
        iid <= limit &&
        iid - first < span &&
        !window.isReady(iid) &&
        window.isChosen(iid) === wantsValue
      )
        iid++;
      if (wantsValue) {
        // The votes are here: any one acceptor can tell the value.
        this.#turnAcceptor = (this.#turnAcceptor + 1) % this.#options.acceptors;
        this.#outbox.repeat(this.#turnAcceptor, first, iid - 1);
        this.counters.repeatsSent++;
      } else this.#askAll(first, iid - 1);
      this.#askedTo = iid - 1;
    }
  }

  #askAll(first: number, last: number): void {
    if (last > this.#requestedTo) this.#requestedTo = last;
    for (let aid = 0; aid < this.#options.acceptors; aid++) this.#outbox.repeat(aid, first, last);
    this.counters.repeatsSent += this.#options.acceptors;
  }

  /** Moves past what can never be had any more (true: it did): trimmed by so many acceptors that no quorum is left to repeat it. */
  #skipTrimmed(): boolean {
    const lost = this.#trims.lost();
    if (lost < this.next) return false;
    const first = this.next;
    this.#release(lost + 1);
    this.next = lost + 1;
    this.counters.skipped += this.next - first;
    this.#application.skipped(first, lost);
    // The log goes on above it, perhaps far.
    this.#probedTo = 0;
    this.#probeDueUs = this.#nowUs;
    return true;
  }

  #release(below: number): void {
    const end = Math.min(below, this.next + this.window.instances);
    for (let iid = this.next; iid < end; iid++) this.window.release(iid);
  }
}
