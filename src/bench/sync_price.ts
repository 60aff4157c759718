/**
 * What a synced write takes on the disk where databases are kept: a commit of one record by one process, those of a quorum that
 * commits at once, and beside them a bare append.
 */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeOwnDirectory } from "../ops/own_directory.ts";
import { Committer, openEmptyStorage, RECORD_BYTES } from "./committer.ts";
import { databaseDirectory } from "./database_directory.ts";
import { type QuorumOptions, quorumCommitTimes } from "./quorum_commits.ts";
import { median } from "./statistics.ts";
import { timesUs } from "./stopping.ts";

/** In microseconds, each the median of all. */
export interface SyncPrice {
  /** One record in the backend, by one process, with nobody else on the disk. */
  readonly aloneUs: number;
  /** The same by as many processes at once as there are acceptors, until a majority is done. */
  readonly quorumUs: number;
  /** As many bytes written to the end of a file, which grows, and fdatasync: no backend is in it. */
  readonly appendUs: number;
}

export interface SyncPriceOptions extends QuorumOptions {
  /** A directory on the disk; undefined: where clusters are kept. */
  readonly storagePath: string | undefined;
}

export async function syncPrice(options: SyncPriceOptions): Promise<SyncPrice> {
  const own = makeOwnDirectory();
  const directories = [own];
  try {
    const directory = databaseDirectory(options.storagePath, own);
    directories.push(directory);
    return {
      aloneUs: median(await aloneTimes(join(directory, "alone"), options)),
      quorumUs: median(await quorumCommitTimes(directory, options)),
      appendUs: median(await appendTimes(join(directory, "append"), options)),
    };
  } finally {
    for (const one of directories) rmSync(one, { recursive: true, force: true });
  }
}

async function aloneTimes(
  directory: string,
  { backend, commits, stop }: SyncPriceOptions,
): Promise<number[]> {
  const storage = openEmptyStorage(backend, directory);
  try {
    const committer = new Committer(storage);
    return await timesUs(commits, () => committer.commit(1), stop);
  } finally {
    storage.close();
  }
}

async function appendTimes(path: string, { commits, stop }: SyncPriceOptions): Promise<number[]> {
  const file = openSync(path, "w");
  const bytes = new Uint8Array(RECORD_BYTES);
  const append = (): void => {
    writeSync(file, bytes);
    fdatasyncSync(file);
  };
  try {
    return await timesUs(commits, append, stop);
  } finally {
    closeSync(file);
  }
}
