/**
 * The file a process keeps its snapshot in, so that it survives a restart of everybody. Written beside the turns, to a draft
 * that takes the file's name once it is synced: a crash leaves the old one or the new one, whole. At start the file is
 * checked; one that is damaged or another's is refused, never overlooked.
 */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectoryDurably, syncDirectory } from "../durable.ts";
import { CliError, codeOf, ExitCode, exitCodeOf, messageOf } from "../error.ts";
import { SharedMemory } from "../native/shared_memory.ts";
import { decodeSnapshot, type Encoded, encodedOf, type Snapshot, type SnapshotRefusal } from "./snapshot.ts";

/** A turn of the event loop between pieces, so that a large snapshot holds up nothing. */
const WRITE_BYTES = 1 << 20;
const LOCK_BYTES = 8;

const WHY: Readonly<Record<SnapshotRefusal, string>> = {
  "no snapshot": "it is no snapshot of kpaxos",
  damaged: "its checksum is wrong",
  version: "another version of kpaxos wrote it",
  cluster: "it belongs to another cluster",
};

export interface Loaded {
  readonly snapshot: Snapshot;
  readonly encoded: Encoded;
}

/** Where a snapshot is kept. `written`: the instance whose snapshot is safe there. */
export interface SnapshotKeeper {
  readonly written: number;
  /** One at a time: false while the last one is still being written. */
  write(snapshot: Encoded): boolean;
}

/** What a process keeps its snapshot in over its restarts. */
export interface SnapshotPlace extends SnapshotKeeper {
  /** For people. */
  readonly path: string;
  /** What is there; undefined when nothing is. `kind`: what this process can take. */
  load(clusterId: number, kind: number): Loaded | undefined;
  refusal(why: string): CliError;
  /** Nobody else may keep his there until `release`, or this process's end; throws when somebody does. */
  claim?(): void;
  release?(): void;
}

/** Nothing is ever written to it, and it stays: who removes one may remove another's. */
function openLock(path: string): SharedMemory {
  try {
    return SharedMemory.create(path, LOCK_BYTES);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  // Whoever made it may have been killed before it had a size.
  const found = lstatSync(path);
  if (found.isFile() && found.size === 0) truncateSync(path, LOCK_BYTES);
  return SharedMemory.open(path);
}

export class SnapshotFile implements SnapshotPlace {
  readonly path: string;
  /** The instance whose snapshot is safe in the file. */
  written = 0;
  readonly #directory: string;
  readonly #onTrouble: (error: CliError) => void;
  #isWriting = false;
  /** It may be another one's now, also while the last write is under way: that ends without effect. */
  #isReleased = false;
  #lock: SharedMemory | undefined;

  /** `name`: of the process in its cluster, `learner-0`. `onTrouble`: the file could not be written. */
  constructor(directory: string, name: string, onTrouble: (error: CliError) => void) {
    this.#directory = directory;
    this.path = join(directory, `${name}.snapshot`);
    this.#onTrouble = onTrouble;
    try {
      makeDirectoryDurably(directory);
    } catch (error) {
      throw this.#trouble("make the directory of", error);
    }
    try {
      accessSync(directory, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw this.#trouble("write", error);
    }
  }

  /** What the file holds; undefined when there is none. `kind`: what this process can take. */
  load(clusterId: number, kind: number): Loaded | undefined {
    if (!existsSync(this.path)) return undefined;
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(this.path);
      // Whoever wrote it may have been killed before its name was safe.
      syncDirectory(this.#directory);
    } catch (error) {
      throw this.#trouble("read", error);
    }
    const snapshot = decodeSnapshot(bytes, clusterId);
    if (typeof snapshot === "string") throw this.refusal(WHY[snapshot]);
    if (snapshot.kind !== kind) throw this.refusal("it is of another application");
    this.written = snapshot.iid;
    return { snapshot, encoded: encodedOf(snapshot, bytes) };
  }

  claim(): void {
    this.#isReleased = false;
    const path = `${this.path}.lock`;
    let isTaken: boolean;
    try {
      this.#lock = openLock(path);
      isTaken = !this.#lock.lock(0);
    } catch (error) {
      this.release();
      throw this.#trouble("lock", error);
    }
    if (!isTaken) return;
    this.release();
    throw new CliError(`${this.path} is in use by another process, or by another one of this process`, {
      hint: "one id, one process: end the other one, or give this one another id, or another snapshot-path (else storage-path)",
    });
  }

  release(): void {
    this.#isReleased = true;
    this.#lock?.close();
    this.#lock = undefined;
  }

  refusal(why: string): CliError {
    return new CliError(`${this.path} cannot be used: ${why}`, {
      exitCode: ExitCode.config,
      hint: "move it away: this process then fetches a snapshot from another one, or reads the log; or correct snapshot-path",
    });
  }

  write(snapshot: Encoded): boolean {
    if (this.#isWriting) return false;
    this.#isWriting = true;
    this.#replace(snapshot.bytes).then(
      () => {
        this.#isWriting = false;
        if (!this.#isReleased) this.written = snapshot.iid;
      },
      (error: unknown) => {
        this.#isWriting = false;
        if (!this.#isReleased) this.#onTrouble(this.#trouble("write", error));
      },
    );
    return true;
  }

  async #replace(bytes: Uint8Array): Promise<void> {
    const draft = `${this.path}.new`;
    try {
      await this.#write(draft, bytes);
    } catch (error) {
      // What is left of it on a disk that is full would be in the way of acceptors there.
      if (!this.#isReleased) rmSync(draft, { force: true });
      throw error;
    }
  }

  async #write(draft: string, bytes: Uint8Array): Promise<void> {
    // Never into a file that is there: whoever had this place before may not have ended his last write.
    rmSync(draft, { force: true });
    const file = await open(draft, "wx", 0o644);
    try {
      for (let at = 0; at < bytes.length && !this.#isReleased; ) {
        const { bytesWritten } = await file.write(bytes, at, Math.min(WRITE_BYTES, bytes.length - at));
        at += bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    if (this.#isReleased) return;
    // At once, so that nobody else can have claimed it meanwhile.
    renameSync(draft, this.path);
    const directory = await open(this.#directory, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  #trouble(doing: string, error: unknown): CliError {
    const text = messageOf(error);
    return new CliError(`cannot ${doing} ${this.path}: ${text}`, {
      exitCode: exitCodeOf(error),
      hint: "snapshot-path (else storage-path) names a directory that this user may write, on a file system with room; snapshot-path memory keeps snapshots in memory",
      cause: error,
    });
  }
}
