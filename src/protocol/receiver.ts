import type { AckKind, Ballot, Busy, Life, Peer, Standing } from "./types.ts";

/**
 * What a decoder calls for each message of a frame: one method per message, arguments as numbers, values as a
 * view (`bytes`, `offset`, `length`) that dies when the call returns. `length` −1 means "without a value"; 0 is an
 * empty value, which is a value. Every number has been checked for range by the decoder; an `aid` is below the
 * number of acceptors, a sender is who the configuration says it may be.
 */
export interface Receiver {
  /**
   * A frame of a proposer begins: what follows is said by who leads with these generations of the acceptors (`generations.ts`), or
   * `UNNAMED`, and in the log of this mark (`log_mark.ts`; native wire). Acceptors of others take no part in it.
   */
  onGenerations(named: number, logMark: number): void;
  /** A frame of an acceptor begins, or a vote within another: what follows is said by the process of this life (native wire). */
  onAcceptorLife(aid: number, life: Life): void;
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
   * nothing more follows. The value is the acceptor's standing (`standing.ts`). It answers a proposer's prepare, or the
   * `recover` of another acceptor.
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
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** `flags`: `RecordFlag` bits. */
  onPromiseRecord(
    from: Peer,
    aid: number,
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /**
   * The frame is read. Not called when a record of it was refused: without it the frame says nothing. `more`: another frame of
   * the same answer follows.
   */
  onPromiseEnd(from: Peer, aid: number, more: boolean): void;
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
   * The answer to a repeat about which there is more to say than that it is the acceptor's vote: `RepeatFlag` bits (native wire).
   * `NO_BALLOT`: it knows that the instance is chosen, and has no record of it.
   */
  onRepeated(
    from: Peer,
    aid: number,
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** Phase 2b of instances first…last, all accepted at exactly `ballot`, without values (native wire). */
  onAcceptedRange(from: Peer, aid: number, first: number, last: number, ballot: Ballot, life: Life): void;
  /** The leader of `ballot` knows that every instance ≤ `iid` is chosen: said with each accept (native wire). */
  onChosen(from: Peer, iid: number, ballot: Ballot, life: Life): void;
  /** The leader of `ballot` lives, and every instance ≤ `iid` is chosen. `round` > 0: acceptors echo it. `leaseMs` > 0: it asks for a lease. */
  onHeartbeat(from: Peer, iid: number, ballot: Ballot, life: Life, round: number, leaseMs: number): void;
  /** An acceptor has heard round `round` of the leader of (ballot, life), and has promised nobody above it. */
  onEcho(from: Peer, aid: number, iid: number, ballot: Ballot, life: Life, round: number): void;
  /** A proposer asks whether it may campaign at `ballot`. */
  onPreVote(from: Peer, round: number, ballot: Ballot): void;
  /** `ballot`: what the acceptor has promised; `granted`: it hears no leader. */
  onPreVoted(from: Peer, aid: number, round: number, ballot: Ballot, granted: boolean): void;
  /**
   * An acceptor asks what another is and knows. `life`: the asker's. `generation` > 0: it is about to vote, or votes, in this
   * generation, which whoever votes takes note of.
   */
  onStandingAsk(
    from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    generation: number,
    life: Life,
  ): void;
  /** `ballot`: the highest it has promised; the value is its standing (`standing.ts`). */
  onStanding(
    from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** Phase 1a of an acceptor that recovers: like a prepare, but nothing above the trim point may be left out of the answer; refused with `standing`. `frames`: so many may answer it. */
  onRecover(from: Peer, aid: number, iid: number, ballot: Ballot, life: Life, frames: number): void;
  onPreempted(from: Peer, aid: number, iid: number, ballot: Ballot): void;
  /** A learner asks for what was accepted in first…last (inclusive). */
  onRepeat(from: Peer, first: number, last: number): void;
  /**
   * `hasApplications`: somebody behind the reporting learner needs the values (native wire). `kind`: of the state that it keeps
   * snapshots of; 0: the sessions alone.
   */
  onTrim(from: Peer, iid: number, hasApplications: boolean, kind: number): void;
  /** `highestIid`, `flags` and `logId` are 0 in the Kernel_Paxos wire. */
  onAcceptorState(
    from: Peer,
    aid: number,
    trimIid: number,
    highestIid: number,
    flags: number,
    logId: number,
  ): void;
  /** An opaque value for the log. `hops` > 0: a proposer has forwarded it already. */
  onClientValue(from: Peer, bytes: Uint8Array, offset: number, length: number, hops: number): void;
  /** A proposer cannot take values from this client now (native wire). */
  onBusy(from: Peer, reason: Busy): void;
  /** A proposer tells a client about its session; `iid`: where the value of `sequence` (or the session's opening) is. */
  onAcknowledge(from: Peer, kind: AckKind, session: number, sequence: number, iid: number): void;
  /** Asks for a point of the log at or after everything that is chosen now. */
  onReadAsk(from: Peer, nonce: number): void;
  /** The order of several groups' values waits for this group to have an instance `iid`. */
  onAdvance(from: Peer, iid: number): void;
  /** Who has delivered `iid` reads what is linearizable; `confirmed` false: ask again, or somebody else. */
  onReadIndex(from: Peer, nonce: number, iid: number, confirmed: boolean): void;
  /** Asks for a snapshot of this kind that covers more than `above`. */
  onSnapshotAsk(from: Peer, kind: number, above: number): void;
  onSnapshotInfo(from: Peer, kind: number, iid: number, size: number, checksum: number): void;
  onSnapshotFetch(from: Peer, kind: number, iid: number, position: number, size: number): void;
  onSnapshotChunk(
    from: Peer,
    kind: number,
    iid: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  onLearnerHi(from: Peer): void;
  onLearnerDel(from: Peer): void;
  onAcceptorOk(from: Peer): void;
  /** Another process claims this process's role and id; it started `uptimeMs` ago, and its acceptor votes at `generation` (native wire). */
  onClaim(from: Peer, uptimeMs: number, generation: number): void;
  /** Asks whether bundles of frames come: in one, or beside it (native wire over Ethernet; `BundleFlag` of `wire/native_layout.ts`). */
  onBundleAsk(from: Peer, nonce: number, flags: number): void;
  onBundleAnswer(from: Peer, nonce: number, flags: number): void;
  /** Remote user-learner sessions: a client asks to be told of the values of client ids first…end − 1. */
  onSessionOpen(from: Peer, first: number, end: number): void;
  onSessionOk(from: Peer, connection: number): void;
  onSessionClose(from: Peer, connection: number): void;
  /** A value of one of the client's ids, as its learner host forwards it. */
  onSessionValue(from: Peer, bytes: Uint8Array, offset: number, length: number): void;
}
