/**
 * The setting `cpu`: on which processors the turns of a process run.
 */
import { readFileSync } from "node:fs";
import { CliError, ExitCode } from "../error.ts";
import { pinThread } from "../native/cpus.ts";

/** No machine has more; a longer range is a slip. */
const MAX_CPUS = 1024;

/** The numbers of a list like `0,2-3`; undefined when it is none. */
export function parseCpus(text: string): readonly number[] | undefined {
  const cpus = new Set<number>();
  for (const part of text.split(",")) {
    const [, from, to] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
    if (from === undefined) return undefined;
    const [first, last] = [Number(from), Number(to ?? from)];
    if (last < first || last >= MAX_CPUS) return undefined;
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus];
}

/** "" leaves the process where the system puts it. */
export function runOnCpus(text: string): void {
  if (text === "") return;
  const cpus = parseCpus(text);
  if (cpus !== undefined && pinThread(cpus)) return;
  const allowed = allowedCpus(readFileSync("/proc/self/status", "utf8")) ?? "what nproc counts";
  throw new CliError(`cpu ${text}: this process cannot run there`, {
    exitCode: ExitCode.config,
    hint: `it may use ${allowed}; leave cpu out to run on any of them`,
  });
}

/** The list in a file `status` of proc(5). */
export function allowedCpus(status: string): string | undefined {
  return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];
}
