/**
 * The native wire: decodes frames into calls of the receiver. Total: whatever the bytes are, a frame is decoded or
 * refused with a counted reason. The link has checked the checksum; here every length and number is checked again,
 * because a checksum proves nothing about its author.
 */

import { NATIVE_ETHERTYPE } from "../net/ethertypes.ts";
import { ADDRESS, ADDRESS_WORDS, LENGTH, type Link, OFFSET, Port, PROTOCOL } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { UNNAMED } from "../protocol/generations.ts";
import type { Receiver } from "../protocol/receiver.ts";
import { STANDING_BYTES } from "../protocol/standing.ts";
import { type Life, type Peer, Role } from "../protocol/types.ts";
import { BundlePaths } from "./bundle_paths.ts";
import type { Members } from "./members.ts";
import { NativeFrames } from "./native_frames.ts";
import {
  ALL_IDS,
  FIXED_BYTES,
  GENERATIONS,
  HAS_VALUE,
  HEADER_BYTES,
  LOG_MARK_MASK,
  LOG_MARK_SHIFT,
  NATIVE_MAGIC,
  NATIVE_VERSION,
  NativeType,
  PROMISE_OVERHEAD_BYTES,
  VALUE_OVERHEAD_BYTES,
} from "./native_layout.ts";
import { NativeMessages } from "./native_messages.ts";
import { NativeOutbox } from "./native_outbox.ts";
import type { PromiseHeads } from "./promise_heads.ts";
import { TxFrames } from "./tx_frames.ts";
import { type Wire, WireCounters, type WireOptions } from "./wire.ts";

const HIGH = 2 ** 32;
/** Above 53 bits a pair of words is no number of ours. */
const HIGH_LIMIT = 2 ** 21;
const BAD = -1;

/** Largest value one instance can carry over a link: its record has to fit a promise's second frame. 0 where not even a standing fits. */
export function maxNativeValue(link: Link, acceptors: number): number {
  const most = Math.min(link.maxPayload, 0xfffc);
  if (most < PROMISE_OVERHEAD_BYTES + acceptors * STANDING_BYTES) return 0;
  return Math.max(0, (most - VALUE_OVERHEAD_BYTES) & ~3);
}

/** The group address of a cluster: locally administered, "kp", and 16 bits of the cluster id. */
export function multicastAddress(clusterId: number, group: number): Uint32Array {
  const words = new Uint32Array(ADDRESS_WORDS);
  words[0] = (0x03 | (0x6b << 8) | (0x70 << 16) | ((clusterId & 0xff) << 24)) >>> 0;
  words[1] = ((clusterId >>> 8) & 0xff) | (group << 8);
  return words;
}

export class NativeWire implements Wire {
  readonly name = "native";
  readonly maxValue: number;
  readonly counters = new WireCounters();
  readonly bundles: BundlePaths;
  readonly #options: WireOptions;
  readonly #link: Link;
  readonly #peers: Peers;
  readonly #members: Members;
  readonly #tx: TxFrames;
  readonly #frames: NativeFrames;
  readonly #words: Uint32Array;
  readonly #address: Int32Array;
  readonly #multicast: Uint32Array | null;
  /** IP multicast may fail where single datagrams pass. */
  readonly #hearsBoth: boolean;
  readonly #decoder: NativeMessages;
  /** The interface is `lo`: every host's address is the same, so none proves who sent a frame. */
  readonly #onLoopback: boolean;

