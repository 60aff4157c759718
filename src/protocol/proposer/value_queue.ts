/**
 * A bounded first-in-first-out queue of values in one ring buffer: the client values a proposer has not proposed yet.
 * Full is an answer (`push` returns false), never an overwrite (a fault of the reference).
 *
 * Each value lies contiguously: [length: 4 bytes][bytes, padded to 4]; a length of −1 says that the rest of the
 * buffer is unused. Indices run freely and are reduced when the queue is empty.
 */
import { isOpening } from "../batch.ts";
import { copyBytes } from "../bytes.ts";

const SKIP = -1;

export class ValueQueue {
  readonly bytes: Uint8Array;
  /** Values waiting. */
  count = 0;
  readonly #lengths: Int32Array;
  #head = 0;
  #tail = 0;

  /** `capacity` in bytes, with 4 bytes of each value's space for its length. */
  constructor(capacity: number) {
    const rounded = Math.max(64, (capacity + 3) & ~3);
    const buffer = new ArrayBuffer(rounded);
    this.bytes = new Uint8Array(buffer);
    this.#lengths = new Int32Array(buffer);
  }

  get usedBytes(): number {
    if (this.count === 0) return 0;
    return this.#tail > this.#head ? this.#tail - this.#head : this.bytes.length - this.#head + this.#tail;
  }

  push(bytes: Uint8Array, offset: number, length: number): boolean {
    const at = this.#reserve(4 + ((length + 3) & ~3));
    if (at < 0) return false;
    this.#lengths[at >>> 2] = length;
    copyBytes(bytes, offset, this.bytes, at + 4, length);
    this.count++;
    return true;
  }

  /** Length of the oldest value; −1 when empty. */
  peekLength(): number {
    return this.count === 0 ? -1 : this.#lengths[this.#head >>> 2]!;
  }

  /** Byte offset of the oldest value in `bytes`. */
  peekOffset(): number {
    return this.#head + 4;
  }

  /**
   * Bytes of the oldest values that go together into `limit` bytes: at least one, and only values whose length is a multiple
   * of 4 share (batch entries are). The opening of a session begins a batch, so none goes behind others.
   */
  batchLength(limit: number): number {
    let at = this.#head;
    let total = this.#lengths[at >>> 2]!;
    if ((total & 3) !== 0) return total;
    for (let i = 1; i < this.count; i++) {
      at += 4 + this.#lengths[at >>> 2]!;
      if (at === this.bytes.length || this.#lengths[at >>> 2] === SKIP) at = 0;
      const next = this.#lengths[at >>> 2]!;
      if (total + next > limit || (next & 3) !== 0 || isOpening(this.bytes, at + 4, next)) break;
      total += next;
    }
    return total;
  }

  /** Moves the oldest values, `length` bytes of them as `batchLength` said, to another buffer; returns how many. */
  takeBatch(into: Uint8Array, offset: number, length: number): number {
    let values = 0;
    let at = offset;
    do {
      const next = this.peekLength();
      copyBytes(this.bytes, this.#head + 4, into, at, next);
      at += next;
      values++;
      this.pop();
    } while (at < offset + length);
    return values;
  }

  /** Drops the oldest value. */
  pop(): void {
    this.#head += 4 + ((this.#lengths[this.#head >>> 2]! + 3) & ~3);
    this.count--;
    if (this.count === 0) {
      this.#head = 0;
      this.#tail = 0;
    } else if (this.#head === this.bytes.length || this.#lengths[this.#head >>> 2] === SKIP) {
      this.#head = 0;
    }
  }

  #reserve(space: number): number {
    const capacity = this.bytes.length;
    if (this.count === 0 || this.#tail > this.#head) {
      if (capacity - this.#tail >= space) return this.#advance(space);
      // The head's own place stays free, so that tail === head always means "full".
      if (this.count === 0 || this.#head < space) return -1;
      if (this.#tail < capacity) this.#lengths[this.#tail >>> 2] = SKIP;
      this.#tail = 0;
      return this.#advance(space);
    }
    return this.#head - this.#tail >= space ? this.#advance(space) : -1;
  }

  #advance(space: number): number {
    const at = this.#tail;
    this.#tail += space;
    return at;
  }
}
