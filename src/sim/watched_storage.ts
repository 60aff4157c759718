/**
 * A storage whose journal and commits somebody else hears of too.
 */
import type { Journal } from "../protocol/acceptor/journal.ts";
import type { Ballot, Life } from "../protocol/types.ts";
import type { Storage } from "../storage/storage.ts";

export class WatchedStorage implements Storage {
  readonly inner: Storage;
  readonly #watcher: Journal;
  readonly #committed: () => void;

  constructor(inner: Storage, watcher: Journal, committed: () => void) {
    this.inner = inner;
    this.#watcher = watcher;
    this.#committed = committed;
  }

  get forgets(): boolean {
    return this.inner.forgets;
  }

  promised(ballot: Ballot, life: Life): void {
    this.#watcher.promised(ballot, life);
    this.inner.promised(ballot, life);
  }
  promisedAt(iid: number, ballot: Ballot): void {
    this.#watcher.promisedAt(iid, ballot);
    this.inner.promisedAt(iid, ballot);
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
    this.#watcher.accepted(iid, ballot, life, flags, bytes, offset, length);
    this.inner.accepted(iid, ballot, life, flags, bytes, offset, length);
  }
  trimmed(iid: number): void {
    this.#watcher.trimmed(iid);
    this.inner.trimmed(iid);
  }
  standing(generations: Float64Array, incarnations: Float64Array): void {
    this.#watcher.standing(generations, incarnations);
    this.inner.standing(generations, incarnations);
  }

  commit(): number {
    const ticket = this.inner.commit();
    this.#committed();
    return ticket;
  }
  durable(): number {
    return this.inner.durable();
  }
  replay(into: Journal): boolean {
    return this.inner.replay(into);
  }
  close(): void {
    this.inner.close();
  }
}
