/**
 * The proposer: the queue of client values, where they go, and phase 2. Who leads is `range_leadership.ts` (native wire)
 * or `instance_leadership.ts` (Kernel_Paxos wire); phase 1 is `range_phase.ts` or `instance_phase.ts`. What is chosen it
 * learns from the learner core of its process (`ChosenObserver`). Pure.
 *
 * Invariants: one value per (instance, ballot), ever; nothing is proposed at an instance before a quorum has promised
 * it at this ballot; a value reported by a promise goes before our own; a ballot is journalled before it is used.
 */

import { ENTRY_HEADER_BYTES, EntryFlag, writeEntryHeader } from "../batch.ts";
import type { ChosenObserver, Learner } from "../learner/learner.ts";
import type { Outbox } from "../outbox.ts";
import { quorumOf } from "../quorum.ts";
import { RESET, RESET_BYTES } from "../reset_entry.ts";
import { type AckKind, type Ballot, Busy, type Life, NO_PEER, type Peer, StateFlag } from "../types.ts";
import { type Admission, Judging } from "./admission.ts";
import { InstanceLeadership } from "./instance_leadership.ts";
import { InstancePhase } from "./instance_phase.ts";
import type { Leadership, LeadershipOptions, Stage } from "./leadership.ts";
import { PhaseTwo, type PhaseTwoOptions, ROOM_RESERVE } from "./phase_two.ts";
import { ProposerWindow, Status, type WindowSize } from "./proposer_window.ts";
import { QueueAge } from "./queue_age.ts";
import { RangeLeadership } from "./range_leadership.ts";
import { SessionReset } from "./session_reset.ts";
import { ValueQueue } from "./value_queue.ts";

/** A client whose value waits behind a missing quorum is told so after this time. */
const NO_QUORUM_US = 200_000;
/** Values that have waited so many times the time they may are too many. */
const LATE = 10;
/** How long the leader's refusal holds for those who send on to it. */
const LEADER_BUSY_US = 10_000;

export interface ProposerOptions extends LeadershipOptions, PhaseTwoOptions {
  readonly queueBytes: number;
  /** At least twice `preexecWindow`, and two of the largest blocks; unless given as large as that asks for. */
  readonly window?: WindowSize | undefined;
}

export class Proposer implements ChosenObserver {
  readonly window: ProposerWindow;
  readonly queue: ValueQueue;
  readonly counters = {
    preempted: 0,
    forwarded: 0,
    refused: 0,
    retries: 0,
    campaigns: 0,
    /** How often a leader found that somebody tells of instances so far above all it knows that no former leader can have been there. */
    tooFar: 0,
  };
  readonly #options: ProposerOptions;
  readonly #outbox: Outbox;
  readonly #learner: Learner;
  readonly leadership: Leadership;
  readonly reset: SessionReset;
  /** The leadership, by wire: one of them is null. */
  readonly #ranges: RangeLeadership | null;
  readonly #instances: InstanceLeadership | null;
  readonly #phaseTwo: PhaseTwo;
  readonly #queueAge = new QueueAge();
  /** No more values are taken while the oldest that waits is older. */
  readonly #mostAgeUs: number;
  readonly #fullAcceptors: Uint8Array;
  /** Null in the Kernel_Paxos wire, which has no sessions. */
  readonly #admission: Admission | null;
  #wasPassive = false;
  /** Who took the values that came here; 0: nobody yet. */
  #takerLife: Life = 0;
  #dropped = 0;
  /** An opening that is asked again, as its client would. */
  readonly #opening = new Uint8Array(ENTRY_HEADER_BYTES);
  readonly #openingView = new DataView(this.#opening.buffer);
  /** What the leader has refused values with that we sent on, and until when we refuse them so. */
  #leaderBusy: Busy = Busy.queueFull;
  #leaderBusyUntilUs = 0;
  #nowUs = 0;

