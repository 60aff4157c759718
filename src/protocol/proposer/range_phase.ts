/**
 * Phase 1 of the native wire: one prepare for every instance ≥ `start`. Each acceptor's promise comes in frames, each
 * frame covers a range and may vouch that what lies below it is chosen; an acceptor counts when its frames reach to the
 * end without a gap, and no other one knows that it has forgotten since (`promise_quorum.ts`). Who tells of another log than the
 * one that is known here does not count: what this process would lead with is of a former one.
 */
import type { Outbox } from "../outbox.ts";
import { PromiseQuorum } from "../promise_quorum.ts";
import { quorumOf } from "../quorum.ts";
import { logIdIn } from "../standing.ts";
import { type Ballot, MAX_IID } from "../types.ts";
import type { ProposerWindow } from "./proposer_window.ts";

export class RangePhase {
  /** First instance that is not known to be chosen; rises as acceptors vouch for more. */
  start = 1;
  /** Highest instance that any acceptor reported a value for. */
  highestIid = 0;
  /** Something that was reported lies beyond the window, or found no room in it: it is asked for again once the window has moved. */
  isCut = false;
  /** How often phase 1 met that. */
  cuts = 0;
  /**
   * Who had `start` put where it is may not count any more, or be of another log than the others: no log is known here by which to
   * tell. Nobody is to be told that what lies before is chosen.
   */
  isStartDoubted = false;
  /** The log that is known here; 0: none is. */
  #knownLog = 0;
  readonly #window: ProposerWindow;
  readonly #outbox: Outbox;
  readonly #acceptors: number;
  readonly #coveredTo: Float64Array;
  readonly #quorum: PromiseQuorum;
  #ballot = 0 as Ballot;
  /** The frame being read. */
  #reading = false;
  #last = 0;

  constructor(window: ProposerWindow, outbox: Outbox, acceptors: number) {
    this.#window = window;
    this.#outbox = outbox;
    this.#acceptors = acceptors;
    this.#coveredTo = new Float64Array(acceptors);
    this.#quorum = new PromiseQuorum(acceptors);
  }

  begin(start: number, ballot: Ballot, knownLog: number): void {
    this.start = start;
    this.#knownLog = knownLog;
    this.highestIid = 0;
    this.isCut = false;
    this.isStartDoubted = false;
    this.#ballot = ballot;
    this.#coveredTo.fill(start - 1);
    this.#quorum.begin();
    this.#outbox.prepare(start, ballot);
  }

