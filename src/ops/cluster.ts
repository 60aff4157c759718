/**
 * Local clusters that outlive the command that makes them: up, down, and what is done to their roles in between. Every
 * function works on the written state under the cluster's lock.
 *
 * Invariants: a start that fails is undone before its error is thrown; a process is signalled only as the one that was
 * written down; `destroy` leaves nothing of a cluster, whatever state it was in.
 */
import { randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Diagnostic } from "../config/config.ts";
import type { Flags } from "../config/parse.ts";
import { SCHEMA } from "../config/schema.ts";
import { CliError, messageOf } from "../error.ts";
import { withLock } from "./cluster_lock.ts";
import {
  addClusterHost,
  type Choice,
  deviceDirectoryOf,
  dropClusterHost,
  makePlace,
  prefixOf,
  removePlace,
  TOKEN_VARIABLE,
} from "./cluster_place.ts";
import { hostAddress, nextLearnerId, planConfig, type Topology, trimFlags } from "./cluster_plan.ts";
import {
  configPath,
  logPath,
  type StartOptions,
  speakable,
  startSeat,
  stopSeats,
  waitEnd,
  waitReady,
  writeShim,
} from "./cluster_roles.ts";
import {
  aliveSeats,
  type ClusterState,
  CONFIG_NAME,
  makeDirectory,
  nameOf,
  readState,
  removeDirectory,
  type SeatState,
  STORAGE_NAME,
  writeState,
} from "./cluster_state.ts";
import { freePorts, freePortsOfGroups } from "./free_ports.ts";
import { selfCommand } from "./lab_capability.ts";
import { isAlive, signal } from "./process_id.ts";

const LOOPBACK = "127.0.0.1";
/** Signals after which a process is expected to be gone. */
const ENDING_SIGNALS: readonly NodeJS.Signals[] = ["SIGKILL", "SIGTERM", "SIGINT"];

export interface UpOptions {
  readonly name: string;
  readonly directory: string;
  readonly choice: Choice;
  readonly topology: Topology;
  readonly flags: Flags;
  readonly trimLearner?: number | undefined;
  readonly replace?: boolean;
  /** Of namespaces; without it, made from name and directory. */
  readonly prefix?: string;
  readonly deviceDirectory?: string;
  /** Starts kpaxos; this program unless given. */
  readonly command?: readonly string[];
  /** For each seat: how its process is started. */
  readonly start?: (seat: SeatState) => StartOptions;
  /** Its processes end when this one does. */
  readonly dies?: boolean;
  readonly stop?: AbortSignal;
  readonly onWarning?: (warning: Diagnostic) => void;
  /** Something was removed before the start. */
  readonly onRemoved?: (what: string) => void;
}

/** The cluster, or an error that says where there are some. */
export function requireState(name: string, directory: string): ClusterState {
  const state = readState(directory);
  if (state !== undefined) return state;
  throw new CliError(`there is no cluster ${name} (${directory})`, {
    hint: "kpaxos cluster list shows those there are, kpaxos cluster up makes one",
  });
}

/** Nobody can saw off the branch on which they sit. */
function refuseInside(state: ClusterState): void {
  if (process.env[TOKEN_VARIABLE] !== state.token) return;
  throw new CliError(`this command runs inside cluster ${state.name} and would end itself`, {
    hint: "leave the shell that kpaxos cluster exec opened first",
  });
}

async function makeWay(options: UpOptions): Promise<void> {
  const before = readState(options.directory);
  if (before === undefined) return;
  refuseInside(before);
  const alive = aliveSeats(before).length;
  if (before.phase === "up" && alive > 0 && options.replace !== true) {
    throw new CliError(
      `cluster ${before.name} already runs (${alive} of ${before.seats.length} roles, ${options.directory})`,
      { hint: "use --replace, another --name, or kpaxos cluster down first" },
    );
  }
  await destroy(before);
  options.onRemoved?.(
    alive > 0
      ? `the running cluster ${before.name}`
      : `what an earlier cluster ${before.name} had left behind`,
  );
}

