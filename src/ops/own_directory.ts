/**
 * Directories that end with their process. Nothing stays of one that was killed: whoever makes the next one in the same place
 * removes it.
 */
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError, codeOf, exitCodeOf } from "../error.ts";
import { ifThere } from "./proc.ts";

/** A directory for a cluster that ends with this process; removes those of owners that were killed. */
export function makeOwnDirectory(): string {
  try {
    return makeOwnDirectoryIn(tmpdir());
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "") throw cause;
    throw new CliError(`cannot make a directory in ${tmpdir()}: ${code}`, {
      exitCode: exitCodeOf(cause),
      hint: "set TMPDIR to a directory that this user may write, with room for the cluster's files",
      cause,
    });
  }
}

/** The same in a place that was named; throws what the system says. */
export function makeOwnDirectoryIn(place: string): string {
  sweepDirectories(place);
  return mkdtempSync(join(place, `kpaxos-cluster-${pidNamespace()}-${process.pid}-`));
}

/** A pid says who lives only where it was given: another container may share this place. */
function pidNamespace(): string {
  return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
}

function sweepDirectories(place: string): void {
  const here = pidNamespace();
  for (const name of ifThere(() => readdirSync(place)) ?? []) {
    const [, namespace, pid] = /^kpaxos-cluster-(\d+)-(\d+)-/.exec(name) ?? [];
    const path = join(place, name);
    if (pid === undefined || namespace !== here || existsSync(`/proc/${pid}`)) continue;
    const status = statSync(path, { throwIfNoEntry: false });
    if (status?.uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
  }
}
