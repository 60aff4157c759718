/**
 * For tests of the Kernel_Paxos wire: the vectors of the reference, a link that is only memory, and a receiver that
 * writes down what it is told.
 */
import type { Config, Member } from "../../src/config/config.ts";
import { parseMac, parseUdp } from "../../src/net/address.ts";
import {
  ADDRESS,
  ADDRESS_WORDS,
  DESCRIPTOR_WORDS,
  LENGTH,
  type Link,
  OFFSET,
  PORTS,
  Port,
  PROTOCOL,
} from "../../src/net/link.ts";
import { Peers } from "../../src/net/peers.ts";
import type { Receiver } from "../../src/protocol/receiver.ts";
import { formatHex, parseHex } from "../../src/wire/frame_fields.ts";
import { KernelPaxosWire } from "../../src/wire/kernel_paxos.ts";
import type { MessageName } from "../../src/wire/kernel_paxos_message.ts";
import { Members } from "../../src/wire/members.ts";
import ethernet from "../testdata/kernel-paxos.json";
import udp from "../testdata/kernel-paxos-udp.json";

export interface Vector {
  readonly name: string;
  readonly message: MessageName;
  readonly etherType: number | undefined;
  readonly fields: Readonly<Record<string, number>>;
  readonly value: string | undefined;
  /** What the reference sends. */
  readonly payload: string;
  /** The whole form. */
  readonly packed: string;
}

export const camel = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

function camelFields(fields: object): Record<string, number> {
  const entries = Object.entries(fields).filter(([key]) => key !== "len");
  return Object.fromEntries(entries.map(([key, value]) => [camel(key), Number(value)]));
}

export const ethernetVectors: readonly Vector[] = ethernet.vectors.map((vector) => ({
  name: vector.name,
  message: camel(vector.type) as MessageName,
  etherType: Number(vector.ethertype),
  fields: camelFields(vector.fields),
  value: vector.value_hex,
  payload: vector.payload_hex,
  packed: vector.packed_hex ?? vector.payload_hex,
}));

export const udpVectors: readonly Vector[] = udp.vectors.map((vector) => {
  const length = "len" in vector.fields ? Number(vector.fields.len) : undefined;
  return {
    name: vector.name,
    message: camel(vector.name.replace(/-v\d+$/, "")) as MessageName,
    etherType: undefined,
    fields: camelFields(vector.fields),
    value:
      length === undefined ? undefined : vector.payload_hex.slice(vector.payload_hex.length - 2 * length),
    payload: vector.payload_hex,
    packed: vector.payload_hex,
  };
});

export const userFrames = ethernet.userFrames;
export const structOffsets = ethernet.structOffsets;

export function bytesOf(hex: string): Uint8Array {
  const bytes = parseHex(hex);
  if (bytes === undefined) throw new Error(`not hex: ${hex}`);
  return bytes;
}

const SLOT = 2048;

export function mac(last: number): Uint32Array {
  return parseMac(`02:4b:50:00:00:${last.toString(16).padStart(2, "0")}`)!.words;
}

export function ip(last: number, port = 8800): Uint32Array {
  return parseUdp(`10.0.0.${last}`, port)!.words;
}

/** Slots 0…3 receive, the others transmit. Steps never happen. */
export function memoryLink(kind: Link["kind"], own: Uint32Array, txSlots = 8, slotBytes = SLOT): Link {
  const rxSlots = 4;
  const slots = rxSlots + txSlots;
  const head = slots * DESCRIPTOR_WORDS * 4;
  const buffer = new ArrayBuffer(head + slots * slotBytes);
  const words = new Uint32Array(buffer);
  for (let i = 0; i < slots; i++) words[i * DESCRIPTOR_WORDS + OFFSET] = head + i * slotBytes;
  return {
    kind,
    area: { bytes: new Uint8Array(buffer), words, signed: new Int32Array(buffer) },
    rxBase: 0,
    txBase: rxSlots * DESCRIPTOR_WORDS,
    rxSlots,
    txSlots,
    bundlePayload: 0,
    maxPayload: Math.min(slotBytes, kind === "udp" ? 65507 : 1500),
    trailerBytes: 0,
    address: own,
    step: () => 0,
    send: () => undefined,
    counters: () => {
      throw new Error("this link counts nothing");
    },
    close: () => undefined,
  };
}

