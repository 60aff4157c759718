/**
 * A session table as bytes, for snapshots. Little-endian; the sessions in the order in which they were used last, oldest first,
 * so that equal tables have equal bytes.
 *
 * | bytes | content |
 * |---|---|
 * | 0–3 | magic |
 * | 4–7 | version |
 * | 8–11 | sessions the table can have |
 * | 12–15 | sessions that follow |
 * | 16–23 | bytes of the largest value |
 *
 * and each session:
 *
 * | bytes | content |
 * |---|---|
 * | 0–7 | id |
 * | 8–15 | the nonce it was opened with |
 * | 16–23 | the sequence that is delivered next |
 * | 24–27 | bytes of a value that goes on, of which pieces came |
 * | 28–31 | 0 |
 * | 32… | those bytes, padded with zeros to a multiple of 8 |
 */

import { MAX_IID } from "../types.ts";

export interface SessionLimits {
  readonly sessions: number;
  /** Bytes of the largest value. */
  readonly maxValueBytes: number;
}

const MAGIC = 0x7365736b;
const VERSION = 1;
const HEADER_BYTES = 24;
const SESSION_BYTES = 32;
const HIGH = 2 ** 32;
const MAX_NEXT = 2 ** 43;

/** Why bytes are not taken for a table: no such format, another version, other limits, or contents that cannot be. */
export type Refusal = "format" | "version" | "limits" | "contents";

/** Bytes that so many of a value in pieces take. */
export function imageBytes(length: number): number {
  return (length + 7) & ~7;
}

class ImageWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = HEADER_BYTES;

  constructor(limits: SessionLimits, count: number, partialBytes: number) {
    this.bytes = new Uint8Array(HEADER_BYTES + count * SESSION_BYTES + partialBytes);
    this.#view = new DataView(this.bytes.buffer);
    this.#view.setUint32(0, MAGIC, true);
    this.#view.setUint32(4, VERSION, true);
    this.#view.setUint32(8, limits.sessions, true);
    this.#view.setUint32(12, count, true);
    this.#number(16, limits.maxValueBytes);
  }

  /** Writes a session; returns where its `partialLength` bytes go. */
  session(id: number, nonce: number, next: number, partialLength: number): number {
    const at = this.#at;
    this.#number(at, id);
    this.#number(at + 8, nonce);
    this.#number(at + 16, next);
    this.#view.setUint32(at + 24, partialLength, true);
    this.#at = at + SESSION_BYTES + imageBytes(partialLength);
    return at + SESSION_BYTES;
  }

  #number(at: number, value: number): void {
    this.#view.setUint32(at, value >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(value / HIGH), true);
  }
}

export function writeImage(limits: SessionLimits, count: number, partialBytes: number): ImageWriter {
  return new ImageWriter(limits, count, partialBytes);
}

/** Walks the sessions of an image. */
export class ImageReader {
  id = 0;
  nonce = 0;
  sequence = 0;
  partialOffset = 0;
  partialLength = 0;
  readonly #view: DataView;
  #left: number;
  #at = HEADER_BYTES;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#left = this.#view.getUint32(12, true);
  }

  /** False at the end, or where the bytes are no whole session. */
  next(): boolean {
    if (this.#left === 0 || this.#at + SESSION_BYTES > this.#view.byteLength) return false;
    const at = this.#at;
    this.id = this.#number(at);
    this.nonce = this.#number(at + 8);
    this.sequence = this.#number(at + 16);
    this.partialLength = this.#view.getUint32(at + 24, true);
    this.partialOffset = at + SESSION_BYTES;
    this.#at = this.partialOffset + imageBytes(this.partialLength);
    if (this.#at < this.partialOffset || this.#at > this.#view.byteLength) return false;
    this.#left--;
    return true;
  }

  /** All sessions were read, and nothing follows. */
  get isComplete(): boolean {
    return this.#left === 0 && this.#at === this.#view.byteLength;
  }

  #number(at: number): number {
    return this.#view.getUint32(at + 4, true) * HIGH + this.#view.getUint32(at, true);
  }
}

/** Whether a table with these limits can be what the bytes say. */
export function checkImage(
  bytes: Uint8Array,
  limits: SessionLimits,
  partialBlocks: number,
  blocksOf: (bytes: number) => number,
): Refusal | null {
  if (bytes.length < HEADER_BYTES) return "format";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) return "format";
  if (view.getUint32(4, true) !== VERSION) return "version";
  const maxValueBytes = view.getUint32(20, true) * HIGH + view.getUint32(16, true);
  if (view.getUint32(8, true) !== limits.sessions || maxValueBytes !== limits.maxValueBytes) return "limits";
  const count = view.getUint32(12, true);
  if (count > limits.sessions) return "contents";
  const ids = new Float64Array(count);
  const nonces = new Float64Array(count);
  const image = new ImageReader(bytes);
  let blocks = 0;
  for (let i = 0; image.next(); i++) {
    const { id, nonce, sequence, partialLength } = image;
    const isPossible = inRange(id, MAX_IID) && inRange(nonce, MAX_IID) && inRange(sequence, MAX_NEXT);
    if (!isPossible || partialLength > limits.maxValueBytes) return "contents";
    ids[i] = id;
    nonces[i] = nonce;
    blocks += blocksOf(partialLength);
  }
  if (!image.isComplete || blocks > partialBlocks) return "contents";
  return areDistinct(ids) && areDistinct(nonces) ? null : "contents";
}

function inRange(value: number, most: number): boolean {
  return value >= 1 && value <= most;
}

function areDistinct(values: Float64Array): boolean {
  values.sort();
  for (let i = 1; i < values.length; i++) if (values[i] === values[i - 1]) return false;
  return true;
}
