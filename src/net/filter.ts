/**
 * Programs for the kernel's packet filter (classic BPF) that let only a node's own frames into its receive queue.
 * They run for every frame of the host, so they end early for foreign ones. A program sees a frame from its
 * Ethernet header on and reads numbers big-endian.
 *
 * Both drop frames of a VLAN that arrive on the parent interface: the kernel takes the tag out of the frame, and
 * they would look like the node's own. A tag that has a priority alone (802.1p, VLAN 0) makes no other network.
 */
import { assert } from "../protocol/assert.ts";
import type { Life } from "../protocol/types.ts";
import { KERNEL_PAXOS_FIRST, KERNEL_PAXOS_LAST, NATIVE_ETHERTYPE } from "./ethertypes.ts";

export interface Instruction {
  readonly code: number;
  /** How many instructions to skip when a comparison holds, and when not. */
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}
export type Program = readonly Instruction[];

/** Of the frames for a node: all; all but client values; or these and the other wire's. */
export type Share = "all" | "protocol" | "values";

export const KERNEL_PAXOS_ALL = (1 << (KERNEL_PAXOS_LAST - KERNEL_PAXOS_FIRST + 1)) - 1;

export interface FilterOptions {
  readonly ifindex: number;
  /** Index of `lo`, where it is to be heard too; the same as `ifindex` where that is `lo`. */
  readonly loIndex: number;
  /** Own MAC as address words (`link.ts`). Not looked at on `lo`, where every frame is for everyone. */
  readonly mac: Uint32Array;
}

export interface NativeFilterOptions extends FilterOptions {
  /** The cluster's multicast address, as address words. */
  readonly multicastMac: Uint32Array | undefined;
  /** Bits of the roles this process runs. */
  readonly rolesMask: number;
  readonly group: number;
  readonly life: Life;
  readonly etherType?: number;
  /** Told by a frame's first message: nothing else stands in a frame of client values (`wire/native_frames.ts`). */
  readonly share?: Share;
  /** Bundles of frames (ffi/ethernet_bundles.c) are let in, too, by the first of them. */
  readonly bundles?: boolean;
}

/** Where in a native frame its first message's type stands, and that of a client value (`wire/native_layout.ts`). */
export const FIRST_TYPE_AT = 28;
export const NATIVE_CLIENT_VALUE = 11;
/** Its bit among the EtherTypes of Kernel_Paxos. */
export const KERNEL_PAXOS_CLIENT_VALUE = 1 << 8;

export interface KernelPaxosFilterOptions extends FilterOptions {
  /** Bit i: EtherType 0xCAFA + i. */
  readonly etherTypes: number;
  readonly share?: Share;
}

/** Frames of this group for one of the roles from another life; and Kernel_Paxos frames, to tell the user of them. */
export function nativeFilter(options: NativeFilterOptions): Program {
  const { share = "all", etherType = NATIVE_ETHERTYPE, bundles = false } = options;
  const forUs: Label = share === "all" ? "accept" : "share";
  const program = begin(options);
  program.load(HALF, ETHERTYPE_AT);
  program.jump(EQUAL, etherType, "native", "next");
  if (bundles) program.jump(EQUAL, IPV4_ETHERTYPE, "bundle", "next");
  program.jump(AT_LEAST, KERNEL_PAXOS_FIRST, "next", "drop");
  program.jump(ABOVE, KERNEL_PAXOS_LAST, "drop", share === "protocol" ? "drop" : "own");
  if (bundles) {
    program.label("bundle");
    matchBundle(program, etherType);
    program.index(BUNDLE_PAYLOAD_AT);
    program.go("addressed");
  }
  program.label("native");
  program.index(PAYLOAD_AT);
  program.label("addressed");
  if (options.ifindex !== options.loIndex) {
    const { multicastMac } = options;
    matchMac(program, options.mac, "mine", multicastMac === undefined ? "drop" : "next");
    if (multicastMac !== undefined) matchMac(program, multicastMac, "mine", "drop");
  }
  program.label("mine");
  program.load(BYTE + INDEXED, 9);
  program.jump(ANY_BIT, options.rolesMask, "next", "drop");
  program.load(BYTE + INDEXED, 3);
  program.jump(EQUAL, options.group, "next", "drop");
  program.load(WORD + INDEXED, 16);
  program.jump(EQUAL, swap32(options.life), "next", forUs);
  program.load(WORD + INDEXED, 20);
  program.jump(EQUAL, swap32(Math.floor(options.life / 2 ** 32)), "drop", forUs);
  if (share !== "all") {
    program.label("share");
    program.load(BYTE + INDEXED, FIRST_TYPE_AT);
    const [value, other]: [Label, Label] = share === "values" ? ["accept", "drop"] : ["drop", "accept"];
    program.jump(EQUAL, NATIVE_CLIENT_VALUE, value, other);
  }
  return end(program, options);
}

