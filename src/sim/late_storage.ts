/**
 * A storage that says it has committed when it has not: what is journalled in a turn is kept with the next one. For planted
 * bugs only.
 */
import type { Journal } from "../protocol/acceptor/journal.ts";
import type { Storage } from "../storage/storage.ts";
import { Entries, type Entry } from "./entries.ts";

export class LateStorage extends Entries implements Storage {
  readonly #inner: Storage;
  #late: Entry[] = [];

  constructor(inner: Storage) {
    super();
    this.#inner = inner;
  }

  get forgets(): boolean {
    return this.#inner.forgets;
  }

  override standing(generations: Float64Array, incarnations: Float64Array): void {
    // Kept at once: this bug is about votes, not about births.
    this.#inner.standing(generations, incarnations);
  }

  commit(): number {
    const entries = this.take();
    if (entries.length > 0) {
      for (const entry of this.#late) entry(this.#inner);
      this.#late = entries;
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
