/**
 * What an acceptor keeps, in each backend: what was committed is there again, and whatever else a file may be is refused with a
 * reason. What only one of them has is in `storage_sqlite.test.ts` and `storage_log.test.ts`.
 */
import { describe, expect, spyOn, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Committer } from "../src/bench/committer.ts";
import { ExitCode } from "../src/error.ts";
import type { Ballot } from "../src/protocol/types.ts";
import type { LogOptions } from "../src/storage/log_open.ts";
import type { Identity } from "../src/storage/sqlite_format.ts";
import type { SqliteOptions } from "../src/storage/sqlite_open.ts";
import { seededRandom } from "./support/random.ts";
import {
  BALLOT,
  type BackendFiles,
  LOG,
  newDirectory,
  removeDirectories,
  SQLITE,
  VALUE,
} from "./support/storage_files.ts";
import { FILES, replayOrder, StorageModel, Turns } from "./support/storage_model.ts";

removeDirectories();

const HOLDER = join(import.meta.dir, "support/storage_holder.ts");
const PATIENCE_MS = 60_000;

/** What of the same is otherwise in one backend. */
interface Backed<O extends SqliteOptions> {
  readonly files: BackendFiles<O>;
  readonly other: BackendFiles<SqliteOptions> | BackendFiles<LogOptions>;
  /** Of another acceptor in the same directory. */
  readonly neighbour: string;
  /** All that acceptor 0 may have there. */
  readonly names: readonly string[];
  /** Makes room as often as it can; a little otherwise for each seed. */
  readonly busy: (seed: number) => Partial<O>;
  /** Values of 64 KiB, and many instances. */
  readonly large: Partial<O>;
  readonly wide: Partial<O>;
  /** Of the file, with a thousand instances of 100 bytes and what waits to be used again. */
  readonly mostBytes: number;
  /** What is no such file, and why. */
  readonly strange: readonly (readonly [content: string, what: string])[];
}

const OF_SQLITE: Backed<SqliteOptions> = {
  files: SQLITE,
  other: LOG,
  neighbour: "acceptor-1.db",
  names: ["acceptor-0.lock", "acceptor-0.db", "acceptor-0.db-wal"],
  busy: () => ({ sync: false, checkpointPages: 8 }),
  large: {},
  wide: { sync: false },
  mostBytes: 1 << 20,
  strange: [
    ["", "it is an empty file"],
    ["this is a text\n".repeat(1000), "it is no SQLite database"],
    [`SQLite format 3\0${"and no more".repeat(1000)}`, "it is no SQLite database"],
    ["SQLite format 3\0 and no more", "it has 28 bytes, not even a page"],
  ],
};

const OF_LOG: Backed<LogOptions> = {
  files: LOG,
  other: SQLITE,
  neighbour: "acceptor-1.kplog",
  names: ["acceptor-0.lock", "acceptor-0.kplog"],
  busy: (seed) => ({ mostRegions: seed % 2 === 0 ? 4 : 100 }),
  large: { regionBytes: 1 << 20, windowBytes: 64 << 20 },
  wide: { windowInstances: 4096, mostRegions: 1000 },
  mostBytes: 14 * 16_384,
  strange: [
    ["", "it has 0 bytes, not even two blocks"],
    ["this is a text\n".repeat(1000), "it is no log of an acceptor"],
  ],
};

/** Every file of a directory, byte for byte. */
function contents(directory: string): Map<string, string> {
  const files = readdirSync(directory).sort();
  return new Map(files.map((name) => [name, readFileSync(join(directory, name), "latin1")]));
}

describe("sqlite", () => suite(OF_SQLITE));
describe("log", () => suite(OF_LOG));

function suite<O extends SqliteOptions>(backed: Backed<O>): void {
  describe("what was committed", () => {
    committed(backed);
    committedMuch(backed);
  });
  describe("refused", () => {
    refusedFiles(backed);
    refusedPlaces(backed);
  });
  describe("acceptor-trash-files", () => trashed(backed));
  describe("one process", () => oneProcess(backed));
  describe("the commits of a benchmark", () => commits(backed));
}

