/**
 * What a learner delivered lately, in one buffer of a fixed size: the newest value overwrites the oldest. Every reader
 * has a `LogCursor` of its own, so a slow one delays nobody; one whose next value was overwritten learns exactly which
 * positions it missed. The writer never waits, never refuses and allocates nothing.
 *
 * Invariants: positions (iid, index) only grow; a cursor is given every position from where it began, each either as a
 * value or within a missed range. Everything up to the floor (inclusive) can no longer be had here.
 */
import { assert } from "../protocol/assert.ts";
import { copyBytes } from "../protocol/bytes.ts";
import { LogCursor } from "./log_cursor.ts";
import {
  GAP,
  isBefore,
  LAST_FLAG,
  LAST_INDEX,
  LOG_RECORD_BYTES,
  MAX_INDEX,
  MAX_RUN_BYTES,
  MAX_RUN_VALUES,
  putNumber,
  RUN_FLAG,
  type StartAt,
  Word,
} from "./log_record.ts";

/** One entry of the table by which a position is found covers so many bytes. */
const BLOCK_SHIFT = 16;
const NEVER = Number.POSITIVE_INFINITY;

export class DeliveryLog {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly counters = { values: 0, overwritten: 0 };
  /** Nothing at or below this position can be had here; iid −1: nothing was delivered yet. */
  floorIid = -1;
  floorIndex = LAST_INDEX;
  /** Position of the last value. */
  lastIid = 0;
  lastIndex = 0;
  /** The last instance all of whose values are here. */
  closedIid = 0;
  /** Values and gaps are numbered; those from `oldestSerial` to `nextSerial` − 1 are here. */
  oldestSerial = 0;
  nextSerial = 0;
  /** Where they begin and end in the buffer. */
  oldestAt = 0;
  nextAt = 0;
  /** Where the oldest records go on at byte 0; −1: they do not. */
  wrapAt = -1;
  readonly #capacity: number;
  readonly #cursors: LogCursor[] = [];
  /** No cursor that still has its record stands below. */
  #lowest = NEVER;
  /** First record that began in each block. */
  readonly #blockSerial: Float64Array;
  readonly #blockAt: Float64Array;
  #block = -1;
  /** Where the last record begins. */
  #at = 0;

  /** `bytes`: size of the buffer; it must hold at least one record of the largest value. */
  constructor(bytes: number) {
    const capacity = bytes & ~7;
    assert(capacity >= LOG_RECORD_BYTES, "a delivery log holds at least one record");
    const buffer = new ArrayBuffer(capacity);
    this.#capacity = capacity;
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    const blocks = (capacity >>> BLOCK_SHIFT) + 1;
    this.#blockSerial = new Float64Array(blocks).fill(-1);
    this.#blockAt = new Float64Array(blocks);
  }

  /** Bytes of the largest value it takes. */
  get maxValue(): number {
    return this.#capacity - LOG_RECORD_BYTES;
  }

