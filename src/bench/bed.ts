/**
 * Where a cell is measured: a cluster of our own on this machine, or one that somebody else runs. Programs that measure are
 * started on the host for clients.
 *
 * Invariant: after `close` nothing of a cluster of ours is left, whatever happened before; what this process leaves behind
 * when it is killed ends by itself, and the next cluster sweeps it; databases in a directory that was named, the next one there.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Flags } from "../config/parse.ts";
import { CliError } from "../error.ts";
import { diesWithUs } from "../ops/child.ts";
import { remove, up } from "../ops/cluster.ts";
import { type Choice, commandOn, describePlace } from "../ops/cluster_place.ts";
import type { Topology } from "../ops/cluster_plan.ts";
import { clusterEnvironment, configPath, logTail, speakable, stopSeats } from "../ops/cluster_roles.ts";
import { aliveSeats, type ClusterState } from "../ops/cluster_state.ts";
import { selfCommand } from "../ops/lab_capability.ts";
import { labPrefix } from "../ops/lab_names.ts";
import { LabProcess } from "../ops/lab_process.ts";
import { sweepLeftovers } from "../ops/lab_sweep.ts";
import { makeOwnDirectory } from "../ops/own_directory.ts";
import { signal } from "../ops/process_id.ts";
import type { ClusterShape } from "./cells.ts";
import { databaseDirectory } from "./database_directory.ts";
import type { Watched } from "./usage.ts";

export interface Bed {
  readonly description: string;
  /** All talk over `lo`, of which there is one. */
  readonly onLoopback: boolean;
  /** The processes of the cluster; empty: they are somebody else's. */
  readonly members: readonly Watched[];
  /** Starts a client that measures; `group`: of this group alone. */
  client(args: readonly string[], group?: number): LabProcess;
  /** Nothing of it has ended, as far as is known here. */
  readonly stands: boolean;
  /** What has ended, and the last words of all. */
  trouble(): string;
  close(): Promise<void>;
}

export interface BedOptions {
  readonly shape: ClusterShape;
  readonly choice: Choice;
  /** Settings of `paxos.conf` beyond those of the shape. */
  readonly settings: Flags;
  /** Where databases are kept; undefined: beside the cluster's other files. */
  readonly storagePath: string | undefined;
  readonly stop: AbortSignal;
  /** Roles beyond those of the shape, or another number of them. */
  readonly topology?: Partial<Topology>;
  /** The program; this one unless given. */
  readonly command?: readonly string[];
}

let made = 0;

export class OwnBed implements Bed {
  readonly state: ClusterState;
  readonly #shape: ClusterShape;
  readonly #directories: readonly string[];
  readonly #started = new Set<LabProcess>();
  #isClosed = false;

