/**
 * The file of a delivery device before it has its name. Whoever makes one that has no lock any more is gone: the next
 * learner of that name removes what it left.
 *
 * Invariant: who goes on with a draft holds its lock, and nobody removes a draft of another without that lock.
 */
import { readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CliError, codeOf } from "../error.ts";
import { SharedMemory } from "../native/shared_memory.ts";
import { LEARNER_LOCK } from "./device_layout.ts";

const MAKE_TRIES = 8;
/** It went meanwhile; is another user's; is no file, or one that has no size yet. */
const NOT_OURS: readonly string[] = ["ENOENT", "EACCES", "EPERM", "ENXIO", "ELOOP", "EISDIR", "EBADMSG"];

export interface Draft {
  readonly path: string;
  readonly memory: SharedMemory;
  /** Random; it is in the file's name. */
  readonly instance: number;
}

/** A file of zeros for the device at `path`, with the learner's lock. */
export function makeDraft(path: string, bytes: number): Draft {
  for (let attempt = 0; attempt < MAKE_TRIES; attempt++) {
    const instance = crypto.getRandomValues(new Int32Array(1))[0]!;
    const draft = `${path}.${(instance >>> 0).toString(16)}.new`;
    const memory = SharedMemory.create(draft, bytes);
    // Before it had the lock it looked like one that was left behind.
    if (memory.lock(LEARNER_LOCK) && memory.isAt(draft)) return { path: draft, memory, instance };
    memory.close();
  }
  throw new CliError(`other processes keep removing what becomes ${path}`, {
    hint: "start each learner on this host only once",
  });
}

/** Removes drafts of the device at `path` whose makers were killed. */
export function removeOldDrafts(path: string): void {
  const directory = dirname(path);
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(`${basename(path)}.`) || !name.endsWith(".new")) continue;
    const draft = join(directory, name);
    let memory: SharedMemory;
    try {
      memory = SharedMemory.open(draft);
    } catch (error) {
      if (NOT_OURS.includes(codeOf(error))) continue;
      throw error;
    }
    if (memory.lock(LEARNER_LOCK)) rmSync(draft, { force: true });
    memory.close();
  }
}
