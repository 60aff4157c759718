/**
 * What a running cluster says of itself on the wire: `kpaxos status`, run on its host for clients, where the network is.
 */
import { CliError, codeOf, messageOf } from "../error.ts";
import type { GroupStatus } from "../node/group_status.ts";
import { commandOn } from "./cluster_place.ts";
import { configPath, roleEnvironment } from "./cluster_roles.ts";
import { aliveSeats, type ClusterState } from "./cluster_state.ts";

/** It ends by itself, unless this machine is very slow. */
const PATIENCE_MS = 10_000;

export interface ClusterFacts {
  /** Values can be chosen in every group; null: not known. */
  readonly ok: boolean | null;
  readonly groups: readonly GroupStatus[];
  /** Why it could not be asked; null: it was. */
  readonly trouble: string | null;
}

function unknown(trouble: string, ok: false | null = null): ClusterFacts {
  return { ok, groups: [], trouble };
}

/** Never fails: a cluster that is dead is not asked, and of one that cannot be asked it is said why. */
export async function askCluster(state: ClusterState): Promise<ClusterFacts> {
  const votes = aliveSeats(state).some(({ role }) => role === "acceptor" || role === "replica");
  if (!votes) return unknown("no acceptor runs: no value can be chosen now", false);
  const words = ["status", "--json", "--verbosity", "quiet", "-f", configPath(state)];
  try {
    const argv = commandOn(state, state.clientHost, [...state.command, ...words], state.directory);
    const child = Bun.spawn(argv, {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      cwd: state.directory,
      env: roleEnvironment(state),
      timeout: PATIENCE_MS,
      killSignal: "SIGKILL",
    });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return (
      read(out) ??
      unknown(`it could not be asked: ${err.trim().split("\n")[0] || "kpaxos status said nothing"}`)
    );
  } catch (error) {
    // The place is gone, or the program that made the cluster.
    if (error instanceof CliError || codeOf(error) !== "")
      return unknown(`it could not be asked: ${messageOf(error)}`);
    throw error;
  }
}

function read(text: string): ClusterFacts | undefined {
  let said: { readonly ok?: unknown; readonly groups?: unknown };
  try {
    said = JSON.parse(text) as typeof said;
  } catch {
    // Another program stands where kpaxos stood when the cluster was made, or it ended before it had an answer.
    return undefined;
  }
  if (typeof said.ok !== "boolean" || !Array.isArray(said.groups)) return undefined;
  return { ok: said.ok, groups: said.groups as GroupStatus[], trouble: null };
}
