#!/usr/bin/env bun
/**
 * The entry point of every role and tool: argv in, exit code out. The only place that sets an exit code; holds no
 * logic, and imports nothing that a command may not need.
 */
import { rootCommand } from "./cli/root.ts";
import { dispatch, report } from "./cli/runner.ts";
import { CliError, ExitCode } from "./error.ts";
import { endStreams, readerHasLeft, watchStreams } from "./streams.ts";

/** One turn after what was written has gone out, because the news of a failed write comes after it. */
function end(code: ExitCode): void {
  endStreams(() => setImmediate(() => process.exit(code)));
}

watchStreams(
  (error) => {
    // The reader of our output has gone (`| head`): nobody is left to tell, and nothing failed.
    if (error.code === "EPIPE") {
      if (readerHasLeft()) return;
      process.exit(ExitCode.ok);
    }
    process.exit(report(new CliError(`cannot write to standard output: ${error.message}`)));
  },
  (error) => {
    // A log whose reader has gone must not stop a role that works.
    if (error.code !== "EPIPE") process.exit(ExitCode.failure);
  },
);
process.on("uncaughtException", (error) => end(report(error)));
process.on("unhandledRejection", (reason) => end(report(reason)));

dispatch(rootCommand, process.argv.slice(2)).then(end, (error: unknown) => end(report(error)));
