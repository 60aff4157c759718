/**
 * What is written down of a cluster that outlives the command that made it: enough to find, enter, mend and remove it
 * later, also after a crash. Written whole or not at all; the first version of it is on disk before anything is made.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { CliError, codeOf, ExitCode, exitCodeOf, isDenied, messageOf } from "../error.ts";
import { isAlive, type ProcessId } from "./process_id.ts";

export type SeatRole = "acceptor" | "proposer" | "learner" | "replica" | "user-learner";

export interface SeatState {
  readonly role: SeatRole;
  readonly id: number;
  /** Its group; undefined: there are none, or it is of all. */
  readonly group?: number | undefined;
  readonly host: number;
  /** As `paxos.conf` has it; for a user-learner what clients give as `--learner`; "" when it has none. */
  readonly address: string;
  /** Flags beyond `--id` and `-f`. */
  readonly args: readonly string[];
  process: ProcessId | undefined;
  startedAtMs: number;
  /** Where in its log the newest start begins. */
  logFrom: number;
}

/** `root`: named namespaces. `user`: the same inside a user namespace that a keeper process holds. */
export type PlaceKind = "root" | "user" | "loopback";

export interface ClusterState {
  readonly format: 1;
  readonly name: string;
  readonly directory: string;
  /** In the environment of every process of the cluster. */
  readonly token: string;
  readonly createdAtMs: number;
  readonly kind: PlaceKind;
  /** The hosts of a bridge speak UDP, not raw Ethernet. */
  readonly udp?: boolean | undefined;
  /** Why there. */
  readonly reason: string;
  readonly prefix: string;
  readonly wire: string;
  /** 1 unless there. */
  readonly groups?: number;
  /** Whether a role's log says that it is ready. */
  readonly saysReady: boolean;
  readonly trimLearner: number | undefined;
  readonly deviceDirectory: string;
  /** Starts kpaxos. */
  readonly command: readonly string[];
  phase: "starting" | "up";
  keeper: ProcessId | undefined;
  /** Hosts made so far; the one for clients is `clientHost`. */
  hosts: number;
  readonly clientHost: number;
  readonly seats: SeatState[];
}

export const CONFIG_NAME = "paxos.conf";
/** Where acceptors on disk keep what they have. */
export const STORAGE_NAME = "storage";
const STATE_NAME = "cluster.json";
/** Everything a cluster's directory holds. */
const CONTENT = [STATE_NAME, CONFIG_NAME, "logs", "bin", "devices", "state", STORAGE_NAME];
const NAME = /^[A-Za-z0-9][\w.-]{0,31}$/;

/** `acceptor/1`, and with groups `acceptor/1@0`. */
export function nameOf({ role, id, group }: Pick<SeatState, "role" | "id" | "group">): string {
  return `${role}/${id}${group === undefined ? "" : `@${group}`}`;
}

function clustersDirectory(): string {
  const base = process.env.XDG_STATE_HOME || join(process.env.HOME || homedir(), ".local", "state");
  return join(base, "kpaxos", "clusters");
}

/** The directory of the cluster that the flags mean. */
export function clusterDirectory(name: string, directory: string | undefined): string {
  if (!NAME.test(name)) {
    throw new CliError(`"${name}" is no name for a cluster`, {
      exitCode: ExitCode.usage,
      hint: "up to 32 letters, digits, dots, dashes and underscores, a letter or digit first",
    });
  }
  return directory === undefined ? join(clustersDirectory(), name) : resolve(directory);
}

/** What a cluster keeps has no place where it was to be. */
export function noPlace(what: string, cause: unknown): CliError {
  const code = codeOf(cause);
  return new CliError(`${what}: ${messageOf(cause)}`, {
    exitCode: exitCodeOf(cause),
    hint: ["EEXIST", "ENOTDIR"].includes(code)
      ? "something on this path is a file: name a directory with --dir DIR, or set XDG_STATE_HOME"
      : "name a directory that this user may write: --dir DIR, or set XDG_STATE_HOME",
    cause,
  });
}

/** undefined: there is no cluster in this directory. */
export function readState(directory: string): ClusterState | undefined {
  const path = join(directory, STATE_NAME);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = codeOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new CliError(`cannot read the cluster's state: ${messageOf(cause)}`, {
      exitCode: exitCodeOf(cause),
      hint: isDenied(cause)
        ? "it is another user's: run this as that user, or name a cluster of your own: --dir DIR"
        : `mend ${path}, or name another cluster: --name NAME or --dir DIR`,
      cause,
    });
  }
  const state = parseState(text);
  if (state === undefined) {
    throw new CliError(`${path} is not the state of a cluster of this version of kpaxos`, {
      hint: `use the version that made it, or end its processes and remove ${directory}`,
    });
  }
  return state;
}

function parseState(text: string): ClusterState | undefined {
  try {
    const state = JSON.parse(text) as Partial<ClusterState>;
    return state.format === 1 && Array.isArray(state.seats) ? (state as ClusterState) : undefined;
  } catch {
    // Its writer replaces it whole: what does not parse was written by somebody else.
    return undefined;
  }
}

export function groupsOf(state: ClusterState): number {
  return state.groups ?? 1;
}

/** A line for each number or word of a seat: shells that complete read them (`cli/completion_local.ts`). */
export function writeState(state: ClusterState): void {
  const path = join(state.directory, STATE_NAME);
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(partial, path);
}

/** Makes the directory, or takes an empty one. */
export function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const strange = readdirSync(directory).find((entry) => !CONTENT.includes(entry));
    if (strange === undefined) return;
    throw new CliError(`${directory} holds something else than a cluster: ${strange}`, {
      exitCode: ExitCode.usage,
      hint: "give a directory of its own: --dir DIR",
    });
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw noPlace("the cluster's directory cannot be made", cause);
  }
}

/** Removes what a cluster keeps in its directory, and the directory when that is all it held. */
export function removeDirectory(directory: string): void {
  for (const entry of CONTENT.toReversed()) rmSync(join(directory, entry), { recursive: true, force: true });
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory)) {
    // Half a state, of a writer that was killed.
    if (/^cluster\.json\.\d+$/.test(entry)) rmSync(join(directory, entry));
  }
  if (readdirSync(directory).length === 0) rmdirSync(directory);
}

export function listClusters(): ClusterState[] {
  const directory = clustersDirectory();
  return namesIn(directory)
    .map((name) => readState(join(directory, name)))
    .filter((state) => state !== undefined)
    .sort((a, b) => (basename(a.directory) < basename(b.directory) ? -1 : 1));
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return [];
    throw new CliError(`the clusters in ${directory} cannot be listed: ${messageOf(cause)}`, {
      exitCode: exitCodeOf(cause),
      hint: "set XDG_STATE_HOME to a directory of yours, or unset it",
      cause,
    });
  }
}

export function aliveSeats(state: ClusterState): SeatState[] {
  return state.seats.filter((seat) => isAlive(seat.process));
}
