/**
 * The acceptor's log: what was committed is there again, however often regions are used anew, and whatever else a file may
 * be is refused with a reason.
 */
import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { CliError, ExitCode } from "../src/error.ts";
import type { Ballot } from "../src/protocol/types.ts";
import { type LogOptions, openLog } from "../src/storage/log_open.ts";
import { openSqlite } from "../src/storage/sqlite_open.ts";
import { seededRandom } from "./support/random.ts";
import { BALLOT, newDirectory, removeDirectories, VALUE } from "./support/storage_files.ts";
import { logOptionsIn, optionsIn, replayOrder, StorageModel, Turns } from "./support/storage_model.ts";

removeDirectories();

const REGION = 16_384;
const BLOCK = 4096;
const fileOf = ({ directory }: { readonly directory: string }): string => join(directory, "acceptor-0.kplog");

function replayed(options: LogOptions): string | undefined {
  const storage = openLog(options);
  try {
    const model = new StorageModel();
    return storage.replay(model) ? model.describe() : undefined;
  } finally {
    storage.close();
  }
}

function refusal(options: LogOptions): CliError {
  try {
    replayed(options);
  } catch (error) {
    if (error instanceof CliError) return error;
    throw error;
  }
  throw new Error("it was opened");
}

function opened(options: LogOptions): ReturnType<typeof openLog> {
  const storage = openLog(options);
  storage.replay(new StorageModel());
  return storage;
}

/** A closed log with a few records, each with a commit of its own. */
function filled(records = 5): LogOptions {
  const options = logOptionsIn(newDirectory());
  const storage = opened(options);
  storage.promised(BALLOT, 9);
  for (let iid = 1; iid <= records; iid++) {
    storage.accepted(iid, BALLOT, 9, 0, VALUE, 0, VALUE.length);
    storage.commit();
  }
  storage.close();
  return options;
}

/** A copy of a log as it lies there while it is written. */
function copied(options: LogOptions): LogOptions {
  const copy = { ...options, directory: newDirectory() };
  mkdirSync(copy.directory);
  copyFileSync(fileOf(options), fileOf(copy));
  return copy;
}

