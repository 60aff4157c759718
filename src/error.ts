/**
 * The one error type for operating trouble: a missing interface, a bad option, a file that cannot be read.
 * It names the cause and place in `message`, and what to do about it in `hint`. Bad wire input is never an
 * error (it is counted and refused), and a broken invariant is an assertion, not a `CliError`. And what an error of somebody
 * else says.
 */
export const ExitCode = {
  ok: 0,
  failure: 1,
  usage: 2,
  /** sysexits.h EX_UNAVAILABLE: what is needed is not there, and nothing was done: the network interface, a server, a quorum. */
  unavailable: 69,
  /** sysexits.h EX_TEMPFAIL: what was asked for may have taken effect, or may still. */
  unknownOutcome: 75,
  /** sysexits.h EX_NOPERM. */
  noPermission: 77,
  /** sysexits.h EX_CONFIG. */
  config: 78,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  /** One line that tells the user what to do. */
  readonly hint: string | undefined;

  constructor(message: string, options: { exitCode?: ExitCode; hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? ExitCode.failure;
    this.hint = options.hint;
  }
}

/** The name that the system or a library gave to what went wrong (`ENOENT`, `SQLITE_FULL`), else "". */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** Whether the system refuses a file for want of permission. */
export function isDenied(error: unknown): boolean {
  return ["EACCES", "EPERM", "EROFS"].includes(codeOf(error));
}

/** Of trouble with a file; `otherwise`: where it is not that permission is wanting. */
export function exitCodeOf(error: unknown, otherwise: ExitCode = ExitCode.failure): ExitCode {
  return isDenied(error) ? ExitCode.noPermission : otherwise;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
