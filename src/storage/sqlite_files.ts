/**
 * The files of one acceptor's database: its name, the lock that keeps a second process out (the kernel drops it with the
 * process, also after SIGKILL), what SQLite's errors mean to a user, and making files so that they survive a power cut.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { accessSync, constants, existsSync, lstatSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { makeDirectoryDurably } from "../durable.ts";
import { CliError, codeOf, ExitCode, isDenied, messageOf } from "../error.ts";

const PROC_LOCKS = "/proc/locks";

export interface StoragePaths {
  readonly directory: string;
  readonly database: string;
  readonly wal: string;
  readonly lock: string;
  /** A database on its way in, and on its way out. */
  readonly draft: string;
  readonly trashed: string;
  /** Where the other backend keeps what an acceptor promises. */
  readonly log: string;
}

export function pathsOf(directory: string, acceptor: number): StoragePaths {
  const database = join(directory, `acceptor-${acceptor}.db`);
  return {
    directory,
    database,
    wal: `${database}-wal`,
    lock: join(directory, `acceptor-${acceptor}.lock`),
    draft: `${database}.new`,
    trashed: `${database}.trashed`,
    // Not .log: that is what people call the output of a process.
    log: join(directory, `acceptor-${acceptor}.kplog`),
  };
}

/** What a file lacks to be this acceptor's: it is damaged, or somebody else's. */
export class StorageRefusal extends CliError {
  readonly isDamaged: boolean;

  constructor(message: string, options: { isDamaged: boolean; hint: string; cause?: unknown }) {
    const { isDamaged, hint, cause } = options;
    super(message, { hint, cause, exitCode: isDamaged ? ExitCode.failure : ExitCode.config });
    this.isDamaged = isDamaged;
  }
}

export function damaged(path: string, what: string, cause?: unknown): StorageRefusal {
  return new StorageRefusal(`${path} is damaged: ${what}`, {
    isDamaged: true,
    hint:
      "restore a copy that is not older than the acceptor's last answer, or start empty with acceptor-trash-files yes: " +
      "the acceptor then recovers from the others",
    cause,
  });
}

export function foreign(path: string, what: string): StorageRefusal {
  return new StorageRefusal(`${path} is not this acceptor's: ${what}`, {
    isDamaged: false,
    hint: "correct storage-path, or the lines of paxos.conf that differ; nothing in the file was changed",
  });
}

/** What an acceptor promised must not be forgotten because it is kept in another form. */
export function checkOtherBackend(path: string, backend: string, other: string): void {
  if (!existsSync(path)) return;
  throw new StorageRefusal(
    `${path} holds what this acceptor has promised, and storage-backend is ${backend}`,
    {
      isDamaged: false,
      hint:
        `storage-backend ${other} goes on with it; or move it away, and the acceptor starts empty ` +
        "and recovers from the others",
    },
  );
}

/** An error of a system call or of SQLite on the way to a database as the user should read it; others as they are. */
export function troubleWith(path: string, doing: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === "") return error;
  if (code === "SQLITE_NOTADB")
    return damaged(path, "it is no SQLite database, or its header is destroyed", error);
  if (code.startsWith("SQLITE_CORRUPT")) return damaged(path, `SQLite says "${textOf(error)}"`, error);
  if (isDenied(error) || ["SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"].includes(code)) {
    return new CliError(`cannot ${doing} ${path}: ${textOf(error)}`, {
      exitCode: ExitCode.noPermission,
      hint: "name a directory that this user may write as storage-path",
      cause: error,
    });
  }
  return new CliError(`cannot ${doing} ${path}: ${textOf(error)}`, {
    hint:
      HINTS[code.split("_").slice(0, 2).join("_")] ??
      "see what the system says of this file and its disk (dmesg)",
    cause: error,
  });
}

