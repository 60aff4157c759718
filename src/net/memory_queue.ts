/**
 * The frames on their way to one in-memory link: a bounded priority queue, earliest first, frames of one time in the
 * order they were sent. Everything is allocated once. It knows no addresses' meaning and draws no chance.
 */
import { copyBytes } from "../protocol/bytes.ts";

export class FrameQueue {
  count = 0;
  readonly bytes: Uint8Array;
  readonly slotBytes: number;
  /** Of each slot: payload bytes, EtherType, and the source's two address words. */
  readonly length: Uint32Array;
  readonly protocol: Uint32Array;
  readonly source: Uint32Array;
  readonly #dueUs: Float64Array;
  readonly #order: Float64Array;
  /** A binary heap of slots in its first `count` places; the free slots behind them. */
  readonly #heap: Uint32Array;

  constructor(frames: number, slotBytes: number) {
    this.slotBytes = slotBytes;
    this.bytes = new Uint8Array(frames * slotBytes);
    this.length = new Uint32Array(frames);
    this.protocol = new Uint32Array(frames);
    this.source = new Uint32Array(2 * frames);
    this.#dueUs = new Float64Array(frames);
    this.#order = new Float64Array(frames);
    this.#heap = new Uint32Array(frames);
    for (let i = 0; i < frames; i++) this.#heap[i] = i;
  }

  /** When the earliest frame is due; `Infinity` when there is none. */
  dueUs(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : this.#dueUs[this.#heap[0]!]!;
  }

  /** Takes a frame in; returns its slot, or −1 when there is no place. `order` must be unique. */
  push(dueUs: number, order: number, from: Uint8Array, offset: number, length: number): number {
    if (this.count === this.#heap.length) return -1;
    let at = this.count++;
    const slot = this.#heap[at]!;
    this.#dueUs[slot] = dueUs;
    this.#order[slot] = order;
    this.length[slot] = length;
    copyBytes(from, offset, this.bytes, slot * this.slotBytes, length);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.#isBefore(slot, this.#heap[parent]!)) break;
      this.#heap[at] = this.#heap[parent]!;
      at = parent;
    }
    this.#heap[at] = slot;
    return slot;
  }

  /** Takes the earliest frame out; what its slot holds stays until the next `push`. */
  pop(): number {
    const heap = this.#heap;
    const slot = heap[0]!;
    const end = --this.count;
    const moved = heap[end]!;
    heap[end] = slot;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= end) break;
      if (child + 1 < end && this.#isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#isBefore(heap[child]!, moved)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    if (end > 0) heap[at] = moved;
    return slot;
  }

  /** Frames due up to `nowUs` are gone. */
  dropUntil(nowUs: number): void {
    while (this.dueUs() <= nowUs) this.pop();
  }

  #isBefore(a: number, b: number): boolean {
    const earlier = this.#dueUs[a]! - this.#dueUs[b]!;
    return earlier !== 0 ? earlier < 0 : this.#order[a]! < this.#order[b]!;
  }
}
