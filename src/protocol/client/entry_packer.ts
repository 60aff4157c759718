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
  /** Of a message that takes entries after its first. */
  readonly #limit: number;
  #used = 0;
  /** What would come next in the session of the last entry is written shortly. */
  #session = 0;
  #next = 0;

  /** `batching`: several entries share a message, and so an instance. */
  constructor(outbox: Outbox, batching: boolean) {
    this.#outbox = outbox;
    this.bytes = new Uint8Array(outbox.maxValue & ~3);
    this.#view = new DataView(this.bytes.buffer);
    this.pieceBytes = this.bytes.length - ENTRY_HEADER_BYTES;
    this.#limit = batching ? this.bytes.length : 0;
  }

  /** Writes an entry's header; returns where its value goes in `bytes`, −1: that would take more frames than there are. */
  begin(session: number, sequence: number, length: number, flags: number, proposerId: number): number {
    const at = this.#used;
    if (at > 0 && session === this.#session && sequence === this.#next) {
      const end = at + shortEntryBytes(length);
      if (end <= this.#limit) {
        writeShortHeader(this.#view, at, length, flags);
        this.#next = sequence + 1;
        this.#used = end;
        return at + SHORT_HEADER_BYTES;
      }
    }
    return this.#beginFull(session, sequence, length, flags, proposerId);
  }

  #beginFull(session: number, sequence: number, length: number, flags: number, proposerId: number): number {
    const size = entryBytes(length);
    if (this.#used + size > this.#limit) this.flush(proposerId);
    const at = this.#used;
    if (at === 0 && this.#outbox.room() < ROOM_RESERVE) return -1;
    writeEntryHeader(this.#view, at, session, sequence, length, flags);
    // An opening's number is a nonce.
    this.#session = (flags & EntryFlag.open) !== 0 ? 0 : session;
    this.#next = sequence + 1;
    this.#used = at + size;
    return at + ENTRY_HEADER_BYTES;
  }

  /** Sends what is packed. */
  flush(proposerId: number): void {
    if (this.#used === 0) return;
    this.#outbox.clientValue(proposerId, this.bytes, 0, this.#used, 0);
    this.#used = 0;
  }
}
