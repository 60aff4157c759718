/**
 * Phase 2 of a proposer that leads: gives prepared instances a value, sends accepts, sends them again while they are not
 * known to be chosen.
 *
 * Invariants: an instance is proposed only while it is prepared at the present ballot; what was sent at a ballot stays
 * the instance's value at that ballot; instances of former ballots are never sent again.
 */

import { FlowWindow } from "../flow_window.ts";
import type { Learner } from "../learner/learner.ts";
import type { Outbox } from "../outbox.ts";
import { Retry } from "../retry.ts";
import { type Ballot, NO_BALLOT } from "../types.ts";
import type { InstancePhase } from "./instance_phase.ts";
import { type ProposerWindow, Status } from "./proposer_window.ts";
import type { ValueQueue } from "./value_queue.ts";

/** Frames kept free for answers when values are proposed or forwarded in bulk. */
export const ROOM_RESERVE = 16;

/** Instances under way at first. */
const FIRST_UNDER_WAY = 32;
/** … and at least, however long they wait. */
const LEAST_UNDER_WAY = 64;
/** What is under way may wait so long in queues of the others, of the time that values may; the rest is for queues before it. */
const DELAY_SHARE = 0.5;

export interface PhaseTwoOptions {
  readonly perInstance: boolean;
  readonly preexecWindow: number;
  readonly batching: boolean;
  /** Learners merge this log with others: a leader without values may be asked for no-ops. */
  readonly isMerged?: boolean;
  readonly timeoutMs: number;
  /** How long values may wait in queues, in milliseconds; 0: until those are full (native wire). */
  readonly queueDelayMs?: number;
}

export class PhaseTwo {
  readonly counters = { proposed: 0, values: 0, retries: 0 };
  /** When something is to be sent again. */
  retryDueUs = Number.POSITIVE_INFINITY;
  readonly #options: PhaseTwoOptions;
  readonly #window: ProposerWindow;
  readonly #queue: ValueQueue;
  readonly #outbox: Outbox;
  readonly #learner: Learner;
  readonly #instances: InstancePhase;
  readonly #retry: Retry;
  /** Instances that may be under way (native wire); null: as many as are promised. */
  readonly #flow: FlowWindow | null;
  #ballot: Ballot = NO_BALLOT;
  #nowUs = 0;
  /** First instance that was never opened at this ballot (native wire). */
  #nextIid = 1;
  /** No instance below this one waits for a value. */
  #scanIid = 1;
  /** Instances up to here are wanted, with no-ops where there are no values. */
  #wantedIid = 0;

  constructor(
    options: PhaseTwoOptions,
    window: ProposerWindow,
    queue: ValueQueue,
    outbox: Outbox,
    learner: Learner,
    instances: InstancePhase,
  ) {
    this.#options = options;
    this.#window = window;
    this.#queue = queue;
    this.#outbox = outbox;
    this.#learner = learner;
    this.#instances = instances;
    this.#retry = new Retry(options.timeoutMs * 1000);
    const queueUs = DELAY_SHARE * 1000 * (options.perInstance ? 0 : (options.queueDelayMs ?? 0));
    this.#flow = queueUs > 0 ? new FlowWindow(FIRST_UNDER_WAY, LEAST_UNDER_WAY, 1, queueUs) : null;
  }

  /** Instances first…next − 1 are prepared (what else is in them stays); `next` is the first free one. */
  begin(ballot: Ballot, first: number, next: number): void {
    this.#ballot = ballot;
    this.#nextIid = Math.max(next, this.#window.low);
    this.#scanIid = first;
    this.retryDueUs = Number.POSITIVE_INFINITY;
  }

