/**
 * Where databases are kept while they are measured.
 */
import { CliError, ExitCode, exitCodeOf, messageOf } from "../error.ts";
import { makeOwnDirectoryIn } from "../ops/own_directory.ts";

/** A new one, in the directory that was named; removes there those of owners that were killed. */
export function databaseDirectory(storagePath: string): string {
  try {
    return makeOwnDirectoryIn(storagePath);
  } catch (cause) {
    throw new CliError(`no place for databases: ${messageOf(cause)}`, {
      exitCode: exitCodeOf(cause, ExitCode.usage),
      hint: "name a directory that this user may write: --storage-path DIR",
      cause,
    });
  }
}
