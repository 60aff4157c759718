/**
 * Values that somebody supplies, one after the other, in either wire's form: what `kpaxos submit` sends. At most one is
 * under way, so they are chosen in the order given.
 */
import { copyBytes } from "./bytes.ts";
import type { ValueFormat } from "./client.ts";

export class GivenValues implements ValueFormat {
  readonly overheadBytes: number;
  readonly bytes: Uint8Array;
  readonly #inner: ValueFormat;
  readonly #waiting: Uint8Array[] = [];
  /** The value under way and its sequence. */
  #current: Uint8Array = new Uint8Array(0);
  #currentSequence = 0;

  constructor(inner: ValueFormat) {
    this.#inner = inner;
    this.overheadBytes = inner.overheadBytes;
    this.bytes = inner.bytes;
  }

  /** Values that were given and not sent yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  give(value: Uint8Array): void {
    this.#waiting.push(value);
  }

  write(client: number, slot: number, sequence: number, stampUs: number, _size: number): number {
    if (sequence !== this.#currentSequence) {
      this.#currentSequence = sequence;
      this.#current = this.#waiting.shift() ?? new Uint8Array(0);
    }
    const value = this.#current;
    const length = this.#inner.write(client, slot, sequence, stampUs, value.length);
    copyBytes(value, 0, this.bytes, this.overheadBytes, value.length);
    return length;
  }

  open(bytes: Uint8Array, offset: number, length: number): void {
    this.#inner.open(bytes, offset, length);
  }

  next(): boolean {
    return this.#inner.next();
  }

  get client(): number {
    return this.#inner.client;
  }
  get slot(): number {
    return this.#inner.slot;
  }
  get sequence(): number {
    return this.#inner.sequence;
  }
  get stampUs(): number {
    return this.#inner.stampUs;
  }
  get size(): number {
    return this.#inner.size;
  }
}
