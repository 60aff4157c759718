/**
 * Opens what a process speaks through: the link (raw Ethernet or UDP) that fits the configuration and its role, and the wire
 * on it.
 */
import type { Config, Member } from "../config/config.ts";
import { multicastOf } from "../config/multicast.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { openEthernet } from "../net/ethernet.ts";
import { NATIVE_ETHERTYPE } from "../net/ethertypes.ts";
import {
  foreignLifeFilter,
  kernelPaxosFilter,
  nativeFilter,
  type Program,
  type Share,
} from "../net/filter.ts";
import { findInterface, type InterfaceInfo, listInterfaces } from "../net/interfaces.ts";
import type { ChecksumOptions } from "../net/link.ts";
import { Peers } from "../net/peers.ts";
import type { SystemLink } from "../net/system_link.ts";
import { openUdp } from "../net/udp.ts";
import { type Life, Role } from "../protocol/types.ts";
import { KernelPaxosWire, kernelPaxosTypes } from "../wire/kernel_paxos.ts";

import { Members } from "../wire/members.ts";
import { multicastAddress, NativeWire } from "../wire/native.ts";
import { LENGTH_OFFSET } from "../wire/native_layout.ts";
import { clusterIdOf } from "./identity.ts";
import { clusterKeys, fingerprint } from "./key_file.ts";

/** Payload of a native datagram that an Ethernet of 1500 bytes carries whole, also over IPv6. */
const NATIVE_DATAGRAM_BYTES = 1452;
/** With `busy-poll` a waiting step spins for so long before it sleeps. */
const SPIN_US = 5_000;
/** One entry with a value of 64 bytes: less is no use to anybody. */
const LEAST_VALUE_BYTES = 80;
const RX_SLOTS = 128;
const TX_SLOTS = 512;
/** What a turn sends at most, as the kernel counts it (it caps this where CAP_NET_ADMIN is missing): a slow card gets it without loss. */
const SEND_BUFFER_BYTES = TX_SLOTS * 4096;

export interface OpenOptions {
  readonly config: Config;
  readonly log: Log;
  /** The configured place of this process; undefined for one that needs none (a client, an unlisted learner). */
  readonly member: Member | undefined;
  /** Bits of the roles it listens for, and those that it is as a member of the configuration. */
  readonly listens: number;
  readonly owns: number;
  readonly id: number;
  readonly life: Life;
}

export interface Opened {
  readonly link: SystemLink;
  readonly wire: NativeWire | KernelPaxosWire;
  readonly peers: Peers;
  readonly members: Members;
  /** For people: where this process is reached. */
  readonly where: string;
  /** Raw Ethernet: what has happened to the interface since then, so that frames cannot leave, and what to do. */
  readonly interfaceChange?: () => string | undefined;
}

export function open(options: OpenOptions): Opened {
  const { config } = options;
  const keys = clusterKeys(config);
  const checksum: ChecksumOptions = { lengthOffset: LENGTH_OFFSET, keys };
  const multicast = udpMulticastOf(options);
  const { link, ...place } =
    config.link === "udp" ? openUdpLink(options, multicast, checksum) : openEthernetLink(options, checksum);
  sayAuthentication(options, keys);
  // The link has its own form of them.
  for (const key of keys) key.fill(0);
  const peers = new Peers();
  const byAddress = config.settings.wire === "kernel-paxos";
  const members = new Members(config, link, peers, byAddress, options.owns, options.id);
  const wireOptions = {
    link,
    peers,
    members,
    roles: options.listens,
    id: options.id,
    life: options.life,
    clusterId: clusterIdOf(config),
    group: config.group,
    multicast: multicast?.words,
  };
  const wire = byAddress ? new KernelPaxosWire(wireOptions) : new NativeWire(wireOptions);
  if (wire.maxValue < LEAST_VALUE_BYTES) {
    link.close();
    const count = config.acceptors.length;
    throw new CliError(
      `${count} acceptors leave no room for a value in a frame of ${link.maxPayload} bytes`,
      {
        exitCode: ExitCode.config,
        hint: "a promise names the generation of each acceptor: use fewer, or a larger MTU",
      },
    );
  }
  return { link, wire, peers, members, ...place };
}

/** Who may speak in this cluster, said once. */
function sayAuthentication({ config, log }: OpenOptions, keys: readonly Uint8Array[]): void {
  if (keys.length > 0) {
    const [signs, accepted] = keys.map(fingerprint);
    log.info(`cluster-key: signs with ${signs}${accepted === undefined ? "" : `, accepts ${accepted} too`}`);
  } else if (config.link === "ethernet") {
    const why =
      config.settings.wire === "native" ? "no cluster-key" : "no authentication in the Kernel_Paxos wire";
    log.info(`${why}: anyone on this network segment can take part in this cluster, and break it`);
  }
}

/** Clients and hosts of sessions are told nothing by multicast, and tell nothing so; these may listen where no members are. */
function udpMulticastOf({ config, listens }: OpenOptions): Address | undefined {
  return (listens & (Role.acceptor | Role.proposer | Role.learner)) === 0 ? undefined : multicastOf(config);
}

