/**
 * The proposer: leadership, the queue of client values, and phase 2. Phase 1 is `range_phase.ts` (native wire: one
 * prepare for all instances) or `instance_phase.ts` (Kernel_Paxos wire: a preexecution window of single prepares).
 * What is chosen it learns from the learner core of its process (`ChosenObserver`). Pure.
 *
 * Invariants: one value per (instance, ballot), ever; nothing is proposed at an instance before a quorum has promised
 * it at this ballot; a value reported by a promise goes before our own; a ballot is journalled before it is used.
 */
import { type BallotScheme, ballotAbove, ballotOwner } from "./ballot.ts";
import { InstancePhase } from "./instance_phase.ts";
import type { ChosenObserver, Learner } from "./learner.ts";
import type { Outbox } from "./outbox.ts";
import { PhaseTwo, ROOM_RESERVE } from "./phase_two.ts";
import { ProposerWindow, Status } from "./proposer_window.ts";
import { quorumOf } from "./quorum.ts";
import { RangePhase } from "./range_phase.ts";
import { type Ballot, Busy, type Life, NO_BALLOT, NO_PEER, type Peer, StateFlag } from "./types.ts";
import { ValueQueue } from "./value_queue.ts";

const HEARTBEAT_US = 100_000;
const PREPARE_RETRY_US = 20_000;
/** A client whose value waits behind a missing quorum is told so after this time. */
const NO_QUORUM_US = 200_000;

export type Stage = "waiting" | "passive" | "preparing" | "leading" | "exhausted";

export interface ProposerOptions {
  readonly id: number;
  readonly proposers: number;
  readonly acceptors: number;
  readonly life: Life;
  readonly scheme: BallotScheme;
  /** Kernel_Paxos wire: a prepare is for one instance. */
  readonly perInstance: boolean;
  readonly preexecWindow: number;
  readonly queueBytes: number;
  readonly timeoutMs: number;
  /** Nobody in this process needs the values themselves: a new leader may leave out what is chosen already. */
  readonly mayJump: boolean;
  /** Client values may share an instance (native wire). */
  readonly batching: boolean;
  /** Highest ballot used by former lives, 0 when none is known. */
  readonly usedBallot: number;
  /** Called before a ballot is used for the first time. */
  readonly keepBallot: (ballot: Ballot) => void;
  /** Uniform in 0…1; the simulator seeds it. */
  readonly random: () => number;
}

export class Proposer implements ChosenObserver {
  stage: Stage = "waiting";
  ballot: Ballot = NO_BALLOT;
  /** Who leads as far as we know; −1: nobody, or we do. */
  leader = -1;
  readonly window: ProposerWindow;
  readonly queue: ValueQueue;
  readonly counters = {
    preempted: 0,
    forwarded: 0,
    refused: 0,
    retries: 0,
    campaigns: 0,
  };
  readonly #options: ProposerOptions;
  readonly #outbox: Outbox;
  readonly #learner: Learner;
  readonly #range: RangePhase;
  readonly #instances: InstancePhase;
  readonly #phaseTwo: PhaseTwo;
  readonly #fullAcceptors: Uint8Array;
  #seenBallot: number;
  #nowUs = 0;
  #stageSinceUs = 0;
  #dueUs = 0;
  /** When the prepare is sent again. */
  #prepareDueUs = 0;
  /** When the last promise came, or was first asked for. */
  #promisedUs = 0;
  #heartbeatDueUs = 0;
  #leaderHeardUs = 0;
  /** Since when forwarded values wait for the leader (Kernel_Paxos wire); −1: none does. */
  #waitingSinceUs = -1;
  #reading = false;

  constructor(options: ProposerOptions, outbox: Outbox, learner: Learner) {
    this.#options = options;
    this.#outbox = outbox;
    this.#learner = learner;
    this.#seenBallot = options.usedBallot;
    const instances = Math.max(4096, options.preexecWindow * 2);
    this.window = new ProposerWindow(
      instances,
      Math.max(4 << 20, options.preexecWindow * 8192),
      options.acceptors,
    );
    this.queue = new ValueQueue(options.queueBytes);
    this.#range = new RangePhase(this.window, outbox, options.acceptors);
    this.#instances = new InstancePhase(this.window, outbox, options.acceptors);
    this.#phaseTwo = new PhaseTwo(options, this.window, this.queue, outbox, learner, this.#instances);
    this.#fullAcceptors = new Uint8Array(options.acceptors);
    learner.observe(this);
  }

