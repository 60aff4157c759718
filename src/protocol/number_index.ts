/**
 * Finds numbers of up to 53 bits: which slot of a table has this key. Open addressing in one typed array; the keys stay in the
 * table's own array. Nothing is allocated after the first `add`. Keys are not 0.
 */
const NONE = -1;

export class NumberIndex {
  readonly #keys: Float64Array;
  /** Slot + 1; 0: empty. */
  #cells = new Int32Array(1);
  /** 0: nothing was ever added. */
  #mask = 0;

  /** `keys`: of each slot, written before `add` and until `remove`. */
  constructor(keys: Float64Array) {
    this.#keys = keys;
  }

  /** The slot with this key, or −1. */
  find(key: number): number {
    const cells = this.#cells;
    for (let at = hash(key) & this.#mask; ; at = (at + 1) & this.#mask) {
      const slot = cells[at]! - 1;
      if (slot < 0) return NONE;
      if (this.#keys[slot] === key) return slot;
    }
  }

  /** The slot's key is not in the index yet. */
  add(slot: number): void {
    if (this.#mask === 0) this.#begin();
    let at = hash(this.#keys[slot]!) & this.#mask;
    while (this.#cells[at] !== 0) at = (at + 1) & this.#mask;
    this.#cells[at] = slot + 1;
  }

  remove(slot: number): void {
    const cells = this.#cells;
    const mask = this.#mask;
    let hole = hash(this.#keys[slot]!) & mask;
    while (cells[hole] !== slot + 1) hole = (hole + 1) & mask;
    // What follows without a gap moves up, unless that would put it before its own place.
    for (let at = (hole + 1) & mask; cells[at] !== 0; at = (at + 1) & mask) {
      const home = hash(this.#keys[cells[at]! - 1]!) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      cells[hole] = cells[at]!;
      hole = at;
    }
    cells[hole] = 0;
  }

  clear(): void {
    this.#cells.fill(0);
  }

  #begin(): void {
    let size = 4;
    while (size < this.#keys.length * 2) size *= 2;
    this.#cells = new Int32Array(size);
    this.#mask = size - 1;
  }
}

function hash(key: number): number {
  const high = Math.floor(key / 2 ** 32);
  let mixed = Math.imul((key >>> 0) ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b);
  mixed ^= mixed >>> 15;
  return Math.imul(mixed, 0xc2b2ae35) ^ (mixed >>> 13);
}
