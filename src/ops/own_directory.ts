/**
 * Directories of clusters that end with their process, so that nothing stays of one that was killed.
 */
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError, codeOf, exitCodeOf } from "../error.ts";

/** A directory for a cluster that ends with this process; removes those of owners that were killed. */
export function makeOwnDirectory(): string {
  try {
    sweepDirectories();
    return mkdtempSync(join(tmpdir(), `kpaxos-cluster-${pidNamespace()}-${process.pid}-`));
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

/** A pid says who lives only where it was given: another container may share this /tmp. */
function pidNamespace(): string {
  return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
}

function sweepDirectories(): void {
  const here = pidNamespace();
  for (const name of readdirSync(tmpdir())) {
    const [, namespace, pid] = /^kpaxos-cluster-(\d+)-(\d+)-/.exec(name) ?? [];
    const path = join(tmpdir(), name);
    if (pid === undefined || namespace !== here || existsSync(`/proc/${pid}`)) continue;
    const status = statSync(path, { throwIfNoEntry: false });
    if (status?.uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
  }
}
