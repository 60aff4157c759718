/**
 * What each acceptor's last promise said at its head: a frame that goes on with it (`promisePart`) does not say it again, so that its
 * record has the room. A part holds only beside the very head it was said with: of the same process, to the same prepare,
 * with the same standing. So a receiver sees what a whole promise would have told it.
 */
import { copyBytes } from "../protocol/bytes.ts";
import { crc32c } from "../protocol/crc32c.ts";
import { STANDING_BYTES } from "../protocol/standing.ts";
import type { Ballot, Life } from "../protocol/types.ts";

export class PromiseHeads {
  /** The standings, by acceptor. */
  readonly bytes: Uint8Array;
  /** Bytes of a standing. */
  readonly length: number;
  readonly trimIid: Float64Array;
  /** Whose promise it is, and whose prepare it answers; ballot 0: there is none. */
  readonly #speaker: Float64Array;
  readonly #ballot: Float64Array;
  readonly #life: Float64Array;

  constructor(acceptors: number) {
    this.length = acceptors * STANDING_BYTES;
    this.bytes = new Uint8Array(acceptors * this.length);
    this.trimIid = new Float64Array(acceptors);
    this.#speaker = new Float64Array(acceptors);
    this.#ballot = new Float64Array(acceptors);
    this.#life = new Float64Array(acceptors);
  }

  keep(
    aid: number,
    speaker: Life,
    ballot: Ballot,
    life: Life,
    trimIid: number,
    bytes: Uint8Array,
    offset: number,
  ): void {
    this.#speaker[aid] = speaker;
    this.#ballot[aid] = ballot;
    this.#life[aid] = life;
    this.trimIid[aid] = trimIid;
    copyBytes(bytes, offset, this.bytes, this.at(aid), this.length);
  }

  /** Whether a part belongs to what is kept; `checksum`: of the standing it was said with. */
  has(aid: number, speaker: Life, ballot: Ballot, life: Life, checksum: number): boolean {
    return (
      this.#ballot[aid] === ballot &&
      this.#life[aid] === life &&
      this.#speaker[aid] === speaker &&
      crc32c(this.bytes, this.at(aid), this.length) === checksum
    );
  }

  /** Where the acceptor's standing lies in `bytes`. */
  at(aid: number): number {
    return aid * this.length;
  }
}
