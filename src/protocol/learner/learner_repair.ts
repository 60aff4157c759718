/**
 * How a learner gets what it missed: single holes are asked of all acceptors after a moment, less and less often; a log that
 * is far ahead is read in bulk (`catch_up.ts`). Finds out, too, what cannot be had any more because it is trimmed. Pure.
 */

import type { Outbox } from "../outbox.ts";
import { CatchUp } from "./catch_up.ts";
import type { LearnerTrims } from "./learner_trims.ts";
import type { LearnerWindow } from "./learner_window.ts";

/** Instances asked for in one repeat, and runs of holes asked for in one pass. */
const REPEAT_SPAN = 64;
/** What one repeat may bring, in bytes: as much as an acceptor answers at once. */
const REPEAT_BYTES = 65536;
const REPEAT_RUNS = 4;
const HOLE_FIRST_US = 5_000;
const HOLE_MAX_US = 100_000;
/**
 * After so long a hole that some acceptor has trimmed is taken for lost, even where a quorum could have it yet: one of those
 * may be down, and the trim proves that there is a snapshot.
 */
const LOST_PATIENCE_US = 300_000;
/** So far behind it reads in bulk, and until it is so near. */
const FAR_BEHIND = 128;
const NEAR = 16;
const PROBE_US = 1_000_000;
/** A probe that brought nothing for so long has found the end of the log. */
const PROBE_ANSWER_US = 50_000;

export interface RepairOptions {
  readonly acceptors: number;
  /** Native wire: an acceptor's state tells its highest instance. */
  readonly statesTellHighest: boolean;
  /** Start from instance 1 instead of from the present. */
  readonly catchUp: boolean;
  /**
   * What is delivered makes a state (the table of sessions), which is right only after instance 1 or a snapshot: nothing is
   * ever left out on the way.
   */
  readonly keepsState?: boolean;
}

/** What repair sees of its learner, and all that it alters there. */
interface Repaired {
  readonly window: LearnerWindow;
  readonly next: number;
  readonly highestIid: number;
  readonly chosenIid: number;
  readonly isBehind: boolean;
  readonly isBlocked: boolean;
  readonly counters: { repeatsSent: number };
  lostIid: number;
  /** Leaves out everything up to `lost`. */
  skipTo(lost: number): void;
}

export class LearnerRepair {
  /** Reading the log from its beginning, and not yet at its end (Kernel_Paxos wire, where only probing finds it). */
  catchingUp: boolean;
  /** Highest instance that any acceptor was asked for. */
  requestedTo = 0;
  /** The log is read in bulk. */
  inBulk = false;
  readonly bulk: CatchUp;
  readonly #learner: Repaired;
  readonly #options: RepairOptions;
  readonly #trims: LearnerTrims;
  readonly #outbox: Outbox;
  readonly #readsByProbing: boolean;
  #nowUs = 0;
  /** The instance `next` was blocked at, since when, and when to ask again. */
  #blockedIid = 0;
  #blockedSinceUs = 0;
  #askDueUs = 0;
  #askPauseUs = HOLE_FIRST_US;
  /** Last instance asked for; once it is delivered the next request leaves at once. */
  #askedTo = 0;
  #turnAcceptor = 0;
  /** Length of the values delivered lately, in bytes. */
  #valueBytes = 0;
  #probeDueUs = 0;
  #probedTo = 0;
  #probedUs = Number.NEGATIVE_INFINITY;

  constructor(learner: Repaired, options: RepairOptions, trims: LearnerTrims, outbox: Outbox) {
    this.#learner = learner;
    this.#options = options;
    this.#trims = trims;
    this.#outbox = outbox;
    this.bulk = new CatchUp(options.acceptors, learner.window, outbox);
    this.#readsByProbing = options.catchUp && !options.statesTellHighest;
    this.catchingUp = this.#readsByProbing;
  }

  /** `length` −1: the acceptor has no record. */
  onRecord(aid: number, iid: number, length: number): void {
    if (this.inBulk) this.bulk.onRecord(aid, iid, length);
  }

  onTrim(aid: number, iid: number): void {
    this.bulk.onTrim(aid, iid);
  }

  delivered(length: number): void {
    this.#valueBytes += (length - this.#valueBytes) / 16;
  }

