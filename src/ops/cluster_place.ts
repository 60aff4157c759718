/**
 * Where a cluster's processes live: named network namespaces on a bridge, the same inside a user namespace of an
 * ordinary user, or this machine's loopback interface. Makes the place, finds the way in, removes it.
 *
 * Invariant: everything here is a function of the written state, so any later command can do it too.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { CliError, ExitCode, exitCodeOf, messageOf } from "../error.ts";
import { diesWithUs } from "./child.ts";
import { aliveSeats, type ClusterState } from "./cluster_state.ts";
import { addHost, type BridgePlan, buildBridge } from "./lab_build.ts";
import { canMakeNamespaces, insideUserNamespace } from "./lab_capability.ts";
import { type Host, MAX_HOSTS, makeHosts } from "./lab_names.ts";
import { removeNamespaces } from "./lab_sweep.ts";
import { identify, isAlive, processesWith, signal } from "./process_id.ts";

const MTU = 1500;
const IN_MEMORY = "/dev/shm";
/** In the environment of every process of a cluster. */
export const TOKEN_VARIABLE = "KPAXOS_LAUNCHED_BY";

/** Where, and what is spoken there: `udp` between hosts on a bridge; on the loopback interface it is nothing else. */
export type Place = Pick<ClusterState, "kind" | "udp">;

export interface Choice extends Place {
  readonly reason: string;
}

/**
 * The best place that this user may have; asking for Ethernet makes anything less an error. `udp` is on the loopback interface,
 * `udp-hosts` between hosts on a bridge, where these are possible.
 */
export function choosePlace(link: "ethernet" | "udp" | "udp-hosts" | undefined): Choice {
  if (link === "udp") return { kind: "loopback", reason: "UDP was asked for" };
  const ability = canMakeNamespaces();
  if (ability.ok) {
    const udp = link === "udp-hosts";
    return ability.reenter
      ? { kind: "user", udp, reason: "in a user namespace of our own" }
      : { kind: "root", udp, reason: "running as root" };
  }
  if (link === "ethernet") {
    throw new CliError(`raw Ethernet is not possible here: ${ability.reason}`, {
      exitCode: ExitCode.noPermission,
      hint: ability.hint,
    });
  }
  const lacks = link === "udp-hosts" ? "no network namespaces" : "no raw Ethernet";
  return { kind: "loopback", reason: `${lacks}: ${ability.reason}` };
}

export function describePlace({ kind, udp }: Place, hosts: number): string {
  if (kind === "loopback") return "UDP on 127.0.0.1";
  return `${hosts} network namespaces on a bridge, ${udp === true ? "UDP" : "raw Ethernet"}`;
}

export function linkOf({ kind, udp }: Place): "ethernet" | "udp" {
  return kind === "loopback" || udp === true ? "udp" : "ethernet";
}

function shortHash(directory: string): string {
  return createHash("sha256").update(directory).digest("hex").slice(0, 6);
}

/** Namespaces of a cluster carry its name, and a mark of its directory: names are unique per directory only. */
export function prefixOf(name: string, directory: string): string {
  return `kpx-${name}-${shortHash(directory)}-`;
}

/** Where learners keep their delivery devices: in memory when this machine has a place for that. */
export function deviceDirectoryOf(name: string, directory: string): string {
  return existsSync(IN_MEMORY)
    ? join(IN_MEMORY, `kpaxos-${name}-${shortHash(directory)}`)
    : join(directory, "devices");
}

export function makeDeviceDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new CliError(`no place for delivery devices: ${messageOf(cause)}`, {
      exitCode: exitCodeOf(cause),
      hint: "this user must be able to make directories there: the cluster's learners keep what they deliver in it",
      cause,
    });
  }
  if (statSync(path).uid === process.getuid?.()) return;
  throw new CliError(`${path} belongs to another user`, {
    exitCode: ExitCode.noPermission,
    hint: "use another --name",
  });
}

export function hostsOf(state: ClusterState): Host[] {
  return makeHosts(state.prefix, state.hosts, state.udp === true);
}

/** What stands before a command to be where the namespaces' names are known. */
function enter(state: ClusterState): string[] {
  if (state.kind !== "user") return [];
  // Should the keeper have been killed, any process that lives in the place shows the way as well.
  const door = [state.keeper, ...aliveSeats(state).map((seat) => seat.process)].find(isAlive);
  if (door === undefined) {
    throw new CliError(`the network of cluster ${state.name} is gone: nothing of it runs any more`, {
      hint: "start it anew: kpaxos cluster up --replace",
    });
  }
  return ["nsenter", "-t", `${door.pid}`, "-U", "-m", "-n", "--preserve-credentials", "--"];
}

/** Entering a mount namespace leads to its root: the working directory has to be chosen again. */
const CHANGE_DIRECTORY = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh"];

