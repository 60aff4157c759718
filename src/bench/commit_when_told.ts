/**
 * One of several processes that commit at once, as acceptors do: for each byte on standard input a record, all that there are in
 * one commit, and after it a line that says how many records are committed, and when. Ends with its input.
 */
import { readSync, writeSync } from "node:fs";
import { codeOf } from "../error.ts";
import { Committer, type DiskBackend, openEmptyStorage } from "./committer.ts";

const INPUT = 0;
const OUTPUT = 1;

export interface Told {
  readonly records: number;
  /** By `sharedClock`. */
  readonly atMs: number;
}

/** In milliseconds, the same in all processes as long as nobody sets the system's clock. */
export function sharedClock(): number {
  return performance.timeOrigin + performance.now();
}

export function readTold(line: string): Told {
  const [records, atMs] = line.split(" ").map(Number);
  return { records: records!, atMs: atMs! };
}

/** A line without records says that it is ready. */
export async function commitWhenTold(backend: DiskBackend, directory: string): Promise<void> {
  const storage = openEmptyStorage(backend, directory);
  try {
    const committer = new Committer(storage);
    await committer.warmUp();
    const input = new Uint8Array(4096);
    let records = 0;
    // Synchronous: the event loop would take a part of what is measured.
    const say = (): number => writeSync(OUTPUT, `${records} ${sharedClock()}\n`);
    say();
    for (let read = readSync(INPUT, input); read > 0; read = readSync(INPUT, input)) {
      committer.commit(read);
      records += read;
      say();
    }
  } catch (error) {
    // Nobody reads any more: nothing failed.
    if (codeOf(error) !== "EPIPE") throw error;
  } finally {
    storage.close();
  }
}
