/**
 * Sees all acceptors at once, which no process can: it reads their journals as they write them, so it knows what is chosen
 * before anybody else does, and says what must never be.
 *
 * What an acceptor has journalled counts as soon as it is committed (`commits`): what a crash takes away before, nobody has heard
 * of. What an acceptor finds on its disk counts as well (`resumes`): it will be heard of.
 */
import type { Acceptor } from "../protocol/acceptor/acceptor.ts";
import { type Journal, RecordFlag } from "../protocol/acceptor/journal.ts";
import { sameBytes } from "../protocol/bytes.ts";
import { quorumOf } from "../protocol/quorum.ts";
import { type Ballot, type Life, NO_BALLOT } from "../protocol/types.ts";
import { Violation } from "./violation.ts";

/** What has been proposed at an instance, by ballot and life, and who has accepted it. */
interface Proposal {
  readonly ballot: Ballot;
  readonly life: Life;
  readonly value: Uint8Array;
  /** Of each voter, in which it voted. */
  readonly generations: number[];
  /** Bits of acceptor ids. */
  voters: number;
  votes: number;
}

interface Instance {
  readonly proposals: Proposal[];
  chosen: Uint8Array | undefined;
  chosenBallot: Ballot;
}

/** What an acceptor has said so far, since it forgot everything. */
interface Said {
  promised: Ballot;
  life: Life;
  readonly accepted: Map<number, Ballot>;
  trimIid: number;
}

/** One process in an acceptor's place: two can be awake at one time, and what one says does not bind the other. */
export interface Witness {
  readonly aid: number;
  said: Said;
  /** In which it votes. */
  generation: number;
  /** Not committed yet. */
  unsaid: (() => void)[];
}

export interface ObserverOptions {
  readonly acceptors: number;
  /** The value of an instance is chosen, for the first time. */
  readonly onChosen: (iid: number, value: Uint8Array) => void;
}

