/**
 * Which trim an acceptor of the native wire believes. A report is a learner's own word about itself: so far it needs
 * nothing. Counted are learners heard within the timeout; if any of them has applications, those alone: who delivers to
 * nobody (a proposer's own learner) must not outvote who does. Where learners with applications are expected, because the
 * configuration has lines for them, the others never count: what is trimmed while all of them are down would be lost to
 * their applications. The rule is `quorum`, what a majority of them has
 * reported, or `all`. It holds among those of each kind of state: who is behind goes on with a snapshot of its own kind only, so
 * those of another must not outvote it. With nobody heard nothing is trimmed; whoever was silent for too long comes back by
 * a snapshot.
 *
 * Before it believes the first report that counts, an acceptor *listens*: when it has just begun, and when it has heard nobody
 * that counts for as long as the timeout (it was cut off, or all of them were away). Everybody who runs shall have been heard by
 * then, and who runs says hi, without which no report is taken, and reports. Hi comes every 100 ms from who has not been
 * answered yet, and every second from who takes itself for registered: with this acceptor before it was restarted or cut off. Where
 * the log began with this very acceptor nobody can have been registered before. A report comes every second from who has nothing new,
 * and at once when an acceptor says that it is half full, as one that listens does as soon as it is, and again after 100 ms. So it listens for
 * the longest of both where the window has room, and under pressure until that has been told, twice, and answered: a window
 * that is loaded in half a second must not have to wait for more.
 *
 * Invariant: what is allowed never exceeds what, of each kind, as many learners as the rule asks for have reported.
 */
import type { Peer } from "../types.ts";

export const REPORTING_LEARNERS_LIMIT = 1024;
/** Within it everybody who runs says hi, where nobody has been answered before, and else; with time for the way, or for one more. */
const FIRST_HI_US = 200_000;
const HI_US = 1_100_000;
/** Within it everybody says how far it is; and everybody who has been told of a window that is half full. */
const REPORT_US = 1_000_000;
const PRESSED_REPORT_US = 100_000;

export type TrimPolicy = "quorum" | "all";

export class TrimRule {
  readonly policy: TrimPolicy;
  /** It has listened for long enough, and believes who reports. */
  hasHeard = false;
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
  /** When the first report came that counts; −1: none has, or all have fallen silent since. */
  #firstUs = -1;
  #listensUs = HI_US;

  /** `expectsApplications`: the configuration has learners or replicas. */
  constructor(timeoutMs: number, policy: TrimPolicy, expectsApplications = false) {
    this.#countsAlone = !expectsApplications;
    this.#timeoutUs = timeoutMs * 1000;
    this.policy = policy;
  }

  /** The log begins with the acceptor: no learner has been answered by a former self of it. */
  beginsLog(): void {
    this.#listensUs = FIRST_HI_US;
  }

  /**
   * Takes a report in and answers up to which instance may be trimmed (0: nothing). `pressedUs`: since when everybody has been
   * told that the window is half full; −1: it is not.
   */
  report(
    from: Peer,
    iid: number,
    hasApplications: boolean,
    nowUs: number,
    kind: number,
    pressedUs: number,
  ): number {
    let counting = 0;
    for (let i = this.#count - 1; i >= 0; i--) {
      if (nowUs - this.#heardUs[i]! > this.#timeoutUs) this.#drop(i);
      else if (this.#countsAlone || this.#strong[i] === 1) counting++;
    }
    if (counting === 0) this.#silence();
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
    if (this.#firstUs < 0 && (hasApplications || this.#countsAlone)) this.#firstUs = nowUs;
    this.hasHeard = !this.listens(nowUs, pressedUs);
    return this.hasHeard ? this.#allowed() : 0;
  }

  /** Somebody may run whom it has not heard yet. */
  listens(nowUs: number, pressedUs: number): boolean {
    if (this.hasHeard) return false;
    if (this.#firstUs < 0) return true;
    const heardUs = nowUs - this.#firstUs;
    if (heardUs >= Math.min(this.#listensUs + REPORT_US, this.#timeoutUs)) return false;
    return heardUs < this.#listensUs || pressedUs < 0 || nowUs - pressedUs < PRESSED_REPORT_US;
  }

  /** Nobody counts: who comes next is not believed before the others are heard, who may be back as well. */
  #silence(): void {
    if (this.#firstUs >= 0) this.#listensUs = HI_US;
    this.#firstUs = -1;
    this.hasHeard = false;
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
