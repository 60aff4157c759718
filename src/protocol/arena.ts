/**
 * A bounded store for values: one buffer, cut into pages, each page cut into blocks of one size class. `alloc` and
 * `free` are O(1) and allocate nothing. When nothing fits `alloc` answers −1, and the caller refuses or waits.
 * A value of length 0 takes no space, and the buffer is allocated with the first block: a store that is never used costs nothing.
 */
import { assert } from "./assert.ts";
import { copyBytes } from "./bytes.ts";

export const PAGE_BYTES = 65536;
/** Block sizes; steps of at most half keep the waste per value under a third. */
const CLASSES = [
  32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 32768,
  65536,
];
export const MAX_BLOCK_BYTES = PAGE_BYTES;
const NONE = -1;
/** Which list the empty pages are in that were used before. */
const EMPTY = CLASSES.length;
/** Size class by length in units of 32 bytes. */
const CLASS_BY_UNITS = classByUnits();

export class Arena {
  /** To be read anew after `alloc`. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Bytes in blocks that are taken. */
  used = 0;
  #words = new Int32Array(0);
  readonly #pages: number;
  /** Pages from here on were never used. */
  #freshPages = 0;
  readonly #classOf: Uint8Array;
  /** First free block of a page (byte offset), its untouched rest, and how many blocks are taken. */
  readonly #free: Int32Array;
  readonly #fresh: Int32Array;
  readonly #taken: Int32Array;
  /** Doubly linked list of a class's pages with room; of empty pages under index `EMPTY`. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #heads: Int32Array;

  /** `capacity` in bytes, rounded up to whole pages. */
  constructor(capacity: number) {
    this.#pages = Math.max(1, Math.ceil(capacity / PAGE_BYTES));
    this.#classOf = new Uint8Array(this.#pages);
    this.#free = new Int32Array(this.#pages).fill(NONE);
    this.#fresh = new Int32Array(this.#pages);
    this.#taken = new Int32Array(this.#pages);
    this.#next = new Int32Array(this.#pages).fill(NONE);
    this.#previous = new Int32Array(this.#pages).fill(NONE);
    this.#heads = new Int32Array(CLASSES.length + 1).fill(NONE);
  }

  get capacity(): number {
    return this.#pages * PAGE_BYTES;
  }

  /** Byte offset of a block of at least `length` bytes, or −1. */
  alloc(length: number): number {
    if (length === 0) return 0;
    if (length > MAX_BLOCK_BYTES) return NONE;
    const c = CLASS_BY_UNITS[(length + 31) >>> 5]!;
    let page = this.#heads[c]!;
    if (page === NONE) {
      page = this.#emptyPage();
      if (page === NONE) return NONE;
      this.#classOf[page] = c;
      this.#free[page] = NONE;
      this.#fresh[page] = page * PAGE_BYTES;
      this.#link(c, page);
    }
    const size = CLASSES[c]!;
    let block = this.#free[page]!;
    if (block !== NONE) {
      this.#free[page] = this.#words[block >>> 2]!;
    } else {
      block = this.#fresh[page]!;
      this.#fresh[page] = block + size;
    }
    this.#taken[page] = this.#taken[page]! + 1;
    if (this.#free[page] === NONE && this.#fresh[page]! + size > (page + 1) * PAGE_BYTES)
      this.#unlink(c, page);
    this.used += size;
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
    const page = Math.floor(offset / PAGE_BYTES);
    const c = this.#classOf[page]!;
    const size = CLASSES[c]!;
    assert(this.#taken[page]! > 0 && length <= size, "a freed block was taken");
    const wasFull = this.#free[page] === NONE && this.#fresh[page]! + size > (page + 1) * PAGE_BYTES;
    this.#words[offset >>> 2] = this.#free[page]!;
    this.#free[page] = offset;
    this.#taken[page] = this.#taken[page]! - 1;
    this.used -= size;
    if (this.#taken[page] === 0) {
      if (!wasFull) this.#unlink(c, page);
      this.#link(EMPTY, page);
    } else if (wasFull) {
      this.#link(c, page);
    }
  }

  /** One that was used before, else the next one; −1: all are taken. */
  #emptyPage(): number {
    const page = this.#heads[EMPTY]!;
    if (page !== NONE) {
      this.#unlink(EMPTY, page);
      return page;
    }
    if (this.#freshPages === this.#pages) return NONE;
    if (this.#freshPages === 0) this.#begin();
    return this.#freshPages++;
  }

  #begin(): void {
    const buffer = new ArrayBuffer(this.capacity);
    this.bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
  }

  #link(list: number, page: number): void {
    const head = this.#heads[list]!;
    this.#next[page] = head;
    this.#previous[page] = NONE;
    if (head !== NONE) this.#previous[head] = page;
    this.#heads[list] = page;
  }

  #unlink(list: number, page: number): void {
    const next = this.#next[page]!;
    const previous = this.#previous[page]!;
    if (previous === NONE) this.#heads[list] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
  }
}

function classByUnits(): Uint8Array {
  const classes = new Uint8Array(MAX_BLOCK_BYTES / 32 + 1);
  for (let units = 1, c = 0; units < classes.length; units++) {
    if (units * 32 > CLASSES[c]!) c++;
    classes[units] = c;
  }
  return classes;
}
