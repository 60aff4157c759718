/**
 * What a durable record costs: commits of 1, 64 and 256 records in either backend, each against a plain append of the same
 * bytes with one fdatasync, in the same run and on the same disk. The ratio says something on any machine, the microseconds
 * do not. What several processes take that commit at once: `kpaxos bench commit`.
 *
 *     bun bench/storage.ts [--json] [--quick] [--storage-path DIR] [--backends sqlite,log]
 */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DISK_BACKENDS, type DiskBackend, NOBODY, openEmptyStorage } from "../src/bench/committer.ts";
import { databaseDirectory } from "../src/bench/database_directory.ts";
import { hear } from "../src/bench/stopping.ts";
import { stoppable } from "../src/cli/stoppable.ts";
import type { Ballot } from "../src/protocol/types.ts";
import type { Storage } from "../src/storage/storage.ts";
import { flags, script, usageError, write } from "./support/script.ts";

const GROUPS = [1, 64, 256];
const SIZES = [64, 1400];
/** Of a record beside its value: instance, ballot, life, flags, checksum. */
const RECORD_BYTES = 32;
/** Instances before what was written is trimmed. */
const TRIM_EVERY = 20_000;

interface Row {
  readonly backend: string;
  readonly valueBytes: number;
  readonly records: number;
  readonly commitP50Us: number;
  readonly commitP99Us: number;
  readonly commitMaxUs: number;
  readonly recordUs: number;
  /** Of the time until the commit: what the loop does beside the disk. */
  readonly recordCpuUs: number;
  readonly appendP50Us: number;
  /** Mean time of a commit over that of a plain append and fdatasync. */
  readonly ratio: number;
}

class Writer {
  readonly #storage: Storage;
  readonly #value: Uint8Array;
  #iid = 0;
  #trimIid = 0;

  constructor(storage: Storage, value: Uint8Array) {
    this.#storage = storage;
    this.#value = value;
  }

  journal(records: number): void {
    const value = this.#value;
    for (let i = 0; i < records; i++) {
      this.#storage.accepted(++this.#iid, 65536 as Ballot, 2 ** 52 + 1, 0, value, 0, value.length);
    }
    if (this.#iid - this.#trimIid < 2 * TRIM_EVERY) return;
    this.#trimIid = this.#iid - TRIM_EVERY;
    this.#storage.trimmed(this.#trimIid);
  }
}

function timed(times: Float64Array, at: number, work: () => void): void {
  const began = performance.now();
  work();
  times[at] = (performance.now() - began) * 1000;
}

/** Commits and appends take turns, so that a busy moment of the disk meets both. */
async function measure(
  backend: DiskBackend,
  directory: string,
  valueBytes: number,
  records: number,
  { commits, stop }: { readonly commits: number; readonly stop: AbortSignal },
): Promise<Row> {
  const storage = openEmptyStorage(backend, join(directory, `${backend}-${valueBytes}-${records}`));
  storage.replay(NOBODY);
  const value = crypto.getRandomValues(new Uint8Array(valueBytes));
  const writer = new Writer(storage, value);
  const plain = Buffer.alloc(records * (valueBytes + RECORD_BYTES), 1);
  const fd = openSync(join(directory, "plain"), "w");
  const journalUs = new Float64Array(commits);
  const commitUs = new Float64Array(commits);
  const appendUs = new Float64Array(commits);
  for (let i = 0; i < commits; i++) {
    await hear(stop);
    timed(journalUs, i, () => writer.journal(records));
    timed(commitUs, i, () => storage.commit());
    timed(appendUs, i, () => {
      writeSync(fd, plain);
      fdatasyncSync(fd);
    });
  }
  closeSync(fd);
  storage.close();
  const totalUs = commitUs.map((us, i) => us + journalUs[i]!);
  const mean = (list: Float64Array): number => list.reduce((sum, us) => sum + us, 0) / list.length;
  const sorted = totalUs.toSorted();
  return {
    backend,
    valueBytes,
    records,
    commitP50Us: sorted[commits >> 1]!,
    commitP99Us: sorted[Math.floor(commits * 0.99)]!,
    commitMaxUs: sorted[commits - 1]!,
    recordUs: mean(totalUs) / records,
    recordCpuUs: mean(journalUs) / records,
    appendP50Us: appendUs.toSorted()[commits >> 1]!,
    ratio: mean(totalUs) / mean(appendUs),
  };
}

function table(rows: readonly Row[]): string {
  const heads = [
    "backend",
    "value",
    "records",
    "µs/record",
    "of it JS",
    "p50",
    "p99",
    "max",
    "append",
    "ratio",
  ];
  const body = rows.map((row) => [
    row.backend,
    `${row.valueBytes} B`,
    `${row.records}`,
    row.recordUs.toFixed(2),
    row.recordCpuUs.toFixed(2),
    row.commitP50Us.toFixed(0),
    row.commitP99Us.toFixed(0),
    row.commitMaxUs.toFixed(0),
    row.appendP50Us.toFixed(0),
    row.ratio.toFixed(2),
  ]);
  return [heads, ...body].map((cells) => cells.map((cell) => cell.padStart(10)).join("")).join("\n");
}

async function main(): Promise<void> {
  const chosen = flags({
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    "storage-path": { type: "string", default: "/var/tmp" },
    backends: { type: "string", default: DISK_BACKENDS.join(",") },
  });
  const backends = chosen.backends.split(",").map((name) => {
    const backend = DISK_BACKENDS.find((known) => known === name);
    if (backend !== undefined) return backend;
    throw usageError(`--backends: there is no ${name}`, `there are ${DISK_BACKENDS.join(", ")}`);
  });
  const commits = chosen.quick ? 3 : 1500;
  const rows = await stoppable(async (stop) => {
    const directory = databaseDirectory(chosen["storage-path"]);
    try {
      const done: Row[] = [];
      for (const size of SIZES)
        for (const records of GROUPS)
          for (const backend of backends)
            done.push(await measure(backend, directory, size, records, { commits, stop }));
      return done;
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
  write(`${chosen.json ? JSON.stringify(rows) : table(rows)}\n`);
}

await script(main);
