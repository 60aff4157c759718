/**
 * Roles with something wrong in them: what goes into a core is changed on its way, the core is as it is. For planted bugs only
 * (`bugs.ts`).
 */
import { type Cores, Roles } from "../node/roles.ts";
import { ballotOwner, NATIVE_BALLOTS } from "../protocol/ballot.ts";
import { type Ballot, type Life, NO_BALLOT, type Peer } from "../protocol/types.ts";
import type { PromiseHeads } from "../wire/promise_heads.ts";

/** Above all ballots. */
const HIGH = 2 ** 50;

/** An acceptor that forgets its promise before it looks at an accept. */
export class Forgetful extends Roles {
  override onAccept(
    from: Peer,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const { acceptor } = this.cores;
    if (acceptor !== undefined) {
      acceptor.promised = NO_BALLOT;
      if (acceptor.log.covers(iid)) acceptor.log.promise(iid, acceptor.log.ballotAt(iid));
    }
    super.onAccept(from, iid, promiseIid, ballot, life, bytes, offset, length);
  }
}

/** A learner to which a leader's own acceptor has accepted whatever the leader proposes: not durable, or not at all. */
export class TakesProposalsForVotes extends Roles {
  override onAccept(
    from: Peer,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    super.onAccept(from, iid, promiseIid, ballot, life, bytes, offset, length);
    const own = ballotOwner(NATIVE_BALLOTS, ballot);
    this.cores.learner?.onAcceptedRange(own, iid, iid, ballot, life);
  }
}

/** A learner that counts every `accepted` as another acceptor's. */
export class CountsMessages extends Roles {
  #messages = 0;

  override onAccepted(
    from: Peer,
    _aid: number,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const aid = this.#messages++ % 3;
    super.onAccepted(from, aid, iid, promiseIid, ballot, life, bytes, offset, length);
  }

  override onAcceptedRange(
    from: Peer,
    _aid: number,
    first: number,
    last: number,
    ballot: Ballot,
    life: Life,
  ): void {
    super.onAcceptedRange(from, this.#messages++ % 3, first, last, ballot, life);
  }
}

/** A learner that does not hear who has no record of what was chosen. */
export class CountsRecords extends Roles {
  override onRepeated(
    from: Peer,
    aid: number,
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (ballot !== NO_BALLOT) super.onRepeated(from, aid, iid, ballot, life, flags, bytes, offset, length);
  }
}

/** A learner to which all ballots are one. */
export class MixesBallots extends Roles {
  override onAccepted(
    from: Peer,
    aid: number,
    iid: number,
    promiseIid: number,
    _ballot: Ballot,
    _life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    super.onAccepted(from, aid, iid, promiseIid, 1 as Ballot, 0, bytes, offset, length);
  }

  override onAcceptedRange(
    from: Peer,
    aid: number,
    first: number,
    last: number,
    _ballot: Ballot,
    _life: Life,
  ): void {
    super.onAcceptedRange(from, aid, first, last, 1 as Ballot, 0);
  }

  override onAccept(
    from: Peer,
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const { acceptor, learner } = this.cores;
    acceptor?.onAccept(from, iid, promiseIid, ballot, life, bytes, offset, length);
    if (this.cores.pairsAccepts) learner?.onAccept(iid, 1 as Ballot, 0, bytes, offset, length);
  }
}

/** A proposer for which the value of a promise counts as `order` says. */
export class Adopts extends Roles {
  readonly #order: (ballot: Ballot) => number;

  constructor(cores: Cores, order: (ballot: Ballot) => number) {
    super(cores);
    this.#order = order;
  }

  override onPromise(
    from: Peer,
    aid: number,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const order = (valueBallot === NO_BALLOT ? NO_BALLOT : this.#order(valueBallot)) as Ballot;
    super.onPromise(from, aid, iid, ballot, order, bytes, offset, length);
  }

  override onPromiseRecord(
    from: Peer,
    aid: number,
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const isOurs = this.cores.proposer !== undefined;
    const order = (isOurs ? this.#order(valueBallot) : valueBallot) as Ballot;
    if (order === NO_BALLOT) return;
    super.onPromiseRecord(from, aid, iid, order, valueLife, flags, bytes, offset, length);
  }
}

/** A proposer to which the lowest ballot counts most. */
export class AdoptsLowest extends Adopts {
  constructor(cores: Cores) {
    super(cores, (ballot) => HIGH - ballot);
  }
}

/** A proposer that takes every promise for one of another acceptor. */
export class CountsPromises extends Roles {
  #promises = 0;

  override onPromise(
    from: Peer,
    _aid: number,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const aid = this.#promises++ % 3;
    super.onPromise(from, aid, iid, ballot, valueBallot, bytes, offset, length);
  }

  override onPromiseBegin(
    from: Peer,
    trueAid: number,
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
    const aid = this.cores.proposer === undefined ? trueAid : ++this.#promises % 3;
    super.onPromiseBegin(from, aid, ballot, life, asked, first, last, trimIid, bytes, offset, length);
  }

  override onPromiseEnd(from: Peer, trueAid: number, more: boolean): void {
    super.onPromiseEnd(from, this.cores.proposer === undefined ? trueAid : this.#promises % 3, more);
  }
}

/** Who asked for a promise takes its second frame for all of it where the first was lost: what that one covered reads as empty. */
export class MissesHeads extends Roles {
  #isLost = false;

  constructor(cores: Cores, heads?: PromiseHeads) {
    super(cores);
    if (heads === undefined) return;
    const has = heads.has.bind(heads);
    heads.has = (...said) => {
      this.#isLost = !has(...said);
      return true;
    };
  }

  override onPromiseBegin(
    from: Peer,
    aid: number,
    ballot: Ballot,
    life: Life,
    asked: number,
    trueFirst: number,
    last: number,
    trimIid: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const least = this.#isLost ? 1 : asked;
    const first = this.#isLost ? 1 : trueFirst;
    this.#isLost = false;
    super.onPromiseBegin(from, aid, ballot, life, least, first, last, trimIid, bytes, offset, length);
  }
}

/** A proposer that does not hear which ballots are promised when it asks for votes. */
export class VotesWithoutBallots extends Roles {
  override onPreVoted(from: Peer, aid: number, round: number, _ballot: Ballot, granted: boolean): void {
    super.onPreVoted(from, aid, round, NO_BALLOT, granted);
  }
}

/** An acceptor that takes every report for one of all it has. */
export class TrimsAll extends Roles {
  override onTrim(from: Peer, iid: number, hasApplications: boolean, kind: number): void {
    super.onTrim(from, this.cores.acceptor?.log.highestIid ?? iid, hasApplications, kind);
  }
}

/** A proposer that does not hear how far an acceptor's records go. */
export class OverlooksRecords extends Roles {
  override onAcceptorState(
    from: Peer,
    aid: number,
    trimIid: number,
    highestIid: number,
    flags: number,
    logId: number,
  ): void {
    const knownIid = this.cores.proposer === undefined ? highestIid : this.cores.proposer.window.low - 1;
    super.onAcceptorState(from, aid, trimIid, Math.min(highestIid, knownIid), flags, logId);
  }
}

/** A proposer that does not hear who waits for an instance. */
export class OverlooksRequests extends Roles {
  override onAdvance(): void {}
}
