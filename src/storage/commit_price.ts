/**
 * What a commit of one record takes where nobody else uses the storage: the part of an acceptor's answer that is its disk's
 * and its backend's. For benchmarks; the storage must be empty, and holds nothing of use afterwards.
 */
import { assert } from "../protocol/assert.ts";
import type { Ballot } from "../protocol/types.ts";
import type { Storage } from "./storage.ts";

const BALLOT = 65_536 as Ballot;
const LIFE = 2 ** 52 + 1;
/**
 * Before any that is measured: SQLite's write-ahead log has been through a round by then, and is written over from there on.
 * A commit that makes a file longer takes half as long again.
 */
const FIRST_COMMITS = 600;

/** Microseconds of each of so many commits, one record of `bytes` bytes in each. */
export function commitTimes(storage: Storage, commits: number, bytes: number): number[] {
  const ignore = (): void => undefined;
  const nobody = {
    promised: ignore,
    promisedAt: ignore,
    accepted: ignore,
    trimmed: ignore,
    standing: ignore,
  };
  const isKept = storage.replay(nobody);
  assert(!isKept, "the price of a commit is measured in a storage of its own");
  const value = new Uint8Array(bytes);
  const times: number[] = [];
  for (let iid = 1; iid <= FIRST_COMMITS + commits; iid++) {
    const began = performance.now();
    storage.accepted(iid, BALLOT, LIFE, 0, value, 0, bytes);
    storage.commit();
    if (iid > FIRST_COMMITS) times.push((performance.now() - began) * 1000);
  }
  return times;
}
