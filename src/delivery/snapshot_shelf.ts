/**
 * The snapshots of one kind that a process can serve: the newest, and the one somebody is fetching, which stays until it is
 * fetched no more, however many newer ones come. Bounded: two.
 */
import type { Encoded } from "./snapshot.ts";

/** A snapshot is kept for who fetches it so long after the offer, or the last request. */
const PIN_US = 1_000_000;

export class SnapshotShelf {
  readonly kind: number;
  newest: Encoded | null = null;
  /** When the newest was put here. */
  sinceUs = Number.NEGATIVE_INFINITY;
  #pinned: Encoded | null = null;
  /** When it was last offered or fetched first, or fetched again. */
  #usedUs = Number.NEGATIVE_INFINITY;

  constructor(kind: number) {
    this.kind = kind;
  }

  put(snapshot: Encoded, nowUs: number): void {
    this.newest = snapshot;
    this.sinceUs = nowUs;
  }

  /**
   * What to offer somebody who wants more than `above`; null: nothing. It stays for a while, so that it is still here when it is
   * fetched: under load the next one comes sooner than that.
   */
  offer(above: number, nowUs: number): Encoded | null {
    this.tick(nowUs);
    if (this.#pinned !== null && this.#pinned.iid > above) return this.#pinned;
    if (this.newest === null || this.newest.iid <= above) return null;
    if (this.#pinned === null) this.#pin(this.newest, nowUs);
    return this.newest;
  }

  /** The snapshot at `iid` for somebody who fetches it; null: it is not here (any more). */
  take(iid: number, nowUs: number): Encoded | null {
    this.tick(nowUs);
    if (this.#pinned?.iid === iid) {
      this.#usedUs = nowUs;
      return this.#pinned;
    }
    if (this.newest?.iid !== iid) return null;
    // One is held back at most: who fetches another one while this is under way gets it as long as it is the newest.
    if (this.#pinned === null) this.#pin(this.newest, nowUs);
    return this.newest;
  }

  /** Lets go of what nobody fetches any more. */
  tick(nowUs: number): void {
    if (nowUs - this.#usedUs > PIN_US) this.#pinned = null;
  }

  #pin(snapshot: Encoded, nowUs: number): void {
    this.#pinned = snapshot;
    this.#usedUs = nowUs;
  }
}
