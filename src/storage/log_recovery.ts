/**
 * Finds the end of an acceptor's log after whatever happened to its process. The log goes on from chunk to chunk, by their
 * numbers, and ends with the last whole commit: what follows it was never synced as a whole, and nobody was told of it.
 *
 * Each chunk says which ones before it had been synced when it was written. So a chunk that is missing or bad is a torn one
 * when nothing says that it had been synced, and damage when something does: then the log is refused.
 */

import type { LogFile } from "./log_file.ts";
import {
  ALIGN_BYTES,
  ChunkFlag,
  type ChunkHeader,
  ENTRY_WORDS,
  EntryKind,
  entryBytes,
  HEADER_BYTES,
  pairAt,
  readChunk,
} from "./log_format.ts";
import { damaged } from "./sqlite_files.ts";

/** A region in use. */
export interface Region {
  readonly index: number;
  /** The number of this use. */
  readonly use: number;
  /** Where its last chunk ends, once the next region is begun. */
  end: number;
  /** The highest instance of which something lies here. */
  highestIid: number;
  /** The chunk with which all of it had been copied; 0: it has not. */
  copiedWith: number;
}

/** Where the log ends, and where it goes on. */
export interface LogEnd {
  readonly regions: Region[];
  /** Regions that hold nothing any more. */
  readonly free: number[];
  /** How many of them, at the end, have chunks of which nothing says that they were synced. */
  readonly unsynced: number;
  /** In the last region. */
  readonly tail: number;
  /** Of the last chunk. */
  readonly number: number;
  readonly run: number;
  readonly highestUse: number;
  readonly oldest: number;
}

/** Told of each entry: where it lies in the region that was read, and in the file. */
export type EntryVisitor = (bytes: Uint8Array, words: Uint32Array, at: number, position: number) => void;
type ChunkVisitor = (region: number, at: number, length: number, header: ChunkHeader) => void;

/** The first chunk of a region; `number` 0: there is none. */
interface First {
  number: number;
  use: number;
  run: number;
}

export class LogRecovery {
  readonly #file: LogFile;
  readonly #owner: number;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #firsts: First[] = [];
  /** What chunks say, at most. */
  #synced = 0;
  #oldest = 0;
  #highestUse = 0;

  constructor(file: LogFile, owner: number) {
    this.#file = file;
    this.#owner = owner;
    const memory = new ArrayBuffer(file.regionBytes);
    this.#bytes = new Uint8Array(memory);
    this.#words = new Uint32Array(memory);
  }