function committed<O extends SqliteOptions>({ files, busy }: Backed<O>): void {
  const { open, opened, filled, replayed, optionsIn } = files;

  test(
    "is told again, in every form, over many restarts",
    () => {
      for (let seed = 1; seed <= 20; seed++) {
        const random = seededRandom(seed);
        const options = optionsIn(newDirectory(), busy(seed));
        const model = new StorageModel();
        let storage = open(options);
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
          storage = open(options);
          const again = new StorageModel();
          expect(storage.replay(again)).toBe(true);
          expect(again.describe()).toBe(model.describe());
        }
        storage.close();
      }
    },
    PATIENCE_MS,
  );

  test("comes in the order that the interface names", () => {
    const options = filled(0);
    const storage = opened(options);
    for (const iid of [7, 3, 5]) storage.accepted(iid, BALLOT, 9, 0, VALUE, 0, VALUE.length);
    for (const iid of [8, 4]) storage.promisedAt(iid, BALLOT);
    storage.standing(Float64Array.of(1, 1, 1), Float64Array.of(7, 8, 9));
    storage.trimmed(2);
    storage.commit();
    storage.close();
    const again = open(options);
    const order = replayOrder(again);
    again.close();
    const rows = ["promisedAt 4", "promisedAt 8", "accepted 3", "accepted 5", "accepted 7"];
    expect(order).toEqual(["trimmed 2", "standing", "promised 65536", ...rows]);
  });

  test("what a turn journalled without a commit is gone, and the rest is whole", () => {
    const value = new Uint8Array(1000);
    for (const count of [1, 100]) {
      const options = filled();
      const before = replayed(options);
      const storage = opened(options);
      storage.promised((2 * BALLOT) as Ballot, 10);
      for (let i = 0; i < count; i++) storage.accepted(i + 3, (2 * BALLOT) as Ballot, 10, 0, value, 0, 1000);
      storage.trimmed(2);
      storage.close();
      for (let i = 0; i < 3; i++) expect(replayed(options)).toBe(before!);
    }
  });

  test("a commit of nothing writes nothing", () => {
    const options = filled();
    const storage = opened(options);
    const before = contents(options.directory);
    const first = storage.commit();
    for (let i = 0; i < 1000; i++) storage.commit();
    expect(storage.commit()).toBe(first + 1001);
    expect(storage.durable()).toBe(first + 1001);
    expect(contents(options.directory)).toEqual(before);
    storage.close();
  });

  test("where nothing was ever committed there is nothing", () => {
    const options = optionsIn(newDirectory());
    for (let i = 0; i < 3; i++) expect(replayed(options)).toBeUndefined();
  });
}

