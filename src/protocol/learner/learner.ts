/**
 * The learner. Finds out what is chosen, delivers it in instance order, each instance once, and repairs what it missed:
 * it asks the acceptors to repeat. Pure.
 *
 * Invariants: instances are delivered in order. One is left out only when so many acceptors have trimmed it that no quorum
 * can repeat it (native wire: when one has, and the others cannot prove for a while what they have), and that is told to the
 * application, never silent. A learner that keeps what the log has made so far
 * (`keepsState`) leaves nothing out by itself: it stays where it is until a snapshot leads it on (`restored`).
 * Where the log is known that it delivers from (`isOf`), no word of another one counts (`told_logs.ts`).
 */

import type { Outbox } from "../outbox.ts";
import { quorumOf } from "../quorum.ts";
import { type Ballot, type Life, MAX_IID, NO_BALLOT } from "../types.ts";
import { LearnerRepair, type RepairOptions } from "./learner_repair.ts";
import { LearnerTrims, type LearnerTrimsOptions } from "./learner_trims.ts";
import { LearnerWindow } from "./learner_window.ts";
import { ToldLogs } from "./told_logs.ts";

const NOTHING = new Uint8Array(0);
const HI_FIRST_US = 100_000;
const HI_AGAIN_US = 1_000_000;
const OK_SILENCE_US = 3_500_000;
/** Every hi is answered with an OK, so who is told of the log for so long without one has no place. */
const TURNED_AWAY_US = 2_000_000;
/** Acceptors that vote tell their state each second. */
const MUTE_US = 2_500_000;

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

export interface LearnerOptions extends LearnerTrimsOptions, RepairOptions {
  readonly windowInstances: number;
  readonly windowBytes: number;
  /** It is told where to start (`startAt`, `restored`). */
  readonly waitsForStart: boolean;
  /** A first instance heard below this means that the log has just begun (Kernel_Paxos wire). */
  readonly beginning: number;
}

export class Learner {
  readonly window: LearnerWindow;
  /** Next instance to deliver; 0: not known yet where to start. */
  next: number;
  /** Highest instance known to have been accepted or chosen somewhere. */
  highestIid = 0;
  /** Up to here the leader says that everything is chosen. */
  chosenIid = 0;
  /** The log cannot be read on for want of what is trimmed up to here; 0: it can. Only a snapshot of at least as much helps. */
  lostIid = 0;
  /** What it began with may be of a former log: so far a quorum of acceptors has not told of its log, or that it goes so far. */
  isDoubted = false;
  /** The application has refused the next instance, and may have taken a part of it. */
  isStalled = false;
  readonly counters = {
    delivered: 0,
    deliveredBytes: 0,
    skipped: 0,
    repeatsSent: 0,
    outOfWindow: 0,
    stalled: 0,
    restored: 0,
  };
  readonly repair: LearnerRepair;
  /** When each acceptor was last heard (any message), in microseconds. */
  readonly heardUs: Float64Array;
  readonly #options: LearnerOptions;
  readonly #outbox: Outbox;
  readonly #application: Application;
  #observer: ChosenObserver | null = null;
  readonly #okUs: Float64Array;
  /** Since when each acceptor has not answered hi; infinite: it has. */
  readonly #unansweredUs: Float64Array;
  /** Since when each acceptor has answered hi and said nothing else. */
  readonly #muteSinceUs: Float64Array;
  readonly #hiDueUs: Float64Array;
  readonly #hiSentUs: Float64Array;
  readonly #trims: LearnerTrims;
  readonly #states: Float64Array;
  readonly #logs: ToldLogs;
  #nowUs = 0;