async function initialState(
  options: UpOptions,
): Promise<{ readonly state: ClusterState; readonly text: string }> {
  const { name, directory, choice, topology } = options;
  const deviceDirectory = options.deviceDirectory ?? deviceDirectoryOf(name, directory);
  const loopback = choice.kind === "loopback";
  const count = Object.values(topology).reduce((sum: number, one: number) => sum + one, 0);
  const groups = Number(options.flags.groups ?? 1);
  const ports = loopback && count > 0 ? await portsFor(count, groups) : [];
  const { config, text, seats, trimLearner } = planConfig({
    topology,
    flags: options.flags,
    own: ({ wire }) => ({
      verbosity: "info",
      "device-directory": deviceDirectory,
      // In the native wire it has no effect, and says so.
      ...(wire === "kernel-paxos" ? { "state-directory": join(directory, "state") } : {}),
    }),
    storagePath: join(directory, STORAGE_NAME),
    trimLearner: options.trimLearner,
    path: join(directory, CONFIG_NAME),
    takeAddress: (host) => (loopback ? `${LOOPBACK} ${ports[host]}` : hostAddress(host, choice.udp)),
  });
  for (const warning of config.warnings) options.onWarning?.(warning);
  const { verbosity, wire } = config.settings;
  const state: ClusterState = {
    format: 1,
    name,
    directory,
    token: randomUUID(),
    createdAtMs: Date.now(),
    kind: choice.kind,
    udp: choice.udp,
    reason: choice.reason,
    prefix: options.prefix ?? prefixOf(name, directory),
    wire,
    groups: config.settings.groups,
    saysReady: verbosity === "info" || verbosity === "debug",
    trimLearner,
    deviceDirectory,
    command: options.command ?? selfCommand(),
    phase: "starting",
    keeper: undefined,
    hosts: count + 1,
    clientHost: count,
    seats,
  };
  return { state, text };
}

/** A number of groups that makes no sense is told of when the file is read. */
async function portsFor(count: number, groups: number): Promise<number[]> {
  const areSeveral = groups > 1 && groups <= SCHEMA.groups.max;
  return areSeveral ? await freePortsOfGroups(count, LOOPBACK, groups) : await freePorts(count, LOOPBACK);
}

/** Undoes what was made, and returns what is to be thrown. */
function undo(state: ClusterState, error: unknown): unknown {
  try {
    for (const seat of state.seats) if (seat.process !== undefined) signal(seat.process, "SIGKILL");
    removePlace(state);
    removeDirectory(state.directory);
    return error;
  } catch (second) {
    const [first, why] = [error, second].map((one) => messageOf(one));
    return new CliError(`${first}\nundoing the start failed too: ${why}`, {
      hint: "try kpaxos cluster down",
      cause: error,
    });
  }
}

/** Makes a cluster and waits until every role is ready. */
export async function up(options: UpOptions): Promise<ClusterState> {
  return await withLock(options.directory, async () => {
    await makeWay(options);
    const { state, text } = await initialState(options);
    options.stop?.throwIfAborted();
    makeDirectory(state.directory);
    try {
      writeState(state);
      writeFileSync(configPath(state), text);
      writeShim(state);
      await makePlace(state, options.dies === true);
      writeState(state);
      const started = state.seats.map((seat) =>
        startSeat(state, seat, { dies: options.dies === true, ...options.start?.(seat) }),
      );
      writeState(state);
      for (const one of started) await waitReady(state, one, options.stop);
      // One that was ready and has ended since is no better than one that never was.
      for (const one of started) await waitReady(state, one, options.stop);
      state.phase = "up";
      writeState(state);
      return state;
    } catch (error) {
      throw undo(state, error);
    }
  });
}

/** Ends and removes everything; returns the seats that had to be killed. */
export async function destroy(state: ClusterState): Promise<SeatState[]> {
  const killed = await stopSeats(state.seats);
  remove(state);
  return killed;
}

