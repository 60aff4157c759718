/**
 * Acceptors that are wrong about who has forgotten, and proposers that are: what goes into a core is changed on its way. For
 * planted bugs only (`bugs.ts`), and for the stories of what the rules of birth and recovery prevent.
 */
import { Roles } from "../node/roles.ts";
import { RecordFlag } from "../protocol/acceptor/journal.ts";
import { NATIVE_BALLOTS } from "../protocol/ballot.ts";
import { quorumOf } from "../protocol/quorum.ts";
import { StandingVector } from "../protocol/standing.ts";
import { type Ballot, type Life, MAX_IID, NO_BALLOT, type Peer, Standing } from "../protocol/types.ts";

/** An acceptor that takes what it was told while it recovered for its own votes. */
export class VotesHearsay extends Roles {
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

/** No bug: a proposer that everybody votes for, and whose ballots leap, as they may; those of a higher id further. */
export class Eager extends Roles {
  override onPreVoted(from: Peer, aid: number, round: number, ballot: Ballot, _granted: boolean): void {
    const rounds = 5 * (this.cores.proposer?.id ?? 0);
    const leap = ballot === NO_BALLOT ? 0 : rounds * NATIVE_BALLOTS.stride;
    super.onPreVoted(from, aid, round, (ballot + leap) as Ballot, true);
  }
}

/** An acceptor that votes for whoever leads, whichever generation of it he counts. */
export class VotesInAnyGeneration extends Roles {
  override onGenerations(): void {}
}

/**
 * A proposer that does not look at who has forgotten since, among acceptors that do not look at what it counts. Its ballots leap: one
 * that is just above what is known lies below the ballot of a recovery, and comes too late anyway.
 */
export class TrustsTheForgetful extends Eager {
  override onGenerations(): void {}

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

/** An acceptor to which one that votes is as good as two. */
export class RecoversFromTooFew extends Roles {
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
    super.onPromiseEnd(from, double, false);
    super.onPromiseBegin(from, aid, ballot, life, asked, first, last, trimIid, bytes, offset, length);
  }

  #double(aid: number): number {
    const { aid: own, roll } = this.cores.acceptor!.fellows!.birth;
    const next = (aid + 1) % roll.answers.length;
    return next === own ? (aid + 2) % roll.answers.length : next;
  }
}

/**
 * An acceptor that goes on with a recovery to which it gave its promise before it knew the generation, though it has promised more
 * since: its promise counts as given with what it knows now.
 */
export class GoesOnUnknowing extends Roles {
  /** Of each acceptor that recovers: its ballot, its life, and its generation as it was known when that ballot came first. */
  readonly #first = new Map<number, readonly [ballot: Ballot, life: Life, generation: number]>();

  override onRecover(from: Peer, aid: number, iid: number, ballot: Ballot, life: Life, frames: number): void {
    const { generations } = this.cores.acceptor!.standing;
    const known = generations[aid]!;
    const first = this.#first.get(aid);
    const isSame = first !== undefined && first[0] === ballot && first[1] === life;
    if (!isSame) this.#first.set(aid, [ballot, life, known]);
    // What is told of it stays what is known.
    generations[aid] = this.#first.get(aid)![2];
    super.onRecover(from, aid, iid, ballot, life, frames);
    generations[aid] = known;
  }
}

/** An acceptor that promises and accepts while it recovers. */
export class AnswersTooEarly extends Roles {
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

/** An acceptor that is born as soon as enough others have said, at whatever time, that they never voted. */
class BornTooSoon extends Roles {
  /** How many others that are fresh this acceptor needs. */
  protected needs(_aid: number, acceptors: number): number {
    return acceptors - 1;
  }

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
    const birth = this.cores.acceptor?.fellows?.birth;
    const isNews = birth?.state === Standing.fresh && nonce === birth.roll.nonce;
    if (isNews && standing === Standing.fresh && this.#begins(aid, standing, ballot, bytes, offset)) return;
    super.onStanding(from, aid, nonce, standing, ballot, bytes, offset, length);
  }

  #begins(aid: number, standing: Standing, ballot: Ballot, bytes: Uint8Array, offset: number): boolean {
    const { fellows, standing: vector } = this.cores.acceptor!;
    const { roll, aid: own } = fellows!.birth;
    const acceptors = roll.answers.length;
    const told = new StandingVector(acceptors);
    told.read(bytes, offset, vector.bytes.length);
    roll.note(aid, standing, ballot, told);
    if (roll.count(Standing.fresh) < this.needs(own, acceptors)) return false;
    for (let other = 0; other < acceptors; other++) {
      const incarnation = other === own ? vector.incarnations[own]! : roll.incarnations[other]!;
      // Of those that have not answered there is nothing to record.
      if (other === own || roll.answers[other] === Standing.fresh) vector.set(other, 1, incarnation);
    }
    fellows!.birth.voice = "born";
    return true;
  }
}

/** … when a majority, itself included, has never voted. */
export class BornByQuorum extends BornTooSoon {
  protected override needs(_aid: number, acceptors: number): number {
    return quorumOf(acceptors) - 1;
  }
}

/** Any acceptor begins the cluster, not acceptor 0 alone, … */
export class AnyoneBegins extends BornTooSoon {}

/** … or acceptor 0 does after a single round. */
export class BornInOneRound extends BornTooSoon {
  protected override needs(aid: number, acceptors: number): number {
    return aid === 0 ? acceptors - 1 : acceptors;
  }
}

/** An acceptor to which what others said before it told acceptor 0 that it is fresh counts as before. */
export class KeepsOldAnswers extends Roles {
  override onStandingAsk(
    from: Peer,
    aid: number,
    nonce: number,
    standing: Standing,
    generation: number,
    life: Life,
  ): void {
    const said = this.cores.acceptor?.isVoting === false ? Standing.recovering : standing;
    super.onStandingAsk(from, aid, nonce, said, generation, life);
  }
}

/** An acceptor that votes on with what it has when another has voted in its place, at a generation above. */
export class GoesOnOutlived extends Roles {
  override tick(nowUs: number): void {
    super.tick(nowUs);
    const birth = this.cores.acceptor?.fellows?.birth;
    if (birth?.isAsking === true) birth.resume();
  }

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
    const { acceptor } = this.cores;
    const incarnation = acceptor?.standing.incarnations[acceptor.aid] ?? 0;
    super.onStanding(from, aid, nonce, standing, ballot, bytes, offset, length);
    const birth = acceptor?.fellows?.birth;
    if (acceptor === undefined || birth === undefined || birth.outlivedBy === 0) return;
    acceptor.standing.set(acceptor.aid, birth.outlivedBy + 1, incarnation);
    birth.outlivedBy = 0;
    birth.kept();
    birth.resume();
  }
}

/** An acceptor that votes with an empty memory, as if nothing had been. */
export function votesAtOnce(roles: Roles): Roles {
  const { acceptor } = roles.cores;
  const birth = acceptor?.fellows?.birth;
  if (acceptor === undefined || birth === undefined || birth.voice !== null) return roles;
  acceptor.standing.set(acceptor.aid, 1, 1);
  birth.kept();
  birth.resume();
  return roles;
}
