/**
 * The value of one instance in the native wire: a batch, which is nothing but entries one after the other. The
 * same bytes are on the wire, in memory, on disk and at delivery. A batch of length 0 is a no-op.
 *
 * Entry (little-endian, 4-aligned):
 *
 * | bytes | content |
 * |---|---|
 * | 0–3 | length of the value in bytes (24 bits); above it the flags (8 bits) |
 * | 4–7 | session, low word |
 * | 8–11 | session, high 21 bits; above them the sequence's high 11 bits |
 * | 12–15 | sequence, low word |
 * | 16… | the value, padded with zeros to a multiple of 4 |
 *
 * Flags: bit 0 `more`: the value goes on in the session's next entry; bit 1 `open`: opens a session, and stands first in its
 * batch (its session field is a nonce of the client's, its sequence 0); bit 2 `close`: ends the session; bit 3 `next`: a short
 * entry, of the session of the entry before it and its next sequence, without bytes 4–15; bit 4 `reset`: a leader's, see
 * `reset_entry.ts`. What comes of an entry is decided at delivery: `session_table.ts`.
 */
import { copyBytes } from "./bytes.ts";

export const ENTRY_HEADER_BYTES = 16;
/** Of an entry that says neither session nor sequence. */
export const SHORT_HEADER_BYTES = 4;
export const EntryFlag = { more: 1, open: 2, close: 4, next: 8, reset: 16 } as const;
/** Largest sequence number an entry can carry: 43 bits. */
export const MAX_SEQUENCE = 2 ** 43 - 1;
const HIGH_BITS = 2 ** 32;
const NEXT_BIT = EntryFlag.next << 24;
const OPEN_BIT = EntryFlag.open << 24;
const NO_BYTES = new Uint8Array(0);

/** Bytes of the entry that holds a value of `length` bytes, with all of its header. */
export function entryBytes(length: number): number {
  return ENTRY_HEADER_BYTES + ((length + 3) & ~3);
}

export function shortEntryBytes(length: number): number {
  return SHORT_HEADER_BYTES + ((length + 3) & ~3);
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
  view.setUint32(at, ((flags << 24) | length) >>> 0, true);
  view.setUint32(at + 4, session >>> 0, true);
  view.setUint32(at + 8, high >>> 0, true);
  view.setUint32(at + 12, sequence >>> 0, true);
  writePadding(view, at + ENTRY_HEADER_BYTES + length, length);
}

/** The same of a short entry; its value goes to `at + SHORT_HEADER_BYTES`. */
export function writeShortHeader(view: DataView, at: number, length: number, flags: number): void {
  view.setUint32(at, (((flags | EntryFlag.next) << 24) | length) >>> 0, true);
  writePadding(view, at + SHORT_HEADER_BYTES + length, length);
}

