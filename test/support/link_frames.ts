/**
 * Puts frames into a link's tx slots and reads received ones, for tests of links.
 */
import {
  ADDRESS,
  ADDRESS_WORDS,
  DESCRIPTOR_WORDS,
  LENGTH,
  type Link,
  OFFSET,
  PORTS,
  PROTOCOL,
} from "../../src/net/link.ts";

export interface Received {
  readonly payload: Uint8Array;
  readonly protocol: number;
  readonly ports: number;
  readonly from: Uint32Array;
}

export function put(
  link: Link,
  slot: number,
  to: Uint32Array,
  ports: number,
  payload: Uint8Array,
  protocol = 0,
): void {
  const { bytes, words } = link.area;
  const at = link.txBase + slot * DESCRIPTOR_WORDS;
  bytes.set(payload, words[at + OFFSET]!);
  words[at + LENGTH] = payload.length;
  words[at + PROTOCOL] = protocol;
  words[at + PORTS] = ports;
  words.set(to.subarray(0, ADDRESS_WORDS), at + ADDRESS);
}

export function send(
  link: Link,
  to: Uint32Array,
  ports: number,
  payload: Uint8Array,
  protocol = 0,
): Received[] {
  put(link, 0, to, ports, payload, protocol);
  return frames(link, link.step(1, 0));
}

/** Frames that come until `quietUs` pass without one. */
export function receive(link: Link, quietUs = 20_000): Received[] {
  const all: Received[] = [];
  for (let count = link.step(0, quietUs); count > 0; count = link.step(0, quietUs)) {
    all.push(...frames(link, count));
  }
  return all;
}

/** Of the step that returned `count`. */
export function frames(link: Link, count: number): Received[] {
  const { bytes, words } = link.area;
  return Array.from({ length: count }, (_, i) => {
    const at = link.rxBase + i * DESCRIPTOR_WORDS;
    const offset = words[at + OFFSET]!;
    if (offset % 4 !== 0) throw new Error(`payload at ${offset}: not 4-aligned`);
    return {
      payload: bytes.slice(offset, offset + words[at + LENGTH]!),
      protocol: words[at + PROTOCOL]!,
      ports: words[at + PORTS]!,
      from: words.slice(at + ADDRESS, at + ADDRESS + ADDRESS_WORDS),
    };
  });
}
