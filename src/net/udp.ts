/**
 * UDP, IPv4 and IPv6, through one socket.
 */
import { CliError, ExitCode } from "../error.ts";
import { library } from "../native/library.ts";
import { Errno, errnoError, errnoName } from "../native/unwrap.ts";
import { type Address, formatAddress, isIpv4, isUnspecified } from "./address.ts";
import { type Program, packProgram } from "./filter.ts";
import { ADDRESS_WORDS, MULTICAST_GROUPS } from "./link.ts";
import {
  commonOptions,
  Flag,
  Kind,
  Option,
  openHandle,
  SystemLink,
  type SystemLinkOptions,
} from "./system_link.ts";

export interface UdpOptions extends SystemLinkOptions {
  /** Where to listen; without it any port of any address, which is what a client needs. */
  readonly address?: Address | undefined;
  readonly multicast?: UdpMulticast | undefined;
  /** Datagrams of a step to one destination pass the kernel as one, where it can do that. */
  readonly offload?: boolean;
}

/** Multicasts are sent and heard through the interface by which `toward` is reached. */
export interface UdpMulticast {
  /** The first of MULTICAST_GROUPS addresses, and the port. */
  readonly first: Address;
  /** The roles whose multicasts are heard. */
  readonly roles: number;
  readonly toward: Address;
  readonly filter: Program;
}

/** The largest datagram IPv4 can carry. */
export const MAX_DATAGRAM = 65507;

/** Listening on `::` takes IPv4 as well. */
export function openUdp(options: UdpOptions = {}): SystemLink {
  const { address } = options;
  if (address !== undefined) return open(options, address.words, address);
  try {
    return open(options, new Uint32Array(ADDRESS_WORDS), undefined);
  } catch (error) {
    if (!(error instanceof NoIpv6)) throw error;
    return open(options, new Uint32Array([0, 0, 0xffff0000, 0, 0, 0]), undefined);
  }
}

class NoIpv6 extends CliError {}

function open(options: UdpOptions, where: Uint32Array, address: Address | undefined): SystemLink {
  const common = () => udpOptions(options, where, address);
  const { multicast } = options;
  const handle = openHandle(multicast === undefined ? common() : withMulticast(common(), multicast));
  if (handle > 0) return new SystemLink("udp", handle, options);
  if (multicast !== undefined) {
    // Which of its two sockets it was nobody says.
    const alone = openHandle(common());
    if (alone > 0) {
      library().kpx_link_close(alone);
      throw multicastError(-handle, multicast);
    }
  }
  throw openError(-handle, formatAddress("udp", where));
}

function udpOptions(options: UdpOptions, where: Uint32Array, address: Address | undefined): Uint32Array {
  const words = commonOptions(Kind.udp, options, options.maxPayload ?? MAX_DATAGRAM);
  const any = address === undefined || isUnspecified(address);
  words[Option.family] = isIpv4(where) ? 4 : 6;
  words[Option.flags] =
    (any && !isIpv4(where) ? Flag.dualStack : 0) | (options.offload === true ? Flag.offload : 0);
  words.set(where, Option.address);
  return words;
}

/** `common` holds keys: none are left in it. */
function withMulticast(common: Uint32Array, multicast: UdpMulticast): Uint32Array {
  const filter = packProgram(multicast.filter);
  const words = new Uint32Array(Option.words + filter.length);
  words.set(common);
  common.fill(0);
  words[Option.flags]! |= Flag.multicast;
  words.set(multicast.first.words, Option.multicast);
  words.set(multicast.toward.words, Option.toward);
  for (let set = 1; set < MULTICAST_GROUPS; set++)
    if ((set & multicast.roles) !== 0) words[Option.groups]! |= 1 << set;
  words[Option.filterCount] = multicast.filter.length;
  words.set(filter, Option.words);
  return words;
}

function multicastError(errno: number, { first, toward }: UdpMulticast): CliError {
  const address = formatAddress("udp", first.words);
  const port = address.slice(address.lastIndexOf(":"));
  switch (errno) {
    case Errno.EADDRINUSE:
      return new CliError(`another program has the port of udp-multicast ${address}`, {
        hint: `ss -lunp 'sport = ${port}' names it; take another port, on all hosts: udp-multicast ADDRESS:PORT`,
      });
    case Errno.EACCES:
      return new CliError(`no permission to hear multicasts at ${address} (udp-multicast)`, {
        exitCode: ExitCode.noPermission,
        hint: "ports below 1024 need root or CAP_NET_BIND_SERVICE; take a higher one",
      });
    case Errno.ENETUNREACH:
    case Errno.EHOSTUNREACH:
      return new CliError(`cannot hear multicasts at ${address} (udp-multicast): ${errnoName(errno)}`, {
        exitCode: ExitCode.unavailable,
        hint: `they come through the interface that leads to ${formatAddress("udp", toward.words)}: is it up?`,
      });
    default:
      return errnoError(errno, `hear multicasts at ${address} (udp-multicast)`);
  }
}

function openError(errno: number, address: string): CliError {
  switch (errno) {
    case Errno.EADDRINUSE:
      return new CliError(`UDP address ${address} is in use`, {
        hint: `another process (of this role?) has it: ss -lunp 'sport = ${address.slice(address.lastIndexOf(":"))}'`,
      });
    case Errno.EADDRNOTAVAIL:
      return new CliError(`UDP address ${address} is not on this host`, {
        exitCode: ExitCode.unavailable,
        hint: "`ip address` lists those that are; correct it where it was given, or the id of this role",
      });
    case Errno.EACCES:
      return new CliError(`no permission to listen on ${address}`, {
        exitCode: ExitCode.noPermission,
        hint: "ports below 1024 need root or CAP_NET_BIND_SERVICE; take a higher one",
      });
    case Errno.EAFNOSUPPORT:
      return new NoIpv6(`cannot listen on ${address}: this system has no IPv6`, {
        exitCode: ExitCode.unavailable,
      });
    default:
      return errnoError(errno, `listen on ${address}`);
  }
}