function members(addresses: readonly Uint32Array[]): Member[] {
  return addresses.map((words, id) => ({
    id,
    address: { kind: "ethernet", mac: "", words },
    line: 1,
    column: 1,
  }));
}

export interface Frame {
  readonly etherType: number;
  readonly payload: string;
  readonly ports: number;
  readonly to: Uint32Array;
}

export interface Bench {
  readonly link: Link;
  readonly peers: Peers;
  readonly wire: KernelPaxosWire;
  readonly calls: unknown[][];
  /** Delivers a payload from an address; returns what the receiver was told. */
  hear(etherType: number, payload: string, from: Uint32Array, port?: number): unknown[][];
  /** The frames filled since the last time. */
  sent(): Frame[];
}

export interface BenchOptions {
  readonly roles: number;
  readonly id?: number;
  readonly own: Uint32Array;
  readonly acceptors: readonly Uint32Array[];
  readonly proposers: readonly Uint32Array[];
  readonly kind?: Link["kind"];
  readonly txSlots?: number;
  readonly slotBytes?: number;
}

export function bench(options: BenchOptions): Bench {
  const link = memoryLink(options.kind ?? "ethernet", options.own, options.txSlots, options.slotBytes);
  const peers = new Peers(64);
  const config = {
    acceptors: members(options.acceptors),
    proposers: members(options.proposers),
    learners: [],
  } as unknown as Config;
  const wire = new KernelPaxosWire({
    link,
    peers,
    members: new Members(config, link, peers, true, options.roles, options.id ?? 0),
    roles: options.roles,
    life: 0,
    clusterId: 0,
    id: 0,
    group: 0,
  });
  const calls: unknown[][] = [];
  const receiver = recorder(calls);
  const { words, bytes } = link.area;
  return {
    link,
    peers,
    wire,
    calls,
    hear(etherType, payload, from, port = Port.wire) {
      const data = bytesOf(payload);
      bytes.fill(0xee, words[OFFSET]!, words[OFFSET]! + (options.slotBytes ?? SLOT));
      bytes.set(data, words[OFFSET]!);
      words[LENGTH] = data.length;
      words[PROTOCOL] = etherType;
      words[PORTS] = port;
      words.set(from, ADDRESS);
      const before = calls.length;
      wire.decode(0, port, receiver, 1);
      return calls.slice(before);
    },
    sent() {
      const frames: Frame[] = [];
      for (let i = 0; i < wire.seal(); i++) {
        const at = link.txBase + i * DESCRIPTOR_WORDS;
        const start = words[at + OFFSET]!;
        frames.push({
          etherType: words[at + PROTOCOL]!,
          payload: formatHex(bytes.slice(start, start + words[at + LENGTH]!)),
          ports: words[at + PORTS]!,
          to: words.slice(at + ADDRESS, at + ADDRESS + ADDRESS_WORDS),
        });
      }
      wire.clear();
      return frames;
    },
  };
}

/** Every call as its name and arguments; a value as hex, or null for none. The peer (first argument) is left out. */
function recorder(calls: unknown[][]): Receiver {
  return new Proxy({} as Receiver, {
    get:
      (_, name) =>
      (_from: number, ...args: unknown[]) => {
        const at = args.findIndex((arg) => arg instanceof Uint8Array);
        if (at < 0) {
          calls.push([name, ...args]);
          return;
        }
        const [bytes, offset, length] = args.slice(at) as [Uint8Array, number, number];
        const value = length < 0 ? null : formatHex(bytes.slice(offset, offset + length));
        calls.push([name, ...args.slice(0, at), value, ...args.slice(at + 3)]);
      },
  });
}
