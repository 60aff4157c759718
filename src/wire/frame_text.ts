/**
 * Frames as text, for `kpaxos frame`: hex ⇄ bytes, and which wire a frame belongs to. What a wire's messages say is the
 * wire's own business (`kernel_paxos_text.ts`, `native_text.ts`). Never prints.
 */
import type { WireName } from "../config/config.ts";
import { KERNEL_PAXOS_FIRST, KERNEL_PAXOS_LAST, NATIVE_ETHERTYPE } from "../net/ethertypes.ts";

import {
  type DecodedFrame,
  type EncodedFrame,
  type EncodeOptions,
  type FrameFields,
  formatEtherType,
  parseHex,
  type Refusal,
} from "./frame_fields.ts";
import { decodeKernelPaxosText, encodeKernelPaxosText } from "./kernel_paxos_text.ts";

export interface DecodeOptions {
  /** Undefined: what the EtherType or `udp` says, else native. */
  readonly wire: WireName | undefined;
  readonly etherType: number | undefined;
  /** The payload is a datagram. */
  readonly udp: boolean;
  /** The 14 bytes of the Ethernet header come first. */
  readonly frame: boolean;
  /** Of the cluster whose frame it is (native wire). */
  readonly keys?: readonly Uint8Array[];
}

const ETHERNET_HEADER = 14;
/** So much of what is no hex is said again. */
const SHOWN = 40;

/** "0xcafc" or "51964". */
export function parseEtherType(text: string): number | undefined {
  if (!/^(0x[0-9a-f]{1,4}|[0-9]{1,5})$/i.test(text)) return undefined;
  const value = Number(text);
  return value <= 0xffff ? value : undefined;
}

export async function decodeHex(text: string, options: DecodeOptions): Promise<DecodedFrame | Refusal> {
  let payload = parseHex(text);
  if (payload === undefined) {
    const begins = JSON.stringify(text.slice(0, SHOWN));
    return { error: `not a payload in hex: an even number of hex digits is needed, not ${begins}` };
  }
  let etherType = options.etherType;
  if (options.frame) {
    if (payload.length < ETHERNET_HEADER) {
      return { error: `${payload.length} bytes are less than an Ethernet header (${ETHERNET_HEADER})` };
    }
    etherType = payload[12]! * 256 + payload[13]!;
    payload = payload.slice(ETHERNET_HEADER);
  }
  const wire = options.wire ?? wireOf(options.udp, etherType);
  if (wire === "kernel-paxos") return decodeKernelPaxosText(payload, options.udp ? undefined : etherType);
  if (etherType !== undefined && etherType !== NATIVE_ETHERTYPE) {
    const native = `${formatEtherType(NATIVE_ETHERTYPE)} is native`;
    const other = `${formatEtherType(KERNEL_PAXOS_FIRST)} to ${formatEtherType(KERNEL_PAXOS_LAST)} are Kernel_Paxos`;
    const whose =
      options.wire === undefined
        ? `of neither wire: ${native}, ${other}`
        : `not the native wire's: ${native}`;
    return { error: `EtherType ${formatEtherType(etherType)} is ${whose}` };
  }
  if (payload.length === 0)
    return { error: "an empty payload: give one in hex, or - to read one a line from standard input" };
  const { decodeNativeText } = await import("./native_text.ts");
  const messages: readonly FrameFields[] | Refusal = decodeNativeText(payload, options.keys);
  return "error" in messages ? messages : { messages, notes: [] };
}

function wireOf(udp: boolean, etherType: number | undefined): WireName {
  if (udp) return "kernel-paxos";
  const kernelPaxos =
    etherType !== undefined && etherType >= KERNEL_PAXOS_FIRST && etherType <= KERNEL_PAXOS_LAST;
  return kernelPaxos ? "kernel-paxos" : "native";
}

export async function encodeFields(
  fields: FrameFields,
  options: EncodeOptions,
): Promise<EncodedFrame | Refusal> {
  if (options.wire === "kernel-paxos") return encodeKernelPaxosText(fields, options);
  const { encodeNativeText } = await import("./native_text.ts");
  const frame: { readonly payload: Uint8Array } | Refusal = encodeNativeText(fields);
  if ("error" in frame) return frame;
  return { etherType: options.udp ? undefined : NATIVE_ETHERTYPE, payload: frame.payload, notes: [] };
}

/** Reads one line of JSON as the fields of a message. */
export function parseFields(line: string): FrameFields | Refusal {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { error: "not JSON: one object a line is needed, as frame decode --json prints them" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { error: "not a JSON object" };
  const fields: Record<string, string | number> = Object.create(null);
  for (const [key, field] of Object.entries(value)) {
    if (typeof field !== "string" && typeof field !== "number") {
      return { error: `${key}: a number, or hex in a string, is needed` };
    }
    fields[key] = field;
  }
  return fields;
}

/** `accept iid=1 promiseIid=0 ballot=10 value=6869 "hi"` */
export function formatMessage(fields: FrameFields): string {
  const words: string[] = [];
  for (const [key, field] of Object.entries(fields)) {
    if (key === "message") words.push(String(field));
    else words.push(`${key}=${field}`);
    if (key === "value") words.push(...readable(String(field)));
  }
  return words.join(" ");
}

const READABLE_BYTES = 64;

function readable(hex: string): string[] {
  const bytes = parseHex(hex);
  if (bytes === undefined || bytes.length === 0 || bytes.length > READABLE_BYTES) return [];
  if (bytes.some((byte) => byte < 0x20 || byte > 0x7e)) return [];
  return [JSON.stringify(String.fromCharCode(...bytes))];
}
