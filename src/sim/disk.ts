/**
 * A disk in memory, and an acceptor's storage on it. A commit takes its time: the host that waits for it does nothing else, and
 * a crash meanwhile leaves all of the commit or nothing (commits are atomic; of several under way a first part is kept). What
 * was not committed is gone. A commit can fail; then it may be kept all the same, as after an I/O error in earnest.
 *
 * It is as strict as a real one: what `replay` tells is what was committed, in the order that `Storage` asks for.
 */
import { assert } from "../protocol/assert.ts";
import type { Journal } from "../protocol/journal.ts";
import { type Ballot, type Life, NO_BALLOT } from "../protocol/types.ts";
import type { Storage } from "../storage/storage.ts";
import type { Random } from "./random.ts";

/** The medium has failed: the host that meets it dies. */
export class DiskFailure extends Error {
  constructor() {
    super("the disk fails");
  }
}

export interface DiskFaults {
  /** How long a commit takes, drawn evenly. */
  readonly leastUs: number;
  readonly mostUs: number;
  /** Chance that a commit fails. */
  readonly failure: number;
}

export const GOOD_DISK: DiskFaults = { leastUs: 0, mostUs: 0, failure: 0 };

/** One thing to be kept: a call of the journal, to be made again on another one. */
export type Entry = (into: Journal) => void;

/** What is on a disk: the last word on everything. */
class Content implements Journal {
  ballot: Ballot = NO_BALLOT;
  life: Life = 0;
  trimIid = 0;
  generations: Float64Array | undefined;
  incarnations: Float64Array | undefined;
  readonly promises = new Map<number, Ballot>();
  readonly records = new Map<number, Entry>();

  promised(ballot: Ballot, life: Life): void {
    this.ballot = ballot;
    this.life = life;
  }
  promisedAt(iid: number, ballot: Ballot): void {
    this.promises.set(iid, ballot);
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
    this.records.set(iid, acceptedEntry(iid, ballot, life, flags, bytes, offset, length));
  }
  trimmed(iid: number): void {
    this.trimIid = Math.max(this.trimIid, iid);
    for (const one of this.records.keys()) if (one <= iid) this.records.delete(one);
    for (const one of this.promises.keys()) if (one <= iid) this.promises.delete(one);
  }
  standing(generations: Float64Array, incarnations: Float64Array): void {
    this.generations = generations.slice();
    this.incarnations = incarnations.slice();
  }

  tell(into: Journal): void {
    if (this.trimIid > 0) into.trimmed(this.trimIid);
    if (this.generations !== undefined && this.incarnations !== undefined)
      into.standing(this.generations, this.incarnations);
    if (this.ballot !== NO_BALLOT) into.promised(this.ballot, this.life);
    for (const iid of sorted(this.promises.keys())) into.promisedAt(iid, this.promises.get(iid)!);
    for (const iid of sorted(this.records.keys())) this.records.get(iid)!(into);
  }
}

export class SimDisk {
  faults: DiskFaults = GOOD_DISK;
  readonly counters = { commits: 0, failures: 0, cutShort: 0 };
  readonly #random: Random;
  #content: Content | undefined;
  /** Commits that are under way, or that nobody has waited for. */
  #underWay: (readonly Entry[])[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  get isEmpty(): boolean {
    return this.#content === undefined;
  }

  /** What has been committed is safe from now on. */
  settle(): void {
    const commits = this.#underWay;
    if (commits.length === 0) return;
    this.#content ??= new Content();
    for (const entries of commits) for (const entry of entries) entry(this.#content);
    commits.length = 0;
  }

  /** The host is gone: of the commits under way a first part, none, or all are kept. */
  cut(): void {
    const commits = this.#underWay.length;
    if (commits === 0) return;
    const kept = this.#random.between(0, commits);
    if (kept < commits) this.counters.cutShort++;
    this.#underWay.length = kept;
    this.settle();
  }

  /** Everything on it is gone. */
  lose(): void {
    this.#underWay.length = 0;
    this.#content = undefined;
  }

  /** For storages: starts a commit; returns how long it takes. */
  begin(entries: readonly Entry[]): number {
    this.counters.commits++;
    if (this.#random.happens(this.faults.failure)) {
      this.counters.failures++;
      this.#underWay.push(entries);
      throw new DiskFailure();
    }
    this.#underWay.push(entries);
    return this.#random.between(this.faults.leastUs, this.faults.mostUs);
  }

  /** For storages. */
  tell(into: Journal): boolean {
    assert(this.#underWay.length === 0, "one process a disk");
    this.#content?.tell(into);
    return this.#content !== undefined;
  }
}

/** One process's view of its disk. */
export class SimStorage implements Storage {
  readonly forgets = false;
  readonly disk: SimDisk;
  /** How long the commits took that were made since it was last set to 0. */
  busyUs = 0;
  #entries: Entry[] = [];
  #ticket = 0;

  constructor(disk: SimDisk) {
    this.disk = disk;
  }

  promised(ballot: Ballot, life: Life): void {
    this.#entries.push((into) => into.promised(ballot, life));
  }
  promisedAt(iid: number, ballot: Ballot): void {
    this.#entries.push((into) => into.promisedAt(iid, ballot));
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
    this.#entries.push(acceptedEntry(iid, ballot, life, flags, bytes, offset, length));
  }
  trimmed(iid: number): void {
    this.#entries.push((into) => into.trimmed(iid));
  }
  standing(generations: Float64Array, incarnations: Float64Array): void {
    const [kept, lives] = [generations.slice(), incarnations.slice()];
    this.#entries.push((into) => into.standing(kept, lives));
  }

  commit(): number {
    if (this.#entries.length > 0) {
      const entries = this.#entries;
      this.#entries = [];
      this.busyUs += this.disk.begin(entries);
    }
    return ++this.#ticket;
  }

  durable(): number {
    return this.#ticket;
  }

  replay(into: Journal): boolean {
    return this.disk.tell(into);
  }

  close(): void {}
}

function acceptedEntry(
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

function sorted(keys: Iterable<number>): number[] {
  return [...keys].sort((a, b) => a - b);
}
