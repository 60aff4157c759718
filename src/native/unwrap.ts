/**
 * The one place where a negative errno of the C library becomes an error.
 */
import { constants } from "node:os";
import { CliError, ExitCode } from "../error.ts";

const names = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) if (!names.has(number)) names.set(number, name);

/** The number of an errno name, as `-Errno.EPERM` compares with a result. */
export const Errno = constants.errno;

/** `EPERM` for 1; the number itself when it has no name here. */
export function errnoName(number: number): string {
  return names.get(number) ?? `errno ${number}`;
}

/** Returns the result of a call unless it is a negative errno. `what` names what was tried: "open eth0". */
export function unwrap(result: number, what: string): number {
  if (result >= 0) return result;
  throw errnoError(-result, what);
}

export function errnoError(errno: number, what: string): CliError {
  const message = `${what}: ${errnoName(errno)}`;
  if (errno === Errno.EPERM || errno === Errno.EACCES) {
    return new CliError(message, {
      exitCode: ExitCode.noPermission,
      hint: `run as root, or once: setcap cap_net_raw+ep ${process.execPath}`,
    });
  }
  if (errno === Errno.ENODEV) return new CliError(message, { exitCode: ExitCode.unavailable });
  return new CliError(message);
}
