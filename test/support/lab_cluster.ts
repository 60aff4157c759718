/**
 * A local cluster: a topology gets addresses on a network, a `paxos.conf` in a directory of its own, and processes
 * of this very program.
 *
 * Invariants: `close` ends every process, closes the network and removes the directory, whatever happened before;
 * the order in which roles start is the caller's.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../../src/error.ts";
import { type Ending, LabProcess, type ProcessOptions } from "../../src/ops/lab_process.ts";
import { makeOwnDirectory } from "../../src/ops/own_directory.ts";
import { configText, type MemberRole, type Seat } from "../../src/ops/seats.ts";
import type { Network } from "./lab_network.ts";

export type Settings = Readonly<Record<string, string>>;

export interface ClusterOptions {
  readonly network: Network;
  readonly seats: readonly Seat[];
  /** Lines of `paxos.conf` by key; a function is told the cluster's directory. */
  readonly settings?: Settings | ((directory: string) => Settings);
  /** The command that starts the program. */
  readonly command: readonly string[];
}

export interface StartOptions extends ProcessOptions {
  readonly args?: readonly string[];
}

export class LabCluster {
  readonly network: Network;
  readonly seats: readonly Seat[];
  readonly directory: string;
  readonly configPath: string;
  readonly config: string;
  /** Every process ever started, in order. */
  readonly processes: LabProcess[] = [];
  readonly #command: readonly string[];
  readonly #bySeat = new Map<string, LabProcess>();
  readonly #onExit = (): void => this.close();

  constructor(options: ClusterOptions) {
    this.network = options.network;
    this.seats = options.seats;
    this.#command = options.command;
    this.directory = makeOwnDirectory();
    const settings =
      typeof options.settings === "function" ? options.settings(this.directory) : options.settings;
    const own = {
      verbosity: "info",
      "device-directory": join(this.directory, "devices"),
      // In the native wire it has no effect, and says so.
      ...(settings?.wire === "kernel-paxos" ? { "state-directory": join(this.directory, "state") } : {}),
    };
    this.config = configText(options.network, options.seats, { ...own, ...settings });
    this.configPath = join(this.directory, "paxos.conf");
    writeFileSync(this.configPath, this.config);
    process.on("exit", this.#onExit);
  }

  /** Starts any subcommand on a host. */
  launch(name: string, host: number, args: readonly string[], options: ProcessOptions = {}): LabProcess {
    const argv = [...this.#command, ...args];
    const child = this.network.spawn(host, argv, { cwd: this.directory });
    const started = new LabProcess(name, argv, child, options);
    this.processes.push(started);
    return started;
  }

  /** Starts one seat, or starts it again; does not wait until it is ready. */
  start(role: MemberRole, id: number, options: StartOptions = {}): LabProcess {
    const seat = this.seats.find((candidate) => candidate.role === role && candidate.id === id);
    if (seat === undefined) throw new CliError(`the cluster has no ${role} ${id}`);
    const args = [
      "run",
      role,
      "-f",
      this.configPath,
      "--id",
      `${id}`,
      ...(seat.args ?? []),
      ...(options.args ?? []),
    ];
    const started = this.launch(`${role} ${id}`, seat.host, args, options);
    this.#bySeat.set(`${role} ${id}`, started);
    return started;
  }

  /** Starts every seat that does not run, in the order of the seats, and waits until all seats are ready. */
  async startAll(timeoutMs = 15_000): Promise<void> {
    const all = this.seats.map(({ role, id }) => {
      const newest = this.#bySeat.get(`${role} ${id}`);
      return newest?.isRunning === true ? newest : this.start(role, id);
    });
    await Promise.all(all.map((one) => one.ready(timeoutMs)));
  }

  /** The newest process of a seat. */
  member(role: MemberRole, id: number): LabProcess {
    const found = this.#bySeat.get(`${role} ${id}`);
    if (found === undefined) throw new CliError(`${role} ${id} was not started`);
    return found;
  }

  /** Starts a client. Its figures come as JSON lines on standard output. */
  client(host: number, args: readonly string[], options: ProcessOptions = {}): LabProcess {
    return this.launch("client", host, ["run", "client", "-f", this.configPath, ...args], options);
  }

  /** Asks everything that runs to end, newest first, and waits for it. */
  async stopAll(timeoutMs = 3000): Promise<{ readonly process: LabProcess; readonly ending: Ending }[]> {
    const running = this.processes.filter((one) => one.isRunning).reverse();
    return await Promise.all(
      running.map(async (one) => ({ process: one, ending: await one.stop(timeoutMs) })),
    );
  }

  /** Kills what is left and cleans up. May be called again. */
  close(): void {
    process.off("exit", this.#onExit);
    for (const one of this.processes) one.kill("SIGKILL");
    try {
      this.network.close();
    } finally {
      rmSync(this.directory, { recursive: true, force: true });
    }
  }
}
