/**
 * The cores of one process behind one receiver: routes each message to the cores that want it, lets time pass, and
 * lets them act once a turn. No rules of the protocol live here.
 */
import type { Acceptor } from "../protocol/acceptor/acceptor.ts";
import type { FellowAcceptors } from "../protocol/acceptor/fellow_acceptors.ts";
import type { Client } from "../protocol/client/client.ts";
import type { Learner } from "../protocol/learner/learner.ts";
import type { Proposer } from "../protocol/proposer/proposer.ts";
import type { Receiver } from "../protocol/receiver.ts";
import type { AckKind, Ballot, Busy, Life, Peer, Standing } from "../protocol/types.ts";

/** Anything else that lives in the turn: a learner host, a device, claims of one's place. */
export interface Extra {
  tick?(nowUs: number): void;
  nextTickUs?(): number;
  /** True: there is more to do at once. */
  pump?(nowUs: number): boolean;
  onSessionOpen?(from: Peer, first: number, end: number): void;
  onSessionOk?(from: Peer, connection: number): void;
  onSessionClose?(from: Peer, connection: number): void;
  onSessionValue?(from: Peer, bytes: Uint8Array, offset: number, length: number): void;
  onClaim?(from: Peer, uptimeMs: number, generation: number): void;
  onBundleAsk?(from: Peer, nonce: number, flags: number): void;
  onBundleAnswer?(from: Peer, nonce: number, flags: number): void;
  onBusy?(from: Peer, reason: Busy): void;
  onAcknowledge?(from: Peer, kind: AckKind, session: number, sequence: number, iid: number): void;
  onReadIndex?(from: Peer, nonce: number, iid: number, confirmed: boolean): void;
  /** The process has ended: what is not its memory is given back. */
  release?(): void;
  onSnapshotAsk?(from: Peer, kind: number, above: number): void;
  onSnapshotInfo?(from: Peer, kind: number, iid: number, size: number, checksum: number): void;
  onSnapshotFetch?(from: Peer, kind: number, iid: number, position: number, size: number): void;
  onSnapshotChunk?(
    from: Peer,
    kind: number,
    iid: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
}

export interface Cores {
  readonly acceptor?: Acceptor;
  readonly proposer?: Proposer;
  readonly learner?: Learner;
  readonly client?: Client;
  /** The learner's values wait for those of other groups: that it delivers none is no reason to ask again at once. */
  readonly isMerged?: boolean;
  readonly extras?: readonly Extra[];
  /** Native wire: learners pair `accepted` with the `accept` they heard. */
  readonly pairsAccepts: boolean;
  /** Which acceptor a peer is, −1: none. */
  readonly acceptorOf: (peer: Peer) => number;
  /** Which proposer a peer is, −1: none. */
  readonly proposerOf?: (peer: Peer) => number;
  /** Microseconds between the turn's clock and the time of day. */
  readonly wallOffsetUs: number;
}

export class Roles implements Receiver {
  readonly cores: Cores;
  /** In this turn the acceptor of a process that has a learner, too, heard an accept. */
  heardAccept = false;
  readonly #acceptor: Acceptor | null;
  readonly #fellows: FellowAcceptors | null;
  readonly #proposer: Proposer | null;
  readonly #learner: Learner | null;
  readonly #client: Client | null;
  readonly #extras: readonly Extra[];

  constructor(cores: Cores) {
    this.cores = cores;
    this.#acceptor = cores.acceptor ?? null;
    this.#fellows = cores.acceptor?.fellows ?? null;
    this.#proposer = cores.proposer ?? null;
    this.#learner = cores.learner ?? null;
    this.#client = cores.client ?? null;
    this.#extras = cores.extras ?? [];
  }

  /** Time passes: before the turn's messages. */
  tick(nowUs: number): void {
    this.heardAccept = false;
    this.#acceptor?.tick(nowUs);
    this.#learner?.tick(nowUs);
    this.#proposer?.tick(nowUs);
    this.#client?.tick(nowUs);
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.tick?.(nowUs);
  }

