/**
 * What an acceptor holds of each instance above its trim point: the instance's own promise (Kernel_Paxos wire), the
 * accepted ballot, life and value. A window bounded in instances and in bytes: what lies beyond is refused, and
 * nothing that is not trimmed is ever overwritten (the reference's store is a ring that does). Its memory is taken with the
 * first instance.
 */
import { Arena } from "../arena.ts";
import { assert } from "../assert.ts";
import { type Ballot, type Life, NO_BALLOT } from "../types.ts";

export interface AcceptorLogOptions {
  /** Rounded up to a power of two. */
  readonly instances: number;
  readonly bytes: number;
}

export class AcceptorLog {
  readonly instances: number;
  readonly arena: Arena;
  /** Everything up to here is trimmed: dropped for good. */
  trimIid = 0;
  /** Highest instance with an accepted value, 0 when none. */
  highestIid = 0;
  /** Of one slot, which is empty, until an instance is taken in. */
  #mask = 0;
  /** Which instance a slot holds; 0: none. */
  #iid = new Float64Array(1);
  #promised = new Float64Array(1);
  #ballot = new Float64Array(1);
  #life = new Float64Array(1);
  #flags = new Uint8Array(1);
  #offset = new Uint32Array(1);
  #length = new Uint32Array(1);
  /** Highest instance a slot was ever taken for; 0: none was, and there are no slots yet. */
  #touchedIid = 0;

  constructor(options: AcceptorLogOptions) {
    let instances = 1;
    while (instances < options.instances) instances *= 2;
    this.instances = instances;
    this.arena = new Arena(options.bytes);
  }

  /** Whether the window reaches as far as this instance. */
  covers(iid: number): boolean {
    return iid > this.trimIid && iid <= this.trimIid + this.instances;
  }

  /** How full the window is, 0…1: the worse of instances and bytes. */
  fill(): number {
    const instances = this.highestIid <= this.trimIid ? 0 : (this.highestIid - this.trimIid) / this.instances;
    return Math.max(instances, this.arena.used / this.arena.capacity);
  }

  promisedAt(iid: number): Ballot {
    const slot = iid & this.#mask;
    return (this.#iid[slot] === iid ? this.#promised[slot]! : 0) as Ballot;
  }

  /** Ballot of the accepted value; `NO_BALLOT` when nothing was accepted. */
  ballotAt(iid: number): Ballot {
    const slot = iid & this.#mask;
    return (this.#iid[slot] === iid ? this.#ballot[slot]! : NO_BALLOT) as Ballot;
  }

  /** These are defined only where `ballotAt` is not `NO_BALLOT`. */
  lifeAt(iid: number): Life {
    return this.#life[iid & this.#mask]!;
  }
  /** `RecordFlag` bits. */
  flagsAt(iid: number): number {
    return this.#flags[iid & this.#mask]!;
  }
  setFlags(iid: number, flags: number): void {
    this.#flags[iid & this.#mask] = flags;
  }
  offsetAt(iid: number): number {
    return this.#offset[iid & this.#mask]!;
  }
  lengthAt(iid: number): number {
    return this.#length[iid & this.#mask]!;
  }

  promise(iid: number, ballot: Ballot): void {
    // Taken first: the first instance makes the array.
    const slot = this.#take(iid);
    this.#promised[slot] = ballot;
  }

  /** Records an accepted value with its `RecordFlag` bits; false when the arena has no room, and then nothing has changed. */
  accept(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const slot = this.#take(iid);
    const stored = this.arena.store(bytes, offset, length);
    if (stored < 0) return false;
    if (this.#ballot[slot] !== 0) this.arena.free(this.#offset[slot]!, this.#length[slot]!);
    this.#promised[slot] = ballot;
    this.#ballot[slot] = ballot;
    this.#life[slot] = life;
    this.#flags[slot] = flags;
    this.#offset[slot] = stored;
    this.#length[slot] = length;
    if (iid > this.highestIid) this.highestIid = iid;
    return true;
  }

  /** Drops every instance ≤ `iid`; a lower trim than before changes nothing. */
  trim(iid: number): void {
    const last = Math.min(iid, this.#touchedIid);
    for (let i = this.trimIid + 1; i <= last; i++) {
      const slot = i & this.#mask;
      if (this.#iid[slot] !== i) continue;
      if (this.#ballot[slot] !== 0) this.arena.free(this.#offset[slot]!, this.#length[slot]!);
      this.#iid[slot] = 0;
      this.#ballot[slot] = 0;
    }
    if (iid > this.trimIid) this.trimIid = iid;
  }

  #begin(): void {
    const { instances } = this;
    this.#mask = instances - 1;
    this.#iid = new Float64Array(instances);
    this.#promised = new Float64Array(instances);
    this.#ballot = new Float64Array(instances);
    this.#life = new Float64Array(instances);
    this.#flags = new Uint8Array(instances);
    this.#offset = new Uint32Array(instances);
    this.#length = new Uint32Array(instances);
  }

  #take(iid: number): number {
    assert(this.covers(iid), "an instance is inside the acceptor's window");
    if (this.#touchedIid === 0) this.#begin();
    const slot = iid & this.#mask;
    if (this.#iid[slot] !== iid) {
      assert(this.#iid[slot] === 0, "a slot of the acceptor's window is free");
      this.#iid[slot] = iid;
      this.#promised[slot] = 0;
      if (iid > this.#touchedIid) this.#touchedIid = iid;
    }
    return slot;
  }
}
