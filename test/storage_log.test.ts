/**
 * The acceptor's log: what it has besides what any backend has (`storage.test.ts`): regions that are used anew, chunks.
 */
import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { CliError } from "../src/error.ts";
import type { Ballot } from "../src/protocol/types.ts";
import { type LogOptions, openLog } from "../src/storage/log_open.ts";
import { seededRandom } from "./support/random.ts";
import { BALLOT, LOG, newDirectory, removeDirectories, VALUE } from "./support/storage_files.ts";
import { logOptionsIn, StorageModel } from "./support/storage_model.ts";

removeDirectories();

const REGION = 16_384;
const BLOCK = 4096;
const { fileOf, filled, opened, refusal, replayed } = LOG;

/** A copy of a log as it lies there while it is written. */
function copied(options: LogOptions): LogOptions {
  const copy = { ...options, directory: newDirectory() };
  mkdirSync(copy.directory);
  copyFileSync(fileOf(options), fileOf(copy));
  return copy;
}

describe("the file does not grow", () => {
  test("while nothing is committed, however often it is opened", () => {
    const options = logOptionsIn(newDirectory());
    for (let i = 0; i < 300; i++) expect(replayed(options)).toBeUndefined();
    expect(statSync(fileOf(options)).size).toBe(BLOCK + 2 * REGION);
  }, 60_000);

  test("while nobody trims, and the same instances are promised and accepted again and again", () => {
    const options = logOptionsIn(newDirectory(), { mostRegions: 8 });
    const model = new StorageModel();
    const storage = opened(options);
    const value = new Uint8Array(300);
    for (let i = 1; i <= 5000; i++) {
      for (const one of [storage, model]) {
        one.accepted(1 + (i % 7 === 0 ? i % 64 : i % 8), i as Ballot, 1, i % 4, value, 0, i % 300);
        one.promisedAt(1 + ((i * 5) % 64), i as Ballot);
        if (i % 1000 === 0) one.promised(i as Ballot, 1);
      }
      storage.commit();
    }
    storage.close();
    expect(statSync(fileOf(options)).size).toBeLessThan(BLOCK + 20 * REGION);
    expect(replayed(options)).toBe(model.describe());
  }, 60_000);
});

describe("after a crash", () => {
  test("what an earlier process could not finish is never taken up by a later one", () => {
    const options = filled();
    const before = replayed(options)!;
    const storage = opened(options);
    const used = readFileSync(fileOf(options));
    // A commit in two chunks, the second one at the beginning of a region.
    const value = new Uint8Array(1000).fill(7);
    for (let iid = 6; iid <= 25; iid++) storage.accepted(iid, BALLOT, 9, 0, value, 0, value.length);
    storage.commit();
    let torn = copied(options);
    storage.close();
    const whole = readFileSync(fileOf(torn));
    expect(
      whole
        .subarray(BLOCK + REGION, BLOCK + REGION + 56)
        .equals(used.subarray(BLOCK + REGION, BLOCK + REGION + 56)),
    ).toBe(false);
    // The power cut keeps the second and not the first.
    used.copy(whole, BLOCK, BLOCK, BLOCK + REGION);
    writeFileSync(fileOf(torn), whole);
    for (let i = 0; i < 4; i++) {
      const model = new StorageModel();
      const later = openLog(torn);
      later.replay(model);
      expect(model.describe()).toBe(before);
      torn = copied(torn);
      later.close();
    }
  });

  test("a file that ends within a region that was being added is completed", () => {
    const options = filled();
    const before = replayed(options)!;
    writeFileSync(fileOf(options), new Uint8Array(5000), { flag: "a" });
    expect(replayed(options)).toBe(before);
    expect(statSync(fileOf(options)).size).toBe(BLOCK + 3 * REGION);
  });
});

