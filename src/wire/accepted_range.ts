/**
 * The range that an acceptor's last `accepted` tells, while it can still grow: the same message to each of those it goes to, with the
 * places where its last instance stands.
 */
import { assert } from "../protocol/assert.ts";
import type { Ballot, Life } from "../protocol/types.ts";
import type { NativeFrames } from "./native_frames.ts";

/** Peers that are told by themselves at most: their messages grow together. */
export const MOST_LISTENERS = 16;

export class AcceptedRange {
  readonly #frames: NativeFrames;
  /** Word index of the last instance in each message. */
  readonly #at = new Int32Array(MOST_LISTENERS);
  #count = 0;
  #last = 0;
  #ballot = 0;
  #life = 0;
  #isOwn = false;
  #messages = 0;
  #closed = 0;

  constructor(frames: NativeFrames) {
    this.#frames = frames;
  }

  /** One more instance; false: it is not the next of the same, or the messages are not the last ones any more. */
  grow(iid: number, ballot: Ballot, life: Life, isOwn: boolean): boolean {
    const frames = this.#frames;
    const isNext =
      this.#count > 0 &&
      this.#last + 1 === iid &&
      this.#ballot === ballot &&
      this.#life === life &&
      this.#isOwn === isOwn &&
      this.#messages === frames.messages &&
      this.#closed === frames.closed;
    if (!isNext) return false;
    for (let i = 0; i < this.#count; i++) frames.patchPair(this.#at[i]!, iid);
    this.#last = iid;
    return true;
  }

  /** Messages about this instance begin. `isOwn`: for this process alone, the others read it in the accepts. */
  begin(iid: number, ballot: Ballot, life: Life, isOwn: boolean): void {
    this.#count = 0;
    this.#last = iid;
    this.#ballot = ballot;
    this.#life = life;
    this.#isOwn = isOwn;
    this.#closed = this.#frames.closed;
  }

  /** Writes the fields of a message that was begun. */
  write(): void {
    const frames = this.#frames;
    frames.pair(this.#last);
    assert(this.#count < MOST_LISTENERS, "few are told by themselves");
    this.#at[this.#count++] = frames.position();
    frames.pair(this.#last);
    frames.pair(this.#ballot);
    frames.pair(this.#life);
  }

  /** All messages about it are written. */
  end(): void {
    this.#messages = this.#frames.messages;
    // A frame that had to be closed for the next one is not written to any more.
    if (this.#closed !== this.#frames.closed) this.#count = 0;
  }
}
