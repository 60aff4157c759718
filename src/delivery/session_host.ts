/**
 * The learner host of remote clients (the manuals' user-space learner): remembers which client ids each client asked
 * for and forwards their values. Any number of clients up to a limit; asking again is harmless, so a lost OPEN_CONN or OK is
 * made good by the client's next one; a client that has asked for the same ids from elsewhere has moved.
 */

import type { Extra } from "../node/roles.ts";
import { assert } from "../protocol/assert.ts";
import { EntryBuffer } from "../protocol/batch.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { NO_PEER, type Peer } from "../protocol/types.ts";
import { ClientRecord, readClientRecord } from "../wire/client_record.ts";
import type { DeviceReader } from "./device_reader.ts";
import type { DeviceTaker } from "./device_source.ts";

export const CONNECTIONS_LIMIT = 1024;
const ROOM_RESERVE = 8;

export class SessionHost implements Extra, DeviceTaker {
  readonly counters = { opened: 0, closed: 0, forwarded: 0, unclaimed: 0, refused: 0, tooLarge: 0 };
  count = 0;
  readonly #onFull: (limit: number) => void;
  readonly #outbox: Outbox;
  readonly #batches: boolean;
  readonly #peers = new Int32Array(CONNECTIONS_LIMIT);
  readonly #first = new Float64Array(CONNECTIONS_LIMIT);
  readonly #end = new Float64Array(CONNECTIONS_LIMIT);
  readonly #connection = new Uint32Array(CONNECTIONS_LIMIT);
  readonly #record = new ClientRecord();
  readonly #entry: EntryBuffer;
  #nextConnection = 1;

  /**
   * `batches`: values come with a session and sequence (native wire), not in a client record. `onFull` is told the limit
   * each time a client is turned away for it.
   */
  constructor(outbox: Outbox, batches: boolean, onFull: (limit: number) => void) {
    this.#onFull = onFull;
    this.#outbox = outbox;
    this.#batches = batches;
    this.#entry = new EntryBuffer(outbox.maxValue);
  }

  onSessionOpen(from: Peer, first: number, end: number): void {
    let index = this.#findRange(first, end);
    if (index < 0) {
      if (this.count === CONNECTIONS_LIMIT) {
        this.counters.refused++;
        this.#onFull(CONNECTIONS_LIMIT);
        return;
      }
      index = this.count++;
      this.#connection[index] = this.#nextConnection++;
      this.counters.opened++;
    }
    this.#peers[index] = from;
    this.#first[index] = first;
    this.#end[index] = end;
    this.#outbox.sessionOk(from, this.#connection[index]!);
  }

  onSessionClose(from: Peer, connection: number): void {
    for (let i = 0; i < this.count; i++) {
      if (this.#connection[i] !== connection || this.#peers[i] !== from) continue;
      const last = --this.count;
      this.#peers[i] = this.#peers[last]!;
      this.#first[i] = this.#first[last]!;
      this.#end[i] = this.#end[last]!;
      this.#connection[i] = this.#connection[last]!;
      this.counters.closed++;
      return;
    }
  }

  take(reader: DeviceReader): boolean {
    if (this.#outbox.room() < ROOM_RESERVE) return false;
    const { bytes, offset, length } = reader;
    if (!this.#batches) {
      const known = readClientRecord(bytes, offset, length, this.#record);
      const to = known ? this.#peerOf(this.#record.clientId) : NO_PEER;
      if (to !== NO_PEER) this.#outbox.sessionValue(to, bytes, offset, length);
      return true;
    }
    const to = this.#peerOf(reader.session);
    if (to === NO_PEER) return true;
    const size = this.#entry.write(reader.session, reader.sequence, bytes, offset, length);
    if (size < 0) this.counters.tooLarge++;
    else this.#outbox.sessionValue(to, this.#entry.bytes, 0, size);
    return true;
  }

  #peerOf(id: number): Peer {
    for (let i = 0; i < this.count; i++) {
      if (id < this.#first[i]! || id >= this.#end[i]!) continue;
      this.counters.forwarded++;
      return this.#peers[i]! as Peer;
    }
    this.counters.unclaimed++;
    return NO_PEER;
  }

  #findRange(first: number, end: number): number {
    assert(end > first, "a range of client ids is not empty");
    for (let i = 0; i < this.count; i++) if (this.#first[i] === first && this.#end[i] === end) return i;
    return -1;
  }
}