  /** Everything that is here has been delivered: the next request leaves at once. */
  goOn(): void {
    const { next, isBehind } = this.#learner;
    if (this.inBulk) this.#readInBulk();
    else if (this.#askedTo > 0 && next > this.#askedTo && isBehind) this.#ask();
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    const learner = this.#learner;
    if (!learner.isBlocked) {
      this.#blockedIid = 0;
      learner.lostIid = 0;
      if (!learner.isBehind) this.#askedTo = 0;
      if (this.inBulk) this.#readInBulk();
      this.#probe();
      return;
    }
    if (this.#blockedIid !== learner.next) {
      this.#blockedIid = learner.next;
      this.#blockedSinceUs = nowUs;
      this.#askPauseUs = HOLE_FIRST_US;
      this.#askDueUs = nowUs + HOLE_FIRST_US;
      learner.lostIid = 0;
      if (this.inBulk) this.#readInBulk();
      return;
    }
    if (this.inBulk) this.#readInBulk();
    if (nowUs < this.#askDueUs) return;
    const blockedUs = nowUs - this.#blockedSinceUs;
    this.#pause();
    if (this.#isLost(blockedUs) || this.inBulk) return;
    if (this.#options.statesTellHighest && this.#bulkEnd() - learner.next >= FAR_BEHIND) {
      this.inBulk = true;
      return this.#readInBulk();
    }
    this.#ask();
  }

  dueUs(): number {
    if (!this.#learner.isBlocked) return this.inBulk ? this.bulk.dueUs() : this.#nextProbeUs();
    return this.inBulk ? Math.min(this.#askDueUs, this.bulk.dueUs()) : this.#askDueUs;
  }

  #pause(): void {
    this.#askPauseUs = Math.min(this.#askPauseUs * 2, HOLE_MAX_US);
    this.#askDueUs = this.#nowUs + this.#askPauseUs;
  }

  /** How far the log can be read in bulk: what is known to be chosen, else what is known to be there. */
  #bulkEnd(): number {
    const { chosenIid, highestIid, next } = this.#learner;
    return chosenIid >= next ? chosenIid : highestIid;
  }

  #readInBulk(): void {
    const { next } = this.#learner;
    const end = this.#bulkEnd();
    if (next > 0 && end - next >= NEAR) return this.bulk.run(this.#nowUs, next, end);
    this.inBulk = false;
    this.bulk.stop();
  }

  /** Whether what is next cannot be had any more. A learner that keeps no state goes past it then. */
  #isLost(blockedUs: number): boolean {
    const learner = this.#learner;
    const lost = this.#trims.lost();
    const patient = blockedUs < LOST_PATIENCE_US;
    const needed = patient ? lost : Math.max(lost, this.#trims.highest());
    if (this.#options.keepsState === true) {
      learner.lostIid = needed >= learner.next ? needed : 0;
      if (lost < learner.next) return false;
      this.inBulk = false;
      this.bulk.stop();
      return true;
    }
    if (blockedUs <= HOLE_MAX_US) return false;
    // In the Kernel_Paxos wire a trim proves nothing: what a quorum may still have is waited for.
    const gone = this.#options.statesTellHighest ? needed : lost;
    const isLost = gone >= learner.next;
    // What nobody can repeat may be a hole that a proposer has to fill, and proposers wait for the catching up.
    this.catchingUp = isLost && this.#readsByProbing;
    if (isLost) {
      learner.skipTo(gone);
      // The log goes on above it, perhaps far.
      this.#probedTo = 0;
      this.#probeDueUs = this.#nowUs;
    }
    return !learner.isBlocked;
  }

  /**
   * Nobody may know that there is more: the last messages can be lost, and in the Kernel_Paxos wire no state tells of
   * the highest instance. So an idle learner asks once a second for what may follow.
   */
  #probe(): void {
    const { next } = this.#learner;
    if (this.#options.statesTellHighest || next === 0) return;
    if (this.catchingUp && this.#probedTo > 0) {
      if (next > this.#probedTo) this.#probeDueUs = this.#nowUs;
      else if (this.#nowUs - this.#probedUs >= PROBE_ANSWER_US) this.catchingUp = false;
    }
    if (this.#nowUs < this.#probeDueUs) return;
    this.#probedTo = next + REPEAT_SPAN - 1;
    this.#probedUs = this.#nowUs;
    this.#probeDueUs = this.#nowUs + PROBE_US;
    this.#askAll(next, this.#probedTo);
  }

  #nextProbeUs(): number {
    const { next } = this.#learner;
    if (this.#options.statesTellHighest || next === 0) return Number.POSITIVE_INFINITY;
    if (!this.catchingUp || this.#probedTo === 0) return this.#probeDueUs;
    return next > this.#probedTo ? this.#nowUs : this.#probedUs + PROBE_ANSWER_US;
  }

  /** Asks for the runs of instances that cannot be delivered yet, lowest first. */
  #ask(): void {
    const { window, highestIid, next } = this.#learner;
    const limit = Math.min(highestIid, next + window.instances - 1);
    const span = Math.max(1, Math.min(REPEAT_SPAN, Math.floor(REPEAT_BYTES / (this.#valueBytes + 1))));
    let iid = next;
    // Once a pass, not once a run: a pass of as many runs as there are acceptors would ask the same one each time.
    this.#turnAcceptor = (this.#turnAcceptor + 1) % this.#options.acceptors;
    for (let run = 0; run < REPEAT_RUNS && iid <= limit; run++) {
      while (iid <= limit && window.isReady(iid)) iid++;
      if (iid > limit) break;
      const first = iid;
      const wantsValue = window.isChosen(iid);
      while (
        iid <= limit &&
        iid - first < span &&
        !window.isReady(iid) &&
        window.isChosen(iid) === wantsValue
      )
        iid++;
      if (wantsValue) {
        // The votes are here: any one acceptor can tell the value.
        this.#outbox.repeat((this.#turnAcceptor + run) % this.#options.acceptors, first, iid - 1);
        this.#learner.counters.repeatsSent++;
      } else this.#askAll(first, iid - 1);
      this.#askedTo = iid - 1;
    }
  }

  #askAll(first: number, last: number): void {
    if (last > this.requestedTo) this.requestedTo = last;
    for (let aid = 0; aid < this.#options.acceptors; aid++) this.#outbox.repeat(aid, first, last);
    this.#learner.counters.repeatsSent += this.#options.acceptors;
  }
}
