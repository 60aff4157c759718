/**
 * Phase 1 of the Kernel_Paxos wire: a window of prepares for single instances, executed ahead of the values; when an
 * instance moves to phase 2, the next one's prepare rides on its accept.
 */
import type { Outbox } from "../outbox.ts";
import { quorumOf } from "../quorum.ts";
import { type Ballot, MAX_IID, NO_BALLOT } from "../types.ts";
import { type ProposerWindow, Status } from "./proposer_window.ts";

export class InstancePhase {
  /** First instance not prepared at the present ballot. */
  nextIid = 1;
  #opened = false;
  readonly #window: ProposerWindow;
  readonly #outbox: Outbox;
  readonly #acceptors: number;

  constructor(window: ProposerWindow, outbox: Outbox, acceptors: number) {
    this.#window = window;
    this.#outbox = outbox;
    this.#acceptors = acceptors;
  }

  begin(): void {
    this.nextIid = this.#window.low;
  }

  /** Prepares up to the window's end; true when frames ran out before. */
  fill(ballot: Ballot, preexecWindow: number, reserve: number, nowUs: number): boolean {
    if (this.nextIid < this.#window.low) this.nextIid = this.#window.low;
    while (this.nextIid < this.#window.low + preexecWindow) {
      if (this.#outbox.room() < reserve) return true;
      const iid = this.#open(ballot, preexecWindow, nowUs);
      if (iid > 0) this.#outbox.prepare(iid, ballot);
    }
    return false;
  }

  /**
   * The instance whose prepare rides on the next accept; 0 when so many are open. What is in phase 2 does not count
   * against the preexecution window: with that, each accept opens the instance that comes a window later.
   */
  ride(ballot: Ballot, preexecWindow: number, nowUs: number): number {
    return this.#open(ballot, 2 * preexecWindow, nowUs);
  }

  /** Whether prepares were sent since this was last asked. */
  takeOpened(): boolean {
    const opened = this.#opened;
    this.#opened = false;
    return opened;
  }

  onPromise(
    aid: number,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const window = this.#window;
    if (!this.#awaits(iid, ballot)) return;
    if (valueBallot !== NO_BALLOT) {
      // Values of higher instances make room: there promises are asked for again. Without room for it so is this one.
      while (!window.adopt(iid, valueBallot, bytes, offset, length, ballot))
        if (window.giveUpAdopted(iid + 1, MAX_IID, ballot) === 0) return;
    }
    this.#count(aid, iid);
  }

  onRidingPromise(aid: number, iid: number, ballot: Ballot): void {
    if (this.#awaits(iid, ballot)) this.#count(aid, iid);
  }

  /** Asks again the acceptors that have not promised. */
  retry(iid: number, nowUs: number): void {
    const window = this.#window;
    const slot = window.slot(iid);
    for (let aid = 0; aid < this.#acceptors; aid++) {
      if (!window.promises.has(slot, aid)) this.#outbox.prepareTo(aid, iid, window.ballot(iid));
    }
    window.sent(iid, nowUs);
  }

  #open(ballot: Ballot, preexecWindow: number, nowUs: number): number {
    const window = this.#window;
    while (this.nextIid < window.low + preexecWindow) {
      const iid = this.nextIid++;
      if (window.status(iid) === Status.closed) continue;
      window.enter(iid, Status.preparing, ballot);
      window.sent(iid, nowUs);
      this.#opened = true;
      return iid;
    }
    return 0;
  }

  #awaits(iid: number, ballot: Ballot): boolean {
    const window = this.#window;
    return window.covers(iid) && window.status(iid) === Status.preparing && window.ballot(iid) === ballot;
  }

  #count(aid: number, iid: number): void {
    const window = this.#window;
    const slot = window.slot(iid);
    if (window.promises.add(slot, aid) && window.promises.count(slot) >= quorumOf(this.#acceptors)) {
      window.enter(iid, Status.prepared, window.ballot(iid));
    }
  }
}
