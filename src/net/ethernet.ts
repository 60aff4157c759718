/**
 * Raw Ethernet through a packet socket that hears an interface and `lo`, or through two with a receive queue each.
 */
import { CliError, ExitCode } from "../error.ts";
import { Errno, errnoError } from "../native/unwrap.ts";
import { type Program, packProgram } from "./filter.ts";
import { type InterfaceInfo, interfaceNamed, listInterfaces } from "./interfaces.ts";
import {
  commonOptions,
  Flag,
  Kind,
  Option,
  openHandle,
  SystemLink,
  type SystemLinkOptions,
} from "./system_link.ts";

export interface EthernetOptions extends SystemLinkOptions {
  readonly interfaceName: string;
  /** The one EtherType to hear; null for all that the filter admits. */
  readonly etherType: number | null;
  readonly filter: Program;
  /** What it admits has a receive queue of its own, which is read after the other one. Nothing passes both filters. */
  readonly secondFilter?: Program | undefined;
  /** The group address to join, as address words. */
  readonly multicastMac?: Uint32Array | undefined;
  readonly mode?: "recvmmsg" | "ring";
  readonly promiscuous?: boolean;
  /** Hear and reach `lo` too, for peers on this host. Default: yes. */
  readonly alsoLo?: boolean;
  /** Frames of a step with one mark to one destination pass the kernel as one, where it can do that (`link.ts`). */
  readonly offload?: boolean;
  /** Only frames of this EtherType carry the checksum; default: all. */
  readonly mainEtherType?: number;
}

/** Frames are no longer than this by default, also where the MTU would allow it (`lo`: 65536). */
const MAX_DEFAULT_PAYLOAD = 9000;

export function openEthernet(options: EthernetOptions): SystemLink {
  const target = interfaceNamed(options.interfaceName, listInterfaces());
  if (!target.ethernet) throw notEthernet(target.name);
  const maxPayload = options.maxPayload ?? Math.min(target.mtu, MAX_DEFAULT_PAYLOAD);
  const filter = packProgram(options.filter);
  const second = packProgram(options.secondFilter ?? []);
  const words = new Uint32Array(Option.words + filter.length + second.length);
  const common = commonOptions(Kind.ethernet, options, maxPayload);
  words.set(common);
  common.fill(0);
  words[Option.mainEtherType] = options.mainEtherType ?? 0;
  words[Option.flags] = flagsOf(options);
  words[Option.ifindex] = target.index;
  words[Option.bindEtherType] = options.etherType ?? 0;
  if (options.multicastMac !== undefined) words.set(options.multicastMac.subarray(0, 2), Option.multicast);
  words[Option.filterCount] = options.filter.length;
  words[Option.secondFilterCount] = options.secondFilter?.length ?? 0;
  words.set(filter, Option.words);
  words.set(second, Option.words + filter.length);
  const handle = openHandle(words);
  if (handle < 0) throw openError(-handle, target);
  return new SystemLink("ethernet", handle, options);
}

function flagsOf(options: EthernetOptions): number {
  let flags = 0;
  if (options.mode === "ring") flags |= Flag.ring;
  if (options.promiscuous === true) flags |= Flag.promiscuous;
  if (options.alsoLo !== false) flags |= Flag.alsoLo;
  if (options.multicastMac !== undefined) flags |= Flag.multicast;
  if (options.offload === true) flags |= Flag.offload;
  return flags;
}

function notEthernet(name: string): CliError {
  return new CliError(`${name} is no Ethernet interface`, {
    exitCode: ExitCode.unavailable,
    hint: "name another one with --if, or use UDP: give IP addresses and ports in paxos.conf",
  });
}

function openError(errno: number, target: InterfaceInfo): CliError {
  if (errno === Errno.EPROTONOSUPPORT) return notEthernet(target.name);
  if (errno === Errno.EPERM || errno === Errno.EACCES) {
    return new CliError(`no permission for raw Ethernet on ${target.name} (CAP_NET_RAW)`, {
      exitCode: ExitCode.noPermission,
      hint: `run as root, or once: setcap cap_net_raw+ep ${process.execPath}`,
    });
  }
  return errnoError(errno, `open raw Ethernet on ${target.name}`);
}
