/**
 * Where multicasts of a cluster go over UDP, and whether it has any. Pure.
 */
import { type Address, isIpv4, isMulticast, parseAddress, parseUdp } from "../net/address.ts";
import { MULTICAST_GROUPS } from "../net/link.ts";
import { crc32c } from "../protocol/crc32c.ts";
import type { Config, Settings } from "./config.ts";
import { PORTS_APART } from "./groups.ts";

export const NO_MULTICAST = "no";
export const DERIVED_MULTICAST = "yes";
/** Of the derived address. */
const PORT = 7400;

/** One frame reaches everyone of a role: raw Ethernet, or UDP where IP multicast was asked for. Not in the Kernel_Paxos wire. */
export function hasMulticast(config: Pick<Config, "link" | "settings">): boolean {
  const { wire, udpMulticast } = config.settings;
  return wire === "native" && (config.link === "ethernet" || udpMulticast !== NO_MULTICAST);
}

/** The first address of a cluster's (or, in its view, a group's) multicasts over UDP; undefined: it has none. */
export function multicastOf(config: Config): Address | undefined {
  if (config.link !== "udp" || !hasMulticast(config)) return undefined;
  const group = Math.max(0, config.group);
  return multicastIn(config.settings, group, isIpv4(config.acceptors[0]!.address.words));
}

/** Undefined: the setting names no address, or its port is too high for the group. */
export function multicastIn(settings: Settings, group: number, v4: boolean): Address | undefined {
  const { udpMulticast, cluster } = settings;
  if (udpMulticast === DERIVED_MULTICAST) return derived(cluster, PORT + group * PORTS_APART, v4);
  const first = parseAddress(udpMulticast);
  if (first?.kind !== "udp" || !isMulticast(first)) return undefined;
  return parseUdp(first.host, first.port + group * PORTS_APART);
}

/** Administratively scoped (RFC 2365), or transient within the site (RFC 4291), by the name of the cluster. */
function derived(cluster: string, port: number, v4: boolean): Address {
  const name = new TextEncoder().encode(cluster);
  const hash = crc32c(name, 0, name.length);
  const [high, low] = [(hash >>> 8) & 0xff, hash & 0xff & -MULTICAST_GROUPS];
  const host = v4 ? `239.255.${high}.${low}` : `ff15::6b70:${((high << 8) | low).toString(16)}`;
  return parseUdp(host, port)!;
}
