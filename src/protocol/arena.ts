/**
 * A bounded store for values: one buffer, cut into pages. Values lie one behind the other in a page; when the last of a page is
 * given back, all of the page is free again. So values that come and go in about the same order, as instances do, cost a few
 * additions each, and of memory that has left the cache nothing is touched before a value is written to it. Only where no page is
 * free are the holes between values searched, and no page twice in vain without a change to its holes: being refused again and
 * again in a full arena is cheap. When nothing fits `alloc` answers −1, and the caller refuses or waits.
 * Memory is allocated with the first block only: a store that is never used costs nothing. A value of length 0 takes no space.
 */
import { assert } from "./assert.ts";
import { copyBytes } from "./bytes.ts";

const PAGE_SHIFT = 16;
export const PAGE_BYTES = 1 << PAGE_SHIFT;
export const MAX_BLOCK_BYTES = PAGE_BYTES;
/** Blocks are whole units; which units of a page are holes is one bit each. */
const UNIT_SHIFT = 5;
const UNIT_BYTES = 1 << UNIT_SHIFT;
const PAGE_UNITS = PAGE_BYTES / UNIT_BYTES;
const PAGE_WORDS = PAGE_UNITS / 32;
const NONE = -1;
/** More than any block. */
const NOT_MISSED = MAX_BLOCK_BYTES + 1;

export class Arena {
  /** To be read anew after `alloc`. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Bytes in blocks that are taken. */
  used = 0;
  /** Bytes that blocks may take at once. */
  readonly capacity: number;
  #pages: number;
  /** Pages from here on were never used. */
  #freshPages = 0;
  /** Pages that are free again; what was freed last is taken first: it may still be in the cache. */
  #free: Int32Array;
  #freeCount = 0;
  /** Blocks taken, by page. */
  #taken: Int32Array;
  /** The page that is being filled, from `#at` to `#end` (byte offsets). */
  #page = NONE;
  #at = 0;
  #end = 0;
  /** Which units of a page were given back or left over, and how many. */
  #holes = new Int32Array(0);
  #holeUnits: Int32Array;
  /** What a vain search of a page found: how long its longest hole is, while it has so many units of holes (−1: not known). */
  #longest: Int32Array;
  #searchedUnits: Int32Array;
  /** No hole has so many bytes: they were searched in vain, and no page has come to that much since. */
  #missedBytes = NOT_MISSED;
  /** How often a page was searched for a hole: what tests bound. */
  searches = 0;

  /** `capacity` in bytes, rounded up to whole pages. */
  constructor(capacity: number) {
    this.#pages = Math.max(1, Math.ceil(capacity / PAGE_BYTES));
    this.capacity = this.#pages * PAGE_BYTES;
    this.#free = new Int32Array(this.#pages);
    this.#taken = new Int32Array(this.#pages);
    this.#holeUnits = new Int32Array(this.#pages);
    this.#longest = new Int32Array(this.#pages);
    this.#searchedUnits = new Int32Array(this.#pages).fill(NONE);
  }

  /** Whether a block of this length is within the capacity, wherever the holes are. */
  holds(length: number): boolean {
    return length <= MAX_BLOCK_BYTES && this.used + sizeOf(length) <= this.capacity;
  }

