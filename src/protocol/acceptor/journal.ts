import type { Ballot, Life } from "../types.ts";

/** How an acceptor holds a record; bits. */
export const RecordFlag = {
  /** Told by others during recovery: reported in promises, never counted as this acceptor's vote. */
  hearsay: 1,
  /** The leader announced the instance as chosen at this record's ballot and life: its value is the chosen one. */
  chosen: 2,
} as const;

/**
 * What an acceptor writes down: appended in order, made durable by the node before anything is revealed. A storage tells
 * what it kept through the same interface.
 */
export interface Journal {
  /** The promise for all instances (native wire). */
  promised(ballot: Ballot, life: Life): void;
  /** A promise for one instance (Kernel_Paxos wire). */
  promisedAt(iid: number, ballot: Ballot): void;
  /** A record, with its `RecordFlag` bits; it takes the place of the instance's former one. */
  accepted(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void;
  /** Everything ≤ `iid` is dropped. */
  trimmed(iid: number): void;
  /**
   * The newest generation known of each acceptor, and its incarnation (`StandingVector`); both indexed by acceptor
   * id, this acceptor's own included: 0 while it does not vote.
   */
  standing(generations: Float64Array, incarnations: Float64Array): void;
}