  constructor(options: LearnerOptions, outbox: Outbox, application: Application) {
    this.#options = options;
    this.#outbox = outbox;
    this.#application = application;
    this.window = new LearnerWindow(options.windowInstances, options.windowBytes, options.acceptors);
    this.next = options.catchUp ? 1 : 0;
    this.heardUs = new Float64Array(options.acceptors).fill(Number.NEGATIVE_INFINITY);
    this.#okUs = new Float64Array(options.acceptors).fill(Number.NEGATIVE_INFINITY);
    this.#unansweredUs = new Float64Array(options.acceptors).fill(Number.POSITIVE_INFINITY);
    this.#muteSinceUs = new Float64Array(options.acceptors).fill(Number.POSITIVE_INFINITY);
    this.#hiDueUs = new Float64Array(options.acceptors);
    this.#hiSentUs = new Float64Array(options.acceptors);
    this.#trims = new LearnerTrims(options, outbox);
    this.#states = new Float64Array(options.acceptors).fill(-1);
    this.#logs = new ToldLogs(options.acceptors);
    this.repair = new LearnerRepair(this, options, this.#trims, outbox);
  }

  observe(observer: ChosenObserver): void {
    this.#observer = observer;
  }

  /** Whether the acceptor knows us: it has answered our hi lately; the reference answers only once, and is heard. */
  isRegistered(aid: number): boolean {
    const okUs = this.#okUs[aid]!;
    if (okUs === Number.NEGATIVE_INFINITY) return false;
    const lastUs = this.#options.statesTellHighest ? okUs : Math.max(okUs, this.heardUs[aid]!);
    return this.#nowUs - lastUs < OK_SILENCE_US;
  }

  /** The acceptor is heard, and does not answer our hi: it has no place for us among those it tells, or does not hear us. */
  isTurnedAway(aid: number): boolean {
    if (this.isRegistered(aid) || this.#nowUs - this.heardUs[aid]! >= OK_SILENCE_US) return false;
    return this.#nowUs - this.#unansweredUs[aid]! >= TURNED_AWAY_US;
  }

  /** The acceptor answers, but says nothing that only who votes says (native wire). */
  isMute(aid: number): boolean {
    return this.#options.statesTellHighest && this.#nowUs - this.#muteSinceUs[aid]! >= MUTE_US;
  }

  /** The acceptor answers, and has said last what only who votes says (native wire). */
  isVoting(aid: number): boolean {
    return this.isRegistered(aid) && this.#muteSinceUs[aid] === Number.POSITIVE_INFINITY;
  }

  /** A quorum of acceptors was heard lately: they tell their state each second. */
  get hearsQuorum(): boolean {
    let heard = 0;
    for (let aid = 0; aid < this.heardUs.length; aid++)
      if (this.#nowUs - this.heardUs[aid]! < OK_SILENCE_US) heard++;
    return heard >= quorumOf(this.heardUs.length);
  }

  /** Leaves out everything below `iid`: the caller knows that it is chosen and needs none of it. */
  startAt(iid: number): void {
    if (this.#options.keepsState !== true && iid > this.next) this.#moveTo(iid);
  }

  /** The state after instance `iid` is here (0: nothing was chosen yet): goes on behind it. Never goes back. */
  restored(iid: number): void {
    if (iid < this.next) return;
    if (this.next > 0) {
      this.counters.skipped += iid + 1 - this.next;
      this.counters.restored++;
    }
    this.#moveTo(iid + 1);
    if (iid > this.highestIid) this.highestIid = iid;
    if (this.lostIid <= iid) this.lostIid = 0;
  }

  /** A quorum of acceptors has told how far its log goes. */
  get statesKnown(): boolean {
    let known = 0;
    for (let aid = 0; aid < this.#states.length; aid++) if (this.#states[aid]! >= 0) known++;
    return known >= quorumOf(this.#options.acceptors);
  }

  /** The log that it delivers from; 0: not known. */
  get logId(): number {
    return this.#logs.own;
  }

  /** The log that a quorum of acceptors tells of; 0: none does. */
  get toldLogId(): number {
    return this.#logs.told;
  }

  /** Whether any acceptor that was heard lately has told of this log, and of no other since. */
  hearsOf(logId: number): boolean {
    return this.#logs.hearsOf(logId, this.heardUs, this.#nowUs - OK_SILENCE_US);
  }

  /** This is the log that it delivers from. Where another was counted, all that was not delivered, and how far it goes, is learned anew. */
  isOf(logId: number): void {
    if (!this.#logs.isOf(logId)) return;
    if (this.next > 0) this.#release(this.next + this.window.instances);
    this.highestIid = Math.max(0, this.next - 1);
    this.chosenIid = 0;
    this.lostIid = 0;
    this.#trims.forget();
    this.#states.fill(-1);
    this.#hiDueUs.fill(0);
  }

  /** A frame of a proposer begins; see `Receiver.onGenerations`. */
  onLogMark(logMark: number): void {
    this.#logs.onLogMark(logMark);
  }

  /** The frame that is read is of a proposer of another log. */
  get hearsOtherLeader(): boolean {
    return this.#logs.isOtherLeader;
  }

  /** A frame of an acceptor begins; see `Receiver.onAcceptorLife`. */
  onAcceptorLife(aid: number, life: Life): void {
    if (this.#logs.onLife(aid, life)) return;
    // Who votes answers it with its state.
    this.#hiDueUs[aid] = Math.min(this.#hiDueUs[aid]!, this.#hiSentUs[aid]! + HI_FIRST_US);
  }

  /** Nothing can be delivered before a snapshot leads past what is trimmed. */
  get waitsForSnapshot(): boolean {
    if (this.#options.keepsState !== true) return false;
    return this.next === 0 ? this.trimmedIid > 0 : this.lostIid >= this.next;
  }

  /** The highest instance that acceptors themselves tell of. */
  get toldIid(): number {
    let told = 0;
    for (let aid = 0; aid < this.#states.length; aid++) told = Math.max(told, this.#states[aid]!);
    return told;
  }

  /** The highest instance that any acceptor has trimmed. */
  get trimmedIid(): number {
    return this.#trims.highest();
  }

  /** An acceptor is half full: what can be trimmed should be. */
  get isPressed(): boolean {
    return this.#trims.pressure;
  }

  /** The value that a proposer has sent for an instance (native wire: `accept` is multicast). */
  onAccept(iid: number, ballot: Ballot, life: Life, bytes: Uint8Array, offset: number, length: number): void {
    if (this.#logs.isOtherLeader) return;
    if (this.#inWindow(iid) && this.window.offer(iid, ballot, life, bytes, offset, length))
      this.#learned(iid);
  }

  /**
   * An acceptor's record of an instance: `flags` are `RepeatFlag` bits, 0 of an `accepted` as it is sent to everybody. `NO_BALLOT`: it
   * knows that the instance is chosen, and has no record.
   */
  onAccepted(
    aid: number,
    iid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
    flags = 0,
  ): void {
    this.#hears(aid);
    if (!this.#logs.counts) return;
    // From here on it is known how far the log goes: no need to probe for its end.
    if (this.isNews(iid)) this.repair.catchingUp = false;
    if (iid > this.highestIid) this.highestIid = iid;
    if (!this.#inWindow(iid)) return;
    const { window } = this;
    let isReady = window.vote(iid, aid, ballot, life, flags) && window.isReady(iid);
    const hasValue = length >= 0 && ballot !== NO_BALLOT;
    if (hasValue && window.offer(iid, ballot, life, bytes, offset, length)) isReady = true;
    if (isReady) this.#learned(iid);
    if (length >= 0) this.repair.onRecord(aid, iid, hasValue ? length : -1);
  }

  /** Instances first…last were accepted at one ballot. However long the range says it is, only the window's part counts. */
  onAcceptedRange(aid: number, first: number, last: number, ballot: Ballot, life: Life): void {
    if (!this.#logs.counts) return this.#hears(aid);
    const end = this.next === 0 ? first : Math.min(last, this.next + this.window.instances - 1);
    for (let iid = Math.max(first, this.next); iid <= end; iid++) {
      this.onAccepted(aid, iid, ballot, life, NOTHING, 0, -1);
    }
    if (last > this.highestIid) this.highestIid = last;
  }

  /** Everything ≤ `iid` is chosen; where we stand lower, something was missed. */
  onChosen(iid: number): void {
    if (this.#logs.isOtherLeader) return;
    if (iid > this.chosenIid) this.chosenIid = iid;
    if (iid > this.highestIid) this.highestIid = iid;
  }

  onAcceptorState(aid: number, trimIid: number, highestIid: number, flags: number, logId: number): void {
    this.#hears(aid);
    // Where everything is trimmed there was something (and the Kernel_Paxos wire tells of nothing else).
    const highest = Math.max(trimIid, highestIid);
    this.#states[aid] = highest;
    this.#logs.onState(aid, logId);
    if (!this.#logs.counts) return;
    this.#trims.onState(aid, trimIid, flags);
    this.repair.onTrim(aid, trimIid);
    if (highest > this.highestIid) this.highestIid = highest;
    const { statesTellHighest, waitsForStart } = this.#options;
    // The present: just above what a quorum of acceptors has accepted when we came.
    if (this.next === 0 && statesTellHighest && !waitsForStart && this.statesKnown)
      this.next = this.toldIid + 1;
  }

  onAcceptorOk(aid: number): void {
    this.heardUs[aid] = this.#nowUs;
    this.#okUs[aid] = this.#nowUs;
    this.#unansweredUs[aid] = Number.POSITIVE_INFINITY;
    if (this.#nowUs < this.#muteSinceUs[aid]!) this.#muteSinceUs[aid] = this.#nowUs;
  }

  /** Something that only an acceptor that votes says. */
  #hears(aid: number): void {
    this.heardUs[aid] = this.#nowUs;
    this.#muteSinceUs[aid] = Number.POSITIVE_INFINITY;
  }

  /** Delivers what is ready. To be called after the turn's messages; true while the application took everything. */
  deliver(): boolean {
    if (this.next === 0) return true;
    if (!this.deliverReady()) return false;
    this.repair.goOn();
    return true;
  }

  /** The same, and nothing is said: it need not be this learner's own turn. */
  deliverReady(): boolean {
    if (this.next === 0) return true;
    const window = this.window;
    while (window.isReady(this.next)) {
      const iid = this.next;
      const length = window.length(iid);
      if (!this.#application.deliver(iid, window.arena.bytes, window.offset(iid), length)) {
        this.counters.stalled++;
        this.isStalled = true;
        return false;
      }
      this.isStalled = false;
      this.counters.deliveredBytes += length;
      this.#trims.delivered(length);
      this.repair.delivered(length);
      window.release(iid);
      this.next = iid + 1;
      this.counters.delivered++;
    }
    return true;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    this.#sayHi();
    this.repair.tick(nowUs);
    this.#trims.report(Math.min(this.#application.acknowledged(), this.next - 1), this.highestIid, nowUs);
  }

  /** Wants to hear the clock again at this time. */
  nextTickUs(): number {
    let due = Math.max(this.repair.dueUs(), this.#nowUs);
    for (let aid = 0; aid < this.#hiDueUs.length; aid++) due = Math.min(due, this.#hiDueUs[aid]!);
    return Math.min(due, this.#trims.dueUs);
  }

  /** Says goodbye to the acceptors. */
  close(): void {
    this.#outbox.learnerDel();
  }

  /** Moves past what can never be had any more, and says so. */
  skipTo(lost: number): void {
    const first = this.next;
    this.#moveTo(lost + 1);
    this.counters.skipped += this.next - first;
    this.#application.skipped(first, lost);
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

  /** Reading the log from its beginning, and not yet at its end (Kernel_Paxos wire, where only probing finds it). */
  get catchingUp(): boolean {
    return this.repair.catchingUp;
  }

  /** Whether what an acceptor says of this instance cannot be an answer to us. */
  isNews(iid: number): boolean {
    return this.repair.requestedTo > 0 && iid > this.repair.requestedTo;
  }

  /** More is known to be in the log than was delivered. */
  get isBehind(): boolean {
    return this.next > 0 && this.highestIid >= this.next;
  }

  /** Something is known beyond `next`, and `next` cannot be delivered for want of messages. */
  get isBlocked(): boolean {
    return this.isBehind && !this.window.isReady(this.next);
  }

  #sayHi(): void {
    for (let aid = 0; aid < this.#hiDueUs.length; aid++) {
      if (this.#nowUs < this.#hiDueUs[aid]!) continue;
      this.#outbox.learnerHi(aid);
      this.#hiSentUs[aid] = this.#nowUs;
      if (this.#nowUs < this.#unansweredUs[aid]!) this.#unansweredUs[aid] = this.#nowUs;
      const canWait = this.isRegistered(aid) || this.isTurnedAway(aid);
      this.#hiDueUs[aid] = this.#nowUs + (canWait ? HI_AGAIN_US : HI_FIRST_US);
    }
  }

  #moveTo(iid: number): void {
    if (this.next > 0) this.#release(iid);
    this.next = iid;
    this.isStalled = false;
  }

  #release(below: number): void {
    const end = Math.min(below, this.next + this.window.instances);
    for (let iid = this.next; iid < end; iid++) this.window.release(iid);
  }
}
