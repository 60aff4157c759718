/**
 * Fetching a snapshot: asks everyone who may have one, takes the newest that is offered, and fetches it in segments,
 * several under way at once. Not the least that would do: behind the newest there is the least of the log to read, and to be
 * trimmed meanwhile, which would take another snapshot; and a state is as whole with either. What is lost is asked for again
 * from where it broke off; a server that falls silent, or does not have the snapshot any more, is left for another one, and
 * what has come already is kept if that one offers the very same snapshot. Pure.
 *
 * Invariant: `bytes` are complete only when every byte came and the checksum is that of the offer.
 */
import { copyBytes } from "../bytes.ts";
import { crc32c } from "../crc32c.ts";
import type { Outbox } from "../outbox.ts";
import { Retry } from "../retry.ts";
import { NO_PEER, type Peer } from "../types.ts";

/** Larger offers are not taken: what somebody claims costs memory here. */
export const MAX_SNAPSHOT_BYTES = 2 ** 30;
/** Asked for at once: what a server answers in one go. */
export const SEGMENT_BYTES = 16_384;
/** Chunks begin and end at multiples of this, but for the last: so they may come in any order. */
export const GRAIN_BYTES = 64;
const GRAINS = SEGMENT_BYTES / GRAIN_BYTES;
/** Bytes under way: at first, at least, at most. As in `catch_up.ts`. */
const FIRST_WINDOW = 65_536;
const LEAST_WINDOW = 16_384;
const MOST_WINDOW = 262_144;
const SLOTS = MOST_WINDOW / SEGMENT_BYTES;
const ASK_FIRST_US = 50_000;
const ASK_MOST_US = 1_000_000;
/** After the first offer others get so long to come with a newer one. */
const GATHER_US = 10_000;
/** An answer to a question comes within this time, if it comes. */
const ANSWER_US = 100_000;
/** A server that sends nothing for so long is left. */
const SILENT_US = 600_000;
const AVOID_US = 2_000_000;
const AVOIDED = 8;
const FREE = -1;

export class SnapshotFetch {
  stage: "idle" | "asking" | "fetching" | "complete" = "idle";
  /** What is asked for. */
  kind = 0;
  above = 0;
  /** The snapshot that is being fetched, or was. */
  iid = 0;
  size = 0;
  from: Peer = NO_PEER;
  bytes = new Uint8Array(0);
  /** Since when it is asked for in vain. */
  askedSinceUs = 0;
  readonly counters = { asked: 0, offers: 0, refused: 0, bytes: 0, again: 0, serversLeft: 0, damaged: 0 };
  readonly #outbox: Outbox;
  readonly #retry = new Retry(200_000);
  #checksum = 0;
  #nowUs = 0;
  #askedUs = Number.NEGATIVE_INFINITY;
  #askDueUs = 0;
  #askPauseUs = ASK_FIRST_US;
  /** The best offer so far, and until when better ones are waited for. */
  #offerIid = 0;
  #offerSize = 0;
  #offerChecksum = 0;
  #offerFrom: Peer = NO_PEER;
  #chooseUs = Number.POSITIVE_INFINITY;
  /** 1: the segment is here. */
  #isHere = new Uint8Array(0);
  #nextSegment = 0;
  #segmentsLeft = 0;
  /** The segments under way. */
  readonly #segment = new Int32Array(SLOTS).fill(FREE);
  readonly #sentUs = new Float64Array(SLOTS);
  readonly #tries = new Uint8Array(SLOTS);
  /** Which grains of them came, and how many. */
  readonly #grains = new Uint8Array(SLOTS * GRAINS);
  readonly #count = new Uint16Array(SLOTS);
  #underWay = 0;
  #windowBytes = FIRST_WINDOW;
  #heardUs = 0;
  readonly #avoided = new Int32Array(AVOIDED).fill(NO_PEER);
  readonly #avoidUntilUs = new Float64Array(AVOIDED);

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** A snapshot of this kind that covers more than `above` is needed. */
  want(kind: number, above: number, nowUs: number): void {
    this.#nowUs = nowUs;
    this.above = above;
    if (this.stage === "asking" || (this.stage !== "idle" && this.iid > above)) return;
    this.kind = kind;
    this.askedSinceUs = nowUs;
    this.#ask();
  }

