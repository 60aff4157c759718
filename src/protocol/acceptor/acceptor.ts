/**
 * The acceptor. Promises ballots, accepts values, answers repeats, trims, watches the leader. Pure: it journals before it
 * answers, and the node lets nothing out before the journal is durable.
 *
 * Invariants: one that does not vote (`birth.ts`) promises, accepts, repeats and echoes nothing; a promised ballot never
 * falls, neither for all instances nor for one; nothing is accepted below the effective promise (the higher of the two); an
 * equal ballot of another life counts as lower (PROTOCOL: a proposer that restarts cannot speak for its former self); accepted
 * records change only by accepting at a higher ballot or by trim; hearsay is never told as a vote; nothing is accepted or echoed
 * for a leader of another log, or that counts another generation of this acceptor (`named_generation.ts`).
 */

import type { Outbox } from "../outbox.ts";
import { StandingVector } from "../standing.ts";
import { type Ballot, type Life, MAX_IID, NO_BALLOT, NO_PEER, type Peer, Role, StateFlag } from "../types.ts";
import { AcceptorLog, type AcceptorLogOptions } from "./acceptor_log.ts";
import { Audience } from "./audience.ts";
import type { Voice } from "./birth_options.ts";
import { ChosenMarks } from "./chosen_marks.ts";
import { FellowAcceptors } from "./fellow_acceptors.ts";
import { InstancePromises } from "./instance_promises.ts";
import { type Journal, RecordFlag } from "./journal.ts";
import { LeaderWatch } from "./leader_watch.ts";
import { NamedGeneration } from "./named_generation.ts";
import { Repeats } from "./repeats.ts";
import type { TrimRule } from "./trim_rule.ts";

const STATE_INTERVAL_US = 1_000_000;
/** Under pressure the state is told more often, so that learners trim and proposers wait in time. */
const PRESSURE_INTERVAL_US = 100_000;
/** So much of the window in use is pressure. */
const HALF = 0.5;
/** A learner that has not said hi for so long is taken out of the audience. */
const LEARNER_SILENCE_US = 10_000_000;
/** Learners say hi once a second: all that listen have said so by then. */
const AUDIENCE_KNOWN_US = 2_500_000;

export interface AcceptorOptions extends AcceptorLogOptions {
  readonly aid: number;
  readonly acceptors: number;
  readonly life: Life;
  /** Votes at once, though it may have forgotten what it promised. */
  readonly fresh: boolean;
  /** What it journals survives its process. */
  readonly durable: boolean;
  /** See `BirthOptions`. */
  readonly listenUs?: number | undefined;
  /** Uniform in 0…1; the simulator seeds it. */
  readonly random: () => number;
  /** The longest lease that is granted; 0: none (native wire). */
  readonly maxLeaseMs: number;
  /** Kernel_Paxos wire: a prepare is for one instance. */
  readonly perInstance: boolean;
  /** Silence after which a leader is taken for dead (native wire). */
  readonly leaderTimeoutMs: number;
  /** Whom to believe in trims; null: anyone (Kernel_Paxos wire). */
  readonly trimRule: TrimRule | null;
  /** Of the configuration: these have a place in the audience before all others. */
  readonly isMember?: (peer: Peer) => boolean;
}

