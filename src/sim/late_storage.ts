/**
 * A storage that says it has committed when it has not: what is journalled in a turn is kept with the next one. For planted
 * bugs only.
 */
import type { Journal } from "../protocol/acceptor/journal.ts";
import type { Ballot, Life } from "../protocol/types.ts";
import type { Storage } from "../storage/storage.ts";
import { acceptedEntry, type Entry } from "./disk.ts";

export class LateStorage implements Storage {
  readonly #inner: Storage;
  #late: Entry[] = [];
  #entries: Entry[] = [];

  constructor(inner: Storage) {
    this.#inner = inner;
  }

  get forgets(): boolean {
    return this.#inner.forgets;
  }

  promised(ballot: Ballot, life: Life): void {
    this.#entries.push((into) => into.promised(ballot, life));
  }
  promisedAt(iid: number, ballot: Ballot): void {
    this.#entries.push((into) => into.promisedAt(iid, ballot));
  }
  accepted(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#entries.push(acceptedEntry(iid, ballot, life, flags, bytes, offset, length));
  }
  trimmed(iid: number): void {
    this.#entries.push((into) => into.trimmed(iid));
  }
  standing(generations: Float64Array, incarnations: Float64Array): void {
    // Kept at once: this bug is about votes, not about births.
    this.#inner.standing(generations, incarnations);
  }

  commit(): number {
    if (this.#entries.length > 0) {
      for (const entry of this.#late) entry(this.#inner);
      this.#late = this.#entries;
      this.#entries = [];
    }
    return this.#inner.commit();
  }
  durable(): number {
    return this.#inner.durable();
  }
  replay(into: Journal): boolean {
    return this.#inner.replay(into);
  }
  close(): void {
    this.#inner.close();
  }
}
