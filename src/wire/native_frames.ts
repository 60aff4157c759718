/**
 * The frames a process is filling in this turn: one open frame a destination, messages added until it is full. Messages to
 * one destination stay in order, but for client values: these have frames of their own, so that whoever receives them can
 * tell such a frame by its first message. Sealing writes lengths; the link adds the checksum.
 */

import { NATIVE_ETHERTYPE } from "../net/ethertypes.ts";
import {
  ADDRESS,
  ADDRESS_WORDS,
  LENGTH,
  type Link,
  MARK,
  MARK_BUNDLE,
  MULTICAST_GROUPS,
  OFFSET,
  PORTS,
  Port,
  PROTOCOL,
} from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { assert } from "../protocol/assert.ts";
import { copyBytes } from "../protocol/bytes.ts";
import { UNNAMED } from "../protocol/generations.ts";
import { type Life, type Peer, Role } from "../protocol/types.ts";

import type { BundlePaths } from "./bundle_paths.ts";
import {
  ALL_IDS,
  BundleFlag,
  FIXED_BYTES,
  GENERATIONS,
  HEADER_BYTES,
  LOG_MARK_SHIFT,
  NATIVE_MAGIC,
  NATIVE_VERSION,
  NativeType,
} from "./native_layout.ts";
import { OwnAccepts } from "./own_accepts.ts";
import type { TxFrames } from "./tx_frames.ts";

const HIGH = 2 ** 32;
/** A destination no frame is open for. */
const NOBODY = -2;
/** Everyone in the cluster, by multicast. */
export const EVERYONE = -1;
const OPEN_LIMIT = 32;
/** The mark of what is asked in a bundle: nothing else is in it. */
const ASKING = MARK_BUNDLE | 0x100;
/** Two in a bundle, and one alone. */
const ASK_FRAMES = 3;
/** The word of an address that ends with the host's last byte. */
const LAST_OF_HOST = 3;

export interface NativeFramesOptions {
  readonly link: Link;
  readonly peers: Peers;
  readonly tx: TxFrames;
  readonly roles: number;
  readonly id: number;
  readonly life: Life;
  readonly clusterId: number;
  readonly group: number;
  readonly bundles: BundlePaths;
  /** Where multicasts go; null: the link has none. Over UDP: the first of its addresses. */
  readonly multicast: Uint32Array | null;
}

export class NativeFrames {
  /** Largest message that fits a frame. */
  readonly maxMessage: number;
  /** A peer on this host was seen: multicasts go out on the loopback interface too. */
  hasLocalPeers = false;
  messages = 0;
  readonly ownAccepts = new OwnAccepts();
  /** How many frames were closed: a message can be completed only while this stays the same. */
  closed = 0;
  readonly #options: NativeFramesOptions;
  /** Where multicasts go; with signs, as `Area.signed` has it. */
  readonly #multicast: Int32Array | null;
  readonly #tx: TxFrames;
  readonly #peers: Peers;
  readonly #words: Uint32Array;
  readonly #bytes: Uint8Array;
  readonly #limit: number;
  /** The same of a frame of several messages: it may have to fit a bundle. */
  readonly #joined: number;
  readonly #bundles: BundlePaths;
  /** As whom this process speaks for all its roles. */
  readonly #self: { readonly role: number; readonly id: number };
  /** Frames that are opened now ask whether bundles get through. */
  #asks = false;
  /** The header, but for who speaks to whom and how much. */
  readonly #first: number;
  readonly #clusterId: number;
  readonly #lifeLow: number;
  readonly #lifeHigh: number;
  /** Of each open frame: descriptor, bytes used, and its destination as (source, roles and id, peer). */
  readonly #descriptor = new Int32Array(OPEN_LIMIT);
  readonly #used = new Int32Array(OPEN_LIMIT);
  readonly #source = new Int32Array(OPEN_LIMIT);
  readonly #target = new Int32Array(OPEN_LIMIT);
  readonly #peer = new Int32Array(OPEN_LIMIT).fill(NOBODY);
  /** 1: for client values, which stand in no other frame. */
  readonly #values = new Uint8Array(OPEN_LIMIT);
  readonly #isUdp: boolean;
  #open = 0;
  /** What frames of a proposer name. */
  #generations = UNNAMED;
  /** The mark of the log, where it stands in the first word. */
  #mark = 0;
  /** Word index where the message being written goes on, and the frame it is in. */
  #at = 0;
  #head = 0;
  #frame = -1;

