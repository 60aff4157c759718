/**
 * A laboratory: hosts that are network namespaces, each with one Ethernet interface, on one bridge in a namespace
 * of its own. Nothing of it is visible from outside, and nothing outside is changed.
 *
 * Invariants: every process started in it and every namespace of it is gone after `close`; `close` also runs at
 * exit and on a fatal signal; what a killed owner could not remove is swept by the next laboratory.
 */
import { CliError, ExitCode } from "../../src/error.ts";
import type { LabChild } from "../../src/ops/child.ts";
import { buildBridge } from "../../src/ops/lab_build.ts";
import { canMakeNamespaces } from "../../src/ops/lab_capability.ts";
import { type Host, labPrefix, MAX_HOSTS, makeHosts, portName } from "../../src/ops/lab_names.ts";
import { removeNamespaces, sweepLeftovers } from "../../src/ops/lab_sweep.ts";
import { Children, type SpawnOptions } from "./children.ts";

export interface LabOptions {
  readonly hosts: number;
  readonly mtu?: number;
  /** Gives the hosts IPv4 and IPv6 addresses. */
  readonly ip?: boolean;
  /** false: the cables end in the hub's namespace as `p0`, `p1`, … for a program that forwards frames itself. */
  readonly bridge?: boolean;
  /** false: the owner ends the laboratory itself when SIGINT, SIGTERM or SIGHUP arrives. */
  readonly handleSignals?: boolean;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const open = new Set<Lab>();
let created = 0;
let hooked = false;

function closeAll(): void {
  for (const lab of [...open]) lab.close();
}

function onSignal(signal: (typeof SIGNALS)[number]): void {
  closeAll();
  for (const name of SIGNALS) process.off(name, onSignal);
  // Now that the hook is gone, the signal does what it would have done without us.
  process.kill(process.pid, signal);
}

function hook(signals: boolean): void {
  if (!hooked) process.on("exit", closeAll);
  hooked = true;
  if (!signals) return;
  for (const signal of SIGNALS) {
    process.off(signal, onSignal);
    process.on(signal, onSignal);
  }
}

export class Lab {
  readonly hosts: readonly Host[];
  readonly mtu: number;
  /** Name of the namespace that holds the bridge and the hosts' other cable ends. */
  readonly hub: string;
  /** Interfaces of the hub's namespace, one per host. */
  readonly ports: readonly string[];
  readonly #children = new Children();

  private constructor(prefix: string, options: LabOptions) {
    this.hosts = makeHosts(prefix, options.hosts, options.ip ?? false);
    this.mtu = options.mtu ?? 1500;
    this.hub = `${prefix}hub`;
    this.ports = this.hosts.map((_, index) => portName(index));
  }

  static create(options: LabOptions): Lab {
    if (!Number.isInteger(options.hosts) || options.hosts < 1 || options.hosts > MAX_HOSTS) {
      throw new CliError(`a laboratory has 1 to ${MAX_HOSTS} hosts, not ${options.hosts}`, {
        exitCode: ExitCode.usage,
      });
    }
    const ability = canMakeNamespaces();
    if (!ability.ok || ability.reenter) {
      const reason = ability.ok ? "no permission to make network namespaces" : ability.reason;
      const hint = ability.ok ? "run it inside `unshare --user --map-root-user --net --mount`" : ability.hint;
      throw new CliError(reason, { exitCode: ExitCode.noPermission, hint });
    }
    sweepLeftovers();
    const lab = new Lab(labPrefix(process.pid, created++), options);
    open.add(lab);
    hook(options.handleSignals ?? true);
    try {
      lab.#build(options);
    } catch (error) {
      lab.close();
      throw error;
    }
    return lab;
  }

  #build(options: LabOptions): void {
    const plan = { hub: this.hub, mtu: this.mtu, ip: options.ip ?? false, bridge: options.bridge ?? true };
    buildBridge({ ...plan, enter: [] }, this.hosts);
  }

  /** Starts a program on host `index`. */
  spawn(index: number, argv: readonly string[], options: SpawnOptions = {}): LabChild {
    return this.#spawnIn(this.#host(index).name, argv, options);
  }

  /** Starts a program where the cables come together. */
  spawnInHub(argv: readonly string[], options: SpawnOptions = {}): LabChild {
    return this.#spawnIn(this.hub, argv, options);
  }

  /** Runs a program on host `index` to its end. */
  exec(index: number, argv: readonly string[]): ExecResult {
    return this.#execIn(this.#host(index).name, argv);
  }

  execInHub(argv: readonly string[]): ExecResult {
    return this.#execIn(this.hub, argv);
  }

  /** The command line that runs `argv` on host `index`, for whoever wants to type it. */
  commandOn(index: number, argv: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.#host(index).name, ...argv];
  }

  /** Ends every process and removes every namespace. May be called again. */
  close(): void {
    if (!open.has(this)) return;
    this.#children.kill();
    const left = removeNamespaces([...this.hosts.map((host) => host.name), this.hub]);
    open.delete(this);
    if (left.length > 0) throw new CliError(`network namespaces could not be removed: ${left.join(", ")}`);
  }

  #host(index: number): Host {
    const host = this.hosts[index];
    if (host === undefined) throw new CliError(`the laboratory has no host ${index}`);
    return host;
  }

  #spawnIn(name: string, argv: readonly string[], options: SpawnOptions): LabChild {
    if (!open.has(this)) throw new CliError("the laboratory is closed");
    return this.#children.spawn(["ip", "netns", "exec", name, ...argv], options);
  }

  #execIn(name: string, argv: readonly string[]): ExecResult {
    if (!open.has(this)) throw new CliError("the laboratory is closed");
    const result = Bun.spawnSync(["ip", "netns", "exec", name, ...argv], { stdin: "ignore" });
    return {
      exitCode: result.exitCode,
      stdout: result.stdout.toString(),
      stderr: result.stderr.toString(),
    };
  }
}