/** Frames of one EtherType on one interface, and bundles of them. */
export function etherTypeFilter(
  options: Pick<FilterOptions, "ifindex"> & { readonly etherType: number; readonly bundles: boolean },
): Program {
  const { ifindex, etherType, bundles } = options;
  const program = begin({ ifindex, loIndex: ifindex });
  program.load(HALF, ETHERTYPE_AT);
  program.jump(EQUAL, etherType, "accept", bundles ? "next" : "drop");
  if (bundles) {
    program.jump(EQUAL, IPV4_ETHERTYPE, "next", "drop");
    matchBundle(program, etherType);
  }
  return finish(program);
}

/** Datagrams of another life, seen from their UDP header on: one's own multicasts come back. */
export function foreignLifeFilter(life: Life): Program {
  const program = new Assembler();
  program.load(WORD, DATAGRAM_AT + 16);
  program.jump(EQUAL, swap32(life), "next", "accept");
  program.load(WORD, DATAGRAM_AT + 20);
  program.jump(EQUAL, swap32(Math.floor(life / 2 ** 32)), "drop", "accept");
  return finish(program);
}

/** Kernel_Paxos frames of the given types to this node; and native ones, to tell the user of them. */
export function kernelPaxosFilter(options: KernelPaxosFilterOptions): Program {
  const { etherTypes, share = "all" } = options;
  const ofShare = {
    all: KERNEL_PAXOS_ALL,
    protocol: ~KERNEL_PAXOS_CLIENT_VALUE,
    values: KERNEL_PAXOS_CLIENT_VALUE,
  };
  const program = begin(options);
  program.load(HALF, ETHERTYPE_AT);
  program.jump(EQUAL, NATIVE_ETHERTYPE, share === "protocol" ? "drop" : "own", "next");
  program.put(SUBTRACT, KERNEL_PAXOS_FIRST);
  program.jump(AT_LEAST, KERNEL_PAXOS_LAST - KERNEL_PAXOS_FIRST + 1, "drop", "next");
  program.put(TO_INDEX, 0);
  program.put(IMMEDIATE, etherTypes & ofShare[share]);
  program.put(SHIFT_RIGHT_BY_INDEX, 0);
  program.jump(ANY_BIT, 1, "own", "drop");
  return end(program, options);
}

/** Two words per instruction, as the C library and the kernel take them. */
export function packProgram(program: Program): Uint32Array {
  const words = new Uint32Array(program.length * 2);
  program.forEach(({ code, jt, jf, k }, i) => {
    words[2 * i] = code | (jt << 16) | (jf << 24);
    words[2 * i + 1] = k;
  });
  return words;
}

// linux/bpf_common.h; linux/filter.h
const WORD = 0x20;
const HALF = 0x28;
const BYTE = 0x30;
const IMMEDIATE = 0x00;
const SUBTRACT = 0x14;
const SHIFT_RIGHT_BY_INDEX = 0x7c;
const TO_INDEX = 0x07;
const EQUAL = 0x15;
const ABOVE = 0x25;
const AT_LEAST = 0x35;
const ANY_BIT = 0x45;
const RETURN = 0x06;
const ANCILLARY = 0xfffff000;
const INTERFACE_INDEX = ANCILLARY + 8;
const VLAN_TAG = ANCILLARY + 44;
const VLAN_TAG_PRESENT = ANCILLARY + 48;
const VLAN_ID = 0xfff;
const WHOLE_FRAME = 0x40000;
/** Added to a load's size: from as many bytes on as the index register says. */
const INDEXED = 0x20;

const ETHERTYPE_AT = 12;
const PAYLOAD_AT = 14;
const DATAGRAM_AT = 8;
const IPV4_ETHERTYPE = 0x0800;
/** Behind an IPv4 header without options, and a UDP header. */
const BUNDLE_PAYLOAD_AT = PAYLOAD_AT + 28;
const BUNDLE_GROUP = 0xe00000fe;

