/**
 * Whether an acceptor hears a leader (native wire): while it does, it grants nobody else a vote. Nothing that is safe rests
 * on it; it keeps those who do not hear the leader from driving it out.
 */
import { NO_PEER, type Peer } from "./types.ts";

export class LeaderWatch {
  readonly #timeoutUs: number;
  #leader: Peer = NO_PEER;
  #heardUs = Number.NEGATIVE_INFINITY;

  constructor(leaderTimeoutMs: number) {
    this.#timeoutUs = leaderTimeoutMs * 1000;
  }

  /** Somebody leads, or is about to, at a ballot that this acceptor follows. */
  heard(leader: Peer, nowUs: number): void {
    this.#leader = leader;
    this.#heardUs = nowUs;
  }

  /** Whether it is time for another leader. Who asks instead of leading leads no more. */
  grants(asker: Peer, nowUs: number): boolean {
    return asker === this.#leader || nowUs - this.#heardUs >= this.#timeoutUs;
  }
}
