/**
 * Keeps a log from growing: copies what is still needed of its first region to its end, a bounded number of bytes at a time,
 * so that the region can be used again. That is rare; mostly a trim empties whole regions.
 */
import type { LogFile } from "./log_file.ts";
import { ENTRY_WORDS, EntryKind, entryBytes, HEADER_BYTES, pairAt, readChunk } from "./log_format.ts";
import { emptyHeader, type Region } from "./log_recovery.ts";
import { damaged } from "./sqlite_files.ts";

/** Bytes gone through with a commit, and per byte that the commit writes: faster than new ones come. */
const COPY_BYTES = 65_536;
const COPY_PER_BYTE = 2;

/** Told of what lies at a place of the file, whether it is needed or not. */
export type Copy = (
  kind: number,
  iid: number,
  words: Uint32Array,
  bytes: Uint8Array,
  at: number,
  position: number,
) => void;

export class LogCopier {
  readonly #file: LogFile;
  readonly #owner: number;
  readonly #header = emptyHeader();
  #bytes: Uint8Array | undefined;
  #words = new Uint32Array(0);
  /** The use of the region that is gone through, and how far. */
  #use = 0;
  #at = 0;

  constructor(file: LogFile, owner: number) {
    this.#file = file;
    this.#owner = owner;
  }

  /** Goes on with a region that is not written any more; true when all of it was told. */
  goOn(region: Region, pending: number, copy: Copy): boolean {
    if (region.use !== this.#use) this.#begin(region);
    let left = COPY_BYTES + COPY_PER_BYTE * pending;
    while (left > 0 && this.#at < region.end) {
      const length = readChunk(this.#bytes!, this.#words, this.#at, region.end, this.#owner, this.#header);
      if (length === 0) throw damaged(this.#file.path, `a chunk in region ${region.index} has changed`);
      this.#tell(region, this.#at + length, copy);
      this.#at += length;
      left -= length;
    }
    return this.#at === region.end;
  }

  #begin(region: Region): void {
    if (this.#bytes === undefined) {
      const memory = new ArrayBuffer(this.#file.regionBytes);
      this.#bytes = new Uint8Array(memory);
      this.#words = new Uint32Array(memory);
    }
    this.#file.read(this.#bytes, this.#file.at(region.index));
    this.#use = region.use;
    this.#at = 0;
  }

  #tell(region: Region, end: number, copy: Copy): void {
    for (let at = this.#at + HEADER_BYTES; at < end; ) {
      const kind = this.#words[at >>> 2]! & 0xff;
      if (kind === EntryKind.accepted || kind === EntryKind.promisedAt) {
        const iid = pairAt(this.#words, (at >>> 2) + ENTRY_WORDS);
        copy(kind, iid, this.#words, this.#bytes!, at, this.#file.at(region.index) + at);
      }
      at += entryBytes(this.#words, at, end);
    }
  }
}
