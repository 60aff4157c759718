/**
 * The snapshots of one kind that a process can serve: the newest, and the one somebody is fetching, which stays until it is
 * fetched no more, however many newer ones come. Bounded: two.
 */
import type { Encoded } from "./snapshot.ts";

/** A snapshot is kept for who fetches it so long after the last request. */
const PIN_US = 2_000_000;

export class SnapshotShelf {
  readonly kind: number;
  newest: Encoded | null = null;
  /** When the newest was put here. */
  sinceUs = Number.NEGATIVE_INFINITY;
  #pinned: Encoded | null = null;
  #fetchedUs = Number.NEGATIVE_INFINITY;

  constructor(kind: number) {
    this.kind = kind;
  }

  put(snapshot: Encoded, nowUs: number): void {
    this.newest = snapshot;
    this.sinceUs = nowUs;
  }

  /** The snapshot at `iid` for somebody who fetches it; null: it is not here (any more). */
  take(iid: number, nowUs: number): Encoded | null {
    if (this.#pinned?.iid === iid) {
      this.#fetchedUs = nowUs;
      return this.#pinned;
    }
    if (this.newest?.iid !== iid) return null;
    // One is held back at most: who fetches another one while this is under way gets it as long as it is the newest.
    if (this.#pinned === null || nowUs - this.#fetchedUs > PIN_US) {
      this.#pinned = this.newest;
      this.#fetchedUs = nowUs;
    }
    return this.newest;
  }

  /** Lets go of what nobody fetches any more. */
  tick(nowUs: number): void {
    if (this.#pinned !== null && nowUs - this.#fetchedUs > PIN_US) this.#pinned = null;
  }
}