  get id(): number {
    return this.#options.id;
  }

  /** A number that grows while values are chosen; null while nothing waits here. */
  progress(): number | null {
    const { queue, window } = this;
    const isIdle = queue.count === 0 && window.requeued === 0 && this.#phaseTwo.isIdle;
    return isIdle && (this.stage === "leading" || this.stage === "passive") ? null : window.low;
  }

  // ── values ────────────────────────────────────────────────────────────────────────────────────────────────────

  onClientValue(from: Peer, bytes: Uint8Array, offset: number, length: number, hops: number): void {
    if (length > this.#outbox.maxValue) return this.#refuse(from, Busy.tooLarge);
    if (this.stage === "passive") {
      if (hops > 0 || this.leader < 0) return this.#refuse(from, Busy.notLeader);
      this.#forward(bytes, offset, length);
      return;
    }
    if (!this.queue.push(bytes, offset, length)) return this.#refuse(from, Busy.queueFull);
    if (this.stage !== "leading" && this.#nowUs - this.#stageSinceUs > NO_QUORUM_US) {
      this.#outbox.busy(from, Busy.noQuorum);
    } else if (this.isStalled) this.#outbox.busy(from, Busy.windowFull);
  }

  #refuse(from: Peer, reason: Busy): void {
    this.counters.refused++;
    if (from !== NO_PEER) this.#outbox.busy(from, reason);
  }

  #forward(bytes: Uint8Array, offset: number, length: number): void {
    this.counters.forwarded++;
    this.#outbox.clientValue(this.leader, bytes, offset, length, 1);
    if (this.#waitingSinceUs < 0) this.#waitingSinceUs = this.#nowUs;
  }

  // ── phase 1 ───────────────────────────────────────────────────────────────────────────────────────────────────

  onPromise(
    aid: number,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (this.stage !== "leading") return;
    if (ballot > this.ballot) this.onPreempted(ballot);
    else this.#instances.onPromise(aid, iid, ballot, valueBallot, bytes, offset, length);
  }

  /** The promise that rode on one of our accepts (Kernel_Paxos wire). */
  onRidingPromise(aid: number, iid: number, ballot: Ballot): void {
    if (this.stage === "leading") this.#instances.onRidingPromise(aid, iid, ballot);
  }