describe("what was committed", () => {
  test("is told again, in every form, over many restarts", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = seededRandom(seed);
      const options = logOptionsIn(newDirectory(), { mostRegions: seed % 2 === 0 ? 4 : 100 });
      const model = new StorageModel();
      let storage = openLog(options);
      expect(storage.replay(new StorageModel())).toBe(false);
      const into = {
        promised: (...all: Parameters<typeof storage.promised>) => storage.promised(...all),
        promisedAt: (...all: Parameters<typeof storage.promisedAt>) => storage.promisedAt(...all),
        accepted: (...all: Parameters<typeof storage.accepted>) => storage.accepted(...all),
        trimmed: (...all: Parameters<typeof storage.trimmed>) => storage.trimmed(...all),
        standing: (...all: Parameters<typeof storage.standing>) => storage.standing(...all),
      };
      const turns = new Turns(random, [model, into], 3000);
      for (let i = 0; i < 200; i++) {
        turns.turn();
        const ticket = storage.commit();
        expect(storage.durable()).toBe(ticket);
        if (random() > 0.05) continue;
        storage.close();
        storage = openLog(options);
        const again = new StorageModel();
        expect(storage.replay(again)).toBe(true);
        expect(again.describe()).toBe(model.describe());
      }
      storage.close();
    }
  }, 60_000);

  test("comes in the order that the interface names", () => {
    const options = logOptionsIn(newDirectory());
    const storage = opened(options);
    for (const iid of [7, 3, 5]) storage.accepted(iid, BALLOT, 9, 0, VALUE, 0, VALUE.length);
    for (const iid of [8, 4]) storage.promisedAt(iid, BALLOT);
    storage.promised(BALLOT, 9);
    storage.standing(Float64Array.of(1, 1, 1), Float64Array.of(7, 8, 9));
    storage.trimmed(2);
    storage.commit();
    storage.close();
    const again = openLog(options);
    const order = replayOrder(again);
    again.close();
    const rows = ["promisedAt 4", "promisedAt 8", "accepted 3", "accepted 5", "accepted 7"];
    expect(order).toEqual(["trimmed 2", "standing", "promised 65536", ...rows]);
  });

  test("what a turn journalled without a commit is gone, and the rest is whole", () => {
    const large = new Uint8Array(1000);
    for (const count of [1, 100]) {
      const options = filled();
      const before = replayed(options);
      const storage = opened(options);
      storage.promised((2 * BALLOT) as Ballot, 10);
      for (let i = 0; i < count; i++) storage.accepted(i + 3, (2 * BALLOT) as Ballot, 10, 0, large, 0, 1000);
      storage.trimmed(2);
      storage.close();
      for (let i = 0; i < 3; i++) expect(replayed(options)).toBe(before!);
    }
  });

  test("a commit of nothing writes nothing", () => {
    const options = filled();
    const storage = opened(options);
    const before = readFileSync(fileOf(options));
    const first = storage.commit();
    for (let i = 0; i < 1000; i++) storage.commit();
    expect(storage.durable()).toBe(first + 1000);
    expect(readFileSync(fileOf(options)).equals(before)).toBe(true);
    storage.close();
  });

  test("a log in which nothing was ever committed holds nothing", () => {
    const options = logOptionsIn(newDirectory());
    for (let i = 0; i < 300; i++) expect(replayed(options)).toBeUndefined();
    expect(statSync(fileOf(options)).size).toBe(BLOCK + 2 * REGION);
  }, 60_000);

  test("the largest value, and many of them, also in one commit", () => {
    for (const each of [1, 20]) {
      const options = logOptionsIn(newDirectory(), { regionBytes: 1 << 20, windowBytes: 64 << 20 });
      const model = new StorageModel();
      const storage = opened(options);
      const value = crypto.getRandomValues(new Uint8Array(65536));
      for (let iid = 1; iid <= 60; iid++) {
        for (const one of [storage, model]) one.accepted(iid, BALLOT, 1, 0, value, iid, 65536 - iid);
        if (iid % each === 0) storage.commit();
      }
      storage.close();
      expect(replayed(options)).toBe(model.describe());
    }
  }, 60_000);
});

