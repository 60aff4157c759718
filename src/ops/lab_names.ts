/**
 * Names, addresses and `ip` scripts of a laboratory. Pure: it computes text and starts nothing.
 *
 * A name carries the pid of its owner (`kpx<pid>h0`, a second laboratory of the same process `kpx<pid>-1h0`), so
 * that whoever comes later can tell a leftover from a laboratory in use.
 */
export interface Host {
  /** Name of the network namespace. */
  readonly name: string;
  readonly interface: string;
  readonly mac: string;
  /** Addresses inside the namespace; undefined in a laboratory without IP. */
  readonly ip: string | undefined;
  readonly ip6: string | undefined;
}

/** Hosts are numbered by one byte of their addresses, and 255 would be a broadcast. */
export const MAX_HOSTS = 254;
export const HOST_INTERFACE = "eth0";
const BRIDGE = "br0";
const NAME = /^kpx(\d+)(?:-\d+)?(?:h\d+|hub|try)$/;

/** The pid that owns a namespace of ours; undefined when the name is not ours. */
export function ownerOf(name: string): number | undefined {
  const pid = NAME.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

export function labPrefix(pid: number, sequence: number): string {
  return sequence === 0 ? `kpx${pid}` : `kpx${pid}-${sequence}`;
}

export function hostMac(index: number): string {
  // Locally administered; the middle bytes spell "KP".
  return `02:4b:50:00:00:${(index + 1).toString(16).padStart(2, "0")}`;
}

export function hostIp(index: number): string {
  return `10.75.80.${index + 1}`;
}

export function makeHosts(prefix: string, count: number, ip: boolean): Host[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `${prefix}h${index}`,
    interface: HOST_INTERFACE,
    mac: hostMac(index),
    ip: ip ? hostIp(index) : undefined,
    ip6: ip ? `fd4b:5058::${(index + 1).toString(16)}` : undefined,
  }));
}

/** The end of host `index`'s cable in the hub's namespace. */
export function portName(index: number): string {
  return `p${index}`;
}

/**
 * Shell script to be run inside a fresh namespace before it has interfaces. What is written to `default` holds for
 * interfaces made later: without IPv6 on them the wire stays free of neighbour and multicast-listener reports.
 */
export function sysctlScript(ip6: boolean): string {
  const lines = [
    "set -e",
    "put() { if [ -e /proc/sys/net/$1 ]; then echo $2 > /proc/sys/net/$1; fi; }",
    "put ipv6/conf/default/accept_ra 0",
    "put ipv6/conf/default/autoconf 0",
    "put ipv6/conf/default/router_solicitations 0",
    `put ipv6/conf/default/disable_ipv6 ${ip6 ? 0 : 1}`,
    "for table in iptables ip6tables arptables; do put bridge/bridge-nf-call-$table 0; done",
  ];
  return lines.join("\n");
}

/** The cable of host `index`, from its namespace to the hub's. */
export function cableLines(host: Host, index: number, mtu: number, bridge: boolean): string[] {
  const port = portName(index);
  const portMac = host.mac.replace("02:4b:50:00", "02:4b:50:ff");
  return [
    `link add ${port} mtu ${mtu} address ${portMac} type veth peer name ${host.interface} ` +
      `netns ${host.name} mtu ${mtu} address ${host.mac}`,
    `link set ${port} ${bridge ? `master ${BRIDGE} ` : ""}addrgenmode none up`,
  ];
}

/** Commands for `ip -batch -` in the hub's namespace. */
export function hubScript(hosts: readonly Host[], mtu: number, bridge: boolean): string {
  const lines = ["link set lo up"];
  if (bridge) {
    lines.push(
      `link add ${BRIDGE} address 02:4b:50:fe:00:00 type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      `link set ${BRIDGE} mtu ${mtu} addrgenmode none up`,
    );
  }
  for (const [index, host] of hosts.entries()) lines.push(...cableLines(host, index, mtu, bridge));
  return `${lines.join("\n")}\n`;
}

/** Commands for `ip -batch -` in a host's namespace. */
export function hostScript(host: Host): string {
  const lines = ["link set lo up", `link set ${host.interface} addrgenmode none up`];
  if (host.ip !== undefined) lines.push(`address add ${host.ip}/24 dev ${host.interface}`);
  // nodad: an address that is still being checked for duplicates cannot be bound.
  if (host.ip6 !== undefined) lines.push(`address add ${host.ip6}/64 dev ${host.interface} nodad`);
  return `${lines.join("\n")}\n`;
}
