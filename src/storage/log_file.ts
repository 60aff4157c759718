/**
 * The file of an acceptor's log: a first block, then regions of one size, each written with zeros and synced before it is
 * used, so that a sync later has nothing but bytes to write. It knows no chunk.
 */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { BLOCK_BYTES } from "./log_format.ts";

/**
 * The page cache keeps what is written at once together, and later writes all of it back for a single changed block (a
 * megabyte for each commit, measured, where a file had been filled with megabytes).
 */
const WRITE_BYTES = 16_384;
const ZEROS = new Uint8Array(WRITE_BYTES);

export class LogFile {
  readonly path: string;
  readonly regionBytes: number;
  /** Regions that are there, the last one maybe not in full. */
  regions: number;
  readonly #fd: number;

  constructor(path: string, regionBytes: number) {
    this.path = path;
    this.regionBytes = regionBytes;
    this.#fd = openSync(path, "r+");
    this.regions = Math.ceil((fstatSync(this.#fd).size - BLOCK_BYTES) / regionBytes);
  }

  /** Where a region begins. */
  at(region: number): number {
    return BLOCK_BYTES + region * this.regionBytes;
  }

  /** Reads from a place in the file; what lies behind its end is zero. */
  read(into: Uint8Array, position: number): void {
    let at = 0;
    while (at < into.length) {
      const got = readSync(this.#fd, into, at, into.length - at, position + at);
      if (got === 0) break;
      at += got;
    }
    into.fill(0, at);
  }

  write(bytes: Uint8Array, length: number, position: number): void {
    writeAll(this.#fd, bytes, length, position);
  }

  sync(): void {
    fdatasyncSync(this.#fd);
  }

  /** Adds a region; returns its number. */
  grow(): number {
    writeZeros(this.#fd, this.at(this.regions), this.regionBytes);
    this.sync();
    return this.regions++;
  }

  /** A file that grew when its power was cut may end within a region. */
  complete(): void {
    const { size } = fstatSync(this.#fd);
    const end = this.at(this.regions);
    if (size === end) return;
    writeZeros(this.#fd, size, end - size);
    this.sync();
  }

  close(): void {
    closeSync(this.#fd);
  }
}

export function writeAll(fd: number, bytes: Uint8Array, length: number, position: number): void {
  for (let at = 0; at < length; ) {
    at += writeSync(fd, bytes, at, Math.min(length - at, WRITE_BYTES), position + at);
  }
}

export function writeZeros(fd: number, position: number, length: number): void {
  for (let at = 0; at < length; at += WRITE_BYTES) {
    writeAll(fd, ZEROS, Math.min(length - at, WRITE_BYTES), position + at);
  }
}
