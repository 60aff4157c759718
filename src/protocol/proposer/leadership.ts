/**
 * Who of the proposers leads: what both wires share. `range_leadership.ts` is the native wire's, with an election;
 * `instance_leadership.ts` that of the Kernel_Paxos wire, where a proposer that sees another's ballot win steps back.
 * Pure.
 *
 * Invariants: a ballot is kept (`keepBallot`) before it is used; no ballot is used twice; only a proposer whose stage is
 * `leading` proposes.
 */
import { type BallotScheme, ballotAbove, ballotOwner } from "../ballot.ts";
import type { Learner } from "../learner/learner.ts";
import type { Outbox } from "../outbox.ts";
import { type Ballot, type Life, NO_BALLOT } from "../types.ts";
import type { PhaseTwo } from "./phase_two.ts";
import { type ProposerWindow, Status } from "./proposer_window.ts";

/** How soon a prepare is sent again, and about how long a preempted proposer pauses. */
export const PREPARE_RETRY_US = 20_000;
/** How often it looks whether acceptors have told that the log is the one that its learner goes on with. */
const DOUBT_LOOK_US = 1_000;

export type Stage = "waiting" | "passive" | "preparing" | "leading" | "exhausted";

/** Why a proposer has come to its stage, where that is worth telling. */
export type Reason =
  /** The leader was not heard of for so long. */
  | { readonly what: "silent"; readonly leader: number; readonly us: number }
  /** It led, and only so many acceptors echo its heartbeats. */
  | { readonly what: "unheard"; readonly heard: number }
  /** No quorum of acceptors promises its ballot. */
  | { readonly what: "unpromised" }
  /** An acceptor has promised a higher ballot: of this owner, which may be a former life or an acceptor that recovers. */
  | { readonly what: "preempted"; readonly owner: number };

export interface LeadershipOptions {
  readonly id: number;
  /** Who leads first, all else being equal: the one of rank 0 (native wire); its id unless given. */
  readonly rank?: number;
  readonly proposers: number;
  readonly acceptors: number;
  readonly life: Life;
  readonly scheme: BallotScheme;
  readonly timeoutMs: number;
  /** Silence after which a leader is taken for dead (native wire). */
  readonly leaderTimeoutMs: number;
  /** How long a leader may answer reads unasked; 0: never (native wire). */
  readonly leaseMs: number;
  /** Nobody in this process needs the values themselves: a new leader may leave out what is chosen already. */
  readonly mayJump: boolean;
  /** Highest ballot used by former lives, 0 when none is known. */
  readonly usedBallot: number;
  /** Called before a ballot is used for the first time. */
  readonly keepBallot: (ballot: Ballot) => void;
  /** Uniform in 0…1; the simulator seeds it. */
  readonly random: () => number;
}

/** What a leader works with. */
export interface LeadershipParts {
  readonly outbox: Outbox;
  readonly window: ProposerWindow;
  readonly learner: Learner;
  readonly phaseTwo: PhaseTwo;
  readonly counters: { preempted: number; retries: number; campaigns: number; tooFar: number };
}

export abstract class Leadership {
  stage: Stage = "waiting";
  ballot: Ballot = NO_BALLOT;
  /** Who leads as far as we know; −1: nobody, or we do. */
  leader = -1;
  stageSinceUs = 0;
  reason: Reason | undefined;
  /** What a new leader found to be proposed again or filled, first…last, and how long all of phase 1 took. */
  readonly recovered = { first: 1, last: 0 };
  campaignUs = 0;
  protected readonly options: LeadershipOptions;
  protected readonly parts: LeadershipParts;
  protected seenBallot: number;
  protected nowUs = 0;
  #hasBegun = false;

  constructor(options: LeadershipOptions, parts: LeadershipParts) {
    this.options = options;
    this.parts = parts;
    this.seenBallot = options.usedBallot;
  }

  protected abstract dueUs(): number;
  /** An acceptor has promised `ballot`, so it takes nothing of ours that is below. */
  abstract onPreempted(ballot: Ballot): void;
  /** Our learner has learned a value that was chosen at `ballot`. */
  abstract onLearned(ballot: Ballot): void;
  /** A value was sent on to the leader. */
  abstract forwarded(): void;
  protected abstract begin(): void;
  protected abstract act(): void;

  tick(nowUs: number): void {
    this.nowUs = nowUs;
    if (this.isHeld) return;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.stageSinceUs = nowUs;
      this.begin();
    }
    this.act();
  }

  nextTickUs(): number {
    return this.#hasBegun && !this.isHeld ? this.dueUs() : this.nowUs + DOUBT_LOOK_US;
  }

  /** It does not begin to lead, with what may be of a former log: it would say that all of that is chosen in this one. */
  protected get isHeld(): boolean {
    return this.parts.learner.isDoubted && this.stage !== "leading" && this.stage !== "preparing";
  }

  protected sees(ballot: number): void {
    if (ballot > this.seenBallot) this.seenBallot = ballot;
  }

  protected owner(ballot: number): number {
    return ballotOwner(this.options.scheme, ballot as Ballot);
  }

  protected enter(stage: Stage, reason?: Reason): void {
    this.stage = stage;
    this.reason = reason;
    this.stageSinceUs = this.nowUs;
  }

  /** The lowest of our ballots above all that were seen; `NO_BALLOT`: there is none left. */
  protected nextBallot(): Ballot {
    return ballotAbove(this.options.scheme, Math.max(this.seenBallot, this.ballot), this.options.id);
  }

  /** Takes the next ballot; false: there is none left. */
  protected takeBallot(): boolean {
    const ballot = this.nextBallot();
    if (ballot === NO_BALLOT) {
      this.enter("exhausted");
      return false;
    }
    this.parts.counters.campaigns++;
    this.options.keepBallot(ballot);
    this.ballot = ballot;
    this.leader = -1;
    this.campaignUs = this.nowUs;
    this.parts.window.advance(this.parts.learner.next);
    return true;
  }

  /** Of these instances a quorum has told what may be chosen: it is proposed again, and the rest filled. */
  protected recover(first: number, last: number): void {
    const { window, phaseTwo } = this.parts;
    for (let iid = first; iid <= last; iid++) {
      if (window.status(iid) !== Status.closed) window.enter(iid, Status.prepared, this.ballot);
    }
    this.recovered.first = first;
    this.recovered.last = last;
    phaseTwo.begin(this.ballot, first, last + 1);
  }

  protected pauseUs(): number {
    return PREPARE_RETRY_US * (0.5 + this.options.random());
  }
}