  onPromiseBegin(aid: number, ballot: Ballot, life: Life, asked: number, first: number, last: number): void {
    this.#reading = this.stage === "preparing" && ballot === this.ballot && life === this.#options.life;
    if (!this.#reading) return;
    this.#range.onBegin(aid, asked, first, last);
    this.#jump();
  }

  onPromiseRecord(iid: number, ballot: Ballot, bytes: Uint8Array, offset: number, length: number): void {
    if (this.#reading) this.#range.onRecord(iid, ballot, bytes, offset, length);
  }

  onPromiseEnd(aid: number): void {
    if (!this.#reading) return;
    this.#reading = false;
    if (this.#range.onEnd(aid) && this.#isInReach()) return this.#lead();
    // Long promises come frame by frame: while they come the next lost one is asked for soon, not after a grown pause.
    this.#promisedUs = this.#nowUs;
    this.#prepareDueUs = this.#nowUs + PREPARE_RETRY_US;
  }

  // ── what others do ────────────────────────────────────────────────────────────────────────────────────────────

  onPreempted(ballot: Ballot): void {
    if (ballot > this.#seenBallot) this.#seenBallot = ballot;
    if (ballot < this.ballot || (this.stage !== "leading" && this.stage !== "preparing")) return;
    this.counters.preempted++;
    const owner = ballotOwner(this.#options.scheme, ballot);
    if (owner === this.#options.id || owner >= this.#options.proposers) this.#wait(this.#pauseUs());
    else this.#follow(owner);
  }

  /** The leader of `ballot` says that it lives. */
  onLeader(iid: number, ballot: Ballot): void {
    const owner = ballotOwner(this.#options.scheme, ballot);
    if (owner === this.#options.id) return;
    if (this.#learner.next === 0) this.#learner.startAt(iid + 1);
    this.#learner.onChosen(iid);
    if (ballot > this.#seenBallot) this.#seenBallot = ballot;
    if (ballot < this.ballot) return;
    if (this.stage === "passive" && this.leader === owner) this.#leaderHeardUs = this.#nowUs;
    else this.#follow(owner);
  }

  /**
   * An acceptor has accepted something (Kernel_Paxos wire). Where that is no answer to our learner, somebody leads now: he need
   * not be silent because our learner is far behind him, nor need a log that grows as fast as we read it be read to its end.
   */
  onAcceptedNow(iid: number, ballot: Ballot): void {
    const { perInstance, scheme, id, proposers } = this.#options;
    const waits = this.stage === "waiting" || this.stage === "passive";
    if (!waits || !perInstance || ballot < this.#seenBallot || !this.#learner.isNews(iid)) return;
    const owner = ballotOwner(scheme, ballot);
    this.#seenBallot = ballot;
    if (owner !== id && owner < proposers) this.#follow(owner);
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
    if (ballot > this.#seenBallot) this.#seenBallot = ballot;
    if (this.stage === "passive" && ballotOwner(this.#options.scheme, ballot) === this.leader) {
      this.#leaderHeardUs = this.#nowUs;
      this.#waitingSinceUs = -1;
    }
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
    const first = this.#nowUs === 0;
    this.#nowUs = nowUs;
    if (first) this.#begin();
    switch (this.stage) {
      case "waiting":
        if (nowUs >= this.#dueUs && (!this.#options.perInstance || !this.#learner.catchingUp))
          this.#joinOrCampaign();
        break;
      case "passive":
        if (nowUs >= this.#takeOverUs()) this.#campaign();
        break;
      case "preparing":
        if (nowUs >= this.#prepareDueUs) {
          this.counters.retries++;
          if (this.#range.isComplete() && this.#isInReach()) return this.#lead();
          this.#range.retry();
          this.#prepareDueUs =
            nowUs + PREPARE_RETRY_US * Math.min(8, 1 + (nowUs - this.#promisedUs) / 100_000);
        }
        break;
      case "leading":
        if (nowUs >= this.#heartbeatDueUs) {
          this.#outbox.heartbeat(this.window.low - 1, this.ballot, 0, 0);
          this.#heartbeatDueUs = nowUs + HEARTBEAT_US;
        }
        if (nowUs >= this.#phaseTwo.retryDueUs) this.#phaseTwo.retry(nowUs);
        break;
      case "exhausted":
        break;
    }
  }

  nextTickUs(): number {
    switch (this.stage) {
      case "waiting":
        return this.#options.perInstance && this.#learner.catchingUp
          ? Math.max(this.#dueUs, this.#nowUs + 10_000)
          : this.#dueUs;
      case "passive":
        return this.#takeOverUs();
      case "preparing":
        return this.#prepareDueUs;
      case "leading":
        return Math.min(this.#heartbeatDueUs, this.#phaseTwo.retryDueUs);
      case "exhausted":
        return Number.POSITIVE_INFINITY;
    }
  }

  /**
   * Proposes what can be proposed; to be called once after the turn's messages, so that values which came together
   * share an instance. True: there is more to do as soon as frames are free again.
   */
  pump(): boolean {
    this.window.advance(this.#learner.next);
    if (this.stage === "passive") return this.#forwardQueue();
    if (this.stage !== "leading") return false;
    this.#outbox.chosen(this.window.low - 1);
    return this.#phaseTwo.run(this.#nowUs, this.isStalled);
  }

  // ── leadership ────────────────────────────────────────────────────────────────────────────────────────────────

  #begin(): void {
    this.#stageSinceUs = this.#nowUs;
    // Native: listen first, lower ids shorter, for a leader that is there already.
    const listenUs = this.#options.perInstance ? 0 : HEARTBEAT_US * (1.2 + 0.6 * this.#options.id);
    const alone = this.#options.proposers === 1;
    this.#wait(alone ? 0 : listenUs);
  }

  #wait(us: number): void {
    this.#enter("waiting");
    this.leader = -1;
    this.#dueUs = this.#nowUs + us;
  }

  /**
   * In the Kernel_Paxos wire nobody says that he leads: whoever comes to a log that another proposer has written last lets
   * that one lead until it falls silent, instead of driving it out.
   */
  #joinOrCampaign(): void {
    const { scheme, id, proposers, perInstance } = this.#options;
    const last = ballotOwner(scheme, this.#seenBallot as Ballot);
    const isNew = perInstance && this.ballot === NO_BALLOT && this.#seenBallot > 0;
    if (isNew && last !== id && last < proposers) this.#follow(last);
    else this.#campaign();
  }

  #campaign(): void {
    const ballot = ballotAbove(
      this.#options.scheme,
      Math.max(this.#seenBallot, this.ballot),
      this.#options.id,
    );
    if (ballot === NO_BALLOT) return this.#enter("exhausted");
    this.counters.campaigns++;
    this.#options.keepBallot(ballot);
    this.ballot = ballot;
    this.leader = -1;
    this.#waitingSinceUs = -1;
    this.window.advance(this.#learner.next);
    if (this.#options.perInstance) {
      this.#enter("leading");
      this.#instances.begin();
      this.#phaseTwo.begin(ballot, this.window.low, this.window.low);
      return;
    }
    this.#enter("preparing");
    this.#range.begin(this.window.low, ballot);
    this.#promisedUs = this.#nowUs;
    this.#prepareDueUs = this.#nowUs + PREPARE_RETRY_US;
  }

  /** Whether the window reaches from what this process has learned to where the leader has to start. */
  #isInReach(): boolean {
    return this.#range.start <= Math.max(1, this.#learner.next) + this.window.instances / 2;
  }

  /** Leaves out what acceptors vouch is chosen, where it is too far above us to be learned first. */
  #jump(): void {
    if (!this.#options.mayJump || this.#isInReach()) return;
    this.#learner.startAt(this.#range.start);
    this.window.advance(this.#range.start);
  }

  /** A quorum has promised everything from `start` on: propose again what may be chosen, fill the gaps, then serve. */
  #lead(): void {
    const window = this.window;
    const start = Math.max(this.#range.start, window.low);
    if (this.#learner.next === 0) this.#learner.startAt(start);
    let end = Math.max(this.#range.highestIid, start - 1);
    for (let iid = end + 1; iid < window.low + window.instances; iid++) if (window.hasOwn(iid)) end = iid;
    for (let iid = start; iid <= end; iid++) {
      if (window.status(iid) !== Status.closed) window.enter(iid, Status.prepared, this.ballot);
    }
    this.#enter("leading");
    this.#phaseTwo.begin(this.ballot, start, end + 1);
    this.#heartbeatDueUs = this.#nowUs;
  }

  #follow(leader: number): void {
    this.#enter("passive");
    this.leader = leader;
    this.#leaderHeardUs = this.#nowUs;
    this.#waitingSinceUs = -1;
  }

  #enter(stage: Stage): void {
    this.stage = stage;
    this.#stageSinceUs = this.#nowUs;
  }

  #takeOverUs(): number {
    const timeoutUs = this.#options.timeoutMs * 1000 * (1 + 0.2 * this.#options.id);
    if (!this.#options.perInstance) return this.#leaderHeardUs + timeoutUs;
    // Without heartbeats silence means something only while somebody waits.
    if (this.#waitingSinceUs < 0) return Number.POSITIVE_INFINITY;
    return Math.max(this.#leaderHeardUs, this.#waitingSinceUs) + timeoutUs;
  }

  #pauseUs(): number {
    return PREPARE_RETRY_US * (0.5 + this.#options.random());
  }

  // ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** So many acceptors are full that no quorum can accept more. */
  get isStalled(): boolean {
    let full = 0;
    for (let aid = 0; aid < this.#fullAcceptors.length; aid++) full += this.#fullAcceptors[aid]!;
    return full > 0 && this.#fullAcceptors.length - full < quorumOf(this.#fullAcceptors.length);
  }

  /** Passive: what waits in our queues goes to the leader. */
  #forwardQueue(): boolean {
    const window = this.window;
    while (this.queue.count > 0 || window.requeued > 0) {
      if (this.#outbox.room() < ROOM_RESERVE) return true;
      if (window.requeued > 0) {
        const at = window.requeuedOffset();
        const length = window.requeuedLength();
        window.takeRequeued();
        this.#forward(window.arena.bytes, at, length);
        window.arena.free(at, length);
        continue;
      }
      this.#forward(this.queue.bytes, this.queue.peekOffset(), this.queue.peekLength());
      this.queue.pop();
    }
    return false;
  }
}
