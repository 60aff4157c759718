/**
 * The processes of a cluster that outlives its maker: each is started detached with its log in a file, waited for
 * until it is ready, and ended by the name that was written down for it, never by a bare pid.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { FIELDS, SCHEMA, variableOf } from "../config/schema.ts";
import { CliError } from "../error.ts";
import { shellLine } from "../text/shell_line.ts";
import { diesWithUs } from "./child.ts";
import { commandOn, TOKEN_VARIABLE } from "./cluster_place.ts";
import { type ClusterState, CONFIG_NAME, nameOf, type SeatState } from "./cluster_state.ts";
import { handlesTerm, identify, isAlive, type ProcessId, signal, stateOf } from "./process_id.ts";

const POLL_MS = 10;
const READY_MS = 15_000;
const TAIL_LINES = 15;

export interface StartOptions {
  /** The process ends when this one does. */
  readonly dies?: boolean;
  /** Beyond what was written down for it. */
  readonly args?: readonly string[];
  /** Gets standard output as it comes; without it, that goes to the log. */
  readonly onStdout?: (chunk: Uint8Array) => void;
  readonly stop?: AbortSignal;
  readonly onStarted?: (started: StartedSeat) => void;
}

export interface StartedSeat {
  readonly seat: SeatState;
  readonly child: Subprocess<"ignore", number | "pipe", number>;
}

export function logPath(state: ClusterState, seat: SeatState): string {
  const group = seat.group === undefined ? "" : `-group-${seat.group}`;
  return join(state.directory, "logs", `${seat.role}-${seat.id}${group}.log`);
}

export function configPath(state: ClusterState): string {
  return join(state.directory, CONFIG_NAME);
}

/** A directory with `kpaxos` in it, whatever way this program was started. */
export function writeShim(state: ClusterState): void {
  const directory = join(state.directory, "bin");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "kpaxos"), `#!/bin/sh\nexec ${shellLine(state.command)} "$@"\n`, {
    mode: 0o700,
  });
}

/** The environment of what runs on a host of the cluster: it finds `kpaxos` and the configuration. */
export function clusterEnvironment(state: ClusterState): Record<string, string | undefined> {
  return {
    ...process.env,
    PATH: `${join(state.directory, "bin")}:${process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin"}`,
    KPAXOS_CONFIG: configPath(state),
    [TOKEN_VARIABLE]: state.token,
  };
}

/** A role is what the cluster's file says, not what the shell of whoever starts it says. */
export function roleEnvironment(state: ClusterState): Record<string, string | undefined> {
  const environment = clusterEnvironment(state);
  for (const field of FIELDS) delete environment[variableOf(SCHEMA[field].key)];
  return environment;
}

/** Starts a seat's process; does not wait until it is ready. */
export function startSeat(state: ClusterState, seat: SeatState, options: StartOptions = {}): StartedSeat {
  mkdirSync(join(state.directory, "logs"), { recursive: true });
  const path = logPath(state, seat);
  const log = openSync(path, "a", 0o600);
  try {
    seat.logFrom = statSync(path).size;
    const role = ["run", seat.role, "-f", configPath(state), "--id", `${seat.id}`];
    const group = seat.group === undefined ? [] : ["--group", `${seat.group}`];
    const argv = [...state.command, ...role, ...group, ...seat.args, ...(options.args ?? [])];
    const child = Bun.spawn(
      commandOn(state, seat.host, options.dies === true ? diesWithUs(argv) : argv, state.directory),
      {
        stdin: "ignore",
        stdout: options.onStdout === undefined ? log : "pipe",
        stderr: log,
        env: roleEnvironment(state),
        cwd: state.directory,
        detached: true,
      },
    );
    child.unref();
    seat.process = identify(child.pid);
    seat.startedAtMs = Date.now();
    const { onStdout } = options;
    if (onStdout !== undefined && child.stdout instanceof ReadableStream) {
      void feed(child.stdout, onStdout);
    }
    const started = { seat, child };
    options.onStarted?.(started);
    return started;
  } finally {
    closeSync(log);
  }
}

async function feed(source: ReadableStream<Uint8Array>, sink: (chunk: Uint8Array) => void): Promise<void> {
  for await (const chunk of source) sink(chunk);
}

/** What a seat has logged since its newest start. */
export function newestLog(state: ClusterState, seat: SeatState): string {
  const path = logPath(state, seat);
  return existsSync(path) ? readFileSync(path).subarray(seat.logFrom).toString() : "";
}

/** The last lines of its log, indented, to be shown with an error. */
export function logTail(state: ClusterState, seat: SeatState, lines: number = TAIL_LINES): string {
  const last = newestLog(state, seat).trimEnd().split("\n").slice(-lines);
  return last.join("") === "" ? "  (it logged nothing)" : last.map((line) => `  ${line}`).join("\n");
}

function isReady(state: ClusterState, seat: SeatState, id: ProcessId): boolean {
  return state.saysReady ? /\bready\b/.test(newestLog(state, seat)) : handlesTerm(id);
}

export function speakable(seat: SeatState): string {
  return `${seat.role} ${seat.id}${seat.group === undefined ? "" : ` of group ${seat.group}`}`;
}

export async function waitReady(
  state: ClusterState,
  { seat, child }: StartedSeat,
  stop?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + READY_MS;
  const fail = (why: string) =>
    new CliError(`${speakable(seat)} ${why}; its log ends with:\n${logTail(state, seat)}`);
  while (seat.process !== undefined) {
    stop?.throwIfAborted();
    if (child.exitCode !== null) throw fail(`ended with exit code ${child.exitCode}`);
    if (child.signalCode !== null) throw fail(`was ended by ${child.signalCode}`);
    if (isReady(state, seat, seat.process)) return;
    if (performance.now() > deadline) throw fail(`was not ready within ${READY_MS / 1000} s`);
    await Bun.sleep(POLL_MS);
  }
}

/** Waits until the process has ended; false when it has not in time. */
export async function waitEnd(id: ProcessId, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(id)) {
    if (performance.now() > deadline) return false;
    await Bun.sleep(POLL_MS);
  }
  return true;
}

/** Asks all these seats to end, and kills those that do not; returns those. */
export async function stopSeats(seats: readonly SeatState[], timeoutMs = 3000): Promise<SeatState[]> {
  const stubborn = await Promise.all(
    seats.map(async (seat) => {
      const id = seat.process;
      if (id === undefined || !signal(id, "SIGTERM")) return undefined;
      // One that was stopped cannot hear it.
      if (stateOf(id) === "stopped") signal(id, "SIGCONT");
      if (await waitEnd(id, timeoutMs)) return undefined;
      signal(id, "SIGKILL");
      await waitEnd(id, timeoutMs);
      return seat;
    }),
  );
  return stubborn.filter((seat) => seat !== undefined);
}

export function seatNamed(state: ClusterState, name: string): SeatState | undefined {
  return state.seats.find((seat) => nameOf(seat) === name);
}
