/**
 * Values that somebody supplies, in the form of the Kernel_Paxos wire: what `kpaxos submit` sends there. At most one is under
 * way, so they are chosen in the order given.
 */
import type { ValueFormat } from "./record_client.ts";
import type { GivenValues } from "./value_source.ts";

export class GivenRecords implements ValueFormat {
  readonly overheadBytes: number;
  readonly bytes: Uint8Array;
  readonly #inner: ValueFormat;
  readonly #given: GivenValues;
  /** Values begun; the present one is the last of them. */
  #begun = 0;
  #sequence = 0;
  #size = 0;

  constructor(inner: ValueFormat, given: GivenValues) {
    this.#inner = inner;
    this.#given = given;
    this.overheadBytes = inner.overheadBytes;
    this.bytes = inner.bytes;
  }

  write(client: number, slot: number, sequence: number, stampUs: number, _size: number): number {
    if (sequence !== this.#sequence) {
      this.#sequence = sequence;
      if (this.#begun > 0) this.#given.release(client, this.#begun - 1);
      this.#size = this.#given.sizeOf(client, this.#begun++);
    }
    const length = this.#inner.write(client, slot, sequence, stampUs, this.#size);
    this.#given.copy(client, this.#begun - 1, 0, this.#size, this.bytes, this.overheadBytes);
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
