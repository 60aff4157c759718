/**
 * Databases of acceptors in directories that end with the test file.
 */
import { afterAll } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "../../src/error.ts";
import type { Ballot } from "../../src/protocol/types.ts";
import { openSqlite, type SqliteOptions } from "../../src/storage/sqlite_open.ts";
import { optionsIn, StorageModel } from "./storage_model.ts";

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

export const fileOf = ({ directory }: SqliteOptions): string => join(directory, "acceptor-0.db");
export const walOf = (options: SqliteOptions): string => `${fileOf(options)}-wal`;

/** What a storage tells, or undefined when it says that it kept nothing. */
export function replayed(options: SqliteOptions): string | undefined {
  const storage = openSqlite(options);
  try {
    const model = new StorageModel();
    return storage.replay(model) ? model.describe() : undefined;
  } finally {
    storage.close();
  }
}

export function refusal(options: SqliteOptions): CliError {
  try {
    replayed(options);
  } catch (error) {
    if (error instanceof CliError) return error;
    throw error;
  }
  throw new Error("it was opened");
}

/** A closed database with a few records. */
export function filled(records = 5): SqliteOptions {
  const options = optionsIn(newDirectory());
  const storage = openSqlite(options);
  storage.replay(new StorageModel());
  storage.promised(BALLOT, 9);
  for (let iid = 1; iid <= records; iid++) storage.accepted(iid, BALLOT, 9, 0, VALUE, 0, VALUE.length);
  storage.commit();
  storage.close();
  return options;
}