/** "next" is the following instruction; labels lie ahead, as the kernel knows no backward jumps. */
type Label =
  | "next"
  | "tag"
  | "untagged"
  | "other"
  | "bundle"
  | "native"
  | "addressed"
  | "mine"
  | "share"
  | "own"
  | "accept"
  | "drop";

class Assembler {
  readonly #code: { code: number; k: number; whenTrue: Label; whenFalse: Label }[] = [];
  readonly #labels = new Map<Label, number>();

  put(code: number, k: number): void {
    this.#code.push({ code, k: k >>> 0, whenTrue: "next", whenFalse: "next" });
  }

  load(size: number, offset: number): void {
    this.put(size, offset);
  }

  jump(code: number, k: number, whenTrue: Label, whenFalse: Label): void {
    this.#code.push({ code, k: k >>> 0, whenTrue, whenFalse });
  }

  /** Sets the index register. */
  index(value: number): void {
    this.put(IMMEDIATE, value);
    this.put(TO_INDEX, 0);
  }

  go(label: Label): void {
    this.jump(AT_LEAST, 0, label, label);
  }

  label(label: Label): void {
    this.#labels.set(label, this.#code.length);
  }

  assemble(): Program {
    const distance = (from: number, label: Label): number => {
      if (label === "next") return 0;
      const to = this.#labels.get(label);
      assert(to !== undefined && to > from && to - from <= 256, `filter label ${label} lies ahead and near`);
      return to - from - 1;
    };
    return this.#code.map(({ code, k, whenTrue, whenFalse }, i) => {
      return { code, jt: distance(i, whenTrue), jf: distance(i, whenFalse), k };
    });
  }
}

function begin(options: Pick<FilterOptions, "ifindex" | "loIndex">): Assembler {
  const program = new Assembler();
  program.load(WORD, INTERFACE_INDEX);
  program.jump(EQUAL, options.ifindex, "tag", "next");
  program.jump(EQUAL, options.loIndex, "tag", "drop");
  program.label("tag");
  program.load(WORD, VLAN_TAG_PRESENT);
  program.jump(EQUAL, 0, "untagged", "next");
  // Told only of a tag that is there: what an earlier one left may still stand in its place.
  program.load(WORD, VLAN_TAG);
  program.jump(ANY_BIT, VLAN_ID, "drop", "next");
  program.label("untagged");
  return program;
}

/** "own": accept what is addressed to this node. */
function end(program: Assembler, options: FilterOptions): Program {
  program.label("own");
  if (options.ifindex !== options.loIndex) matchMac(program, options.mac, "accept", "drop");
  return finish(program);
}

/** UDP to nobody, whose port is the EtherType of the frames in it. */
function matchBundle(program: Assembler, etherType: number): void {
  program.load(BYTE, PAYLOAD_AT);
  program.jump(EQUAL, 0x45, "next", "drop");
  program.load(BYTE, PAYLOAD_AT + 9);
  program.jump(EQUAL, 17, "next", "drop");
  program.load(WORD, PAYLOAD_AT + 16);
  program.jump(EQUAL, BUNDLE_GROUP, "next", "drop");
  program.load(HALF, PAYLOAD_AT + 22);
  program.jump(EQUAL, etherType, "next", "drop");
}

function finish(program: Assembler): Program {
  program.label("accept");
  program.put(RETURN, WHOLE_FRAME);
  program.label("drop");
  program.put(RETURN, 0);
  return program.assemble();
}

function matchMac(program: Assembler, mac: Uint32Array, yes: Label, no: "next" | "drop"): void {
  const high = swap32(mac[0]!);
  const low = swap32(mac[1]!) >>> 16;
  program.load(WORD, 0);
  if (no === "drop") {
    program.jump(EQUAL, high, "next", "drop");
    program.load(HALF, 4);
    program.jump(EQUAL, low, yes, "drop");
    return;
  }
  // What follows is the alternative: skip the second comparison where the first fails.
  program.jump(EQUAL, high, "next", "other");
  program.load(HALF, 4);
  program.jump(EQUAL, low, yes, "next");
  program.label("other");
}

function swap32(word: number): number {
  return (
    (((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | ((word >>> 24) & 0xff)) >>> 0
  );
}
