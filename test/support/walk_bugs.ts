/**
 * Bugs for the random walk to find, each planted by changing what goes into a core; the cores themselves are as they are.
 */
import { Roles } from "../../src/node/roles.ts";
import { RecordFlag } from "../../src/protocol/acceptor/journal.ts";
import { NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { quorumOf } from "../../src/protocol/quorum.ts";
import { type Ballot, type Life, MAX_IID, NO_BALLOT, type Peer, Standing } from "../../src/protocol/types.ts";
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
    const isOurs = this.cores.proposer !== undefined;
    const order = (isOurs ? this.#order(valueBallot) : valueBallot) as Ballot;
    if (order === NO_BALLOT) return;
    super.onPromiseRecord(from, aid, iid, order, valueLife, flags, bytes, offset, length);
  }
}

/** A proposer to which the lowest ballot counts most. */
export class AdoptsLowest extends Adopts {
  constructor(cores: Roles["cores"]) {
    super(cores, (ballot) => HIGH - ballot);
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

  override onPromiseEnd(from: Peer, trueAid: number): void {
    super.onPromiseEnd(from, this.cores.proposer === undefined ? trueAid : this.#promises % 3);
  }
}

/** A proposer that does not hear which ballots are promised when it asks for votes. */
class VotesWithoutBallots extends Roles {
  override onPreVoted(from: Peer, aid: number, round: number, _ballot: Ballot, granted: boolean): void {
    super.onPreVoted(from, aid, round, NO_BALLOT, granted);
  }
}

/** An acceptor that takes what it was told while it recovered for its own votes. */
class VotesHearsay extends Roles {
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
    super.onPromiseRecord(from, aid, iid, valueBallot, valueLife, flags, bytes, offset, length);
    const { acceptor } = this.cores;
    if (acceptor === undefined || acceptor.log.ballotAt(iid) !== valueBallot) return;
    acceptor.log.setFlags(iid, acceptor.log.flagsAt(iid) & ~RecordFlag.hearsay);
  }
}

/** No bug: a proposer that everybody votes for, and whose ballots leap, as they may. */
export class Eager extends Roles {
  override onPreVoted(from: Peer, aid: number, round: number, ballot: Ballot, _granted: boolean): void {
    const leap = ballot === NO_BALLOT ? 0 : 5 * NATIVE_BALLOTS.stride;
    super.onPreVoted(from, aid, round, (ballot + leap) as Ballot, true);
  }
}

/**
 * A proposer that does not look at who has forgotten since. Its ballots leap: one that is just above what is known lies below
 * the ballot of a recovery, and comes too late anyway.
 */
export class TrustsTheForgetful extends Eager {
  override onPromiseBegin(
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
  ): void {
    const isProposer = this.cores.proposer !== undefined;
    const standing = isProposer ? new Uint8Array(length) : bytes;
    const at = isProposer ? 0 : offset;
    super.onPromiseBegin(from, aid, ballot, life, asked, first, last, trimIid, standing, at, length);
  }
}

/** An acceptor that is born as soon as a majority, itself included, has never voted. */
export class BornByQuorum extends Roles {
  override onStanding(
    from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    super.onStanding(from, aid, nonce, standing, ballot, bytes, offset, length);
    const { fellows, standing: vector } = this.cores.acceptor ?? {};
    if (fellows == null || vector === undefined || fellows.birth.voice !== null) return;
    const { roll, aid: own } = fellows.birth;
    if (roll.count(Standing.fresh) + 1 < quorumOf(roll.answers.length)) return;
    for (let other = 0; other < roll.answers.length; other++) {
      const incarnation = other === own ? vector.incarnations[own]! : roll.incarnations[other]!;
      // Of those that have not answered there is nothing to record.
      if (other === own || roll.answers[other] === Standing.fresh) vector.set(other, 1, incarnation);
    }
    fellows.birth.voice = "born";
  }
}

/** An acceptor to which one that votes is as good as two. */
class RecoversFromTooFew extends Roles {
  override onStanding(
    from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    super.onStanding(from, aid, nonce, standing, ballot, bytes, offset, length);
    if (standing !== Standing.voting || this.cores.acceptor?.isVoting !== false) return;
    super.onStanding(from, this.#double(aid), nonce, standing, ballot, bytes, offset, length);
  }

  override onPromiseBegin(
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
  ): void {
    super.onPromiseBegin(from, aid, ballot, life, asked, first, last, trimIid, bytes, offset, length);
    const isWhole = asked === first && last === MAX_IID;
    if (!isWhole || this.cores.acceptor?.isVoting !== false) return;
    const double = this.#double(aid);
    super.onPromiseBegin(from, double, ballot, life, asked, first, last, trimIid, bytes, offset, length);
    super.onPromiseEnd(from, double);
    super.onPromiseBegin(from, aid, ballot, life, asked, first, last, trimIid, bytes, offset, length);
  }

  #double(aid: number): number {
    const { aid: own, roll } = this.cores.acceptor!.fellows!.birth;
    const next = (aid + 1) % roll.answers.length;
    return next === own ? (aid + 2) % roll.answers.length : next;
  }
}

/** An acceptor that promises and accepts while it recovers. */
class AnswersTooEarly extends Roles {
  override onPrepare(from: Peer, iid: number, ballot: Ballot, life: Life): void {
    this.#asIfItVoted(() => super.onPrepare(from, iid, ballot, life));
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
    this.#asIfItVoted(() => super.onAccept(from, iid, promiseIid, ballot, life, bytes, offset, length));
  }

  #asIfItVoted(act: () => void): void {
    const birth = this.cores.acceptor?.fellows?.birth;
    if (birth === undefined || birth.voice !== null) return act();
    const { standing } = this.cores.acceptor!;
    const { aid, generation, voice } = birth;
    const [before, life] = [standing.generations[aid]!, standing.incarnations[aid]!];
    birth.voice = "kept";
    standing.set(aid, Math.max(before, generation), life);
    act();
    standing.set(aid, before, life);
    birth.voice = voice;
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
  {
    bug: { name: "adopted records are counted as votes", roles: (cores) => new VotesHearsay(cores) },
    native: 60,
    kernelPaxos: 0,
  },
  {
    bug: {
      name: "a recovery with too few that vote",
      roles: (cores) => new RecoversFromTooFew(cores),
    },
    native: 120,
    kernelPaxos: 0,
  },
  {
    bug: { name: "an acceptor answers before it votes", roles: (cores) => new AnswersTooEarly(cores) },
    native: 120,
    kernelPaxos: 0,
  },
];