  /** A snapshot is on its way, or may be offered in a moment. */
  get isExpected(): boolean {
    if (this.stage !== "asking") return this.stage !== "idle";
    return this.#offerFrom !== NO_PEER || this.#nowUs - this.#askedUs < ANSWER_US;
  }

  /** None is needed. */
  cancel(): void {
    this.stage = "idle";
    this.bytes = new Uint8Array(0);
    this.size = 0;
    this.#isHere = new Uint8Array(0);
  }

  /** The bytes make no sense to whoever wanted them: another server may have better ones. */
  refuse(): void {
    this.counters.refused++;
    this.size = 0;
    this.#leave();
  }

  onInfo(from: Peer, kind: number, iid: number, size: number, checksum: number): void {
    if (kind !== this.kind || this.stage === "idle" || this.stage === "complete") return;
    if (this.stage === "fetching") {
      // It does not have the one we fetch any more.
      if (from !== this.from || iid <= this.iid) return;
      this.#ask();
    }
    if (iid <= this.above || size < 1 || this.#isAvoided(from)) return;
    if (size > MAX_SNAPSHOT_BYTES) {
      this.counters.refused++;
      return;
    }
    this.counters.offers++;
    if (this.#offerFrom === NO_PEER) this.#chooseUs = this.#nowUs + GATHER_US;
    if (iid <= this.#offerIid && this.#offerFrom !== NO_PEER) return;
    this.#offerFrom = from;
    this.#offerIid = iid;
    this.#offerSize = size;
    this.#offerChecksum = checksum;
  }

  onChunk(
    from: Peer,
    kind: number,
    iid: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (this.stage !== "fetching" || from !== this.from || kind !== this.kind || iid !== this.iid) return;
    this.#heardUs = this.#nowUs;
    const segment = Math.floor(position / SEGMENT_BYTES);
    const slot = this.#segment.indexOf(segment);
    if (slot < 0 || length === 0) return;
    const segmentBytes = this.#segmentBytes(segment);
    const at = position - segment * SEGMENT_BYTES;
    const end = at + length;
    const isAligned = at % GRAIN_BYTES === 0 && (end % GRAIN_BYTES === 0 || end === segmentBytes);
    if (!isAligned || end > segmentBytes) return;
    copyBytes(bytes, offset, this.bytes, position, length);
    this.counters.bytes += length;
    for (let grain = at / GRAIN_BYTES; grain * GRAIN_BYTES < end; grain++) {
      const i = slot * GRAINS + grain;
      if (this.#grains[i] === 0) this.#count[slot] = this.#count[slot]! + 1;
      this.#grains[i] = 1;
    }
    if (this.#count[slot]! * GRAIN_BYTES < segmentBytes) return;
    this.#isHere[segment] = 1;
    if (this.#tries[slot] === 1) this.#retry.sample(this.#nowUs - this.#sentUs[slot]!);
    this.#segment[slot] = FREE;
    this.#underWay--;
    this.#windowBytes = Math.min(MOST_WINDOW, this.#windowBytes + SEGMENT_BYTES / 4);
    if (--this.#segmentsLeft === 0) this.#finish();
    else this.#request();
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (this.stage === "asking") {
      if (nowUs >= this.#chooseUs) this.#begin();
      else if (nowUs >= this.#askDueUs) this.#send();
    } else if (this.stage === "fetching") {
      if (nowUs - this.#heardUs >= SILENT_US) {
        this.#leave();
        return;
      }
      for (let slot = 0; slot < SLOTS; slot++) {
        if (this.#segment[slot] === FREE || nowUs < this.#dueUs(slot)) continue;
        this.counters.again++;
        this.#windowBytes = Math.max(LEAST_WINDOW, this.#windowBytes / 2);
        this.#fetch(slot);
      }
      this.#request();
    }
  }

  dueUs(): number {
    if (this.stage === "asking") return Math.min(this.#askDueUs, this.#chooseUs);
    if (this.stage !== "fetching") return Number.POSITIVE_INFINITY;
    let due = this.#heardUs + SILENT_US;
    for (let slot = 0; slot < SLOTS; slot++)
      if (this.#segment[slot] !== FREE) due = Math.min(due, this.#dueUs(slot));
    return due;
  }

  #ask(): void {
    this.stage = "asking";
    this.#offerFrom = NO_PEER;
    this.#offerIid = 0;
    this.#chooseUs = Number.POSITIVE_INFINITY;
    this.#askPauseUs = ASK_FIRST_US;
    this.#send();
  }

  #send(): void {
    this.counters.asked++;
    this.#askedUs = this.#nowUs;
    this.#outbox.snapshotAsk(this.kind, this.above);
    this.#askDueUs = this.#nowUs + this.#askPauseUs;
    this.#askPauseUs = Math.min(ASK_MOST_US, this.#askPauseUs * 2);
  }

  #begin(): void {
    const isSame =
      this.iid === this.#offerIid && this.size === this.#offerSize && this.#checksum === this.#offerChecksum;
    this.stage = "fetching";
    this.from = this.#offerFrom;
    this.#heardUs = this.#nowUs;
    this.#segment.fill(FREE);
    this.#underWay = 0;
    this.#windowBytes = FIRST_WINDOW;
    if (!isSame) {
      this.iid = this.#offerIid;
      this.size = this.#offerSize;
      this.#checksum = this.#offerChecksum;
      this.bytes = new Uint8Array(this.size);
      this.#isHere = new Uint8Array(Math.ceil(this.size / SEGMENT_BYTES));
      this.#segmentsLeft = this.#isHere.length;
    }
    this.#nextSegment = 0;
    this.#request();
  }

  /** Asks for more segments while the window has room. */
  #request(): void {
    while ((this.#underWay + 1) * SEGMENT_BYTES <= this.#windowBytes && this.#underWay < SLOTS) {
      const segments = this.#isHere.length;
      while (this.#nextSegment < segments && this.#isHere[this.#nextSegment] === 1) this.#nextSegment++;
      if (this.#nextSegment === segments) return;
      const slot = this.#segment.indexOf(FREE);
      this.#segment[slot] = this.#nextSegment++;
      this.#tries[slot] = 0;
      this.#count[slot] = 0;
      this.#grains.fill(0, slot * GRAINS, (slot + 1) * GRAINS);
      this.#underWay++;
      this.#fetch(slot);
    }
  }

  #fetch(slot: number): void {
    const segment = this.#segment[slot]!;
    let grain = 0;
    while (this.#grains[slot * GRAINS + grain] === 1) grain++;
    const from = grain * GRAIN_BYTES;
    this.#sentUs[slot] = this.#nowUs;
    this.#tries[slot] = Math.min(255, this.#tries[slot]! + 1);
    const position = segment * SEGMENT_BYTES + from;
    this.#outbox.snapshotFetch(this.from, this.kind, this.iid, position, this.#segmentBytes(segment) - from);
  }

  #finish(): void {
    // The checksum is the snapshot's last word; see delivery/snapshot.ts.
    if (crc32c(this.bytes, 0, this.size - 4) === this.#checksum) {
      this.stage = "complete";
      return;
    }
    this.counters.damaged++;
    this.size = 0;
    this.#leave();
  }

  #leave(): void {
    this.counters.serversLeft++;
    let oldest = 0;
    for (let i = 1; i < AVOIDED; i++) if (this.#avoidUntilUs[i]! < this.#avoidUntilUs[oldest]!) oldest = i;
    this.#avoided[oldest] = this.from;
    this.#avoidUntilUs[oldest] = this.#nowUs + AVOID_US;
    this.#ask();
  }

  #isAvoided(peer: Peer): boolean {
    for (let i = 0; i < AVOIDED; i++)
      if (this.#avoided[i] === peer && this.#avoidUntilUs[i]! > this.#nowUs) return true;
    return false;
  }

  #segmentBytes(segment: number): number {
    return Math.min(SEGMENT_BYTES, this.size - segment * SEGMENT_BYTES);
  }

  #dueUs(slot: number): number {
    return this.#sentUs[slot]! + this.#retry.pauseUs(this.#tries[slot]!);
  }
}
