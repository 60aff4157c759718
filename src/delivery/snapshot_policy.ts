/**
 * When a learner takes a snapshot, and up to where its snapshots let the log be trimmed. Holds no state but numbers and the
 * one snapshot that is on its way to being relied on.
 *
 * A snapshot goes through these: taken; acknowledged, when the applications are done with everything up to it; kept, when it
 * is in the file (at once, without one); ripe, when it has been servable for a while; reported, at once if it is in a file, else
 * as far as somebody else covers it (`second_holder.ts`). So a restart finds the applications' place in the file or in the log,
 * who fetches the newest snapshot finds the log behind it not trimmed yet, and no single death takes what is trimmed.
 */
import type { Encoded } from "./snapshot.ts";
import type { SnapshotKeeper } from "./snapshot_file.ts";

export interface SnapshotPolicyOptions {
  /** Instances, and bytes of them, from one snapshot to the next. */
  readonly every: number;
  readonly everyBytes: number;
  /** What it keeps counts only as far as another process has it, too. */
  readonly needsSecond: boolean;
}

/** What a snapshot covers is reported so much later, or when the next one is kept, or under pressure. */
const LAG_US = 1_000_000;
/** Under pressure one is taken after this share of the usual growth, or after so long. */
const PRESSED_SHARE = 8;
const PRESSED_US = 1_000_000;
const WRITE_AGAIN_US = 5_000_000;
/** A large state is not written out again before the log has grown by as much, but for so many times the bytes given. */
const MOST_TIMES = 3;

export class SnapshotPolicy {
  /** The log may be trimmed up to here as far as snapshots go. */
  reported = 0;
  /** … as far as this process's own go. */
  ripe = 0;
  /** The instance of the last snapshot that is kept. */
  kept = 0;
  readonly #options: SnapshotPolicyOptions;
  readonly #keeper: SnapshotKeeper | undefined;
  /** Taken, and not kept yet. */
  #candidate: Encoded | null = null;
  #keptUs = 0;
  #lastIid = 0;
  #lastUs = Number.NEGATIVE_INFINITY;
  #lastBytes = 0;
  #size = 0;
  #writeDueUs = 0;

  constructor(options: SnapshotPolicyOptions, keeper: SnapshotKeeper | undefined) {
    this.#options = options;
    this.#keeper = keeper;
  }

  /** Whether one should be taken at instance `iid`, after `bytes` of the log in all. */
  isDue(nowUs: number, iid: number, bytes: number, isPressed: boolean): boolean {
    if (this.#candidate !== null || iid <= this.#lastIid) return false;
    const { every, everyBytes } = this.#options;
    const share = isPressed ? PRESSED_SHARE : 1;
    if ((iid - this.#lastIid) * share >= every) return true;
    const grown = Math.max(everyBytes, Math.min(this.#size, MOST_TIMES * everyBytes));
    if ((bytes - this.#lastBytes) * share >= grown) return true;
    return isPressed && nowUs - this.#lastUs >= PRESSED_US;
  }

  taken(snapshot: Encoded, bytes: number, nowUs: number): void {
    this.#candidate = snapshot;
    this.#lastIid = snapshot.iid;
    this.#lastBytes = bytes;
    this.#lastUs = nowUs;
    this.#size = snapshot.bytes.length;
    this.#writeDueUs = 0;
  }

  tick(nowUs: number, acknowledged: number, isPressed: boolean): void {
    this.#promote(nowUs, acknowledged);
    if (this.kept > this.ripe && (isPressed || nowUs - this.#keptUs >= LAG_US)) this.ripe = this.kept;
    if (!this.#options.needsSecond) this.reported = this.ripe;
  }

  /** Another process has everything up to `iid`, at this moment. */
  covered(iid: number): void {
    this.reported = Math.max(this.reported, Math.min(this.ripe, iid));
  }

  /** Of what came up to `iid` nothing is in the state: nobody can lose it. */
  beganEmpty(iid: number): void {
    this.ripe = Math.max(this.ripe, iid);
    this.reported = Math.max(this.reported, iid);
  }

  dueUs(): number {
    return this.kept > this.ripe ? this.#keptUs + LAG_US : Number.POSITIVE_INFINITY;
  }

  #promote(nowUs: number, acknowledged: number): void {
    const candidate = this.#candidate;
    if (candidate === null || acknowledged < candidate.iid) return;
    const keeper = this.#keeper;
    if (keeper !== undefined && keeper.written < candidate.iid) {
      if (nowUs >= this.#writeDueUs && keeper.write(candidate)) this.#writeDueUs = nowUs + WRITE_AGAIN_US;
      return;
    }
    this.#candidate = null;
    // The one before has been servable for a whole interval.
    this.ripe = Math.max(this.ripe, this.kept);
    this.kept = candidate.iid;
    this.#keptUs = nowUs;
  }
}