  /** Values of this instance follow, or none: it may have been a no-op. */
  openInstance(iid: number): void {
    if (this.floorIid >= 0) return;
    this.floorIid = iid - 1;
    for (let i = 0; i < this.#cursors.length; i++) this.#cursors[i]!.checkStart();
  }

  /** All values of this instance are here. */
  closeInstance(iid: number): void {
    this.closedIid = iid;
  }

  append(
    iid: number,
    index: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    assert(length >= 0 && length <= this.maxValue, "a delivered value fits the delivery log");
    assert(index <= MAX_INDEX, "no instance has so many values");
    this.#record(iid, isLast ? index | LAST_FLAG : index, session, sequence, length, 1);
    copyBytes(bytes, offset, this.bytes, this.#at + LOG_RECORD_BYTES, length);
  }

  /** `count` values of one session that follow each other, as the entries of a batch. False: they do not fit together. */
  appendRun(
    iid: number,
    index: number,
    count: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    if (length > Math.min(MAX_RUN_BYTES, this.maxValue) || count > MAX_RUN_VALUES) return false;
    const flags = isLast ? RUN_FLAG | LAST_FLAG : RUN_FLAG;
    this.#record(iid, index | flags, session, sequence, length | (count << 16), count);
    copyBytes(bytes, offset, this.bytes, this.#at + LOG_RECORD_BYTES, length);
    return true;
  }

  /** The instances first…last will never be delivered here: every reader is told so. */
  gap(first: number, last: number): void {
    this.openInstance(first);
    this.#place(LOG_RECORD_BYTES, 1);
    this.#put(first, 0, last, 0, GAP);
    this.lastIid = last;
    this.lastIndex = LAST_INDEX;
    this.closedIid = last;
  }

  /** A reader of its own pace; `close` it when it is done with. */
  open(start: StartAt): LogCursor {
    const cursor = new LogCursor(this, (closed) => this.#cursors.splice(this.#cursors.indexOf(closed), 1));
    this.#cursors.push(cursor);
    cursor.seek(start);
    return cursor;
  }

  /** Cursors below `serial` have to be looked at when their record is overwritten. */
  watch(serial: number): void {
    if (serial < this.#lowest) this.#lowest = serial;
  }

  /** Puts a cursor at a record from which the first one at or after the position is not far. */
  find(cursor: LogCursor, iid: number, index: number): void {
    cursor.serial = this.oldestSerial;
    cursor.at = this.oldestAt;
    if (isBefore(this.lastIid, this.lastIndex, iid, index)) {
      cursor.serial = this.nextSerial;
      cursor.at = this.nextAt;
      return;
    }
    for (let block = 0; block < this.#blockSerial.length; block++) {
      const serial = this.#blockSerial[block]!;
      if (serial <= cursor.serial || serial >= this.nextSerial) continue;
      const at = this.#blockAt[block]!;
      if (!isBefore(this.number(at, Word.iid), this.indexAt(at), iid, index)) continue;
      cursor.serial = serial;
      cursor.at = at;
    }
  }

  number(at: number, word: number): number {
    const low = (at >> 2) + word;
    return (this.words[low + 1]! >>> 0) * 0x1_0000_0000 + (this.words[low]! >>> 0);
  }

  /** Of a run: of its first value. */
  indexAt(at: number): number {
    return this.words[(at >> 2) + Word.index]! & ~(LAST_FLAG | RUN_FLAG);
  }

  isRunAt(at: number): boolean {
    return (this.words[(at >> 2) + Word.index]! & RUN_FLAG) !== 0;
  }

  /** How many values, or gaps, the record is. */
  countAt(at: number): number {
    return this.isRunAt(at) ? this.words[(at >> 2) + Word.length]! >>> 16 : 1;
  }

  isLastAt(at: number): boolean {
    return this.words[(at >> 2) + Word.index]! < 0;
  }

  lengthAt(at: number): number {
    return this.words[(at >> 2) + Word.length]!;
  }

  /** Bytes of the record at `at`. */
  sizeAt(at: number): number {
    const length = this.lengthAt(at);
    const bytes = this.isRunAt(at) ? length & MAX_RUN_BYTES : Math.max(0, length);
    return (LOG_RECORD_BYTES + bytes + 7) & ~7;
  }

  /** Begins the record of one or more values: all but their bytes. */
  #record(
    iid: number,
    index: number,
    session: number,
    sequence: number,
    length: number,
    count: number,
  ): void {
    const first = index & ~(LAST_FLAG | RUN_FLAG);
    assert(isBefore(this.lastIid, this.lastIndex, iid, first) || this.nextSerial === 0, "positions grow");
    this.openInstance(iid);
    const isRun = (index & RUN_FLAG) !== 0;
    this.#place((LOG_RECORD_BYTES + (isRun ? length & MAX_RUN_BYTES : length) + 7) & ~7, count);
    this.#put(iid, index, session, sequence, length);
    this.counters.values += count;
    this.lastIid = iid;
    this.lastIndex = first + count - 1;
  }

  #put(iid: number, index: number, session: number, sequence: number, length: number): void {
    const { words } = this;
    const word = this.#at >> 2;
    putNumber(words, word + Word.iid, iid);
    putNumber(words, word + Word.session, session);
    putNumber(words, word + Word.sequence, sequence);
    words[word + Word.index] = index;
    words[word + Word.length] = length;
  }

  /** Makes room for a record of `count` values, and names and numbers it. */
  #place(size: number, count: number): void {
    if (this.nextAt + size > this.#capacity) {
      // What lies between here and the end is the oldest there is.
      while (this.oldestSerial < this.nextSerial && this.oldestAt >= this.nextAt) this.#overwrite();
      if (this.oldestSerial < this.nextSerial) this.wrapAt = this.nextAt;
      else this.oldestAt = 0;
      this.nextAt = 0;
      // Who waits for the record about to be written finds it at the beginning.
      for (let i = 0; i < this.#cursors.length; i++) {
        const cursor = this.#cursors[i]!;
        if (cursor.serial === this.nextSerial) cursor.at = 0;
      }
    }
    const at = this.nextAt;
    while (this.oldestSerial < this.nextSerial && this.oldestAt >= at && this.oldestAt < at + size)
      this.#overwrite();
    const block = at >>> BLOCK_SHIFT;
    if (block !== this.#block || at === 0) {
      this.#block = block;
      this.#blockSerial[block] = this.nextSerial;
      this.#blockAt[block] = at;
    }
    if (this.oldestSerial === this.nextSerial) this.oldestAt = at;
    this.nextAt = at + size;
    this.nextSerial += count;
    this.#at = at;
  }

  #overwrite(): void {
    const serial = this.oldestSerial;
    const at = this.oldestAt;
    const isGap = this.lengthAt(at) === GAP;
    const count = this.countAt(at);
    const next = at + this.sizeAt(at);
    this.oldestSerial = serial + count;
    this.oldestAt = next === this.wrapAt ? 0 : next;
    if (next === this.wrapAt) this.wrapAt = -1;
    if (this.oldestSerial > this.#lowest) this.#tellLosers(serial, at);
    this.floorIid = this.number(at, isGap ? Word.session : Word.iid);
    this.floorIndex = isGap ? LAST_INDEX : this.indexAt(at) + count - 1;
    if (!isGap) this.counters.overwritten += count;
  }

  /** The record at `at`, the first value of which is `serial`, goes. */
  #tellLosers(serial: number, at: number): void {
    this.#lowest = NEVER;
    for (let i = 0; i < this.#cursors.length; i++) {
      const cursor = this.#cursors[i]!;
      const stands = !cursor.lost && cursor.serial >= serial && cursor.serial < this.oldestSerial;
      if (stands) cursor.lose(at, cursor.serial - serial);
      if (!cursor.lost && cursor.serial < this.#lowest) this.#lowest = cursor.serial;
    }
  }
}