  /** The window is of another log: nothing is open there. */
  restart(): void {
    this.begin(NO_BALLOT, this.#window.low, this.#window.low);
    this.#wantedIid = 0;
  }

  /** A merged order waits for this instance. Nobody has more no-ops made at once than a learner's window holds. */
  advance(iid: number): void {
    if (this.#options.isMerged !== true) return;
    const most = this.highestIid + this.#learner.window.instances;
    this.#wantedIid = Math.max(this.#wantedIid, Math.min(iid, most));
  }

  /**
   * A former leader has proposed up to here, of which our quorum knew nothing: no-ops, where there is nothing else to do. False: further
   * ahead than a former leader can have been, which had at most a window under way above what was chosen then.
   */
  fill(iid: number): boolean {
    const { highestIid } = this;
    if (iid <= highestIid || !this.isIdle || this.#hasValues) return true;
    if (iid > highestIid + this.#window.instances) return false;
    this.#wantedIid = Math.max(this.#wantedIid, iid);
    return true;
  }

  /** The highest instance that was opened, or known to be chosen. */
  get highestIid(): number {
    return Math.max(this.#nextIid, this.#window.low) - 1;
  }

  /** Every instance that was opened is known to be chosen. */
  get isIdle(): boolean {
    return this.#window.low >= this.#nextIid;
  }

  /** An accept was answered by its instance being chosen. */
  sample(iid: number, nowUs: number): void {
    if (this.#window.attempts(iid) !== 1) return;
    const us = nowUs - this.#window.sentUs(iid);
    this.#retry.sample(us);
    this.#flow?.sample(us, nowUs);
    this.#flow?.returned(1, this.#underWay);
  }

  get #underWay(): number {
    return this.#nextIid - this.#window.low;
  }

  /** True: frames ran out, there is more to do. `stalled`: the acceptors have no room for new instances. */
  run(nowUs: number, stalled: boolean): boolean {
    this.#nowUs = nowUs;
    const window = this.#window;
    if (this.#nextIid < window.low) this.#nextIid = window.low;
    if (this.#scanIid < window.low) this.#scanIid = window.low;
    if (!this.#options.perInstance) return this.#runPrepared(this.#nextIid) || (!stalled && this.#runNew());
    const more = this.#instances.fill(this.#ballot, this.#options.preexecWindow, ROOM_RESERVE, nowUs);
    // Ridden prepares reach further than what may be in flight.
    const end = Math.min(this.#instances.nextIid, window.low + this.#options.preexecWindow);
    const rest = this.#runPrepared(end);
    if (this.#instances.takeOpened()) this.#retryIn(this.#retry.firstUs());
    return more || rest;
  }

  /** Gives the next instance a value that no client sent, when nothing else is under way. False: not now. */
  propose(bytes: Uint8Array, length: number, nowUs: number): boolean {
    this.#nowUs = nowUs;
    const window = this.#window;
    if (!this.isIdle || this.#outbox.room() < ROOM_RESERVE) return false;
    this.#nextIid = window.low;
    const block = window.arena.store(bytes, 0, length);
    if (block < 0) return false;
    window.own(this.#nextIid, block, length);
    this.#accept(this.#nextIid++);
    return true;
  }

  /** Sends again what is due. */
  retry(nowUs: number): void {
    this.#nowUs = nowUs;
    const window = this.#window;
    const end = this.#options.perInstance ? this.#instances.nextIid : this.#nextIid;
    this.retryDueUs = Number.POSITIVE_INFINITY;
    for (let iid = window.low; iid < end; iid++) {
      const status = window.status(iid);
      const waits = status === Status.accepting || status === Status.preparing;
      if (!waits || window.ballot(iid) !== this.#ballot) continue;
      const leftUs = window.sentUs(iid) + this.#retry.pauseUs(window.attempts(iid)) - nowUs;
      if (leftUs > 0) {
        this.#retryIn(leftUs);
        continue;
      }
      if (this.#outbox.room() < ROOM_RESERVE) {
        this.#retryIn(0);
        return;
      }
      this.counters.retries++;
      if (this.#flow?.isNewLoss(nowUs)) this.#flow.lost(nowUs, this.#underWay);
      if (status === Status.accepting) this.#send(iid, 0);
      else this.#instances.retry(iid, nowUs);
      this.#retryIn(this.#retry.pauseUs(window.attempts(iid)));
    }
  }

  #retryIn(us: number): void {
    this.retryDueUs = Math.min(this.retryDueUs, this.#nowUs + us);
  }

  /** Instances below `end` that are prepared: recovered ones and, in the Kernel_Paxos wire, all. */
  #runPrepared(end: number): boolean {
    const window = this.#window;
    const perInstance = this.#options.perInstance;
    // A new value does not go past an instance that is not prepared yet: nothing might ever come to fill that hole.
    let inOrder = true;
    for (let iid = this.#scanIid; iid < end; iid++) {
      // Beyond it only new values are of use: without any, all that is prepared ahead is not looked at.
      if (perInstance && iid > window.valuedIid && !(inOrder && this.#hasValues)) return false;
      if (this.#outbox.room() < ROOM_RESERVE) return true;
      if (window.status(iid) === Status.prepared && window.ballot(iid) === this.#ballot) {
        // A recovered instance without a value becomes a no-op (native wire); else it waits for a client's.
        const hasValue = window.hasAdopted(iid) || window.hasOwn(iid) || !perInstance;
        if (hasValue || (inOrder && this.#takeValue(iid))) this.#accept(iid);
      } else if (window.status(iid) < Status.prepared) inOrder = false;
      if (iid === this.#scanIid && window.status(iid) >= Status.accepting) this.#scanIid++;
    }
    return false;
  }

  /** Opens instances for what waits, as far as the window goes (native wire: they are promised already). */
  #runNew(): boolean {
    const window = this.#window;
    const limit = Math.min(
      window.low + Math.min(this.#options.preexecWindow, this.#flow?.size ?? Number.POSITIVE_INFINITY),
      this.#learner.next + this.#learner.window.instances,
    );
    while (this.#nextIid < limit && (this.#hasValues || this.#nextIid <= this.#wantedIid)) {
      if (this.#outbox.room() < ROOM_RESERVE) return true;
      if (window.status(this.#nextIid) !== Status.closed) {
        if (this.#hasValues && !this.#takeValue(this.#nextIid)) return false;
        this.#accept(this.#nextIid);
      }
      this.#nextIid++;
    }
    return false;
  }

  get #hasValues(): boolean {
    return this.#queue.count > 0 || this.#window.requeued > 0;
  }

  /** Gives the instance the oldest waiting value, or as many as fit. False: none, or no room to keep it. */
  #takeValue(iid: number): boolean {
    const window = this.#window;
    if (window.requeued > 0) {
      window.own(iid, window.requeuedOffset(), window.requeuedLength());
      window.takeRequeued();
      return true;
    }
    const queue = this.#queue;
    if (queue.count === 0) return false;
    const length = queue.batchLength(this.#options.batching ? this.#outbox.maxValue : 0);
    const block = window.arena.alloc(length);
    if (block < 0) return false;
    this.counters.values += queue.takeBatch(window.arena.bytes, block, length);
    window.own(iid, block, length);
    return true;
  }

  #accept(iid: number): void {
    const riding = this.#options.perInstance
      ? this.#instances.ride(this.#ballot, this.#options.preexecWindow, this.#nowUs)
      : 0;
    this.#window.enter(iid, Status.accepting, this.#ballot);
    this.#send(iid, riding);
    this.#retryIn(this.#retry.firstUs());
    this.counters.proposed++;
  }

  #send(iid: number, riding: number): void {
    const window = this.#window;
    const bytes = window.arena.bytes;
    this.#outbox.accept(iid, riding, this.#ballot, bytes, window.valueOffset(iid), window.valueLength(iid));
    window.sent(iid, this.#nowUs);
  }
}