  constructor(options: NativeFramesOptions) {
    const { group, clusterId, life } = options;
    this.#options = options;
    this.#multicast = options.multicast && new Int32Array(options.multicast);
    this.#tx = options.tx;
    this.#peers = options.peers;
    this.#first = (NATIVE_MAGIC | (NATIVE_VERSION << 8) | (group << 24)) >>> 0;
    this.#clusterId = clusterId;
    this.#lifeLow = life >>> 0;
    this.#lifeHigh = Math.floor(life / HIGH);
    this.#isUdp = options.link.kind === "udp";
    this.#words = options.link.area.words;
    this.#bytes = options.link.area.bytes;
    this.#limit = Math.min(options.link.maxPayload - options.link.trailerBytes, 0xfffc) & ~3;
    this.#bundles = options.bundles;
    this.#self = { role: options.roles & -options.roles, id: options.id };
    this.#joined = this.#bundles.limit === 0 ? this.#limit : this.#bundles.limit;
    this.maxMessage = this.#limit - HEADER_BYTES;
  }

  room(): number {
    return this.#options.tx.room();
  }

  /** Of this process. */
  get life(): Life {
    return this.#options.life;
  }

  /**
   * Begins a message of `length` bytes (a multiple of 4) to the roles of a peer, or to `EVERYONE` of those roles. False: no frame is left
   * this turn, the message is dropped and counted. `role`, `id`: who speaks.
   */
  begin(
    role: number,
    id: number,
    roles: number,
    toId: number,
    peer: number,
    type: number,
    flags: number,
    length: number,
  ): boolean {
    assert(length <= this.maxMessage, "a message fits a frame");
    const source = (id << 8) | role;
    const target = (toId << 8) | roles;
    const values = type === NativeType.clientValue ? 1 : 0;
    let frame = this.#find(source, target, peer, values);
    if (frame >= 0 && this.#used[frame]! + length > this.#joined) {
      this.#close(frame);
      this.#bundles.want(peer);
      frame = -1;
    }
    if (frame < 0) frame = this.#openFrame(source, target, peer, values);
    this.#frame = frame;
    if (frame < 0) return false;
    const descriptor = this.#descriptor[frame]!;
    const at = this.#words[descriptor + OFFSET]! + this.#used[frame]!;
    this.#used[frame] = this.#used[frame]! + length;
    this.#head = at >>> 2;
    this.#at = this.#head + 1;
    this.#words[this.#head] = ((length << 16) | (flags << 8) | type) >>> 0;
    this.messages++;
    return true;
  }

  /** Appends one word to the message that was begun. */
  word(value: number): void {
    this.#words[this.#at++] = value;
  }

  /** Appends a number of up to 53 bits as two words. */
  pair(value: number): void {
    this.#words[this.#at] = value >>> 0;
    this.#words[this.#at + 1] = Math.floor(value / HIGH);
    this.#at += 2;
  }