const HINTS: Readonly<Record<string, string>> = {
  SQLITE_FULL:
    "free space on its file system and start this acceptor again: everything it has promised so far is in the file",
  SQLITE_IOERR:
    "look for disk errors (dmesg) before you start this acceptor again; what it has promised so far was written before",
  ENOSPC: "free space on its file system and start this acceptor again; what it has promised so far is kept",
  EDQUOT: "free space on its file system and start this acceptor again; what it has promised so far is kept",
  EIO: "look for disk errors (dmesg) before you start this acceptor again; what it has promised so far was written before",
  SQLITE_CANTOPEN: "storage-path takes a directory on a local file system that this user may write",
  ENOENT: "storage-path takes a directory on a local file system that this user may write",
  ENOTDIR: "something on this path is a file: storage-path takes a directory",
};

function textOf(error: unknown): string {
  const text = messageOf(error);
  return error instanceof SQLiteError && error.code !== undefined ? `${text} (${error.code})` : text;
}

/** Makes the directory, so that it is there after a power cut too. */
export function makeDirectory(directory: string): void {
  try {
    if (existsSync(directory) && !statSync(directory).isDirectory()) {
      throw new CliError(`storage-path ${directory} is no directory`, {
        exitCode: ExitCode.config,
        hint: "name the directory: each acceptor has a file acceptor-ID.db in it",
      });
    }
    makeDirectoryDurably(directory, 0o755);
  } catch (error) {
    throw troubleWith(directory, "make the directory", error);
  }
}

/**
 * Every file that is there must be one that this process may write, and no symbolic link: SQLite puts the log beside what a
 * link leads to, and where that is not mounted the acceptor would start empty.
 */
export function checkFiles(directory: string, files: readonly string[]): void {
  for (const path of [directory, ...files]) {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (path !== directory && found?.isFile() === false) {
      throw new CliError(`${path} is ${found.isSymbolicLink() ? "a symbolic link" : "no file"}`, {
        exitCode: ExitCode.config,
        hint: "let storage-path lead to the directory in which the file is, itself",
      });
    }
    try {
      if (found !== undefined) accessSync(path, constants.W_OK);
    } catch (error) {
      throw troubleWith(path, "write", error);
    }
  }
}

/** Held until it is closed, or the process ends in whatever way. */
export class StorageLock {
  readonly #database: Database;

  /** `path`: what the lock is for. */
  constructor(lock: string, path: string) {
    // SQLite locks a file without a line of C here; nothing is ever written to this one.
    const database = openDatabase(lock);
    try {
      database.run("PRAGMA journal_mode = MEMORY");
      database.run("PRAGMA locking_mode = EXCLUSIVE");
      database.run("BEGIN EXCLUSIVE");
    } catch (error) {
      database.close(true);
      throw isBusy(error) ? inUse(lock, path) : troubleWith(lock, "lock", error);
    }
    this.#database = database;
  }

  close(): void {
    this.#database.close(true);
  }
}

export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(codeOf(error));
}

export function inUse(lock: string, path: string): CliError {
  const pid = holderOf(lock) ?? holderOf(path);
  const who = pid === undefined ? "another process" : `process ${pid}`;
  return new CliError(`${path} is in use by ${who}`, {
    hint: "one acceptor, one process: end the other one, or give this one another storage-path",
  });
}

/** Who locks a file, as far as this host's kernel tells. */
function holderOf(path: string): number | undefined {
  if (!existsSync(PROC_LOCKS) || !existsSync(path)) return undefined;
  const locks = readFileSync(PROC_LOCKS, "utf8");
  const inode = statSync(path).ino;
  const pid = Number(new RegExp(`WRITE (\\d+) [\\da-f]+:[\\da-f]+:${inode} `).exec(locks)?.[1] ?? 0);
  // 0 stands for a process that this one cannot see; the lock may be its own, when somebody removed the other's.
  return pid === 0 || pid === process.pid ? undefined : pid;
}

export function openDatabase(path: string): Database {
  try {
    return new Database(path, { create: true, readwrite: true, strict: true });
  } catch (error) {
    throw troubleWith(path, "open", error);
  }
}