describe("damage", () => {
  test("of any byte of a log that was closed is found, or changes nothing", () => {
    const options = filled(60);
    const whole = readFileSync(fileOf(options));
    const right = replayed(options)!;
    const hurt = logOptionsIn(newDirectory());
    mkdirSync(hurt.directory);
    const random = seededRandom(4);
    let found = 0;
    for (let i = 0; i < 1500; i++) {
      const bytes = Buffer.from(whole);
      // What was written lies at the front.
      const at = Math.floor(random() * (i % 3 === 0 ? bytes.length : 2 * BLOCK + 4000));
      bytes[at] = bytes[at]! ^ (1 << Math.floor(random() * 8));
      writeFileSync(fileOf(hurt), bytes);
      try {
        expect(replayed(hurt)).toBe(right);
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        expect(error.message).toContain("acceptor-0.kplog is damaged: ");
        found++;
      }
    }
    expect(found).toBeGreaterThan(700);
  }, 60_000);

  test("of a log that was not closed is found up to the last commit but one", () => {
    const options = filled(60);
    const storage = opened(options);
    for (let iid = 61; iid <= 63; iid++) {
      storage.accepted(iid, BALLOT, 9, 0, VALUE, 0, VALUE.length);
      storage.commit();
    }
    const hurt = copied(options);
    storage.close();
    const whole = readFileSync(fileOf(hurt));
    const last = whole.lastIndexOf(VALUE);
    for (let at = BLOCK; at < last - 96; at += 7) {
      const bytes = Buffer.from(whole);
      bytes[at] = bytes[at]! ^ 16;
      writeFileSync(fileOf(hurt), bytes);
      expect(refusal(hurt).message).toMatch(
        /is damaged: (chunk \d+ of its log is missing or bad|nothing of)/,
      );
      expect(readFileSync(fileOf(hurt)).equals(bytes)).toBe(true);
    }
  }, 60_000);

  test("a region taken out, a file cut off, nothing but zeros", () => {
    const options = filled(600);
    const hurt = copied(options);
    const whole = readFileSync(fileOf(hurt));
    whole.fill(0, BLOCK + REGION, BLOCK + 2 * REGION);
    writeFileSync(fileOf(hurt), whole);
    expect(refusal(hurt).message).toContain("is missing or bad, and had been synced");
    const cut = copied(options);
    truncateSync(fileOf(cut), BLOCK + REGION);
    // Nothing that is left says that there was more.
    expect(replayed(cut)).toContain("record 100");
    whole.fill(0, BLOCK);
    writeFileSync(fileOf(hurt), whole);
    expect(refusal(hurt).message).toContain("nothing of what was written is there");
  });

  test("while the log is written ends it before anything that was in the way is lost", () => {
    const options = logOptionsIn(newDirectory(), { mostRegions: 2 });
    const storage = opened(options);
    const value = new Uint8Array(1000);
    storage.accepted(1, BALLOT, 9, 0, VALUE, 0, VALUE.length);
    // The block that is written is in memory, too.
    for (let iid = 2; iid < 10; iid++) storage.accepted(iid, BALLOT, 9, 0, value, 0, 1000);
    storage.commit();
    const bytes = readFileSync(fileOf(options));
    bytes[bytes.indexOf(VALUE)] = 0;
    writeFileSync(fileOf(options), bytes);
    const write = (): void => {
      for (let iid = 10; iid < 100; iid++) {
        storage.accepted(iid, BALLOT, 9, 0, value, 0, 1000);
        storage.commit();
      }
    };
    expect(write).toThrow(/is damaged: a chunk in region 0 has changed/);
    expect(() => storage.commit()).toThrow(/is damaged/);
    storage.close();
  });
});

describe("refused", () => {
  test("chunks of another acceptor's log, though it has accepted the same", () => {
    const mine = readFileSync(fileOf(filled()));
    const others = filled();
    mine.copy(readFileSync(fileOf(others)), 0);
    const mixed = readFileSync(fileOf(others));
    mine.copy(mixed, BLOCK, BLOCK);
    writeFileSync(fileOf(others), mixed);
    expect(refusal(others).message).toContain("nothing of what was written is there");
  });
});
