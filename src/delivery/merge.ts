/**
 * One order of all groups' logs: by instance number, and of one number by group. It follows from the logs alone, so it is the
 * same at every learner that merges, whatever arrives when. Its positions are instance numbers of their own: instance i of
 * group g of n is number (i − 1) × n + g + 1.
 *
 * Each group's learner offers its next instance, and only the one whose turn it is gets taken. So no learner is ahead of the
 * order by more than an instance in its hands, its snapshots are those of its group at its place in the order, and what
 * applications are done with says for each group what may be trimmed.
 *
 * Invariants: values are handed on in the order of positions, none twice; what is left out of it is left out of all groups up to
 * one position, and told.
 */
import type { Extra } from "../node/roles.ts";
import { assert } from "../protocol/assert.ts";
import type { Learner } from "../protocol/learner/learner.ts";
import type { SessionFilter, ValueConsumer } from "../protocol/learner/session_filter.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { MAX_IID } from "../protocol/types.ts";
import type { LogState } from "./snapshots.ts";

/** A group that gets on by itself is not asked before it has been behind the others for so long. */
const PATIENCE_US = 1_000;
/** It is asked to go on so often, and less and less while it does not. */
const ASK_FIRST_US = 1_000;
const ASK_MOST_US = 64_000;

/** Of a group's learner. */
export type MergedLearner = Pick<Learner, "next" | "highestIid" | "deliverReady">;
/** Between a group's learner and its values. */
export type MergedState = Pick<
  SessionFilter,
  "iid" | "isWhole" | "deliver" | "skipped" | "acknowledged" | "snapshot" | "restore" | "beginUnknown"
>;

/** How a group's proposers are reached. */
export interface Reach {
  readonly outbox: Pick<Outbox, "advance" | "room">;
  readonly proposers: number;
  /** Nobody answers: the order waits for this instance of the group. */
  readonly onWait: (iid: number) => void;
}

export function positionOf(group: number, iid: number, groups: number): number {
  return (iid - 1) * groups + group + 1;
}

/** The last instance of a group at this position or before; 0: none. */
export function instanceBy(group: number, position: number, groups: number): number {
  return Math.max(0, Math.floor((position - 1 - group) / groups) + 1);
}

export class Merge {
  readonly groups: number;
  readonly lanes: readonly MergeLane[];
  /** What is before this position is not handed on: it was before somebody's beginning, or cannot be had. */
  from = 1;
  /** The last position that was handed on, or left out. */
  done = 0;
  readonly host: ValueConsumer;

  constructor(groups: number, host: ValueConsumer) {
    this.groups = groups;
    this.host = host;
    this.lanes = Array.from({ length: groups }, (_, group) => new MergeLane(this, group));
  }

  /** Whose next instance comes first; null while it is not known of all of them where they begin. */
  get turn(): MergeLane | null {
    let first: MergeLane | null = null;
    for (let group = 0; group < this.groups; group++) {
      const lane = this.lanes[group]!;
      const { next } = lane.learner;
      if (next === 0) return null;
      // Of equal numbers the lower group comes first.
      if (first === null || next < first.learner.next) first = lane;
    }
    return first;
  }

  /** Delivers what there is, in order; false: the host takes no more now. */
  deliver(): boolean {
    for (;;) {
      const lane = this.turn;
      if (lane === null) return true;
      const { next } = lane.learner;
      const took = lane.learner.deliverReady();
      // It is still this one's turn: its next instance is not there yet, or was not taken.
      if (lane.learner.next === next) return took;
    }
  }

  /** Something could be delivered if this group had its next instance, or told where it begins. */
  holdsUp(group: number): boolean {
    const lane = this.lanes[group]!;
    if (lane.learner.next > 0 && this.turn !== lane) return false;
    return this.lanes.some(({ learner: { next, highestIid } }) => next > 0 && highestIid >= next);
  }

  /** The instance that this group has to reach so that what others have can be delivered. */
  wantedOf(group: number): number {
    let wanted = 0;
    for (let other = 0; other < this.groups; other++) {
      const { next, highestIid } = this.lanes[other]!.learner;
      if (next === 0) return 0;
      if (other !== group) wanted = Math.max(wanted, group < other ? highestIid : highestIid - 1);
    }
    return wanted;
  }

  /** A group goes on behind instance `iid`: so does the order, with all groups. Before all have begun that is its beginning. */
  goOn(group: number, iid: number): void {
    this.from = Math.max(this.from, positionOf(group, iid, this.groups) + 1);
    if (this.turn === null) this.done = this.from - 1;
  }

  /** The group cannot have what is before its instance `iid`, and that: nobody gets what is before it of any group. */
  leaveOut(group: number, iid: number): void {
    this.goOn(group, iid);
    const first = this.done + 1;
    if (first >= this.from) return;
    this.done = this.from - 1;
    this.host.skipped(first, this.done);
  }
}

/** A group in a merge: stands before its state, as the learner's application, and behind it, as its consumer. */
export class MergeLane implements LogState, Extra {
  readonly group: number;
  readonly #merge: Merge;
  #state: MergedState | undefined;
  #learner: MergedLearner | undefined;
  #reach: Reach | undefined;
  #nowUs = 0;
  #askDueUs = 0;
  #askPauseUs = ASK_FIRST_US;
  #askedAtIid = -1;
  /** When the group got on last, and since when the others wait for it; −1: they do not. */
  #highestIid = 0;
  #movedUs = Number.NEGATIVE_INFINITY;
  #behindUs = -1;

