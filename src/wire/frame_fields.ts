/**
 * What frames look like as text: fields of messages, and hex. Shared by the text forms of both wires.
 */
import type { WireName } from "../config/config.ts";

/** One message: its name as `message`, numbers as numbers, values in hex. Keys are in the order of the wire. */
export type FrameFields = Readonly<Record<string, string | number>>;

export interface Refusal {
  readonly error: string;
}

export interface DecodedFrame {
  readonly messages: readonly FrameFields[];
  /** What a person wants to know besides the fields. */
  readonly notes: readonly string[];
}

export interface EncodedFrame {
  /** Undefined for a datagram. */
  readonly etherType: number | undefined;
  readonly payload: Uint8Array;
  readonly notes: readonly string[];
}

export interface EncodeOptions {
  readonly wire: WireName;
  readonly udp: boolean;
  /** The form that the reference sends, without the last four bytes. */
  readonly cut: boolean;
}

/** Hex digits, with blanks, colons and a leading 0x allowed; undefined when they are something else. */
export function parseHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/^\s*0x/i, "").replace(/[\s:]/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(digits)) return undefined;
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.substr(2 * i, 2), 16),
  );
}

export function formatHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

export function formatEtherType(etherType: number): string {
  return `0x${etherType.toString(16).padStart(4, "0")}`;
}