  static async start(options: BedOptions): Promise<OwnBed> {
    const { shape, choice, stop } = options;
    sweepLeftovers();
    const own = makeOwnDirectory();
    const directories = [own];
    try {
      const databases = databaseDirectory(options.storagePath ?? own);
      directories.unshift(databases);
      const state = await up({
        name: "bench",
        directory: join(own, "cluster"),
        prefix: labPrefix(process.pid, made++),
        deviceDirectory: join(own, "devices"),
        choice,
        topology: { ...topologyOf(shape), ...options.topology },
        flags: { ...settingsOf(shape, databases), ...options.settings },
        dies: true,
        stop,
        ...(options.command === undefined ? {} : { command: options.command }),
      });
      return new OwnBed(state, shape, directories);
    } catch (error) {
      for (const directory of directories) rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  private constructor(state: ClusterState, shape: ClusterShape, directories: readonly string[]) {
    this.state = state;
    this.#shape = shape;
    this.#directories = directories;
  }

  get description(): string {
    return describePlace(this.state, this.state.hosts);
  }

  get onLoopback(): boolean {
    return this.state.kind === "loopback";
  }

  get members(): Watched[] {
    return this.state.seats.flatMap((seat) =>
      seat.process === undefined ? [] : [{ name: speakable(seat), pid: seat.process.pid }],
    );
  }

  client(args: readonly string[], group?: number): LabProcess {
    const words = clientWords(configPath(this.state), group);
    const argv = [...this.state.command, ...words, ...trimWords(this.#shape), ...args];
    return this.spawn(this.state.clientHost, clientName(group), argv);
  }

  /** Starts any program on a host of the cluster. */
  spawn(host: number, name: string, argv: readonly string[]): LabProcess {
    const { state } = this;
    if (this.#isClosed) throw new CliError(`the cluster of the ${name} is gone`);
    const child = Bun.spawn(commandOn(state, host, diesWithUs(argv), state.directory), {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: clusterEnvironment(state),
      cwd: state.directory,
      // Ctrl-C at our terminal is for us, who then end it in order.
      detached: true,
    });
    const started = new LabProcess(name, argv, child);
    this.#started.add(started);
    const forget = (): boolean => this.#started.delete(started);
    started.exited.then(forget, forget);
    return started;
  }

  get stands(): boolean {
    return aliveSeats(this.state).length === this.state.seats.length;
  }

  trouble(): string {
    const { state } = this;
    const alive = aliveSeats(state);
    const dead = state.seats.filter((seat) => !alive.includes(seat)).map(speakable);
    const ended = dead.length === 0 ? "" : `ended by itself: ${dead.join(", ")}\n`;
    return ended + state.seats.map((seat) => `${speakable(seat)}:\n${logTail(state, seat, 4)}`).join("\n");
  }

  /** Asks all to end, which a cluster that is stopped in haste is not. */
  async end(): Promise<void> {
    await stopSeats(this.state.seats);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const one of this.#started) one.kill("SIGKILL");
    for (const { process: id } of this.state.seats) if (id !== undefined) signal(id, "SIGKILL");
    try {
      remove(this.state);
    } finally {
      for (const directory of this.#directories) rmSync(directory, { recursive: true, force: true });
    }
  }
}

function topologyOf({ layout, acceptors }: ClusterShape): Topology {
  return layout === "replicas" ? { replicas: acceptors } : { acceptors, proposers: 1, learners: 0 };
}

function settingsOf({ wire, storage, batching, groups }: ClusterShape, databases: string): Flags {
  return {
    wire,
    ...(wire === "native" ? { batching } : {}),
    ...(groups > 1 ? { groups: `${groups}` } : {}),
    ...(storage === "memory" ? {} : { "storage-backend": storage, "storage-path": databases }),
  };
}

function clientName(group: number | undefined): string {
  return group === undefined ? "client" : `client of group ${group}`;
}

function clientWords(file: string, group: number | undefined): string[] {
  return ["run", "client", "-f", file, ...(group === undefined ? [] : ["--group", `${group}`])];
}

/** In the Kernel_Paxos wire nobody trims unless told to, and a full acceptor accepts nothing. */
function trimWords({ wire, layout }: ClusterShape): string[] {
  if (wire === "native") return [];
  return [layout === "replicas" ? "--no-cantrim" : "--cantrim"];
}

/** A cluster that runs already, as a configuration describes it: here there is only a client. */
export class GivenBed implements Bed {
  readonly description: string;
  readonly onLoopback = false;
  readonly members: readonly Watched[] = [];
  readonly stands = true;
  readonly #file: string;
  readonly #started = new Set<LabProcess>();

  constructor(file: string) {
    this.#file = file;
    this.description = `a running cluster, ${file}`;
  }

  client(args: readonly string[], group?: number): LabProcess {
    const argv = [...selfCommand(), ...clientWords(this.#file, group), ...args];
    const child = Bun.spawn(diesWithUs(argv), {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
    const started = new LabProcess(clientName(group), argv, child);
    this.#started.add(started);
    const forget = (): boolean => this.#started.delete(started);
    started.exited.then(forget, forget);
    return started;
  }

  trouble(): string {
    return "";
  }

  async close(): Promise<void> {
    for (const one of this.#started) one.kill("SIGKILL");
  }
}
