/**
 * Serves snapshots to whoever fetches them: a bounded number of bytes a turn, in the order asked, never the last transmit
 * slots. What does not fit the queue is dropped; who fetches asks again.
 */

import { GRAIN_BYTES, SEGMENT_BYTES } from "../protocol/learner/snapshot_transfer.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { NO_PEER, type Peer } from "../protocol/types.ts";
import type { SnapshotShelf } from "./snapshot_shelf.ts";

const TURN_BYTES = 65_536;
const QUEUE = 64;
/** Frames left to others in a turn. */
const ROOM_RESERVE = 32;
/** A chunk's own fields take this more than those of an accept, whose value is as large as a frame allows. */
const CHUNK_FIELDS_BYTES = 32;

export class SnapshotServer {
  readonly counters = { chunks: 0, bytes: 0, gone: 0, dropped: 0 };
  readonly #outbox: Outbox;
  readonly #chunkBytes: number;
  readonly #peer = new Int32Array(QUEUE);
  readonly #shelf: SnapshotShelf[];
  readonly #iid = new Float64Array(QUEUE);
  readonly #position = new Float64Array(QUEUE);
  readonly #end = new Float64Array(QUEUE);
  #head = 0;
  #count = 0;

  constructor(outbox: Outbox, idle: SnapshotShelf) {
    this.#outbox = outbox;
    this.#chunkBytes = Math.max(GRAIN_BYTES, outbox.maxValue - CHUNK_FIELDS_BYTES) & ~(GRAIN_BYTES - 1);
    this.#shelf = new Array<SnapshotShelf>(QUEUE).fill(idle);
  }

  /** Tells what there is above an instance, if anything. */
  offer(to: Peer, shelf: SnapshotShelf, above: number, nowUs: number): void {
    const one = shelf.offer(above, nowUs);
    if (one !== null) this.#outbox.snapshotInfo(to, one.kind, one.iid, one.bytes.length, one.checksum);
  }

  onFetch(from: Peer, shelf: SnapshotShelf, iid: number, position: number, size: number): void {
    if (this.#count === QUEUE) {
      this.counters.dropped++;
      return;
    }
    const at = (this.#head + this.#count++) % QUEUE;
    this.#peer[at] = from;
    this.#shelf[at] = shelf;
    this.#iid[at] = iid;
    this.#position[at] = position;
    this.#end[at] = position + Math.min(size, SEGMENT_BYTES);
  }

  /** Sends what may be sent in this turn; true: there is more. */
  pump(nowUs: number): boolean {
    let left = TURN_BYTES;
    while (this.#count > 0 && left > 0) {
      const at = this.#head;
      const to = this.#peer[at]! as Peer;
      const shelf = this.#shelf[at]!;
      const snapshot = shelf.take(this.#iid[at]!, nowUs);
      if (snapshot === null) {
        this.counters.gone++;
        this.offer(to, shelf, this.#iid[at]!, nowUs);
        this.#drop();
        continue;
      }
      const { kind, iid, bytes } = snapshot;
      const end = Math.min(this.#end[at]!, bytes.length);
      let position = this.#position[at]!;
      while (position < end && left > 0) {
        if (this.#outbox.room() < ROOM_RESERVE) {
          this.#position[at] = position;
          return true;
        }
        const length = Math.min(this.#chunkBytes, end - position);
        this.#outbox.snapshotChunk(to, kind, iid, position, bytes, position, length);
        this.counters.chunks++;
        this.counters.bytes += length;
        position += length;
        left -= length;
      }
      this.#position[at] = position;
      if (position >= end) this.#drop();
    }
    return this.#count > 0;
  }

  #drop(): void {
    this.#peer[this.#head] = NO_PEER;
    this.#head = (this.#head + 1) % QUEUE;
    this.#count--;
  }
}
