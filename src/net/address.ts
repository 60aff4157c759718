/**
 * Addresses of peers: a MAC on raw Ethernet, an IP address and port on UDP. Pure: nothing is looked up, so host names
 * are no addresses. The words are laid out as `link.ts` says; two addresses are the same when their words are.
 */
import { assert } from "../protocol/assert.ts";
import { ADDRESS_WORDS, MULTICAST_GROUPS } from "./link.ts";

export type Address =
  | { readonly kind: "ethernet"; readonly mac: string; readonly words: Uint32Array }
  | { readonly kind: "udp"; readonly host: string; readonly port: number; readonly words: Uint32Array };

export { ADDRESS_WORDS, MULTICAST_GROUPS };

const MAC_PATTERN = /^[0-9a-f]{1,2}([:-])(?:[0-9a-f]{1,2}\1){4}[0-9a-f]{1,2}$/i;
const MAPPED_PREFIX = 0xffff0000;
const PORT_WORD = 4;
const SCOPE_WORD = 5;

/** `00:1a:2b:3c:4d:5e`; dashes and bytes of one digit are fine too. */
export function parseMac(text: string): Address | undefined {
  if (!MAC_PATTERN.test(text)) return undefined;
  const bytes = Uint8Array.from(text.split(/[:-]/), (byte) => Number.parseInt(byte, 16));
  const words = new Uint32Array(ADDRESS_WORDS);
  words[0] = wordAt(bytes, 0);
  words[1] = bytes[4]! | (bytes[5]! << 8);
  return { kind: "ethernet", mac: formatAddress("ethernet", words), words };
}

/** An IPv4 or IPv6 address (`fe80::1%2` with the interface's number as scope) and a port from 1 to 65535. */
export function parseUdp(host: string, port: number): Address | undefined {
  if (!Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  const words = new Uint32Array(ADDRESS_WORDS);
  const percent = host.indexOf("%");
  if (percent >= 0) {
    const scope = host.slice(percent + 1);
    if (!/^[1-9][0-9]{0,8}$/.test(scope)) return undefined;
    words[SCOPE_WORD] = Number(scope);
  }
  const bytes = parseIp(percent >= 0 ? host.slice(0, percent) : host);
  if (bytes === undefined) return undefined;
  for (let i = 0; i < 4; i++) words[i] = wordAt(bytes, 4 * i);
  // The kernel reports a scope for link-local peers only; anywhere else it would make equal addresses differ.
  if (percent >= 0 && !isLinkLocal(words)) return undefined;
  words[PORT_WORD] = port;
  return { kind: "udp", host: formatHost(words, 0), port, words };
}

/** One word, as `formatAddress` writes it: a MAC, `IP:port` or `[IPv6]:port`. */
export function parseAddress(text: string): Address | undefined {
  const mac = parseMac(text);
  if (mac !== undefined) return mac;
  const parts = /^(?:\[([^\]]*:[^\]]*)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  if (parts === null) return undefined;
  return parseUdp(parts[1] ?? parts[2]!, Number(parts[3]));
}

export function formatAddress(kind: Address["kind"], words: Uint32Array, at = 0): string {
  assert(at >= 0 && at + ADDRESS_WORDS <= words.length, "an address is ADDRESS_WORDS words");
  if (kind === "ethernet") {
    const digits: string[] = [];
    for (let i = 0; i < 6; i++) digits.push(byteAt(words, at, i).toString(16).padStart(2, "0"));
    return digits.join(":");
  }
  const host = formatHost(words, at);
  return `${host.includes(":") ? `[${host}]` : host}:${words[at + PORT_WORD]}`;
}

/** A group, or everyone: no single peer has this address. */
export function isMulticast(address: Address): boolean {
  const { words } = address;
  if (address.kind === "ethernet") return (words[0]! & 1) !== 0;
  if (isIpv4(words)) return byteAt(words, 0, 12) >> 4 === 14 || words[3] === 0xffffffff;
  return byteAt(words, 0, 0) === 0xff;
}

/** 0.0.0.0 or ::, which names no host. */
export function isUnspecified(address: Address): boolean {
  if (address.kind !== "udp") return false;
  return isIpv4(address.words) ? address.words[3] === 0 : isZeroUpTo(address.words, 4);
}

/** Reaches this host only: 127.0.0.0/8, ::1, and the MAC of `lo`. */
export function isLoopback(address: Address): boolean {
  const { words } = address;
  if (address.kind === "ethernet") return isZeroUpTo(words, 2);
  if (isIpv4(words)) return byteAt(words, 0, 12) === 127;
  return isZeroUpTo(words, 3) && words[3] === 0x01000000;
}

/** An IPv6 address fe80::/10 that names no interface, so that the kernel cannot know where to send. */
export function lacksScope(address: Address): boolean {
  return address.kind === "udp" && isLinkLocal(address.words) && address.words[SCOPE_WORD] === 0;
}

export function isIpv4(words: Uint32Array, at = 0): boolean {
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === MAPPED_PREFIX;
}

function isLinkLocal(words: Uint32Array): boolean {
  return byteAt(words, 0, 0) === 0xfe && (byteAt(words, 0, 1) & 0xc0) === 0x80;
}

function isZeroUpTo(words: Uint32Array, end: number): boolean {
  for (let i = 0; i < end; i++) if (words[i] !== 0) return false;
  return true;
}

function byteAt(words: Uint32Array, at: number, byte: number): number {
  return (words[at + (byte >> 2)]! >>> (8 * (byte & 3))) & 0xff;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** The 16 bytes of an IPv6 address, an IPv4 one as ::ffff:a.b.c.d. */
function parseIp(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16);
  if (!text.includes(":")) {
    bytes.fill(0xff, 10, 12);
    return putIpv4(text, bytes, 12) ? bytes : undefined;
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = hexGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? hexGroups(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const count = head.length + tail.length;
  if (halves.length === 1 ? count !== 8 : count > 7) return undefined;
  const groups = [...head, ...new Array<number>(8 - count).fill(0), ...tail];
  for (let i = 0; i < 8; i++) {
    bytes[2 * i] = groups[i]! >> 8;
    bytes[2 * i + 1] = groups[i]! & 0xff;
  }
  return bytes;
}

function hexGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes(".")) {
      const bytes = new Uint8Array(4);
      if (!putIpv4(part, bytes, 0)) return undefined;
      groups.push((bytes[0]! << 8) | bytes[1]!, (bytes[2]! << 8) | bytes[3]!);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

function putIpv4(text: string, bytes: Uint8Array, at: number): boolean {
  const parts = text.split(".");
  if (parts.length !== 4) return false;
  for (const [i, part] of parts.entries()) {
    // No leading zeros: other programs read those as octal.
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return false;
    bytes[at + i] = Number(part);
  }
  return true;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function formatHost(words: Uint32Array, at: number): string {
  if (isIpv4(words, at)) return [12, 13, 14, 15].map((i) => byteAt(words, at, i)).join(".");
  const groups: number[] = [];
  for (let i = 0; i < 8; i++) groups.push((byteAt(words, at, 2 * i) << 8) | byteAt(words, at, 2 * i + 1));
  let runAt = -1;
  let runLength = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > runLength) {
      runAt = i;
      runLength = end - i;
    }
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  const text =
    runAt < 0 ? hex(groups) : `${hex(groups.slice(0, runAt))}::${hex(groups.slice(runAt + runLength))}`;
  const scope = words[at + SCOPE_WORD]!;
  return scope === 0 ? text : `${text}%${scope}`;
}
