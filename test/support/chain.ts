/**
 * A state machine for tests: a chain of checksums over everything that was delivered. Two that have delivered the same log
 * have the same chain, however they came to it; one that missed, doubled or swapped anything has another.
 */
import { crc32c } from "../../src/protocol/crc32c.ts";
import type { Application } from "../../src/protocol/learner/learner.ts";

const HEAD_BYTES = 16;

export class Chain implements Application {
  readonly name: string;
  iid = 0;
  sum = 0;
  restored = 0;
  readonly #bytes: number;
  readonly #step = new Uint8Array(16);
  readonly #view = new DataView(this.#step.buffer);

  /** `bytes`: how large its snapshots are. */
  constructor(name = "chain", bytes = HEAD_BYTES) {
    this.name = name;
    this.#bytes = Math.max(HEAD_BYTES, bytes);
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    if (iid !== this.iid + 1) throw new Error(`instance ${iid} after ${this.iid}`);
    this.iid = iid;
    this.#view.setUint32(0, this.sum, true);
    this.#view.setFloat64(4, iid, true);
    this.#view.setUint32(12, crc32c(bytes, offset, length), true);
    this.sum = crc32c(this.#step);
    return true;
  }

  skipped(first: number, last: number): void {
    throw new Error(`a state machine misses ${first} to ${last}`);
  }

  acknowledged(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  snapshot(): Uint8Array {
    const bytes = new Uint8Array(this.#bytes).fill(this.iid & 0xff);
    const view = new DataView(bytes.buffer);
    view.setFloat64(0, this.iid, true);
    view.setUint32(8, this.sum, true);
    return bytes;
  }

  restore(snapshot: Uint8Array): void {
    const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength);
    this.iid = view.getFloat64(0, true);
    this.sum = view.getUint32(8, true);
    this.restored++;
  }

  beginEmpty(): void {
    throw new Error("a chain begins with its first link");
  }
}