  constructor(options: WireOptions) {
    this.#options = options;
    this.#link = options.link;
    this.#peers = options.peers;
    this.#members = options.members;
    this.#words = options.link.area.words;
    this.#address = new Int32Array(options.link.address);
    this.#multicast =
      options.link.kind === "udp"
        ? (options.multicast ?? null)
        : multicastAddress(options.clusterId, options.group);
    this.#hearsBoth = options.link.kind === "udp" && this.#multicast !== null;
    this.maxValue = maxNativeValue(options.link, options.members.acceptors.length);
    this.#decoder = new NativeMessages(this.#link.area, options.members, this.maxValue);
    this.#onLoopback =
      options.link.kind === "ethernet" && options.link.address[0] === 0 && options.link.address[1] === 0;
    this.#tx = new TxFrames(options.link, this.counters);
    this.bundles = new BundlePaths(options.link, options.peers, options.members, options.roles);
    this.#frames = new NativeFrames({
      ...options,
      tx: this.#tx,
      bundles: this.bundles,
      multicast: this.#multicast,
    });
    this.bundles.speaker = this.#frames;
    for (const list of [options.members.acceptors, options.members.proposers, options.members.learners]) {
      for (const peer of list) this.#noticePort(this.#peers.ports[peer]!);
    }
  }

  outbox(role: Role, id: number): NativeOutbox {
    return new NativeOutbox({
      link: this.#link,
      frames: this.#frames,
      peers: this.#peers,
      members: this.#members,
      multicast: this.#multicast !== null,
      maxValue: this.maxValue,
      role,
      id,
    });
  }

  /** What the acceptors' last promises said at their heads. */
  get heads(): PromiseHeads {
    return this.#decoder.heads;
  }

  seal(): number {
    this.#frames.seal();
    this.counters.messagesOut = this.#frames.messages;
    return this.#tx.used;
  }

  room(): number {
    return this.#tx.room();
  }

  left(): void {
    this.#frames.ownAccepts.clear();
  }

  clear(): void {
    this.#tx.clear();
    this.#frames.ownAccepts.clear();
  }

  decode(descriptor: number, port: number, receiver: Receiver, nowUs: number): void {
    const words = this.#words;
    const counters = this.counters;
    counters.framesIn++;
    const offset = words[descriptor + OFFSET]!;
    const length = words[descriptor + LENGTH]!;
    if (this.#link.kind !== "udp" && words[descriptor + PROTOCOL] !== NATIVE_ETHERTYPE) {
      counters.otherWire++;
      return;
    }
    const at = offset >>> 2;
    if (length < HEADER_BYTES || (words[at]! & 0xff) !== NATIVE_MAGIC) {
      // A datagram of the other wire begins with its message's number, big-endian.
      if (length >= 4 && (words[at]! & 0xffffff) === 0) counters.otherWire++;
      else counters.malformed++;
      return;
    }
    if (((words[at]! >>> 8) & 0xff) !== NATIVE_VERSION) {
      counters.otherVersion++;
      return;
    }
    if (words[at + 1] !== this.#options.clusterId || words[at]! >>> 24 !== this.#options.group) {
      counters.otherCluster++;
      return;
    }
    const life = words[at + 5]! * HIGH + words[at + 4]!;
    const toId = words[at + 3]! >>> 16;
    const isForUs =
      ((words[at + 2]! >>> 8) & 0xff & this.#options.roles) !== 0 &&
      (toId === ALL_IDS || toId === this.#options.id) &&
      (port === Port.self || life !== this.#options.life);
    if (!isForUs) {
      counters.notForUs++;
      return;
    }
    const used = words[at + 2]! >>> 16;
    if (used < HEADER_BYTES || used > length || (used & 3) !== 0 || words[at + 5]! >= HIGH_LIMIT) {
      counters.malformed++;
      return;
    }
    const role = words[at + 2]! & 0xff;
    const id = words[at + 3]! & 0xffff;
    const from = this.#sender(descriptor, port, role, id, life, nowUs);
    if (from < 0) return;
    if (this.#hearsBoth && port !== Port.self) {
      if (toId === ALL_IDS) this.#peers.everyoneUs = nowUs;
      else this.#peers.heardAlone(from, nowUs);
    }
    if (role === Role.acceptor) receiver.onAcceptorLife(id, life);
    else if (role === Role.proposer) {
      const named = (words[at]! & GENERATIONS) === 0 ? UNNAMED : words[at + 6]!;
      receiver.onGenerations(named, (words[at]! >>> LOG_MARK_SHIFT) & LOG_MARK_MASK);
    }
    this.#messages(at, at + (used >>> 2), from, role, id, life, port, receiver);
  }

  /** Who sent the frame; −1 when it is not who it says, or there is no place for one more peer. */
  #sender(descriptor: number, port: number, role: number, id: number, life: Life, nowUs: number): Peer {
    const words = port === Port.self ? this.#address : this.#link.area.signed;
    const at = port === Port.self ? 0 : descriptor + ADDRESS;
    const members =
      role === Role.acceptor
        ? this.#members.acceptors
        : role === Role.proposer
          ? this.#members.proposers
          : null;
    if (members !== null) {
      if (id >= members.length || !(this.#onLoopback || this.#peers.isAt(members[id]!, words, at))) {
        this.counters.stranger++;
        return BAD as Peer;
      }
      const member = members[id]!;
      this.#peers.life[member] = life;
      this.#peers.lastHeardUs[member] = nowUs;
      return member;
    }
    if (role !== Role.learner && role !== Role.client && role !== Role.host) {
      this.counters.stranger++;
      return BAD as Peer;
    }
    this.#noticePort(port);
    const peer = this.#peers.intern(role, id, words, at, port, nowUs);
    if (peer >= 0) this.#peers.life[peer] = life;
    return peer;
  }

  #noticePort(port: number): void {
    if ((port & Port.lo) !== 0) this.#frames.hasLocalPeers = true;
  }

  #messages(
    start: number,
    end: number,
    from: Peer,
    role: number,
    id: number,
    life: Life,
    port: number,
    receiver: Receiver,
  ): void {
    const words = this.#words;
    const messages = this.#decoder;
    let at = start + (HEADER_BYTES >>> 2);
    while (at < end) {
      const head = words[at]!;
      const type = head & 0xff;
      const length = head >>> 16;
      const fixed = FIXED_BYTES[type]!;
      const next = at + (length >>> 2);
      let valueLength = 0;
      if (fixed === 0 || length < fixed || (length & 3) !== 0 || next > end) return this.#malformed();
      if (HAS_VALUE[type] === 1) {
        valueLength = words[at + (fixed >>> 2) - 1]!;
        if (valueLength > length - fixed || ((valueLength + 3) & ~3) !== length - fixed) {
          return this.#malformed();
        }
      } else if (length !== fixed) return this.#malformed();
      this.counters.messagesIn++;
      if (type !== NativeType.promiseRecord) messages.endPromise(receiver, from, id);
      const ok = messages.decode(
        type,
        (head >>> 8) & 0xff,
        at + 1,
        valueLength,
        from,
        role,
        id,
        life,
        port,
        receiver,
      );
      if (!ok) {
        this.counters.badField++;
        messages.voidPromise();
      }
      at = next;
    }
    messages.endPromise(receiver, from, id);
  }

  #malformed(): void {
    this.counters.malformed++;
    this.#decoder.voidPromise();
  }
}
