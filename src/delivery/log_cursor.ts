/**
 * One reader's place in the delivery log. Reads on its own: what it has not read may be overwritten, and then it knows exactly
 * which positions it missed.
 */
import {
  ENTRY_HEADER_BYTES,
  entryBytes,
  SHORT_HEADER_BYTES,
  shortEntryBytes,
  valueLengthAt,
} from "../protocol/batch.ts";
import { copyBytes } from "../protocol/bytes.ts";
import type { DeliveryLog } from "./delivery_log.ts";
import {
  Found,
  GAP,
  isBefore,
  LAST_FLAG,
  LAST_INDEX,
  LOG_RECORD_BYTES,
  putNumber,
  type StartAt,
  Word,
} from "./log_record.ts";

const NOTHING = new Uint8Array(0);

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
  /** Where the value lies, until the log is next written; a record's header stands before it. */
  bytes: Uint8Array;
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
  /** In a run: how many of its values were passed, and where the entry of the next one is, from the record on. */
  #passed = 0;
  #entryAt = 0;
  /** A value of a run with a record's header of its own. */
  #apart: Uint8Array = NOTHING;
  #apartWords = new Int32Array(0);

  constructor(log: DeliveryLog, onClose: (cursor: LogCursor) => void) {
    this.#log = log;
    this.bytes = log.bytes;
    this.#onClose = onClose;
  }

  seek(start: StartAt): void {
    const log = this.#log;
    this.lost = false;
    this.#found = Found.nothing;
    this.#fromIid = this.#fromIndex = 0;
    this.#passed = 0;
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
      this.index = log.indexAt(at) + this.#passed;
      this.length = log.lengthAt(at);
      this.session = log.number(at, Word.session);
      if (log.isRunAt(at)) {
        if (!isBefore(this.iid, this.index, this.#fromIid, this.#fromIndex)) return this.#foundInRun();
      } else if (this.length === GAP) {
        this.lastIid = this.session;
        this.lastIndex = LAST_INDEX;
        if (!isBefore(this.lastIid, LAST_INDEX, this.#fromIid, this.#fromIndex)) return this.#foundGap();
      } else if (!isBefore(this.iid, this.index, this.#fromIid, this.#fromIndex)) {
        this.sequence = log.number(at, Word.sequence);
        this.isLast = log.isLastAt(at);
        this.bytes = log.bytes;
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
      this.#passed = 0;
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
    if (isBefore(floorIid, floorIndex, this.#fromIid, this.#fromIndex)) return;
    this.#lose(this.#fromIid, this.#fromIndex);
  }

  /** The record it stands at, at `at`, is being overwritten; it had passed so many of its values. Called by the log, which has moved on already. */
  lose(at: number, passed: number): void {
    const log = this.#log;
    const isGap = log.lengthAt(at) === GAP;
    const lastIid = log.number(at, isGap ? Word.session : Word.iid);
    const lastIndex = isGap ? LAST_INDEX : log.indexAt(at) + log.countAt(at) - 1;
    this.#passed = 0;
    if (isBefore(lastIid, lastIndex, this.#fromIid, this.#fromIndex)) {
      // It was not wanted.
      this.serial = log.oldestSerial;
      this.at = log.oldestAt;
      return;
    }
    const iid = log.number(at, Word.iid);
    const index = log.indexAt(at) + passed;
    if (isBefore(iid, index, this.#fromIid, this.#fromIndex)) this.#lose(this.#fromIid, this.#fromIndex);
    else this.#lose(iid, index);
  }

  #lose(iid: number, index: number): void {
    this.lost = true;
    this.#lostIid = iid;
    this.#lostIndex = index;
  }

  #foundGap(): Found {
    if (isBefore(this.iid, this.index, this.#fromIid, this.#fromIndex)) {
      this.iid = this.#fromIid;
      this.index = this.#fromIndex;
    }
    return this.#find(Found.missed);
  }

  /** Writes the value as a record of its own. */
  #foundInRun(): Found {
    const log = this.#log;
    const { at } = this;
    const entryAt = at + LOG_RECORD_BYTES + (this.#passed === 0 ? 0 : this.#entryAt);
    const length = valueLengthAt(log.bytes, entryAt);
    if (this.#apart.length < LOG_RECORD_BYTES + length) this.#growApart(length);
    this.length = length;
    this.sequence = log.number(at, Word.sequence) + this.#passed;
    this.isLast = log.isLastAt(at) && this.#passed + 1 === log.countAt(at);
    this.bytes = this.#apart;
    this.offset = LOG_RECORD_BYTES;
    const words = this.#apartWords;
    putNumber(words, Word.iid, this.iid);
    putNumber(words, Word.session, this.session);
    putNumber(words, Word.sequence, this.sequence);
    words[Word.index] = this.isLast ? this.index | LAST_FLAG : this.index;
    words[Word.length] = length;
    const valueAt = entryAt + (this.#passed === 0 ? ENTRY_HEADER_BYTES : SHORT_HEADER_BYTES);
    copyBytes(log.bytes, valueAt, this.#apart, LOG_RECORD_BYTES, length);
    return this.#find(Found.value);
  }

  #growApart(length: number): void {
    const buffer = new ArrayBuffer(LOG_RECORD_BYTES + ((length + 7) & ~7));
    this.#apart = new Uint8Array(buffer);
    this.#apartWords = new Int32Array(buffer);
  }

  #find(found: Found): Found {
    this.#found = found;
    return found;
  }

  #step(): void {
    const log = this.#log;
    this.serial++;
    if (this.#passed + 1 < log.countAt(this.at)) return this.#stepInRun();
    this.#passed = 0;
    this.at += log.sizeAt(this.at);
    if (this.at === log.wrapAt) this.at = 0;
  }

  #stepInRun(): void {
    const isFirst = this.#passed === 0;
    const entryAt = isFirst ? 0 : this.#entryAt;
    const length = valueLengthAt(this.#log.bytes, this.at + LOG_RECORD_BYTES + entryAt);
    this.#entryAt = entryAt + (isFirst ? entryBytes(length) : shortEntryBytes(length));
    this.#passed++;
  }
}
