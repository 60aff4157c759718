/**
 * What an acceptor knows of everybody's generations: of each acceptor the newest generation it heard of, and the incarnation
 * (the life with which it was born, through all its generations; 0: not known). It goes with promises and recovery answers, so
 * that whoever counts a quorum can tell what an acceptor said before it forgot everything (PROTOCOL: birth and amnesia).
 * Acceptor 0 is born with the log, so its incarnation names the log.
 *
 * Encoded: for each acceptor, in the order of their ids, generation (4 bytes) and incarnation (8), little-endian.
 */
import type { Life } from "./types.ts";

export const STANDING_BYTES = 12;
const HIGH = 2 ** 32;
const MAX_HIGH = 2 ** 21;

export class StandingVector {
  readonly generations: Float64Array;
  readonly incarnations: Float64Array;
  /** The encoded form, always up to date. */
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(acceptors: number) {
    this.generations = new Float64Array(acceptors);
    this.incarnations = new Float64Array(acceptors);
    this.bytes = new Uint8Array(acceptors * STANDING_BYTES);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** The log that this is about; 0: not known. */
  get logId(): number {
    return this.incarnationOf(0);
  }

  /** What is known of an acceptor's birth; 0: nothing. */
  incarnationOf(aid: number): Life {
    return this.generations[aid]! > 0 ? this.incarnations[aid]! : 0;
  }

  set(aid: number, generation: number, incarnation: Life): void {
    this.generations[aid] = generation;
    this.incarnations[aid] = incarnation;
    const at = aid * STANDING_BYTES;
    this.#view.setUint32(at, generation, true);
    this.#view.setUint32(at + 4, incarnation >>> 0, true);
    this.#view.setUint32(at + 8, Math.floor(incarnation / HIGH), true);
  }

  copy(generations: Float64Array, incarnations: Float64Array): void {
    for (let aid = 0; aid < generations.length; aid++) this.set(aid, generations[aid]!, incarnations[aid]!);
  }

  /** Takes an encoded vector in; false when it is none of so many acceptors. */
  read(bytes: Uint8Array, offset: number, length: number): boolean {
    if (!isStanding(bytes, offset, length, this.generations.length)) return false;
    for (let aid = 0; aid < this.generations.length; aid++) {
      const at = offset + aid * STANDING_BYTES;
      this.set(aid, word(bytes, at), word(bytes, at + 8) * HIGH + word(bytes, at + 4));
    }
    return true;
  }

  /**
   * Whether what acceptor `aid` said as (generation, incarnation) is outdated by what is known here: it has begun a newer
   * generation since, or was born a second time. Above generation 1 a second incarnation says nothing: of two attempts to
   * recover at one generation only one can have come to vote, and that is the one that speaks.
   */
  outdates(aid: number, generation: number, incarnation: Life): boolean {
    const known = this.generations[aid]!;
    return known > generation || (known === 1 && generation === 1 && this.incarnations[aid] !== incarnation);
  }

  /** Takes over what `other` knows better, of everybody but `except`; true when anything was. */
  merge(other: StandingVector, except: number = -1): boolean {
    let changed = false;
    for (let aid = 0; aid < this.generations.length; aid++) {
      if (aid === except || other.generations[aid]! <= this.generations[aid]!) continue;
      this.set(aid, other.generations[aid]!, other.incarnations[aid]!);
      changed = true;
    }
    return changed;
  }
}

/** The log that an encoded vector is about; 0: not known. */
export function logIdIn(bytes: Uint8Array, offset: number): number {
  return word(bytes, offset) > 0 ? word(bytes, offset + 8) * HIGH + word(bytes, offset + 4) : 0;
}

/** Whether the bytes are a vector of so many acceptors, each incarnation a life. */
export function isStanding(bytes: Uint8Array, offset: number, length: number, acceptors: number): boolean {
  if (length !== acceptors * STANDING_BYTES) return false;
  for (let at = offset + 8; at < offset + length; at += STANDING_BYTES)
    if (word(bytes, at) >= MAX_HIGH) return false;
  return true;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
