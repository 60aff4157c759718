/**
 * What a log comes to: the last word on the state and on each instance, told in the order that a storage tells it.
 */
import type { Journal } from "../protocol/acceptor/journal.ts";
import { type Ballot, NO_BALLOT } from "../protocol/types.ts";
import type { LogFile } from "./log_file.ts";
import { ENTRY_WORDS, EntryKind, pairAt, RECORD_BYTES } from "./log_format.ts";
import type { EntryVisitor } from "./log_recovery.ts";
import { damaged } from "./sqlite_files.ts";
import { MAX_VALUE_BYTES } from "./sqlite_format.ts";

/** Read at once: a record at least, mostly many. */
const READ_BYTES = 2 * (RECORD_BYTES + MAX_VALUE_BYTES);

export type Placed = (kind: number, iid: number, position: number) => void;

export class LogReplay {
  /** Anything was ever kept. */
  isAny = false;
  ballot: number = NO_BALLOT;
  life = 0;
  trimIid = 0;
  generations: Float64Array | undefined;
  incarnations: Float64Array | undefined;
  readonly #acceptors: number;
  /** By instance: where the last word on it lies. */
  readonly #records = new Map<number, number>();
  readonly #promises = new Map<number, number>();

  constructor(acceptors: number) {
    this.#acceptors = acceptors;
  }

  readonly visit: EntryVisitor = (_bytes, words, at, position) => {
    const kind = words[at >>> 2]! & 0xff;
    const word = (at >>> 2) + ENTRY_WORDS;
    this.isAny = true;
    if (kind === EntryKind.accepted) this.#records.set(pairAt(words, word), position);
    else if (kind === EntryKind.promisedAt) this.#promises.set(pairAt(words, word), position);
    else if (kind === EntryKind.trimmed) this.trimIid = Math.max(this.trimIid, pairAt(words, word));
    else if (kind === EntryKind.standing) this.#stand(words, word, words[word - 1]!);
    else {
      this.ballot = pairAt(words, word);
      this.life = pairAt(words, word + 2);
    }
  };

  tell(file: LogFile, into: Journal, placed: Placed): void {
    const { trimIid, ballot, life, generations, incarnations } = this;
    if (this.isAny) into.trimmed(trimIid);
    if (generations !== undefined && incarnations !== undefined) into.standing(generations, incarnations);
    if (ballot !== NO_BALLOT) into.promised(ballot as Ballot, life);
    const reader = new Reader(file);
    for (const [iid, position] of this.#above(this.#promises)) {
      const word = reader.read(position, EntryKind.promisedAt, iid);
      into.promisedAt(iid, pairAt(reader.words, word + 2) as Ballot);
      placed(EntryKind.promisedAt, iid, position);
    }
    for (const [iid, position] of this.#above(this.#records)) {
      const word = reader.read(position, EntryKind.accepted, iid);
      const { words, bytes } = reader;
      const flags = (words[word - 2]! >>> 8) & 0xff;
      const at = 4 * (word - ENTRY_WORDS) + RECORD_BYTES;
      into.accepted(
        iid,
        pairAt(words, word + 2) as Ballot,
        pairAt(words, word + 4),
        flags,
        bytes,
        at,
        words[word - 1]!,
      );
      placed(EntryKind.accepted, iid, position);
    }
  }

  #stand(words: Uint32Array, word: number, count: number): void {
    this.generations = new Float64Array(this.#acceptors);
    this.incarnations = new Float64Array(this.#acceptors);
    for (let i = 0; i < Math.min(count, this.#acceptors); i++) {
      this.generations[i] = pairAt(words, word + 4 * i);
      this.incarnations[i] = pairAt(words, word + 4 * i + 2);
    }
  }

  #above(places: ReadonlyMap<number, number>): [number, number][] {
    return [...places].filter(([iid]) => iid > this.trimIid).sort(([a], [b]) => a - b);
  }
}

/** Reads entries; mostly the next one is read already. */
class Reader {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly #file: LogFile;
  #from = 0;
  #to = 0;

  constructor(file: LogFile) {
    const memory = new ArrayBuffer(READ_BYTES);
    this.bytes = new Uint8Array(memory);
    this.words = new Uint32Array(memory);
    this.#file = file;
  }

  /** The word after an entry's head. */
  read(position: number, kind: number, iid: number): number {
    if (position < this.#from || position + RECORD_BYTES + MAX_VALUE_BYTES > this.#to) {
      this.#file.read(this.bytes, position);
      this.#from = position;
      this.#to = position + READ_BYTES;
    }
    const word = (position - this.#from) >>> 2;
    const isIt = (this.words[word]! & 0xff) === kind && pairAt(this.words, word + ENTRY_WORDS) === iid;
    if (!isIt) throw damaged(this.#file.path, `instance ${iid} has changed while it was read`);
    return word + ENTRY_WORDS;
  }
}
