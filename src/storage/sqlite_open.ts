/**
 * Opens an acceptor's database, or makes it, or refuses: whatever is not exactly what this acceptor left is an error that
 * names the file, what is wrong with it, and what to do. The checksums of promises and records are checked when they are
 * replayed (`sqlite.ts`), which comes before the acceptor's first message.
 */
import { constants, type Database } from "bun:sqlite";
import { existsSync, renameSync, rmSync, statSync } from "node:fs";
import { syncDirectory } from "../durable.ts";
import { SqliteStorage } from "./sqlite.ts";
import {
  checkFiles,
  checkOtherBackend,
  damaged,
  foreign,
  inUse,
  isBusy,
  makeDirectory,
  openDatabase,
  pathsOf,
  StorageLock,
  type StoragePaths,
  StorageRefusal,
  troubleWith,
} from "./sqlite_files.ts";
import {
  APPLICATION_ID,
  difference,
  FORMAT_VERSION,
  hex,
  type Identity,
  identitySum,
  RowSum,
  SCHEMA,
  STATE_FIELDS,
  StateField,
  stateSum,
} from "./sqlite_format.ts";
import { damageOfWal } from "./sqlite_wal.ts";

const PAGE_BYTES = 4096;
const CACHE_KIB = 8192;
/** Pages in the write-ahead log before what it holds is written to the database: 4 MB. */
const CHECKPOINT_PAGES = 1000;

export interface SqliteOptions {
  readonly directory: string;
  readonly identity: Identity;
  /** Sync each commit; without it a power cut may take the last ones. */
  readonly sync: boolean;
  /** Remove what was kept and start empty. */
  readonly trash: boolean;
  readonly warn: (text: string) => void;
  /** Instead of the usual number of pages: tests see checkpoints sooner. */
  readonly checkpointPages?: number;
}

export function openSqlite(options: SqliteOptions): SqliteStorage {
  const { identity } = options;
  const paths = pathsOf(options.directory, identity.acceptor);
  makeDirectory(paths.directory);
  checkFiles(paths.directory, [paths.lock, paths.database, paths.wal]);
  checkOtherBackend(paths.log, "sqlite", "log");
  const lock = new StorageLock(paths.lock, paths.database);
  try {
    finishTrash(paths);
    if (options.trash) trash(paths, options);
    if (!existsSync(paths.database)) create(paths, identity);
    const { database, state } = openChecked(paths, options);
    database.run(`PRAGMA synchronous = ${options.sync ? "FULL" : "NORMAL"}`);
    const pages = { pageBytes: PAGE_BYTES, checkpointPages: options.checkpointPages ?? CHECKPOINT_PAGES };
    return new SqliteStorage({ paths, lock, database, state, identity, ...pages, warn: options.warn });
  } catch (error) {
    lock.close();
    throw troubleWith(paths.database, "open", error);
  }
}

/** Written aside and moved to its place: under its own name it is never half of one. */
function create(paths: StoragePaths, identity: Identity): void {
  if (existsSync(paths.wal) && statSync(paths.wal).size > 0) {
    throw damaged(paths.database, "it is missing, though its write-ahead log (-wal) is there");
  }
  for (const path of [paths.draft, `${paths.draft}-journal`, paths.wal]) rmSync(path, { force: true });
  const draft = openDatabase(paths.draft);
  try {
    draft.run(`PRAGMA page_size = ${PAGE_BYTES}`);
    draft.run("PRAGMA synchronous = EXTRA");
    draft.run("BEGIN");
    draft.run(`PRAGMA application_id = ${APPLICATION_ID}`);
    draft.run(`PRAGMA user_version = ${FORMAT_VERSION}`);
    for (const table of SCHEMA) draft.run(table);
    const sum = new RowSum();
    const { cluster, clusterId, wire, acceptors, acceptor } = identity;
    const owner = identitySum(sum, identity);
    const who = [cluster, clusterId, wire, acceptors, acceptor, owner];
    draft.run("INSERT INTO identity VALUES (1, ?, ?, ?, ?, ?, ?)", who);
    const state = new Float64Array(STATE_FIELDS);
    const places = "?, ".repeat(STATE_FIELDS);
    draft.run(`INSERT INTO state VALUES (1, ${places}?)`, [...state, stateSum(sum, state, owner)]);
    draft.run("COMMIT");
  } finally {
    draft.close(true);
  }
  renameSync(paths.draft, paths.database);
  syncDirectory(paths.directory);
}

interface Checked {
  readonly database: Database;
  readonly state: Float64Array;
}

