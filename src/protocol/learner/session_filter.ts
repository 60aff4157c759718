/**
 * Between a learner and whoever wants its values (native wire): runs the session table over each instance, in log order, and
 * hands on the values that are to be delivered. A consumer may say "not now" at any value; the entry is decided once all the
 * same. Pure.
 *
 * Invariants: every entry of every instance is decided exactly once, before its value is handed on; what is not of a session
 * whose opening was seen, or came with a snapshot, is discarded. While the sessions are not known (`isWhole` is false) nothing
 * is decided and nothing handed on, up to the instance at which all sessions begin anew (`reset_entry.ts`); what lies between
 * the consumer is told as skipped.
 */
import {
  BatchReader,
  ENTRY_HEADER_BYTES,
  SHORT_HEADER_BYTES,
  shortEntryBytes,
  valueLengthAt,
} from "../batch.ts";
import { isReset } from "../reset_entry.ts";
import { MAX_IID } from "../types.ts";
import type { Application } from "./learner.ts";
import type { Refusal } from "./session_image.ts";
import { Outcome, type SessionTable } from "./session_table.ts";

/** Who wants the values that are delivered, one after the other. */
export interface ValueConsumer {
  /** Takes the next value; false: not now, offer it again. `isLast`: no other value of this instance follows. */
  take(
    iid: number,
    index: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean;
  /**
   * Takes `count` values at once, which follow each other in their instance and session: their entries, the first with all of its
   * header. False: not now, or not at once; they are offered one after the other.
   */
  takeRun?(
    iid: number,
    index: number,
    count: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean;
  /** All values of this instance were taken; it may have had none. */
  finished(iid: number): void;
  /** The instances first…last will never be delivered here. */
  skipped(first: number, last: number): void;
  /** The highest instance whose effects are kept safe. */
  acknowledged(): number;
}

/** Told what became of each entry, in log order. */
export interface EntryListener {
  /**
   * `slot`: where the table has the session, −1: nowhere; of a session that ended with this entry, where it was. Of values of one
   * session that are delivered one right after the other, perhaps of the last only.
   */
  onEntry(outcome: Outcome, slot: number, iid: number, session: number, sequence: number): void;
  /** The table is another one now: it was restored, or nothing of it holds any more. */
  onTableReplaced(): void;
}

/** What is to be handed on: a value, or a run of them. */
class Held {
  isFull = false;
  /** Of a run: how many of its values are left, from `index` on. Else 0. */
  count = 0;
  /** Of a run: bytes before the value of its next entry. */
  header = 0;
  index = 0;
  session = 0;
  sequence = 0;
  /** Null: in the instance itself, at `offset` from its beginning. */
  bytes: Uint8Array | null = null;
  offset = 0;
  length = 0;
}

export class SessionFilter implements Application {
  readonly table: SessionTable;
  /** The last instance that was decided and handed on as a whole. */
  iid = 0;
  /** The table is that of the whole log up to `iid`: read from instance 1, or begun with a snapshot. */
  isWhole = true;
  readonly counters = { values: 0, pieces: 0, duplicates: 0, gaps: 0, unknown: 0, misplaced: 0 };
  /** How often all sessions began anew. */
  resets = 0;
  readonly #consumer: ValueConsumer | null;
  readonly #listeners: EntryListener[] = [];
  readonly #reader = new BatchReader();
  /** The first instance that was passed over and is not told as skipped yet; 0: none. */
  #untold = 0;
  /** Entries of the instance under way that are decided; −1: no instance is. */
  #decided = -1;
  /** The last value decided, held back until it is known whether it is the last of its instance; and the one before. */
  #last = new Held();
  #before = new Held();

  /** `consumer` null: only the table is wanted. */
  constructor(table: SessionTable, consumer: ValueConsumer | null) {
    this.table = table;
    this.#consumer = consumer;
  }

  listen(listener: EntryListener): void {
    this.#listeners.push(listener);
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.#decided < 0 && iid !== this.iid + 1) this.#lose();
    if (isReset(bytes, offset, length)) return this.#beginAnew(iid);
    if (!this.isWhole) return this.#passOver(iid);
    if (this.#decided < 0) this.#decided = 0;
    const reader = this.#reader;
    reader.open(bytes, offset, length);
    for (;;) {
      if (this.#before.isFull && !this.#hand(this.#before, false, iid, bytes, offset)) return false;
      if (!reader.next()) break;
      if (reader.index >= this.#decided) this.#decide(iid, bytes, offset);
    }
    if (this.#last.isFull && !this.#hand(this.#last, true, iid, bytes, offset)) return false;
    this.#decided = -1;
    this.iid = iid;
    this.#consumer?.finished(iid);
    return true;
  }

  skipped(first: number, last: number): void {
    this.#tellPassedOver();
    this.#lose();
    this.iid = last;
    this.#consumer?.skipped(first, last);
  }

  /** Goes on behind instance `iid`, of which the sessions are not known. */
  beginUnknown(iid: number): void {
    this.#tellPassedOver();
    this.#lose();
    this.iid = iid;
  }

  acknowledged(): number {
    return this.#consumer?.acknowledged() ?? MAX_IID;
  }

  /** The table's bytes as of `iid`; null in the middle of an instance. */
  snapshot(): Uint8Array | null {
    return this.#decided < 0 ? this.table.serialize() : null;
  }

  /** Goes on behind instance `iid` with the table of a snapshot. Null, or why not: then nothing has changed. */
  restore(bytes: Uint8Array, iid: number): Refusal | null {
    const refusal = this.table.restore(bytes);
    if (refusal !== null) return refusal;
    this.#tellPassedOver();
    this.#forgetInstance();
    this.iid = iid;
    this.isWhole = true;
    this.#tellReplaced();
    return null;
  }

  /** Of whatever sessions there were none is left: from here on they are known. */
  #beginAnew(iid: number): boolean {
    this.#tellPassedOver();
    this.table.clear();
    this.iid = iid;
    this.isWhole = true;
    this.resets++;
    this.#tellReplaced();
    this.#consumer?.finished(iid);
    return true;
  }

  #passOver(iid: number): boolean {
    if (this.#untold === 0) this.#untold = iid;
    this.iid = iid;
    return true;
  }

  #tellPassedOver(): void {
    const first = this.#untold;
    this.#untold = 0;
    if (first > 0 && first <= this.iid) this.#consumer?.skipped(first, this.iid);
  }

  /** What lies between was not seen: of the sessions there were nothing certain is known. */
  #lose(): void {
    this.#forgetInstance();
    this.isWhole = false;
    this.table.clear();
    this.#tellReplaced();
  }

  #tellReplaced(): void {
    for (let i = 0; i < this.#listeners.length; i++) this.#listeners[i]!.onTableReplaced();
  }

  #forgetInstance(): void {
    this.#decided = -1;
    this.#last.isFull = this.#before.isFull = false;
  }

  #decide(iid: number, bytes: Uint8Array, offset: number): void {
    const reader = this.#reader;
    const { table } = this;
    const { index, session, sequence, flags, valueOffset, valueLength } = reader;
    const rest = reader.isShort ? 0 : reader.restOfRun();
    if (rest > 0 && table.decideRun(session, sequence, rest + 1, reader.longest)) {
      reader.skipRun();
      this.#decided = reader.index + 1;
      this.counters.values += rest + 1;
      this.#tell(Outcome.deliver, iid, session, reader.sequence);
      if (this.#consumer === null) return;
      const from = valueOffset - ENTRY_HEADER_BYTES;
      this.#hold(index, session, sequence, null, from - offset, reader.valueEnd - from, rest + 1);
      return;
    }
    this.#decided = index + 1;
    const outcome = table.decide(iid, index, session, sequence, flags, bytes, valueOffset, valueLength);
    this.#count(outcome);
    this.#tell(outcome, iid, session, sequence);
    if (outcome !== Outcome.deliver || this.#consumer === null) return;
    if (table.valueBytes === bytes)
      this.#hold(index, session, sequence, null, table.valueOffset - offset, table.valueLength, 0);
    else this.#hold(index, session, sequence, table.valueBytes, table.valueOffset, table.valueLength, 0);
  }

  #tell(outcome: Outcome, iid: number, session: number, sequence: number): void {
    const { slot } = this.table;
    for (let i = 0; i < this.#listeners.length; i++) {
      this.#listeners[i]!.onEntry(outcome, slot, iid, session, sequence);
    }
  }

  #hold(
    index: number,
    session: number,
    sequence: number,
    bytes: Uint8Array | null,
    offset: number,
    length: number,
    count: number,
  ): void {
    const held = this.#before;
    this.#before = this.#last;
    this.#last = held;
    held.isFull = true;
    held.count = count;
    held.header = ENTRY_HEADER_BYTES;
    held.index = index;
    held.session = session;
    held.sequence = sequence;
    held.bytes = bytes;
    held.offset = offset;
    held.length = length;
  }

  /** False: the consumer does not take it now. */
  #hand(held: Held, isLast: boolean, iid: number, bytes: Uint8Array, offset: number): boolean {
    if (held.count > 0) return this.#handRun(held, isLast, iid, bytes, offset);
    const from = held.bytes ?? bytes;
    const at = held.bytes === null ? offset + held.offset : held.offset;
    const { index, session, sequence, length } = held;
    if (!this.#consumer!.take(iid, index, isLast, session, sequence, from, at, length)) return false;
    held.isFull = false;
    return true;
  }

  /** Whole, where the consumer takes that, or value by value. */
  #handRun(held: Held, isLast: boolean, iid: number, bytes: Uint8Array, offset: number): boolean {
    const consumer = this.#consumer!;
    const { session, count, length } = held;
    const isUntouched = held.header === ENTRY_HEADER_BYTES;
    const at = offset + held.offset;
    const isTaken =
      isUntouched &&
      consumer.takeRun?.(iid, held.index, count, isLast, session, held.sequence, bytes, at, length) === true;
    while (!isTaken && held.count > 0) {
      const from = offset + held.offset;
      const size = valueLengthAt(bytes, from);
      const isEnd = isLast && held.count === 1;
      const value = from + held.header;
      if (!consumer.take(iid, held.index, isEnd, session, held.sequence, bytes, value, size)) return false;
      held.offset += held.header - SHORT_HEADER_BYTES + shortEntryBytes(size);
      held.header = SHORT_HEADER_BYTES;
      held.count--;
      held.index++;
      held.sequence++;
    }
    held.isFull = false;
    return true;
  }

  #count(outcome: Outcome): void {
    const { counters } = this;
    if (outcome === Outcome.deliver) counters.values++;
    else if (outcome === Outcome.piece) counters.pieces++;
    else if (outcome === Outcome.duplicate) counters.duplicates++;
    else if (outcome === Outcome.gap) counters.gaps++;
    else if (outcome === Outcome.unknown) counters.unknown++;
    else if (outcome === Outcome.misplaced) counters.misplaced++;
  }
}
