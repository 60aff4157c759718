/**
 * The instances a proposer has in hand: what was promised, what is proposed, and whose value it is. A window of slots
 * and one bounded store for values; the queue of own values that lost their instance and want another.
 */
import { Arena } from "../arena.ts";
import { assert } from "../assert.ts";
import { sameBytes } from "../bytes.ts";
import { AcceptorSets } from "../quorum.ts";
import { isReset } from "../reset_entry.ts";
import type { Ballot } from "../types.ts";

export const Status = { empty: 0, preparing: 1, prepared: 2, accepting: 3, closed: 4 } as const;
export type Status = (typeof Status)[keyof typeof Status];

const NO_VALUE = -1;

/** How many instances a proposer's window holds, and how many bytes of values. */
export interface WindowSize {
  readonly instances: number;
  readonly bytes: number;
}

export class ProposerWindow {
  readonly instances: number;
  readonly arena: Arena;
  /** Lowest instance not known to be chosen. */
  low = 1;
  /** Acceptors that promised an instance (Kernel_Paxos wire). */
  readonly promises: AcceptorSets;
  /** Own values without an instance. */
  requeued = 0;
  /** Own values given up because there was no room to keep them; their clients send them again. */
  dropped = 0;
  /** Highest instance that was given up while it was in phase 2: what was chosen there is not known here. */
  overtakenIid = 0;
  /** The highest instance that was ever given a value. */
  valuedIid = 0;
  readonly #mask: number;
  readonly #iid: Float64Array;
  readonly #status: Uint8Array;
  readonly #ballot: Float64Array;
  readonly #ownOffset: Uint32Array;
  readonly #ownLength: Int32Array;
  readonly #adoptedBallot: Float64Array;
  readonly #adoptedOffset: Uint32Array;
  readonly #adoptedLength: Int32Array;
  readonly #sentUs: Float64Array;
  readonly #attempts: Uint8Array;
  readonly #requeueOffset: Uint32Array;
  readonly #requeueLength: Uint32Array;
  #requeueHead = 0;

  /** `instances` is rounded up to a power of two. */
  constructor(instances: number, bytes: number, acceptors: number) {
    let size = 1;
    while (size < instances) size *= 2;
    this.instances = size;
    this.arena = new Arena(bytes);
    this.promises = new AcceptorSets(size, acceptors);
    this.#mask = size - 1;
    this.#iid = new Float64Array(size);
    this.#status = new Uint8Array(size);
    this.#ballot = new Float64Array(size);
    this.#ownOffset = new Uint32Array(size);
    this.#ownLength = new Int32Array(size).fill(NO_VALUE);
    this.#adoptedBallot = new Float64Array(size);
    this.#adoptedOffset = new Uint32Array(size);
    this.#adoptedLength = new Int32Array(size).fill(NO_VALUE);
    this.#sentUs = new Float64Array(size);
    this.#attempts = new Uint8Array(size);
    this.#requeueOffset = new Uint32Array(size);
    this.#requeueLength = new Uint32Array(size);
  }

  covers(iid: number): boolean {
    return iid >= this.low && iid < this.low + this.instances;
  }

  slot(iid: number): number {
    return iid & this.#mask;
  }

