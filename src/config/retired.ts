/**
 * Keys of libpaxos, of its present and its older versions, that mean nothing here: they are read, and somebody is told.
 */
import type { Place } from "./report.ts";
import { type Problem, parseBoolean, quote, readNumber } from "./values.ts";

interface RetiredKey {
  readonly kind: "boolean" | "size" | "text";
  readonly instead: string;
  /** It names where the acceptors' files are: that of `storage-path`, where nothing else does. */
  readonly isPlace?: boolean;
}

/** A line with one of them, whose value is well formed. */
export interface RetiredLine {
  readonly key: string;
  readonly text: string;
  readonly line: number;
  readonly place: Place;
  readonly valuePlace: Place;
}

const NO_LMDB = "there is no LMDB here";
const NO_BDB = "there is no Berkeley DB here";
const SYNCS = "storage-backend sqlite syncs unless storage-sync no";
const BOUND = "bound what an acceptor keeps with acceptor-window-bytes";
const NAME_PLACE = "name a directory for storage-backend sqlite with storage-path";

export const RETIRED_KEYS: Readonly<Record<string, RetiredKey>> = {
  "tcp-nodelay": {
    kind: "boolean",
    instead: "there is no TCP here; batching no trades throughput for the latency of single values",
  },
  "lmdb-sync": { kind: "boolean", instead: `${NO_LMDB}; ${SYNCS}` },
  "lmdb-env-path": { kind: "text", instead: `${NO_LMDB}; ${NAME_PLACE}`, isPlace: true },
  "lmdb-mapsize": { kind: "size", instead: `${NO_LMDB}; ${BOUND}` },
  "bdb-sync": { kind: "boolean", instead: `${NO_BDB}; ${SYNCS}` },
  "bdb-env-path": { kind: "text", instead: `${NO_BDB}; ${NAME_PLACE}`, isPlace: true },
  "bdb-db-filename": { kind: "text", instead: `${NO_BDB}; ${NAME_PLACE}` },
  "bdb-cachesize": { kind: "size", instead: `${NO_BDB}; ${BOUND}` },
  "bdb-trash-files": { kind: "boolean", instead: `${NO_BDB}; acceptor-trash-files does that` },
};

/** Values are checked as libpaxos would, so that a slip is not lost when the key matters again. */
export function retiredProblem(key: string, kind: RetiredKey["kind"], text: string): Problem | undefined {
  if (kind === "text") return undefined;
  if (kind === "size") {
    if (readNumber("size", text) !== undefined) return undefined;
    return { message: `bad value ${quote(text)} for ${key}`, hint: "it takes a size such as 10mb" };
  }
  const parsed = parseBoolean(key, text);
  return parsed.ok ? undefined : parsed.problem;
}