  /** After the turn's messages; true: there is more to do as soon as frames are free again. */
  pump(nowUs: number): boolean {
    let more = false;
    if (this.#learner !== null && !this.#learner.deliver() && this.cores.isMerged !== true) more = true;
    if (this.#proposer?.pump() === true) more = true;
    for (let i = 0; i < this.#extras.length; i++) if (this.#extras[i]!.pump?.(nowUs) === true) more = true;
    // After the extras: what a device just delivered makes room for the client's next value.
    if (this.#client?.pump(nowUs + this.cores.wallOffsetUs) === true) more = true;
    return more;
  }

  nextTickUs(): number {
    let due = Number.POSITIVE_INFINITY;
    if (this.#acceptor !== null) due = Math.min(due, this.#acceptor.nextTickUs());
    if (this.#learner !== null) due = Math.min(due, this.#learner.nextTickUs());
    if (this.#proposer !== null) due = Math.min(due, this.#proposer.nextTickUs());
    if (this.#client !== null) due = Math.min(due, this.#client.nextTickUs());
    for (let i = 0; i < this.#extras.length; i++) {
      const extra = this.#extras[i]!;
      if (extra.nextTickUs !== undefined) due = Math.min(due, extra.nextTickUs());
    }
    return due;
  }

  onGenerations(named: number, logMark: number): void {
    this.#acceptor?.onGenerations(named, logMark);
    this.#learner?.onLogMark(logMark);
  }

  onAcceptorLife(aid: number, life: Life): void {
    this.#learner?.onAcceptorLife(aid, life);
  }

  onPrepare(from: Peer, iid: number, ballot: Ballot, life: Life): void {
    this.#acceptor?.onPrepare(from, iid, ballot, life);
  }

  onPromise(
    _from: Peer,
    aid: number,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#proposer?.onPromise(aid, iid, ballot, valueBallot, bytes, offset, length);
  }

  onPromiseBegin(
    _from: Peer,
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
    this.#proposer?.onPromiseBegin(aid, ballot, life, asked, first, last, trimIid, bytes, offset, length);
    this.#fellows?.onPromiseBegin(aid, ballot, life, asked, last, trimIid, bytes, offset, length);
  }

  onPromiseRecord(
    _from: Peer,
    _aid: number,
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#proposer?.onPromiseRecord(iid, valueBallot, bytes, offset, length);
    this.#fellows?.onPromiseRecord(iid, valueBallot, valueLife, flags, bytes, offset, length);
  }

  onPromiseEnd(_from: Peer, aid: number, more: boolean): void {
    this.#proposer?.onPromiseEnd(aid, more);
    this.#fellows?.onPromiseEnd(aid, more);
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
    this.#acceptor?.onAccept(from, iid, promiseIid, ballot, life, bytes, offset, length);
    if (this.cores.pairsAccepts) this.#learner?.onAccept(iid, ballot, life, bytes, offset, length);
    this.heardAccept = this.#acceptor !== null && this.#learner !== null;
  }

  onAccepted(
    _from: Peer,
    aid: number,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#learner?.onAccepted(aid, iid, ballot, life, bytes, offset, length);
    this.#proposer?.onAcceptedNow(iid, ballot);
    if (promiseIid !== 0) this.#proposer?.onRidingPromise(aid, promiseIid, ballot);
  }

  onRepeated(
    _from: Peer,
    aid: number,
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#learner?.onAccepted(aid, iid, ballot, life, bytes, offset, length, flags);
  }

  onAcceptedRange(_from: Peer, aid: number, first: number, last: number, ballot: Ballot, life: Life): void {
    this.#learner?.onAcceptedRange(aid, first, last, ballot, life);
  }

  onChosen(_from: Peer, iid: number, ballot: Ballot, life: Life): void {
    this.#acceptor?.onChosen(iid, ballot, life);
    this.#learner?.onChosen(iid);
    this.#proposer?.onLeader(iid, ballot, life, 0);
    this.#client?.onLeader(ballot);
  }

  onHeartbeat(from: Peer, iid: number, ballot: Ballot, life: Life, round: number, leaseMs: number): void {
    this.#acceptor?.onHeartbeat(from, iid, ballot, life, round, leaseMs);
    this.#learner?.onChosen(iid);
    this.#proposer?.onLeader(iid, ballot, life, round);
    this.#client?.onLeader(ballot);
  }

  onEcho(_from: Peer, aid: number, iid: number, ballot: Ballot, life: Life, round: number): void {
    this.#proposer?.onEcho(aid, iid, ballot, life, round);
  }

  onPreVote(from: Peer, round: number, _ballot: Ballot): void {
    this.#acceptor?.onPreVote(from, round);
  }

  onPreVoted(_from: Peer, aid: number, round: number, ballot: Ballot, granted: boolean): void {
    this.#proposer?.onPreVoted(aid, round, ballot, granted);
  }

  onStandingAsk(
    from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    generation: number,
    life: Life,
  ): void {
    this.#fellows?.onStandingAsk(from, aid, nonce, standing, generation, life);
  }

  onStanding(
    _from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#fellows?.onStanding(aid, nonce, standing, ballot, bytes, offset, length);
  }

  onRecover(from: Peer, aid: number, iid: number, ballot: Ballot, life: Life, frames: number): void {
    this.#fellows?.onRecover(from, aid, iid, ballot, life, frames);
  }

  onPreempted(_from: Peer, _aid: number, _iid: number, ballot: Ballot): void {
    this.#proposer?.onPreempted(ballot);
  }

  onRepeat(from: Peer, first: number, last: number): void {
    this.#acceptor?.onRepeat(from, first, last);
  }

  onTrim(from: Peer, iid: number, hasApplications: boolean, kind: number): void {
    this.#acceptor?.onTrim(from, iid, hasApplications, kind);
  }

  onAcceptorState(
    _from: Peer,
    aid: number,
    trimIid: number,
    highestIid: number,
    flags: number,
    logId: number,
  ): void {
    this.#learner?.onAcceptorState(aid, trimIid, highestIid, flags, logId);
    this.#proposer?.onAcceptorState(aid, flags);
  }

  onClientValue(from: Peer, bytes: Uint8Array, offset: number, length: number, hops: number): void {
    this.#proposer?.onClientValue(from, bytes, offset, length, hops);
  }

  onBusy(from: Peer, reason: Busy): void {
    this.#client?.onBusy(reason);
    this.#proposer?.onBusy(this.#proposerOf(from), reason);
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.onBusy?.(from, reason);
  }

  onAcknowledge(from: Peer, kind: AckKind, session: number, sequence: number, iid: number): void {
    const proposerId = this.#proposerOf(from);
    this.#client?.onAcknowledge(kind, session, sequence, iid, proposerId);
    this.#proposer?.onAcknowledge(proposerId, kind, session, sequence, iid);
    for (let i = 0; i < this.#extras.length; i++) {
      this.#extras[i]!.onAcknowledge?.(from, kind, session, sequence, iid);
    }
  }

  onReadAsk(from: Peer, nonce: number): void {
    this.#proposer?.onReadAsk(from, nonce);
  }

  onAdvance(from: Peer, iid: number): void {
    if (this.#proposerOf(from) < 0) this.#proposer?.onAdvance(iid);
    else this.#proposer?.onProposedBefore(iid);
  }

  onReadIndex(from: Peer, nonce: number, iid: number, confirmed: boolean): void {
    // A point of another log says nothing of what is known here.
    if (this.#learner?.hearsOtherLeader === true) return;
    for (let i = 0; i < this.#extras.length; i++) {
      this.#extras[i]!.onReadIndex?.(from, nonce, iid, confirmed);
    }
  }

  onSnapshotAsk(from: Peer, kind: number, above: number): void {
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.onSnapshotAsk?.(from, kind, above);
  }

  onSnapshotInfo(from: Peer, kind: number, iid: number, size: number, checksum: number): void {
    for (let i = 0; i < this.#extras.length; i++) {
      this.#extras[i]!.onSnapshotInfo?.(from, kind, iid, size, checksum);
    }
  }

  onSnapshotFetch(from: Peer, kind: number, iid: number, position: number, size: number): void {
    for (let i = 0; i < this.#extras.length; i++) {
      this.#extras[i]!.onSnapshotFetch?.(from, kind, iid, position, size);
    }
  }

  onSnapshotChunk(
    from: Peer,
    kind: number,
    iid: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    for (let i = 0; i < this.#extras.length; i++) {
      this.#extras[i]!.onSnapshotChunk?.(from, kind, iid, position, bytes, offset, length);
    }
  }

  onLearnerHi(from: Peer): void {
    this.#acceptor?.onLearnerHi(from);
  }

  onLearnerDel(from: Peer): void {
    this.#acceptor?.onLearnerDel(from);
  }

  onAcceptorOk(from: Peer): void {
    const aid = this.cores.acceptorOf(from);
    if (aid >= 0) this.#learner?.onAcceptorOk(aid);
  }

  onClaim(from: Peer, uptimeMs: number, generation: number): void {
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.onClaim?.(from, uptimeMs, generation);
  }

  onBundleAsk(from: Peer, nonce: number, flags: number): void {
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.onBundleAsk?.(from, nonce, flags);
  }

  onBundleAnswer(from: Peer, nonce: number, flags: number): void {
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.onBundleAnswer?.(from, nonce, flags);
  }

  onSessionOpen(from: Peer, first: number, end: number): void {
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.onSessionOpen?.(from, first, end);
  }

  onSessionOk(from: Peer, connection: number): void {
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.onSessionOk?.(from, connection);
  }

  onSessionClose(from: Peer, connection: number): void {
    for (let i = 0; i < this.#extras.length; i++) this.#extras[i]!.onSessionClose?.(from, connection);
  }

  onSessionValue(from: Peer, bytes: Uint8Array, offset: number, length: number): void {
    for (let i = 0; i < this.#extras.length; i++) {
      this.#extras[i]!.onSessionValue?.(from, bytes, offset, length);
    }
  }

  #proposerOf(peer: Peer): number {
    return this.cores.proposerOf?.(peer) ?? -1;
  }
}
