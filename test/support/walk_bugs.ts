/**
 * Bugs for the random walk to find, each planted by changing what goes into a core; the cores themselves are as they are.
 */
import { Roles } from "../../src/node/roles.ts";
import { type Ballot, type Life, NO_BALLOT, type Peer } from "../../src/protocol/types.ts";
import type { Bug } from "./walk.ts";

/** An acceptor that forgets its promise before it looks at an accept. */
class Forgetful extends Roles {
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

/** A learner that counts every `accepted` as another acceptor's. */
class CountsMessages extends Roles {
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

/** A learner to which all ballots are one (fault 10). */
class MixesBallots extends Roles {
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
}

/** A proposer for which the value of a promise counts as `order` says. */
class Adopts extends Roles {
  readonly #order: (ballot: Ballot) => number;

  constructor(cores: Roles["cores"], order: (ballot: Ballot) => number) {
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
    const order = this.#order(valueBallot) as Ballot;
    if (order === NO_BALLOT) return;
    super.onPromiseRecord(from, aid, iid, order, valueLife, flags, bytes, offset, length);
  }
}

/** A proposer that takes every promise for one of another acceptor. */
class CountsPromises extends Roles {
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
    _aid: number,
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
    const aid = ++this.#promises % 3;
    super.onPromiseBegin(from, aid, ballot, life, asked, first, last, trimIid, bytes, offset, length);
  }

  override onPromiseEnd(from: Peer, _aid: number): void {
    super.onPromiseEnd(from, this.#promises % 3);
  }
}

/** A proposer that does not hear which ballots are promised when it asks for votes. */
class VotesWithoutBallots extends Roles {
  override onPreVoted(from: Peer, aid: number, round: number, _ballot: Ballot, granted: boolean): void {
    super.onPreVoted(from, aid, round, NO_BALLOT, granted);
  }
}

const HIGH = 2 ** 50;

/** A bug, and within how many seeds a walk finds it; 0: not asked of this wire. */
export interface PlantedBug {
  readonly bug: Bug;
  readonly native: number;
  readonly kernelPaxos: number;
}

/** Two proposers of the Kernel_Paxos wire seldom compete, so what takes three ballots at one instance is rare there. */
export const BUGS: readonly PlantedBug[] = [
  {
    bug: { name: "an acceptor forgets its promise", roles: (cores) => new Forgetful(cores) },
    native: 60,
    kernelPaxos: 100,
  },
  {
    bug: { name: "a learner counts messages, not acceptors", roles: (cores) => new CountsMessages(cores) },
    native: 40,
    kernelPaxos: 40,
  },
  {
    bug: { name: "a learner counts votes of different ballots", roles: (cores) => new MixesBallots(cores) },
    native: 60,
    kernelPaxos: 60,
  },
  {
    bug: {
      name: "the value of the lowest ballot is adopted",
      roles: (cores) => new Adopts(cores, (ballot) => HIGH - ballot),
    },
    native: 300,
    kernelPaxos: 0,
  },
  {
    bug: {
      name: "what promises report is not adopted",
      roles: (cores) => new Adopts(cores, () => NO_BALLOT),
    },
    native: 40,
    kernelPaxos: 120,
  },
  {
    bug: { name: "a proposer counts promises, not acceptors", roles: (cores) => new CountsPromises(cores) },
    native: 200,
    kernelPaxos: 0,
  },
  {
    bug: {
      name: "a restarted proposer goes on as its former self",
      keepsLife: true,
      roles: (cores) => new VotesWithoutBallots(cores),
    },
    native: 200,
    kernelPaxos: 500,
  },
  {
    bug: { name: "a restarted acceptor votes with an empty memory", acceptorsForget: true },
    native: 60,
    kernelPaxos: 60,
  },
];
