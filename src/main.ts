#!/usr/bin/env bun
/**
 * The entry point of every role and tool: argv in, exit code out. The only place that sets an exit code; holds no
 * logic, and imports nothing that a command may not need.
 */
import { rootCommand } from "./cli/root.ts";
import { dispatch, report } from "./cli/runner.ts";
import { ExitCode } from "./error.ts";

/** What was written goes out before the process ends: a pipe takes it as fast as its reader reads. */
function end(code: ExitCode): void {
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
}

// The reader of our output has gone (`| head`): nobody is left to tell, and nothing failed.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(ExitCode.ok);
  process.exit(report(error));
});
// A log whose reader has gone must not stop a role that works.
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") process.exit(ExitCode.failure);
});
process.on("uncaughtException", (error) => end(report(error)));

dispatch(rootCommand, process.argv.slice(2)).then(end, (error: unknown) => end(report(error)));
