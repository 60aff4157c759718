/**
 * Where databases are kept while they are measured.
 */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { CliError, ExitCode, exitCodeOf, messageOf } from "../error.ts";

/** A new one, in the directory that was named. */
export function databaseDirectory(storagePath: string): string {
  try {
    return mkdtempSync(join(storagePath, "kpaxos-bench-"));
  } catch (cause) {
    throw new CliError(`no place for databases: ${messageOf(cause)}`, {
      exitCode: exitCodeOf(cause, ExitCode.usage),
      hint: "name a directory that this user may write: --storage-path DIR",
      cause,
    });
  }
}
