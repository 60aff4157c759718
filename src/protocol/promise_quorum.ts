/**
 * A quorum of answers to one phase 1, each of which may come in parts and carries its sender's standing. An acceptor that
 * has forgotten everything and come back must not be counted by what it said before: an answer is dropped when another
 * one that counts knows a newer generation of its sender (PROTOCOL: birth and amnesia). Used by proposers and by
 * acceptors that recover.
 *
 * Invariant: of two answers that are held neither outdates the other. Where each of two outdates the other (two
 * births), the one that came last stays: any quorum of answers that do not contradict each other is a good one, and
 * whoever was dropped is asked again.
 */
import { AcceptorSets, quorumOf } from "./quorum.ts";
import { StandingVector } from "./standing.ts";

export class PromiseQuorum {
  readonly #needed: number;
  /** What each acceptor's answer says it knows; of those that are held. */
  readonly #vectors: StandingVector[] = [];
  readonly #coming: StandingVector;
  readonly #held: Uint8Array;
  readonly #dropped: Uint8Array;
  readonly #done: AcceptorSets;
  readonly #known: Float64Array;

  /** `acceptors`: how many are configured; `needed`: how many answers make a quorum. */
  constructor(acceptors: number, needed: number = quorumOf(acceptors)) {
    this.#needed = needed;
    for (let aid = 0; aid < acceptors; aid++) this.#vectors.push(new StandingVector(acceptors));
    this.#coming = new StandingVector(acceptors);
    this.#held = new Uint8Array(acceptors);
    this.#dropped = new Uint8Array(acceptors);
    this.#done = new AcceptorSets(1, acceptors);
    this.#known = new Float64Array(acceptors);
  }

  /** Another phase 1: nobody has answered. */
  begin(): void {
    this.#held.fill(0);
    this.#dropped.fill(0);
    this.#done.clear(0);
  }

  /**
   * A part of an answer came, with its sender's standing. False: the part does not count. What had come of this answer or
   * of others may have been dropped (`takeDropped`), and has to be asked for again.
   */
  note(aid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const coming = this.#coming;
    if (!coming.read(bytes, offset, length)) return false;
    const generation = coming.generations[aid]!;
    const incarnation = coming.incarnations[aid]!;
    if (this.#held[aid] === 1) {
      const before = this.#vectors[aid]!;
      if (generation < before.generations[aid]!) return false;
      const isNew = generation > before.generations[aid]! || incarnation !== before.incarnations[aid]!;
      // Nor do parts belong together that tell of different births of a third.
      if (isNew || this.#contradicts(before)) this.#drop(aid);
    }
    for (let other = 0; other < this.#held.length; other++) {
      if (other === aid || this.#held[other] === 0 || this.#isOutdated(other)) continue;
      if (!this.#vectors[other]!.outdates(aid, generation, incarnation)) continue;
      this.#drop(aid);
      return false;
    }
    for (let other = 0; other < this.#held.length; other++) {
      if (other !== aid && this.#isOutdated(other)) this.#drop(other);
    }
    // Parts that come out of order do not take back what their sender knew.
    if (this.#held[aid] === 1) this.#vectors[aid]!.merge(coming);
    else this.#vectors[aid]!.copy(coming.generations, coming.incarnations);
    this.#held[aid] = 1;
    return true;
  }

  /** The acceptor's answer, as noted, has come to its end. */
  complete(aid: number): void {
    if (this.#held[aid] === 1) this.#done.add(0, aid);
  }

  /** What the acceptor answered is not all there any more. */
  reopen(aid: number): void {
    this.#done.remove(0, aid);
  }

  /** Whether the acceptor's whole answer is there and counts. */
  has(aid: number): boolean {
    return this.#done.has(0, aid);
  }

  /** Whether what has come of the acceptor's answer counts. */
  counts(aid: number): boolean {
    return this.#held[aid] === 1;
  }

  get count(): number {
    return this.#done.count(0);
  }

  isComplete(): boolean {
    return this.#done.count(0) >= this.#needed;
  }

  /** The newest generation of each acceptor that any answer which is held knows; 0: none does. Good until the next call. */
  generations(): Float64Array {
    const known = this.#known.fill(0);
    for (let aid = 0; aid < known.length; aid++) {
      if (this.#held[aid] === 0) continue;
      const { generations } = this.#vectors[aid]!;
      for (let other = 0; other < known.length; other++)
        known[other] = Math.max(known[other]!, generations[other]!);
    }
    return known;
  }

  /** The log of which those that are held tell, in one voice; 0: none knows it, or they differ. */
  get logId(): number {
    let told = 0;
    for (let aid = 0; aid < this.#held.length; aid++) {
      const { logId } = this.#vectors[aid]!;
      if (this.#held[aid] === 0 || logId === 0 || logId === told) continue;
      if (told !== 0) return 0;
      told = logId;
    }
    return told;
  }

  /** True, once, when what had come of this acceptor's answer was dropped: it counts from its beginning only. */
  takeDropped(aid: number): boolean {
    const dropped = this.#dropped[aid] === 1;
    this.#dropped[aid] = 0;
    return dropped;
  }

  /** Whether the answer that is coming knows better than what this acceptor said. */
  #isOutdated(aid: number): boolean {
    const vector = this.#vectors[aid]!;
    return this.#coming.outdates(aid, vector.generations[aid]!, vector.incarnations[aid]!);
  }

  #contradicts({ generations, incarnations }: StandingVector): boolean {
    const coming = this.#coming;
    for (let aid = 0; aid < generations.length; aid++) {
      const isBirth = generations[aid] === 1 && coming.generations[aid] === 1;
      if (isBirth && incarnations[aid] !== coming.incarnations[aid]) return true;
    }
    return false;
  }

  #drop(aid: number): void {
    if (this.#held[aid] === 0) return;
    this.#held[aid] = 0;
    this.#dropped[aid] = 1;
    this.#done.remove(0, aid);
  }
}