/** The command line that runs `argv` on a host of the cluster. */
export function commandOn(
  state: ClusterState,
  host: number,
  argv: readonly string[],
  directory: string = process.cwd(),
): string[] {
  if (state.kind === "loopback") return [...argv];
  const name = hostsOf(state)[host]?.name;
  if (name === undefined) throw new CliError(`the cluster has no host ${host}`);
  if (state.kind === "root" && !existsSync(`/run/netns/${name}`) && !existsSync(`/var/run/netns/${name}`)) {
    throw new CliError(`the network namespace ${name} is gone`, {
      hint: "the machine was restarted, or somebody removed it: kpaxos cluster up --replace",
    });
  }
  const there = ["ip", "netns", "exec", name, ...argv];
  return state.kind === "root" ? there : [...enter(state), ...CHANGE_DIRECTORY, directory, ...there];
}

function planOf(state: ClusterState): BridgePlan {
  return { hub: `${state.prefix}hub`, mtu: MTU, ip: state.udp === true, bridge: true, enter: enter(state) };
}

function refuseHosts(hosts: number): void {
  if (hosts <= MAX_HOSTS) return;
  throw new CliError(`a local cluster has at most ${MAX_HOSTS} hosts, not ${hosts}`, {
    exitCode: ExitCode.usage,
    hint: "each role has a host of its own, and clients have one",
  });
}

/** Starts the process that holds a user namespace open, and waits until it does. */
async function startKeeper(state: ClusterState, dies: boolean): Promise<void> {
  if (/^(\/var)?\/run\//.test(state.directory)) {
    throw new CliError(`${state.directory} cannot be seen from inside a user namespace`, {
      exitCode: ExitCode.usage,
      hint: "choose a directory that is not in /run: --dir DIR",
    });
  }
  const stay = ["sh", "-c", "echo ready && exec sleep 2147483647 >/dev/null 2>&1"];
  const child = Bun.spawn(insideUserNamespace(dies ? diesWithUs(stay) : stay), {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, [TOKEN_VARIABLE]: state.token },
    cwd: "/",
    detached: true,
  });
  state.keeper = identify(child.pid);
  for await (const chunk of child.stdout) {
    if (chunk.length === 0) continue;
    child.unref();
    return;
  }
  throw new CliError(`a user namespace cannot be made: ${(await child.stderr.text()).trim()}`, {
    exitCode: ExitCode.noPermission,
    hint: "run as root, or use --link udp",
  });
}

/** Makes everything. `dies`: the processes it needs end with this one. */
export async function makePlace(state: ClusterState, dies: boolean): Promise<void> {
  refuseHosts(state.hosts);
  makeDeviceDirectory(state.deviceDirectory);
  if (state.kind === "loopback") return;
  if (state.kind === "user") await startKeeper(state, dies);
  // Left of a cluster whose written state somebody removed: names with this prefix can be nobody else's.
  else removeNamespaces(namespacesOf(state));
  buildBridge(planOf(state), hostsOf(state));
}

/** One host more; returns its number. */
export function addClusterHost(state: ClusterState): number {
  const index = state.hosts;
  refuseHosts(index + 1);
  state.hosts = index + 1;
  if (state.kind === "loopback") return index;
  try {
    addHost(planOf(state), hostsOf(state)[index]!, index);
  } catch (error) {
    dropClusterHost(state);
    throw error;
  }
  return index;
}

/** Takes back the newest host. */
export function dropClusterHost(state: ClusterState): void {
  const name = hostsOf(state)[state.hosts - 1]?.name;
  state.hosts--;
  if (state.kind === "loopback" || name === undefined) return;
  if (state.kind === "root") removeNamespaces([name]);
  else Bun.spawnSync([...enter(state), "ip", "netns", "delete", name], { stderr: "ignore" });
}

function namespacesOf(state: ClusterState): string[] {
  const directory = ["/run/netns", "/var/run/netns"].find((path) => existsSync(path));
  if (directory === undefined) return [];
  const rest = /^(h\d+|hub)$/;
  return readdirSync(directory).filter(
    (name) => name.startsWith(state.prefix) && rest.test(name.slice(state.prefix.length)),
  );
}

/** Kills what is left of the cluster and removes its network and devices. May be called again. */
export function removePlace(state: ClusterState): void {
  for (const one of processesWith(`${TOKEN_VARIABLE}=${state.token}`)) signal(one, "SIGKILL");
  if (state.keeper !== undefined) signal(state.keeper, "SIGKILL");
  const left = state.kind === "root" ? removeNamespaces(namespacesOf(state)) : [];
  rmSync(state.deviceDirectory, { recursive: true, force: true });
  if (left.length > 0) throw new CliError(`network namespaces could not be removed: ${left.join(", ")}`);
}
