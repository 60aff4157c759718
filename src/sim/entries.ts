/**
 * Calls of a journal that are kept, to be made again on another one.
 */
import type { Journal } from "../protocol/acceptor/journal.ts";
import type { Ballot, Life } from "../protocol/types.ts";

/** One thing to be kept. */
export type Entry = (into: Journal) => void;

export class Entries implements Journal {
  #kept: Entry[] = [];

  /** What came since the last time, in order. */
  take(): Entry[] {
    const kept = this.#kept;
    this.#kept = [];
    return kept;
  }

  promised(ballot: Ballot, life: Life): void {
    this.#kept.push((into) => into.promised(ballot, life));
  }
  promisedAt(iid: number, ballot: Ballot): void {
    this.#kept.push((into) => into.promisedAt(iid, ballot));
  }
  accepted(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    this.#kept.push(acceptedEntry(iid, ballot, life, flags, bytes, offset, length));
  }
  trimmed(iid: number): void {
    this.#kept.push((into) => into.trimmed(iid));
  }
  standing(generations: Float64Array, incarnations: Float64Array): void {
    const [kept, lives] = [generations.slice(), incarnations.slice()];
    this.#kept.push((into) => into.standing(kept, lives));
  }
}

/** A record to be kept. */
export function acceptedEntry(
  iid: number,
  ballot: Ballot,
  life: Life,
  flags: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
): Entry {
  const value = bytes.slice(offset, offset + length);
  return (into) => into.accepted(iid, ballot, life, flags, value, 0, value.length);
}