  find(): LogEnd {
    for (let region = 0; region < this.#file.regions; region++) this.#look(region);
    const regions: Region[] = [];
    let last = 0;
    /** Behind the last chunk, and the last region of which a chunk is known to be synced. */
    let behind = 0;
    let synced = 0;
    const end = { number: 0, regions: 0, tail: 0, run: 0 };
    this.#walk(Number.POSITIVE_INFINITY, (index, at, length, header) => {
      if (regions.at(-1)?.use !== header.region) {
        if (regions.length > 0) regions[regions.length - 1]!.end = behind;
        regions.push({ index, use: header.region, end: 0, highestIid: 0, copiedWith: 0 });
      }
      last = header.number;
      behind = at + length;
      if (last <= this.#synced) synced = regions.length - 1;
      this.#noteInstances(index, at, length, regions[regions.length - 1]!);
      if ((header.flags & ChunkFlag.end) === 0) return;
      Object.assign(end, { number: last, regions: regions.length, tail: behind, run: header.run });
    });
    const { number, tail, run } = end;
    if (last < this.#synced || number === 0) {
      throw damaged(
        this.#file.path,
        number === 0
          ? "nothing of what was written is there"
          : `chunk ${last + 1} of its log is missing or bad, and had been synced`,
      );
    }
    // What an unfinished commit has begun is free again.
    regions.length = end.regions;
    const unsynced = number > this.#synced ? regions.length - synced : 0;
    const free = this.#others(regions);
    return { regions, free, unsynced, tail, number, run, highestUse: this.#highestUse, oldest: this.#oldest };
  }

  /** Tells all entries up to the chunk `number`, in the order in which they were written. */
  entries(number: number, visit: EntryVisitor): void {
    this.#walk(number, (region, at, length) => this.#visit(region, at, length, visit));
  }

  #others(regions: readonly Region[]): number[] {
    const inUse = new Set(regions.map(({ index }) => index));
    const all = Array.from({ length: this.#file.regions }, (_, i) => this.#file.regions - 1 - i);
    return all.filter((index) => !inUse.has(index));
  }

  #noteInstances(index: number, at: number, length: number, region: Region): void {
    this.#visit(index, at, length, (_bytes, words, entry) => {
      const kind = words[entry >>> 2]! & 0xff;
      if (kind !== EntryKind.accepted && kind !== EntryKind.promisedAt) return;
      region.highestIid = Math.max(region.highestIid, pairAt(words, (entry >>> 2) + ENTRY_WORDS));
    });
  }

  /** Every whole chunk counts, wherever it stands. */
  #look(region: number): void {
    this.#load(region);
    const first: First = { number: 0, use: 0, run: 0 };
    this.#firsts.push(first);
    const header = emptyHeader();
    for (let at = 0; at < this.#bytes.length; ) {
      const length = this.#read(at, header);
      if (length > 0) {
        this.#synced = Math.max(this.#synced, header.synced);
        this.#oldest = Math.max(this.#oldest, header.oldest);
        this.#highestUse = Math.max(this.#highestUse, header.region);
        if (at === 0) Object.assign(first, { number: header.number, use: header.region, run: header.run });
      }
      at += Math.max(length, ALIGN_BYTES);
    }
  }

  /** From the oldest region that is needed, chunk by chunk, at most to the chunk `last`. */
  #walk(last: number, visit: ChunkVisitor): void {
    let region = this.#firsts.findIndex(({ use, number }) => use === this.#oldest && number > 0);
    if (region < 0) return;
    const header = emptyHeader();
    let { number, use } = this.#firsts[region]!;
    let run = 0;
    let at = 0;
    this.#load(region);
    while (number <= last) {
      const length = this.#read(at, header);
      if (length > 0 && header.region === use && header.number === number && header.run >= run) {
        visit(region, at, length, header);
        at += length;
        number++;
        run = header.run;
        continue;
      }
      region = this.#next(number, use, run);
      if (region < 0) return;
      use = this.#firsts[region]!.use;
      at = 0;
      this.#load(region);
    }
  }

  /** The region that goes on with a chunk; one that a later process wrote goes before what an earlier one could not finish. */
  #next(number: number, use: number, run: number): number {
    let found = -1;
    for (const [region, first] of this.#firsts.entries()) {
      if (first.number !== number || first.use <= use || first.run < run) continue;
      const other = this.#firsts[found];
      if (
        other !== undefined &&
        (other.run > first.run || (other.run === first.run && other.use > first.use))
      )
        continue;
      found = region;
    }
    return found;
  }

  #visit(region: number, at: number, length: number, visit: EntryVisitor): void {
    const end = at + length;
    for (let entry = at + HEADER_BYTES; entry < end; ) {
      const bytes = entryBytes(this.#words, entry, end);
      if (bytes === 0) throw damaged(this.#file.path, "an entry of its log is none that this kpaxos knows");
      visit(this.#bytes, this.#words, entry, this.#file.at(region) + entry);
      entry += bytes;
    }
  }

  #load(region: number): void {
    this.#file.read(this.#bytes, this.#file.at(region));
  }

  #read(at: number, into: ChunkHeader): number {
    return readChunk(this.#bytes, this.#words, at, this.#bytes.length, this.#owner, into);
  }
}

export function emptyHeader(): ChunkHeader {
  return { region: 0, number: 0, synced: 0, oldest: 0, run: 0, flags: 0 };
}
