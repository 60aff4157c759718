/**
 * Packs the entries of a client into messages as large as one instance carries, and sends them.
 */
import { ENTRY_HEADER_BYTES, entryBytes, writeEntryHeader } from "../batch.ts";
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

  /** `batching`: several entries share a message, and so an instance. */
  constructor(outbox: Outbox, batching: boolean) {
    this.#outbox = outbox;
    this.#batching = batching;
    this.bytes = new Uint8Array(outbox.maxValue & ~3);
    this.#view = new DataView(this.bytes.buffer);
    this.pieceBytes = this.bytes.length - ENTRY_HEADER_BYTES;
  }

  /** Whether an entry with so many bytes can be written without more frames than there are. */
  hasRoom(length: number, proposerId: number): boolean {
    const isFull = !this.#batching || this.#used + entryBytes(length) > this.bytes.length;
    if (isFull) this.flush(proposerId);
    return this.#used > 0 || this.#outbox.room() >= ROOM_RESERVE;
  }

  /** Writes an entry's header, after `hasRoom`; returns where its value goes in `bytes`. */
  write(session: number, sequence: number, length: number, flags: number): number {
    const at = this.#used;
    writeEntryHeader(this.#view, at, session, sequence, length, flags);
    this.#used = at + entryBytes(length);
    return at + ENTRY_HEADER_BYTES;
  }

  /** Sends what is packed. */
  flush(proposerId: number): void {
    if (this.#used === 0) return;
    this.#outbox.clientValue(proposerId, this.bytes, 0, this.#used, 0);
    this.#used = 0;
  }
}