  constructor(merge: Merge, group: number) {
    this.#merge = merge;
    this.group = group;
  }

  /** Its learner, and how that reaches the group's proposers. */
  attach(learner: MergedLearner, reach: Reach): void {
    this.#learner = learner;
    this.#reach = reach;
  }

  /** What its log makes; before the learner, which may begin with it at once. */
  set state(state: MergedState) {
    this.#state = state;
  }
  get state(): MergedState {
    assert(this.#state !== undefined, "a lane has its state");
    return this.#state;
  }

  get learner(): MergedLearner {
    return this.#learner ?? NOT_BEGUN;
  }

  // ── before the state ──────────────────────────────────────────────────────────────────────────────────────────

  get iid(): number {
    return this.state.iid;
  }
  get isWhole(): boolean {
    return this.state.isWhole;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.#merge.turn !== this) return false;
    if (!this.state.deliver(iid, bytes, offset, length)) return false;
    // Passed over: its sessions are not known.
    if (!this.state.isWhole) this.leftOut(iid);
    return true;
  }

  acknowledged(): number {
    const position = this.#merge.host.acknowledged();
    return position === MAX_IID ? MAX_IID : instanceBy(this.group, position, this.#merge.groups);
  }

  snapshot(): Uint8Array | null {
    return this.state.snapshot();
  }

  restore(bytes: Uint8Array, iid: number): string | null {
    const refusal = this.state.restore(bytes, iid);
    if (refusal === null) this.#merge.goOn(this.group, iid);
    return refusal;
  }

  beginUnknown(iid: number): void {
    this.state.beginUnknown(iid);
    this.#merge.goOn(this.group, iid);
  }

  /** Of the learner: values that it can never have. Its state tells us again, as its consumer. */
  skipped(first: number, last: number): void {
    this.state.skipped(first, last);
  }

  // ── behind it ─────────────────────────────────────────────────────────────────────────────────────────────────

  readonly consumer: ValueConsumer = {
    take: (iid, index, isLast, session, sequence, bytes, offset, length) => {
      const position = this.#position(iid);
      if (position < this.#merge.from) return true;
      return this.#merge.host.take(position, index, isLast, session, sequence, bytes, offset, length);
    },
    takeRun: (iid, index, count, isLast, session, sequence, bytes, offset, length) => {
      const position = this.#position(iid);
      const { from, host } = this.#merge;
      if (position < from) return true;
      return (
        host.takeRun?.(position, index, count, isLast, session, sequence, bytes, offset, length) === true
      );
    },
    finished: (iid) => {
      const position = this.#position(iid);
      if (position < this.#merge.from) return;
      this.#merge.done = position;
      this.#merge.host.finished(position);
    },
    skipped: (_first, last) => this.leftOut(last),
    acknowledged: () => this.acknowledged(),
  };

  /** Instances up to this one will never be delivered here. */
  leftOut(iid: number): void {
    this.#merge.leaveOut(this.group, iid);
  }

  #position(iid: number): number {
    return positionOf(this.group, iid, this.#merge.groups);
  }

  // ── in the turn ───────────────────────────────────────────────────────────────────────────────────────────────

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    const { highestIid } = this.learner;
    if (highestIid === this.#highestIid) return;
    this.#highestIid = highestIid;
    this.#movedUs = nowUs;
  }

  nextTickUs(): number {
    if (this.#merge.wantedOf(this.group) <= this.learner.highestIid) return Number.POSITIVE_INFINITY;
    // What others have got since is noted first.
    return this.#behindUs < 0 ? this.#nowUs : this.#dueUs;
  }

  pump(): boolean {
    const took = this.#merge.deliver();
    this.#ask();
    return !took;
  }

  get #dueUs(): number {
    return Math.max(this.#askDueUs, Math.min(this.#behindUs, this.#movedUs) + PATIENCE_US);
  }

  #ask(): void {
    const wanted = this.#merge.wantedOf(this.group);
    const { highestIid } = this.learner;
    if (wanted <= highestIid) {
      this.#behindUs = -1;
      return;
    }
    if (this.#behindUs < 0) this.#behindUs = this.#nowUs;
    if (this.#nowUs < this.#dueUs || this.#reach === undefined) return;
    const { outbox, proposers, onWait } = this.#reach;
    if (outbox.room() < proposers) return;
    if (highestIid !== this.#askedAtIid) this.#askPauseUs = ASK_FIRST_US;
    else if (this.#askPauseUs < ASK_MOST_US) this.#askPauseUs *= 2;
    else onWait(highestIid + 1);
    this.#askedAtIid = highestIid;
    this.#askDueUs = this.#nowUs + this.#askPauseUs;
    // Who leads is known to the proposers; the others do not mind.
    for (let id = 0; id < proposers; id++) outbox.advance(id, wanted);
  }
}

/** A learner that is not there yet. */
const NOT_BEGUN: MergedLearner = { next: 0, highestIid: 0, deliverReady: () => true };
