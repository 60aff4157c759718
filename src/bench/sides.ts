/**
 * The two sides of a comparison: on each a file of `kpaxos bench --json`, or several, of a run each. A run that is given twice
 * would look like two that agree.
 */
import { existsSync } from "node:fs";
import { CliError, ExitCode } from "../error.ts";
import { type BenchResult, readResult } from "./result.ts";

interface Run {
  readonly path: string;
  readonly result: BenchResult;
}

/** Paths with commas between them; a file whose name has commas is that one. */
function runsOf(text: string): Run[] {
  const paths = existsSync(text) ? [text] : text.split(",");
  return paths.map((path) => ({ path, result: readResult(path) }));
}

export interface Sides {
  readonly before: readonly BenchResult[];
  readonly after: readonly BenchResult[];
}

export function readSides(beforeText: string, afterText: string): Sides {
  const [before, after] = [runsOf(beforeText), runsOf(afterText)];
  // One file beside itself is no mistake: nothing differs.
  if (before.length + after.length > 2) checkDistinct([...before, ...after]);
  return { before: before.map(({ result }) => result), after: after.map(({ result }) => result) };
}

function checkDistinct(runs: readonly Run[]): void {
  const seen = new Map<string, string>();
  for (const { path, result } of runs) {
    const other = seen.get(result.startedAt);
    if (other !== undefined)
      throw new CliError(`${other} and ${path} are one run, which began at ${result.startedAt}`, {
        exitCode: ExitCode.usage,
        hint: "give each run once",
      });
    seen.set(result.startedAt, path);
  }
}
