/**
 * Leadership in the native wire: election, one phase 1 for all instances, heartbeats, and the reads that rest on them.
 *
 * A proposer campaigns only with the votes of a quorum of acceptors that hear no leader (`election.ts`), and leads only
 * while a quorum of acceptors echoes its heartbeats. So whoever cannot lead does not disturb, whoever cannot lead any
 * more steps down by itself, and one that reaches a quorum comes next, however the network is torn. A preempted one does
 * not duel: it lets the other one try. Only who is echoed by a quorum just then goes above it once, and above acceptors
 * that recover, which never lead.
 */
import { RECOVERY_IDS } from "../ballot.ts";
import { nameGenerations, UNNAMED } from "../generations.ts";
import { markOfLog } from "../log_mark.ts";
import { type Ballot, type Life, NO_BALLOT, type Peer } from "../types.ts";
import { Clearing } from "./clearing.ts";
import { Election } from "./election.ts";
import { Heartbeats } from "./heartbeats.ts";
import {
  Leadership,
  type LeadershipOptions,
  type LeadershipParts,
  PREPARE_RETRY_US,
  type Reason,
} from "./leadership.ts";
import { RangePhase } from "./range_phase.ts";
import { ReadPoint } from "./read_point.ts";
import { Stranded } from "./stranded.ts";

/** Heartbeats in the time after which a leader counts as silent; with a lease also in that. */
const HEARTBEATS_PER_TIMEOUT = 5;
const HEARTBEATS_PER_LEASE = 3;

export class RangeLeadership extends Leadership {
  readonly election: Election;
  readonly heartbeats: Heartbeats;
  readonly reads: ReadPoint;
  readonly clearing = new Clearing();
  readonly range: RangePhase;
  readonly #isAlone: boolean;
  readonly #heartbeatUs: number;
  readonly #prepareRetryUs: number;
  /** A pause after which it campaigns without asking; ∞: none. */
  #pauseEndUs = Number.POSITIVE_INFINITY;
  /** When the prepare is sent again. */
  #prepareDueUs = 0;
  /** When the last promise came, or was first asked for. */
  #promisedUs = 0;
  #heartbeatDueUs = 0;
  /** When it last went above another proposer's ballot without asking. */
  #reclaimedUs = Number.NEGATIVE_INFINITY;
  readonly #stranded = new Stranded();
  /** The generations that its frames name. */
  #named = UNNAMED;
  #reading = false;
  /** Some acceptor may have promised this very ballot to a former life. */
  #isDoubted = false;

  constructor(options: LeadershipOptions, parts: LeadershipParts) {
    super(options, parts);
    const timeoutUs = options.leaderTimeoutMs * 1000;
    const leaseUs = options.leaseMs > 0 ? options.leaseMs * 1000 : Number.POSITIVE_INFINITY;
    this.election = new Election(options);
    this.heartbeats = new Heartbeats(options.acceptors);
    this.reads = new ReadPoint(parts.outbox, this.heartbeats, options.leaseMs);
    this.range = new RangePhase(parts.window, parts.outbox, options.acceptors);
    this.#isAlone = options.proposers === 1;
    this.#heartbeatUs = Math.min(timeoutUs / HEARTBEATS_PER_TIMEOUT, leaseUs / HEARTBEATS_PER_LEASE);
    this.#prepareRetryUs = Math.min(PREPARE_RETRY_US, timeoutUs / HEARTBEATS_PER_TIMEOUT);
  }

