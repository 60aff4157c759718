/**
 * The openings of sessions that a proposer has seen and not yet delivered: who asked, by the client's nonce, and since which
 * beginning each is under way; and which of them have to be asked again because they may be lost. Bounded: the oldest makes
 * room, and is answered when its client asks again. Pure.
 */
import { NumberIndex } from "../number_index.ts";
import { NO_PEER, type Peer } from "../types.ts";

/** Under way at once. */
const OPENINGS = 4096;

export class Openings {
  readonly #nonce = new Float64Array(OPENINGS);
  readonly #opener = new Int32Array(OPENINGS);
  readonly #since = new Uint32Array(OPENINGS);
  readonly #index = new NumberIndex(this.#nonce);
  #next = 0;
  /** From here on they may be lost. */
  #lost = OPENINGS;

  /** `opener` wants to be told (`NO_PEER`: nobody here). Returns where it stands. */
  ask(nonce: number, opener: Peer): number {
    let place = this.#index.find(nonce);
    if (place < 0) {
      place = this.#next;
      this.#next = (place + 1) % OPENINGS;
      if (this.#nonce[place] !== 0) this.#index.remove(place);
      this.#nonce[place] = nonce;
      this.#index.add(place);
      this.#since[place] = 0;
    }
    this.#opener[place] = opener;
    return place;
  }

  /** It is under way from now on; false: it was already, since this beginning. */
  begin(place: number, beginning: number): boolean {
    const isNew = this.#since[place] !== beginning;
    this.#since[place] = beginning;
    return isNew;
  }

  /** Who waits for it. */
  openerOf(nonce: number): Peer {
    const place = this.#index.find(nonce);
    return place < 0 ? NO_PEER : (this.#opener[place]! as Peer);
  }

  /** All that somebody here waits for may be lost. */
  loseAll(): void {
    this.#lost = 0;
  }

  /** The next one that may be lost, which is not any more; 0: none is. */
  nextLost(): number {
    while (this.#lost < OPENINGS) {
      const place = this.#lost++;
      if (this.#nonce[place] !== 0 && this.#opener[place] !== NO_PEER) return this.#nonce[place]!;
    }
    return 0;
  }

  forget(nonce: number): void {
    const place = this.#index.find(nonce);
    if (place < 0) return;
    this.#index.remove(place);
    this.#nonce[place] = 0;
  }
}
