/**
 * The acceptor's stable state, as a journal. `node/turn.ts` commits it before any frame of the turn leaves (law 1 of
 * the house): what `commit` has made durable may be revealed, nothing else may. The working state itself is the
 * acceptor's `AcceptorLog`, which always fits in memory.
 */
import type { Journal } from "../protocol/acceptor/journal.ts";

export interface Storage extends Journal {
  /**
   * Makes everything journalled so far durable, or starts to; returns the ticket of this commit. Tickets grow.
   * Throws when the medium fails: the acceptor must then stop, not answer.
   */
  commit(): number;
  /** The highest ticket that is durable. Frames of a turn wait until this reaches the turn's ticket. */
  durable(): number;
  /** True when nothing survives a restart. */
  readonly forgets: boolean;
  /**
   * Tells what was kept: trim point, standing, promise, then the promises for single instances and the records, both in the
   * order of their instances. To be called once, before anything is journalled. False: nothing was kept, and the acceptor
   * starts empty.
   */
  replay(into: Journal): boolean;
  close(): void;
}
