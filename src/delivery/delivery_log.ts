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

/**
 * A record: iid, session, sequence (2 words each, low first), index (its highest bit: the last value of its instance),
 * length; then the value, padded to 8 bytes.
 */
export const LOG_RECORD_BYTES = 32;
const Word = { iid: 0, session: 2, sequence: 4, index: 6, length: 7 } as const;
/** Stands for the length of a record that says: the instances from `iid` to the one in `session` were left out. */
const GAP = -1;
/** Behind every index of an instance. */
export const LAST_INDEX = 0x7fffffff;
export const LAST_FLAG = 1 << 31;
/** One entry of the table by which a position is found covers so many bytes. */
const BLOCK_SHIFT = 16;
const NEVER = Number.POSITIVE_INFINITY;

/** What a cursor stands at. */
export const Found = { nothing: 0, value: 1, missed: 2 } as const;
export type Found = (typeof Found)[keyof typeof Found];

/** The first position (inclusive) that a reader wants. */
export interface Position {
  readonly iid: number;
  readonly index: number;
}
export type StartAt = "present" | "oldest" | Position;

function before(iid: number, index: number, otherIid: number, otherIndex: number): boolean {
  return iid < otherIid || (iid === otherIid && index < otherIndex);
}

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
  /** Records are numbered; those from `oldestSerial` to `nextSerial` − 1 are here. */
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
    for (const cursor of this.#cursors) cursor.checkStart();
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
    assert(before(this.lastIid, this.lastIndex, iid, index) || this.nextSerial === 0, "positions grow");
    this.openInstance(iid);
    const at = this.#place((LOG_RECORD_BYTES + length + 7) & ~7);
    this.#put(at, iid, isLast ? index | LAST_FLAG : index, session, sequence, length);
    copyBytes(bytes, offset, this.bytes, at + LOG_RECORD_BYTES, length);
    this.counters.values++;
    this.lastIid = iid;
    this.lastIndex = index;
  }

  /** The instances first…last will never be delivered here: every reader is told so. */
  gap(first: number, last: number): void {
    this.openInstance(first);
    const at = this.#place(LOG_RECORD_BYTES);
    this.#put(at, first, 0, last, 0, GAP);
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
    if (before(this.lastIid, this.lastIndex, iid, index)) {
      cursor.serial = this.nextSerial;
      cursor.at = this.nextAt;
      return;
    }
    for (let block = 0; block < this.#blockSerial.length; block++) {
      const serial = this.#blockSerial[block]!;
      if (serial <= cursor.serial || serial >= this.nextSerial) continue;
      const at = this.#blockAt[block]!;
      if (!before(this.number(at, Word.iid), this.indexAt(at), iid, index)) continue;
      cursor.serial = serial;
      cursor.at = at;
    }
  }

  number(at: number, word: number): number {
    const low = (at >> 2) + word;
    return (this.words[low + 1]! >>> 0) * 0x1_0000_0000 + (this.words[low]! >>> 0);
  }

  indexAt(at: number): number {
    return this.words[(at >> 2) + Word.index]! & LAST_INDEX;
  }

  isLastAt(at: number): boolean {
    return this.words[(at >> 2) + Word.index]! < 0;
  }

  lengthAt(at: number): number {
    return this.words[(at >> 2) + Word.length]!;
  }

  /** Bytes of the record at `at`. */
  sizeAt(at: number): number {
    return (LOG_RECORD_BYTES + Math.max(0, this.lengthAt(at)) + 7) & ~7;
  }

  #put(at: number, iid: number, index: number, session: number, sequence: number, length: number): void {
    const { words } = this;
    const word = at >> 2;
    putNumber(words, word + Word.iid, iid);
    putNumber(words, word + Word.session, session);
    putNumber(words, word + Word.sequence, sequence);
    words[word + Word.index] = index;
    words[word + Word.length] = length;
  }

  /** Makes room for a record, and names and numbers it. */
  #place(size: number): number {
    if (this.nextAt + size > this.#capacity) {
      // What lies between here and the end is the oldest there is.
      while (this.oldestSerial < this.nextSerial && this.oldestAt >= this.nextAt) this.#overwrite();
      if (this.oldestSerial < this.nextSerial) this.wrapAt = this.nextAt;
      else this.oldestAt = 0;
      this.nextAt = 0;
      // Who waits for the record about to be written finds it at the beginning.
      for (const cursor of this.#cursors) if (cursor.serial === this.nextSerial) cursor.at = 0;
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
    this.nextSerial++;
    return at;
  }

  #overwrite(): void {
    const serial = this.oldestSerial;
    const at = this.oldestAt;
    const isGap = this.lengthAt(at) === GAP;
    const next = at + this.sizeAt(at);
    this.oldestSerial = serial + 1;
    this.oldestAt = next === this.wrapAt ? 0 : next;
    if (next === this.wrapAt) this.wrapAt = -1;
    if (serial >= this.#lowest) this.#tellLosers(serial, at);
    this.floorIid = this.number(at, isGap ? Word.session : Word.iid);
    this.floorIndex = isGap ? LAST_INDEX : this.indexAt(at);
    if (!isGap) this.counters.overwritten++;
  }

  #tellLosers(serial: number, at: number): void {
    this.#lowest = NEVER;
    for (const cursor of this.#cursors) {
      if (!cursor.lost && cursor.serial === serial) cursor.lose(at);
      if (!cursor.lost && cursor.serial < this.#lowest) this.#lowest = cursor.serial;
    }
  }
}

