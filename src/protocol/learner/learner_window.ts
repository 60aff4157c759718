/**
 * What a learner knows of the instances it has not delivered yet: each acceptor's latest record (ballot and life), one
 * candidate value, and the ballot at which the instance is chosen. A window bounded in instances and bytes.
 *
 * Invariant: an instance is chosen at (ballot, life) only when a quorum of distinct acceptors has reported exactly that
 * accepted ballot and life as its vote, when an acceptor has marked that record as the chosen value, or when it is the
 * highest record of a quorum that knows the instance to be chosen, of whom some may have none. It is ready when its candidate was proposed at that
 * very ballot and life, or at a higher ballot: what is proposed above a chosen ballot is the chosen value again.
 */
import { Arena } from "../arena.ts";
import { AcceptorSets, quorumOf } from "../quorum.ts";
import { type Ballot, type Life, NO_BALLOT, RepeatFlag } from "../types.ts";

const NO_VALUE = -1;

export class LearnerWindow {
  readonly instances: number;
  readonly arena: Arena;
  /** Values that found no room, and values of later instances that made room for earlier ones: asked for again. */
  refusedFull = 0;
  /** No instance above this one has a value. */
  #topIid = 0;
  readonly #mask: number;
  readonly #acceptors: number;
  readonly #quorum: number;
  readonly #iid: Float64Array;
  readonly #chosenBallot: Float64Array;
  readonly #chosenLife: Float64Array;
  readonly #valueBallot: Float64Array;
  readonly #valueLife: Float64Array;
  readonly #offset: Uint32Array;
  readonly #length: Int32Array;
  readonly #recordBallot: Float64Array;
  readonly #recordLife: Float64Array;
  /** 1: the record is the acceptor's own vote; 0: it is hearsay. */
  readonly #isVote: Uint8Array;
  /** Acceptors that knew the instance to be chosen when they told their record. */
  readonly #knowing: AcceptorSets;

  constructor(instances: number, bytes: number, acceptors: number) {
    let size = 1;
    while (size < instances) size *= 2;
    this.instances = size;
    this.arena = new Arena(bytes);
    this.#mask = size - 1;
    this.#acceptors = acceptors;
    this.#quorum = quorumOf(acceptors);
    this.#iid = new Float64Array(size);
    this.#chosenBallot = new Float64Array(size);
    this.#chosenLife = new Float64Array(size);
    this.#valueBallot = new Float64Array(size);
    this.#valueLife = new Float64Array(size);
    this.#offset = new Uint32Array(size);
    this.#length = new Int32Array(size).fill(NO_VALUE);
    this.#recordBallot = new Float64Array(size * acceptors);
    this.#recordLife = new Float64Array(size * acceptors);
    this.#isVote = new Uint8Array(size * acceptors);
    this.#knowing = new AcceptorSets(size, acceptors);
  }

  isChosen(iid: number): boolean {
    const slot = iid & this.#mask;
    return this.#iid[slot] === iid && this.#chosenBallot[slot] !== NO_BALLOT;
  }

  /** Chosen, and the chosen value is here: that of the chosen ballot, or of a higher one, which can only repeat it. */
  isReady(iid: number): boolean {
    const slot = iid & this.#mask;
    return (
      this.#iid[slot] === iid &&
      this.#chosenBallot[slot] !== NO_BALLOT &&
      this.#length[slot] !== NO_VALUE &&
      this.#proves(slot, this.#valueBallot[slot]!, this.#valueLife[slot]!)
    );
  }

  chosenBallot(iid: number): Ballot {
    return this.#chosenBallot[iid & this.#mask]! as Ballot;
  }
  chosenLife(iid: number): Life {
    return this.#chosenLife[iid & this.#mask]!;
  }
  offset(iid: number): number {
    return this.#offset[iid & this.#mask]!;
  }
  length(iid: number): number {
    return this.#length[iid & this.#mask]!;
  }

