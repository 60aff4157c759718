/**
 * Commits of small records in a storage of their own: the part of an acceptor's answer that is its disk's and its backend's.
 * What is stored is of no use afterwards.
 */
import { DEFAULT_SETTINGS } from "../config/schema.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Ballot } from "../protocol/types.ts";
import { openStorage } from "../storage/open.ts";
import type { Storage } from "../storage/storage.ts";
import { hear } from "./stopping.ts";

/** Those that sync. */
export const DISK_BACKENDS = ["sqlite", "log"] as const;
export type DiskBackend = (typeof DISK_BACKENDS)[number];

/** Of a record. */
export const RECORD_BYTES = 100;

const BALLOT = 65_536 as Ballot;
const LIFE = 2 ** 52 + 1;
/**
 * Before any that is measured: SQLite's write-ahead log has been through a round by then, and is written over from there on.
 * A commit that makes a file longer takes half as long again.
 */
const FIRST_COMMITS = 600;

const ignore = (): void => undefined;
/** Of an empty storage nothing is told. */
export const NOBODY = {
  promised: ignore,
  promisedAt: ignore,
  accepted: ignore,
  trimmed: ignore,
  standing: ignore,
};

/** In a directory of its own. */
export function openEmptyStorage(backend: DiskBackend, storagePath: string): Storage {
  const settings = { ...DEFAULT_SETTINGS, storageBackend: backend, storagePath };
  const identity = { cluster: "kpaxos-bench", clusterId: 0, wire: "native", acceptors: 1, acceptor: 0 };
  return openStorage(settings, identity, (text) => {
    throw new CliError(text);
  });
}

export class Committer {
  readonly #storage: Storage;
  readonly #value = new Uint8Array(RECORD_BYTES);
  #iid = 0;

  constructor(storage: Storage) {
    if (storage.replay(NOBODY))
      throw new CliError("commits are measured in a storage of its own, and this one has been used", {
        exitCode: ExitCode.usage,
        hint: "name another directory: --storage-path DIR",
      });
    this.#storage = storage;
  }

  /** From then on commits have been through all that happens only at first. `stop` is heard between them. */
  async warmUp(stop?: AbortSignal): Promise<void> {
    for (let i = 0; i < FIRST_COMMITS; i++) {
      if (stop !== undefined) await hear(stop);
      this.commit(1);
    }
  }

  commit(records: number): void {
    const value = this.#value;
    for (let i = 0; i < records; i++)
      this.#storage.accepted(++this.#iid, BALLOT, LIFE, 0, value, 0, value.length);
    this.#storage.commit();
  }
}