  /**
   * Adds pages, and no capacity: what fitted once, in the order in which it came and went, may leave other holes in another order.
   */
  widen(): void {
    const more = Math.ceil(this.#pages / 8);
    this.#pages += more;
    this.#free = lengthened(this.#free, more, 0);
    this.#taken = lengthened(this.#taken, more, 0);
    this.#holeUnits = lengthened(this.#holeUnits, more, 0);
    this.#longest = lengthened(this.#longest, more, 0);
    this.#searchedUnits = lengthened(this.#searchedUnits, more, NONE);
    if (this.#freshPages === 0) return;
    const { bytes } = this;
    const holes = this.#holes;
    this.#begin();
    this.bytes.set(bytes);
    this.#holes.set(holes);
  }

  /** Byte offset of a block of at least `length` bytes, or −1. */
  alloc(length: number): number {
    if (length === 0) return 0;
    const size = sizeOf(length);
    if (this.#at + size > this.#end || this.used + size > this.capacity) return this.#allocElsewhere(size);
    const block = this.#at;
    this.#at = block + size;
    this.#take(this.#page, size);
    return block;
  }

  /** Copies a value in; byte offset, or −1 when there is no room. */
  store(bytes: Uint8Array, offset: number, length: number): number {
    const block = this.alloc(length);
    if (block >= 0) copyBytes(bytes, offset, this.bytes, block, length);
    return block;
  }

  /** Gives back the block at `offset` that was taken for `length` bytes. */
  free(offset: number, length: number): void {
    if (length === 0) return;
    const page = offset >>> PAGE_SHIFT;
    const size = sizeOf(length);
    const taken = this.#taken[page]! - 1;
    assert(taken >= 0, "a freed block was taken");
    this.#taken[page] = taken;
    this.used -= size;
    if (taken > 0) this.#setHole(page, offset, size);
    else this.#emptied(page);
  }

  #take(page: number, size: number): void {
    this.#taken[page] = this.#taken[page]! + 1;
    this.used += size;
  }

  /** Begins the next page; where there is none a hole has to do. */
  #allocElsewhere(size: number): number {
    if (size > MAX_BLOCK_BYTES || this.used + size > this.capacity) return NONE;
    let page: number;
    if (this.#freeCount > 0) page = this.#free[--this.#freeCount]!;
    else if (this.#freshPages < this.#pages) {
      if (this.#freshPages === 0) this.#begin();
      page = this.#freshPages++;
    } else return this.#allocHole(size);
    this.#leave();
    this.#page = page;
    const block = page * PAGE_BYTES;
    this.#at = block + size;
    this.#end = block + PAGE_BYTES;
    this.#take(page, size);
    return block;
  }

  #begin(): void {
    this.bytes = new Uint8Array(this.#pages * PAGE_BYTES);
    this.#holes = new Int32Array(this.#pages * PAGE_WORDS);
  }

  /** What is left over of the page that was being filled is a hole. */
  #leave(): void {
    if (this.#at === this.#end) return;
    this.#setHole(this.#page, this.#at, this.#end - this.#at);
    this.#at = this.#end;
  }

  #allocHole(size: number): number {
    // First: with holes before it what is left over may be long enough.
    this.#leave();
    if (size >= this.#missedBytes) return NONE;
    const units = size >>> UNIT_SHIFT;
    for (let page = 0; page < this.#pages; page++) {
      const holes = this.#holeUnits[page]!;
      if (holes < units || (holes === this.#searchedUnits[page]! && this.#longest[page]! < units)) continue;
      const unit = this.#findHole(page, units);
      if (unit < 0) continue;
      for (let i = unit; i < unit + units; i++) {
        const word = page * PAGE_WORDS + (i >>> 5);
        this.#holes[word] = this.#holes[word]! & ~(1 << (i & 31));
      }
      this.#holeUnits[page] = holes - units;
      this.#searchedUnits[page] = NONE;
      this.#take(page, size);
      return page * PAGE_BYTES + unit * UNIT_BYTES;
    }
    this.#missedBytes = size;
    return NONE;
  }

  /** The first of so many units of a page that are holes, or −1: then it is known how long its longest is. */
  #findHole(page: number, units: number): number {
    this.searches++;
    const first = page * PAGE_WORDS;
    let run = 0;
    let longest = 0;
    for (let unit = 0; unit < PAGE_UNITS; unit++) {
      const word = this.#holes[first + (unit >>> 5)]!;
      if ((word & (1 << (unit & 31))) === 0) {
        run = 0;
        // Mostly nothing, or all of it, is a hole.
        if (word === 0) unit |= 31;
      } else if (++run === units) return unit + 1 - units;
      else if (run > longest) longest = run;
    }
    this.#longest[page] = longest;
    this.#searchedUnits[page] = this.#holeUnits[page]!;
    return NONE;
  }

  /** Marks the units of these bytes, a word at a time. */
  #setHole(page: number, offset: number, size: number): void {
    const first = (offset >>> UNIT_SHIFT) & (PAGE_UNITS - 1);
    const units = size >>> UNIT_SHIFT;
    const end = first + units;
    const words = page * PAGE_WORDS;
    for (let unit = first; unit < end; unit = (unit | 31) + 1) {
      const count = Math.min(end, (unit | 31) + 1) - unit;
      const bits = (-1 >>> (32 - count)) << (unit & 31);
      const word = words + (unit >>> 5);
      assert((this.#holes[word]! & bits) === 0, "a block is given back once");
      this.#holes[word] = this.#holes[word]! | bits;
    }
    const all = this.#holeUnits[page]! + units;
    this.#holeUnits[page] = all;
    if (all << UNIT_SHIFT >= this.#missedBytes) this.#missedBytes = NOT_MISSED;
  }

  /** All of the page is free: it has no holes. */
  #emptied(page: number): void {
    if (this.#holeUnits[page]! > 0) this.#holes.fill(0, page * PAGE_WORDS, (page + 1) * PAGE_WORDS);
    this.#holeUnits[page] = 0;
    this.#searchedUnits[page] = NONE;
    if (page === this.#page) this.#at = page * PAGE_BYTES;
    else this.#free[this.#freeCount++] = page;
  }
}

/** Bytes of a block for a value of this length. */
function sizeOf(length: number): number {
  return (length + UNIT_BYTES - 1) & -UNIT_BYTES;
}

function lengthened(array: Int32Array, more: number, value: number): Int32Array {
  const longer = new Int32Array(array.length + more).fill(value);
  longer.set(array);
  return longer;
}
