/**
 * Sessions that begin further up in the log than this proposer has come: others know them, we cannot yet. Of the newest it is
 * kept which sequence is taken next. Bounded: of one that was pushed out, whatever comes first is believed again. Pure.
 */
import { NumberIndex } from "../number_index.ts";

const SESSIONS = 256;

export class SessionsAhead {
  /** By place: the next sequence to take, and the first that was. */
  readonly wanted = new Float64Array(SESSIONS);
  readonly first = new Float64Array(SESSIONS);
  readonly #session = new Float64Array(SESSIONS);
  readonly #since = new Uint32Array(SESSIONS);
  readonly #index = new NumberIndex(this.#session);
  #next = 0;

  /** Where the session stands; −1: nothing of it was taken since this beginning. */
  find(session: number, beginning: number): number {
    const place = this.#index.find(session);
    return place >= 0 && this.#since[place] === beginning ? place : -1;
  }

  /** `sequence` is the first of it that is taken. */
  begin(session: number, sequence: number, beginning: number): void {
    this.forget(session);
    const place = this.#next;
    this.#next = (place + 1) % SESSIONS;
    if (this.#session[place] !== 0) this.#index.remove(place);
    this.#session[place] = session;
    this.#index.add(place);
    this.wanted[place] = sequence + 1;
    this.first[place] = sequence;
    this.#since[place] = beginning;
  }

  forget(session: number): void {
    const place = this.#index.find(session);
    if (place < 0) return;
    this.#index.remove(place);
    this.#session[place] = 0;
  }
}