function openChecked(paths: StoragePaths, { identity, sync }: SqliteOptions): Checked {
  const { size } = statSync(paths.database);
  if (size === 0) throw damaged(paths.database, "it is an empty file");
  if (size < PAGE_BYTES) throw damaged(paths.database, `it has ${size} bytes, not even a page`);
  const hasWal = existsSync(paths.wal);
  // Before SQLite sees the log, for it would quietly drop what follows the damage. Without syncs that is what a power cut does.
  const walDamage = hasWal && sync ? damageOfWal(paths.wal) : undefined;
  if (walDamage !== undefined) throw damaged(paths.wal, walDamage);
  const database = openDatabase(paths.database);
  try {
    prepare(database);
    checkKind(database, paths);
    checkIdentity(database, paths, identity);
    checkStructure(database, paths);
    const state = readState(database, paths, identity);
    if (state[StateField.inUse] !== 0 && !hasWal) {
      const what = "its write-ahead log (-wal), which belongs to it since its process was killed, is missing";
      throw damaged(paths.database, what);
    }
    return { database, state };
  } catch (error) {
    database.close(true);
    throw isBusy(error) ? inUse(paths.lock, paths.database) : error;
  }
}

function prepare(database: Database): void {
  // A log that vanished with its process would look like one that was left behind in copying.
  database.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
  database.run("PRAGMA locking_mode = EXCLUSIVE");
  database.run(`PRAGMA cache_size = -${CACHE_KIB}`);
  database.run("PRAGMA cell_size_check = ON");
  database.run("PRAGMA temp_store = MEMORY");
}

function pragma(database: Database, name: string): unknown {
  return database.query(`PRAGMA ${name}`).values()[0]?.[0];
}

function checkKind(database: Database, paths: StoragePaths): void {
  const application = Number(pragma(database, "application_id"));
  if (application !== APPLICATION_ID) {
    const what = `it is an SQLite database of another program (application id ${hex(application)}, kpaxos has ${hex(APPLICATION_ID)})`;
    throw foreign(paths.database, what);
  }
  const version = Number(pragma(database, "user_version"));
  if (version !== FORMAT_VERSION) {
    const what = `it has format version ${version}, this kpaxos reads and writes version ${FORMAT_VERSION}`;
    throw foreign(paths.database, what);
  }
  const mode = pragma(database, "journal_mode = WAL");
  if (mode !== "wal")
    throw damaged(paths.database, `its journal mode is ${String(mode)} and does not change`);
}

function checkIdentity(database: Database, paths: StoragePaths, wanted: Identity): void {
  const tables = database.query("SELECT sql FROM sqlite_schema ORDER BY rowid").values();
  if (tables.map(([sql]) => String(sql)).join("\n") !== SCHEMA.join("\n")) {
    throw damaged(paths.database, "its tables are not those of its format version");
  }
  const columns = "cluster, cluster_id AS clusterId, wire, acceptors, acceptor, crc";
  const rows = database.query<Identity & { crc: number }, []>(`SELECT ${columns} FROM identity`).all();
  const stored = rows[0];
  if (stored === undefined || rows.length > 1 || identitySum(new RowSum(), stored) !== stored.crc) {
    throw damaged(paths.database, "the checksum of its identity does not match");
  }
  const other = difference(stored, wanted);
  if (other !== undefined) throw foreign(paths.database, other);
}

/** Trees, free pages, columns: what no checksum of a row covers. */
function checkStructure(database: Database, paths: StoragePaths): void {
  const said = database.query("PRAGMA quick_check(1)").values()[0]?.[0];
  if (said === "ok") return;
  const what = String(said).replace("*** in database main ***", "").trim().replaceAll("\n", "; ");
  throw damaged(paths.database, `SQLite's check says "${what}"`);
}

function readState(database: Database, paths: StoragePaths, identity: Identity): Float64Array {
  const rows = database.query("SELECT * FROM state").values();
  const [, ...numbers] = rows.length === 1 ? rows[0]!.map(Number) : [];
  const state = Float64Array.from(numbers.slice(0, STATE_FIELDS));
  const sum = new RowSum();
  const owner = identitySum(sum, identity);
  if (state.length !== STATE_FIELDS || stateSum(sum, state, owner) !== numbers[STATE_FIELDS]) {
    const what =
      "the checksum of its state does not match: is its write-ahead log (-wal) another acceptor's?";
    throw damaged(paths.database, what);
  }
  return state;
}

/** `acceptor-trash-files yes`: damaged or this acceptor's own, it goes; another's stays. */
function trash(paths: StoragePaths, options: SqliteOptions): void {
  const had = [paths.database, paths.wal].filter((path) => existsSync(path));
  if (had.length === 0) return;
  if (existsSync(paths.database)) {
    try {
      openChecked(paths, options).database.close(true);
    } catch (error) {
      const trouble = troubleWith(paths.database, "open", error);
      if (!(trouble instanceof StorageRefusal) || !trouble.isDamaged) throw trouble;
    }
    renameSync(paths.database, paths.trashed);
    syncDirectory(paths.directory);
  }
  rmSync(paths.wal, { force: true });
  syncDirectory(paths.directory);
  rmSync(paths.trashed, { force: true });
  syncDirectory(paths.directory);
  options.warn(`acceptor-trash-files yes: removed ${had.join(" and ")}; this acceptor starts empty`);
}

/** The log must never meet another database than its own: a power cut may have come between the two. */
function finishTrash(paths: StoragePaths): void {
  if (!existsSync(paths.trashed)) return;
  if (!existsSync(paths.database)) rmSync(paths.wal, { force: true });
  syncDirectory(paths.directory);
  rmSync(paths.trashed, { force: true });
}