  /** Appends a value: its length, its bytes, zeros up to a multiple of 4. */
  value(bytes: Uint8Array, offset: number, length: number): void {
    this.#words[this.#at++] = length;
    if (length === 0) return;
    const padded = (length + 3) & ~3;
    this.#words[this.#at + (padded >>> 2) - 1] = 0;
    copyBytes(bytes, offset, this.#bytes, this.#at << 2, length);
    this.#at += padded >>> 2;
  }

  /** Room for more messages in the frame that the last message is in. */
  roomInFrame(): number {
    return this.#limit - this.#used[this.#frame]!;
  }

  /** Appends a message to the very frame of the last one, which has the room for it (`roomInFrame`). */
  append(type: number, flags: number, length: number): void {
    assert(length <= this.roomInFrame(), "an appended message fits its frame");
    const frame = this.#frame;
    const at = this.#words[this.#descriptor[frame]! + OFFSET]! + this.#used[frame]!;
    this.#used[frame] = this.#used[frame]! + length;
    this.#at = (at >>> 2) + 1;
    this.#words[at >>> 2] = ((length << 16) | (flags << 8) | type) >>> 0;
    this.messages++;
  }

  /** Word index at which the message begun last goes on: to be completed later with `patchPair`. */
  position(): number {
    return this.#at;
  }

  patchPair(position: number, value: number): void {
    this.#words[position] = value >>> 0;
    this.#words[position + 1] = Math.floor(value / HIGH);
  }

  pairAt(position: number): number {
    return this.#words[position + 1]! * HIGH + this.#words[position]!;
  }

  /** Word index of the message begun last. */
  head(): number {
    return this.#head;
  }

  /** Sets flags of a message of this turn. */
  addFlags(head: number, flags: number): void {
    this.#words[head] = (this.#words[head]! | (flags << 8)) >>> 0;
  }

  /** Closes the frame that is open for a destination, if any: the next message, but for client values, begins another. */
  closeTo(role: number, id: number, roles: number, toId: number, peer: number): void {
    const frame = this.#find((id << 8) | role, (toId << 8) | roles, peer, 0);
    if (frame >= 0) this.#close(frame);
  }

  /** Closes the frame of the last message: nothing is added to it any more. */
  closeLast(): void {
    if (this.#frame >= 0) this.#close(this.#frame);
    this.#frame = -1;
  }

  /** What this process says as a proposer names these generations and this log from now on (`Outbox.leads`). */
  name(generations: number, logMark: number): void {
    const mark = logMark << LOG_MARK_SHIFT;
    if (generations === this.#generations && mark === this.#mark) return;
    this.seal();
    this.#generations = generations;
    this.#mark = mark;
  }

  /** Asks these roles of a peer, or of everyone, whether bundles come: in one of two frames, and in a frame alone. */
  bundleAsk(roles: number, peer: number, nonce: number): void {
    if (this.room() < ASK_FRAMES) return;
    const toId = peer === EVERYONE ? ALL_IDS : this.#peers.id[peer]!;
    const { bundleAsk: type } = NativeType;
    const { role, id } = this.#self;
    const fixed = FIXED_BYTES[type]!;
    this.closeTo(role, id, roles, toId, peer);
    const filler = this.#bundles.limit - HEADER_BYTES - fixed;
    const flags = peer === EVERYONE ? BundleFlag.everyone : 0;
    this.#asks = true;
    for (let i = 1; i < ASK_FRAMES && filler > 0; i++) {
      this.begin(role, id, roles, toId, peer, type, flags | BundleFlag.bundled, fixed + filler);
      this.pair(nonce);
      this.word(filler);
      this.#words.fill(0, this.#at, this.#at + (filler >>> 2));
      this.closeLast();
    }
    this.#asks = false;
    this.begin(role, id, roles, toId, peer, type, flags, fixed);
    this.pair(nonce);
    this.word(0);
    this.closeLast();
  }

  bundleAnswer(to: Peer, nonce: number, flags: number): void {
    const { bundleAnswer: type } = NativeType;
    const { role, id } = this.#self;
    const { role: roles, id: ids } = this.#peers;
    if (this.begin(role, id, roles[to]!, ids[to]!, to, type, flags, FIXED_BYTES[type]!)) this.pair(nonce);
  }

  /** Closes all open frames. */
  seal(): void {
    for (let frame = this.#open - 1; frame >= 0; frame--) this.#close(frame);
  }

  #find(source: number, target: number, peer: number, values: number): number {
    let frame = this.#open - 1;
    while (
      frame >= 0 &&
      (this.#peer[frame] !== peer ||
        this.#source[frame] !== source ||
        this.#target[frame] !== target ||
        this.#values[frame] !== values)
    )
      frame--;
    return frame;
  }

  #close(frame: number): void {
    const descriptor = this.#descriptor[frame]!;
    const used = this.#used[frame]!;
    const at = this.#words[descriptor + OFFSET]! >>> 2;
    this.#words[at + 2] = ((this.#words[at + 2]! & 0xffff) | (used << 16)) >>> 0;
    this.#words[descriptor + LENGTH] = used;
    const last = --this.#open;
    this.closed++;
    this.#descriptor[frame] = this.#descriptor[last]!;
    this.#used[frame] = this.#used[last]!;
    this.#source[frame] = this.#source[last]!;
    this.#target[frame] = this.#target[last]!;
    this.#peer[frame] = this.#peer[last]!;
    this.#values[frame] = this.#values[last]!;
  }

  #openFrame(source: number, target: number, peer: number, values: number): number {
    if (this.#open === OPEN_LIMIT) this.#close(0);
    const descriptor = this.#tx.open();
    if (descriptor < 0) return -1;
    const words = this.#words;
    const at = words[descriptor + OFFSET]! >>> 2;
    const isProposer = (source & 0xff) === Role.proposer;
    const names = isProposer && this.#generations !== UNNAMED;
    const flags = isProposer ? this.#mark | (names ? GENERATIONS : 0) : 0;
    words[at] = (this.#first | flags) >>> 0;
    words[at + 1] = this.#clusterId;
    words[at + 2] = (source & 0xff) | ((target & 0xff) << 8);
    words[at + 3] = ((source >>> 8) | ((target >>> 8) << 16)) >>> 0;
    words[at + 4] = this.#lifeLow;
    words[at + 5] = this.#lifeHigh;
    words[at + 6] = names ? this.#generations : 0;
    words[descriptor + PROTOCOL] = NATIVE_ETHERTYPE;
    if (peer === EVERYONE) this.#addressEveryone(descriptor, target);
    else {
      this.#peers.copyAddress(peer as Peer, words, descriptor + ADDRESS);
      words[descriptor + PORTS] = this.#peers.ports[peer]!;
    }
    if (this.#bundles.limit > 0)
      words[descriptor + MARK] = this.#asks ? ASKING : this.#bundles.mark(peer, target & 0xff, values);
    const frame = this.#open++;
    this.#descriptor[frame] = descriptor;
    this.#used[frame] = HEADER_BYTES;
    this.#source[frame] = source;
    this.#target[frame] = target;
    this.#peer[frame] = peer;
    this.#values[frame] = values;
    return frame;
  }

  #addressEveryone(descriptor: number, target: number): void {
    const { roles } = this.#options;
    const multicast = this.#multicast;
    const words = this.#words;
    assert(multicast !== null, "only a link with multicast sends to everyone");
    for (let i = 0; i < ADDRESS_WORDS; i++) words[descriptor + ADDRESS + i] = multicast[i]!;
    if (this.#isUdp) {
      const at = descriptor + ADDRESS + LAST_OF_HOST;
      words[at] = (words[at]! | ((target & (MULTICAST_GROUPS - 1)) << 24)) >>> 0;
    }
    const self = (target & 0xff & roles) !== 0 ? Port.self : 0;
    // What only a process of one id is to hear is a claim, and its twin may be a process of this host.
    const local = this.hasLocalPeers || target >>> 8 !== ALL_IDS;
    words[descriptor + PORTS] = Port.wire | (local ? Port.lo : 0) | self;
  }
}
