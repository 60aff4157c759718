/**
 * Which clients have a session, and what of each was delivered: decides for every entry of the log, in log order, whether its
 * value is delivered. What it does is a function of the log and the limits alone, so every learner decides the same. Pure.
 *
 * Invariants: of a session the value after the last delivered one is delivered next, once; a full table evicts the session
 * whose last entry is furthest back in the log; nothing is allocated for an entry (the bytes of values in pieces apart, which
 * are bounded).
 */
import { EntryFlag } from "../batch.ts";
import { copyBytes } from "../bytes.ts";
import { NumberIndex } from "../number_index.ts";
import { Recency } from "../recency.ts";
import { blocksOf, PartialValues } from "./partial_values.ts";
import {
  checkImage,
  ImageReader,
  imageBytes,
  type Refusal,
  type SessionLimits,
  writeImage,
} from "./session_image.ts";

/** What becomes of an entry. */
export const Outcome = {
  /** Its value is delivered: the entry's own, or all pieces up to it. */
  deliver: 0,
  /** Kept: a piece of a value that goes on. */
  piece: 1,
  /** Delivered before, or kept. */
  duplicate: 2,
  /** Not the next one of its session: discarded, its client sends it again. */
  gap: 3,
  /** Of no session that is known (any more): discarded. */
  unknown: 4,
  /** A session begins here. */
  opened: 5,
  /** The session of this nonce exists already. */
  reopened: 6,
  closed: 7,
  /** An opening that is not the first of its batch, or has no nonce; a reset that is not all of it: discarded. */
  misplaced: 8,
  /** A value larger than the limit: its session ends here. */
  oversized: 9,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Bytes of all values of which pieces are missing; never less than four of the largest. */
const PARTIAL_BYTES = 64 << 20;
const NO_BYTES = new Uint8Array(0);

export class SessionTable {
  readonly limits: SessionLimits;
  /** Sessions that were evicted: by others, and for pieces that found no room. */
  readonly counters = { evicted: 0, partialsEvicted: 0 };
  /** Where the session of the last entry is; −1: nowhere. It keeps its place until it ends. */
  slot = -1;
  /** Of the last entry, when its value is delivered: where the value lies, until the second next value in pieces is whole. */
  valueBytes: Uint8Array = NO_BYTES;
  valueOffset = 0;
  valueLength = 0;
  readonly #id: Float64Array;
  readonly #nonce: Float64Array;
  /** Next sequence that is delivered. */
  readonly #next: Float64Array;
  readonly #byId: NumberIndex;
  readonly #byNonce: NumberIndex;
  readonly #use: Recency;
  /** Sessions with pieces. */
  readonly #partialUse: Recency;
  readonly #partials: PartialValues;
  /** Places that were given back. */
  readonly #free: Int32Array;
  #freeCount = 0;
  /** Places from here on were never used: writing down each free one at the start would take milliseconds. */
  #fresh = 0;
  /** The place that was found last. */
  #found = -1;
  /** Two, so that a whole value stays while the next one is put together. */
  readonly #whole = [NO_BYTES, NO_BYTES];
  #turn = 0;

  constructor(limits: SessionLimits) {
    const { sessions, maxValueBytes } = limits;
    this.limits = limits;
    this.#id = new Float64Array(sessions);
    this.#nonce = new Float64Array(sessions);
    this.#next = new Float64Array(sessions);
    this.#byId = new NumberIndex(this.#id);
    this.#byNonce = new NumberIndex(this.#nonce);
    this.#use = new Recency(sessions);
    this.#partialUse = new Recency(sessions);
    this.#partials = new PartialValues(sessions, partialBlocks(maxValueBytes));
    this.#free = new Int32Array(sessions);
  }

  /** Sessions that are known. */
  get count(): number {
    return this.#use.count;
  }

  /** Where the session is, or −1. */
  find(session: number): number {
    // Mostly it is the one that was asked for before. A look at place −1 would cost more than the search.
    if (this.#found < 0 || this.#id[this.#found] !== session || session === 0)
      this.#found = this.#byId.find(session);
    return this.#found;
  }

  /** Where the session that was opened with this nonce is, or −1. */
  findNonce(nonce: number): number {
    return this.#byNonce.find(nonce);
  }

  idAt(slot: number): number {
    return this.#id[slot]!;
  }

  /** The sequence that is delivered next; all before it were, or are kept pieces. */
  nextAt(slot: number): number {
    return this.#next[slot]!;
  }

  /** Decides the next entry of the log, the `index`-th of instance `iid`. */
  decide(
    iid: number,
    index: number,
    session: number,
    sequence: number,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): Outcome {
    this.slot = -1;
    // Where it is in its place it is no entry of any session: `session_filter.ts`.
    if ((flags & EntryFlag.reset) !== 0) return Outcome.misplaced;
    if ((flags & EntryFlag.open) !== 0) return this.#open(iid, index, session, sequence);
    const slot = this.find(session);
    if (slot < 0) return Outcome.unknown;
    this.slot = slot;
    this.#touch(slot);
    const next = this.#next[slot]!;
    if (sequence !== next) return sequence < next ? Outcome.duplicate : Outcome.gap;
    if ((flags & EntryFlag.close) !== 0) {
      this.#end(slot);
      return Outcome.closed;
    }
    const before = this.#partials.length(slot);
    if (before + length > this.limits.maxValueBytes) {
      this.#end(slot);
      return Outcome.oversized;
    }
    this.#next[slot] = next + 1;
    if ((flags & EntryFlag.more) !== 0) {
      this.#keep(slot, bytes, offset, length);
      return Outcome.piece;
    }
    if (before === 0) {
      this.valueBytes = bytes;
      this.valueOffset = offset;
      this.valueLength = length;
    } else this.#complete(slot, bytes, offset, length);
    return Outcome.deliver;
  }

  /**
   * Decides `count` values at once that follow each other in their session, the longest of `longest` bytes. True: all of them are
   * delivered, each as it is. False: nothing has changed, they are to be decided one by one.
   */
  decideRun(session: number, sequence: number, count: number, longest: number): boolean {
    const slot = this.find(session);
    if (slot < 0 || this.#next[slot] !== sequence) return false;
    if (longest > this.limits.maxValueBytes || this.#partialUse.has(slot)) return false;
    this.slot = slot;
    this.#use.touch(slot);
    this.#next[slot] = sequence + count;
    return true;
  }

  /** Forgets everything. */
  clear(): void {
    this.#id.fill(0);
    this.#nonce.fill(0);
    this.#byId.clear();
    this.#byNonce.clear();
    this.#use.clear();
    this.#partialUse.clear();
    this.#partials.clear();
    this.#resetFree();
  }

  /** The table as bytes: the same at every learner that has decided the same entries. */
  serialize(): Uint8Array {
    const partials = this.#partials;
    let bytes = 0;
    for (let slot = this.#partialUse.oldest; slot >= 0; slot = this.#partialUse.newer(slot)) {
      bytes += imageBytes(partials.length(slot));
    }
    const image = writeImage(this.limits, this.count, bytes);
    for (let slot = this.#use.oldest; slot >= 0; slot = this.#use.newer(slot)) {
      const length = partials.length(slot);
      const at = image.session(this.#id[slot]!, this.#nonce[slot]!, this.#next[slot]!, length);
      partials.copy(slot, image.bytes, at);
    }
    return image.bytes;
  }

  /** Becomes the table of these bytes; null, or why not, and then nothing has changed. */
  restore(bytes: Uint8Array): Refusal | null {
    const { maxValueBytes } = this.limits;
    const refusal = checkImage(bytes, this.limits, partialBlocks(maxValueBytes), blocksOf);
    if (refusal !== null) return refusal;
    this.clear();
    const image = new ImageReader(bytes);
    while (image.next()) {
      const slot = this.#takePlace();
      this.#id[slot] = image.id;
      this.#nonce[slot] = image.nonce;
      this.#next[slot] = image.sequence;
      this.#byId.add(slot);
      this.#byNonce.add(slot);
      this.#use.touch(slot);
      if (image.partialLength === 0) continue;
      this.#partials.append(slot, bytes, image.partialOffset, image.partialLength);
      this.#partialUse.touch(slot);
    }
    return null;
  }

  #open(iid: number, index: number, nonce: number, sequence: number): Outcome {
    if (index !== 0 || nonce < 1 || sequence !== 0) return Outcome.misplaced;
    const known = this.#byNonce.find(nonce);
    if (known >= 0) {
      this.slot = known;
      this.#touch(known);
      return Outcome.reopened;
    }
    if (this.#freeCount === 0 && this.#fresh === this.#free.length) {
      this.counters.evicted++;
      this.#end(this.#use.oldest);
    }
    const slot = this.#takePlace();
    this.slot = slot;
    this.#id[slot] = iid;
    this.#nonce[slot] = nonce;
    this.#next[slot] = 1;
    this.#byId.add(slot);
    this.#byNonce.add(slot);
    this.#use.touch(slot);
    return Outcome.opened;
  }

  #touch(slot: number): void {
    this.#use.touch(slot);
    if (this.#partialUse.has(slot)) this.#partialUse.touch(slot);
  }

  #keep(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const partials = this.#partials;
    // A piece without bytes is nothing to keep.
    if (length === 0) return;
    this.#partialUse.touch(slot);
    while (partials.blocksFor(slot, length) > partials.freeBlocks) {
      this.counters.partialsEvicted++;
      this.#end(this.#partialUse.oldest);
    }
    partials.append(slot, bytes, offset, length);
  }

  #complete(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const before = this.#partials.length(slot);
    this.#turn ^= 1;
    let whole = this.#whole[this.#turn]!;
    if (whole.length < before + length) {
      whole = new Uint8Array(this.limits.maxValueBytes);
      this.#whole[this.#turn] = whole;
    }
    this.#partials.copy(slot, whole, 0);
    copyBytes(bytes, offset, whole, before, length);
    this.#dropPartial(slot);
    this.valueBytes = whole;
    this.valueOffset = 0;
    this.valueLength = before + length;
  }

  #dropPartial(slot: number): void {
    if (!this.#partialUse.has(slot)) return;
    this.#partials.release(slot);
    this.#partialUse.remove(slot);
  }

  #end(slot: number): void {
    this.#dropPartial(slot);
    this.#byId.remove(slot);
    this.#byNonce.remove(slot);
    this.#use.remove(slot);
    this.#id[slot] = 0;
    this.#nonce[slot] = 0;
    this.#free[this.#freeCount++] = slot;
  }

  #takePlace(): number {
    return this.#freeCount > 0 ? this.#free[--this.#freeCount]! : this.#fresh++;
  }

  #resetFree(): void {
    this.#freeCount = 0;
    this.#fresh = 0;
  }
}

function partialBlocks(maxValueBytes: number): number {
  return blocksOf(Math.max(PARTIAL_BYTES, 4 * maxValueBytes));
}
