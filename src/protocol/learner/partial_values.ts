/**
 * Values that come in pieces, until their last piece: for each slot of a table the bytes so far, in blocks of one bounded
 * store, which is made with the first piece and grows as it is used. What counts against the bound is blocks, so it is the
 * same everywhere for the same pieces.
 */
import { assert } from "../assert.ts";
import { copyBytes } from "../bytes.ts";

export const PIECE_BLOCK_BYTES = 4096;
/** Blocks that are allocated together. */
const SLAB_BLOCKS = 256;
const NONE = -1;

export class PartialValues {
  /** Blocks that are not taken. */
  freeBlocks: number;
  readonly #blocks: number;
  readonly #slabs: Uint8Array[] = [];
  /** The block behind each one, in its value or in the list of free ones. */
  #next = new Int32Array(0);
  readonly #slots: number;
  #first = new Int32Array(0);
  #last = new Int32Array(0);
  #length = new Uint32Array(0);
  #free = NONE;
  /** Blocks from here on were never used. */
  #fresh = 0;

  constructor(slots: number, blocks: number) {
    this.#blocks = blocks;
    this.freeBlocks = blocks;
    this.#slots = slots;
  }

  /** Bytes so far. */
  length(slot: number): number {
    return this.freeBlocks === this.#blocks ? 0 : this.#length[slot]!;
  }

  /** Blocks that so many more bytes of this slot take. */
  blocksFor(slot: number, more: number): number {
    const length = this.length(slot);
    return blocksOf(length + more) - blocksOf(length);
  }

  /** Adds to the slot's bytes; `blocksFor` must not be more than is free. */
  append(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    if (this.#length.length === 0) this.#begin();
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const filled = this.#length[slot]! % PIECE_BLOCK_BYTES;
      if (filled === 0) this.#addBlock(slot);
      const size = Math.min(end - at, PIECE_BLOCK_BYTES - filled);
      const block = this.#last[slot]!;
      copyBytes(bytes, at, this.#slabOf(block), offsetOf(block) + filled, size);
      this.#length[slot] = this.#length[slot]! + size;
      at += size;
    }
  }

  /** Copies all bytes of the slot. */
  copy(slot: number, into: Uint8Array, at: number): void {
    let left = this.length(slot);
    let to = at;
    for (let block = this.#first[slot]!; left > 0; block = this.#next[block]!) {
      const size = Math.min(left, PIECE_BLOCK_BYTES);
      copyBytes(this.#slabOf(block), offsetOf(block), into, to, size);
      to += size;
      left -= size;
    }
  }

  release(slot: number): void {
    const blocks = blocksOf(this.length(slot));
    if (blocks > 0) {
      this.#next[this.#last[slot]!] = this.#free;
      this.#free = this.#first[slot]!;
      this.freeBlocks += blocks;
    }
    this.#first[slot] = this.#last[slot] = NONE;
    this.#length[slot] = 0;
  }

  clear(): void {
    this.#first.fill(NONE);
    this.#last.fill(NONE);
    this.#length.fill(0);
    this.freeBlocks = this.#blocks;
    this.#free = NONE;
    this.#fresh = 0;
  }

  #begin(): void {
    this.#next = new Int32Array(this.#blocks);
    this.#first = new Int32Array(this.#slots).fill(NONE);
    this.#last = new Int32Array(this.#slots).fill(NONE);
    this.#length = new Uint32Array(this.#slots);
  }

  #addBlock(slot: number): void {
    assert(this.freeBlocks > 0, "the caller has seen to it that pieces fit");
    let block = this.#free;
    if (block === NONE) block = this.#fresh++;
    else this.#free = this.#next[block]!;
    this.freeBlocks--;
    this.#next[block] = NONE;
    const last = this.#last[slot]!;
    if (last === NONE) this.#first[slot] = block;
    else this.#next[last] = block;
    this.#last[slot] = block;
  }

  #slabOf(block: number): Uint8Array {
    const slab = Math.floor(block / SLAB_BLOCKS);
    this.#slabs[slab] ??= new Uint8Array(SLAB_BLOCKS * PIECE_BLOCK_BYTES);
    return this.#slabs[slab];
  }
}

export function blocksOf(bytes: number): number {
  return Math.ceil(bytes / PIECE_BLOCK_BYTES);
}

function offsetOf(block: number): number {
  return (block % SLAB_BLOCKS) * PIECE_BLOCK_BYTES;
}
