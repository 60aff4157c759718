/**
 * What a synced write takes on the disk where databases are kept: a commit of one record by one process, those of a quorum that
 * commits at once, and beside them a bare append.
 */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CliError, messageOf } from "../error.ts";
import { makeOwnDirectory } from "../ops/own_directory.ts";
import { Committer, type DiskBackend, openEmptyStorage, RECORD_BYTES } from "./committer.ts";
import { databaseDirectory } from "./database_directory.ts";
import { CommittingQuorum } from "./quorum_commits.ts";
import { median } from "./statistics.ts";
import { orStopped } from "./stopping.ts";

const BYTES = new Uint8Array(RECORD_BYTES);

/** In microseconds, each the median of all. */
export interface SyncPrice {
  /** One record in the backend, by one process, with nobody else on the disk. */
  readonly aloneUs: number;
  /** The same by as many processes at once as there are acceptors, until a majority is done. */
  readonly quorumUs: number;
  /** As many bytes written to the end of a file, which grows, and fdatasync: no backend is in it. */
  readonly appendUs: number;
}

export interface SyncPriceOptions {
  readonly backend: DiskBackend;
  /** A directory on the disk; undefined: where clusters are kept. */
  readonly storagePath: string | undefined;
  readonly acceptors: number;
  /** Of each. */
  readonly commits: number;
  readonly stop: AbortSignal;
}

/** They take turns, so that a busy moment of the disk meets all of them. */
const TURN = 50;

export async function syncPrice(options: SyncPriceOptions): Promise<SyncPrice> {
  const own = makeOwnDirectory();
  const directories = [own];
  try {
    const directory = databaseDirectory(options.storagePath ?? own);
    directories.push(directory);
    return await priceIn(directory, options);
  } finally {
    for (const one of directories) rmSync(one, { recursive: true, force: true });
  }
}

async function priceIn(
  directory: string,
  { backend, acceptors, commits, stop }: SyncPriceOptions,
): Promise<SyncPrice> {
  const quorum = new CommittingQuorum(acceptors);
  const storage = openEmptyStorage(backend, join(directory, "alone"));
  const path = join(directory, "append");
  const file = openSync(path, "w");
  try {
    const committer = new Committer(storage);
    await committer.warmUp(stop);
    await orStopped(quorum.start(backend, directory), stop);
    const [alone, append]: [number[], number[]] = [[], []];
    for (let left = commits; left > 0; left -= TURN) {
      const turn = Math.min(TURN, left);
      alone.push(...timesUs(turn, () => committer.commit(1)));
      await orStopped(quorum.commit(turn), stop);
      append.push(...timesUs(turn, () => appendSynced(file, path)));
    }
    const together = await orStopped(quorum.end(), stop);
    return { aloneUs: median(alone), quorumUs: median(together), appendUs: median(append) };
  } finally {
    await quorum.close();
    closeSync(file);
    storage.close();
  }
}

function appendSynced(file: number, path: string): void {
  try {
    writeSync(file, BYTES);
    fdatasyncSync(file);
  } catch (cause) {
    throw new CliError(`cannot append to ${path}: ${messageOf(cause)}`, {
      hint: "name a directory on a disk that has room: --storage-path DIR",
      cause,
    });
  }
}

function timesUs(calls: number, call: () => void): number[] {
  return Array.from({ length: calls }, () => {
    const began = performance.now();
    call();
    return (performance.now() - began) * 1000;
  });
}
