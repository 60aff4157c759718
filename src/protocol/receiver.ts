import type { Ballot, Busy, Life, Peer } from "./types.ts";

/**
 * What a decoder calls for each message of a frame: one method per message, arguments as numbers, values as a
 * view (`bytes`, `offset`, `length`) that dies when the call returns. `length` −1 means "without a value"; 0 is an
 * empty value, which is a value. Every number has been checked for range by the decoder; an `aid` is below the
 * number of acceptors, a sender is who the configuration says it may be.
 */
export interface Receiver {
  /** Phase 1a. Native wire: for all instances ≥ `iid`. Kernel_Paxos wire: for `iid` only. */
  onPrepare(from: Peer, iid: number, ballot: Ballot, life: Life): void;
  /** Phase 1b of one instance (Kernel_Paxos wire). `valueBallot` 0: nothing was accepted there. */
  onPromise(
    from: Peer,
    aid: number,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /**
   * Phase 1b of a range (native wire): one frame of it, the answer to a prepare from `asked`. With `first` above `asked`
   * the acceptor vouches that everything below `first` is chosen (or trimmed). Its records of first…last follow as
   * `onPromiseRecord`, then `onPromiseEnd`; an instance without a record was not accepted there. `last` = `MAX_IID`:
   * nothing more follows.
   */
  onPromiseBegin(
    from: Peer,
    aid: number,
    ballot: Ballot,
    life: Life,
    asked: number,
    first: number,
    last: number,
    trimIid: number,
  ): void;
  onPromiseRecord(
    from: Peer,
    aid: number,
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  onPromiseEnd(from: Peer, aid: number): void;
  /** Phase 2a. `promiseIid` ≠ 0: the accept is a prepare for that instance too (Kernel_Paxos wire). */
  onAccept(
    from: Peer,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** Phase 2b with or without (`length` −1) its value. `ballot` is the accepted ballot. */
  onAccepted(
    from: Peer,
    aid: number,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /**
   * The answer to a repeat by an acceptor that was told before that the instance is chosen (native wire). Its record then
   * stands at the chosen ballot or above.
   */
  onRepeated(
    from: Peer,
    aid: number,
    iid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** Phase 2b of instances first…last, all accepted at exactly `ballot`, without values (native wire). */
  onAcceptedRange(from: Peer, aid: number, first: number, last: number, ballot: Ballot, life: Life): void;
  /** The leader of `ballot` knows that every instance ≤ `iid` is chosen (native wire). */
  onChosen(from: Peer, iid: number, ballot: Ballot, life: Life): void;
  onPreempted(from: Peer, aid: number, iid: number, ballot: Ballot): void;
  /** A learner asks for what was accepted in first…last (inclusive). */
  onRepeat(from: Peer, first: number, last: number): void;
  onTrim(from: Peer, iid: number): void;
  /** `highestIid` and `flags` are 0 in the Kernel_Paxos wire. */
  onAcceptorState(from: Peer, aid: number, trimIid: number, highestIid: number, flags: number): void;
  /** An opaque value for the log. `hops` > 0: a proposer has forwarded it already. */
  onClientValue(from: Peer, bytes: Uint8Array, offset: number, length: number, hops: number): void;
  /** A proposer cannot take values from this client now (native wire). */
  onBusy(from: Peer, reason: Busy): void;
  onLearnerHi(from: Peer): void;
  onLearnerDel(from: Peer): void;
  onAcceptorOk(from: Peer): void;
  /** Another process claims this process's role and id; it started `uptimeMs` ago (native wire). */
  onClaim(from: Peer, uptimeMs: number): void;
  /** Remote user-learner sessions: a client asks to be told of the values of client ids first…end − 1. */
  onSessionOpen(from: Peer, first: number, end: number): void;
  onSessionOk(from: Peer, connection: number): void;
  onSessionClose(from: Peer, connection: number): void;
  /** A value of one of the client's ids, as its learner host forwards it. */
  onSessionValue(from: Peer, bytes: Uint8Array, offset: number, length: number): void;
}