export class Acceptor {
  readonly log: AcceptorLog;
  readonly audience: Audience;
  /** The promise for all instances (native wire). */
  promised: Ballot = NO_BALLOT;
  promisedLife: Life = 0;
  /** A leader said that every instance ≤ this is chosen. */
  chosenIid = 0;
  /** Everybody's generations as far as this acceptor knows, its own included. */
  readonly standing: StandingVector;
  /** What goes on between acceptors: how this one comes to vote. Null in the Kernel_Paxos wire, which has no words for it. */
  readonly fellows: FellowAcceptors | null;
  readonly counters = {
    refusedFull: 0,
    refusedLow: 0,
    preempted: 0,
    trims: 0,
    trimsIgnored: 0,
    trimsRefused: 0,
    /** Prepares not answered because another proposer holds a lease. */
    leased: 0,
    /** Heartbeats not echoed because they ask for a longer lease than this acceptor would wait out. */
    leasesTooLong: 0,
    /** Accepts and heartbeats not taken because their leader counts another generation of this acceptor, or is of another log. */
    otherGeneration: 0,
  };
  readonly #options: AcceptorOptions;
  readonly #journal: Journal;
  readonly #outbox: Outbox;
  readonly #leader: LeaderWatch;
  readonly #named = new NamedGeneration(this);
  readonly #marks: ChosenMarks;
  readonly #repeats: Repeats;
  /** Kernel_Paxos wire. */
  readonly #instances: InstancePromises;
  #listensSinceUs = 0;
  #nowUs = 0;
  #stateDueUs = 0;
  /** Since when the states have said that the window is half full; −1: the last one did not. */
  #pressedUs = -1;
  #wasFull = false;
  /** Flags of a refusal that the next state tells everyone: the store can lack room for one value while it looks half empty. */
  #refusal = 0;
  #lastProposer: Peer = NO_PEER;

  constructor(options: AcceptorOptions, journal: Journal, outbox: Outbox) {
    this.#options = options;
    this.#journal = journal;
    this.#outbox = outbox;
    this.audience = new Audience(options.isMember);
    this.log = new AcceptorLog(options);
    this.#marks = new ChosenMarks(this.log);
    this.#repeats = new Repeats(this, outbox, !options.perInstance);
    this.#leader = new LeaderWatch(options.leaderTimeoutMs, options.maxLeaseMs);
    this.standing = new StandingVector(options.acceptors);
    this.#instances = new InstancePromises(this, journal, outbox);
    const birth = { ...options, alone: options.fresh };
    this.fellows = options.perInstance ? null : new FellowAcceptors(this, birth, journal, outbox);
  }

  get aid(): number {
    return this.#options.aid;
  }

  /** Whether it promises and accepts. */
  get isVoting(): boolean {
    return this.fellows === null || this.fellows.birth.voice !== null;
  }

  /** Takes up what a storage kept of the generations (see `Journal.standing`): one that has voted votes again when it may. */
  restoreStanding(generations: Float64Array, incarnations: Float64Array): void {
    if (generations[this.aid] === 0) return;
    this.standing.copy(generations, incarnations);
    this.fellows?.birth.kept();
  }

