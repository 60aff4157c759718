/**
 * Storages of acceptors, of either backend, in directories that end with the test file.
 */
import { afterAll } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "../../src/error.ts";
import type { Ballot } from "../../src/protocol/types.ts";
import { type LogOptions, openLog } from "../../src/storage/log_open.ts";
import { openSqlite, type SqliteOptions } from "../../src/storage/sqlite_open.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { type Backend, FILES, logOptionsIn, optionsIn, StorageModel } from "./storage_model.ts";

export const VALUE = new TextEncoder().encode("value");
export const BALLOT = 65536 as Ballot;

let root = "";
let directories = 0;

/** Where memory serves as a disk syncs cost nothing. */
export const FAST = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A path at which there is nothing yet. */
export function newDirectory(): string {
  if (root === "") root = mkdtempSync(join(FAST, "kpaxos-storage-"));
  return join(root, `${directories++}`);
}

/** To be called once in a test file. */
export function removeDirectories(): void {
  afterAll(() => rmSync(root, { recursive: true, force: true }));
}

/** What tests of one backend begin with. `O`: how its storages are opened. */
export class BackendFiles<O extends SqliteOptions> {
  readonly name: Backend;
  /** Of a directory; `more`: what is otherwise than usual. */
  readonly optionsIn: (directory: string, more?: Partial<O>) => O;
  readonly open: (options: O) => Storage;

  constructor(
    name: Backend,
    optionsIn: (directory: string, more?: Partial<O>) => O,
    open: (options: O) => Storage,
  ) {
    this.name = name;
    this.optionsIn = optionsIn;
    this.open = open;
  }

  /** Of acceptor 0. */
  readonly fileOf = ({ directory }: { readonly directory: string }): string =>
    join(directory, FILES[this.name]);

  /** Open, and read. */
  readonly opened = (options: O): Storage => {
    const storage = this.open(options);
    storage.replay(new StorageModel());
    return storage;
  };

  /** What a storage tells, or undefined when it says that it kept nothing. */
  readonly replayed = (options: O): string | undefined => {
    const storage = this.open(options);
    try {
      const model = new StorageModel();
      return storage.replay(model) ? model.describe() : undefined;
    } finally {
      storage.close();
    }
  };

  readonly refusal = (options: O): CliError => {
    try {
      this.replayed(options);
    } catch (error) {
      if (error instanceof CliError) return error;
      throw error;
    }
    throw new Error("it was opened");
  };

  /** A closed storage with a few records, each with a commit of its own. */
  readonly filled = (records = 5): O => {
    const options = this.optionsIn(newDirectory());
    const storage = this.opened(options);
    storage.promised(BALLOT, 9);
    storage.commit();
    for (let iid = 1; iid <= records; iid++) {
      storage.accepted(iid, BALLOT, 9, 0, VALUE, 0, VALUE.length);
      storage.commit();
    }
    storage.close();
    return options;
  };
}

export const SQLITE = new BackendFiles<SqliteOptions>("sqlite", optionsIn, openSqlite);
export const LOG = new BackendFiles<LogOptions>("log", logOptionsIn, openLog);

/** Of a database: its write-ahead log. */
export const walOf = (options: SqliteOptions): string => `${SQLITE.fileOf(options)}-wal`;
