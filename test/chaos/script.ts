/**
 * How the scripts of this folder begin and end. One that is interrupted ends by way of `exit`, where what it has started is ended and
 * removed.
 */
import { constants } from "node:os";

/** Words on the command line that mean nothing. */
export class UsageError extends Error {}

/** Runs it; `main` returns the exit code. */
export async function runScript(main: () => Promise<number>): Promise<void> {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => process.exit(128 + constants.signals[name]));
  }
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 2;
  }
}
