/**
 * What the `cluster` subcommands share: which cluster is meant, which role, and how commands are printed.
 */
import { CliError, ExitCode } from "../error.ts";
import { requireState } from "../ops/cluster.ts";
import { withLock } from "../ops/cluster_lock.ts";
import {
  type ClusterState,
  clusterDirectory,
  groupsOf,
  nameOf,
  type SeatState,
} from "../ops/cluster_state.ts";
import { selfCommand } from "../ops/lab_capability.ts";
import { nearest } from "../text/nearest.ts";
import { shellLine } from "../text/shell_line.ts";
import type { ArgsDef } from "./command.ts";

const DEFAULT_NAME = "default";

/** Where clients live. */
export const CLIENT = "client";

export const clusterArgs = {
  name: {
    type: "string",
    alias: "n",
    default: DEFAULT_NAME,
    completes: "clusters",
    description: "which cluster",
  },
  dir: {
    type: "string",
    valueHint: "DIR",
    description: "its directory (unless given: $XDG_STATE_HOME/kpaxos/clusters/NAME, or ~/.local/state/…)",
  },
} as const satisfies ArgsDef;

interface Which {
  readonly name: string;
  readonly dir: string | undefined;
}

export function directoryOf({ name, dir }: Which): string {
  return clusterDirectory(name, dir);
}

export function stateOf(args: Which): ClusterState {
  return requireState(args.name, directoryOf(args));
}

/** Runs `body` with the cluster's state while no other command changes it. */
export async function withState<T>(args: Which, body: (state: ClusterState) => Promise<T>): Promise<T> {
  stateOf(args);
  return await withLock(directoryOf(args), async () => await body(stateOf(args)));
}

/** The role that ROLE/ID means; a wrong one is an error with the nearest that is right. */
export function seatOf(state: ClusterState, word: string, more: readonly string[] = []): SeatState {
  const found = state.seats.find((seat) => nameOf(seat) === word);
  if (found !== undefined) return found;
  const names = [...state.seats.map(nameOf), ...more];
  const near = nearest(word, names);
  throw new CliError(`cluster ${state.name} has no ${word}`, {
    exitCode: ExitCode.usage,
    hint: near === undefined ? `it has ${names.join(", ")}` : `did you mean ${near}?`,
  });
}

/** The command line that a user types for this very program. */
export function commandLine(words: readonly string[]): string {
  const self = selfCommand();
  const found = Bun.which("kpaxos");
  return shellLine([...(found === null ? self : ["kpaxos"]), ...words]);
}

/** The same for a `cluster` subcommand on this cluster. */
export function clusterLine(state: ClusterState, verb: string, words: readonly string[] = []): string {
  const usual = clusterDirectory(state.name, undefined) === state.directory;
  const name = state.name === DEFAULT_NAME ? [] : ["--name", state.name];
  const which = usual ? name : [...name, "--dir", state.directory];
  return commandLine(["cluster", verb, ...which, ...words]);
}

/** Commands that send values to the cluster from its host for clients. */
export function clientLine(state: ClusterState, words: readonly string[] = []): string {
  const trims = state.trimLearner === undefined ? [] : ["--no-cantrim"];
  // One for each group; who is served by a user-learner is of its group.
  const groups =
    groupsOf(state) === 1 || words.includes("--group") ? [] : ["--nclients", `${groupsOf(state)}`];
  return clusterLine(state, "exec", [CLIENT, "--", "kpaxos", "run", "client", ...trims, ...groups, ...words]);
}
