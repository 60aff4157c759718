/**
 * The acceptor. Promises ballots, accepts values, answers repeats, trims. Pure: it journals before it answers, and the
 * node lets nothing out before the journal is durable.
 *
 * Invariants: a promised ballot never falls, neither for all instances nor for one; nothing is accepted below the
 * effective promise (the higher of the two); an equal ballot of another life counts as lower (PROTOCOL: a proposer that
 * restarts cannot speak for its former self); accepted records change only by accepting at a higher ballot or by trim.
 */
import { AcceptorLog, type AcceptorLogOptions } from "./acceptor_log.ts";
import { Audience } from "./audience.ts";
import type { Journal } from "./journal.ts";
import { LeaderWatch } from "./leader_watch.ts";
import type { Outbox } from "./outbox.ts";
import { StandingVector } from "./standing.ts";
import type { TrimRule } from "./trim_rule.ts";
import {
  type Ballot,
  type Life,
  MAX_IID,
  NO_BALLOT,
  NO_PEER,
  type Peer,
  RepeatFlag,
  Role,
  StateFlag,
} from "./types.ts";

/** Instances answered per repeat: the asker comes back for the rest. */
export const REPEAT_LIMIT = 64;
/** … and bytes: a burst of large values would overflow the asker's receive buffer. */
const REPEAT_BYTES = 65536;
/** Frames kept free for other answers while repeats are answered. */
const ROOM_RESERVE = 32;
const STATE_INTERVAL_US = 1_000_000;
/** Under pressure the state is told more often, so that learners trim and proposers wait in time. */
const PRESSURE_INTERVAL_US = 100_000;
/** A learner that has not said hi for so long is taken out of the audience. */
const LEARNER_SILENCE_US = 10_000_000;
const EMPTY = new Uint8Array(0);

export interface AcceptorOptions extends AcceptorLogOptions {
  readonly aid: number;
  readonly acceptors: number;
  /** Kernel_Paxos wire: a prepare is for one instance. */
  readonly perInstance: boolean;
  /** Silence after which a leader is taken for dead (native wire). */
  readonly leaderTimeoutMs: number;
  /** Whom to believe in trims; null: anyone (Kernel_Paxos wire). */
  readonly trimRule: TrimRule | null;
}

export class Acceptor {
  readonly log: AcceptorLog;
  readonly audience = new Audience();
  /** The promise for all instances (native wire). */
  promised: Ballot = NO_BALLOT;
  promisedLife: Life = 0;
  /** A leader said that every instance ≤ this is chosen. */
  chosenIid = 0;
  /** Everybody's generations as far as this acceptor knows, its own included. */
  readonly standing: StandingVector;
  readonly counters = { refusedFull: 0, refusedLow: 0, preempted: 0, trims: 0, trimsIgnored: 0 };
  readonly #options: AcceptorOptions;
  readonly #journal: Journal;
  readonly #outbox: Outbox;
  readonly #leader: LeaderWatch;
  #nowUs = 0;
  #stateDueUs = 0;
  #wasFull = false;
  /** Flags of a refusal that the next state tells everyone: the store can lack room for one value while it looks half empty. */
  #refusal = 0;
  #lastProposer: Peer = NO_PEER;

  constructor(options: AcceptorOptions, journal: Journal, outbox: Outbox) {
    this.#options = options;
    this.#journal = journal;
    this.#outbox = outbox;
    this.log = new AcceptorLog(options);
    this.#leader = new LeaderWatch(options.leaderTimeoutMs);
    this.standing = new StandingVector(options.acceptors);
  }

  get aid(): number {
    return this.#options.aid;
  }

  /** Takes up what a storage kept of the generations (see `Journal.standing`). */
  restoreStanding(generations: Float64Array, incarnations: Float64Array): void {
    this.standing.copy(generations, incarnations);
  }

