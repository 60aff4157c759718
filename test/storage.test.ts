/**
 * The acceptor's database: what was committed is there again, and whatever else a file may be is refused with a reason.
 */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../src/error.ts";
import type { Ballot } from "../src/protocol/types.ts";
import { FORMAT_VERSION, type Identity } from "../src/storage/sqlite_format.ts";
import { openSqlite, type SqliteOptions } from "../src/storage/sqlite_open.ts";
import { seededRandom } from "./support/random.ts";
import {
  BALLOT,
  fileOf,
  filled,
  newDirectory,
  refusal,
  removeDirectories,
  replayed,
  VALUE,
  walOf,
} from "./support/storage_files.ts";
import { optionsIn, replayOrder, StorageModel, Turns } from "./support/storage_model.ts";

removeDirectories();

describe("what was committed", () => {
  test("is told again, in every form, over many restarts", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      const options = optionsIn(newDirectory(), { sync: false, checkpointPages: 8 });
      const model = new StorageModel();
      let storage = openSqlite(options);
      expect(storage.replay(new StorageModel())).toBe(false);
      const turns = new Turns(
        random,
        [
          model,
          {
            promised: (...all) => storage.promised(...all),
            promisedAt: (...all) => storage.promisedAt(...all),
            accepted: (...all) => storage.accepted(...all),
            trimmed: (...all) => storage.trimmed(...all),
            standing: (...all) => storage.standing(...all),
          },
        ],
        3000,
      );
      for (let i = 0; i < 60; i++) {
        turns.turn();
        const ticket = storage.commit();
        expect(storage.durable()).toBe(ticket);
        if (random() > 0.1) continue;
        storage.close();
        storage = openSqlite(options);
        const again = new StorageModel();
        expect(storage.replay(again)).toBe(true);
        expect(again.describe()).toBe(model.describe());
      }
      storage.close();
    }
  });

  test("comes in the order that the interface names", () => {
    const options = filled(0);
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    for (const iid of [7, 3, 5]) storage.accepted(iid, BALLOT, 9, 0, VALUE, 0, VALUE.length);
    for (const iid of [8, 4]) storage.promisedAt(iid, BALLOT);
    storage.standing(Float64Array.of(1, 1, 1), Float64Array.of(7, 8, 9));
    storage.trimmed(2);
    storage.commit();
    storage.close();
    const again = openSqlite(options);
    const order = replayOrder(again);
    again.close();
    const rows = ["promisedAt 4", "promisedAt 8", "accepted 3", "accepted 5", "accepted 7"];
    expect(order).toEqual(["trimmed 2", "standing", "promised 65536", ...rows]);
  });

  test("what a turn journalled without a commit is gone, and the rest is whole", () => {
    const options = filled();
    const before = replayed(options);
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    storage.promised((2 * BALLOT) as Ballot, 10);
    storage.accepted(3, (2 * BALLOT) as Ballot, 10, 0, VALUE, 0, 2);
    storage.trimmed(2);
    storage.close();
    expect(replayed(options)).toBe(before!);
  });

  test("a commit of nothing writes nothing", () => {
    const options = filled();
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    const first = storage.commit();
    for (let i = 0; i < 1000; i++) storage.commit();
    expect(storage.commit()).toBe(first + 1001);
    expect(storage.durable()).toBe(first + 1001);
    expect(statSync(walOf(options)).size).toBe(0);
    storage.close();
  });

  test("a database in which nothing was ever committed holds nothing", () => {
    const options = optionsIn(newDirectory());
    for (let i = 0; i < 3; i++) expect(replayed(options)).toBeUndefined();
  });

  test("the largest value, and many of them", () => {
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
});

