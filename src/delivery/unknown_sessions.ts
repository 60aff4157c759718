/**
 * A learner of which nobody knows the sessions: when it goes on without a snapshot of them, behind what is trimmed, and what it
 * says of that. It delivers nothing until a snapshot comes after all, or all sessions begin anew (`protocol/reset_entry.ts`).
 */
import type { Log } from "../log.ts";
import type { Learner } from "../protocol/learner/learner.ts";

/** Patience is this share of the time for which learners count that fell silent. */
const SHARE = 2;

export interface UnknownSessionsOptions {
  readonly state: {
    readonly iid: number;
    readonly isWhole: boolean;
    /** Goes on behind `iid` without knowing the sessions. */
    beginUnknown(iid: number): void;
  };
  readonly learnerTimeoutMs: number;
  /** Told of what lies before that and was not delivered here, if anything could be. */
  readonly onGap: (first: number, last: number) => void;
  readonly log: Log;
}

export class UnknownSessions {
  /** The log is read without knowing them. */
  isBegun = false;
  readonly #options: UnknownSessionsOptions;
  readonly #patienceUs: number;
  #quietUs = 0;
  #offers = 0;

  constructor(options: UnknownSessionsOptions) {
    this.#options = options;
    this.#patienceUs = (options.learnerTimeoutMs * 1000) / SHARE;
  }

  /** `offers`: how many snapshots were offered so far. */
  look(nowUs: number, learner: Learner, offers: number): void {
    const waits = learner.waitsForSnapshot && learner.statesKnown;
    if (!waits || offers !== this.#offers) this.#quietUs = nowUs;
    this.#offers = offers;
    if (waits && nowUs - this.#quietUs >= this.#patienceUs) this.#begin(learner);
  }

  /** True: they have begun anew since it was asked last, so they are known. */
  haveBegunAnew(): boolean {
    const { state, log } = this.#options;
    if (!this.isBegun || !state.isWhole) return false;
    this.isBegun = false;
    log.warn(
      `no snapshot of the sessions was left: all of them have begun anew, at or before instance ${state.iid}. Clients are told that theirs are gone`,
    );
    return true;
  }

  #begin(learner: Learner): void {
    const { state, log, onGap } = this.#options;
    const first = learner.next;
    const iid = Math.max(learner.trimmedIid, learner.lostIid);
    this.isBegun = true;
    state.beginUnknown(iid);
    learner.restored(iid);
    if (first > 0) onGap(first, iid);
    log.warn(
      `goes on behind instance ${iid} without a snapshot of the sessions, which nobody offers: nothing is delivered here before one comes, or all sessions begin anew`,
    );
  }
}
