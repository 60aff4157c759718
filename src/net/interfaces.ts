/**
 * The network interfaces of this host, and which one a role is meant to use.
 */
import { CliError, ExitCode } from "../error.ts";
import { library } from "../native/library.ts";
import { unwrap } from "../native/unwrap.ts";
import { formatAddress, parseMac } from "./address.ts";
import { ADDRESS_WORDS } from "./link.ts";

export interface InterfaceInfo {
  readonly index: number;
  readonly name: string;
  /** Lower case, with colons. */
  readonly mac: string;
  /** The MAC as address words (`link.ts`). */
  readonly words: Uint32Array;
  readonly mtu: number;
  readonly up: boolean;
  /** Up, and the cable is in. */
  readonly running: boolean;
  readonly loopback: boolean;
  /** Has Ethernet frames (`lo` does). */
  readonly ethernet: boolean;
}

export interface WantedInterface {
  /** MAC of the role's line in paxos.conf. */
  readonly mac?: string | undefined;
  /** `--if`. */
  readonly flag?: string | undefined;
  /** `interface` in paxos.conf. */
  readonly configured?: string | undefined;
  readonly minMtu?: number | undefined;
}

// Words of ffi/kpaxos.h.
const WORDS = 10;
const NAME_BYTE = 24;
const NAME_BYTES = 16;
const Flag = { up: 1, running: 2, loopback: 4, ethernet: 8 } as const;

/** What the smallest frames of either wire need. */
const LEAST_MTU = 256;

export function listInterfaces(): InterfaceInfo[] {
  for (let room = 64; ; room *= 4) {
    const words = new Uint32Array(room * WORDS);
    const count = unwrap(library().kpx_interfaces(words, words.length), "list network interfaces");
    if (count <= room) return Array.from({ length: count }, (_, i) => interfaceAt(words, i * WORDS));
  }
}

/** Brings an interface up, as `ip link set NAME up` does. */
export function bringUp(name: string): void {
  const bytes = new TextEncoder().encode(name);
  unwrap(library().kpx_interface_up(bytes, bytes.length), `bring ${name} up`);
}

export function interfaceNamed(name: string, interfaces: readonly InterfaceInfo[]): InterfaceInfo {
  const found = interfaces.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new CliError(`there is no network interface ${name}`, {
    exitCode: ExitCode.unavailable,
    hint: `this host has: ${listed(interfaces)}`,
  });
}

/**
 * The interface whose MAC is the role's address, else `--if`, else `interface`, else the only one it can be. On `lo`
 * a role may have any address: there, all frames reach everyone.
 */
export function findInterface(
  wanted: WantedInterface,
  interfaces: readonly InterfaceInfo[] = listInterfaces(),
): InterfaceInfo {
  return usable(choose(wanted, interfaces), wanted.minMtu ?? LEAST_MTU);
}

function choose(wanted: WantedInterface, interfaces: readonly InterfaceInfo[]): InterfaceInfo {
  const flagged = isSet(wanted.flag) ? interfaceNamed(wanted.flag, interfaces) : undefined;
  if (flagged?.loopback === true) return flagged;
  if (isSet(wanted.mac)) return byAddress(wanted.mac, flagged, wanted.configured, interfaces);
  if (flagged !== undefined) return flagged;
  if (isSet(wanted.configured)) return interfaceNamed(wanted.configured, interfaces);
  return onlyCandidate(interfaces);
}

function byAddress(
  text: string,
  flagged: InterfaceInfo | undefined,
  configured: string | undefined,
  interfaces: readonly InterfaceInfo[],
): InterfaceInfo {
  const mac = parseMac(text);
  const owners = interfaces.filter((one) => mac?.kind === "ethernet" && one.mac === mac.mac);
  if (flagged !== undefined) {
    if (owners.includes(flagged)) return flagged;
    throw notHere(
      `interface ${flagged.name} has MAC ${flagged.mac}, not this role's address ${text}`,
      interfaces,
    );
  }
  const named = interfaces.find((one) => one.name === configured);
  if (named !== undefined && (named.loopback || owners.includes(named))) return named;
  if (owners.length === 0) throw notHere(`this role's address ${text} is not on this host`, interfaces);
  // A bridge or VLAN shares the MAC of what it stands on.
  const up = owners.filter((one) => one.up);
  if (up.length > 1) throw ambiguous(`several interfaces have the MAC ${text}`, up);
  return up[0] ?? owners[0]!;
}

function onlyCandidate(interfaces: readonly InterfaceInfo[]): InterfaceInfo {
  const candidates = interfaces.filter((one) => one.up && one.ethernet && !one.loopback);
  if (candidates.length === 1) return candidates[0]!;
  if (candidates.length > 1) throw ambiguous("several network interfaces could be meant", candidates);
  throw new CliError("no Ethernet interface is up on this host", {
    exitCode: ExitCode.unavailable,
    hint: `this host has: ${listed(interfaces)}; for roles on one host only: --if lo`,
  });
}

function usable(chosen: InterfaceInfo, minMtu: number): InterfaceInfo {
  const { name } = chosen;
  const fail = (message: string, hint: string) =>
    new CliError(message, { exitCode: ExitCode.unavailable, hint });
  if (!chosen.ethernet) throw fail(`${name} is no Ethernet interface`, "name another one with --if");
  if (!chosen.up) throw fail(`interface ${name} is down`, `bring it up: ip link set ${name} up`);
  if (chosen.mtu < minMtu) {
    throw fail(
      `the MTU of ${name} is ${chosen.mtu}, at least ${minMtu} is needed`,
      `ip link set ${name} mtu ${minMtu}`,
    );
  }
  return chosen;
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}

function notHere(message: string, interfaces: readonly InterfaceInfo[]): CliError {
  return new CliError(message, {
    exitCode: ExitCode.unavailable,
    hint: `this host has: ${listed(interfaces)}; correct paxos.conf or --id, or use --if lo for tests on one host`,
  });
}

function ambiguous(message: string, candidates: readonly InterfaceInfo[]): CliError {
  return new CliError(`${message}: ${candidates.map((one) => one.name).join(", ")}`, {
    exitCode: ExitCode.usage,
    hint: "choose one: --if NAME, or `interface NAME` in paxos.conf",
  });
}

function listed(interfaces: readonly InterfaceInfo[]): string {
  const texts = interfaces.map((one) => `${one.name} (${one.mac}${one.up ? "" : ", down"})`);
  return texts.length === 0 ? "none" : texts.join(", ");
}

function interfaceAt(table: Uint32Array, at: number): InterfaceInfo {
  const bytes = new Uint8Array(table.buffer, at * 4 + NAME_BYTE, NAME_BYTES);
  const end = bytes.indexOf(0);
  const words = new Uint32Array(ADDRESS_WORDS);
  words.set(table.subarray(at + 3, at + 5));
  const flags = table[at + 1]!;
  return {
    index: table[at]!,
    name: new TextDecoder().decode(bytes.subarray(0, end < 0 ? NAME_BYTES : end)),
    mac: formatAddress("ethernet", words),
    words,
    mtu: table[at + 2]!,
    up: (flags & Flag.up) !== 0,
    running: (flags & Flag.running) !== 0,
    loopback: (flags & Flag.loopback) !== 0,
    ethernet: (flags & Flag.ethernet) !== 0,
  };
}