export class Observer {
  readonly counters = { chosen: 0, votes: 0, promises: 0, trims: 0 };
  /** Highest instance that is chosen. */
  highestIid = 0;
  readonly #options: ObserverOptions;
  readonly #quorum: number;
  readonly #instances: (Instance | undefined)[] = [];
  /** Of each acceptor, by who came last in its place. */
  readonly #said: Said[] = [];
  #logId = 0;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.#quorum = quorumOf(options.acceptors);
    for (let aid = 0; aid < options.acceptors; aid++) this.#said.push(nothingSaid());
  }

  /** What is chosen at an instance; undefined: nothing yet. */
  chosen(iid: number): Uint8Array | undefined {
    return this.#instances[iid]?.chosen;
  }

  /**
   * With all acceptors running and voting: of any quorum of them one knows what is chosen at each instance, or has trimmed it.
   */
  checkNothingLost(acceptors: readonly Acceptor[]): void {
    const missing = acceptors.length - this.#quorum;
    for (let iid = 1; iid <= this.highestIid; iid++) {
      const instance = this.#instances[iid];
      if (instance?.chosen === undefined) continue;
      let without = 0;
      for (const { log } of acceptors) {
        if (iid > log.trimIid && log.ballotAt(iid) < instance.chosenBallot) without++;
      }
      if (without <= missing) continue;
      const what = `${without} of ${acceptors.length} acceptors have nothing of ${iid}, where ${show(instance.chosen)} is chosen`;
      throw new Violation("nothing chosen is lost", what);
    }
  }

  /** A process is about to begin in an acceptor's place; it has said what the last one there has. */
  witness(aid: number): Witness {
    return { aid, said: this.#said[aid]!, generation: 0, unsaid: [] };
  }

  /** Listens to a process's journal. */
  journal(witness: Witness): Journal {
    const { aid } = witness;
    const later = (say: () => void): void => {
      witness.unsaid.push(say);
    };
    return {
      promised: (ballot, life) => later(() => this.#promised(witness, ballot, life)),
      promisedAt: () => undefined,
      accepted: (iid, ballot, life, flags, bytes, offset, length) => {
        const value = this.#valueOf(iid, ballot, life, bytes, offset, length);
        if ((flags & RecordFlag.hearsay) === 0)
          later(() => this.#accepted(witness, iid, ballot, life, value));
      },
      trimmed: (iid) => later(() => this.#trimmed(witness, iid)),
      standing: (generations, incarnations) => {
        const [generation, id, own] = [generations[0]!, incarnations[0]!, generations[aid]!];
        later(() => {
          witness.generation = own;
          this.#stands(aid, generation, id);
        });
      },
    };
  }

  /** What the process has journalled may be said from now on. */
  commits(witness: Witness): void {
    const { unsaid } = witness;
    if (unsaid.length === 0) return;
    witness.unsaid = [];
    for (const say of unsaid) say();
  }

  /** The process is gone, and what it has not said. */
  ends(witness: Witness): void {
    witness.unsaid.length = 0;
  }

  /** It remembers nothing of those before it, or another disk's: what was said so far does not bind it, only those who heard it. */
  forgets(witness: Witness, generation: number): void {
    witness.said = nothingSaid();
    witness.generation = generation;
    this.#said[witness.aid] = witness.said;
  }

  /** It begins with its disk. */
  resumes(witness: Witness, acceptor: Acceptor): void {
    const { aid, said } = witness;
    const { log, promised, promisedLife } = acceptor;
    witness.generation = acceptor.standing.generations[aid]!;
    const isBelow = promised < said.promised || (promised === said.promised && promisedLife !== said.life);
    if (isBelow) {
      const what = `acceptor ${aid} had promised ${said.promised}/${said.life} and comes back with ${promised}/${promisedLife}`;
      throw new Violation("nothing revealed is forgotten", what);
    }
    for (const [iid, ballot] of said.accepted) {
      if (iid <= log.trimIid || log.ballotAt(iid) >= ballot) continue;
      const what = `acceptor ${aid} had accepted ${iid} at ${ballot} and comes back with ${log.ballotAt(iid)}`;
      throw new Violation("nothing revealed is forgotten", what);
    }
    said.promised = promised;
    said.life = promisedLife;
    for (let iid = log.trimIid + 1; iid <= log.highestIid; iid++) {
      const ballot = log.ballotAt(iid);
      if (ballot === NO_BALLOT || (log.flagsAt(iid) & RecordFlag.hearsay) !== 0) continue;
      const life = log.lifeAt(iid);
      const value = this.#valueOf(iid, ballot, life, log.arena.bytes, log.offsetAt(iid), log.lengthAt(iid));
      this.#vote(witness, iid, ballot, life, value);
      said.accepted.set(iid, ballot);
    }
  }

  /** Acceptor 0 alone can be born more than once, and nothing comes of all but the last. */
  #stands(aid: number, generation: number, id: number): void {
    if (generation === 0 || id === 0 || (aid === 0 && generation === 1)) return;
    if (this.#logId === 0) this.#logId = id;
    if (id === this.#logId) return;
    throw new Violation("one log, one id", `it was ${this.#logId}, and acceptor ${aid} says ${id}`);
  }

  #promised({ aid, said }: Witness, ballot: Ballot, life: Life): void {
    this.counters.promises++;
    if (ballot < said.promised || (ballot === said.promised && life !== said.life)) {
      const what = `acceptor ${aid}: ${said.promised}/${said.life}, then ${ballot}/${life}`;
      throw new Violation("promises never fall", what);
    }
    said.promised = ballot;
    said.life = life;
  }

  #accepted(witness: Witness, iid: number, ballot: Ballot, life: Life, value: Uint8Array): void {
    const { aid, said } = witness;
    if (ballot < said.promised || (ballot === said.promised && life !== said.life)) {
      const what = `acceptor ${aid} accepts ${iid} at ${ballot}/${life} and has promised ${said.promised}/${said.life}`;
      throw new Violation("nothing is accepted below a promise", what);
    }
    const before = said.accepted.get(iid) ?? NO_BALLOT;
    if (ballot < before) {
      const what = `acceptor ${aid} accepts ${iid} at ${ballot} after ${before}`;
      throw new Violation("nothing is accepted below a promise", what);
    }
    said.accepted.set(iid, ballot);
    this.#vote(witness, iid, ballot, life, value);
  }

  #trimmed({ said }: Witness, iid: number): void {
    this.counters.trims++;
    for (let one = said.trimIid + 1; one <= iid; one++) said.accepted.delete(one);
    said.trimIid = Math.max(said.trimIid, iid);
  }

  #vote({ aid, generation }: Witness, iid: number, ballot: Ballot, life: Life, value: Uint8Array): void {
    this.counters.votes++;
    const instance = this.#instances[iid]!;
    const proposal = instance.proposals.find((one) => one.ballot === ballot && one.life === life)!;
    proposal.generations[aid] ??= generation;
    const before = proposal.generations[aid];
    if (before !== generation) {
      const what = `acceptor ${aid} accepts ${iid} at ${ballot}/${life} in generation ${generation}, and has in ${before}`;
      throw new Violation("one generation per ballot", what);
    }
    if ((proposal.voters & (1 << aid)) !== 0) return;
    proposal.voters |= 1 << aid;
    proposal.votes++;
    if (instance.chosen !== undefined && ballot > instance.chosenBallot && !isSame(instance.chosen, value)) {
      const what = `at ${iid} ${show(instance.chosen)} is chosen at ${instance.chosenBallot}, and acceptor ${aid} accepts ${show(value)} at ${ballot}`;
      throw new Violation("agreement", what);
    }
    if (proposal.votes !== this.#quorum) return;
    if (instance.chosen !== undefined) {
      if (isSame(instance.chosen, value)) return;
      throw new Violation(
        "agreement",
        `at ${iid} both ${show(instance.chosen)} and ${show(value)} are chosen`,
      );
    }
    instance.chosen = value;
    instance.chosenBallot = ballot;
    this.highestIid = Math.max(this.highestIid, iid);
    this.counters.chosen++;
    this.#options.onChosen(iid, value);
  }

  /** One copy of each proposal's value; another value at its ballot and life is a violation by itself. */
  #valueOf(
    iid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): Uint8Array {
    let instance = this.#instances[iid];
    if (instance === undefined) {
      instance = { proposals: [], chosen: undefined, chosenBallot: NO_BALLOT };
      this.#instances[iid] = instance;
    }
    for (const { ballot: other, life: another, value } of instance.proposals) {
      if (other !== ballot || another !== life) continue;
      if (value.length === length && sameBytes(value, 0, bytes, offset, length)) return value;
      const now = show(bytes.subarray(offset, offset + length));
      throw new Violation("one value per ballot", `${iid} at ${ballot}/${life}: ${show(value)} and ${now}`);
    }
    const value = bytes.slice(offset, offset + length);
    instance.proposals.push({ ballot, life, value, generations: [], voters: 0, votes: 0 });
    return value;
  }
}

export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && sameBytes(a, 0, b, 0, a.length));
}

export function show(value: Uint8Array): string {
  if (value.length === 0) return "a no-op";
  const hex = Buffer.from(value.subarray(0, 24)).toString("hex");
  return `${hex}${value.length > 24 ? "…" : ""} (${value.length} B)`;
}

function nothingSaid(): Said {
  return { promised: NO_BALLOT, life: 0, accepted: new Map(), trimIid: 0 };
}
