/**
 * How a client's values look in the Kernel_Paxos wire: the reference's client record. A value is known again by its client
 * id and its time of sending; the slot rides in the record's padding, which nobody else reads.
 */

import type { ValueFormat } from "../protocol/client/record_client.ts";
import { fillPattern } from "../protocol/client/value_source.ts";
import { readU32Little, writeU32Little } from "./bytes.ts";
import { CLIENT_RECORD_BYTES, ClientRecord, readClientRecord, writeClientRecord } from "./client_record.ts";

const PADDING_AT = 4;
const MICROSECONDS = 1_000_000;

export class KernelPaxosValues implements ValueFormat {
  readonly overheadBytes = CLIENT_RECORD_BYTES;
  readonly bytes: Uint8Array;
  client = 0;
  slot = 0;
  readonly sequence = -1;
  stampUs = 0;
  size = 0;
  readonly #firstId: number;
  readonly #clients: number;
  readonly #record = new ClientRecord();
  #from: Uint8Array = new Uint8Array(0);
  #offset = 0;
  #length = -1;

  /** Client ids firstId … firstId + clients − 1 are this process's. */
  constructor(firstId: number, clients: number, maxSize: number) {
    this.#firstId = firstId;
    this.#clients = clients;
    this.bytes = new Uint8Array(CLIENT_RECORD_BYTES + maxSize);
    fillPattern(this.bytes, CLIENT_RECORD_BYTES);
  }

  write(client: number, slot: number, _sequence: number, stampUs: number, size: number): number {
    const record = this.#record;
    record.clientId = this.#firstId + client;
    record.seconds = Math.floor(stampUs / MICROSECONDS);
    record.microseconds = stampUs - record.seconds * MICROSECONDS;
    record.size = size;
    writeClientRecord(record, this.bytes, 0);
    writeU32Little(this.bytes, PADDING_AT, slot);
    return CLIENT_RECORD_BYTES + size;
  }

  open(bytes: Uint8Array, offset: number, length: number): void {
    this.#from = bytes;
    this.#offset = offset;
    this.#length = length;
  }

  next(): boolean {
    const length = this.#length;
    this.#length = -1;
    if (length < 0 || !readClientRecord(this.#from, this.#offset, length, this.#record)) return false;
    const client = this.#record.clientId - this.#firstId;
    if (client < 0 || client >= this.#clients) return false;
    this.client = client;
    this.slot = readU32Little(this.#from, this.#offset + PADDING_AT);
    this.stampUs = this.#record.seconds * MICROSECONDS + this.#record.microseconds;
    this.size = this.#record.size;
    return true;
  }
}