  /**
   * Notes an acceptor's record of an instance; true when this makes the instance known to be chosen, if perhaps once more. `flags` (`RepeatFlag`)
   * say what more the acceptor knows:
   *
   * - `marked`: the leader of this very ballot and life announced the instance as chosen. It proposed one value here, and
   *   announces only what is chosen, so that value is it: one answer suffices, hearsay or not.
   * - `known`: the instance is chosen, if perhaps at another ballot. Of a quorum that knows, the highest record is one of
   *   the chosen value, even where no quorum stands at one ballot any more: it has an acceptor of the choosing quorum, whose
   *   record is at the chosen ballot or above, and nothing else was ever proposed there. So one that knows and has no record
   *   (ballot 0) counts, too: it was not in the choosing quorum. It is never a vote.
   * - `hearsay`: no vote, so it is never counted among equal ballots. For `known` it counts like any record: who recovered
   *   after it had helped to choose took the highest record of a quorum of the *others*. One of those was in the choosing
   *   quorum too (n acceptors cannot hold two quorums that share only the one that forgot), and had accepted by then: its
   *   answer promised a ballot above all it knew of, and what is chosen later than that needs the recovered one's new vote.
   */
  vote(iid: number, aid: number, ballot: Ballot, life: Life, flags = 0): boolean {
    const slot = this.#take(iid);
    const knows = (flags & (RepeatFlag.known | RepeatFlag.marked)) !== 0;
    if (this.#chosenBallot[slot] !== NO_BALLOT) {
      // Whatever comes later tells nothing new, …
      if (!knows || !this.#isStranded(slot, iid, ballot)) return false;
      // … but those whose record was the highest may be gone, and their value never came: what is left is looked at afresh.
      this.#clear(slot);
      this.#iid[slot] = iid;
    }
    const at = slot * this.#acceptors + aid;
    if (knows) this.#knowing.add(slot, aid);
    const isVote = (flags & RepeatFlag.hearsay) === 0;
    if (ballot !== NO_BALLOT) {
      // An acceptor's record only rises; an older report is late news. Hearsay of a ballot it voted at tells nothing new.
      if (this.#recordBallot[at]! < ballot || (isVote && this.#recordBallot[at] === ballot)) {
        this.#recordBallot[at] = ballot;
        this.#recordLife[at] = life;
        this.#isVote[at] = isVote ? 1 : 0;
      }
      if ((flags & RepeatFlag.marked) !== 0 || (isVote && this.#votes(slot, ballot, life) >= this.#quorum)) {
        this.#chosenBallot[slot] = ballot;
        this.#chosenLife[slot] = life;
        return true;
      }
    }
    return knows && this.#knowing.count(slot) >= this.#quorum && this.#chooseHighest(slot);
  }

  /** The value that was chosen is wanted, and of one who has a record this one's is too low to prove it. */
  #isStranded(slot: number, iid: number, ballot: Ballot): boolean {
    return ballot !== NO_BALLOT && ballot < this.#chosenBallot[slot]! && !this.isReady(iid);
  }

  /** Acceptors whose latest record is a vote at exactly this ballot and life. */
  #votes(slot: number, ballot: Ballot, life: Life): number {
    const first = slot * this.#acceptors;
    let votes = 0;
    for (let i = first; i < first + this.#acceptors; i++) {
      if (this.#isVote[i] === 1 && this.#recordBallot[i] === ballot && this.#recordLife[i] === life) votes++;
    }
    return votes;
  }

  /** False: none of them has a record. A quorum of the acceptors has forgotten then. */
  #chooseHighest(slot: number): boolean {
    const first = slot * this.#acceptors;
    let highest = -1;
    for (let aid = 0; aid < this.#acceptors; aid++) {
      if (!this.#knowing.has(slot, aid)) continue;
      if (highest < 0 || this.#recordBallot[first + aid]! > this.#recordBallot[highest]!)
        highest = first + aid;
    }
    if (this.#recordBallot[highest] === NO_BALLOT) return false;
    this.#chosenBallot[slot] = this.#recordBallot[highest]!;
    this.#chosenLife[slot] = this.#recordLife[highest]!;
    return true;
  }

  /**
   * Keeps the value of a proposal. Before anything is chosen the highest ballot's is kept; then only the chosen one. True when
   * this makes the instance ready.
   */
  offer(iid: number, ballot: Ballot, life: Life, bytes: Uint8Array, offset: number, length: number): boolean {
    const slot = this.#take(iid);
    const has = this.#length[slot] !== NO_VALUE;
    if (has && this.#valueBallot[slot] === ballot && this.#valueLife[slot] === life) return false;
    const isChosen = this.#chosenBallot[slot] !== NO_BALLOT;
    if (isChosen) {
      if (this.isReady(iid) || !this.#proves(slot, ballot, life)) return false;
    } else if (has && this.#valueBallot[slot]! > ballot) return false;
    // The former candidate goes first: it may hold the very place that the new one needs.
    if (has) {
      this.arena.free(this.#offset[slot]!, this.#length[slot]!);
      this.#length[slot] = NO_VALUE;
    }
    const stored = this.#store(iid, bytes, offset, length);
    if (stored < 0) return false;
    if (iid > this.#topIid) this.#topIid = iid;
    this.#valueBallot[slot] = ballot;
    this.#valueLife[slot] = life;
    this.#offset[slot] = stored;
    this.#length[slot] = length;
    return isChosen;
  }

  /** Forgets the instance: it is delivered, or skipped. */
  release(iid: number): void {
    const slot = iid & this.#mask;
    if (this.#iid[slot] === iid) this.#clear(slot);
  }

  /** What is delivered first goes first: when the store is full, the values of the latest instances give way. */
  #store(iid: number, bytes: Uint8Array, offset: number, length: number): number {
    let stored = this.arena.store(bytes, offset, length);
    while (stored < 0) {
      this.refusedFull++;
      if (!this.#dropAbove(iid)) return stored;
      stored = this.arena.store(bytes, offset, length);
    }
    return stored;
  }

  #dropAbove(iid: number): boolean {
    for (; this.#topIid > iid; this.#topIid--) {
      const slot = this.#topIid & this.#mask;
      if (this.#iid[slot] !== this.#topIid || this.#length[slot] === NO_VALUE) continue;
      this.arena.free(this.#offset[slot]!, this.#length[slot]!);
      this.#length[slot] = NO_VALUE;
      return true;
    }
    return false;
  }

  /** Whether a proposal at this ballot and life is one of the value that was chosen in the slot. */
  #proves(slot: number, ballot: number, life: Life): boolean {
    const chosen = this.#chosenBallot[slot]!;
    return ballot > chosen || (ballot === chosen && life === this.#chosenLife[slot]);
  }

  #take(iid: number): number {
    const slot = iid & this.#mask;
    const held = this.#iid[slot]!;
    if (held !== iid) {
      if (held !== 0) this.#clear(slot);
      this.#iid[slot] = iid;
    }
    return slot;
  }

  #clear(slot: number): void {
    if (this.#length[slot] !== NO_VALUE) this.arena.free(this.#offset[slot]!, this.#length[slot]!);
    this.#knowing.clear(slot);
    this.#iid[slot] = 0;
    this.#length[slot] = NO_VALUE;
    this.#chosenBallot[slot] = NO_BALLOT;
    const first = slot * this.#acceptors;
    for (let i = first; i < first + this.#acceptors; i++) this.#recordBallot[i] = NO_BALLOT;
  }
}
