/**
 * The learner host of remote clients (the manuals' user-space learner): remembers which client ids (Kernel_Paxos wire) or
 * sessions (native wire) each client asked for, and forwards their values. Asking again is harmless, so a lost question or OK
 * is made good by the client's next one; a client that has asked for the same from elsewhere has moved.
 *
 * Bounded. In the native wire every session is asked for by itself, found by its number, and forgotten when nobody has asked
 * for it for a while; a value that does not fit a frame is announced without its bytes. The reference's clients ask
 * only once, for a range of ids, so in its wire nothing is forgotten before it is closed.
 */

import type { Extra } from "../node/roles.ts";
import { assert } from "../protocol/assert.ts";
import { EntryBuffer, EntryFlag } from "../protocol/batch.ts";
import { NumberIndex } from "../protocol/number_index.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { Recency } from "../protocol/recency.ts";
import { NO_PEER, type Peer } from "../protocol/types.ts";
import { ClientRecord, readClientRecord } from "../wire/client_record.ts";
import type { DeviceReader } from "./device_reader.ts";
import type { DeviceTaker } from "./device_source.ts";

/** Ranges of client ids, and sessions. */
export const CONNECTIONS_LIMIT = 1024;
export const SESSIONS_LIMIT = 65_536;
/** Clients ask again each second. */
const SILENCE_US = 10_000_000;
const LOOK_US = 1_000_000;
const ROOM_RESERVE = 8;

export interface HostCounters {
  opened: number;
  closed: number;
  forwarded: number;
  unclaimed: number;
  refused: number;
  /** Values announced without their bytes. */
  tooLarge: number;
  expired: number;
}

/** Who asked for what. */
interface Table {
  readonly count: number;
  /** Notes who asks; the connection's number, or −1: there is no place. */
  open(from: Peer, first: number, end: number, nowUs: number): number;
  close(from: Peer, connection: number): boolean;
  peerOf(id: number): Peer;
  /** Forgets who was silent; returns how many that were. */
  expire(nowUs: number): number;
}

export class SessionHost implements Extra, DeviceTaker {
  readonly counters: HostCounters = {
    opened: 0,
    closed: 0,
    forwarded: 0,
    unclaimed: 0,
    refused: 0,
    tooLarge: 0,
    expired: 0,
  };
  readonly #onFull: (limit: number) => void;
  readonly #outbox: Outbox;
  readonly #batches: boolean;
  readonly #limit: number;
  readonly #table: Table;
  readonly #record = new ClientRecord();
  readonly #entry: EntryBuffer;
  #nowUs = 0;
  #lookUs = 0;

  /**
   * `batches`: values come with a session and sequence (native wire), not in a client record. `onFull` is told the limit
   * each time a client is turned away for it. `limit`: of clients, unless it is the usual.
   */
  constructor(outbox: Outbox, batches: boolean, onFull: (limit: number) => void, limit?: number) {
    this.#onFull = onFull;
    this.#outbox = outbox;
    this.#batches = batches;
    this.#limit = limit ?? (batches ? SESSIONS_LIMIT : CONNECTIONS_LIMIT);
    this.#table = batches ? new SessionPlaces(this.#limit) : new IdRanges(this.#limit);
    this.#entry = new EntryBuffer(outbox.maxValue);
  }

  get count(): number {
    return this.#table.count;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (nowUs < this.#lookUs) return;
    this.#lookUs = nowUs + LOOK_US;
    this.counters.expired += this.#table.expire(nowUs);
  }

  nextTickUs(): number {
    return this.#batches && this.count > 0 ? this.#lookUs : Number.POSITIVE_INFINITY;
  }

  onSessionOpen(from: Peer, first: number, end: number): void {
    if (this.#batches && (first === 0 || end !== first + 1)) {
      this.counters.refused++;
      return;
    }
    const before = this.count;
    const connection = this.#table.open(from, first, end, this.#nowUs);
    if (connection < 0) {
      this.counters.refused++;
      this.#onFull(this.#limit);
      return;
    }
    this.counters.opened += this.count - before;
    this.#outbox.sessionOk(from, connection);
  }

