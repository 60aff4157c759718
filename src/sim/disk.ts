/**
 * A disk in memory, and an acceptor's storage on it. A commit takes its time: the host that waits for it does nothing else. What
 * was not committed when its host dies is gone. A host can die inside a commit, and a commit can fail: then all of it is kept,
 * nothing, or a part without its end, which whoever reads the disk next drops (commits are atomic); nobody is told which.
 *
 * It is as strict as a real one: what `replay` tells is what was committed, in the order that `Storage` asks for.
 */
import type { Journal } from "../protocol/acceptor/journal.ts";
import { type Ballot, type Life, NO_BALLOT } from "../protocol/types.ts";
import type { Storage } from "../storage/storage.ts";
import { acceptedEntry, Entries, type Entry } from "./entries.ts";
import type { Random } from "./random.ts";

/** The host that meets it dies: the medium has failed, or power did while it was written. */
export class DiskFailure extends Error {}

export interface DiskFaults {
  /** How long a commit takes, drawn evenly. */
  readonly leastUs: number;
  readonly mostUs: number;
  /** How long it takes at most when the disk is well, if that is something else. */
  readonly usualUs?: number;
  /** Chance that a commit fails. */
  readonly failure: number;
}

export const GOOD_DISK: DiskFaults = { leastUs: 0, mostUs: 0, failure: 0 };

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
  /** The host dies inside the commit so many ahead; 0: it does not. */
  fuse = 0;
  /** `torn`: those of which a part was found; `slow`: those that took longer than they may when the disk is well. */
  readonly counters = { commits: 0, failures: 0, cutShort: 0, torn: 0, slow: 0 };
  readonly #random: Random;
  #content: Content | undefined;
  /** What is on the other disk of this place. */
  #aside: Content | undefined;
  /** What of a commit lies behind the content, without its end. */
  #tail: readonly Entry[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  get isEmpty(): boolean {
    return this.#content === undefined;
  }

  /** Everything on it is gone, and on the other one of this place. */
  lose(): void {
    this.#content = undefined;
    this.#aside = undefined;
    this.#tail = [];
  }

  /** The place has two disks: the other one is there now. */
  swap(): void {
    [this.#content, this.#aside] = [this.#aside, this.#content];
    this.#tail = [];
  }

  /** For storages: commits; returns how long that takes. */
  commit(entries: readonly Entry[]): number {
    const { counters, faults } = this;
    counters.commits++;
    const dies = this.fuse > 0 && --this.fuse === 0;
    const fails = this.#random.happens(faults.failure);
    const kept = dies || fails ? this.#random.next() : 1;
    if (kept > 0.6) {
      this.#content ??= new Content();
      for (const entry of entries) entry(this.#content);
    } else if (kept > 0.2) this.#tail = entries.slice(0, this.#random.between(1, entries.length));
    if (dies) counters.cutShort++;
    else if (fails) counters.failures++;
    else {
      const us = this.#random.between(faults.leastUs, faults.mostUs);
      if (us > (faults.usualUs ?? faults.mostUs)) counters.slow++;
      return us;
    }
    throw new DiskFailure(dies ? "dies inside a commit" : "its disk fails");
  }

  /** For storages. */
  tell(into: Journal): boolean {
    if (this.#tail.length > 0) this.counters.torn++;
    this.#tail = [];
    this.#content?.tell(into);
    return this.#content !== undefined;
  }
}

/** One process's view of its disk. */
export class SimStorage extends Entries implements Storage {
  readonly forgets = false;
  readonly disk: SimDisk;
  /** How long the commits took that were made since it was last set to 0. */
  busyUs = 0;
  #ticket = 0;

  constructor(disk: SimDisk) {
    super();
    this.disk = disk;
  }

  commit(): number {
    const entries = this.take();
    if (entries.length > 0) this.busyUs += this.disk.commit(entries);
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

function sorted(keys: Iterable<number>): number[] {
  return [...keys].sort((a, b) => a - b);
}
