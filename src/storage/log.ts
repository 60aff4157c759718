/**
 * Storage in a log of its own: what a turn journals goes to the end of one file, which lies there in full before it is
 * written, and `commit` syncs it with one fdatasync. Without anything journalled a commit does nothing.
 *
 * Invariants: `commit` returns only when the log is synced, or throws, and from then on always; nothing is journalled before
 * `replay` has checked every chunk; each region that is written begins with the state, so that regions before it are needed
 * for their instances alone.
 */

import { messageOf } from "../error.ts";
import type { Journal } from "../protocol/acceptor/journal.ts";
import { assert } from "../protocol/assert.ts";
import { copyBytes } from "../protocol/bytes.ts";
import { type Ballot, type Life, NO_BALLOT } from "../protocol/types.ts";
import { LogCopier } from "./log_copier.ts";
import type { LogFile } from "./log_file.ts";
import {
  aligned,
  ENTRY_WORDS,
  EntryKind,
  pairAt,
  RECORD_BYTES,
  recordBytes,
  STATE_BYTES,
  setEntry,
  setPair,
  standingBytes,
  TRIM_BYTES,
} from "./log_format.ts";
import type { LogEnd, LogRecovery } from "./log_recovery.ts";
import { LogReplay } from "./log_replay.ts";
import { LogWriter } from "./log_writer.ts";
import { type StorageLock, troubleWith } from "./sqlite_files.ts";
import type { Storage } from "./storage.ts";

export interface LogParts {
  readonly lock: StorageLock;
  readonly file: LogFile;
  readonly recovery: LogRecovery;
  readonly end: LogEnd;
  readonly owner: number;
  readonly acceptors: number;
  readonly sync: boolean;
  /** Instances of the acceptor's window: a power of two. */
  readonly instances: number;
  /** Regions in use before what is needed of the first one is copied. */
  readonly mostRegions: number;
  readonly warn: (text: string) => void;
}

export class LogStorage implements Storage {
  readonly forgets = false;
  /** The log, for people. */
  readonly path: string;
  readonly #parts: LogParts;
  readonly #writer: LogWriter;
  readonly #copier: LogCopier;
  readonly #mask: number;
  /** Where the last word on an instance lies in the file; of promises only where there are any. */
  readonly #recordAt: Float64Array;
  #promiseAt: Float64Array | undefined;
  /** The state as this commit will leave it. */
  #ballot: number = NO_BALLOT;
  #life = 0;
  #trimIid = 0;
  #generations: Float64Array | undefined;
  #incarnations: Float64Array | undefined;
  #isReady = false;
  #isClosed = false;
  #ticket = 0;
  /** What ended this storage; undefined while it works. */
  #failure: unknown;

  constructor(parts: LogParts) {
    this.path = parts.file.path;
    this.#parts = parts;
    this.#writer = new LogWriter(parts.file, parts.owner, parts.end, parts.sync);
    this.#copier = new LogCopier(parts.file, parts.owner);
    this.#mask = parts.instances - 1;
    this.#recordAt = new Float64Array(parts.instances);
  }

  promised(ballot: Ballot, life: Life): void {
    this.#ballot = ballot;
    this.#life = life;
    const place = this.#reserve(STATE_BYTES);
    if (place >= 0) this.#writePromised(place);
  }

  promisedAt(iid: number, ballot: Ballot): void {
    const place = this.#reserve(STATE_BYTES);
    if (place < 0) return;
    const { words } = this.#writer;
    const at = setEntry(words, place, EntryKind.promisedAt, 0, 0);
    setPair(words, at, iid);
    setPair(words, at + 2, ballot);
    this.#promiseAt ??= new Float64Array(this.#mask + 1);
    this.#promiseAt[iid & this.#mask] = this.#writer.position(place);
    this.#writer.holds(iid);
  }

  accepted(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const place = this.#reserve(recordBytes(length));
    if (place < 0) return;
    const { words } = this.#writer;
    const at = setEntry(words, place, EntryKind.accepted, flags, length);
    setPair(words, at, iid);
    setPair(words, at + 2, ballot);
    setPair(words, at + 4, life);
    const into = this.#writer.bytes;
    copyBytes(bytes, offset, into, place + RECORD_BYTES, length);
    const end = place + RECORD_BYTES + length;
    for (let i = end; i < place + RECORD_BYTES + aligned(length); i++) into[i] = 0;
    this.#recordAt[iid & this.#mask] = this.#writer.position(place);
    this.#writer.holds(iid);
  }

