/**
 * Where multicasts of a cluster go over UDP, and whether it has any. Pure.
 */
import {
  type Address,
  formatAddress,
  isIpv4,
  isLoopback,
  isMulticast,
  MULTICAST_GROUPS,
  parseAddress,
  parseUdp,
} from "../net/address.ts";
import { crc32c } from "../protocol/crc32c.ts";
import type { Config, Member, Settings } from "./config.ts";
import { PORTS_APART } from "./groups.ts";
import type { Members } from "./members.ts";
import type { Place, Report } from "./report.ts";
import { SCHEMA } from "./schema.ts";

const NO_MULTICAST = "no";
/** An address by the name of the cluster and its acceptors. */
const DERIVED = "yes";
const DERIVED_PORT = 8799;
const WORDS_WITHOUT_SCOPE = 5;
const KEY = SCHEMA.udpMulticast.key;

/** One frame reaches everyone of a role: raw Ethernet, or UDP where IP multicast was asked for. Not in the Kernel_Paxos wire. */
export function hasMulticast(config: Pick<Config, "link" | "settings">): boolean {
  const { wire, udpMulticast } = config.settings;
  return wire === "native" && (config.link === "ethernet" || udpMulticast.toLowerCase() !== NO_MULTICAST);
}

/** The first address of the multicasts of a cluster, or of the group whose view it is, over UDP; undefined: it has none. */
export function multicastOf(config: Config): Address | undefined {
  if (config.link !== "udp" || !hasMulticast(config)) return undefined;
  const { settings, acceptors, group } = config;
  const first = firstOf(settings, acceptors, isIpv4(acceptors[0]!.address.words));
  return first && parseUdp(first.host, first.port + Math.max(0, group) * PORTS_APART);
}

/** Errors where the setting is no address that members of these addresses could use. */
export function checkMulticast(settings: Settings, members: Members, place: Place, report: Report): void {
  const all = [...members.acceptors, ...members.proposers, ...members.learners].map(({ address }) => address);
  if (members.link !== "udp" || all.length === 0) return;
  const v4 = isIpv4(all[0]!.words);
  const example = v4 ? "239.255.7.0:8799" : "[ff15::7:0]:8799";
  const first = firstOf(settings, members.acceptors, v4);
  const refuse = (why: string, hint: string) =>
    report.error(place, `${KEY} ${settings.udpMulticast}: ${why}`, hint);
  if (first === undefined || isIpv4(first.words) !== v4) {
    const kind = v4 ? "IPv4" : "IPv6";
    return refuse(
      `this is no ${kind} multicast address and port`,
      `take one like ${example}, or yes for one by the cluster's name and acceptors`,
    );
  }
  if (!v4 && isWithinHost(first)) return refuse("no frame to it leaves a host", `take one like ${example}`);
  if (lastByte(first) % MULTICAST_GROUPS !== 0) {
    return refuse(
      `the ${MULTICAST_GROUPS} addresses from there on are used, and must differ in their last three bits alone`,
      `let its last byte be a multiple of ${MULTICAST_GROUPS}, as in ${example}`,
    );
  }
  if (!v4 && all.some(isLoopback)) {
    return refuse("the loopback interface carries no IPv6 multicast", `remove ${KEY}, or use 127.0.0.1`);
  }
  checkPorts(first.port, all, settings.groups, refuse);
}

function checkPorts(
  port: number,
  members: readonly Address[],
  groups: number,
  refuse: (why: string, hint: string) => void,
): void {
  const last = port + (groups - 1) * PORTS_APART;
  if (last > 65535) {
    return refuse(
      `with ${groups} groups ports up to ${last} would be needed`,
      `take a port up to ${65535 - last + port}`,
    );
  }
  const taken = members.find(
    (member) =>
      member.kind === "udp" &&
      (member.port - port) % PORTS_APART === 0 &&
      Math.abs(member.port - port) < groups * PORTS_APART,
  );
  if (taken === undefined) return;
  const whose = formatAddress("udp", taken.words);
  const groupsToo = groups === 1 ? "" : `, or what its groups have (${PORTS_APART} apart)`;
  refuse(
    `port ${port} is what the member at ${whose} has${groupsToo}`,
    `multicasts need a port of their own: ${KEY} ADDRESS:PORT`,
  );
}

function firstOf(
  { udpMulticast, cluster }: Settings,
  acceptors: readonly Member[],
  v4: boolean,
): Extract<Address, { kind: "udp" }> | undefined {
  const isDerived = udpMulticast.toLowerCase() === DERIVED;
  const first = isDerived ? derived(cluster, acceptors, v4) : parseAddress(udpMulticast);
  return first?.kind === "udp" && isMulticast(first) ? first : undefined;
}

/**
 * Administratively scoped (RFC 2365), or transient within the site (RFC 4291), by the cluster's name and acceptors: two clusters on one
 * network that have the same name, as those without one, would take each other's learners for their own. The number of an
 * interface in an address is no part of it: each host has its own.
 */
function derived(cluster: string, acceptors: readonly Member[], v4: boolean): Address {
  const places = acceptors.map(({ address }) => address.words.slice(0, WORDS_WITHOUT_SCOPE).join());
  const name = new TextEncoder().encode([cluster, ...places].join("\0"));
  const hash = crc32c(name, 0, name.length);
  const [high, low] = [(hash >>> 8) & 0xff, hash & 0xff & -MULTICAST_GROUPS];
  const host = v4 ? `239.255.${high}.${low}` : `ff15::6b70:${((high << 8) | low).toString(16)}`;
  return parseUdp(host, DERIVED_PORT)!;
}

/** Of interface-local scope, or one that is reserved (RFC 4291). */
function isWithinHost({ words }: Address): boolean {
  return ((words[0]! >>> 8) & 0xf) < 2;
}

function lastByte({ words }: Address): number {
  return words[3]! >>> 24;
}
