/**
 * The acceptor's database: what it has besides what any backend has (`storage.test.ts`): a write-ahead log, tables, rows.
 */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { copyFileSync, cpSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FORMAT_VERSION } from "../src/storage/sqlite_format.ts";
import { openSqlite, type SqliteOptions } from "../src/storage/sqlite_open.ts";
import { seededRandom } from "./support/random.ts";
import { BALLOT, newDirectory, removeDirectories, SQLITE, VALUE, walOf } from "./support/storage_files.ts";
import { optionsIn, StorageModel, Turns } from "./support/storage_model.ts";

removeDirectories();
const { fileOf, filled, refusal, replayed } = SQLITE;

describe("what was committed", () => {
  test("the write-ahead log stays small, however large the values", () => {
    const options = optionsIn(newDirectory());
    const model = new StorageModel();
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    const value = crypto.getRandomValues(new Uint8Array(65536));
    for (let iid = 1; iid <= 200; iid++) {
      for (const one of [storage, model]) one.accepted(iid, BALLOT, 1, 0, value, iid, 65536 - iid);
      storage.commit();
    }
    // Three checkpoints have come by: the log is used again and again.
    expect(statSync(walOf(options)).size).toBeLessThan(6 << 20);
    storage.close();
    expect(replayed(options)).toBe(model.describe());
  });

  test("and whatever is written, changed and trimmed, in whatever order", () => {
    const options = optionsIn(newDirectory(), { checkpointPages: 50 });
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    const turns = new Turns(seededRandom(6), [storage], 6000);
    let checkpoints = 0;
    let databaseBytes = 0;
    for (let i = 0; i < 800; i++) {
      turns.turn();
      storage.commit();
      const { size } = statSync(fileOf(options));
      if (size !== databaseBytes) checkpoints++;
      databaseBytes = size;
      // 50 pages, and what one commit writes beyond them.
      expect(statSync(walOf(options)).size).toBeLessThan(90 * 4120);
    }
    expect(checkpoints).toBeGreaterThan(5);
    storage.close();
  });
});

describe("trimming", () => {
  test("what is trimmed stays trimmed, though its rows go later", () => {
    const options = filled(1000);
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    storage.trimmed(990);
    storage.commit();
    expect(storage.records).toBeGreaterThan(500);
    storage.close();
    const model = new StorageModel();
    const again = openSqlite(options);
    again.replay(model);
    expect([...model.records.keys()]).toEqual([991, 992, 993, 994, 995, 996, 997, 998, 999, 1000]);
    again.close();
  });
});

describe("refused", () => {
  test("another format version, another program", () => {
    const options = filled();
    const change = (sql: string) => {
      const database = new Database(fileOf(options));
      database.run(sql);
      database.close(true);
    };
    change(`PRAGMA user_version = ${FORMAT_VERSION + 1}`);
    expect(refusal(options).message).toContain(
      `it has format version ${FORMAT_VERSION + 1}, this kpaxos reads and writes version ${FORMAT_VERSION}`,
    );
    change(`PRAGMA user_version = ${FORMAT_VERSION}`);
    change("PRAGMA application_id = 7");
    expect(refusal(options).message).toContain(
      "of another program (application id 0x00000007, kpaxos has 0x6b706178)",
    );
  });

  test("a database without the log of a killed process, a log without its database", () => {
    const options = filled();
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    storage.accepted(6, BALLOT, 9, 0, VALUE, 0, VALUE.length);
    storage.commit();
    const copy = optionsIn(newDirectory());
    mkdirSync(copy.directory);
    copyFileSync(fileOf(options), fileOf(copy));
    expect(refusal(copy).message).toContain("its write-ahead log (-wal), which belongs to it");
    copyFileSync(walOf(options), walOf(copy));
    expect(replayed(copy)).toContain("record 6");
    const log = optionsIn(newDirectory());
    mkdirSync(log.directory);
    copyFileSync(walOf(options), walOf(log));
    expect(refusal(log).message).toContain("it is missing, though its write-ahead log (-wal) is there");
    storage.close();
    // Stopped in order it needs no log.
    const stopped = optionsIn(newDirectory());
    mkdirSync(stopped.directory);
    copyFileSync(fileOf(options), fileOf(stopped));
    expect(replayed(stopped)).toContain("record 6");
  });

  test("the log of another acceptor, though it has accepted the same", () => {
    const killed = (acceptor: number): SqliteOptions => {
      const options = optionsIn(newDirectory());
      const other = { ...options, identity: { ...options.identity, acceptor } };
      const storage = openSqlite(other);
      storage.replay(new StorageModel());
      storage.promised(BALLOT, 9);
      storage.accepted(1, BALLOT, 9, 0, VALUE, 0, VALUE.length);
      storage.commit();
      const copy = { ...other, directory: newDirectory() };
      cpSync(options.directory, copy.directory, { recursive: true });
      storage.close();
      return copy;
    };
    const [mine, others] = [killed(0), killed(1)];
    copyFileSync(join(others.directory, "acceptor-1.db-wal"), walOf(mine));
    expect(refusal(mine).message).toMatch(
      /the checksum of its state does not match: .* another acceptor's\?$/,
    );
  });

  test("tables that somebody changed, and rows that somebody removed", () => {
    for (const [sql, what] of [
      ["ALTER TABLE record ADD COLUMN more INTEGER", "its tables are not those of its format version"],
      [
        "DELETE FROM record WHERE iid = 3",
        "its table record has 4 rows, and they are not the 5 it was left with",
      ],
      ["UPDATE record SET iid = 9 WHERE iid = 3", "the checksum of the record of instance 9 does not match"],
      [
        "UPDATE record SET flags = 1 WHERE iid = 3",
        "the checksum of the record of instance 3 does not match",
      ],
      ["UPDATE state SET ballot = 1", "the checksum of its state does not match"],
      ["UPDATE identity SET acceptors = 4", "the checksum of its identity does not match"],
    ]) {
      const options = filled();
      const database = new Database(fileOf(options));
      database.run(sql!);
      database.close(true);
      expect(refusal(options).message).toContain(what!);
    }
  });
});

describe("acceptor-trash-files", () => {
  test("that a power cut interrupted is finished", () => {
    const options = filled();
    copyFileSync(fileOf(options), `${fileOf(options)}.trashed`);
    rmSync(fileOf(options));
    writeFileSync(walOf(options), "left behind");
    expect(replayed(options)).toBeUndefined();
    expect(existsSync(`${fileOf(options)}.trashed`)).toBe(false);
  });
});

describe("one process", () => {
  test("keeps itself out, without the lock's file, too", () => {
    const options = filled();
    const storage = openSqlite(options);
    // The database is locked, too, but nobody is accused of that who only asks.
    rmSync(join(options.directory, "acceptor-0.lock"));
    const error = refusal(options);
    expect(error.message).toContain("is in use by");
    expect(error.message).not.toContain(`${process.pid}`);
    storage.close();
    expect(replayed(options)).toContain("record 5");
  });
});
