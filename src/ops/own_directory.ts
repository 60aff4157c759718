/**
 * Directories of clusters that end with their process, so that nothing stays of one that was killed.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory for a cluster that ends with this process; removes those of owners that were killed. */
export function makeOwnDirectory(): string {
  sweepDirectories();
  return mkdtempSync(join(tmpdir(), `kpaxos-cluster-${process.pid}-`));
}

function sweepDirectories(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = /^kpaxos-cluster-(\d+)-/.exec(name)?.[1];
    const path = join(tmpdir(), name);
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    const status = statSync(path, { throwIfNoEntry: false });
    if (status?.uid === process.getuid?.()) rmSync(path, { recursive: true, force: true });
  }
}
