/**
 * What an acceptor knows of whoever leads or is about to: when he was last heard, and until when nobody else is let in. Pure.
 *
 * A lease: while it runs, the acceptor promises nothing to anybody but its holder. That is enough: whoever else would have a
 * value chosen needs a quorum of promises first, one of them from here. It runs from the receipt of the heartbeat that asked
 * for it, so it ends later than its holder believes; and since a restart may have forgotten one, and another process may have granted one
 * in an acceptor's place, one that may have had a former life, or recovers, promises nothing until the longest lease is over.
 */
import { type Life, NO_PEER, type Peer } from "../types.ts";

export class LeaderWatch {
  readonly #timeoutUs: number;
  readonly #maxLeaseUs: number;
  #peer: Peer = NO_PEER;
  #heardUs = Number.NEGATIVE_INFINITY;
  /** Who holds the lease; 0: somebody whom a former life may have granted one. */
  #leaseLife: Life = 0;
  #leaseEndUs = Number.NEGATIVE_INFINITY;

  constructor(leaderTimeoutMs: number, maxLeaseMs: number) {
    this.#timeoutUs = leaderTimeoutMs * 1000;
    this.#maxLeaseUs = maxLeaseMs * 1000;
  }

  /** A former life, or another process in this one's place, may have granted a lease until now. */
  start(nowUs: number): void {
    this.#leaseLife = 0;
    this.#leaseEndUs = nowUs + this.#maxLeaseUs;
  }

  forgetFormerLease(): void {
    if (this.#leaseLife === 0) this.#leaseEndUs = Number.NEGATIVE_INFINITY;
  }

  /** Somebody with a ballot that no promise of ours forbids prepares, proposes, or says that he leads. */
  heard(from: Peer, nowUs: number): void {
    this.#peer = from;
    this.#heardUs = nowUs;
  }

  /** The leader of this life asks for a lease; false: it is longer than a restart of this acceptor would wait. */
  lease(life: Life, leaseMs: number, nowUs: number): boolean {
    if (leaseMs === 0) return true;
    if (leaseMs * 1000 > this.#maxLeaseUs) return false;
    const endUs = nowUs + leaseMs * 1000;
    // A leader of a higher ballot has a quorum of promises, so whoever held a lease before has none any more; for lower ones
    // the acceptor's promise is too high.
    this.#leaseEndUs =
      life === this.#leaseLife || this.#leaseLife === 0 ? Math.max(endUs, this.#leaseEndUs) : endUs;
    this.#leaseLife = life;
    return true;
  }

  /** Whether this proposer may campaign as far as we are concerned: it is the one we heard, or nobody is heard. */
  grants(from: Peer, nowUs: number): boolean {
    if (from === this.#peer) return true;
    return nowUs - this.#heardUs >= this.#timeoutUs && nowUs >= this.#leaseEndUs;
  }

  /** Whether a proposer of this life may be promised anything now. */
  admits(life: Life, nowUs: number): boolean {
    return nowUs >= this.#leaseEndUs || (life === this.#leaseLife && life !== 0);
  }
}