function openUdpLink(
  { config, log, member, listens, life }: OpenOptions,
  first: Address | undefined,
  checksum: ChecksumOptions,
): Pick<Opened, "link" | "where"> {
  const native = config.settings.wire === "native";
  const toward = member?.address ?? config.acceptors[0]!.address;
  const multicast = first && { first, toward, roles: listens, filter: foreignLifeFilter(life) };
  if (first !== undefined) {
    const where = formatAddress("udp", first.words);
    log.info(`what is for many goes to ${where} and the addresses behind it (udp-multicast)`);
  }
  const link = openUdp({
    multicast,
    address: member?.address,
    rxSlots: RX_SLOTS,
    txSlots: TX_SLOTS,
    receiveBufferBytes: config.settings.receiveBufferBytes,
    sendBufferBytes: SEND_BUFFER_BYTES,
    spinUs: config.settings.busyPoll ? SPIN_US : 0,
    offload: config.settings.offload,
    ...(native ? { maxPayload: NATIVE_DATAGRAM_BYTES, checksum } : {}),
  });
  const where =
    member?.address.kind === "udp" ? `UDP ${member.address.host} port ${member.address.port}` : "UDP";
  return { link, where };
}

function openEthernetLink(
  options: OpenOptions,
  checksum: ChecksumOptions,
): Pick<Opened, "link" | "where" | "interfaceChange"> {
  const { config, log, member, listens, life } = options;
  const { settings } = config;
  const interfaces = listInterfaces();
  const fromFlag = config.origins.interface.from === "flag";
  const target = findInterface(
    {
      mac: member?.address.kind === "ethernet" ? member.address.mac : neighbourMac(options, interfaces),
      flag: fromFlag ? settings.interface : undefined,
      configured: fromFlag ? undefined : settings.interface,
    },
    interfaces,
  );
  const lo = loopbackFor(config, target, interfaces);
  const common = {
    interfaceName: target.name,
    etherType: null,
    mode: settings.receiveMode,
    promiscuous: settings.promiscuous,
    rxSlots: RX_SLOTS,
    txSlots: TX_SLOTS,
    receiveBufferBytes: settings.receiveBufferBytes,
    sendBufferBytes: SEND_BUFFER_BYTES,
    spinUs: settings.busyPoll ? SPIN_US : 0,
    alsoLo: lo !== undefined,
  };
  const places = { ifindex: target.index, loIndex: lo?.index ?? target.index, mac: target.words };
  const where = `${target.name} ${target.mac}`;
  const interfaceChange = (): string | undefined => changeOf(target);
  // Who never leads is sent no client values.
  const splits = settings.receiveQueues === 2 && (listens & Role.proposer) !== 0;
  const filters = (of: (share: Share) => Program) =>
    splits ? { filter: of("protocol"), secondFilter: of("values") } : { filter: of("all") };
  const opened = (link: SystemLink) => {
    const queues = splits ? 2 : 1;
    if (settings.receiveMode === "ring" && link.rings < queues)
      log.warn(withoutRing(where, queues - link.rings));
    return { link, where, interfaceChange };
  };
  if (settings.wire === "kernel-paxos") {
    const etherTypes = kernelPaxosTypes(listens);
    const own = filters((share) => kernelPaxosFilter({ ...places, etherTypes, share }));
    return opened(openEthernet({ ...common, ...own }));
  }
  const multicastMac = multicastAddress(clusterIdOf(config), config.group);
  const rest = { multicastMac, rolesMask: listens, group: config.group, life };
  const link = openEthernet({
    ...common,
    ...filters((share) => nativeFilter({ ...places, ...rest, share, bundles: settings.offload })),
    offload: settings.offload,
    multicastMac,
    mainEtherType: NATIVE_ETHERTYPE,
    checksum,
  });
  return opened(link);
}

function withoutRing(where: string, queues: number): string {
  const which = queues > 1 ? "the receive queues" : "a receive queue";
  return `the kernel has no ring for ${which} of ${where}: frames come as with receive-mode recvmmsg, lone ones later (a smaller receive-buffer may help)`;
}

function changeOf({ index, mtu }: InterfaceInfo): string | undefined {
  const now = listInterfaces().find((one) => one.index === index);
  if (now === undefined) return "it was removed, or made anew, since this process began: start it again";
  if (now.mtu >= mtu) return undefined;
  return `its MTU is ${now.mtu}, and was ${mtu} when this process began: set it back, or start this process and the others of this segment again`;
}

/**
 * A process without a line of its own uses the interface that carries a configured address, if there is just one on
 * this host and the user did not name another.
 */
function neighbourMac({ config }: OpenOptions, interfaces: readonly InterfaceInfo[]): string | undefined {
  if (config.settings.interface !== "") return undefined;
  const macs = [config.acceptors, config.proposers, config.learners]
    .flat()
    .map(({ address }) => (address.kind === "ethernet" ? address.mac : ""));
  const here = interfaces.filter(({ mac, ethernet }) => ethernet && macs.includes(mac));
  return here.length === 1 ? here[0]!.mac : undefined;
}

/** The loopback interface, through which peers on this host are heard; undefined when it is down and nobody needs it. */
function loopbackFor(
  config: Config,
  target: InterfaceInfo,
  interfaces: readonly InterfaceInfo[],
): InterfaceInfo | undefined {
  const lo = interfaces.find((one) => one.loopback);
  if (lo?.up === true) return lo;
  const lists = [config.acceptors, config.proposers, config.learners];
  const here = lists
    .flat()
    .filter((one) => one.address.kind === "ethernet" && one.address.mac === target.mac);
  if (here.length > 1) {
    throw new CliError(
      `several roles share ${target.name} (${target.mac}), and the loopback interface is down`,
      {
        exitCode: ExitCode.unavailable,
        hint: "roles on one host hear each other through it: ip link set lo up",
      },
    );
  }
  return undefined;
}