  trimmed(iid: number): void {
    if (iid <= this.#trimIid) return;
    this.#trimIid = iid;
    const place = this.#reserve(TRIM_BYTES);
    if (place >= 0) this.#writeTrimmed(place);
  }

  standing(generations: Float64Array, incarnations: Float64Array): void {
    assert(generations.length === this.#parts.acceptors, "a standing names every acceptor");
    this.#generations = generations.slice();
    this.#incarnations = incarnations.slice();
    const place = this.#reserve(standingBytes(generations.length));
    if (place >= 0) this.#writeStanding(place);
  }

  commit(): number {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#writer.hasMore) return ++this.#ticket;
    try {
      if (this.#writer.regions.length > this.#parts.mostRegions) this.#copySome();
      this.#writer.commit(this.#trimIid);
    } catch (error) {
      this.#fail(error);
      throw this.#failure;
    }
    return ++this.#ticket;
  }

  durable(): number {
    return this.#ticket;
  }

  replay(into: Journal): boolean {
    assert(!this.#isReady, "a storage is replayed once, before anything else");
    const { recovery, end, acceptors, file } = this.#parts;
    const kept = new LogReplay(acceptors);
    try {
      recovery.entries(end.number, kept.visit);
      this.#ballot = kept.ballot;
      this.#life = kept.life;
      this.#trimIid = kept.trimIid;
      this.#generations = kept.generations;
      this.#incarnations = kept.incarnations;
      kept.tell(file, into, (kind, iid, position) => {
        if (kind === EntryKind.accepted) this.#recordAt[iid & this.#mask] = position;
        else {
          this.#promiseAt ??= new Float64Array(this.#mask + 1);
          this.#promiseAt[iid & this.#mask] = position;
        }
      });
    } catch (error) {
      throw troubleWith(this.path, "read", error);
    }
    try {
      // What a killed process had written but not synced was read as if it were durable: now it is.
      this.#writer.begin(end.unsynced);
      this.#makeRoom(0);
      this.#writer.begun(this.#trimIid);
    } catch (error) {
      throw troubleWith(this.path, "write", error);
    }
    this.#isReady = true;
    return kept.isAny;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      // A turn that did not come to its end has told nobody of what it journalled.
      if (this.#isReady && this.#failure === undefined) this.#writer.close();
    } catch (error) {
      const trouble = troubleWith(this.path, "close", error);
      const what = messageOf(trouble);
      this.#parts.warn(`${what}; what was promised is in the log, and the next start finds it there`);
    } finally {
      this.#parts.file.close();
      this.#parts.lock.close();
    }
  }

  /** A place for an entry; −1 after a failure, which `commit` will tell. */
  #reserve(bytes: number): number {
    assert(this.#isReady, "a storage is replayed before it is written");
    if (this.#failure !== undefined) return -1;
    try {
      this.#makeRoom(bytes);
      return this.#writer.reserve(bytes);
    } catch (error) {
      this.#fail(error);
      return -1;
    }
  }

  #makeRoom(bytes: number): void {
    const writer = this.#writer;
    if (!writer.isFullFor(bytes)) return;
    writer.roll();
    if (this.#trimIid > 0) this.#writeTrimmed(writer.reserve(TRIM_BYTES));
    if (this.#generations !== undefined) {
      this.#writeStanding(writer.reserve(standingBytes(this.#generations.length)));
    }
    if (this.#ballot !== NO_BALLOT) this.#writePromised(writer.reserve(STATE_BYTES));
  }

  #writePromised(place: number): void {
    const { words } = this.#writer;
    const at = setEntry(words, place, EntryKind.promised, 0, 0);
    setPair(words, at, this.#ballot);
    setPair(words, at + 2, this.#life);
  }

  #writeTrimmed(place: number): void {
    const { words } = this.#writer;
    setPair(words, setEntry(words, place, EntryKind.trimmed, 0, 0), this.#trimIid);
  }

  #writeStanding(place: number): void {
    const { words } = this.#writer;
    const count = this.#generations!.length;
    let at = setEntry(words, place, EntryKind.standing, 0, count);
    for (let i = 0; i < count; i++, at += 4) {
      setPair(words, at, this.#generations![i]!);
      setPair(words, at + 2, this.#incarnations![i]!);
    }
  }

  #copySome(): void {
    const writer = this.#writer;
    if (this.#copier.goOn(writer.regions[0]!, writer.pending, this.#copy)) writer.copiedFirst();
  }

  readonly #copy = (
    kind: number,
    iid: number,
    words: Uint32Array,
    bytes: Uint8Array,
    at: number,
    position: number,
  ): void => {
    const places = kind === EntryKind.accepted ? this.#recordAt : this.#promiseAt!;
    if (iid <= this.#trimIid || places[iid & this.#mask] !== position) return;
    const word = (at >>> 2) + ENTRY_WORDS;
    const ballot = pairAt(words, word + 2) as Ballot;
    if (kind === EntryKind.promisedAt) return this.promisedAt(iid, ballot);
    const head = words[at >>> 2]!;
    const length = words[(at >>> 2) + 1]!;
    this.accepted(
      iid,
      ballot,
      pairAt(words, word + 4),
      (head >>> 8) & 0xff,
      bytes,
      at + RECORD_BYTES,
      length,
    );
  };

  #fail(error: unknown): void {
    this.#failure ??= troubleWith(this.path, "write", error);
  }
}
