/**
 * The multicast accepts that this process sends in this turn, so that the acceptor which lives in it can say within them that it
 * has accepted, too. Nothing leaves before the commit that makes it durable, and an entry lives until its frame leaves: what an accept
 * says of its sender's own vote is durable before anybody else hears it, and never said in a frame that is gone.
 */
import type { Ballot } from "../protocol/types.ts";

/** A turn has fewer accepts mostly; of those beyond, the vote goes by itself. A power of two. */
const PLACES = 1024;

export class OwnAccepts {
  readonly #iid = new Float64Array(PLACES);
  readonly #ballot = new Float64Array(PLACES);
  /** Word index of the message. */
  readonly #head = new Int32Array(PLACES);
  readonly #turn = new Float64Array(PLACES);
  #turns = 1;

  note(iid: number, ballot: Ballot, head: number): void {
    const place = iid & (PLACES - 1);
    this.#iid[place] = iid;
    this.#ballot[place] = ballot;
    this.#head[place] = head;
    this.#turn[place] = this.#turns;
  }

  /** Where this turn's accept begins; −1: there is none. */
  find(iid: number, ballot: Ballot): number {
    const place = iid & (PLACES - 1);
    const isIt =
      this.#turn[place] === this.#turns && this.#iid[place] === iid && this.#ballot[place] === ballot;
    return isIt ? this.#head[place]! : -1;
  }

  /** The frames leave. */
  clear(): void {
    this.#turns++;
  }
}
