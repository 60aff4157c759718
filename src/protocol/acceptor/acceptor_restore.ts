/**
 * Puts into an acceptor what a storage kept of its former life, before its first message: the same journal the other way
 * round. What does not fit the acceptor's window is not taken, and `lacks` says so: such an acceptor must not run, for it
 * would have forgotten what it promised.
 */

import type { Ballot, Life } from "../types.ts";
import type { Acceptor } from "./acceptor.ts";
import type { Journal } from "./journal.ts";

export class AcceptorRestore implements Journal {
  /** What the window has too little of; `accepted` and `promisedAt` do nothing from then on. */
  lacks: "instances" | "bytes" | undefined;
  /** Records taken, and bytes of the longest value among them. */
  records = 0;
  longest = 0;
  readonly #acceptor: Acceptor;

  constructor(acceptor: Acceptor) {
    this.#acceptor = acceptor;
  }

  promised(ballot: Ballot, life: Life): void {
    this.#acceptor.promised = ballot;
    this.#acceptor.promisedLife = life;
  }

  promisedAt(iid: number, ballot: Ballot): void {
    const { log } = this.#acceptor;
    if (!this.#covers(iid)) return;
    if (ballot > log.promisedAt(iid)) log.promise(iid, ballot);
  }

  accepted(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const { log } = this.#acceptor;
    if (!this.#covers(iid)) return;
    const promised = log.promisedAt(iid);
    while (!log.accept(iid, ballot, life, flags, bytes, offset, length)) {
      // It fitted once, and it is told in another order than it came.
      if (log.arena.holds(length)) log.arena.widen();
      else {
        this.lacks = "bytes";
        return;
      }
    }
    // Accepting at a ballot promises it; an instance that was promised higher since stays so.
    if (promised > ballot) log.promise(iid, promised);
    this.records++;
    this.longest = Math.max(this.longest, length);
  }

  trimmed(iid: number): void {
    this.#acceptor.log.trim(iid);
  }

  standing(generations: Float64Array, incarnations: Float64Array): void {
    this.#acceptor.restoreStanding(generations, incarnations);
  }

  #covers(iid: number): boolean {
    if (this.lacks !== undefined) return false;
    if (this.#acceptor.log.covers(iid)) return true;
    this.lacks = "instances";
    return false;
  }
}
