/**
 * Writes chunks at the end of a log, and takes regions into use and out of it again.
 *
 * Invariants: no byte of a chunk that was written changes while its region is in use; a region is used again only when a
 * synced chunk says that the log begins behind it; what a chunk says of earlier ones was synced before it was written.
 */
import { copyBytes } from "../protocol/bytes.ts";
import type { LogFile } from "./log_file.ts";
import { aligned, BLOCK_BYTES, ChunkFlag, type ChunkHeader, HEADER_BYTES, sealChunk } from "./log_format.ts";
import { emptyHeader, type LogEnd, type Region } from "./log_recovery.ts";

/** More does not go into a chunk; a commit has as many as it needs. */
const CHUNK_BYTES = 262_144;

export class LogWriter {
  /** Where entries are written: at places that `reserve` gives. */
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  /** Regions in use, in order; the last one is written. */
  readonly regions: Region[];
  readonly #file: LogFile;
  readonly #owner: number;
  readonly #sync: boolean;
  readonly #free: number[];
  /** No longer needed, but nothing that is synced says so. */
  readonly #leaving: Region[] = [];
  readonly #header: ChunkHeader = emptyHeader();
  #highestUse: number;
  #run: number;
  #number: number;
  /** In the last region: what the buffer begins with, a block; the end of the last chunk. */
  #start = 0;
  #tail: number;
  /** Of the chunk that is being made; 0: there is none. */
  #length = 0;
  /** Whether chunks of this commit are written already. */
  #hasBegun = false;
  /** What the chunks from now on say. */
  #synced: number;
  #oldest: number;
  /** With the last commit: the trim point, the region written, and where the log was said to begin … */
  #committedTrimIid = 0;
  #committedUse = 0;
  #committedOldest = 0;
  /** … and of these, what is synced. */
  #syncedTrimIid = 0;
  #syncedUse = 0;
  #syncedOldest = 0;

