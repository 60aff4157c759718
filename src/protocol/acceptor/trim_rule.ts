/**
 * Which trim an acceptor of the native wire believes. A report is a learner's own word about itself: so far it needs
 * nothing. Counted are learners heard within the timeout; if any of them has applications, those alone: who delivers to
 * nobody (a proposer's own learner) must not outvote who does. Where learners with applications are expected, because the
 * configuration has lines for them, the others never count: what is trimmed while all of them are down would be lost to
 * their applications. The rule is `quorum`, what a majority of them has
 * reported, or `all`. It holds among those of each kind of state: who is behind goes on with a snapshot of its own kind only, so
 * those of another must not outvote it. With nobody heard nothing is trimmed; whoever was silent for too long comes back by
 * a snapshot. An acceptor that has just begun hears all who report before it believes the first.
 *
 * Invariant: what is allowed never exceeds what, of each kind, as many learners as the rule asks for have reported.
 */
import type { Peer } from "../types.ts";

export const REPORTING_LEARNERS_LIMIT = 1024;
/** Learners report ten times as often. */
const HEARING_US = 1_000_000;

export type TrimPolicy = "quorum" | "all";

export class TrimRule {
  readonly policy: TrimPolicy;
  /** Reports of learners without applications count where there are no others. */
  readonly #countsAlone: boolean;
  readonly #timeoutUs: number;
  readonly #peers = new Int32Array(REPORTING_LEARNERS_LIMIT);
  readonly #iids = new Float64Array(REPORTING_LEARNERS_LIMIT);
  readonly #heardUs = new Float64Array(REPORTING_LEARNERS_LIMIT);
  readonly #strong = new Uint8Array(REPORTING_LEARNERS_LIMIT);
  readonly #kinds = new Uint32Array(REPORTING_LEARNERS_LIMIT);
  readonly #sorted = new Float64Array(REPORTING_LEARNERS_LIMIT);
  #count = 0;
  #firstUs = -1;

  /** `expectsApplications`: the configuration has learners or replicas. */
  constructor(timeoutMs: number, policy: TrimPolicy, expectsApplications = false) {
    this.#countsAlone = !expectsApplications;
    this.#timeoutUs = timeoutMs * 1000;
    this.policy = policy;
  }

  /** Takes a report in and answers up to which instance may be trimmed (0: nothing). */
  report(from: Peer, iid: number, hasApplications: boolean, nowUs: number, kind = 0): number {
    for (let i = this.#count - 1; i >= 0; i--) {
      if (nowUs - this.#heardUs[i]! > this.#timeoutUs) this.#drop(i);
    }
    let index = this.#find(from);
    if (index < 0) {
      // No place for one more: trimming without it could lose what it needs, so nothing is trimmed.
      if (this.#count === this.#peers.length) return 0;
      index = this.#count++;
      this.#peers[index] = from;
    }
    this.#iids[index] = iid;
    this.#strong[index] = hasApplications ? 1 : 0;
    this.#kinds[index] = kind;
    this.#heardUs[index] = nowUs;
    if (this.#firstUs < 0) this.#firstUs = nowUs;
    return nowUs - this.#firstUs < Math.min(HEARING_US, this.#timeoutUs) ? 0 : this.#allowed();
  }

  /** How many reports count now, and whether only those of learners with applications do. */
  counted(nowUs: number): { readonly count: number; readonly strong: boolean } {
    const strong = this.#onlyStrong(nowUs);
    let count = 0;
    for (let i = 0; i < this.#count; i++) if (this.#counts(i, strong, nowUs)) count++;
    return { count, strong };
  }

  /** Who has reported least of those that count; −1: nobody counts. */
  slowest(nowUs: number): Peer {
    const strong = this.#onlyStrong(nowUs);
    let slowest = -1;
    for (let i = 0; i < this.#count; i++) {
      if (!this.#counts(i, strong, nowUs)) continue;
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

  /** Of those that are still here. */
  #allowed(): number {
    let onlyStrong = !this.#countsAlone;
    for (let i = 0; i < this.#count; i++) if (this.#strong[i] === 1) onlyStrong = true;
    let allowed = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#count; i++) {
      if (onlyStrong && this.#strong[i] === 0) continue;
      if (this.#isFirstOfKind(i, onlyStrong))
        allowed = Math.min(allowed, this.#allowedOf(this.#kinds[i]!, onlyStrong));
    }
    return allowed === Number.POSITIVE_INFINITY ? 0 : allowed;
  }

  #isFirstOfKind(index: number, onlyStrong: boolean): boolean {
    for (let i = 0; i < index; i++) {
      if (this.#kinds[i] === this.#kinds[index] && !(onlyStrong && this.#strong[i] === 0)) return false;
    }
    return true;
  }

  #allowedOf(kind: number, onlyStrong: boolean): number {
    const sorted = this.#sorted;
    let counted = 0;
    for (let i = 0; i < this.#count; i++) {
      if (this.#kinds[i] !== kind || (onlyStrong && this.#strong[i] === 0)) continue;
      const iid = this.#iids[i]!;
      let at = counted++;
      for (; at > 0 && sorted[at - 1]! > iid; at--) sorted[at] = sorted[at - 1]!;
      sorted[at] = iid;
    }
    // The lowest of all, or the highest that more than half of them have reached.
    return sorted[this.policy === "all" ? 0 : Math.ceil(counted / 2) - 1]!;
  }

  /** Learners without applications do not count now. */
  #onlyStrong(nowUs: number): boolean {
    if (!this.#countsAlone) return true;
    for (let i = 0; i < this.#count; i++) if (this.#counts(i, true, nowUs)) return true;
    return false;
  }

  #counts(index: number, strong: boolean, nowUs: number): boolean {
    return nowUs - this.#heardUs[index]! <= this.#timeoutUs && (!strong || this.#strong[index] === 1);
  }

  #drop(index: number): void {
    const last = --this.#count;
    this.#peers[index] = this.#peers[last]!;
    this.#iids[index] = this.#iids[last]!;
    this.#heardUs[index] = this.#heardUs[last]!;
    this.#strong[index] = this.#strong[last]!;
    this.#kinds[index] = this.#kinds[last]!;
  }

  #find(peer: Peer): number {
    for (let i = 0; i < this.#count; i++) if (this.#peers[i] === peer) return i;
    return -1;
  }
}