function committedMuch<O extends SqliteOptions>({ files, large, wide, mostBytes }: Backed<O>): void {
  const { open, opened, replayed, fileOf, optionsIn } = files;

  test(
    "the largest value, and many of them, also in one commit",
    () => {
      for (const each of [1, 20]) {
        const options = optionsIn(newDirectory(), large);
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
    },
    PATIENCE_MS,
  );

  test(
    "the file does not grow while instances come and go",
    () => {
      const options = optionsIn(newDirectory(), wide);
      const storage = opened(options);
      const value = new Uint8Array(100);
      for (let iid = 1; iid <= 50_000; iid++) {
        storage.accepted(iid, BALLOT, 1, 0, value, 0, value.length);
        if (iid % 100 === 0) storage.commit();
        if (iid % 1000 !== 0) continue;
        storage.trimmed(iid - 100);
        expect(statSync(fileOf(options)).size).toBeLessThan(mostBytes);
      }
      storage.commit();
      storage.close();
      expect(statSync(fileOf(options)).size).toBeLessThan(mostBytes);
      const model = new StorageModel();
      const again = open(options);
      again.replay(model);
      again.close();
      expect(model.records.size).toBe(100);
      expect(model.trimIid).toBe(49_900);
    },
    PATIENCE_MS,
  );
}

/** Files that are not this acceptor's, or none at all. */
function refusedFiles<O extends SqliteOptions>({ files, neighbour, strange }: Backed<O>): void {
  const { filled, refusal, replayed, fileOf, optionsIn, name } = files;

  test.each([
    [{ cluster: "other" }, 'it belongs to cluster "kpaxos", not "other"'],
    [{ acceptors: 5 }, "it belongs to a cluster of 3 acceptors, not of 5"],
    [{ wire: "kernel-paxos" }, "it was written with wire native, not with wire kernel-paxos"],
    [{ clusterId: 1 }, "it belongs to the cluster of id 0x00001234, not 0x00000001"],
  ] satisfies [Partial<Identity>, string][])("another cluster, to begin anew, too: %p", (more, what) => {
    const options = filled();
    const before = readFileSync(fileOf(options));
    for (const trash of [false, true]) {
      const error = refusal({ ...options, trash, identity: { ...options.identity, ...more } });
      expect(error.message).toBe(`${fileOf(options)} is not this acceptor's: ${what}`);
      expect(error.exitCode).toBe(ExitCode.config);
      expect(error.hint).toContain("storage-path");
    }
    expect(readFileSync(fileOf(options)).equals(before)).toBe(true);
    expect(replayed(options)).toContain("record 5");
  });

  test("another acceptor's file under this one's name", () => {
    const options = filled();
    copyFileSync(fileOf(options), join(options.directory, neighbour));
    const error = refusal({ ...options, identity: { ...options.identity, acceptor: 1 } });
    expect(error.message).toContain(
      `${neighbour} is not this acceptor's: it belongs to acceptor 0, not acceptor 1`,
    );
  });

  test("what is something else", () => {
    const options = optionsIn(newDirectory());
    mkdirSync(options.directory);
    for (const [content, what] of strange) {
      writeFileSync(fileOf(options), content);
      const error = refusal(options);
      expect(error.message).toContain(`${FILES[name]} is damaged: ${what}`);
      expect(error.hint).toContain("acceptor-trash-files yes");
    }
  });
}

function refusedPlaces<O extends SqliteOptions>({ files, other, names }: Backed<O>): void {
  const { filled, refusal, replayed, fileOf, optionsIn, name } = files;

  test("a storage-path that is a file, or not to be made", () => {
    const path = newDirectory();
    writeFileSync(path, "");
    expect(refusal(optionsIn(path)).message).toBe(`storage-path ${path} is no directory`);
    expect(refusal(optionsIn(join(path, "below"))).message).toContain("cannot make the directory");
  });

  test("symbolic links in place of the files, with or without something at their end", () => {
    const elsewhere = filled();
    for (const one of names) {
      for (const target of [join(elsewhere.directory, one), join(elsewhere.directory, "not-mounted")]) {
        const options = { ...optionsIn(newDirectory()), trash: true };
        const path = join(options.directory, one);
        mkdirSync(options.directory);
        symlinkSync(target, path);
        const error = refusal(options);
        expect(error.message).toBe(`${path} is a symbolic link`);
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

  test("to begin beside what the other backend has kept, anew or not", () => {
    const { directory } = other.filled();
    for (const trash of [false, true]) {
      const error = refusal({ ...optionsIn(directory), trash });
      expect(error.message).toContain(
        `${FILES[other.name]} holds what this acceptor has promised, and storage-backend is ${name}`,
      );
      expect(error.hint).toContain(`storage-backend ${other.name} goes on with it`);
    }
    expect(readdirSync(directory)).not.toContain(FILES[name]);
  });
}

function trashed<O extends SqliteOptions>({ files, neighbour, names }: Backed<O>): void {
  const { filled, replayed, fileOf, optionsIn, name } = files;

  test("removes this acceptor's files, says so, and starts empty", () => {
    const options = filled();
    copyFileSync(fileOf(options), join(options.directory, neighbour));
    const said: string[] = [];
    const trash = { ...options, trash: true, warn: (text: string) => said.push(text) };
    expect(replayed(trash)).toBeUndefined();
    expect(said).toHaveLength(1);
    expect(said[0]).toStartWith("acceptor-trash-files yes: removed ");
    expect(said[0]).toContain(FILES[name]);
    expect(said[0]).toEndWith(" starts empty");
    expect(readdirSync(options.directory).sort()).toEqual([...names, neighbour].sort());
    expect(replayed(options)).toBeUndefined();
  });

  test("removes a damaged one", () => {
    const options = filled();
    writeFileSync(fileOf(options), "x".repeat(9000));
    expect(replayed({ ...options, trash: true })).toBeUndefined();
  });

  test("of nothing says nothing", () => {
    const said: string[] = [];
    const options = { ...optionsIn(newDirectory()), trash: true, warn: (text: string) => said.push(text) };
    expect(replayed(options)).toBeUndefined();
    rmSync(fileOf(options), { force: true });
    rmSync(`${fileOf(options)}-wal`, { force: true });
    expect(replayed(options)).toBeUndefined();
    expect(said).toEqual([]);
  });
}

function oneProcess<O extends SqliteOptions>({ files }: Backed<O>): void {
  const { filled, opened, refusal, replayed, name } = files;

  test("keeps all others out, and its end by SIGKILL leaves nothing locked", async () => {
    const options = filled();
    const argv = [process.execPath, HOLDER, name, options.directory];
    const child = Bun.spawn(argv, { stdout: "pipe" });
    try {
      const reader = child.stdout.getReader();
      expect(new TextDecoder().decode((await reader.read()).value)).toBe("held\n");
      const error = refusal(options);
      // Not every container's kernel tells who holds a lock.
      expect(error.message).toMatch(/ is in use by (process \d+|another process)$/);
      expect(error.message).toContain(FILES[name]);
      expect(error.hint).toContain("storage-path");
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
    expect(replayed(options)).toContain("record 6");
  });

  test("keeps itself out", () => {
    const options = filled();
    const storage = opened(options);
    expect(refusal(options).message).toContain(`${FILES[name]} is in use by`);
    storage.close();
    expect(replayed(options)).toContain("record 5");
  });
}

function commits<O extends SqliteOptions>({ files }: Backed<O>): void {
  test("are of a storage that had nothing", () => {
    const options = files.optionsIn(newDirectory());
    const storage = files.open(options);
    new Committer(storage).commit(7);
    storage.close();
    const again = files.open(options);
    expect(() => new Committer(again)).toThrow("in a storage of its own");
    again.close();
  });

  test("hear a signal while they warm up", async () => {
    const storage = files.open(files.optionsIn(newDirectory()));
    const stop = new AbortController();
    const onSignal = (): void => stop.abort(new Error("ended by SIGUSR2"));
    process.on("SIGUSR2", onSignal);
    const commit = spyOn(storage, "commit").mockImplementationOnce(() => {
      process.kill(process.pid, "SIGUSR2");
      return 0;
    });
    try {
      await expect(new Committer(storage).warmUp(stop.signal)).rejects.toThrow("ended by SIGUSR2");
      expect(commit.mock.calls.length).toBeLessThan(100);
    } finally {
      process.off("SIGUSR2", onSignal);
      storage.close();
    }
  });
}
