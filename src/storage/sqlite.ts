/**
 * Storage in an SQLite database (bun:sqlite, write-ahead log). What is journalled goes into one transaction, which
 * `commit` ends: one sync for all of a turn. Without anything journalled a commit does nothing.
 *
 * Invariants: `commit` returns only when SQLite has synced the log, or throws, and from then on always; nothing is
 * journalled before `replay` has checked every row; every row has its checksum, and the state row has the number and
 * sum of them all.
 */
import type { Database, Statement } from "bun:sqlite";
import { CliError } from "../error.ts";
import type { Journal } from "../protocol/acceptor/journal.ts";
import { assert } from "../protocol/assert.ts";
import type { Ballot, Life } from "../protocol/types.ts";
import { damaged, type StorageLock, type StoragePaths, troubleWith } from "./sqlite_files.ts";
import {
  type Identity,
  identitySum,
  RowSum,
  STATE_FIELDS,
  StateField,
  stateSum,
  Table,
} from "./sqlite_format.ts";
import { Rows } from "./sqlite_rows.ts";
import type { Storage } from "./storage.ts";

/** Trimmed instances deleted per commit, and per row that the commit writes: faster than new ones come. */
const TRIM_INSTANCES = 64;
const TRIM_PER_ROW = 2;
/**
 * Pages that a commit changes at most: of the state; for each row that is written or deleted, besides its bytes. To ask
 * SQLite with each commit how long its log is costs as much as a sixth of the commit's own work.
 */
const STATE_PAGES = 4;
const ROW_PAGES = 3;

export interface SqliteParts {
  readonly paths: StoragePaths;
  readonly lock: StorageLock;
  readonly database: Database;
  /** The row of `state`, checked. */
  readonly state: Float64Array;
  readonly identity: Identity;
  readonly pageBytes: number;
  /** Pages in the write-ahead log before what it holds is written to the database. */
  readonly checkpointPages: number;
  readonly warn: (text: string) => void;
}

interface StandingRow {
  readonly acceptor: number;
  readonly generation: number;
  readonly incarnation: number;
  readonly crc: number;
}

interface PromiseRow {
  readonly iid: number;
  readonly ballot: number;
  readonly crc: number;
}

interface RecordRow extends PromiseRow {
  readonly life: number;
  readonly flags: number;
  readonly value: Uint8Array;
}

export class SqliteStorage implements Storage {
  readonly forgets = false;
  /** The database file, for people. */
  readonly path: string;
  readonly #lock: StorageLock;
  readonly #database: Database;
  /** The row of `state`: as this transaction will leave it, and as it was committed last. */
  readonly #state: Float64Array;
  readonly #committed = new Float64Array(STATE_FIELDS);
  readonly #acceptors: number;
  /** Checksum of whose it is. */
  readonly #owner: number;
  readonly #pageBytes: number;
  readonly #checkpointPages: number;
  readonly #warn: (text: string) => void;
  readonly #sum = new RowSum();
  readonly #promises: Rows;
  readonly #records: Rows;
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #logPages: Statement;
  readonly #checkpoint: Statement;
  readonly #putState: Statement;
  readonly #putStanding: Statement;
  readonly #putPromise: Statement;
  readonly #addRecord: Statement;
  readonly #putRecord: Statement;
  #isReady = false;
  #isClosed = false;
  #inTransaction = false;
  /** Rows written since the last commit, and bytes of values in them. */
  #written = 0;
  #valueBytes = 0;
  /** Pages in the write-ahead log, as many as there may be. */
  #mostLogPages = 0;
  #ticket = 0;
  /** What ended this storage; undefined while it works. */
  #failure: unknown;

