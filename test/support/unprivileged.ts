/**
 * Running kpaxos as a user who may do nothing: in the tests' own account when that is no root, else as nobody.
 */
import { chownSync } from "node:fs";
import { COMMAND } from "./cluster.ts";

const NOBODY = 65534;

const isRoot = process.getuid?.() === 0;

/** The command for `withCluster`. */
export function unprivileged(): { readonly command: readonly string[] } {
  if (!isRoot) return { command: COMMAND };
  const words = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--no-new-privs"];
  return { command: [...words, "--", ...COMMAND] };
}

/** Makes a directory that user's own. */
unprivileged.own = (directory: string): void => {
  if (isRoot) chownSync(directory, NOBODY, NOBODY);
};