  status(iid: number): Status {
    const slot = iid & this.#mask;
    return (this.#iid[slot] === iid ? this.#status[slot]! : Status.empty) as Status;
  }

  ballot(iid: number): Ballot {
    return this.#ballot[iid & this.#mask]! as Ballot;
  }

  /** Enters a stage at a ballot; the instance must be inside the window. */
  enter(iid: number, status: Status, ballot: Ballot): void {
    const slot = this.#take(iid);
    if (this.#ballot[slot] !== ballot) this.promises.clear(slot);
    this.#status[slot] = status;
    this.#ballot[slot] = ballot;
    this.#attempts[slot] = 0;
  }

  /** Notes that the stage's message was sent (again). */
  sent(iid: number, nowUs: number): void {
    const slot = iid & this.#mask;
    this.#sentUs[slot] = nowUs;
    this.#attempts[slot] = Math.min(30, this.#attempts[slot]! + 1);
  }

  sentUs(iid: number): number {
    return this.#sentUs[iid & this.#mask]!;
  }
  /** How often the stage's message was sent. */
  attempts(iid: number): number {
    return this.#attempts[iid & this.#mask]!;
  }

  /**
   * Keeps the value an acceptor has accepted here, if its ballot is the highest so far. Where there is no room own values make it that
   * are not proposed at the `present` ballot: they can be sent again, while without this one phase 1 does not end. False: no room.
   */
  adopt(
    iid: number,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
    present: Ballot,
  ): boolean {
    const slot = this.#take(iid);
    const former = this.#adoptedLength[slot]!;
    if (former !== NO_VALUE && this.#adoptedBallot[slot]! >= ballot) return true;
    // What was told before and may be chosen is given back only where the next one surely finds room.
    if (former >= length) this.#freeAdopted(slot);
    let stored = this.arena.store(bytes, offset, length);
    while (stored < 0 && this.#giveUp(present)) stored = this.arena.store(bytes, offset, length);
    assert(stored >= 0 || former < length, "a value fits where a longer one was");
    if (stored < 0) return false;
    this.#freeAdopted(slot);
    this.#adoptedBallot[slot] = ballot;
    this.#adoptedOffset[slot] = stored;
    this.#adoptedLength[slot] = length;
    if (iid > this.valuedIid) this.valuedIid = iid;
    return true;
  }

  /**
   * Gives back the adopted value that is highest in first…last, and not proposed at the `present` ballot; returns its instance, of which
   * nothing counts as promised any more (Kernel_Paxos wire), or 0: there is none. Own values have made room before (`adopt`).
   */
  giveUpAdopted(first: number, last: number, present: Ballot): number {
    const highest = Math.min(last, this.valuedIid, this.low + this.instances - 1);
    for (let iid = highest; iid >= Math.max(first, this.low); iid--) {
      const slot = iid & this.#mask;
      if (!this.hasAdopted(iid) || this.#isProposed(slot, present)) continue;
      this.#freeAdopted(slot);
      this.promises.clear(slot);
      if (this.#status[slot] === Status.prepared) this.#status[slot] = Status.preparing;
      return iid;
    }
    return 0;
  }

  /** Gives the instance a value of our clients: `offset` is a block of this window's arena. */
  own(iid: number, offset: number, length: number): void {
    const slot = this.#take(iid);
    this.#ownOffset[slot] = offset;
    this.#ownLength[slot] = length;
    if (iid > this.valuedIid) this.valuedIid = iid;
  }

  hasOwn(iid: number): boolean {
    const slot = iid & this.#mask;
    return this.#iid[slot] === iid && this.#ownLength[slot] !== NO_VALUE;
  }
  hasAdopted(iid: number): boolean {
    const slot = iid & this.#mask;
    return this.#iid[slot] === iid && this.#adoptedLength[slot] !== NO_VALUE;
  }

  /** Where the value to propose lies: an adopted one goes before our own; length 0 when there is neither. */
  valueOffset(iid: number): number {
    const slot = iid & this.#mask;
    return this.#adoptedLength[slot] !== NO_VALUE ? this.#adoptedOffset[slot]! : this.#ownOffset[slot]!;
  }
  valueLength(iid: number): number {
    const slot = iid & this.#mask;
    const length =
      this.#adoptedLength[slot] !== NO_VALUE ? this.#adoptedLength[slot]! : this.#ownLength[slot]!;
    return Math.max(0, length);
  }

  /** The instance is chosen with this value: our own goes back to the queue if it is another. */
  close(iid: number, isOurs: boolean, bytes: Uint8Array, offset: number, length: number): void {
    const slot = this.#take(iid);
    const own = this.#ownLength[slot]!;
    if (own !== NO_VALUE) {
      const at = this.#ownOffset[slot]!;
      // An adopted value can be our own of a former ballot.
      const won =
        (isOurs && this.#adoptedLength[slot] === NO_VALUE) ||
        (own === length && sameBytes(this.arena.bytes, at, bytes, offset, length));
      const isSpent = won || isReset(this.arena.bytes, at, own);
      if (isSpent) this.arena.free(at, own);
      else this.requeue(at, own);
      this.#ownLength[slot] = NO_VALUE;
    }
    this.#freeAdopted(slot);
    this.#status[slot] = Status.closed;
  }

  /** Moves the window's foot past closed instances, and at least to `floor`; what is below is given up. */
  advance(floor: number): void {
    while (this.low < floor || this.status(this.low) === Status.closed) {
      const slot = this.low & this.#mask;
      if (this.#iid[slot] === this.low) {
        if (this.#ownLength[slot] !== NO_VALUE) this.dropped++;
        this.#overtake(slot);
        this.#clear(slot);
      } else if (floor - this.low > this.instances) {
        // A jump over more than the whole window: nothing of ours can lie in between.
        this.#clearBelow(floor);
        this.low = floor;
        continue;
      }
      this.low++;
    }
  }

  /** The log is another one from `low` on: of the former one only own values are kept, without an instance. */
  restart(low: number): void {
    for (let iid = this.low; iid < this.low + this.instances; iid++) {
      const slot = iid & this.#mask;
      if (this.#iid[slot] === iid && this.#ownLength[slot] !== NO_VALUE) {
        this.requeue(this.#ownOffset[slot]!, this.#ownLength[slot]!);
        this.#ownLength[slot] = NO_VALUE;
      }
      this.#clear(slot);
    }
    this.low = low;
    this.valuedIid = 0;
    this.overtakenIid = 0;
  }

  /** Keeps an own value for another instance. */
  requeue(offset: number, length: number): void {
    if (this.requeued === this.instances) {
      this.arena.free(offset, length);
      this.dropped++;
      return;
    }
    const at = (this.#requeueHead + this.requeued++) & this.#mask;
    this.#requeueOffset[at] = offset;
    this.#requeueLength[at] = length;
  }

  requeuedOffset(): number {
    return this.#requeueOffset[this.#requeueHead]!;
  }
  requeuedLength(): number {
    return this.#requeueLength[this.#requeueHead]!;
  }
  /** Takes the oldest requeued value out; its block belongs to the caller now. */
  takeRequeued(): void {
    this.#requeueHead = (this.#requeueHead + 1) & this.#mask;
    this.requeued--;
  }

  /** Drops the own value that would be needed last; false: none may go. */
  #giveUp(present: Ballot): boolean {
    if (this.requeued > 0) {
      const at = (this.#requeueHead + --this.requeued) & this.#mask;
      this.arena.free(this.#requeueOffset[at]!, this.#requeueLength[at]!);
      this.dropped++;
      return true;
    }
    for (let iid = Math.min(this.valuedIid, this.low + this.instances - 1); iid >= this.low; iid--) {
      const slot = iid & this.#mask;
      if (!this.hasOwn(iid) || this.#isProposed(slot, present)) continue;
      this.arena.free(this.#ownOffset[slot]!, this.#ownLength[slot]!);
      this.#ownLength[slot] = NO_VALUE;
      this.dropped++;
      return true;
    }
    return false;
  }

  #isProposed(slot: number, present: Ballot): boolean {
    return this.#status[slot] === Status.accepting && this.#ballot[slot] === present;
  }

  #take(iid: number): number {
    const slot = iid & this.#mask;
    if (this.#iid[slot] !== iid) {
      this.#clear(slot);
      this.#iid[slot] = iid;
    }
    return slot;
  }

  #clear(slot: number): void {
    if (this.#ownLength[slot] !== NO_VALUE) this.arena.free(this.#ownOffset[slot]!, this.#ownLength[slot]!);
    this.#ownLength[slot] = NO_VALUE;
    this.#freeAdopted(slot);
    this.promises.clear(slot);
    this.#iid[slot] = 0;
    this.#status[slot] = Status.empty;
    this.#ballot[slot] = 0;
    this.#adoptedBallot[slot] = 0;
    this.#attempts[slot] = 0;
  }

  #clearBelow(floor: number): void {
    for (let slot = 0; slot < this.instances; slot++) {
      if (this.#iid[slot] === 0 || this.#iid[slot]! >= floor) continue;
      if (this.#ownLength[slot] !== NO_VALUE) this.dropped++;
      this.#overtake(slot);
      this.#clear(slot);
    }
  }

  #overtake(slot: number): void {
    if (this.#status[slot] !== Status.accepting) return;
    this.overtakenIid = Math.max(this.overtakenIid, this.#iid[slot]!);
  }

  #freeAdopted(slot: number): void {
    if (this.#adoptedLength[slot] !== NO_VALUE)
      this.arena.free(this.#adoptedOffset[slot]!, this.#adoptedLength[slot]!);
    this.#adoptedLength[slot] = NO_VALUE;
  }
}
