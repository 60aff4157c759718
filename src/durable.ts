/**
 * Names in directories that are found again after a power cut.
 */
import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** Makes names that were made, moved or removed in a directory durable. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes a directory, and those above it that are missing. */
export function makeDirectoryDurably(directory: string, mode = 0o777): void {
  const path = resolve(directory);
  const first = mkdirSync(path, { recursive: true, mode });
  if (first === undefined) return;
  for (let at = path; at !== dirname(first); at = dirname(at)) syncDirectory(dirname(at));
}