  // ── phase 1 ───────────────────────────────────────────────────────────────────────────────────────────────────

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
    const waits = this.stage === "preparing" && !this.clearing.isOpen;
    this.#reading = waits && ballot === this.ballot && life === this.options.life;
    if (!this.#reading) return;
    this.#reading = this.range.onBegin(aid, asked, first, last, trimIid, bytes, offset, length);
    if (this.#reading) this.#jump();
  }

  onPromiseRecord(iid: number, ballot: Ballot, bytes: Uint8Array, offset: number, length: number): void {
    if (this.#reading) this.range.onRecord(iid, ballot, bytes, offset, length);
  }

  onPromiseEnd(aid: number, more: boolean): void {
    if (!this.#reading) return;
    this.#reading = false;
    if (this.range.onEnd(aid, more) && this.#isInReach() && this.#isCounted()) return this.#lead();
    // Long promises come frame by frame: while they come the next lost one is asked for soon, not after a grown pause.
    this.#promisedUs = this.nowUs;
    this.#prepareDueUs = this.nowUs + this.#prepareRetryUs;
  }

  onPreempted(ballot: Ballot): void {
    this.sees(ballot);
    if (ballot < this.ballot || (this.stage !== "leading" && this.stage !== "preparing")) return;
    if (ballot === this.ballot && this.parts.counters.campaigns > 1) {
      // Most likely an answer to a message of ours at a former ballot that came late, and not another life at this one.
      this.#isDoubted = true;
      return;
    }
    this.parts.counters.preempted++;
    const owner = this.owner(ballot);
    const reason: Reason = { what: "preempted", owner };
    if (owner >= RECOVERY_IDS) return this.#campaign(reason);
    // A ballot of a former life, or of nobody we know: nobody who could lead.
    if (owner === this.options.id || owner >= this.options.proposers) {
      this.#wait(reason);
      this.#pauseEndUs = this.nowUs + this.pauseUs();
      return;
    }
    const { timeoutUs } = this.election;
    const isHeard = this.stage === "leading" && this.heartbeats.echoedSentUs > this.nowUs - timeoutUs / 2;
    if (isHeard && this.nowUs - this.#reclaimedUs > 2 * timeoutUs) {
      this.#reclaimedUs = this.nowUs;
      return this.#campaign(reason);
    }
    this.#follow(owner, reason);
    this.election.follow(ballot, 0, 0, this.nowUs);
  }

  // ── who leads ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** The leader of (ballot, life) lives, and everything ≤ `iid` is chosen. `round` 0: it says so with an accept. */
  onLeader(iid: number, ballot: Ballot, life: Life, round: number): void {
    const owner = this.owner(ballot);
    if (owner === this.options.id || owner >= this.options.proposers) return;
    const { learner } = this.parts;
    if (learner.next === 0) learner.startAt(iid + 1);
    learner.onChosen(iid);
    this.sees(ballot);
    const competes = this.stage === "leading" || this.stage === "preparing";
    if (competes && ballot < this.ballot) return;
    if (!this.election.hears(ballot, life, round, this.nowUs)) return;
    if (this.stage !== "passive" || this.leader !== owner) this.#follow(owner);
  }

  /** An acceptor has heard a heartbeat: ours, or that of somebody we may not hear ourselves. */
  onEcho(aid: number, iid: number, ballot: Ballot, life: Life, round: number): void {
    if (ballot !== this.ballot || life !== this.options.life) return this.onLeader(iid, ballot, life, round);
    const competes = this.stage === "leading" || this.stage === "preparing";
    if (competes && this.heartbeats.onEcho(aid, round, this.nowUs))
      this.election.roundTripUs = this.heartbeats.roundTripUs;
  }

  onPreVoted(aid: number, round: number, ballot: Ballot, granted: boolean): void {
    this.sees(ballot);
    const isAnothers = ballot > 0 && this.owner(ballot) !== this.options.id;
    if (isAnothers && this.ballot === NO_BALLOT) this.election.hold();
    this.election.onVote(aid, round, granted, this.nowUs);
    if (this.stage === "waiting" && !this.isHeld && this.election.isWon(this.nowUs))
      this.#campaign(this.reason);
  }

  /**
   * Acceptors take what a leader proposed itself and announces as chosen for the very value (`chosen_marks.ts`). So nobody
   * announces anything at a ballot above which something was chosen.
   */
  onLearned(ballot: Ballot): void {
    this.sees(ballot);
    if (ballot > this.ballot && (this.stage === "leading" || this.stage === "preparing"))
      this.onPreempted(ballot);
  }

  /** Nor does a leader that was carried past an instance of its own (by a snapshot) without learning what was chosen there. */
  checkOvertaken(): void {
    const { window } = this.parts;
    if ((this.stage === "leading" || this.clearing.isOpen) && window.overtakenIid >= this.recovered.first) {
      this.#campaign({ what: "preempted", owner: this.options.id });
    }
    window.overtakenIid = 0;
  }

  /** Everything up to here is chosen: acceptors vouched for it, or we have learned it. */
  get chosenIid(): number {
    return Math.max(this.parts.window.low, this.range.start) - 1;
  }

  /** The life of the leader that takes values, ourselves or another; 0: none does, as far as we know. */
  get leaderLife(): Life {
    if (this.stage === "leading") return this.options.life;
    return this.stage === "passive" ? this.election.leaderLife : 0;
  }

  forwarded(): void {}

  /** A former leader may have proposed up to this instance: it is not left open. */
  fill(iid: number): void {
    if (this.stage === "leading" && !this.parts.phaseTwo.fill(iid)) this.parts.counters.tooFar++;
  }

  // ── reads ─────────────────────────────────────────────────────────────────────────────────────────────────────

  onReadAsk(from: Peer, nonce: number): void {
    if (this.stage !== "leading") return this.reads.refuse(from, nonce);
    this.reads.ask(from, nonce, this.parts.phaseTwo.highestIid);
  }

  /** Leads, and a quorum has echoed it lately. */
  get isHeard(): boolean {
    return this.stage === "leading" && this.nowUs - this.#quorumUs() <= this.election.timeoutUs;
  }

  /** After the turn's messages; true: there is more to say as soon as frames are free again. */
  pump(): boolean {
    if (this.stage !== "leading") return false;
    const more = this.reads.answer(this.nowUs, this.parts.window.low - 1);
    if (this.nowUs >= Math.min(this.#heartbeatDueUs, this.reads.dueUs(this.nowUs))) this.#beat();
    return more;
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

  protected dueUs(): number {
    const { phaseTwo } = this.parts;
    switch (this.stage) {
      case "waiting":
        return Math.min(this.election.dueUs(), this.#pauseEndUs);
      case "passive":
        return Math.min(this.#takeOverUs(), this.election.probeDueUs, this.#stranded.dueUs);
      case "preparing":
        return Math.min(this.#prepareDueUs, this.#heartbeatDueUs);
      case "leading":
        return Math.min(this.#heartbeatDueUs, phaseTwo.retryDueUs, this.reads.dueUs(this.nowUs));
      case "exhausted":
        return Number.POSITIVE_INFINITY;
    }
  }

  protected begin(): void {
    if (this.#isAlone) this.#campaign();
    else this.election.start(this.nowUs);
  }

  protected act(): void {
    const { nowUs, election } = this;
    this.reads.tick();
    const { logId } = this.parts.learner;
    const former = this.range.logId;
    if (logId !== 0 && former !== 0 && logId !== former) this.#takeUp(logId);
    switch (this.stage) {
      case "waiting":
        if (nowUs >= this.#pauseEndUs) this.#campaign(this.reason);
        else if (nowUs >= election.dueUs()) this.#seekVotes();
        break;
      case "passive":
        if (nowUs >= this.#takeOverUs()) {
          this.#wait({ what: "silent", leader: this.leader, us: nowUs - election.heardUs });
          this.#seekVotes();
        } else if (nowUs >= election.probeDueUs) {
          election.probe(nowUs);
          this.parts.outbox.preVote(election.round, this.nextBallot());
        }
        if (this.stage === "passive" && nowUs >= this.#stranded.dueUs)
          this.#stranded.look(this.leader, this.parts, nowUs);
        break;
      case "preparing":
        if (nowUs >= this.#prepareDueUs) this.#retryPrepare();
        if (this.stage === "preparing" && nowUs >= this.#heartbeatDueUs) this.#beat();
        break;
      case "leading":
        this.#actAsLeader();
    }
  }

  /** Who would have to learn much before it could serve lets others come first. */
  #takeOverUs(): number {
    const { learner, window } = this.parts;
    const isFarBehind = !this.options.mayJump && learner.highestIid > learner.next + window.instances / 2;
    return this.election.dueUs() + (isFarBehind ? this.election.timeoutUs : 0);
  }

  #actAsLeader(): void {
    this.#goOnProposing();
    // Acceptors have told of records, at some time, that are no answers to us.
    if (this.nowUs >= this.#heartbeatDueUs) this.fill(this.parts.learner.highestIid);
  }

  /** Sends again what is due, or steps back, for no quorum hears it. */
  #goOnProposing(): void {
    const { nowUs } = this;
    const { phaseTwo } = this.parts;
    const { timeoutUs } = this.election;
    if (!this.#isAlone && nowUs - this.#quorumUs() > timeoutUs) {
      return this.#stepBack({ what: "unheard", heard: this.heartbeats.heardBy(nowUs - timeoutUs) });
    }
    if (nowUs >= phaseTwo.retryDueUs) phaseTwo.retry(nowUs);
  }

  /** When the last message left that shows a quorum behind us. */
  #quorumUs(): number {
    return Math.max(this.heartbeats.echoedSentUs, this.stageSinceUs);
  }

  #beat(): void {
    const leaseMs = this.stage === "leading" ? this.options.leaseMs : 0;
    const round = this.heartbeats.send(this.nowUs);
    this.parts.outbox.heartbeat(this.chosenIid, this.ballot, round, leaseMs);
    this.#heartbeatDueUs = this.nowUs + this.#heartbeatUs;
  }

  #retryPrepare(): void {
    this.#prepareDueUs = this.nowUs + this.#prepareRetryUs;
    // Behind what was cleared it begins anew.
    if (this.clearing.isOpen)
      return this.parts.phaseTwo.isIdle ? this.#campaign(this.reason) : this.#goOnProposing();
    this.parts.counters.retries++;
    if (this.range.isComplete() && this.#isInReach() && this.#isCounted()) return this.#lead();
    if (this.#clears()) return;
    const { isPromised, isStartDoubted } = this.range;
    const waits = isPromised && !this.#isInReach();
    if (waits && !isStartDoubted) this.#isCounted();
    const silenceUs = this.nowUs - this.#promisedUs;
    // What it waits for is of a former log, if who told of it does not count any more: that never comes.
    const isInVain = waits && isStartDoubted && this.nowUs - this.stageSinceUs > this.election.timeoutUs;
    if (isInVain || silenceUs > this.election.timeoutUs) {
      if (!this.#isAlone) return this.#stepBack({ what: "unpromised" });
      if (isInVain || this.#isDoubted) return this.#campaign({ what: "preempted", owner: this.options.id });
    }
    this.range.retry();
    this.#prepareDueUs = this.nowUs + this.#prepareRetryUs * Math.min(8, 1 + silenceUs / 100_000);
  }

  /** Asks for votes when that is due, and campaigns when they are there. */
  #seekVotes(): void {
    const { election, nowUs } = this;
    if (!election.asking) election.ask(nowUs);
    if (election.isWon(nowUs)) return this.#campaign(this.reason);
    if (election.asks(nowUs)) this.parts.outbox.preVote(election.round, this.nextBallot());
  }

  // ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────

  #campaign(reason?: Reason): void {
    this.#leave();
    if (!this.takeBallot()) return;
    this.enter("preparing", reason);
    this.#isDoubted = false;
    this.heartbeats.begin();
    this.#heartbeatDueUs = this.nowUs + this.#heartbeatUs;
    const { logId } = this.parts.learner;
    this.#names(UNNAMED, logId);
    this.clearing.begin(this.parts.window.low, this.nowUs);
    this.range.begin(this.parts.window.low, this.ballot, logId);
    this.#promisedUs = this.nowUs;
    this.#prepareDueUs = this.nowUs + this.#prepareRetryUs;
  }

  /** Whether the window reaches from what this process has learned to where the leader has to start. */
  #isInReach(): boolean {
    const { learner, window } = this.parts;
    // Who cannot read on would lead without ever learning what is chosen, or what it knows is of a former log.
    if (learner.waitsForSnapshot || learner.isDoubted) return false;
    return this.range.start <= Math.max(1, learner.next) + window.instances / 2;
  }

  /** Leaves out what acceptors vouch is chosen, where it is too far above us to be learned first. */
  #jump(): void {
    if (!this.options.mayJump || this.parts.learner.isDoubted || this.#isInReach()) return;
    this.parts.learner.startAt(this.range.start);
    this.parts.window.advance(this.range.start);
  }

  /** A quorum has promised everything from `start` on: propose again what may be chosen, fill the gaps, then serve. */
  #lead(): void {
    const { window, learner } = this.parts;
    const start = Math.max(this.range.start, window.low);
    if (learner.next === 0) learner.startAt(start);
    let end = Math.max(this.range.highestIid, start - 1);
    for (let iid = end + 1; iid < window.low + window.instances; iid++) if (window.hasOwn(iid)) end = iid;
    this.enter("leading", this.reason);
    this.recover(start, end);
    this.reads.begin();
    this.#heartbeatDueUs = this.nowUs;
  }

  /**
   * Names the generations that phase 1 counts, for as long as the ballot lasts: then acceptors believe what it says is chosen, and can
   * show it to its learner. False: they are others by now, so it counts anew.
   */
  #isCounted(): boolean {
    if (this.parts.learner.waitsForSnapshot || this.parts.learner.isDoubted) return false;
    const named = nameGenerations(this.range.generations);
    const isSame = this.#named === UNNAMED || this.#named === named;
    isSame ? this.#names(named, this.range.logId) : this.#campaign(this.reason);
    return isSame;
  }

  /** Begins to clear the window, where that is all that helps (`clearing.ts`). */
  #clears(): boolean {
    const isDue = this.clearing.isDue(this.parts.window, this.range, this.nowUs, this.election.timeoutUs);
    if (!isDue || !this.#isInReach() || !this.#isCounted()) return false;
    this.clearing.open();
    this.recover(this.clearing.first, this.clearing.last);
    return true;
  }

  #follow(leader: number, reason?: Reason): void {
    this.#leave();
    this.enter("passive", reason);
    this.leader = leader;
    this.#stranded.begin(this.nowUs);
  }

  /** It cannot lead now: gives others their time, then looks for votes again. */
  #stepBack(reason: Reason): void {
    this.#wait(reason);
    this.election.wait(this.nowUs);
  }

  #wait(reason: Reason): void {
    this.#leave();
    this.enter("waiting", reason);
    this.leader = -1;
  }

  #leave(): void {
    this.#pauseEndUs = Number.POSITIVE_INFINITY;
    this.clearing.isOpen = false;
    this.reads.refuseAll();
    this.#names(UNNAMED, 0);
  }

  /**
   * The log is another one than that of its last phase 1. What it found and opened there has no part in this one, where ballots are
   * lower mostly; and acceptors take nothing more of what names the former one.
   */
  #takeUp(logId: number): void {
    const { learner, window, phaseTwo } = this.parts;
    this.range.isOf(logId);
    window.restart(Math.max(1, learner.next));
    phaseTwo.restart();
    if (this.stage === "leading" || this.stage === "preparing") this.#campaign();
  }

  #names(generations: number, logId: number): void {
    this.#named = generations;
    this.parts.outbox.leads(generations, markOfLog(logId));
  }
}