/** Removes what is left once the roles have been stopped. */
export function remove(state: ClusterState): void {
  removePlace(state);
  removeDirectory(state.directory);
}

/** undefined: there was nothing. */
export async function down(
  directory: string,
): Promise<{ readonly state: ClusterState; readonly killed: readonly SeatState[] } | undefined> {
  if (readState(directory) === undefined) return undefined;
  return await withLock(directory, async () => {
    const state = readState(directory);
    if (state === undefined) return undefined;
    refuseInside(state);
    return { state, killed: await destroy(state) };
  });
}

/** Sends a signal to a role; returns whether it has ended. */
export async function killSeat(seat: SeatState, name: NodeJS.Signals): Promise<boolean> {
  const id = seat.process;
  if (id === undefined || !signal(id, name)) {
    throw new CliError(`${speakable(seat)} does not run`, { hint: `kpaxos cluster start ${nameOf(seat)}` });
  }
  return ENDING_SIGNALS.includes(name) && (await waitEnd(id, 3000));
}

/** Starts roles that have ended, learners before those that read their devices. */
export async function restartSeats(
  state: ClusterState,
  seats: readonly SeatState[],
  options: StartOptions = {},
): Promise<void> {
  for (const wave of [
    seats.filter(({ role }) => role !== "user-learner"),
    seats.filter(({ role }) => role === "user-learner"),
  ]) {
    const started = wave.map((seat) => {
      if (isAlive(seat.process))
        throw new CliError(`${speakable(seat)} runs already (pid ${seat.process?.pid})`);
      return startSeat(state, seat, options);
    });
    writeState(state);
    for (const one of started) await waitReady(state, one, options.stop);
  }
}

async function seatNewcomer(state: ClusterState, seat: SeatState, options: StartOptions): Promise<SeatState> {
  state.seats.push(seat);
  // The file on disk knows of it before it runs, and forgets it when it does not come up.
  writeState(state);
  try {
    const started = startSeat(state, seat, options);
    writeState(state);
    await waitReady(state, started, options.stop);
    return seat;
  } catch (error) {
    if (seat.process !== undefined) signal(seat.process, "SIGKILL");
    state.seats.pop();
    rmSync(logPath(state, seat), { force: true });
    throw error;
  }
}

/** A learner more, on a host of its own. Nobody else is restarted, and nobody's configuration changes. */
export async function addLearner(state: ClusterState, options: StartOptions = {}): Promise<SeatState> {
  const id = nextLearnerId(state);
  const host = addClusterHost(state);
  const address = state.kind === "loopback" ? "" : hostAddress(host);
  const args = trimFlags(state.trimLearner, id);
  const seat = { role: "learner", id, host, address, args, ...NEW_SEAT } as const;
  try {
    return await seatNewcomer(state, seat, options);
  } catch (error) {
    dropClusterHost(state);
    throw error;
  } finally {
    writeState(state);
  }
}

/** A user-learner beside a learner or replica, whose device it reads. */
export async function addUserLearner(
  state: ClusterState,
  beside: SeatState,
  options: StartOptions = {},
): Promise<SeatState> {
  const ids = state.seats.filter(({ role }) => role === "user-learner").map((one) => one.id);
  const id = Math.max(-1, ...ids) + 1;
  const loopback = state.kind === "loopback";
  const address = loopback ? `${LOOPBACK}:${(await freePorts(1, LOOPBACK))[0]}` : hostAddress(beside.host);
  const { group } = beside;
  const args = ["--device", `${beside.id}`, ...(loopback ? ["--listen", address] : [])];
  try {
    return await seatNewcomer(
      state,
      // It serves sessions, which are of one group.
      { role: "user-learner", id, group, host: beside.host, address, args, ...NEW_SEAT },
      options,
    );
  } finally {
    writeState(state);
  }
}

const NEW_SEAT = { process: undefined, startedAtMs: 0, logFrom: 0 };
