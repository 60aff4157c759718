/**
 * Which trim an acceptor of the native wire believes: the lowest instance that every learner which reports has
 * reported. Counted are learners heard within the timeout; a learner that never reports is not waited for. A report
 * is a learner's own word about itself, so one learner alone cannot trim what another still needs.
 */
import type { Peer } from "./types.ts";

export const REPORTING_LEARNERS_LIMIT = 1024;

export class TrimRule {
  readonly #timeoutUs: number;
  readonly #peers = new Int32Array(REPORTING_LEARNERS_LIMIT);
  readonly #iids = new Float64Array(REPORTING_LEARNERS_LIMIT);
  readonly #heardUs = new Float64Array(REPORTING_LEARNERS_LIMIT);
  #count = 0;

  constructor(timeoutMs: number) {
    this.#timeoutUs = timeoutMs * 1000;
  }

  /** Takes a report in and answers up to which instance may be trimmed (0: nothing). */
  report(from: Peer, iid: number, nowUs: number): number {
    let index = this.#find(from);
    if (index < 0) {
      // No place for one more: trimming without it could lose what it needs, so nothing is trimmed.
      if (this.#count === this.#peers.length) return 0;
      index = this.#count++;
      this.#peers[index] = from;
      this.#iids[index] = 0;
    }
    this.#iids[index] = iid;
    this.#heardUs[index] = nowUs;
    let lowest = iid;
    for (let i = this.#count - 1; i >= 0; i--) {
      if (nowUs - this.#heardUs[i]! > this.#timeoutUs) this.#drop(i);
      else lowest = Math.min(lowest, this.#iids[i]!);
    }
    return lowest;
  }

  /** Who has reported least of those that count; −1: nobody counts. */
  slowest(nowUs: number): Peer {
    let slowest = -1;
    for (let i = 0; i < this.#count; i++) {
      if (nowUs - this.#heardUs[i]! > this.#timeoutUs) continue;
      if (slowest < 0 || this.#iids[i]! < this.#iids[slowest]!) slowest = i;
    }
    return (slowest < 0 ? -1 : this.#peers[slowest]!) as Peer;
  }

  /** What a learner has reported; 0 when it has not. */
  reported(peer: Peer): number {
    const index = this.#find(peer);
    return index < 0 ? 0 : this.#iids[index]!;
  }

  forget(peer: Peer): void {
    const index = this.#find(peer);
    if (index >= 0) this.#drop(index);
  }

  #drop(index: number): void {
    const last = --this.#count;
    this.#peers[index] = this.#peers[last]!;
    this.#iids[index] = this.#iids[last]!;
    this.#heardUs[index] = this.#heardUs[last]!;
  }

  #find(peer: Peer): number {
    for (let i = 0; i < this.#count; i++) if (this.#peers[i] === peer) return i;
    return -1;
  }
}
