/**
 * Quorums: majorities of the configured acceptors, and sets of acceptors per window slot.
 */

/** ⌊n/2⌋ + 1: any two such sets share an acceptor. */
export function quorumOf(acceptors: number): number {
  return Math.floor(acceptors / 2) + 1;
}

/** One set of acceptor ids for each of a fixed number of slots. */
export class AcceptorSets {
  readonly #words: number;
  readonly #bits: Uint32Array;
  readonly #counts: Uint16Array;

  constructor(slots: number, acceptors: number) {
    this.#words = Math.ceil(acceptors / 32);
    this.#bits = new Uint32Array(slots * this.#words);
    this.#counts = new Uint16Array(slots);
  }

  /** Adds an acceptor; false when it was there already. */
  add(slot: number, aid: number): boolean {
    const word = slot * this.#words + (aid >>> 5);
    const bit = 1 << (aid & 31);
    if ((this.#bits[word]! & bit) !== 0) return false;
    this.#bits[word] = this.#bits[word]! | bit;
    this.#counts[slot] = this.#counts[slot]! + 1;
    return true;
  }

  remove(slot: number, aid: number): void {
    const word = slot * this.#words + (aid >>> 5);
    const bit = 1 << (aid & 31);
    if ((this.#bits[word]! & bit) === 0) return;
    this.#bits[word] = this.#bits[word]! & ~bit;
    this.#counts[slot] = this.#counts[slot]! - 1;
  }

  has(slot: number, aid: number): boolean {
    return (this.#bits[slot * this.#words + (aid >>> 5)]! & (1 << (aid & 31))) !== 0;
  }

  count(slot: number): number {
    return this.#counts[slot]!;
  }

  clear(slot: number): void {
    const from = slot * this.#words;
    for (let i = 0; i < this.#words; i++) this.#bits[from + i] = 0;
    this.#counts[slot] = 0;
  }
}