/** One reader's place in the log. `peek` finds what is next, into the fields; `advance` goes past it. */
export class LogCursor {
  /** The value's position, or the first that was missed. */
  iid = 0;
  index = 0;
  session = 0;
  sequence = 0;
  /** Of a value: no other follows in its instance. */
  isLast = false;
  /** The last position missed, inclusive; its index may be LAST_INDEX: the whole rest of that instance. */
  lastIid = 0;
  lastIndex = 0;
  /** Where the value lies in the log's `bytes`, until the log is next written; its record's header stands before it. */
  offset = 0;
  length = 0;
  /** Times that values were missed, and how many of those it had a place before. */
  losses = 0;
  missedRecords = 0;
  /** Its place: a record's number and where that record is, or will be. The log's affair. */
  serial = 0;
  at = 0;
  lost = false;
  readonly #log: DeliveryLog;
  readonly #onClose: (cursor: LogCursor) => void;
  /** Records below this position are not wanted. */
  #fromIid = 0;
  #fromIndex = 0;
  #lostIid = 0;
  #lostIndex = 0;
  #found: Found = Found.nothing;

  constructor(log: DeliveryLog, onClose: (cursor: LogCursor) => void) {
    this.#log = log;
    this.#onClose = onClose;
  }

  seek(start: StartAt): void {
    const log = this.#log;
    this.lost = false;
    this.#found = Found.nothing;
    this.#fromIid = this.#fromIndex = 0;
    if (typeof start === "object") {
      this.#fromIid = start.iid;
      this.#fromIndex = start.index;
      log.find(this, start.iid, start.index);
      this.checkStart();
    } else {
      const present = start === "present";
      this.serial = present ? log.nextSerial : log.oldestSerial;
      this.at = present ? log.nextAt : log.oldestAt;
    }
    log.watch(this.serial);
  }

  /** Nothing is left to read now. */
  get isAtEnd(): boolean {
    return !this.lost && this.serial === this.#log.nextSerial;
  }

  /** After `peek` found something: it is a value. */
  get isValue(): boolean {
    return this.#found === Found.value;
  }

  peek(): Found {
    const log = this.#log;
    if (this.lost) {
      this.iid = this.#lostIid;
      this.index = this.#lostIndex;
      this.lastIid = log.floorIid;
      this.lastIndex = log.floorIndex;
      return this.#find(Found.missed);
    }
    while (this.serial < log.nextSerial) {
      const { at } = this;
      this.iid = log.number(at, Word.iid);
      this.index = log.indexAt(at);
      this.length = log.lengthAt(at);
      this.session = log.number(at, Word.session);
      if (this.length === GAP) {
        this.lastIid = this.session;
        this.lastIndex = LAST_INDEX;
        if (!before(this.lastIid, LAST_INDEX, this.#fromIid, this.#fromIndex)) return this.#foundGap();
      } else if (!before(this.iid, this.index, this.#fromIid, this.#fromIndex)) {
        this.sequence = log.number(at, Word.sequence);
        this.isLast = log.isLastAt(at);
        this.offset = at + LOG_RECORD_BYTES;
        return this.#find(Found.value);
      }
      this.#step();
    }
    return this.#find(Found.nothing);
  }

  /** Past what `peek` found. */
  advance(): void {
    if (this.lost) {
      this.lost = false;
      this.losses++;
      this.missedRecords += this.#log.oldestSerial - this.serial;
      this.serial = this.#log.oldestSerial;
      this.at = this.#log.oldestAt;
      this.#log.watch(this.serial);
    } else if (this.#found !== Found.nothing) {
      if (this.#found === Found.missed) this.losses++;
      this.#step();
    }
    this.#found = Found.nothing;
  }

  close(): void {
    this.#onClose(this);
  }

  /** What it wants to begin with cannot be had. Called by the log when it knows. */
  checkStart(): void {
    const { floorIid, floorIndex } = this.#log;
    if (floorIid < 0 || this.#fromIid === 0) return;
    if (before(floorIid, floorIndex, this.#fromIid, this.#fromIndex)) return;
    this.#lose(this.#fromIid, this.#fromIndex);
  }

  /** The record it stands at, at `at`, is being overwritten. Called by the log, which has moved on already. */
  lose(at: number): void {
    const log = this.#log;
    const isGap = log.lengthAt(at) === GAP;
    const lastIid = log.number(at, isGap ? Word.session : Word.iid);
    const lastIndex = isGap ? LAST_INDEX : log.indexAt(at);
    if (before(lastIid, lastIndex, this.#fromIid, this.#fromIndex)) {
      // It was not wanted.
      this.serial = log.oldestSerial;
      this.at = log.oldestAt;
      return;
    }
    const iid = log.number(at, Word.iid);
    const index = log.indexAt(at);
    if (before(iid, index, this.#fromIid, this.#fromIndex)) this.#lose(this.#fromIid, this.#fromIndex);
    else this.#lose(iid, index);
  }

  #lose(iid: number, index: number): void {
    this.lost = true;
    this.#lostIid = iid;
    this.#lostIndex = index;
  }

  #foundGap(): Found {
    if (before(this.iid, this.index, this.#fromIid, this.#fromIndex)) {
      this.iid = this.#fromIid;
      this.index = this.#fromIndex;
    }
    return this.#find(Found.missed);
  }

  #find(found: Found): Found {
    this.#found = found;
    return found;
  }

  #step(): void {
    this.at += this.#log.sizeAt(this.at);
    if (this.at === this.#log.wrapAt) this.at = 0;
    this.serial++;
  }
}

function putNumber(words: Int32Array, at: number, value: number): void {
  words[at] = value | 0;
  words[at + 1] = Math.floor(value / 0x1_0000_0000);
}