function writePadding(view: DataView, at: number, length: number): void {
  for (let i = (4 - (length & 3)) & 3; i > 0; i--) view.setUint8(at + i - 1, 0);
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
  /** Without `next`, which says how the entry is written, not what it is. */
  flags = 0;
  /** Position of the entry in its batch, from 0. */
  index = -1;
  /** Where the value lies in the buffer given to `open`. */
  valueOffset = 0;
  valueLength = 0;
  /** The entry's header says neither session nor sequence. */
  isShort = false;
  /** After `restOfRun`: bytes of the longest value of the run. */
  longest = 0;
  #bytes: Uint8Array = NO_BYTES;
  /** Of `#bytes`: an entry's word in one load. */
  #view: DataView = new DataView(NO_BYTES.buffer);
  #at = 0;
  #end = 0;
  #rest = 0;
  #restEnd = 0;

  open(bytes: Uint8Array, offset: number, length: number): void {
    if (bytes !== this.#bytes) this.#changeBuffer(bytes);
    this.#at = offset;
    this.#end = offset + length;
    this.index = -1;
  }

  /** Nearly always the batches of a reader are all in one buffer. */
  #changeBuffer(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Where the value ends, with its padding, and the next entry begins. */
  get valueEnd(): number {
    return this.#at;
  }

  /** No whole entry can follow the present one. */
  get isLast(): boolean {
    return this.#end - this.#at < SHORT_HEADER_BYTES;
  }

  /** Moves to the next entry; false at the end, or where the bytes are no whole entry. */
  next(): boolean {
    const at = this.#at;
    const left = this.#end - at;
    if (left < SHORT_HEADER_BYTES) return false;
    const view = this.#view;
    const head = view.getInt32(at, true);
    const size = sizeOfEntry(head, left, this.index < 0);
    if (size === 0) return false;
    this.valueLength = head & 0xffffff;
    this.flags = (head >>> 24) & ~EntryFlag.next;
    this.isShort = (head & NEXT_BIT) !== 0;
    if (this.isShort) {
      this.sequence++;
      this.valueOffset = at + SHORT_HEADER_BYTES;
    } else {
      const high = view.getInt32(at + 8, true);
      this.session = (high & 0x1fffff) * HIGH_BITS + view.getUint32(at + 4, true);
      this.sequence = (high >>> 21) * HIGH_BITS + view.getUint32(at + 12, true);
      this.valueOffset = at + ENTRY_HEADER_BYTES;
    }
    this.#at = at + size;
    this.index++;
    return true;
  }

  /**
   * How many values follow the present one directly, each the next of the same session and an entry of its own: with it they are
   * a run. 0 where the present one is no such value.
   */
  restOfRun(): number {
    this.longest = this.valueLength;
    this.#rest = 0;
    if (this.flags !== 0) return 0;
    const view = this.#view;
    const end = this.#end;
    let at = this.#at;
    let rest = 0;
    let longest = this.valueLength;
    while (end - at >= SHORT_HEADER_BYTES) {
      const head = view.getInt32(at, true);
      const length = head & 0xffffff;
      const size = shortEntryBytes(length);
      if (head >>> 24 !== EntryFlag.next || size > end - at) break;
      if (length > longest) longest = length;
      // Most have the header of the one before: with its size the processor need not wait for each length in turn.
      do {
        rest++;
        at += size;
      } while (end - at >= size && view.getInt32(at, true) === head);
    }
    this.longest = longest;
    this.#rest = rest;
    this.#restEnd = at;
    return rest;
  }

  /** Past the run that `restOfRun` found; of its last value only the position is told. */
  skipRun(): void {
    this.index += this.#rest;
    this.sequence += this.#rest;
    this.#at = this.#restEnd;
  }
}

/** Whether the bytes are exactly a sequence of whole entries, none of which has one of the `forbidden` flags. */
export function isBatch(bytes: Uint8Array, offset: number, length: number, forbidden = 0): boolean {
  const end = offset + length;
  let at = offset;
  while (at < end) {
    if (end - at < SHORT_HEADER_BYTES) return false;
    const head = word(bytes, at);
    const size = sizeOfEntry(head, end - at, at === offset);
    if (size === 0 || (bytes[at + 3]! & forbidden) !== 0) return false;
    // As in `restOfRun`: what has the same header is as long, and as good.
    do at += size;
    while (end - at >= size && word(bytes, at) === head);
  }
  return at === end;
}

/** Bytes of the value whose entry begins at `at`. */
export function valueLengthAt(bytes: Uint8Array, at: number): number {
  return word(bytes, at) & 0xffffff;
}

/** Whether the first of these entries opens a session. */
export function isOpening(bytes: Uint8Array, offset: number, length: number): boolean {
  return length >= ENTRY_HEADER_BYTES && (bytes[offset + 3]! & EntryFlag.open) !== 0;
}

/**
 * Bytes of the entry that begins with this word, where so many bytes are left; 0: none that is whole. A short one has another
 * before it, and opens nothing.
 */
function sizeOfEntry(head: number, left: number, isFirst: boolean): number {
  const length = ((head & 0xffffff) + 3) & ~3;
  let size = SHORT_HEADER_BYTES + length;
  if ((head & NEXT_BIT) === 0) size = ENTRY_HEADER_BYTES + length;
  else if (isFirst || (head & OPEN_BIT) !== 0) return 0;
  return size > left ? 0 : size;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
