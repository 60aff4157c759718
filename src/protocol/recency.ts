/**
 * The slots of a table in the order in which they were used last: a doubly linked list in typed arrays, which are
 * allocated when the first slot is used.
 */
const NONE = -1;
const ABSENT = -2;

export class Recency {
  count = 0;
  /** The slot that was used longest ago, and the one used last; −1: none. */
  oldest = NONE;
  newest = NONE;
  readonly #slots: number;
  #older = new Int32Array(0);
  #newer = new Int32Array(0);

  constructor(slots: number) {
    this.#slots = slots;
  }

  has(slot: number): boolean {
    return this.count > 0 && this.#older[slot] !== ABSENT;
  }

  /** The one used next after this one; −1: none. */
  newer(slot: number): number {
    return this.#newer[slot]!;
  }

  /** The slot is the one used last; it is added if it was not there. */
  touch(slot: number): void {
    if (this.newest === slot) return;
    if (this.has(slot)) this.#unlink(slot);
    else {
      if (this.#older.length === 0) this.#begin();
      this.count++;
    }
    this.#older[slot] = this.newest;
    this.#newer[slot] = NONE;
    if (this.newest === NONE) this.oldest = slot;
    else this.#newer[this.newest] = slot;
    this.newest = slot;
  }

  remove(slot: number): void {
    if (!this.has(slot)) return;
    this.#unlink(slot);
    this.#older[slot] = ABSENT;
    this.count--;
  }

  clear(): void {
    this.#older.fill(ABSENT);
    this.#newer.fill(NONE);
    this.oldest = this.newest = NONE;
    this.count = 0;
  }

  #begin(): void {
    this.#older = new Int32Array(this.#slots).fill(ABSENT);
    this.#newer = new Int32Array(this.#slots).fill(NONE);
  }

  #unlink(slot: number): void {
    const older = this.#older[slot]!;
    const newer = this.#newer[slot]!;
    if (older === NONE) this.oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.newest = older;
    else this.#older[newer] = older;
  }
}
