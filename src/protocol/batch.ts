/**
 * The value of one instance in the native wire: a batch, which is nothing but entries one after the other. The
 * same bytes are on the wire, in memory, on disk and at delivery. A batch of length 0 is a no-op.
 *
 * Entry (little-endian, 4-aligned):
 *
 * | bytes | content |
 * |---|---|
 * | 0–3 | session, low word |
 * | 4–7 | session, high 21 bits; above them the sequence's high 11 bits |
 * | 8–11 | sequence, low word |
 * | 12–15 | length of the value in bytes (24 bits); above it the flags (8 bits) |
 * | 16… | the value, padded with zeros to a multiple of 4 |
 *
 * Flags: bit 0 `more`: the value goes on in the session's next entry; bit 1 `open`: opens a session, and stands first in its
 * batch (its session field is a nonce of the client's, its sequence 0); bit 2 `close`: ends the session. What comes of an
 * entry is decided at delivery: `session_table.ts`.
 */
import { copyBytes } from "./bytes.ts";

export const ENTRY_HEADER_BYTES = 16;
export const EntryFlag = { more: 1, open: 2, close: 4 } as const;
/** Largest sequence number an entry can carry: 43 bits. */
export const MAX_SEQUENCE = 2 ** 43 - 1;
const HIGH_BITS = 2 ** 32;

/** Bytes of the entry that holds a value of `length` bytes. */
export function entryBytes(length: number): number {
  return ENTRY_HEADER_BYTES + ((length + 3) & ~3);
}

/** Writes an entry's header; the value goes to `at + ENTRY_HEADER_BYTES`, and its padding is zeroed here. */
export function writeEntryHeader(
  view: DataView,
  at: number,
  session: number,
  sequence: number,
  length: number,
  flags: number,
): void {
  const high = Math.floor(session / HIGH_BITS) | (Math.floor(sequence / HIGH_BITS) << 21);
  view.setUint32(at, session >>> 0, true);
  view.setUint32(at + 4, high >>> 0, true);
  view.setUint32(at + 8, sequence >>> 0, true);
  view.setUint32(at + 12, ((flags << 24) | length) >>> 0, true);
  const end = at + entryBytes(length);
  for (let i = at + ENTRY_HEADER_BYTES + length; i < end; i++) view.setUint8(i, 0);
}

/** Builds one entry at a time, for values that come with their session and sequence apart. */
export class EntryBuffer {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** `maxBytes`: of a whole entry. */
  constructor(maxBytes: number) {
    this.bytes = new Uint8Array(maxBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Writes the entry to the beginning of `bytes` and returns its length; −1 when it does not fit. */
  write(
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    flags: number,
  ): number {
    const size = entryBytes(length);
    if (size > this.bytes.length) return -1;
    writeEntryHeader(this.#view, 0, session, sequence, length, flags);
    copyBytes(bytes, offset, this.bytes, ENTRY_HEADER_BYTES, length);
    return size;
  }
}

/** Walks the entries of a batch. One reader serves many batches. */
export class BatchReader {
  session = 0;
  sequence = 0;
  flags = 0;
  /** Position of the entry in its batch, from 0. */
  index = -1;
  /** Where the value lies in the buffer given to `open`. */
  valueOffset = 0;
  valueLength = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  open(bytes: Uint8Array, offset: number, length: number): void {
    this.#bytes = bytes;
    this.#at = offset;
    this.#end = offset + length;
    this.index = -1;
  }

  /** No whole entry can follow the present one. */
  get isLast(): boolean {
    return this.#end - this.#at < ENTRY_HEADER_BYTES;
  }

  /** Moves to the next entry; false at the end, or where the bytes are no whole entry. */
  next(): boolean {
    const at = this.#at;
    if (this.#end - at < ENTRY_HEADER_BYTES) return false;
    const high = word(this.#bytes, at + 4);
    this.session = (high & 0x1fffff) * HIGH_BITS + word(this.#bytes, at);
    this.sequence = (high >>> 21) * HIGH_BITS + word(this.#bytes, at + 8);
    const last = word(this.#bytes, at + 12);
    this.valueLength = last & 0xffffff;
    if (at + entryBytes(this.valueLength) > this.#end) return false;
    this.flags = last >>> 24;
    this.valueOffset = at + ENTRY_HEADER_BYTES;
    this.#at = at + entryBytes(this.valueLength);
    this.index++;
    return true;
  }
}

/** Whether the bytes are exactly a sequence of whole entries. */
export function isBatch(bytes: Uint8Array, offset: number, length: number): boolean {
  const end = offset + length;
  let at = offset;
  while (at < end) {
    if (end - at < ENTRY_HEADER_BYTES) return false;
    at += entryBytes(word(bytes, at + 12) & 0xffffff);
  }
  return at === end;
}

/** Whether the first of these entries opens a session. */
export function isOpening(bytes: Uint8Array, offset: number, length: number): boolean {
  return length >= ENTRY_HEADER_BYTES && (bytes[offset + 15]! & EntryFlag.open) !== 0;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
