/**
 * Where a local cluster lives: hosts of a laboratory with raw Ethernet or UDP between them, or plain processes with
 * UDP on the loopback interface. A network gives members their addresses and starts programs on its hosts.
 */
import { isIPv6 } from "node:net";
import { CliError } from "../../src/error.ts";
import type { LabChild } from "../../src/ops/child.ts";
import { freePorts } from "../../src/ops/free_ports.ts";
import { Children, type SpawnOptions } from "./children.ts";
import type { Lab } from "./lab.ts";

export interface Network {
  readonly link: "ethernet" | "udp";
  /** One line for people. */
  readonly description: string;
  /** The address of the next member on this host, as `paxos.conf` has it. */
  takeAddress(host: number): string;
  spawn(host: number, argv: readonly string[], options?: SpawnOptions): LabChild;
  close(): void;
}

/** Raw Ethernet: every role on a host has the host's MAC. */
export function ethernetNetwork(lab: Lab): Network {
  return {
    link: "ethernet",
    description: `${lab.hosts.length} network namespaces on a bridge, raw Ethernet`,
    takeAddress: (host) => hostOf(lab, host).mac,
    spawn: (host, argv, options) => lab.spawn(host, argv, options),
    close: () => lab.close(),
  };
}

/** UDP between the hosts of a laboratory that has IP addresses. */
export function labUdpNetwork(lab: Lab, family: "ip" | "ip6" = "ip"): Network {
  let port = 8800;
  return {
    link: "udp",
    description: `${lab.hosts.length} network namespaces on a bridge, UDP`,
    takeAddress: (host) => {
      const address = hostOf(lab, host)[family];
      if (address === undefined) throw new CliError("this laboratory was made without IP addresses");
      return `${address} ${port++}`;
    },
    spawn: (host, argv, options) => lab.spawn(host, argv, options),
    close: () => lab.close(),
  };
}

/** Ports of this process's networks on loopback: those of members that do not run seem free. */
const taken = new Set<number>();

async function ownPorts(count: number, address: string): Promise<number[]> {
  for (;;) {
    const ports = await freePorts(count, address);
    if (ports.some((port) => taken.has(port))) continue;
    for (const port of ports) taken.add(port);
    return ports;
  }
}

/** UDP on this machine's loopback interface; hosts are a fiction. `count` addresses can be taken. */
export async function loopbackNetwork(count: number, address = "127.0.0.1"): Promise<Network> {
  const own = await ownPorts(count, address);
  const ports = [...own];
  const children = new Children();
  const closeNow = (): void => {
    process.off("exit", closeNow);
    children.kill();
    for (const port of own) taken.delete(port);
  };
  process.on("exit", closeNow);
  return {
    link: "udp",
    description: `UDP on ${isIPv6(address) ? `[${address}]` : address}`,
    takeAddress: () => {
      const port = ports.pop();
      if (port === undefined) throw new CliError(`only ${count} addresses were asked for`);
      return `${address} ${port}`;
    },
    spawn: (_host, argv, options = {}) => children.spawn(argv, options),
    close: closeNow,
  };
}

function hostOf(lab: Lab, index: number): Lab["hosts"][number] {
  const host = lab.hosts[index];
  if (host === undefined) throw new CliError(`the laboratory has no host ${index}`);
  return host;
}
