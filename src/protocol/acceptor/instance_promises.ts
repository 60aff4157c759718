/**
 * Phase 1 of the Kernel_Paxos wire at the acceptor: a prepare is for one instance, and may ride on an accept.
 */

import type { Outbox } from "../outbox.ts";
import { type Ballot, NO_BALLOT, type Peer } from "../types.ts";
import type { Acceptor } from "./acceptor.ts";
import type { Journal } from "./journal.ts";

const EMPTY = new Uint8Array(0);

export class InstancePromises {
  readonly #acceptor: Acceptor;
  readonly #journal: Journal;
  readonly #outbox: Outbox;

  constructor(acceptor: Acceptor, journal: Journal, outbox: Outbox) {
    this.#acceptor = acceptor;
    this.#journal = journal;
    this.#outbox = outbox;
  }

  onPrepare(from: Peer, iid: number, ballot: Ballot): void {
    const { log } = this.#acceptor;
    if (iid <= log.trimIid) return this.#acceptor.refuseLow(from);
    if (!log.covers(iid)) return this.#acceptor.refuseFull(from);
    this.#raise(iid, ballot);
    this.#promise(from, iid);
  }

  /**
   * The promise that rode on an accept: 0 when it must be told separately, because it was refused or carries a value
   * (reference: evacceptor). Nothing is told when the instance is out of the window.
   */
  riding(from: Peer, iid: number, ballot: Ballot): number {
    const { log } = this.#acceptor;
    if (!log.covers(iid)) {
      if (iid > log.trimIid) this.#acceptor.refuseFull(from);
      return 0;
    }
    this.#raise(iid, ballot);
    if (log.promisedAt(iid) === ballot && log.ballotAt(iid) === NO_BALLOT) return iid;
    this.#promise(from, iid);
    return 0;
  }

  #raise(iid: number, ballot: Ballot): void {
    const { log } = this.#acceptor;
    if (ballot <= log.promisedAt(iid)) return;
    log.promise(iid, ballot);
    this.#journal.promisedAt(iid, ballot);
  }

  #promise(to: Peer, iid: number): void {
    const { log } = this.#acceptor;
    const accepted = log.ballotAt(iid);
    const promised = log.promisedAt(iid);
    if (accepted === NO_BALLOT) return this.#outbox.promise(to, iid, promised, NO_BALLOT, EMPTY, 0, 0);
    const at = log.offsetAt(iid);
    this.#outbox.promise(to, iid, promised, accepted, log.arena.bytes, at, log.lengthAt(iid));
  }
}