  constructor(
    options: ProposerOptions,
    outbox: Outbox,
    learner: Learner,
    admission: Admission | null = null,
  ) {
    this.#options = options;
    this.#admission = admission;
    this.#outbox = outbox;
    this.#learner = learner;
    this.reset = new SessionReset(options.leaderTimeoutMs * 1000);
    const { preexecWindow: inFlight } = options;
    const usual = { instances: Math.max(4096, inFlight * 2), bytes: Math.max(4 << 20, inFlight * 8192) };
    const { instances, bytes } = options.window ?? usual;
    this.window = new ProposerWindow(instances, bytes, options.acceptors);
    this.queue = new ValueQueue(options.queueBytes);
    const { queueDelayMs = 0 } = options;
    this.#mostAgeUs = queueDelayMs > 0 ? LATE * 1000 * queueDelayMs : Number.POSITIVE_INFINITY;
    const phaseOne = new InstancePhase(this.window, outbox, options.acceptors);
    this.#phaseTwo = new PhaseTwo(options, this.window, this.queue, outbox, learner, phaseOne);
    const { window, counters } = this;
    const parts = { outbox, window, learner, phaseTwo: this.#phaseTwo, counters };
    this.#ranges = options.perInstance ? null : new RangeLeadership(options, parts);
    this.#instances = options.perInstance ? new InstanceLeadership(options, parts, phaseOne) : null;
    this.leadership = (this.#ranges ?? this.#instances)!;
    this.#fullAcceptors = new Uint8Array(options.acceptors);
    learner.observe(this);
  }

  get id(): number {
    return this.#options.id;
  }
  get stage(): Stage {
    return this.leadership.stage;
  }
  get ballot(): Ballot {
    return this.leadership.ballot;
  }
  /** Who leads as far as we know; −1: nobody, or we do. */
  get leader(): number {
    return this.leadership.leader;
  }

  /** Leads, and all it found when it began is chosen. */
  get isReady(): boolean {
    return this.stage === "leading" && this.window.low > this.leadership.recovered.last;
  }

  /** Leads, and no quorum of acceptors has echoed it lately (native wire). */
  get isUnheard(): boolean {
    return this.stage === "leading" && this.#ranges?.isHeard === false;
  }

  /** It does not know the sessions (native wire), and takes no values: what it could forward it does. */
  get isShut(): boolean {
    const { stage } = this;
    if (this.#admission === null || stage === "passive") return false;
    return !this.#admission.knowsSessions || (stage === "leading" && this.#learner.waitsForSnapshot);
  }

  /** How many acceptors grant their votes, while it looks for them; −1: it does not. */
  get votes(): number {
    const election = this.stage === "waiting" ? this.#ranges?.election : undefined;
    return election?.asking === true ? election.votes : -1;
  }

  /** The highest instance that it has proposed at, while it is not known what is chosen there or below; 0: of all it is. */
  get openIid(): number {
    return this.#phaseTwo.isIdle ? 0 : this.#phaseTwo.highestIid;
  }

  /** A number that grows while values are chosen; null while nothing waits here. */
  progress(): number | null {
    const { queue, window, stage } = this;
    const isIdle = queue.count === 0 && window.requeued === 0 && this.#phaseTwo.isIdle;
    return isIdle && (stage === "leading" || stage === "passive") ? null : window.low;
  }

  // ── values ────────────────────────────────────────────────────────────────────────────────────────────────────

  onClientValue(from: Peer, bytes: Uint8Array, offset: number, length: number, hops: number): void {
    if (length > this.#outbox.maxValue) return this.#refuse(from, Busy.tooLarge);
    const admission = this.#admission;
    if (admission === null) {
      if (this.#takeValue(from, bytes, offset, length, hops)) this.#tellWait(from);
      return;
    }
    if (this.isShut) return this.#refuse(from, Busy.noSnapshot);
    admission.open(from, bytes, offset, length, hops > 0, this.#judging());
    while (admission.next()) {
      if (this.#takeValue(from, admission.bytes, admission.offset, admission.length, hops)) continue;
      admission.refused();
      return;
    }
    this.#tellWait(from);
  }

  /** What the leader says about a session whose values we sent on to it. */
  onAcknowledge(proposerId: number, kind: AckKind, session: number, sequence: number, iid: number): void {
    if (this.stage === "passive" && proposerId === this.leader)
      this.#admission?.passOn(kind, session, sequence, iid);
  }

  /** The leader refuses values that we sent on: for a while nobody here sends it more. */
  onBusy(proposerId: number, reason: Busy): void {
    if (this.stage !== "passive" || proposerId !== this.leader) return;
    this.#leaderBusy = reason;
    this.#leaderBusyUntilUs = this.#nowUs + LEADER_BUSY_US;
  }

  /** How client values are judged now. What was taken can be lost when it is sent on to a leader, or given up. */
  #judging(): Judging {
    const { stage, window } = this;
    const isPassive = stage === "passive";
    if (isPassive !== this.#wasPassive || window.dropped !== this.#dropped) this.#admission?.begin();
    this.#wasPassive = isPassive;
    this.#dropped = window.dropped;
    this.#tellOfLeader();
    if (isPassive) return Judging.pass;
    const knowsAll = stage === "leading" && this.#learner.next > this.leadership.recovered.last;
    return knowsAll ? Judging.strict : Judging.lenient;
  }

  /** What was sent on to a former leader may have died with it: clients need not wait until they miss it. */
  #tellOfLeader(): void {
    const life = this.#ranges?.leaderLife ?? 0;
    if (life === 0 || life === this.#takerLife) return;
    if (this.#takerLife !== 0) this.#admission?.wantAgain();
    this.#takerLife = life;
  }

  /** Openings that were sent on to a former leader, or that it had taken. True: frames ran out before. */
  #openAgain(): boolean {
    const openings = this.#admission?.openings;
    if (openings === undefined) return false;
    while (this.#outbox.room() >= ROOM_RESERVE) {
      const nonce = openings.nextLost();
      if (nonce === 0) return false;
      writeEntryHeader(this.#openingView, 0, nonce, 0, 0, EntryFlag.open);
      this.onClientValue(openings.openerOf(nonce), this.#opening, 0, ENTRY_HEADER_BYTES, 0);
    }
    return true;
  }

  /** False: refused. */
  #takeValue(from: Peer, bytes: Uint8Array, offset: number, length: number, hops: number): boolean {
    const { stage, leader } = this.leadership;
    if (stage === "passive") {
      if (hops > 0 || leader < 0) {
        this.#refuse(from, Busy.notLeader);
        return false;
      }
      if (this.#nowUs < this.#leaderBusyUntilUs) {
        this.#refuse(from, this.#leaderBusy);
        return false;
      }
      this.#forward(bytes, offset, length);
      return true;
    }
    if (this.#isLate(stage) || !this.queue.push(bytes, offset, length)) {
      this.#refuse(from, Busy.queueFull);
      return false;
    }
    this.#queueAge.pushed(this.#nowUs);
    return true;
  }

  /** A leader's queue is longer than it can be served. What waits for somebody to lead waits for something else. */
  #isLate(stage: Stage): boolean {
    const ageUs = this.#queueAge.ageUs(this.queue.count, this.#nowUs);
    return (
      stage === "leading" && ageUs > this.#mostAgeUs && this.#nowUs - this.leadership.stageSinceUs > ageUs
    );
  }

  /** What is taken has to wait, if it has. */
  #tellWait(from: Peer): void {
    const { stage, stageSinceUs } = this.leadership;
    if (stage === "passive") return;
    const lacksQuorum = stage === "leading" ? this.isUnheard : this.#nowUs - stageSinceUs > NO_QUORUM_US;
    if (lacksQuorum) {
      this.#outbox.busy(from, this.#learner.waitsForSnapshot ? Busy.noSnapshot : Busy.noQuorum);
    } else if (this.isStalled) this.#outbox.busy(from, Busy.windowFull);
  }

  #refuse(from: Peer, reason: Busy): void {
    this.counters.refused++;
    if (from !== NO_PEER) this.#outbox.busy(from, reason);
  }

  #forward(bytes: Uint8Array, offset: number, length: number): void {
    this.counters.forwarded++;
    this.#outbox.clientValue(this.leader, bytes, offset, length, 1);
    this.leadership.forwarded();
  }

  /** Passive: what waits in our queues goes to the leader. */
  #forwardQueue(): boolean {
    const { window, queue } = this;
    while (queue.count > 0 || window.requeued > 0) {
      if (this.#outbox.room() < ROOM_RESERVE) return true;
      if (window.requeued > 0) {
        const at = window.requeuedOffset();
        const length = window.requeuedLength();
        window.takeRequeued();
        this.#forward(window.arena.bytes, at, length);
        window.arena.free(at, length);
        continue;
      }
      this.#forward(queue.bytes, queue.peekOffset(), queue.peekLength());
      queue.pop();
    }
    return false;
  }

  // ── what others say ───────────────────────────────────────────────────────────────────────────────────────────

  onPromise(
    aid: number,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#instances?.onPromise(aid, iid, ballot, valueBallot, bytes, offset, length);
  }

  onRidingPromise(aid: number, iid: number, ballot: Ballot): void {
    this.#instances?.onRidingPromise(aid, iid, ballot);
  }

  onAcceptedNow(iid: number, ballot: Ballot): void {
    this.#instances?.onAcceptedNow(iid, ballot);
  }

  onPromiseBegin(
    aid: number,
    ballot: Ballot,
    life: Life,
    asked: number,
    first: number,
    last: number,
    trimIid: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#ranges?.onPromiseBegin(aid, ballot, life, asked, first, last, trimIid, bytes, offset, length);
  }

  onPromiseRecord(iid: number, ballot: Ballot, bytes: Uint8Array, offset: number, length: number): void {
    this.#ranges?.onPromiseRecord(iid, ballot, bytes, offset, length);
  }

  onPromiseEnd(aid: number, more: boolean): void {
    this.#ranges?.onPromiseEnd(aid, more);
  }

  /** One of another log, whose ballots may be higher, is no leader here. */
  onLeader(iid: number, ballot: Ballot, life: Life, round: number): void {
    if (!this.#learner.hearsOtherLeader) this.#ranges?.onLeader(iid, ballot, life, round);
  }

  onEcho(aid: number, iid: number, ballot: Ballot, life: Life, round: number): void {
    this.#ranges?.onEcho(aid, iid, ballot, life, round);
  }

  onPreVoted(aid: number, round: number, ballot: Ballot, granted: boolean): void {
    this.#ranges?.onPreVoted(aid, round, ballot, granted);
  }

  onReadAsk(from: Peer, nonce: number): void {
    this.#ranges?.onReadAsk(from, nonce);
  }

  /** Learners of several groups wait for this instance. */
  onAdvance(iid: number): void {
    if (this.stage === "leading") this.#phaseTwo.advance(iid);
  }

  /** A former leader has proposed up to this instance, and has not learned what is chosen there. */
  onProposedBefore(iid: number): void {
    this.#ranges?.fill(iid);
  }

  onPreempted(ballot: Ballot): void {
    this.leadership.onPreempted(ballot);
  }

  onAcceptorState(aid: number, flags: number): void {
    this.#fullAcceptors[aid] = (flags & StateFlag.full) !== 0 ? 1 : 0;
  }

  onLearned(
    iid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.leadership.onLearned(ballot);
    const window = this.window;
    if (!window.covers(iid)) return;
    const status = window.status(iid);
    if (status === Status.closed) return;
    const isOurs =
      status === Status.accepting &&
      ballot === window.ballot(iid) &&
      (life === this.#options.life || life === 0);
    if (isOurs) this.#phaseTwo.sample(iid, this.#nowUs);
    window.close(iid, isOurs, bytes, offset, length);
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    this.leadership.tick(nowUs);
  }

  nextTickUs(): number {
    return Math.min(this.leadership.nextTickUs(), this.reset.dueUs);
  }

  /**
   * Proposes what can be proposed; to be called once after the turn's messages, so that values which came together
   * share an instance. True: there is more to do as soon as frames are free again.
   */
  pump(): boolean {
    this.window.advance(this.#learner.next);
    this.#judging();
    const unsaid = this.#admission?.flush() === true || this.#openAgain();
    const more = this.#propose();
    this.#resetSessions();
    return more || unsaid;
  }

  #propose(): boolean {
    if (this.stage === "passive") return this.#forwardQueue();
    this.#ranges?.checkOvertaken();
    const isClearing = this.#ranges?.clearing.isOpen === true;
    if (this.stage !== "leading" && !isClearing) return false;
    this.#outbox.chosen(this.#ranges?.chosenIid ?? this.window.low - 1);
    const more = this.#phaseTwo.run(this.#nowUs, isClearing || this.isStalled);
    return this.#ranges?.pump() === true || more;
  }

  /** Where nobody knows the sessions they begin anew, once all that may have been chosen before is. */
  #resetSessions(): void {
    const { reset, stage } = this;
    const isUnknown = stage === "leading" && this.#admission?.knowsSessions === false;
    const isWanted = isUnknown && this.#phaseTwo.isIdle && this.#learner.next >= this.window.low;
    if (!reset.isDue(isWanted, this.#nowUs)) return;
    if (this.#phaseTwo.propose(RESET, RESET_BYTES, this.#nowUs)) reset.proposed++;
  }

  /** So many acceptors are full that no quorum can accept more. */
  get isStalled(): boolean {
    let full = 0;
    for (let aid = 0; aid < this.#fullAcceptors.length; aid++) full += this.#fullAcceptors[aid]!;
    return full > 0 && this.#fullAcceptors.length - full < quorumOf(this.#fullAcceptors.length);
  }
}
