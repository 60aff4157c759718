/**
 * Names in directories that are found again after a power cut.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, realpathSync, statSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import { codeOf } from "./error.ts";

/** Makes names that were made, moved or removed in a directory durable. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes a directory, and those above it that are missing. Those that are there may have been made by a process that was killed before
 * it had synced their names: this is done anew, up to where the file system is mounted. Where a directory cannot be read, what was in
 * it before is left to whoever made it.
 */
export function makeDirectoryDurably(directory: string, mode = 0o777): void {
  const path = resolve(directory);
  const first = mkdirSync(path, { recursive: true, mode });
  let made = first === undefined ? 0 : depthOf(path) - depthOf(first) + 1;
  const real = realpathSync(path);
  for (let at = real; dirname(at) !== at; at = dirname(at), made--) {
    if (made <= 0 && statSync(at).dev !== statSync(dirname(at)).dev) return;
    try {
      syncDirectory(dirname(at));
    } catch (error) {
      if (made > 0 || codeOf(error) !== "EACCES") throw error;
    }
  }
}

function depthOf(path: string): number {
  return path.split(sep).length;
}
