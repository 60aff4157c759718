/**
 * Damage to an acceptor's database: every bit that decides anything is covered.
 */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { CliError } from "../src/error.ts";
import { openSqlite } from "../src/storage/sqlite_open.ts";
import { seededRandom } from "./support/random.ts";
import { BALLOT, newDirectory, removeDirectories, SQLITE, VALUE, walOf } from "./support/storage_files.ts";
import { optionsIn, StorageModel } from "./support/storage_model.ts";

removeDirectories();
const { fileOf, filled, refusal, replayed } = SQLITE;

describe("damage", () => {
  test("of any byte of the database is found, or changes nothing", () => {
    const options = filled(40);
    const whole = readFileSync(fileOf(options));
    const right = replayed(options)!;
    const hurt = optionsIn(newDirectory());
    mkdirSync(hurt.directory);
    const random = seededRandom(4);
    let found = 0;
    for (let i = 0; i < 600; i++) {
      const bytes = Buffer.from(whole);
      const at = Math.floor(random() * bytes.length);
      bytes[at] = bytes[at]! ^ (1 << Math.floor(random() * 8));
      writeFileSync(fileOf(hurt), bytes);
      rmSync(walOf(hurt), { force: true });
      try {
        expect(replayed(hurt)).toBe(right);
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        expect(error.message).toMatch(/is damaged|is not this acceptor's/);
        found++;
      }
    }
    // Most of a small database is empty.
    expect(found).toBeGreaterThan(50);
  });

  test("of the log's middle is found before SQLite forgets what follows it", () => {
    const options = optionsIn(newDirectory());
    const storage = openSqlite(options);
    storage.replay(new StorageModel());
    for (let iid = 1; iid <= 30; iid++) {
      storage.accepted(iid, BALLOT, 9, 0, VALUE, 0, VALUE.length);
      storage.commit();
    }
    const database = readFileSync(fileOf(options));
    const wal = readFileSync(walOf(options));
    const model = new StorageModel();
    storage.close();
    const hurt = optionsIn(newDirectory());
    mkdirSync(hurt.directory);
    const random = seededRandom(5);
    for (let i = 0; i < 400; i++) {
      const bytes = Buffer.from(wal);
      // All but the last transaction, which cannot be told from a torn one.
      const at = Math.floor(random() * (bytes.length - 4 * 4120));
      bytes[at] = bytes[at]! ^ (1 << Math.floor(random() * 8));
      writeFileSync(fileOf(hurt), database);
      writeFileSync(walOf(hurt), bytes);
      expect(refusal(hurt).message).toMatch(/-wal is damaged: (its header|frame \d+) is damaged/);
      // And it is still there for whoever looks at it.
      expect(readFileSync(walOf(hurt)).equals(bytes)).toBe(true);
    }
    writeFileSync(walOf(hurt), wal);
    const again = openSqlite(hurt);
    again.replay(model);
    again.close();
    expect(model.records.size).toBe(30);
  });
});