describe("the file does not grow", () => {
  test("while instances come and go", () => {
    const options = logOptionsIn(newDirectory(), { windowInstances: 4096, mostRegions: 1000 });
    const storage = opened(options);
    const value = new Uint8Array(100);
    for (let iid = 1; iid <= 50_000; iid++) {
      storage.accepted(iid, BALLOT, 1, 0, value, 0, value.length);
      if (iid % 100 === 0) storage.commit();
      if (iid % 1000 === 0) storage.trimmed(iid - 100);
    }
    storage.commit();
    storage.close();
    // 1100 instances at 136 bytes, and what waits to be used again.
    expect(statSync(fileOf(options)).size).toBeLessThan(14 * REGION);
    const model = new StorageModel();
    const again = openLog(options);
    again.replay(model);
    again.close();
    expect(model.records.size).toBe(100);
    expect(model.trimIid).toBe(49_900);
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
  test("another cluster, another number of acceptors, another wire, another acceptor", () => {
    const options = filled();
    const before = readFileSync(fileOf(options));
    for (const [more, what] of [
      [{ cluster: "other" }, 'it belongs to cluster "kpaxos", not "other"'],
      [{ acceptors: 5 }, "it belongs to a cluster of 3 acceptors, not of 5"],
      [{ wire: "kernel-paxos" }, "it was written with wire native, not with wire kernel-paxos"],
      [{ clusterId: 1 }, "it belongs to the cluster of id 0x00001234, not 0x00000001"],
    ] as const) {
      const other = { ...options, identity: { ...options.identity, ...more } };
      const error = refusal(other);
      expect(error.message).toBe(`${fileOf(options)} is not this acceptor's: ${what}`);
      expect(error.exitCode).toBe(ExitCode.config);
      expect(refusal({ ...other, trash: true }).message).toBe(error.message);
    }
    expect(readFileSync(fileOf(options)).equals(before)).toBe(true);
    copyFileSync(fileOf(options), join(options.directory, "acceptor-1.kplog"));
    const error = refusal({ ...options, identity: { ...options.identity, acceptor: 1 } });
    expect(error.message).toContain("it belongs to acceptor 0, not acceptor 1");
  });

  test("chunks of another acceptor's log, though it has accepted the same", () => {
    const mine = readFileSync(fileOf(filled()));
    const others = filled();
    mine.copy(readFileSync(fileOf(others)), 0);
    const mixed = readFileSync(fileOf(others));
    mine.copy(mixed, BLOCK, BLOCK);
    writeFileSync(fileOf(others), mixed);
    expect(refusal(others).message).toContain("nothing of what was written is there");
  });

  test("what is no log", () => {
    const options = logOptionsIn(newDirectory());
    mkdirSync(options.directory);
    for (const [content, what] of [
      ["", "it has 0 bytes, not even two blocks"],
      ["this is a text\n".repeat(1000), "it is no log of an acceptor"],
    ]) {
      writeFileSync(fileOf(options), content!);
      const error = refusal(options);
      expect(error.message).toContain(`acceptor-0.kplog is damaged: ${what}`);
      expect(error.hint).toContain("acceptor-trash-files yes");
    }
  });

  test("a symbolic link, a directory in its place", () => {
    const elsewhere = filled();
    const linked = logOptionsIn(newDirectory());
    mkdirSync(linked.directory);
    symlinkSync(fileOf(elsewhere), fileOf(linked));
    expect(refusal(linked).message).toBe(`${fileOf(linked)} is a symbolic link`);
    const options = logOptionsIn(newDirectory());
    mkdirSync(fileOf(options), { recursive: true });
    expect(refusal(options).message).toBe(`${fileOf(options)} is no file`);
  });

  test("to begin anew beside what the other backend has kept", () => {
    const log = filled();
    expect(() => openSqlite(optionsIn(log.directory))).toThrow(
      /acceptor-0\.kplog holds what this acceptor has promised, and storage-backend is sqlite/,
    );
    const directory = newDirectory();
    openSqlite(optionsIn(directory)).close();
    const error = refusal(logOptionsIn(directory, { trash: true }));
    expect(error.message).toContain("acceptor-0.db holds what this acceptor has promised");
    expect(error.hint).toContain("storage-backend sqlite goes on with it");
    expect(existsSync(fileOf({ directory }))).toBe(false);
  });

  test("a second process", () => {
    const options = filled();
    const storage = opened(options);
    expect(refusal(options).message).toContain("acceptor-0.kplog is in use by");
    storage.close();
    expect(replayed(options)).toContain("record 5");
  });
});

describe("acceptor-trash-files", () => {
  test("removes a log, whole or damaged, says so, and starts empty", () => {
    const options = filled();
    const said: string[] = [];
    const trash = { ...options, trash: true, warn: (text: string) => said.push(text) };
    expect(replayed(trash)).toBeUndefined();
    expect(said.join()).toMatch(/^acceptor-trash-files yes: removed .*acceptor-0\.kplog; .* starts empty$/);
    expect(readdirSync(dirname(fileOf(options))).sort()).toEqual(["acceptor-0.kplog", "acceptor-0.lock"]);
    writeFileSync(fileOf(options), "x".repeat(9000));
    expect(replayed(trash)).toBeUndefined();
    rmSync(fileOf(options));
    said.length = 0;
    expect(replayed(trash)).toBeUndefined();
    expect(said).toEqual([]);
  });
});
