/**
 * Opens an acceptor's log, or makes it, or refuses: whatever is not exactly what this acceptor left is an error that names
 * the file, what is wrong with it, and what to do.
 */
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { syncDirectory } from "../durable.ts";
import { LogStorage } from "./log.ts";
import { LogFile, writeAll, writeZeros } from "./log_file.ts";
import {
  BLOCK_BYTES,
  ChunkFlag,
  HEADER_BYTES,
  ownerOf,
  RECORD_BYTES,
  readFirstBlock,
  sealChunk,
  writeFirstBlock,
} from "./log_format.ts";
import { LogRecovery } from "./log_recovery.ts";
import {
  checkFiles,
  checkOtherBackend,
  damaged,
  foreign,
  makeDirectory,
  pathsOf,
  StorageLock,
  StorageRefusal,
  troubleWith,
} from "./sqlite_files.ts";
import type { Identity } from "./sqlite_format.ts";

const REGION_BYTES = 1_048_576;
/** Of a new log. */
const FIRST_REGIONS = 2;
/** Beyond twice what a full window needs. */
const SPARE_REGIONS = 8;

export interface LogOptions {
  readonly directory: string;
  readonly identity: Identity;
  /** Sync each commit; without it a power cut may take the last ones. */
  readonly sync: boolean;
  /** Remove what was kept and start empty. */
  readonly trash: boolean;
  readonly warn: (text: string) => void;
  /** The acceptor's window. */
  readonly windowInstances: number;
  readonly windowBytes: number;
  /** Of a new log, instead of the usual number: tests see regions come and go sooner. */
  readonly regionBytes?: number;
  /** Instead of what the window comes to: the log is copied sooner. */
  readonly mostRegions?: number;
}

export function openLog(options: LogOptions): LogStorage {
  const { identity, sync, warn } = options;
  const { directory, lock: lockPath, log: path, database } = pathsOf(options.directory, identity.acceptor);
  makeDirectory(directory);
  checkFiles(directory, [lockPath, path]);
  checkOtherBackend(database, "log", "sqlite");
  const lock = new StorageLock(lockPath, path);
  let file: LogFile | undefined;
  try {
    if (options.trash) trash(path, directory, options);
    if (!existsSync(path)) create(path, options);
    // Whoever made it may have been killed before its name was safe.
    syncDirectory(directory);
    const { owner, regionBytes } = check(path, identity);
    file = new LogFile(path, regionBytes);
    const recovery = new LogRecovery(file, owner);
    const end = recovery.find();
    file.complete();
    let instances = 1;
    while (instances < options.windowInstances) instances *= 2;
    const most = options.windowBytes + 2 * instances * RECORD_BYTES;
    const mostRegions = options.mostRegions ?? 2 * Math.ceil(most / regionBytes) + SPARE_REGIONS;
    const { acceptors } = identity;
    const parts = { lock, file, recovery, end, owner, acceptors, sync, instances, mostRegions, warn };
    return new LogStorage(parts);
  } catch (error) {
    file?.close();
    lock.close();
    throw troubleWith(path, "open", error);
  }
}

/** Written aside and moved to its place: under its own name it is never half of one. */
function create(path: string, { identity, regionBytes = REGION_BYTES }: LogOptions): void {
  const draft = `${path}.new`;
  const salt = randomBytes(16).toString("hex");
  const block = writeFirstBlock({ identity, regionBytes, salt });
  const memory = new ArrayBuffer(BLOCK_BYTES);
  const chunk = new Uint8Array(memory);
  const header = { region: 1, number: 1, synced: 0, oldest: 1, run: 0, flags: ChunkFlag.end };
  sealChunk(chunk, new Uint32Array(memory), 0, HEADER_BYTES, ownerOf(block), header);
  rmSync(draft, { force: true });
  const fd = openSync(draft, "w", 0o644);
  try {
    writeAll(fd, block, BLOCK_BYTES, 0);
    writeAll(fd, chunk, BLOCK_BYTES, BLOCK_BYTES);
    writeZeros(fd, 2 * BLOCK_BYTES, FIRST_REGIONS * regionBytes - BLOCK_BYTES);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, path);
}

function check(path: string, identity: Identity): { readonly owner: number; readonly regionBytes: number } {
  const { size } = statSync(path);
  if (size < 2 * BLOCK_BYTES) throw damaged(path, `it has ${size} bytes, not even two blocks`);
  const block = new Uint8Array(BLOCK_BYTES);
  const file = new LogFile(path, BLOCK_BYTES);
  try {
    file.read(block, 0);
  } finally {
    file.close();
  }
  const { damage, other, regionBytes } = readFirstBlock(block, identity);
  if (damage !== undefined) throw damaged(path, damage);
  if (other !== undefined) throw foreign(path, other);
  return { owner: ownerOf(block), regionBytes };
}

/** `acceptor-trash-files yes`: damaged or this acceptor's own, it goes; another's stays. */
function trash(path: string, directory: string, options: LogOptions): void {
  if (!existsSync(path)) return;
  try {
    check(path, options.identity);
  } catch (error) {
    if (!(error instanceof StorageRefusal) || !error.isDamaged) throw error;
  }
  rmSync(path);
  syncDirectory(directory);
  options.warn(`acceptor-trash-files yes: removed ${path}; this acceptor starts empty`);
}
