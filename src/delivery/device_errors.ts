/**
 * What can go wrong around a device's file, in words a user can act on.
 */
import { CliError, codeOf, ExitCode, isDenied } from "../error.ts";

/** The `CliError` for trouble at `path` while trying to `doing`; bugs pass through unchanged. */
export function deviceTrouble(error: unknown, path: string, doing: string): unknown {
  if (error instanceof CliError) return error;
  const code = codeOf(error);
  if (isDenied(error))
    return new CliError(`cannot ${doing}: no permission for ${path}`, {
      exitCode: ExitCode.noPermission,
      hint: "learner and application must run as the same user (or root); `device-directory` chooses another place",
      cause: error,
    });
  switch (code) {
    case "":
      return error;
    case "ENOSPC":
    case "ENOMEM":
      return new CliError(`cannot ${doing}: no memory left for ${path}`, {
        hint: "free space there (containers: --shm-size), or set `device-directory`",
        cause: error,
      });
    case "EBADMSG":
    case "ENXIO":
    case "ELOOP":
    case "EISDIR":
      return new CliError(`cannot ${doing}: ${path} is not a delivery device`, {
        hint: `remove it: rm ${path}`,
        cause: error,
      });
    default:
      return new CliError(`cannot ${doing} at ${path}: ${code}`, {
        hint: "`device-directory` in paxos.conf chooses another place",
        cause: error,
      });
  }
}
