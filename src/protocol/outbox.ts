import type { Ballot, Busy, Life, Peer } from "./types.ts";

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
   * Every instance ≤ `iid` is chosen: goes with each following `accept`; `now` also sends it by itself, as the leader's
   * sign of life. Nothing in the Kernel_Paxos wire.
   */
  chosen(iid: number, ballot: Ballot, now: boolean): void;

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
   * Begins one frame of a range promise (native wire; see `Receiver.onPromiseBegin`); false: no frame left this turn.
   * `promiseRecord` returns false when the frame has no room for the record.
   */
  promiseBegin(to: Peer, ballot: Ballot, life: Life, asked: number, first: number, trimIid: number): boolean;
  promiseRecord(
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean;
  /** Ends the frame: it covers `first` … `last`; `MAX_IID` when it is the last part. */
  promiseEnd(last: number): void;
  preempted(to: Peer, iid: number, ballot: Ballot): void;

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
  acceptorState(trimIid: number, highestIid: number, flags: number): void;
  // acceptor → learner
  /** The answer to `repeat`, always with its value. `isChosen`: a leader has said that the instance is chosen (native wire). */
  repeated(
    to: Peer,
    iid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
    isChosen?: boolean,
  ): void;
  acceptorStateTo(to: Peer, trimIid: number, highestIid: number, flags: number): void;
  acceptorOk(to: Peer): void;

  // learner → acceptors
  learnerHi(aid: number): void;
  learnerDel(): void;
  repeat(aid: number, first: number, last: number): void;
  trim(iid: number): void;

  // client → proposer; proposer → proposer when it forwards (hops = 1)
  clientValue(proposerId: number, bytes: Uint8Array, offset: number, length: number, hops: number): void;
  busy(to: Peer, reason: Busy): void;

  // any → its own role and id
  claim(uptimeMs: number): void;

  // remote user-learner sessions
  sessionOpen(first: number, end: number): void;
  sessionOk(to: Peer, connection: number): void;
  sessionClose(connection: number): void;
  sessionValue(to: Peer, bytes: Uint8Array, offset: number, length: number): void;
}
