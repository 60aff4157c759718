/**
 * How the delivery log keeps what a learner delivered: one record for a value, or for a run of values that came together.
 *
 * A record is iid, session, sequence (2 words each, low first), index (its highest bit: the last value of its instance), length;
 * then the value, padded to 8 bytes. Of a run it is all of its first value, its highest two bits of the index are flags, its length
 * says bytes (low 16 bits) and how many values (above them), and behind it are their entries (`protocol/batch.ts`).
 */

export const LOG_RECORD_BYTES = 32;
export const Word = { iid: 0, session: 2, sequence: 4, index: 6, length: 7 } as const;
/** Stands for the length of a record that says: the instances from `iid` to the one in `session` were left out. */
export const GAP = -1;
/** Behind every index of an instance. */
export const LAST_INDEX = 0x7fffffff;
export const LAST_FLAG = 1 << 31;
/** The record is of a run. */
export const RUN_FLAG = 1 << 30;
/** The highest index of a value. */
export const MAX_INDEX = RUN_FLAG - 1;
export const MAX_RUN_BYTES = 0xffff;
export const MAX_RUN_VALUES = 0x7fff;

/** What a cursor stands at. */
export const Found = { nothing: 0, value: 1, missed: 2 } as const;
export type Found = (typeof Found)[keyof typeof Found];

/** The first position (inclusive) that a reader wants. */
export interface Position {
  readonly iid: number;
  readonly index: number;
}
export type StartAt = "present" | "oldest" | Position;

export function isBefore(iid: number, index: number, otherIid: number, otherIndex: number): boolean {
  return iid < otherIid || (iid === otherIid && index < otherIndex);
}

export function putNumber(words: Int32Array, at: number, value: number): void {
  words[at] = value | 0;
  words[at + 1] = Math.floor(value / 0x1_0000_0000);
}
