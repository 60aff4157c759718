/**
 * Phase 1 of the native wire: one prepare for every instance ≥ `start`. Each acceptor's promise comes in frames, each
 * frame covers a range and may vouch that what lies below it is chosen; an acceptor counts when its frames reach to the
 * end without a gap.
 */
import type { Outbox } from "./outbox.ts";
import type { ProposerWindow } from "./proposer_window.ts";
import { AcceptorSets, quorumOf } from "./quorum.ts";
import { type Ballot, MAX_IID } from "./types.ts";

export class RangePhase {
  /** First instance that is not known to be chosen; rises as acceptors vouch for more. */
  start = 1;
  /** Highest instance that any acceptor reported a value for. */
  highestIid = 0;
  /** Records beyond the window: the rest is asked for once the window has moved. */
  beyondWindow = 0;
  readonly #window: ProposerWindow;
  readonly #outbox: Outbox;
  readonly #acceptors: number;
  readonly #coveredTo: Float64Array;
  readonly #done: AcceptorSets;
  #ballot = 0 as Ballot;
  /** The frame being read. */
  #reading = false;
  #last = 0;

  constructor(window: ProposerWindow, outbox: Outbox, acceptors: number) {
    this.#window = window;
    this.#outbox = outbox;
    this.#acceptors = acceptors;
    this.#coveredTo = new Float64Array(acceptors);
    this.#done = new AcceptorSets(1, acceptors);
  }

  begin(start: number, ballot: Ballot): void {
    this.start = start;
    this.highestIid = 0;
    this.#ballot = ballot;
    this.#coveredTo.fill(start - 1);
    this.#done.clear(0);
    this.#outbox.prepare(start, ballot);
  }

  /** Asks again whoever has not answered to the end. */
  retry(): void {
    for (let aid = 0; aid < this.#acceptors; aid++) if (!this.#done.has(0, aid)) this.#askOn(aid);
  }

  onBegin(aid: number, asked: number, first: number, last: number): void {
    // A gap: a frame before this one was lost.
    this.#reading = asked <= this.#coveredTo[aid]! + 1;
    if (!this.#reading) return;
    this.#last = last;
    // Only a frame that leaves something out vouches for it; a continuation that merely begins later says nothing.
    if (first > asked && first > this.start) this.start = first;
  }

  onRecord(iid: number, ballot: Ballot, bytes: Uint8Array, offset: number, length: number): void {
    if (!this.#reading || iid < this.start || iid > this.#last) return;
    // Learned to be chosen since the prepare was sent.
    if (iid < this.#window.low) return;
    if (this.#window.covers(iid) && this.#window.adopt(iid, ballot, bytes, offset, length)) {
      if (iid > this.highestIid) this.highestIid = iid;
      return;
    }
    this.beyondWindow++;
    this.#last = iid - 1;
  }

  /** True when a quorum of acceptors has promised, each to the end. */
  onEnd(aid: number): boolean {
    if (!this.#reading) return false;
    this.#reading = false;
    // A duplicate brings nothing new, and must not have the acceptor asked twice.
    const isNews = this.#last > this.#coveredTo[aid]!;
    this.#coveredTo[aid] = Math.max(this.#coveredTo[aid]!, this.#last);
    if (this.#last === MAX_IID) this.#done.add(0, aid);
    else if (isNews) this.#askOn(aid);
    return this.isComplete();
  }

  isComplete(): boolean {
    return this.#done.count(0) >= quorumOf(this.#acceptors);
  }

  hasPromised(aid: number): boolean {
    return this.#done.has(0, aid);
  }

  #askOn(aid: number): void {
    this.#coveredTo[aid] = Math.max(this.#coveredTo[aid]!, this.start - 1);
    this.#outbox.prepareTo(aid, this.#coveredTo[aid]! + 1, this.#ballot);
  }
}