  onPrepare(from: Peer, iid: number, ballot: Ballot, life: Life): void {
    this.audience.add(from, Role.proposer, this.#nowUs);
    if (this.#options.perInstance) this.#prepareOne(from, iid, ballot);
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
    if (iid <= log.trimIid) {
      this.counters.refusedLow++;
      this.#outbox.acceptorStateTo(from, log.trimIid, log.highestIid, this.#flags());
      return;
    }
    const winner = this.#above(iid, ballot, life);
    if (winner !== NO_BALLOT) {
      this.counters.preempted++;
      this.#outbox.preempted(from, iid, winner);
      return;
    }
    if (!this.#store(iid, ballot, life, bytes, offset, length)) {
      this.#refuseFull(from);
      return;
    }
    this.#leader.heard(from, this.#nowUs);
    const at = log.offsetAt(iid);
    const riding = promiseIid === 0 ? 0 : this.#ridingPromise(from, promiseIid, ballot);
    // What is kept, not what came: a repeat of this ballot with another value changes nothing.
    this.#outbox.accepted(iid, riding, ballot, life, log.arena.bytes, at, log.lengthAt(iid));
  }

  onRepeat(from: Peer, first: number, last: number): void {
    const log = this.log;
    if (first <= log.trimIid) this.#outbox.acceptorStateTo(from, log.trimIid, log.highestIid, this.#flags());
    let answers = 0;
    let bytes = 0;
    const end = Math.min(last, log.highestIid);
    for (
      let iid = Math.max(first, log.trimIid + 1);
      iid <= end && answers < REPEAT_LIMIT && bytes < REPEAT_BYTES;
      iid++
    ) {
      if (this.#outbox.room() < ROOM_RESERVE) return;
      const ballot = log.ballotAt(iid);
      if (ballot === NO_BALLOT) continue;
      answers++;
      bytes += log.lengthAt(iid);
      this.#outbox.repeated(
        from,
        iid,
        ballot,
        log.lifeAt(iid),
        iid <= this.chosenIid ? RepeatFlag.known : 0,
        log.arena.bytes,
        log.offsetAt(iid),
        log.lengthAt(iid),
      );
    }
  }

  onTrim(from: Peer, iid: number): void {
    const rule = this.#options.trimRule;
    const allowed = rule === null ? iid : rule.report(from, iid, this.#nowUs);
    if (allowed <= this.log.trimIid) {
      this.counters.trimsIgnored++;
      return;
    }
    this.counters.trims++;
    this.log.trim(allowed);
    this.#journal.trimmed(allowed);
    if (this.#wasFull) this.#stateDueUs = 0;
  }

  /** That all instances ≤ `iid` are chosen stays true whoever says it, and however late. */
  onChosen(iid: number): void {
    if (iid > this.chosenIid) this.chosenIid = iid;
  }

  /** A leader that is not below our promise is echoed to all proposers. */
  onHeartbeat(from: Peer, iid: number, ballot: Ballot, life: Life, round: number): void {
    this.onChosen(iid);
    const isLower = ballot < this.promised || (ballot === this.promised && life !== this.promisedLife);
    if (!isLower) this.#leader.heard(from, this.#nowUs);
    if (round === 0) return;
    if (isLower) this.#outbox.preempted(from, this.log.trimIid + 1, this.promised);
    else this.#outbox.echo(this.chosenIid, ballot, life, round);
  }

  onPreVote(from: Peer, round: number): void {
    this.#outbox.preVoted(from, round, this.promised, this.#leader.grants(from, this.#nowUs));
  }

  onLearnerHi(from: Peer): void {
    if (!this.audience.add(from, Role.learner, this.#nowUs)) return;
    this.#outbox.acceptorOk(from);
    this.#outbox.acceptorStateTo(from, this.log.trimIid, this.log.highestIid, this.#flags());
  }

  onLearnerDel(from: Peer): void {
    this.audience.remove(from, Role.learner);
    this.#options.trimRule?.forget(from);
  }

  /** Time passes; to be called before the turn's messages. */
  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (nowUs < this.#stateDueUs) return;
    const flags = this.#flags() | this.#refusal;
    this.#refusal = 0;
    this.#wasFull = (flags & StateFlag.full) !== 0;
    this.#stateDueUs = nowUs + (flags === 0 ? STATE_INTERVAL_US : PRESSURE_INTERVAL_US);
    this.audience.expireLearners(nowUs - LEARNER_SILENCE_US);
    this.#outbox.acceptorState(this.log.trimIid, this.log.highestIid, flags);
  }

  nextTickUs(): number {
    return this.#stateDueUs;
  }

  #prepareOne(from: Peer, iid: number, ballot: Ballot): void {
    const log = this.log;
    if (iid <= log.trimIid) {
      this.counters.refusedLow++;
      this.#outbox.acceptorStateTo(from, log.trimIid, log.highestIid, this.#flags());
      return;
    }
    if (!log.covers(iid)) {
      this.#refuseFull(from);
      return;
    }
    if (ballot > log.promisedAt(iid)) {
      log.promise(iid, ballot);
      this.#journal.promisedAt(iid, ballot);
    }
    this.#promiseOne(from, iid);
  }

  #promiseOne(to: Peer, iid: number): void {
    const log = this.log;
    const accepted = log.ballotAt(iid);
    const promised = log.promisedAt(iid);
    if (accepted === NO_BALLOT) this.#outbox.promise(to, iid, promised, NO_BALLOT, EMPTY, 0, 0);
    else
      this.#outbox.promise(
        to,
        iid,
        promised,
        accepted,
        log.arena.bytes,
        log.offsetAt(iid),
        log.lengthAt(iid),
      );
  }

  /**
   * The promise that rode on an accept: 0 when it must be told separately, because it was refused or carries a value
   * (reference: evacceptor). Nothing is told when the instance is out of the window.
   */
  #ridingPromise(from: Peer, iid: number, ballot: Ballot): number {
    const log = this.log;
    if (!log.covers(iid)) {
      if (iid > log.trimIid) this.#refuseFull(from);
      return 0;
    }
    if (ballot > log.promisedAt(iid)) {
      log.promise(iid, ballot);
      this.#journal.promisedAt(iid, ballot);
    }
    if (log.promisedAt(iid) === ballot && log.ballotAt(iid) === NO_BALLOT) return iid;
    this.#promiseOne(from, iid);
    return 0;
  }

  #prepareRange(from: Peer, first: number, ballot: Ballot, life: Life): void {
    if (ballot < this.promised || (ballot === this.promised && life !== this.promisedLife)) {
      this.counters.preempted++;
      this.#outbox.preempted(from, first, this.promised);
      return;
    }
    if (ballot > this.promised) {
      this.promised = ballot;
      this.promisedLife = life;
      this.#journal.promised(ballot, life);
    }
    this.#leader.heard(from, this.#nowUs);
    this.#promiseRange(from, first);
  }

  /** One frame of the promise: the proposer asks on from where it ends. */
  #promiseRange(to: Peer, asked: number): void {
    const log = this.log;
    const outbox = this.#outbox;
    let iid = Math.max(asked, this.chosenIid + 1, log.trimIid + 1);
    const { promised, promisedLife } = this;
    if (!outbox.promiseBegin(to, promised, promisedLife, asked, iid, log.trimIid, this.standing.bytes))
      return;
    let fits = true;
    for (; fits && iid <= log.highestIid; iid++) {
      const ballot = log.ballotAt(iid);
      if (ballot === NO_BALLOT) continue;
      const life = log.lifeAt(iid);
      const flags = log.flagsAt(iid);
      const at = log.offsetAt(iid);
      fits = outbox.promiseRecord(iid, ballot, life, flags, log.arena.bytes, at, log.lengthAt(iid));
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
    if (log.ballotAt(iid) === ballot) return true;
    if (!log.accept(iid, ballot, life, 0, bytes, offset, length)) return false;
    this.#journal.accepted(iid, ballot, life, 0, bytes, offset, length);
    return true;
  }

  /** Full: says so to the proposer at once, and to everyone at the next state. */
  #refuseFull(from: Peer): void {
    this.counters.refusedFull++;
    const log = this.log;
    if (!this.#wasFull) this.#stateDueUs = 0;
    this.#wasFull = true;
    this.#refusal = StateFlag.halfFull | StateFlag.full;
    this.#outbox.acceptorStateTo(from, log.trimIid, log.highestIid, this.#flags() | this.#refusal);
  }

  #flags(): number {
    const fill = this.log.fill();
    return (fill >= 0.5 ? StateFlag.halfFull : 0) | (fill >= 0.9 ? StateFlag.full : 0);
  }
}
