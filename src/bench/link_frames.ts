/**
 * The frames with which a link is measured, without Paxos: one kind goes one way and is counted, another is sent back. Written
 * straight into transmit slots, read straight from receive slots.
 *
 * | word | |
 * |---|---|
 * | 0 | magic |
 * | 1 | kind |
 * | 2 | number of this frame, or of the question it answers |
 * | 3 | begin: how the frames are to be received, as a number of `HOW`; 0: as they are |
 * | 3 … 6 | report: frames (low, high word), microseconds from the first to the last (low, high word) |
 */
import { type Address, formatAddress } from "../net/address.ts";
import { openEthernet } from "../net/ethernet.ts";
import { etherTypeFilter } from "../net/filter.ts";
import { interfaceNamed, listInterfaces } from "../net/interfaces.ts";
import {
  ADDRESS,
  ADDRESS_WORDS,
  DESCRIPTOR_WORDS,
  LENGTH,
  MARK,
  OFFSET,
  PORTS,
  Port,
  PROTOCOL,
} from "../net/link.ts";
import type { SystemLink } from "../net/system_link.ts";
import { openUdp } from "../net/udp.ts";

/** IEEE 802 local experimental EtherType 2: no role of a cluster hears it. */
const ETHERTYPE = 0x88b6;
const MAGIC = 0x4b504c42;
export const WORDS = 7;
/** Bytes of the smallest frame that carries them. */
export const LEAST_BYTES = 4 * WORDS;
/** What an Ethernet frame of 1500 bytes leaves a datagram over IPv6. */
const MOST_DATAGRAM_BYTES = 1452;
const RX_SLOTS = 256;
const TX_SLOTS = 64;
const RECEIVE_BUFFER_BYTES = 8 << 20;

export const Kind = { data: 1, ping: 2, pong: 3, begin: 4, begun: 5, ask: 6, report: 7 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** How frames pass the kernel: as with `offload`, or without it. */
export type Packets = "bundles" | "single";
const HOW: readonly (Packets | undefined)[] = [undefined, "bundles", "single"];

export interface LinkPlace {
  /** Network interface: raw Ethernet; undefined: UDP. */
  readonly interfaceName: string | undefined;
  /** UDP: where to listen; undefined: anywhere. */
  readonly listen: Address | undefined;
  readonly spinUs: number;
}

export function openLink({ interfaceName, listen, spinUs }: LinkPlace, packets: Packets): SystemLink {
  const common = { rxSlots: RX_SLOTS, txSlots: TX_SLOTS, receiveBufferBytes: RECEIVE_BUFFER_BYTES, spinUs };
  if (interfaceName === undefined)
    return openUdp({
      ...common,
      address: listen,
      maxPayload: MOST_DATAGRAM_BYTES,
      offload: packets === "bundles",
    });
  const bundles = packets === "bundles";
  const { index } = interfaceNamed(interfaceName, listInterfaces());
  const filter = etherTypeFilter({ ifindex: index, etherType: ETHERTYPE, bundles });
  return openEthernet({
    ...common,
    interfaceName,
    etherType: null,
    filter,
    mode: "ring",
    alsoLo: false,
    offload: bundles,
  });
}

/** Reads and writes one link's slots. */
export class LinkFrames {
  readonly link: SystemLink;
  readonly #words: Uint32Array;

  constructor(link: SystemLink) {
    this.link = link;
    this.#words = link.area.words;
  }

  /** Fills a transmit slot; the address stands from `address` on in `from`. */
  write(slot: number, kind: Kind, number: number, bytes: number, from: Uint32Array, address: number): void {
    const words = this.#words;
    const at = this.link.txBase + slot * DESCRIPTOR_WORDS;
    words[at + LENGTH] = bytes;
    words[at + PROTOCOL] = ETHERTYPE;
    words[at + PORTS] = Port.wire;
    for (let i = 0; i < ADDRESS_WORDS; i++) words[at + ADDRESS + i] = from[address + i]!;
    // Whoever takes bundles takes them of any frames of one EtherType.
    if (this.link.bundlePayload > 0) words[at + MARK] = kind === Kind.data ? 1 : 0;
    const payload = words[at + OFFSET]! >> 2;
    words[payload] = MAGIC;
    words[payload + 1] = kind;
    words[payload + 2] = number;
  }

  /** Words 3 … 6 of what a slot holds. */
  report(slot: number, frames: number, us: number): void {
    const payload = this.#words[this.link.txBase + slot * DESCRIPTOR_WORDS + OFFSET]! >> 2;
    this.#words[payload + 3] = frames % 2 ** 32;
    this.#words[payload + 4] = frames / 2 ** 32;
    this.#words[payload + 5] = us % 2 ** 32;
    this.#words[payload + 6] = us / 2 ** 32;
  }

  /** Word 3 of a `begin`. */
  wish(slot: number, packets: Packets): void {
    const payload = this.#words[this.link.txBase + slot * DESCRIPTOR_WORDS + OFFSET]! >> 2;
    this.#words[payload + 3] = HOW.indexOf(packets);
  }

  /** How whoever begins wants its frames received; undefined: as they are. */
  wishOf(slot: number): Packets | undefined {
    return HOW[this.#words[this.#payload(slot) + 3]!];
  }

  /** The kind of a received frame; 0: it is none of ours. */
  kindOf(slot: number): number {
    const at = this.#payload(slot);
    const long = this.#words[this.link.rxBase + slot * DESCRIPTOR_WORDS + LENGTH]! >= LEAST_BYTES;
    return long && this.#words[at] === MAGIC ? this.#words[at + 1]! : 0;
  }

  numberOf(slot: number): number {
    return this.#words[this.#payload(slot) + 2]!;
  }

  reportOf(slot: number): { readonly frames: number; readonly us: number } {
    const at = this.#payload(slot);
    const pair = (word: number): number => this.#words[at + word]! + this.#words[at + word + 1]! * 2 ** 32;
    return { frames: pair(3), us: pair(5) };
  }

  lengthOf(slot: number): number {
    return this.#words[this.link.rxBase + slot * DESCRIPTOR_WORDS + LENGTH]!;
  }

  /** Answers a received frame to where it came from. */
  answer(slot: number, into: number, kind: Kind): void {
    const from = this.link.rxBase + slot * DESCRIPTOR_WORDS + ADDRESS;
    const bytes = kind === Kind.pong ? this.lengthOf(slot) : LEAST_BYTES;
    this.write(into, kind, this.numberOf(slot), bytes, this.#words, from);
  }

  senderOf(slot: number): string {
    return formatAddress(this.link.kind, this.#words, this.link.rxBase + slot * DESCRIPTOR_WORDS + ADDRESS);
  }

  #payload(slot: number): number {
    return this.#words[this.link.rxBase + slot * DESCRIPTOR_WORDS + OFFSET]! >> 2;
  }
}