  onPrepare(from: Peer, iid: number, ballot: Ballot, life: Life): void {
    this.audience.add(from, Role.proposer, this.#nowUs);
    if (!this.isVoting || this.#named.isOtherLog) return;
    if (this.#options.perInstance) this.#instances.onPrepare(from, iid, ballot);
    else this.#prepareRange(from, iid, ballot, life);
  }

  onAccept(
    from: Peer,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const log = this.log;
    if (from !== this.#lastProposer && this.audience.add(from, Role.proposer, this.#nowUs)) {
      // A restarted acceptor learns of the proposer that goes on using its old promise.
      this.#lastProposer = from;
    }
    if (!this.isVoting) return;
    if (iid <= log.trimIid) {
      this.refuseLow(from);
      return;
    }
    const winner = this.#above(iid, ballot, life);
    if (winner !== NO_BALLOT) {
      this.counters.preempted++;
      this.#outbox.preempted(from, iid, winner);
      return;
    }
    if (!this.#isCounted(from, iid, ballot)) return;
    if (!this.#store(iid, ballot, life, bytes, offset, length)) {
      this.refuseFull(from);
      return;
    }
    this.#leader.heard(from, this.#nowUs);
    const at = log.offsetAt(iid);
    const riding = promiseIid === 0 ? 0 : this.#instances.riding(from, promiseIid, ballot);
    // What is kept, not what came: a repeat of this ballot with another value changes nothing.
    this.#outbox.accepted(iid, riding, ballot, life, log.arena.bytes, at, log.lengthAt(iid));
  }

  onRepeat(from: Peer, first: number, last: number): void {
    const log = this.log;
    if (!this.isVoting) return;
    // Of an empty log the state is the only answer there is. In the Kernel_Paxos wire learners find their end by asking beyond it.
    if (first <= log.trimIid || (log.highestIid === 0 && !this.#options.perInstance))
      this.#tellState(from, this.#flags());
    this.#repeats.answer(from, first, last);
  }

  onTrim(from: Peer, iid: number, hasApplications: boolean, kind: number): void {
    if (!this.isVoting) return;
    const rule = this.#options.trimRule;
    if (rule !== null && !this.#isCredible(from, iid)) {
      this.counters.trimsRefused++;
      return;
    }
    const allowed =
      rule === null ? iid : rule.report(from, iid, hasApplications, this.#nowUs, kind, this.#pressedUs);
    if (allowed <= this.log.trimIid) {
      this.counters.trimsIgnored++;
      return;
    }
    this.counters.trims++;
    this.log.trim(allowed);
    this.#journal.trimmed(allowed);
    if (this.#wasFull) this.#stateDueUs = 0;
  }

  /** A frame of a proposer begins; see `Receiver.onGenerations`. */
  onGenerations(named: number, logMark = 0): void {
    this.#named.begin(named, logMark);
  }

  /**
   * That all instances ≤ `iid` are chosen stays true whoever says it, and however late. But who was replaced has no part in what was
   * chosen since, and would be believed to know of it what its records say; and one that does not vote may not know of which log it is.
   */
  onChosen(iid: number, ballot: Ballot, life: Life): void {
    if (!this.isVoting || !this.#named.isOwn) return;
    if (iid > this.chosenIid) this.chosenIid = iid;
    this.#marks.announced(iid, ballot, life);
  }

  // ── the leader ────────────────────────────────────────────────────────────────────────────────────────────────

  /** A leader that is not below our promise is echoed to all proposers. */
  onHeartbeat(from: Peer, iid: number, ballot: Ballot, life: Life, round: number, leaseMs: number): void {
    if (this.#named.isSurelyOwn) this.onChosen(iid, ballot, life);
    if (!this.isVoting) return;
    if (this.#isBelowPromise(ballot, life)) {
      if (round > 0) this.#outbox.preempted(from, this.log.trimIid + 1, this.promised);
      return;
    }
    if (!this.#isCounted(from, this.log.trimIid + 1, ballot)) return;
    this.#leader.heard(from, this.#nowUs);
    // Whoever asked for a lease takes the echo for one.
    if (!this.#leader.lease(life, leaseMs, this.#nowUs)) {
      this.counters.leasesTooLong++;
      return;
    }
    // A former leader whose ballot is still the one promised here must not get the lease next.
    if (leaseMs > 0 && ballot > this.promised) this.promise(ballot, life);
    if (round > 0) this.#outbox.echo(this.chosenIid, ballot, life, round);
  }

  onPreVote(from: Peer, round: number): void {
    if (!this.isVoting) return;
    this.#outbox.preVoted(from, round, this.promised, this.#leader.grants(from, this.#nowUs));
  }

  // ── learners and time ─────────────────────────────────────────────────────────────────────────────────────────

  onLearnerHi(from: Peer): void {
    const hasPlace = this.audience.add(from, Role.learner, this.#nowUs);
    // One that does not vote has nothing more to tell its audience: a place in it changes nothing. Who is turned away is told the state
    // alone, knows by that, and how far the log goes.
    if (hasPlace || !this.isVoting) this.#outbox.acceptorOk(from);
    if (this.isVoting) this.#tellState(from, this.#flags());
  }

  onLearnerDel(from: Peer): void {
    this.audience.remove(from, Role.learner);
    this.#options.trimRule?.forget(from);
  }

  /** Time passes; to be called before the turn's messages. */
  tick(nowUs: number): void {
    if (this.#nowUs === 0) this.#leader.start(nowUs);
    // Who was away for so long forgets all learners.
    if (this.#nowUs === 0 || nowUs - this.#nowUs > LEARNER_SILENCE_US) this.#listensSinceUs = nowUs;
    this.#nowUs = nowUs;
    this.fellows?.tick(nowUs);
    if (!this.#isStateDue(nowUs)) return;
    this.audience.expireLearners(nowUs - LEARNER_SILENCE_US);
    this.audience.isKnown = nowUs >= this.#listensSinceUs + AUDIENCE_KNOWN_US;
    if (!this.isVoting) {
      this.#stateDueUs = nowUs + STATE_INTERVAL_US;
      return;
    }
    const flags = this.#flags() | this.#refusal;
    this.#refusal = 0;
    this.#wasFull = (flags & StateFlag.full) !== 0;
    if (flags === 0) this.#pressedUs = -1;
    else if (this.#pressedUs < 0) this.#pressedUs = nowUs;
    this.#stateDueUs = nowUs + (flags === 0 ? STATE_INTERVAL_US : PRESSURE_INTERVAL_US);
    this.#outbox.acceptorState(this.log.trimIid, this.log.highestIid, flags, this.standing.logId);
  }

  nextTickUs(): number {
    if (this.fellows === null) return this.#stateDueUs;
    const dueUs = this.fellows.birth.nextTickUs();
    return this.isVoting ? Math.min(dueUs, this.#stateDueUs) : dueUs;
  }

  /** It votes from now on. */
  begins(voice: Voice): void {
    this.#stateDueUs = 0;
    // Whoever voted in its place, and is gone, may have granted a lease after this process began.
    if (voice === "recovered") this.#leader.start(this.#nowUs);
    // It has no former life that could have granted one, or answered a learner.
    if (voice !== "born") return;
    this.#leader.forgetFormerLease();
    this.#options.trimRule?.beginsLog();
  }

  /** That the window is half full does not wait for the next state of a quiet time where it is still to be heard who reports. */
  #isStateDue(nowUs: number): boolean {
    if (nowUs >= this.#stateDueUs) return true;
    const isListening = this.#options.trimRule?.hasHeard === false;
    return isListening && this.#pressedUs < 0 && this.log.fill() >= HALF;
  }

  /** A report of somebody who has said hi, about what may be in the log. */
  #isCredible(from: Peer, iid: number): boolean {
    return this.audience.has(from, Role.learner) && iid <= Math.max(this.log.highestIid, this.chosenIid);
  }

  #prepareRange(from: Peer, first: number, ballot: Ballot, life: Life): void {
    if (this.#isBelowPromise(ballot, life)) {
      this.counters.preempted++;
      this.#outbox.preempted(from, first, this.promised);
      return;
    }
    if (ballot > this.promised) {
      if (!this.#leader.admits(life, this.#nowUs)) {
        this.counters.leased++;
        return;
      }
      this.promise(ballot, life);
    }
    this.#leader.heard(from, this.#nowUs);
    const start = Math.max(first, this.chosenIid + 1, this.log.trimIid + 1);
    this.answerPhaseOne(from, first, start, this.log.highestIid, ballot, life, 1);
  }

  promise(ballot: Ballot, life: Life): void {
    this.promised = ballot;
    this.promisedLife = life;
    this.#journal.promised(ballot, life);
  }

  /** Whether a leader that is not below our promise counts this acceptor as the one that it is, in its log. */
  #isCounted(from: Peer, iid: number, ballot: Ballot): boolean {
    if (this.#named.isOwn) return true;
    this.counters.otherGeneration++;
    if (!this.#named.isOtherLog) this.#leader.heard(from, this.#nowUs);
    const above = this.#named.refuse(ballot, this.#nowUs);
    if (above === NO_BALLOT) return false;
    if (above > this.promised) this.promise(above, this.#options.life);
    this.#outbox.preempted(from, iid, this.promised);
    return false;
  }

  #isBelowPromise(ballot: Ballot, life: Life): boolean {
    return ballot < this.promised || (ballot === this.promised && life !== this.promisedLife);
  }

  /** At most so many `frames` of an answer to phase 1: whoever asked asks on from where it ends. What lies outside `first` to `end` is left out. */
  answerPhaseOne(
    to: Peer,
    asked: number,
    first: number,
    end: number,
    ballot: Ballot,
    life: Life,
    frames: number,
  ): void {
    const log = this.log;
    const outbox = this.#outbox;
    let iid = first;
    if (!outbox.promiseBegin(to, ballot, life, asked, first, log.trimIid, this.standing.bytes, frames))
      return;
    let fits = true;
    for (; fits && iid <= end; iid++) {
      const accepted = log.ballotAt(iid);
      if (accepted === NO_BALLOT) continue;
      const by = log.lifeAt(iid);
      const flags = log.flagsAt(iid);
      const at = log.offsetAt(iid);
      fits = outbox.promiseRecord(iid, accepted, by, flags, log.arena.bytes, at, log.lengthAt(iid));
    }
    outbox.promiseEnd(fits ? MAX_IID : iid - 2);
  }

  /** The ballot that forbids to accept this one at `iid`; `NO_BALLOT` when it may be accepted. */
  #above(iid: number, ballot: Ballot, life: Life): Ballot {
    const log = this.log;
    const accepted = log.ballotAt(iid);
    if (accepted === ballot && log.lifeAt(iid) !== life) return accepted;
    const own = log.promisedAt(iid);
    if (own > ballot && own >= this.promised) return own;
    if (this.promised > ballot) return this.promised;
    return this.promised === ballot && this.promisedLife !== life ? this.promised : NO_BALLOT;
  }

  /** Accepts; repeats of the very same accept change nothing. False: no room. */
  #store(
    iid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const log = this.log;
    if (!log.covers(iid)) return false;
    if (log.ballotAt(iid) === ballot) {
      if ((log.flagsAt(iid) & RecordFlag.hearsay) !== 0) this.#takeAsVote(iid, ballot, life);
      return true;
    }
    if (!log.accept(iid, ballot, life, 0, bytes, offset, length)) return false;
    this.#journal.accepted(iid, ballot, life, 0, bytes, offset, length);
    this.#marks.accepted(iid, ballot, life);
    return true;
  }

  /** What others told of this very proposal has come from the proposer itself. */
  #takeAsVote(iid: number, ballot: Ballot, life: Life): void {
    const log = this.log;
    const flags = log.flagsAt(iid) & ~RecordFlag.hearsay;
    log.setFlags(iid, flags);
    this.#journal.accepted(iid, ballot, life, flags, log.arena.bytes, log.offsetAt(iid), log.lengthAt(iid));
    this.#marks.accepted(iid, ballot, life);
  }

  /** Trimmed already: tells how far. */
  refuseLow(from: Peer): void {
    this.counters.refusedLow++;
    this.#tellState(from, this.#flags());
  }

  /** Full: says so to the proposer at once, and to everyone at the next state. */
  refuseFull(from: Peer): void {
    this.counters.refusedFull++;
    if (!this.#wasFull) this.#stateDueUs = 0;
    this.#wasFull = true;
    this.#refusal = StateFlag.halfFull | StateFlag.full;
    this.#tellState(from, this.#flags() | this.#refusal);
  }

  #tellState(to: Peer, flags: number): void {
    this.#outbox.acceptorStateTo(to, this.log.trimIid, this.log.highestIid, flags, this.standing.logId);
  }

  #flags(): number {
    const fill = this.log.fill();
    return (fill >= HALF ? StateFlag.halfFull : 0) | (fill >= 0.9 ? StateFlag.full : 0);
  }
}
