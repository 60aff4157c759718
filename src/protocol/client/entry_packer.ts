/**
 * Packs the entries of a client into messages as large as one instance carries, and sends them.
 */
import {
  ENTRY_HEADER_BYTES,
  EntryFlag,
  entryBytes,
  SHORT_HEADER_BYTES,
  shortEntryBytes,
  writeEntryHeader,
  writeShortHeader,
} from "../batch.ts";
import type { Outbox } from "../outbox.ts";

/** Frames kept free for others of this process. */
const ROOM_RESERVE = 8;

export class EntryPacker {
  readonly bytes: Uint8Array;
  /** Bytes of a value that one entry carries. */
  readonly pieceBytes: number;
  readonly #outbox: Outbox;
  readonly #view: DataView;
  readonly #batching: boolean;
  #used = 0;
  /** Of the last entry; what comes next in its session is written shortly. */
  #session = 0;
  #sequence = 0;

  /** `batching`: several entries share a message, and so an instance. */
  constructor(outbox: Outbox, batching: boolean) {
    this.#outbox = outbox;
    this.#batching = batching;
    this.bytes = new Uint8Array(outbox.maxValue & ~3);
    this.#view = new DataView(this.bytes.buffer);
    this.pieceBytes = this.bytes.length - ENTRY_HEADER_BYTES;
  }

  /** Whether this entry can be written without more frames than there are. */
  hasRoom(session: number, sequence: number, length: number, proposerId: number): boolean {
    const size = this.#isNext(session, sequence) ? shortEntryBytes(length) : entryBytes(length);
    const isFull = !this.#batching || this.#used + size > this.bytes.length;
    if (isFull) this.flush(proposerId);
    return this.#used > 0 || this.#outbox.room() >= ROOM_RESERVE;
  }

  /** Writes an entry's header, after `hasRoom`; returns where its value goes in `bytes`. */
  write(session: number, sequence: number, length: number, flags: number): number {
    const at = this.#used;
    const isShort = this.#isNext(session, sequence);
    if (isShort) writeShortHeader(this.#view, at, length, flags);
    else writeEntryHeader(this.#view, at, session, sequence, length, flags);
    // An opening's number is a nonce.
    this.#session = (flags & EntryFlag.open) !== 0 ? 0 : session;
    this.#sequence = sequence;
    this.#used = at + (isShort ? shortEntryBytes(length) : entryBytes(length));
    return at + (isShort ? SHORT_HEADER_BYTES : ENTRY_HEADER_BYTES);
  }

  #isNext(session: number, sequence: number): boolean {
    return this.#used > 0 && session === this.#session && sequence === this.#sequence + 1;
  }

  /** Sends what is packed. */
  flush(proposerId: number): void {
    if (this.#used === 0) return;
    this.#outbox.clientValue(proposerId, this.bytes, 0, this.#used, 0);
    this.#used = 0;
  }
}
