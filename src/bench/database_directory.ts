/**
 * Where databases are kept while they are measured.
 */
import { mkdirSync, mkdtempSync } from "node:fs";
import { join } from "node:path";
import { CliError, ExitCode, messageOf } from "../error.ts";

/** A new one, in the directory that was named, or else in `own`. */
export function databaseDirectory(storagePath: string | undefined, own: string): string {
  try {
    if (storagePath !== undefined) return mkdtempSync(join(storagePath, "kpaxos-bench-"));
    const path = join(own, "storage");
    mkdirSync(path);
    return path;
  } catch (cause) {
    throw new CliError(`no place for databases: ${messageOf(cause)}`, {
      exitCode: ExitCode.usage,
      hint: "name a directory that this user may write: --storage-path DIR",
      cause,
    });
  }
}