  /** Asks again whoever has not answered to the end. */
  retry(): void {
    for (let aid = 0; aid < this.#acceptors; aid++) if (!this.#quorum.has(aid)) this.#askOn(aid);
  }

  /** One frame of an acceptor's answer begins; the value is its standing. False: it is of another log. */
  onBegin(
    aid: number,
    asked: number,
    first: number,
    last: number,
    trimIid: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const logId = logIdIn(bytes, offset);
    this.#reading = false;
    if (logId !== 0 && this.#knownLog !== 0 && logId !== this.#knownLog) return false;
    const counts = this.#quorum.note(aid, bytes, offset, length);
    // Whoever is not counted any more has to say everything again, but not at once: two that contradict each other would be
    // asked in turn for ever. What it reported of values stays true.
    for (let other = 0; other < this.#acceptors; other++) {
      if (!this.#quorum.takeDropped(other)) continue;
      this.#coveredTo[other] = this.start - 1;
      this.isStartDoubted ||= this.#knownLog === 0;
    }
    this.isStartDoubted ||= !counts && this.#knownLog === 0;
    // A gap: a frame before this one was lost.
    this.#reading = counts && asked <= this.#coveredTo[aid]! + 1;
    // Only a frame that leaves something out vouches for it; a continuation that merely begins later says nothing.
    if (first > asked && first > this.start) this.start = first;
    if (trimIid >= this.start) this.start = trimIid + 1;
    this.#last = last;
    return true;
  }

  onRecord(iid: number, ballot: Ballot, bytes: Uint8Array, offset: number, length: number): void {
    if (!this.#reading || iid < this.start || iid > this.#last) return;
    // Learned to be chosen since the prepare was sent.
    if (iid < this.#window.low) return;
    if (this.#window.covers(iid) && this.#adopt(iid, ballot, bytes, offset, length)) {
      if (iid > this.highestIid) this.highestIid = iid;
      return;
    }
    this.#cut();
    this.#last = iid - 1;
  }

  /**
   * Where there is no room, values of higher instances make it, whoever has told them: he will be asked again. So of the lowest instances a
   * quorum can tell all that it accepted, whatever the order in which it is told, and these can be cleared (`clearing.ts`).
   */
  #adopt(iid: number, ballot: Ballot, bytes: Uint8Array, offset: number, length: number): boolean {
    while (!this.#window.adopt(iid, ballot, bytes, offset, length, this.#ballot))
      if (!this.#givesUp(iid)) return false;
    return true;
  }

  /** Gives back a value for one of instance `iid`; false: there is none that may go before. */
  #givesUp(iid: number): boolean {
    const window = this.#window;
    // Of what is chosen nobody has to be asked.
    if (window.giveUpAdopted(window.low, this.start - 1, this.#ballot) > 0) return true;
    const gone = window.giveUpAdopted(iid + 1, MAX_IID, this.#ballot);
    if (gone === 0) return false;
    for (let aid = 0; aid < this.#acceptors; aid++) {
      if (this.#coveredTo[aid]! < gone) continue;
      this.#coveredTo[aid] = gone - 1;
      this.#quorum.reopen(aid);
    }
    this.#last = Math.min(this.#last, gone - 1);
    this.#cut();
    return true;
  }

  /** `more`: another frame of the same answer follows. True when a quorum of acceptors has promised, each to the end. */
  onEnd(aid: number, more: boolean): boolean {
    if (!this.#reading) return false;
    this.#reading = false;
    // A duplicate brings nothing new, and must not have the acceptor asked twice; nor must what comes unasked.
    const isNews = this.#last > this.#coveredTo[aid]!;
    this.#coveredTo[aid] = Math.max(this.#coveredTo[aid]!, this.#last);
    if (this.#last === MAX_IID) this.#quorum.complete(aid);
    else if (isNews && !more) this.#askOn(aid);
    return this.isComplete();
  }

  isComplete(): boolean {
    return this.#quorum.isComplete();
  }

  /** A quorum has promised, and told a part at least. */
  get isPromised(): boolean {
    return this.#tellers(0) >= quorumOf(this.#acceptors);
  }

  /** Up to here a quorum has told all that it accepted, if less than to the end. */
  get toldIid(): number {
    let told = this.start - 1;
    for (let aid = 0; aid < this.#acceptors; aid++) {
      const candidate = this.#coveredTo[aid]!;
      if (candidate > told && this.#tellers(candidate) >= quorumOf(this.#acceptors)) told = candidate;
    }
    return told;
  }

  /** Of the acceptors, as the promises know them that the quorum is made of. */
  get generations(): Float64Array {
    return this.#quorum.generations();
  }

  /** The log is known; what was promised was in this one, or in a former one. */
  isOf(logId: number): void {
    this.#knownLog = logId;
  }

  /** The log that this phase 1 was of; 0: not known. */
  get logId(): number {
    return this.#knownLog !== 0 ? this.#knownLog : this.#quorum.logId;
  }

  #cut(): void {
    if (!this.isCut) this.cuts++;
    this.isCut = true;
  }

  /** How many of those that count have told so far. */
  #tellers(iid: number): number {
    let tellers = 0;
    for (let aid = 0; aid < this.#acceptors; aid++)
      if (this.#quorum.counts(aid) && this.#coveredTo[aid]! >= iid) tellers++;
    return tellers;
  }

  /** What is known to be chosen by now need not be told. */
  #askOn(aid: number): void {
    this.#coveredTo[aid] = Math.max(this.#coveredTo[aid]!, this.start - 1, this.#window.low - 1);
    this.#outbox.prepareTo(aid, this.#coveredTo[aid]! + 1, this.#ballot);
  }
}