describe("trimming", () => {
  test("the file does not grow while instances come and go", () => {
    const options = optionsIn(newDirectory(), { sync: false });
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    const value = new Uint8Array(100);
    const sizes: number[] = [];
    for (let iid = 1; iid <= 200_000; iid++) {
      storage.accepted(iid, BALLOT, 1, 0, value, 0, value.length);
      if (iid % 100 === 0) storage.commit();
      if (iid % 10_000 !== 0) continue;
      storage.trimmed(iid - 100);
      sizes.push(statSync(fileOf(options)).size);
    }
    storage.commit();
    expect(storage.records).toBeLessThan(20_000);
    storage.close();
    // Two windows of 10 000 instances, at 150 bytes each.
    expect(Math.max(...sizes)).toBeLessThan(4 << 20);
    const model = new StorageModel();
    const again = openSqlite(options);
    again.replay(model);
    again.close();
    expect(model.records.size).toBe(100);
    expect(model.trimIid).toBe(199_900);
  });

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
  test.each([
    [{ cluster: "other" }, 'it belongs to cluster "kpaxos", not "other"'],
    [{ acceptors: 5 }, "it belongs to a cluster of 3 acceptors, not of 5"],
    [{ wire: "kernel-paxos" }, "it was written with wire native, not with wire kernel-paxos"],
    [{ clusterId: 1 }, "it belongs to the cluster of id 0x00001234, not 0x00000001"],
  ] satisfies [Partial<Identity>, string][])("another cluster: %p", (more, what) => {
    const options = filled();
    const before = readFileSync(fileOf(options));
    const error = refusal({ ...options, identity: { ...options.identity, ...more } });
    expect(error.message).toBe(`${fileOf(options)} is not this acceptor's: ${what}`);
    expect(error.exitCode).toBe(ExitCode.config);
    expect(error.hint).toContain("storage-path");
    expect(readFileSync(fileOf(options)).equals(before)).toBe(true);
    expect(replayed(options)).toContain("record 5");
  });

  test("another acceptor's file under this one's name", () => {
    const options = filled();
    copyFileSync(fileOf(options), join(options.directory, "acceptor-1.db"));
    const error = refusal({ ...options, identity: { ...options.identity, acceptor: 1 } });
    expect(error.message).toContain(
      "acceptor-1.db is not this acceptor's: it belongs to acceptor 0, not acceptor 1",
    );
  });

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

  test("what is no database", () => {
    const options = optionsIn(newDirectory());
    mkdirSync(options.directory);
    for (const [content, what] of [
      ["", "it is an empty file"],
      ["this is a text\n".repeat(1000), "it is no SQLite database"],
      [`SQLite format 3\0${"and no more".repeat(1000)}`, "it is no SQLite database"],
      ["SQLite format 3\0 and no more", "it has 28 bytes, not even a page"],
    ]) {
      writeFileSync(fileOf(options), content!);
      const error = refusal(options);
      expect(error.message).toContain(`acceptor-0.db is damaged: ${what}`);
      expect(error.hint).toContain("acceptor-trash-files yes");
    }
  });

  test("a storage-path that is a file, or not to be made", () => {
    const path = newDirectory();
    writeFileSync(path, "");
    expect(refusal(optionsIn(path)).message).toBe(`storage-path ${path} is no directory`);
    expect(refusal(optionsIn(join(path, "below"))).message).toContain("cannot make the directory");
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

  test("symbolic links in place of the files, with or without something at their end", () => {
    const elsewhere = filled();
    const paths = [(one: SqliteOptions) => join(one.directory, "acceptor-0.lock"), fileOf, walOf];
    for (const pathIn of paths) {
      for (const target of [pathIn(elsewhere), join(elsewhere.directory, "not-mounted")]) {
        const options = optionsIn(newDirectory(), { trash: true });
        mkdirSync(options.directory);
        symlinkSync(target, pathIn(options));
        const error = refusal(options);
        expect(error.message).toBe(`${pathIn(options)} is a symbolic link`);
        expect(error.exitCode).toBe(ExitCode.config);
        expect(readdirSync(options.directory)).toHaveLength(1);
      }
    }
    expect(replayed(elsewhere)).toContain("record 5");
    const linked = optionsIn(newDirectory());
    symlinkSync(elsewhere.directory, linked.directory);
    expect(replayed(linked)).toContain("record 5");
  });

  test("a directory in place of a file", () => {
    const options = optionsIn(newDirectory());
    mkdirSync(fileOf(options), { recursive: true });
    expect(refusal(options).message).toBe(`${fileOf(options)} is no file`);
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
  test("removes this acceptor's files, says so, and starts empty", () => {
    const options = filled();
    copyFileSync(fileOf(options), join(options.directory, "acceptor-1.db"));
    const said: string[] = [];
    const trash = { ...options, trash: true, warn: (text: string) => said.push(text) };
    expect(replayed(trash)).toBeUndefined();
    expect(said.join()).toMatch(
      /^acceptor-trash-files yes: removed .*acceptor-0\.db and .*-wal; .* starts empty$/,
    );
    expect(readdirSync(options.directory).sort()).toEqual([
      ...["acceptor-0.db", "acceptor-0.db-wal", "acceptor-0.lock", "acceptor-1.db"],
    ]);
    expect(replayed(options)).toBeUndefined();
  });

  test("removes a damaged one, but not another cluster's", () => {
    const options = filled();
    const other = { ...options, identity: { ...options.identity, cluster: "other" }, trash: true };
    expect(refusal(other).message).toContain('it belongs to cluster "kpaxos", not "other"');
    expect(replayed(options)).toContain("record 5");
    writeFileSync(fileOf(options), "x".repeat(5000));
    expect(replayed({ ...options, trash: true })).toBeUndefined();
  });

  test("of nothing says nothing", () => {
    const said: string[] = [];
    const options = optionsIn(newDirectory(), { trash: true, warn: (text) => said.push(text) });
    expect(replayed(options)).toBeUndefined();
    expect(said).toEqual([]);
  });

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
  const holder = join(import.meta.dir, "support/storage_holder.ts");

  test("keeps all others out, and its end by SIGKILL leaves nothing locked", async () => {
    const options = filled();
    const child = Bun.spawn([process.execPath, holder, options.directory], { stdout: "pipe" });
    try {
      const reader = child.stdout.getReader();
      expect(new TextDecoder().decode((await reader.read()).value)).toBe("held\n");
      const error = refusal(options);
      // Not every container's kernel tells who holds a lock.
      expect(error.message).toMatch(/acceptor-0\.db is in use by (process \d+|another process)$/);
      expect(error.hint).toContain("storage-path");
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
    expect(replayed(options)).toContain("record 6");
  });

  test("keeps itself out", () => {
    const options = filled();
    const storage = openSqlite(options);
    expect(refusal(options).message).toContain("is in use by");
    // The database is locked, too, but nobody is accused of that who only asks.
    rmSync(join(options.directory, "acceptor-0.lock"));
    const error = refusal(options);
    expect(error.message).toContain("is in use by");
    expect(error.message).not.toContain(`${process.pid}`);
    storage.close();
    expect(replayed(options)).toContain("record 5");
  });
});