  constructor(file: LogFile, owner: number, end: LogEnd, sync: boolean) {
    const room = BLOCK_BYTES + Math.min(CHUNK_BYTES, file.regionBytes) + BLOCK_BYTES;
    const memory = new ArrayBuffer(room);
    this.bytes = Buffer.from(memory);
    this.words = new Uint32Array(memory);
    this.#file = file;
    this.#owner = owner;
    this.#sync = sync;
    this.regions = end.regions;
    this.#free = end.free;
    this.#highestUse = end.highestUse;
    this.#run = end.run;
    this.#number = end.number;
    this.#synced = end.number;
    this.#oldest = end.oldest;
    this.#tail = end.tail;
    this.#start = end.tail - (end.tail % BLOCK_BYTES);
    file.read(this.bytes.subarray(0, BLOCK_BYTES), file.at(this.#region.index) + this.#start);
  }

  get #region(): Region {
    return this.regions[this.regions.length - 1]!;
  }

  /** Something waits for a commit. */
  get hasMore(): boolean {
    return this.#length > 0 || this.#hasBegun;
  }

  /** Bytes of this commit that are not written yet. */
  get pending(): number {
    return this.#length;
  }

  /** Where a reserved place is in the file. */
  position(place: number): number {
    return this.#file.at(this.#region.index) + this.#start + place;
  }

  /** Something of an instance was written to the region. */
  holds(iid: number): void {
    const region = this.#region;
    if (iid > region.highestIid) region.highestIid = iid;
  }

  /** True: an entry of so many bytes does not fit this region any more, and `roll` has to come first. */
  isFullFor(bytes: number): boolean {
    return this.#tail + Math.max(this.#length, HEADER_BYTES) + HEADER_BYTES + bytes > this.#file.regionBytes;
  }

  /** A place in `bytes` for an entry. */
  reserve(bytes: number): number {
    const before = this.#tail - this.#start;
    if (this.#length > 0 && before + this.#length + bytes > this.bytes.length - BLOCK_BYTES) this.#write(0);
    if (this.#length === 0) this.#length = HEADER_BYTES;
    const place = this.#tail - this.#start + this.#length;
    this.#length += bytes;
    return place;
  }

  /** Goes on in another region; the state has to be written there first. */
  roll(): void {
    if (this.#length > 0) this.#write(0);
    // Without syncs, what follows in another region must not be there when this is not.
    if (!this.#sync) this.#syncNow();
    this.#region.end = this.#tail;
    const index = this.#free.pop() ?? this.#file.grow();
    this.regions.push({ index, use: ++this.#highestUse, end: 0, highestIid: 0, copiedWith: 0 });
    this.#start = 0;
    this.#tail = 0;
  }

  /** Ends a commit: everything reserved is written, and synced unless nothing is. */
  commit(trimIid: number): void {
    this.#end(trimIid, ChunkFlag.end, this.#sync);
  }

  /** All of the first region was copied with the commit under way. */
  copiedFirst(): void {
    this.regions[0]!.copiedWith = this.#number + 1;
  }

  /** To be called first: what the last process wrote, synced or not, is synced from now on. */
  begin(unsynced: number): void {
    // Written once more: after a sync that failed the system takes what it could not write for written.
    for (const region of this.regions.slice(this.regions.length - unsynced)) {
      const length = aligned(region === this.#region ? this.#tail : region.end, BLOCK_BYTES);
      const bytes = new Uint8Array(length);
      this.#file.read(bytes, this.#file.at(region.index));
      this.#file.write(bytes, length, this.#file.at(region.index));
    }
    this.#file.sync();
    this.#run++;
  }

  /** Ends what this process begins with, which is the state where the region is a new one. */
  begun(trimIid: number): void {
    this.#end(trimIid, ChunkFlag.end | ChunkFlag.begins, true);
  }

  /** What was reserved since the last commit is forgotten. */
  close(): void {
    // Chunks of a commit that did not come to its end stay without one.
    if (this.#hasBegun || this.isFullFor(0)) return;
    this.#length = HEADER_BYTES;
    this.#write(ChunkFlag.end | ChunkFlag.closes);
    this.#syncNow();
  }

  #end(trimIid: number, flags: number, sync: boolean): void {
    if (this.#length === 0) this.#length = HEADER_BYTES;
    this.#write(flags);
    this.#committedTrimIid = trimIid;
    this.#committedUse = this.#region.use;
    this.#committedOldest = this.#oldest;
    if (sync) this.#syncNow();
    this.#dropRegions();
  }

  #write(flags: number): void {
    const region = this.#region;
    const header = this.#header;
    const before = this.#tail - this.#start;
    header.region = region.use;
    header.number = this.#number + 1;
    header.synced = this.#synced;
    header.oldest = this.#oldest;
    header.run = this.#run;
    header.flags = flags;
    sealChunk(this.bytes, this.words, before, this.#length, this.#owner, header);
    const end = before + this.#length;
    const blocks = aligned(end, BLOCK_BYTES);
    this.bytes.fill(0, end, blocks);
    this.#file.write(this.bytes, blocks, this.#file.at(region.index) + this.#start);
    this.#number++;
    this.#tail += this.#length;
    this.#length = 0;
    this.#hasBegun = (flags & ChunkFlag.end) === 0;
    const start = this.#tail - (this.#tail % BLOCK_BYTES);
    copyBytes(this.bytes, start - this.#start, this.bytes, 0, this.#tail - start);
    this.#start = start;
  }

  #syncNow(): void {
    this.#file.sync();
    this.#synced = this.#number;
    this.#syncedTrimIid = this.#committedTrimIid;
    this.#syncedUse = this.#committedUse;
    this.#syncedOldest = this.#committedOldest;
  }

  /** Regions before that in which the state was synced, of which nothing is needed any more, leave from the front. */
  #dropRegions(): void {
    for (let first = this.regions[0]!; first.use < this.#syncedUse; first = this.regions[0]!) {
      const isCopied = first.copiedWith !== 0 && first.copiedWith <= this.#synced;
      if (first.highestIid > this.#syncedTrimIid && !isCopied) break;
      this.regions.shift();
      this.#leaving.push(first);
      this.#oldest = this.regions[0]!.use;
    }
    while (this.#leaving.length > 0 && this.#leaving[0]!.use < this.#syncedOldest) {
      this.#free.push(this.#leaving.shift()!.index);
    }
  }
}
