/**
 * UDP, IPv4 and IPv6, through one socket.
 */
import { CliError, ExitCode } from "../error.ts";
import { Errno, errnoError } from "../native/unwrap.ts";
import { type Address, formatAddress, isIpv4, isUnspecified } from "./address.ts";
import { ADDRESS_WORDS } from "./link.ts";
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
  /** Datagrams of a step to one destination pass the kernel as one, where it can do that. */
  readonly offload?: boolean;
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
  const words = commonOptions(Kind.udp, options, options.maxPayload ?? MAX_DATAGRAM);
  const any = address === undefined || isUnspecified(address);
  words[Option.family] = isIpv4(where) ? 4 : 6;
  words[Option.flags] =
    (any && !isIpv4(where) ? Flag.dualStack : 0) | (options.offload === true ? Flag.offload : 0);
  words.set(where, Option.address);
  const handle = openHandle(words);
  if (handle < 0) throw openError(-handle, formatAddress("udp", where));
  return new SystemLink("udp", handle, options);
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
