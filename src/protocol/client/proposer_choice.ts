/**
 * Which of the configured proposers a client sends to: the one it was given, until that one is silent, or has nobody to lead
 * it for long; then the next. Sooner, it is the one that calls while the one in use is silent, or the leader's successor; of a
 * client that follows leaders, each new one that is heard.
 */
import { ballotOwner, NATIVE_BALLOTS } from "../ballot.ts";
import { type Ballot, Busy, NO_BALLOT } from "../types.ts";

/** In first retries: how long nothing at all may come back, and how long only refusals may. */
const SILENT_RETRIES = 3;
const REFUSED_RETRIES = 8;

export class ProposerChoice {
  id: number;
  switches = 0;
  readonly #proposers: number;
  readonly #followsLeader: boolean;
  /** When anything was last heard from a proposer, when a value last came back, and since when there is something to wait for. */
  #heardUs = Number.NEGATIVE_INFINITY;
  #progressUs = Number.NEGATIVE_INFINITY;
  #sinceUs = 0;
  #isRefused = false;
  /** Of the newest leader that was heard. */
  #leaderBallot: Ballot = NO_BALLOT;

  /** `followsLeader`: it goes wherever a leader is heard of, which saves its values the way over another proposer. */
  constructor(first: number, proposers: number, followsLeader: boolean = false) {
    this.id = first;
    this.#proposers = proposers;
    this.#followsLeader = followsLeader;
  }

  /** From now on answers are expected. */
  expects(nowUs: number): void {
    this.#sinceUs = nowUs;
    this.#isRefused = false;
  }

  heard(nowUs: number): void {
    this.#heardUs = nowUs;
  }

  progress(nowUs: number): void {
    this.#progressUs = nowUs;
    this.#isRefused = false;
  }

  refused(reason: Busy, nowUs: number): void {
    this.#heardUs = nowUs;
    // A full proposer would be as full through another one.
    this.#isRefused = reason === Busy.noQuorum || reason === Busy.notLeader || reason === Busy.noSnapshot;
  }

  /** Whether it is time for another proposer, which then is the one in use. */
  review(nowUs: number, retryUs: number): boolean {
    const silentUs = nowUs - Math.max(this.#heardUs, this.#sinceUs);
    const stuckUs = nowUs - Math.max(this.#progressUs, this.#sinceUs);
    const isOver =
      silentUs >= SILENT_RETRIES * retryUs || (this.#isRefused && stuckUs >= REFUSED_RETRIES * retryUs);
    if (!isOver || this.#proposers < 2) return false;
    this.#goTo((this.id + 1) % this.#proposers, nowUs);
    return true;
  }

  /** This proposer wants what it has not got. True: it is in use from now on, for the one that was has said nothing yet. */
  calls(id: number, nowUs: number): boolean {
    if (id < 0 || id === this.id || this.#heardUs >= this.#sinceUs) return false;
    this.#goTo(id, nowUs);
    return true;
  }

  /** Somebody leads at this ballot. True: he succeeds the one in use, or is followed in any case, and is in use from now on. */
  follows(ballot: Ballot, nowUs: number): boolean {
    if (ballot <= this.#leaderBallot) return false;
    const former = this.#leaderBallot;
    this.#leaderBallot = ballot;
    const id = ballotOwner(NATIVE_BALLOTS, ballot);
    const succeeds = former !== NO_BALLOT && ballotOwner(NATIVE_BALLOTS, former) === this.id;
    if (!(succeeds || this.#followsLeader) || id === this.id || id >= this.#proposers) return false;
    this.#goTo(id, nowUs);
    return true;
  }

  #goTo(id: number, nowUs: number): void {
    this.id = id;
    this.switches++;
    this.expects(nowUs);
  }
}
