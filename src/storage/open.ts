/**
 * The storage that a configuration asks for.
 */
import type { Settings } from "../config/config.ts";
import { openLog } from "./log_open.ts";
import { MemoryStorage } from "./memory.ts";
import { pathsOf } from "./sqlite_files.ts";
import type { Identity } from "./sqlite_format.ts";
import { openSqlite } from "./sqlite_open.ts";
import type { Storage } from "./storage.ts";

/** Where an acceptor's state is, for people. */
export function storageFile(settings: Readonly<Settings>, acceptor: number): string {
  const { database, log } = pathsOf(settings.storagePath, acceptor);
  return settings.storageBackend === "log" ? log : database;
}

export function openStorage(
  settings: Readonly<Settings>,
  identity: Identity,
  warn: (text: string) => void,
): Storage {
  if (settings.storageBackend === "memory") return new MemoryStorage();
  if (!settings.storageSync) {
    warn(
      "storage-sync no: after a power cut or a crash of the system this acceptor may have forgotten its last promises, and two values may be chosen",
    );
  }
  const options = {
    directory: settings.storagePath,
    identity,
    sync: settings.storageSync,
    trash: settings.acceptorTrashFiles,
    warn,
  };
  if (settings.storageBackend === "sqlite") return openSqlite(options);
  const { acceptorWindowInstances: windowInstances, acceptorWindowBytes: windowBytes } = settings;
  return openLog({ ...options, windowInstances, windowBytes });
}
