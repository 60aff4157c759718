#!/usr/bin/env bun
/**
 * The entry point of every role and tool: argv in, exit code out. The only place that sets an exit code; holds no
 * logic, and imports nothing that a command may not need.
 */
import { rootCommand } from "./cli/root.ts";
import { dispatch, report } from "./cli/runner.ts";
import { CliError, ExitCode } from "./error.ts";

/**
 * What was written goes out before the process ends: a pipe takes it as fast as its reader reads, and only `end` waits
 * for that (the callback of a `write` does not). One turn later, because the news of a failed write comes after it.
 */
function end(code: ExitCode): void {
  process.stdout.end(() => process.stderr.end(() => setImmediate(() => process.exit(code))));
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader of our output has gone (`| head`): nobody is left to tell, and nothing failed.
  if (error.code === "EPIPE") process.exit(ExitCode.ok);
  process.exit(report(new CliError(`cannot write to standard output: ${error.message}`)));
});
// A log whose reader has gone must not stop a role that works.
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") process.exit(ExitCode.failure);
});
process.on("uncaughtException", (error) => end(report(error)));
process.on("unhandledRejection", (reason) => end(report(reason)));

dispatch(rootCommand, process.argv.slice(2)).then(end, (error: unknown) => end(report(error)));