  onSessionClose(from: Peer, connection: number): void {
    if (this.#table.close(from, connection)) this.counters.closed++;
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
    const { session, sequence } = reader;
    let size = this.#entry.write(session, sequence, bytes, offset, length, 0);
    if (size < 0) {
      this.counters.tooLarge++;
      size = this.#entry.write(session, sequence, bytes, 0, 0, EntryFlag.more);
    }
    this.#outbox.sessionValue(to, this.#entry.bytes, 0, size);
    return true;
  }

  #peerOf(id: number): Peer {
    const peer = this.#table.peerOf(id);
    if (peer === NO_PEER) this.counters.unclaimed++;
    else this.counters.forwarded++;
    return peer;
  }
}

/** Sessions, each with a place of its own. */
class SessionPlaces implements Table {
  readonly #id: Float64Array;
  readonly #peer: Int32Array;
  readonly #askedUs: Float64Array;
  readonly #index: NumberIndex;
  readonly #asked: Recency;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(limit: number) {
    this.#id = new Float64Array(limit);
    this.#peer = new Int32Array(limit);
    this.#askedUs = new Float64Array(limit);
    this.#index = new NumberIndex(this.#id);
    this.#asked = new Recency(limit);
    this.#free = new Int32Array(limit);
    for (let i = 0; i < limit; i++) this.#free[i] = limit - 1 - i;
    this.#freeCount = limit;
  }

  get count(): number {
    return this.#asked.count;
  }

  open(from: Peer, session: number, _end: number, nowUs: number): number {
    let place = this.#index.find(session);
    if (place < 0) {
      if (this.#freeCount === 0) return -1;
      place = this.#free[--this.#freeCount]!;
      this.#id[place] = session;
      this.#index.add(place);
    }
    this.#peer[place] = from;
    this.#askedUs[place] = nowUs;
    this.#asked.touch(place);
    return place;
  }

  /** They are forgotten by themselves. */
  close(): boolean {
    return false;
  }

  peerOf(id: number): Peer {
    const place = this.#index.find(id);
    return place < 0 ? NO_PEER : (this.#peer[place]! as Peer);
  }

  expire(nowUs: number): number {
    let count = 0;
    for (let place = this.#asked.oldest; place >= 0; place = this.#asked.oldest) {
      if (nowUs - this.#askedUs[place]! < SILENCE_US) break;
      this.#index.remove(place);
      this.#asked.remove(place);
      this.#id[place] = 0;
      this.#free[this.#freeCount++] = place;
      count++;
    }
    return count;
  }
}

/** Ranges of client ids, as the reference's clients ask for them. */
class IdRanges implements Table {
  count = 0;
  readonly #peers: Int32Array;
  readonly #first: Float64Array;
  readonly #end: Float64Array;
  readonly #connection: Uint32Array;
  #nextConnection = 1;

  constructor(limit: number) {
    this.#peers = new Int32Array(limit);
    this.#first = new Float64Array(limit);
    this.#end = new Float64Array(limit);
    this.#connection = new Uint32Array(limit);
  }

  open(from: Peer, first: number, end: number): number {
    let index = this.#find(first, end);
    if (index < 0) {
      if (this.count === this.#peers.length) return -1;
      index = this.count++;
      this.#connection[index] = this.#nextConnection++;
    }
    this.#peers[index] = from;
    this.#first[index] = first;
    this.#end[index] = end;
    return this.#connection[index]!;
  }

  close(from: Peer, connection: number): boolean {
    for (let i = 0; i < this.count; i++) {
      if (this.#connection[i] !== connection || this.#peers[i] !== from) continue;
      const last = --this.count;
      this.#peers[i] = this.#peers[last]!;
      this.#first[i] = this.#first[last]!;
      this.#end[i] = this.#end[last]!;
      this.#connection[i] = this.#connection[last]!;
      return true;
    }
    return false;
  }

  peerOf(id: number): Peer {
    for (let i = 0; i < this.count; i++) {
      if (id >= this.#first[i]! && id < this.#end[i]!) return this.#peers[i]! as Peer;
    }
    return NO_PEER;
  }

  expire(): number {
    return 0;
  }

  #find(first: number, end: number): number {
    assert(end > first, "a range of client ids is not empty");
    for (let i = 0; i < this.count; i++) if (this.#first[i] === first && this.#end[i] === end) return i;
    return -1;
  }
}
