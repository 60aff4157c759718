/**
 * Files that cannot grow end the acceptor, with everything that was committed still there: a database in a checkpoint, and
 * before its write-ahead log has grown; a log that needs another region.
 */
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { openLog } from "../src/storage/log_open.ts";
import { BALLOT, newDirectory, removeDirectories, SQLITE, VALUE, walOf } from "./support/storage_files.ts";
import { type Backend, logOptionsIn, optionsIn, StorageModel } from "./support/storage_model.ts";

removeDirectories();
const { replayed } = SQLITE;

const FILLER = join(import.meta.dir, "support/storage_filler.ts");
/** Of the log, with 16 pages before a checkpoint and what one commit writes beyond them. */
const MOST_LOG_BYTES = 24 * 4120;

interface Said {
  readonly commits?: number;
  readonly error?: string;
  readonly warned?: string;
}

/** Fills a storage in a process whose files may have so many blocks of 512 bytes. */
function fill(directory: string, commits: number, blocks: string, backend: Backend = "sqlite"): Said[] {
  const script = `trap '' XFSZ; ulimit -f ${blocks}; exec "$@"`;
  const argv = ["sh", "-c", script, "sh", process.execPath, FILLER, backend, directory, `${commits}`];
  const { stdout, stderr } = Bun.spawnSync(argv, { timeout: 30_000 });
  expect(stderr.toString()).toBe("");
  return stdout
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Said);
}

test("checkpoints keep the log small, however much is written", () => {
  const options = optionsIn(newDirectory());
  expect(fill(options.directory, 600, "unlimited")).toEqual([{ commits: 600 }]);
  expect(statSync(walOf(options)).size).toBe(0);
  expect(replayed(options)).toContain("record 600");
}, 60_000);

test("checkpoints that fail end the storage at once, and nothing committed is lost", () => {
  const options = optionsIn(newDirectory());
  // The log stays far below the limit; the database comes to it.
  const said = fill(options.directory, 2000, "600");
  const { commits, error } = said[0]!;
  expect(error).toMatch(/^cannot write .*acceptor-0\.db: /);
  expect(commits).toBeGreaterThan(50);
  expect(commits).toBeLessThan(600);
  expect(said).toHaveLength(1);
  expect(statSync(walOf(options)).size).toBeLessThan(MOST_LOG_BYTES);
  expect(replayed(options)).toContain(`record ${commits}`);
}, 60_000);

test("a log that cannot grow ends the storage at once, and nothing committed is lost", () => {
  const options = logOptionsIn(newDirectory(), { mostRegions: 1000 });
  const [said, ...more] = fill(options.directory, 2000, "220", "log");
  expect(said?.error).toMatch(/^cannot write .*acceptor-0\.kplog: EFBIG/);
  // Six regions of 16 KiB in 110 KiB, and a part of one.
  expect(said?.commits).toBeWithin(85, 91);
  expect(more).toEqual([]);
  for (let i = 0; i < 2; i++) {
    const model = new StorageModel();
    const storage = openLog(options);
    storage.replay(model);
    expect(model.records.size).toBe(said!.commits!);
    storage.accepted(1 + model.records.size, BALLOT, 9, 0, VALUE, 0, VALUE.length);
    storage.close();
  }
}, 60_000);
