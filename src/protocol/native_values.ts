/**
 * How a client's values look in the native wire: a batch entry each. Every virtual client is a session of its own; its
 * n-th value has sequence n and, with o outstanding, sits in place (n − 1) mod o of that client.
 */
import { BatchReader, ENTRY_HEADER_BYTES, entryBytes, writeEntryHeader } from "./batch.ts";
import type { ValueFormat } from "./client.ts";

export class NativeValues implements ValueFormat {
  readonly overheadBytes = ENTRY_HEADER_BYTES;
  readonly bytes: Uint8Array;
  client = 0;
  slot = 0;
  sequence = 0;
  readonly stampUs = -1;
  size = 0;
  readonly #view: DataView;
  /** Where the last value ended: its padding has taken the pattern's place there. */
  #end = ENTRY_HEADER_BYTES;
  readonly #firstSession: number;
  readonly #clients: number;
  readonly #outstanding: number;
  readonly #reader = new BatchReader();

  /** Sessions firstSession … firstSession + clients − 1 are this process's. */
  constructor(firstSession: number, clients: number, outstanding: number, maxSize: number) {
    this.#firstSession = firstSession;
    this.#clients = clients;
    this.#outstanding = outstanding;
    this.bytes = new Uint8Array(entryBytes(maxSize));
    fillPattern(this.bytes, ENTRY_HEADER_BYTES);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** `slot` counts over all clients: client × outstanding + place. */
  write(client: number, _slot: number, sequence: number, _stampUs: number, size: number): number {
    // A value that is sent again has the same bytes.
    for (let at = this.#end; at < this.#end + 3 && at < this.bytes.length; at++)
      this.bytes[at] = patternAt(at);
    this.#end = ENTRY_HEADER_BYTES + size;
    writeEntryHeader(this.#view, 0, this.#firstSession + client, sequence, size, 0);
    return entryBytes(size);
  }

  open(bytes: Uint8Array, offset: number, length: number): void {
    this.#reader.open(bytes, offset, length);
  }

  next(): boolean {
    const reader = this.#reader;
    while (reader.next()) {
      const client = reader.session - this.#firstSession;
      if (client < 0 || client >= this.#clients || reader.sequence < 1) continue;
      this.client = client;
      this.sequence = reader.sequence;
      this.slot = client * this.#outstanding + ((reader.sequence - 1) % this.#outstanding);
      this.size = reader.valueLength;
      return true;
    }
    return false;
  }
}

/** Something to look at in a trace: the alphabet again and again. */
export function fillPattern(bytes: Uint8Array, from: number): void {
  for (let i = from; i < bytes.length; i++) bytes[i] = 97 + ((i - from) % 26);
}

function patternAt(at: number): number {
  return 97 + ((at - ENTRY_HEADER_BYTES) % 26);
}
