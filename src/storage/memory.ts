/**
 * Storage that keeps nothing: the acceptor's state is its working memory alone, and a restart forgets it.
 */
import type { Storage } from "./storage.ts";

export class MemoryStorage implements Storage {
  readonly forgets = true;
  #ticket = 0;

  promised(): void {}
  promisedAt(): void {}
  accepted(): void {}
  trimmed(): void {}
  standing(): void {}

  commit(): number {
    return ++this.#ticket;
  }

  durable(): number {
    return this.#ticket;
  }

  replay(): boolean {
    return false;
  }

  close(): void {}
}
