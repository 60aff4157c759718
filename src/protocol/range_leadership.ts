/**
 * Leadership in the native wire: one phase 1 for all instances, then heartbeats.
 */
import { Leadership, type LeadershipOptions, type LeadershipParts, PREPARE_RETRY_US } from "./leadership.ts";
import { Status } from "./proposer_window.ts";
import { RangePhase } from "./range_phase.ts";
import type { Ballot, Life } from "./types.ts";

const HEARTBEAT_US = 100_000;

export class RangeLeadership extends Leadership {
  readonly #range: RangePhase;
  #dueUs = 0;
  /** When the prepare is sent again. */
  #prepareDueUs = 0;
  /** When the last promise came, or was first asked for. */
  #promisedUs = 0;
  #heartbeatDueUs = 0;
  #leaderHeardUs = 0;
  #reading = false;

  constructor(options: LeadershipOptions, parts: LeadershipParts) {
    super(options, parts);
    this.#range = new RangePhase(parts.window, parts.outbox, options.acceptors);
  }

  onPromiseBegin(aid: number, ballot: Ballot, life: Life, asked: number, first: number, last: number): void {
    this.#reading = this.stage === "preparing" && ballot === this.ballot && life === this.options.life;
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
    this.#promisedUs = this.nowUs;
    this.#prepareDueUs = this.nowUs + PREPARE_RETRY_US;
  }

  onPreempted(ballot: Ballot): void {
    this.sees(ballot);
    if (ballot < this.ballot || (this.stage !== "leading" && this.stage !== "preparing")) return;
    this.parts.counters.preempted++;
    const owner = this.owner(ballot);
    if (owner === this.options.id || owner >= this.options.proposers) this.#wait(this.pauseUs());
    else this.#follow(owner);
  }

  /** The leader of `ballot` says that it lives. */
  onLeader(iid: number, ballot: Ballot): void {
    const { learner } = this.parts;
    const owner = this.owner(ballot);
    if (owner === this.options.id) return;
    if (learner.next === 0) learner.startAt(iid + 1);
    learner.onChosen(iid);
    this.sees(ballot);
    if (ballot < this.ballot) return;
    if (this.stage === "passive" && this.leader === owner) this.#leaderHeardUs = this.nowUs;
    else this.#follow(owner);
  }

  onLearned(ballot: Ballot): void {
    this.sees(ballot);
    if (this.stage === "passive" && this.owner(ballot) === this.leader) this.#leaderHeardUs = this.nowUs;
  }

  forwarded(): void {}

  nextTickUs(): number {
    switch (this.stage) {
      case "waiting":
        return this.#dueUs;
      case "passive":
        return this.#takeOverUs();
      case "preparing":
        return this.#prepareDueUs;
      case "leading":
        return Math.min(this.#heartbeatDueUs, this.parts.phaseTwo.retryDueUs);
      case "exhausted":
        return Number.POSITIVE_INFINITY;
    }
  }

  protected begin(): void {
    // Listen first, lower ids shorter, for a leader that is there already.
    const listenUs = HEARTBEAT_US * (1.2 + 0.6 * this.options.id);
    this.#wait(this.options.proposers === 1 ? 0 : listenUs);
  }

  protected act(): void {
    const { nowUs } = this;
    switch (this.stage) {
      case "waiting":
        if (nowUs >= this.#dueUs) this.#campaign();
        break;
      case "passive":
        if (nowUs >= this.#takeOverUs()) this.#campaign();
        break;
      case "preparing":
        if (nowUs >= this.#prepareDueUs) this.#retryPrepare();
        break;
      case "leading": {
        const { outbox, window, phaseTwo } = this.parts;
        if (nowUs >= this.#heartbeatDueUs) {
          outbox.heartbeat(window.low - 1, this.ballot, 0, 0);
          this.#heartbeatDueUs = nowUs + HEARTBEAT_US;
        }
        if (nowUs >= phaseTwo.retryDueUs) phaseTwo.retry(nowUs);
        break;
      }
      case "exhausted":
        break;
    }
  }

  #retryPrepare(): void {
    this.parts.counters.retries++;
    if (this.#range.isComplete() && this.#isInReach()) return this.#lead();
    this.#range.retry();
    this.#prepareDueUs =
      this.nowUs + PREPARE_RETRY_US * Math.min(8, 1 + (this.nowUs - this.#promisedUs) / 100_000);
  }

  #wait(us: number): void {
    this.enter("waiting");
    this.leader = -1;
    this.#dueUs = this.nowUs + us;
  }

  #campaign(): void {
    if (!this.takeBallot()) return;
    this.enter("preparing");
    this.#range.begin(this.parts.window.low, this.ballot);
    this.#promisedUs = this.nowUs;
    this.#prepareDueUs = this.nowUs + PREPARE_RETRY_US;
  }

  /** Whether the window reaches from what this process has learned to where the leader has to start. */
  #isInReach(): boolean {
    const { learner, window } = this.parts;
    return this.#range.start <= Math.max(1, learner.next) + window.instances / 2;
  }

  /** Leaves out what acceptors vouch is chosen, where it is too far above us to be learned first. */
  #jump(): void {
    if (!this.options.mayJump || this.#isInReach()) return;
    this.parts.learner.startAt(this.#range.start);
    this.parts.window.advance(this.#range.start);
  }

  /** A quorum has promised everything from `start` on: propose again what may be chosen, fill the gaps, then serve. */
  #lead(): void {
    const { window, learner, phaseTwo } = this.parts;
    const start = Math.max(this.#range.start, window.low);
    if (learner.next === 0) learner.startAt(start);
    let end = Math.max(this.#range.highestIid, start - 1);
    for (let iid = end + 1; iid < window.low + window.instances; iid++) if (window.hasOwn(iid)) end = iid;
    for (let iid = start; iid <= end; iid++) {
      if (window.status(iid) !== Status.closed) window.enter(iid, Status.prepared, this.ballot);
    }
    this.enter("leading");
    phaseTwo.begin(this.ballot, start, end + 1);
    this.#heartbeatDueUs = this.nowUs;
  }

  #follow(leader: number): void {
    this.enter("passive");
    this.leader = leader;
    this.#leaderHeardUs = this.nowUs;
  }

  #takeOverUs(): number {
    return this.#leaderHeardUs + this.options.timeoutMs * 1000 * (1 + 0.2 * this.options.id);
  }
}
