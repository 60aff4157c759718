/**
 * A program that we start: its type, and how it ends with us.
 */
import type { Subprocess } from "bun";

export type LabChild = Subprocess<
  "pipe" | "ignore",
  "pipe" | "ignore" | "inherit",
  "pipe" | "ignore" | "inherit"
>;

/** Should the parent have died before the kernel was told, nothing would ever end it: it looks itself. */
const IF_PARENT = ["sh", "-c", '[ "$PPID" = "$1" ] && shift && exec "$@"', "sh"];

/**
 * Wraps a command so that the kernel ends it when this process dies, even by SIGKILL; where `setpriv` is missing the
 * next laboratory's sweep does it.
 */
export function diesWithUs(argv: readonly string[]): string[] {
  if (Bun.which("setpriv") === null) return [...argv];
  return ["setpriv", "--pdeathsig", "KILL", "--", ...IF_PARENT, `${process.pid}`, ...argv];
}
