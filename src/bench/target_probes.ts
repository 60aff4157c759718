/**
 * What the targets need besides loads: the price of a synced commit, of doing nothing, of starting, and of running for long.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Settings } from "../config/config.ts";
import { DEFAULT_SETTINGS } from "../config/schema.ts";
import { CliError } from "../error.ts";
import { choosePlace } from "../ops/cluster_place.ts";
import { selfCommand } from "../ops/lab_capability.ts";
import { lastFigures } from "../ops/lab_figures.ts";
import { how } from "../ops/lab_process.ts";
import { commitTimes } from "../storage/commit_price.ts";
import { openStorage } from "../storage/open.ts";
import { OwnBed } from "./bed.ts";
import { StartStage } from "./first_frame.ts";
import { usesBetween } from "./measure.ts";
import { secondHalf, watchResident } from "./residents.ts";
import { median } from "./statistics.ts";
import { sample } from "./usage.ts";

const WRITES = 200;
const WRITE_BYTES = 100;
const IDLE_SETTLE_MS = 1000;
const NAP_MS = 50;
const STARTS = 11;
const WATCH_MS = 200;
const WATCHES = 100;
const WINDOW = 100;

export interface ProbeOptions {
  readonly storagePath: string | undefined;
  readonly stop: AbortSignal;
}

/** Sleeps, and hears a stop soon. */
async function pause(ms: number, stop: AbortSignal): Promise<void> {
  const untilMs = performance.now() + ms;
  for (let left = ms; left > 0; left = untilMs - performance.now()) {
    await Bun.sleep(Math.min(left, NAP_MS));
    stop.throwIfAborted();
  }
}

/** In microseconds, each the median of many, where databases are kept. */
export interface SyncPrice {
  /** One record in the backend, by one process. */
  readonly commitUs: number;
  /** As many bytes written to the end of a file, which grows, and fdatasync: no backend is in it. */
  readonly appendUs: number;
}

export function syncPrice(backend: Settings["storageBackend"], path: string | undefined): SyncPrice {
  const directory = mkdtempSync(join(path ?? tmpdir(), "kpaxos-sync-"));
  try {
    return { commitUs: syncedCommit(backend, directory), appendUs: syncedAppend(join(directory, "append")) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function syncedCommit(backend: Settings["storageBackend"], storagePath: string): number {
  const settings = { ...DEFAULT_SETTINGS, storageBackend: backend, storagePath };
  const identity = { cluster: "kpaxos-bench", clusterId: 0, wire: "native", acceptors: 1, acceptor: 0 };
  const storage = openStorage(settings, identity, (text) => {
    throw new CliError(text);
  });
  try {
    return median(commitTimes(storage, WRITES, WRITE_BYTES));
  } finally {
    storage.close();
  }
}

function syncedAppend(path: string): number {
  const file = openSync(path, "w");
  const bytes = new Uint8Array(WRITE_BYTES);
  try {
    const times: number[] = [];
    for (let i = 0; i < WRITES; i++) {
      const began = performance.now();
      writeSync(file, bytes);
      fdatasyncSync(file);
      times.push((performance.now() - began) * 1000);
    }
    return median(times);
  } finally {
    closeSync(file);
  }
}

async function bedOf(options: ProbeOptions): Promise<OwnBed> {
  return await OwnBed.start({
    shape: { wire: "native", storage: "memory", layout: "roles", acceptors: 3, batching: false, groups: 1 },
    choice: choosePlace(undefined),
    settings: {},
    storagePath: options.storagePath,
    stop: options.stop,
  });
}

function wakeUpsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(text)?.[1] ?? 0);
}

/** Of the busiest role of a cluster that nobody uses. */
export async function idleUse(
  options: ProbeOptions,
  seconds: number,
): Promise<{ cores: number; wakeUps: number }> {
  const bed = await bedOf(options);
  try {
    await pause(IDLE_SETTLE_MS, options.stop);
    const { members } = bed;
    const [from, wokenFrom] = [sample(members, bed.link, false), members.map(({ pid }) => wakeUpsOf(pid))];
    await pause(seconds * 1000, options.stop);
    const [to, wokenTo] = [sample(members, bed.link, false), members.map(({ pid }) => wakeUpsOf(pid))];
    const watched = (to.atMs - from.atMs) / 1000;
    return {
      cores: Math.max(...usesBetween(members, from, to).map((one) => one.userCores + one.systemCores)),
      wakeUps: Math.max(...wokenTo.map((count, i) => (count - wokenFrom[i]!) / watched)),
    };
  } finally {
    await bed.close();
  }
}

/** Milliseconds from starting a proposer to its first frame, the median of some. */
export async function startUp(stop: AbortSignal): Promise<{ ms: number; isCompiled: boolean }> {
  const command = selfCommand();
  const stage = await StartStage.open("proposer");
  try {
    const times: number[] = [];
    while (times.length < STARTS) {
      stop.throwIfAborted();
      times.push((await stage.once(command)).wallMs);
    }
    return { ms: median(times), isCompiled: command.length === 1 };
  } finally {
    stage.close();
  }
}

export interface MemoryUse {
  readonly instances: number;
  /** Bytes of the largest process of the cluster. */
  readonly halfway: number;
  readonly end: number;
  readonly largest: string;
}

/** A value to an instance, until there are so many or the time is over. */
export async function memoryUse(
  options: ProbeOptions,
  instances: number,
  seconds: number,
): Promise<MemoryUse> {
  const bed = await bedOf(options);
  try {
    const words = [
      "--outstanding",
      `${WINDOW}`,
      "--values",
      `${instances}`,
      "--seconds",
      `${seconds}`,
      "--json",
    ];
    const client = bed.client(words);
    const { members } = bed;
    const all = await watchResident({
      pids: members.map(({ pid }) => pid),
      client,
      everyValues: instances / WATCHES,
      nap: () => pause(WATCH_MS, options.stop),
    });
    const ending = await client.exited;
    if (ending.exitCode !== 0) throw new CliError(`the client ended${how(ending)}:\n${client.tail()}`);
    const { values } = lastFigures(client.stdout);
    const [halfway, end] = secondHalf(all) ?? [];
    const most = Math.max(0, ...(end?.bytes ?? []));
    const largest = end?.bytes.indexOf(most) ?? -1;
    return {
      instances: values,
      halfway: halfway?.bytes[largest] ?? 0,
      end: most,
      largest: members[largest]?.name ?? "nobody",
    };
  } finally {
    await bed.close();
  }
}
