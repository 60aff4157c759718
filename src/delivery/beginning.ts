/**
 * Where a learner begins that has no snapshot of its own: with instance 1, which is always right while it is there, else with a
 * snapshot that somebody offers. An application that was told to begins empty with the sessions alone, when nobody has offered a
 * state of it for a while; as long as neither is offered it asks for one and the other in turn.
 */
import type { Learner } from "../protocol/learner/learner.ts";
import type { SnapshotFetch } from "../protocol/learner/snapshot_transfer.ts";
import { SESSIONS_ONLY } from "./snapshot.ts";

/**
 * Where a learner begins that has no snapshot of its own. `first`: with instance 1. `newest`: with the newest snapshot that
 * anybody offers. `near`: with instance 1 if that is not far, else as `newest`.
 */
export type SnapshotStart = "first" | "newest" | "near";

export interface BeginningOptions {
  /** Of the snapshots that it can go on with. */
  readonly kind: number;
  readonly start: SnapshotStart;
  /** Where the log is trimmed and nobody offers a state of the application, it begins with an empty one and the sessions. */
  readonly beginsEmpty: boolean;
}

/** What is not read from instance 1 by a proposer that may begin with a snapshot. */
const NEAR_INSTANCES = 4096;
/** How long a snapshot is asked for at the start, before the log is read from instance 1. */
const START_PATIENCE_US = 200_000;
/** Nobody has offered a state for so long: it may begin empty where that was asked for. */
const EMPTY_PATIENCE_US = 5_000_000;

export class Beginning {
  readonly #options: BeginningOptions;
  readonly #fetch: SnapshotFetch;
  /** What it asks for. */
  #kind: number;
  /** When the acceptors were first known to be there. */
  #startUs = -1;
  /** Since when nobody has offered what it asks for, and how many had before. */
  #quietUs = -1;
  #offers = 0;

  constructor(options: BeginningOptions, fetch: SnapshotFetch) {
    this.#options = options;
    this.#fetch = fetch;
    this.#kind = options.kind;
  }

  /** Since when it stands still for want of a snapshot: where it may begin empty, not before it has asked for both. */
  get standsSinceUs(): number {
    return this.#options.beginsEmpty ? this.#startUs + 2 * EMPTY_PATIENCE_US : this.#fetch.askedSinceUs;
  }

  /** For a learner that has not begun. */
  look(learner: Learner, nowUs: number): void {
    const fetch = this.#fetch;
    fetch.want(this.#kind, 0, nowUs);
    if (!learner.statesKnown) return;
    if (this.#startUs < 0) this.#startUs = nowUs;
    if (learner.trimmedIid > 0) {
      if (this.#options.beginsEmpty) this.#lookFurther(nowUs);
      return;
    }
    const isNear = this.#options.start === "near" && learner.highestIid <= NEAR_INSTANCES;
    const hasOne = fetch.stage === "fetching" || fetch.stage === "complete";
    const isPatient = hasOne || nowUs - this.#startUs < START_PATIENCE_US;
    if (learner.highestIid > 0 && !isNear && isPatient) return;
    fetch.cancel();
    learner.restored(0);
  }

  #lookFurther(nowUs: number): void {
    const fetch = this.#fetch;
    const isQuiet = fetch.stage === "asking" && fetch.counters.offers === this.#offers;
    if (!isQuiet || this.#quietUs < 0) {
      this.#offers = fetch.counters.offers;
      this.#quietUs = nowUs;
    }
    if (nowUs - this.#quietUs < EMPTY_PATIENCE_US) return;
    this.#quietUs = -1;
    this.#kind = this.#kind === SESSIONS_ONLY ? this.#options.kind : SESSIONS_ONLY;
    fetch.cancel();
    fetch.want(this.#kind, 0, nowUs);
  }
}
