/**
 * Power cuts: a process writes into a storage under strace; from what it wrote and synced come the disks that a cut at any
 * moment could leave. On each of them everything is there of every commit that had returned, and nothing of another but
 * all of the one that was under way.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "../src/error.ts";
import type { Ballot } from "../src/protocol/types.ts";
import type { Storage } from "../src/storage/storage.ts";
import { CALLS, type Call, Disk, readCalls } from "./support/disk_trace.ts";
import { seededRandom } from "./support/random.ts";
import { describeUnless } from "./support/skip.ts";
import { FAST } from "./support/storage_files.ts";
import {
  BACKENDS,
  type Backend,
  FILES,
  MOST_BYTES,
  openSmall,
  StorageModel,
  Turns,
} from "./support/storage_model.ts";
import { whyNoStrace } from "./support/strace.ts";

const ROOT = mkdtempSync(join(tmpdir(), "kpaxos-crash-"));
/** What a cut leaves is opened hundreds of times. */
const LEFT = mkdtempSync(join(FAST, "kpaxos-crash-"));
afterAll(() => {
  for (const path of [ROOT, LEFT]) rmSync(path, { recursive: true, force: true });
});

const WRITER = join(import.meta.dir, "support/storage_writer.ts");
const COMMITS = 60;
/** After each call that changes something: a log is changed by fewer. */
const CUTS = { sqlite: 1, log: 4 } as const;

/** What a storage holds after each number of commits. */
function states(seed: number): string[] {
  const model = new StorageModel();
  const turns = new Turns(seededRandom(seed), [model], MOST_BYTES);
  const all = ["nothing"];
  for (let i = 1; i <= COMMITS; i++) {
    turns.turn();
    all.push(model.describe());
  }
  return all;
}

function traced(
  backend: Backend,
  seed: number,
  sync: boolean,
): { readonly calls: Call[]; readonly directory: string } {
  const directory = join(ROOT, `writer-${backend}-${seed}-${sync}`);
  const prefix = join(ROOT, `trace-${backend}-${seed}-${sync}`);
  const strace = ["strace", "-ff", "-xx", "-s", "100000", "-e", `trace=${CALLS}`, "-o", prefix];
  const words = [
    ...strace,
    process.execPath,
    WRITER,
    backend,
    directory,
    `${seed}`,
    `${COMMITS}`,
    sync ? "yes" : "no",
  ];
  const { exitCode, stderr } = Bun.spawnSync(words);
  if (exitCode !== 0) throw new Error(`the writer failed:\n${stderr.toString()}`);
  return { calls: readCalls(prefix, join(directory, FILES[backend])), directory };
}

/** Opens what is left, and goes on with it; what it told, or why it refused. */
function reopened(open: () => Storage): string | CliError {
  try {
    const storage = open();
    try {
      const model = new StorageModel();
      const told = storage.replay(model) ? model.describe() : "nothing";
      const all = [storage, model];
      for (const one of all) one.accepted(1_000_000, 7 as Ballot, 1, 0, new Uint8Array(9), 0, 9);
      storage.commit();
      storage.close();
      const again = open();
      const later = new StorageModel();
      again.replay(later);
      again.close();
      expect(later.describe()).toBe(model.describe());
      return told;
    } finally {
      storage.close();
    }
  } catch (error) {
    if (error instanceof CliError) return error;
    throw error;
  }
}

interface Cut {
  readonly backend: Backend;
  readonly seed: number;
  readonly torn?: boolean;
  readonly sync?: boolean;
}

/** Calls `check` with what many a power cut leaves and how many commits had returned by then. */
function cut(
  { backend, seed, torn = false, sync = true }: Cut,
  check: (left: string | CliError, returned: number) => void,
): void {
  const { calls, directory } = traced(backend, seed, sync);
  const random = seededRandom(seed + 1000);
  const disk = new Disk(directory);
  const left = join(LEFT, "left");
  const chance = torn ? 0.3 : 0.6;
  for (const call of calls) {
    if (!disk.apply(call)) continue;
    for (let i = 0; i < CUTS[backend]; i++) {
      if (random() > chance) continue;
      rmSync(left, { recursive: true, force: true });
      mkdirSync(left, { recursive: true });
      for (const [path, content] of disk.image(random, torn)) {
        writeFileSync(join(left, path.slice(directory.length + 1)), content);
      }
      check(
        reopened(() => openSmall(backend, left, sync)),
        disk.said,
      );
    }
  }
  expect(disk.said).toBe(COMMITS);
}

for (const backend of BACKENDS)
  describeUnless(whyNoStrace(), `after a power cut, ${backend}`, () => {
    for (const seed of [1, 2, 3]) {
      test(`every commit that had returned is there: seed ${seed}`, () => {
        const wanted = states(seed);
        const seen = { before: 0, after: 0 };
        cut({ backend, seed }, (left, returned) => {
          if (left instanceof CliError) throw left;
          if (left === wanted[returned]) seen.before++;
          else if (left === wanted[returned + 1]) seen.after++;
          else throw new Error(`after ${returned} commits: ${left}`);
        });
        // Both kinds of luck have been met.
        expect(seen.before).toBeGreaterThan(50);
        expect(seen.after).toBeGreaterThan(10);
      }, 60_000);
    }

    test("with sectors torn in the middle as well it is there, or damage is reported", () => {
      const seed = 4;
      const wanted = states(seed);
      let refused = 0;
      let count = 0;
      cut({ backend, seed, torn: true }, (left, returned) => {
        count++;
        if (left instanceof CliError) {
          expect(left.message).toContain("is damaged");
          refused++;
        } else {
          expect([wanted[returned], wanted[returned + 1]]).toContain(left);
        }
      });
      // A torn log is what a log is made for.
      expect(refused).toBeLessThan(count / 10);
    }, 60_000);

    // Which also shows that these tests see what is lost.
    test("with storage-sync no the last commits may be missing, but what is there is whole", () => {
      const seed = 5;
      const wanted = states(seed);
      let lost = 0;
      cut({ backend, seed, sync: false }, (left, returned) => {
        if (left instanceof CliError) throw left;
        const last = wanted.lastIndexOf(left, returned + 1);
        expect(last).toBeGreaterThanOrEqual(0);
        if (last < returned) lost++;
      });
      expect(lost).toBeGreaterThan(50);
    }, 60_000);
  });