  constructor(parts: SqliteParts) {
    const { database, paths } = parts;
    this.path = paths.database;
    this.#lock = parts.lock;
    this.#database = database;
    this.#state = parts.state;
    this.#committed.set(parts.state);
    this.#acceptors = parts.identity.acceptors;
    this.#owner = identitySum(this.#sum, parts.identity);
    this.#pageBytes = parts.pageBytes;
    this.#checkpointPages = parts.checkpointPages;
    this.#warn = parts.warn;
    this.#promises = new Rows(database, "promise");
    this.#records = new Rows(database, "record");
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    // Only asks; by itself SQLite would keep a failed checkpoint to itself, and the log would grow without end.
    this.#logPages = database.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.#checkpoint = database.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    database.run("PRAGMA wal_autocheckpoint = 0");
    this.#putState = database.prepare(
      `INSERT OR REPLACE INTO state VALUES (1, ${"?, ".repeat(STATE_FIELDS)}?)`,
    );
    this.#putStanding = database.prepare("INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?)");
    this.#putPromise = database.prepare("INSERT OR REPLACE INTO promise VALUES (?, ?, ?)");
    this.#addRecord = database.prepare("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)");
    this.#putRecord = database.prepare("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)");
  }

  /** Records kept, those trimmed but not yet deleted included. */
  get records(): number {
    return this.#records.count;
  }

  promised(ballot: Ballot, life: Life): void {
    if (!this.#open()) return;
    this.#state[StateField.ballot] = ballot;
    this.#state[StateField.life] = life;
  }

  promisedAt(iid: number, ballot: Ballot): void {
    if (!this.#open()) return;
    const crc = this.#sum.begin(Table.promise).add(iid).add(ballot).sum();
    try {
      this.#promises.put(iid, crc);
      this.#putPromise.run(iid, ballot, crc);
      this.#written++;
    } catch (error) {
      this.#fail(error);
    }
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
    if (!this.#open()) return;
    const sum = this.#sum.begin(Table.record).add(iid).add(ballot).add(life).add(flags);
    const crc = sum.addBytes(bytes, offset, length).sum();
    try {
      const isThere = this.#records.put(iid, crc);
      const put = isThere ? this.#putRecord : this.#addRecord;
      put.run(iid, ballot, life, flags, sum.view(), crc);
      this.#written++;
      this.#valueBytes += length;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The rows go little by little, with later commits. */
  trimmed(iid: number): void {
    if (this.#open() && iid > this.#state[StateField.trim]!) this.#state[StateField.trim] = iid;
  }

  standing(generations: Float64Array, incarnations: Float64Array): void {
    assert(generations.length === this.#acceptors, "a standing names every acceptor");
    if (!this.#open()) return;
    let sum = 0;
    try {
      for (const [acceptor, generation] of generations.entries()) {
        const incarnation = incarnations[acceptor]!;
        const crc = this.#standingSum(acceptor, generation, incarnation);
        this.#putStanding.run(acceptor, generation, incarnation, crc);
        sum = (sum + crc) >>> 0;
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#state[StateField.standings] = generations.length;
    this.#state[StateField.standingSum] = sum;
  }

  commit(): number {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#inTransaction) return ++this.#ticket;
    try {
      const trimIid = this.#state[StateField.trim]!;
      const limit = TRIM_INSTANCES + TRIM_PER_ROW * this.#written;
      const gone = this.#promises.trim(trimIid, limit) + this.#records.trim(trimIid, limit);
      const state = this.#state;
      state[StateField.commits]!++;
      state[StateField.promises] = this.#promises.count;
      state[StateField.promiseSum] = this.#promises.sum;
      state[StateField.records] = this.#records.count;
      state[StateField.recordSum] = this.#records.sum;
      this.#putState.run(...state, stateSum(this.#sum, state, this.#owner));
      this.#commit.run();
      this.#committed.set(state);
      this.#mostLogPages +=
        STATE_PAGES + ROW_PAGES * (this.#written + gone) + Math.ceil(this.#valueBytes / this.#pageBytes);
      if (this.#mostLogPages >= this.#checkpointPages) this.#emptyLog();
    } catch (error) {
      this.#fail(error);
      throw this.#failure;
    }
    this.#inTransaction = false;
    this.#written = 0;
    this.#valueBytes = 0;
    return ++this.#ticket;
  }

  durable(): number {
    return this.#ticket;
  }

  replay(into: Journal): boolean {
    assert(!this.#isReady, "a storage is replayed once, before anything else");
    const state = this.#state;
    const isKept = state[StateField.commits] !== 0;
    try {
      if (isKept) this.#replayState(into);
      this.#replayPromises(into);
      this.#replayRecords(into);
    } catch (error) {
      throw troubleWith(this.path, "read", error);
    }
    try {
      // What a killed process had written but not synced was read as if it were durable: now it is.
      this.#setInUse(true);
    } catch (error) {
      throw troubleWith(this.path, "write", error);
    }
    this.#isReady = true;
    return isKept;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      if (this.#isReady && this.#failure === undefined) {
        // A turn that did not come to its end has told nobody of what it journalled.
        if (this.#inTransaction) this.#database.run("ROLLBACK");
        this.#setInUse(false);
      }
    } catch (error) {
      this.#failure = troubleWith(this.path, "close", error);
      const what = this.#failure instanceof Error ? this.#failure.message : String(this.#failure);
      this.#warn(`${what}; what was promised is in its write-ahead log, and the next start finds it there`);
    } finally {
      this.#database.close(true);
      this.#lock.close();
    }
  }

  #replayState(into: Journal): void {
    const state = this.#state;
    into.trimmed(state[StateField.trim]!);
    this.#replayStanding(into);
    if (state[StateField.ballot] !== 0)
      into.promised(state[StateField.ballot] as Ballot, state[StateField.life]!);
  }

  #replayStanding(into: Journal): void {
    const generations = new Float64Array(this.#acceptors);
    const incarnations = new Float64Array(this.#acceptors);
    let count = 0;
    let sum = 0;
    for (const row of this.#rows<StandingRow>("SELECT * FROM standing ORDER BY acceptor")) {
      const { acceptor, generation, incarnation, crc } = row;
      this.#check(
        crc === this.#standingSum(acceptor, generation, incarnation),
        `what is known of acceptor ${acceptor}`,
      );
      generations[acceptor] = generation;
      incarnations[acceptor] = incarnation;
      count++;
      sum = (sum + crc) >>> 0;
    }
    this.#checkSum("standing", count, sum, StateField.standings, StateField.standingSum);
    if (count > 0) into.standing(generations, incarnations);
  }

  #replayPromises(into: Journal): void {
    const trimIid = this.#state[StateField.trim]!;
    for (const { iid, ballot, crc } of this.#rows<PromiseRow>("SELECT * FROM promise ORDER BY iid")) {
      const sum = this.#sum.begin(Table.promise).add(iid).add(ballot);
      this.#check(sum.sum() === crc, `the promise for instance ${iid}`);
      this.#promises.found(iid, crc);
      if (iid > trimIid) into.promisedAt(iid, ballot as Ballot);
    }
    const { count, sum } = this.#promises;
    this.#checkSum("promise", count, sum, StateField.promises, StateField.promiseSum);
  }

  #replayRecords(into: Journal): void {
    const trimIid = this.#state[StateField.trim]!;
    for (const row of this.#rows<RecordRow>("SELECT * FROM record ORDER BY iid")) {
      const { iid, ballot, life, flags, value, crc } = row;
      const sum = this.#sum.begin(Table.record).add(iid).add(ballot).add(life).add(flags);
      this.#check(sum.addBytes(value, 0, value.length).sum() === crc, `the record of instance ${iid}`);
      this.#records.found(iid, crc);
      if (iid > trimIid) into.accepted(iid, ballot as Ballot, life, flags, value, 0, value.length);
    }
    const { count, sum } = this.#records;
    this.#checkSum("record", count, sum, StateField.records, StateField.recordSum);
  }

  *#rows<Row>(query: string): Generator<Row> {
    const statement = this.#database.prepare<Row, []>(query);
    try {
      yield* statement.iterate();
    } finally {
      statement.finalize();
    }
  }

  #check(holds: boolean, what: string): void {
    if (!holds) throw damaged(this.path, `the checksum of ${what} does not match`);
  }

  #checkSum(table: string, count: number, sum: number, countField: number, sumField: number): void {
    const wanted = this.#state[countField]!;
    if (count === wanted && sum === this.#state[sumField]) return;
    throw damaged(
      this.path,
      `its table ${table} has ${count} rows, and they are not the ${wanted} it was left with`,
    );
  }

  #standingSum(acceptor: number, generation: number, incarnation: number): number {
    return this.#sum.begin(Table.standing).add(acceptor).add(generation).add(incarnation).sum();
  }

  /** Begins the transaction of this turn, if it has not begun; false after a failure, which `commit` will tell. */
  #open(): boolean {
    assert(this.#isReady, "a storage is replayed before it is written");
    if (this.#inTransaction) return true;
    if (this.#failure !== undefined) return false;
    try {
      this.#begin.run();
      this.#inTransaction = true;
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** Writes a full log to the database. With nobody else at it, that leaves nothing behind. */
  #emptyLog(): void {
    const [, pages] = walNumbers(this.#logPages);
    this.#mostLogPages = pages;
    if (pages < this.#checkpointPages) return;
    const [busy, all, now] = walNumbers(this.#checkpoint);
    if (busy !== 0 || now !== all) throw new CliError(`cannot empty the write-ahead log of ${this.path}`);
    this.#mostLogPages = 0;
  }

  #fail(error: unknown): void {
    this.#failure ??= troubleWith(this.path, "write", error);
    this.#inTransaction = false;
  }

  /** Leaves everything synced in the database and the log empty. */
  #setInUse(inUse: boolean): void {
    this.#committed[StateField.inUse] = inUse ? 1 : 0;
    this.#state[StateField.inUse] = inUse ? 1 : 0;
    this.#begin.run();
    this.#putState.run(...this.#committed, stateSum(this.#sum, this.#committed, this.#owner));
    this.#commit.run();
    const [busy] = this.#database.query("PRAGMA wal_checkpoint(TRUNCATE)").values()[0] ?? [];
    if (busy !== 0) throw new CliError(`cannot empty the write-ahead log of ${this.path}`);
  }
}

/** What a checkpoint says: whether it was hindered, pages in the log, and how many of them the database has. */
function walNumbers(checkpoint: Statement): [number, number, number] {
  const [busy, pages, moved] = checkpoint.values()[0]!.map(Number);
  return [busy!, pages!, moved!];
}
