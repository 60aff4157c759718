import type { AckKind, Ballot, Busy, Life, Peer, Standing } from "./types.ts";

/**
 * How a role speaks: one method per message. An implementation (`wire/*`) encodes straight into a transmit slot
 * and may merge messages into frames and instances into ranges; tests record the calls. Nothing leaves before the
 * turn's storage commit (`node/turn.ts`). Values are copied during the call.
 *
 * A message that does not fit the turn's transmit slots is dropped and counted: to the protocol that is a lost
 * frame, which every rule already allows for.
 */
export interface Outbox {
  /** Largest value, in bytes, that one `accept` can carry. */
  readonly maxValue: number;
  /** Frames that may still be sent in this turn. */
  room(): number;

  // proposer → acceptors
  /** To every acceptor. */
  prepare(iid: number, ballot: Ballot): void;
  /** To one acceptor: a retry, or the continuation of a promise that came in parts. */
  prepareTo(aid: number, iid: number, ballot: Ballot): void;
  /** To every acceptor (and, where `accept` is multicast, every learner). */
  accept(
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;

  /**
   * It leads with acceptors of these generations (`generations.ts`), or does not lead (`UNNAMED`), in the log of this mark (`log_mark.ts`):
   * goes with all it says from now on. Nothing in the Kernel_Paxos wire.
   */
  leads(generations: number, logMark: number): void;
  /** Every instance ≤ `iid` is chosen: goes with each following `accept`. Nothing in the Kernel_Paxos wire. */
  chosen(iid: number): void;
  /** The leader's sign of life, to acceptors, proposers and (where it is multicast) learners; see `Receiver.onHeartbeat`. */
  heartbeat(iid: number, ballot: Ballot, round: number, leaseMs: number): void;
  /** To every acceptor. */
  preVote(round: number, ballot: Ballot): void;

  // acceptor → proposer
  promise(
    to: Peer,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /**
   * Begins a range promise (native wire; see `Receiver.onPromiseBegin`) of at most `frames` frames, and one more where a record
   * needs one to itself; false: no frame left this turn. `promiseRecord` returns false when there is no room for the record.
   */
  promiseBegin(
    to: Peer,
    ballot: Ballot,
    life: Life,
    asked: number,
    first: number,
    trimIid: number,
    standing: Uint8Array,
    frames: number,
  ): boolean;
  promiseRecord(
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean;
  /** Ends the promise: it covers `first` … `last`; `MAX_IID` when nothing more was accepted. */
  promiseEnd(last: number): void;
  preempted(to: Peer, iid: number, ballot: Ballot): void;
  /** To every proposer, so that those who cannot hear the leader hear of it. */
  echo(iid: number, ballot: Ballot, life: Life, round: number): void;
  preVoted(to: Peer, round: number, ballot: Ballot, granted: boolean): void;

  // acceptor → acceptor (native wire)
  standingAsk(aid: number, nonce: number, standing: Standing, generation: number): void;
  standing(to: Peer, nonce: number, standing: Standing, ballot: Ballot, vector: Uint8Array): void;
  /** `frames`: so many may answer it. */
  recover(aid: number, iid: number, ballot: Ballot, frames: number): void;

  // acceptor → its audience: every registered proposer and learner
  accepted(
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** `logId`: see `StandingVector.logId` (native wire). */
  acceptorState(trimIid: number, highestIid: number, flags: number, logId: number): void;
  // acceptor → learner
  /**
   * The answer to `repeat`, always with its value. `flags`: `RepeatFlag` bits (native wire). `NO_BALLOT`, with `known` and an empty
   * value: the instance is chosen, and this acceptor has no record of it.
   */
  repeated(
    to: Peer,
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  acceptorStateTo(to: Peer, trimIid: number, highestIid: number, flags: number, logId: number): void;
  acceptorOk(to: Peer): void;

  // learner → acceptors
  learnerHi(aid: number): void;
  learnerDel(): void;
  repeat(aid: number, first: number, last: number): void;
  trim(iid: number, hasApplications: boolean, kind: number): void;

  // learner of several groups → proposer
  advance(proposerId: number, iid: number): void;

  // client → proposer; proposer → proposer when it forwards (hops = 1)
  clientValue(proposerId: number, bytes: Uint8Array, offset: number, length: number, hops: number): void;
  busy(to: Peer, reason: Busy): void;
  acknowledge(to: Peer, kind: AckKind, session: number, sequence: number, iid: number): void;

  // linearizable reads: anyone → proposer and back
  readAsk(proposerId: number, nonce: number): void;
  readIndex(to: Peer, nonce: number, iid: number, confirmed: boolean): void;

  // snapshots: a learner → every learner and proposer; then one of them and back
  snapshotAsk(kind: number, above: number): void;
  snapshotInfo(to: Peer, kind: number, iid: number, size: number, checksum: number): void;
  snapshotFetch(to: Peer, kind: number, iid: number, position: number, size: number): void;
  snapshotChunk(
    to: Peer,
    kind: number,
    iid: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;

  // any → its own role and id
  claim(uptimeMs: number, generation: number): void;

  // remote user-learner sessions
  sessionOpen(first: number, end: number): void;
  sessionOk(to: Peer, connection: number): void;
  sessionClose(connection: number): void;
  sessionValue(to: Peer, bytes: Uint8Array, offset: number, length: number): void;
}
