/**
 * Leadership in the Kernel_Paxos wire, which has no words for an election: a proposer that sees another's ballot win sends
 * its values to that one, and takes over when they wait for `proposer-timeout` without anything being chosen.
 */

import { type Ballot, NO_BALLOT } from "../types.ts";
import type { InstancePhase } from "./instance_phase.ts";
import { Leadership, type LeadershipOptions, type LeadershipParts } from "./leadership.ts";

/** How often somebody who waits for the learner to catch up looks again. */
const CATCH_UP_US = 10_000;

export class InstanceLeadership extends Leadership {
  readonly #instances: InstancePhase;
  #dueUs = 0;
  #leaderHeardUs = 0;
  /** Since when forwarded values wait for the leader; −1: none does. */
  #waitingSinceUs = -1;

  constructor(options: LeadershipOptions, parts: LeadershipParts, instances: InstancePhase) {
    super(options, parts);
    this.#instances = instances;
  }

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

  /** The promise that rode on one of our accepts. */
  onRidingPromise(aid: number, iid: number, ballot: Ballot): void {
    if (this.stage === "leading") this.#instances.onRidingPromise(aid, iid, ballot);
  }

  onPreempted(ballot: Ballot): void {
    this.sees(ballot);
    if (ballot < this.ballot || this.stage !== "leading") return;
    this.parts.counters.preempted++;
    const owner = this.owner(ballot);
    if (owner === this.options.id || owner >= this.options.proposers) this.#wait(this.pauseUs());
    else this.#follow(owner);
  }

  /**
   * An acceptor has accepted something. Where that is no answer to our learner, somebody leads now: he need not be silent
   * because our learner is far behind him, nor need a log that grows as fast as we read it be read to its end.
   */
  onAcceptedNow(iid: number, ballot: Ballot): void {
    const waits = this.stage === "waiting" || this.stage === "passive";
    if (!waits || ballot < this.seenBallot || !this.parts.learner.isNews(iid)) return;
    const owner = this.owner(ballot);
    this.seenBallot = ballot;
    if (owner !== this.options.id && owner < this.options.proposers) this.#follow(owner);
  }

  onLearned(ballot: Ballot): void {
    this.sees(ballot);
    if (this.stage !== "passive" || this.owner(ballot) !== this.leader) return;
    this.#leaderHeardUs = this.nowUs;
    this.#waitingSinceUs = -1;
  }

  forwarded(): void {
    if (this.#waitingSinceUs < 0) this.#waitingSinceUs = this.nowUs;
  }

  protected dueUs(): number {
    switch (this.stage) {
      case "waiting":
        return this.parts.learner.catchingUp ? Math.max(this.#dueUs, this.nowUs + CATCH_UP_US) : this.#dueUs;
      case "passive":
        return this.#takeOverUs();
      case "leading":
        return this.parts.phaseTwo.retryDueUs;
      default:
        return Number.POSITIVE_INFINITY;
    }
  }

  protected begin(): void {
    this.#wait(0);
  }

  protected act(): void {
    const { phaseTwo, learner } = this.parts;
    if (this.stage === "waiting") {
      if (this.nowUs >= this.#dueUs && !learner.catchingUp) this.#joinOrCampaign();
    } else if (this.stage === "passive") {
      if (this.nowUs >= this.#takeOverUs()) this.#campaign();
    } else if (this.stage === "leading") {
      if (this.nowUs >= phaseTwo.retryDueUs) phaseTwo.retry(this.nowUs);
    }
  }

  #wait(us: number): void {
    this.enter("waiting");
    this.leader = -1;
    this.#dueUs = this.nowUs + us;
  }

  /**
   * Nobody says that he leads: whoever comes to a log that another proposer has written last lets that one lead until it
   * falls silent, instead of driving it out.
   */
  #joinOrCampaign(): void {
    const last = this.owner(this.seenBallot);
    const isNew = this.ballot === NO_BALLOT && this.seenBallot > 0;
    if (isNew && last !== this.options.id && last < this.options.proposers) this.#follow(last);
    else this.#campaign();
  }

  #campaign(): void {
    if (!this.takeBallot()) return;
    this.#waitingSinceUs = -1;
    this.enter("leading");
    this.#instances.begin();
    const { low } = this.parts.window;
    this.parts.phaseTwo.begin(this.ballot, low, low);
  }

  #follow(leader: number): void {
    this.enter("passive");
    this.leader = leader;
    this.#leaderHeardUs = this.nowUs;
    this.#waitingSinceUs = -1;
  }

  /** Without heartbeats silence means something only while somebody waits. */
  #takeOverUs(): number {
    if (this.#waitingSinceUs < 0) return Number.POSITIVE_INFINITY;
    const timeoutUs = this.options.timeoutMs * 1000 * (1 + 0.2 * this.options.id);
    return Math.max(this.#leaderHeardUs, this.#waitingSinceUs) + timeoutUs;
  }
}
