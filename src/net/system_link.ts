/**
 * A link through the C library, raw Ethernet or UDP: the area mapped once, one call per step. It never looks into
 * frames. After `close` the area reads as zeros.
 */

import { library, mappedMemory, type NativeSymbols } from "../native/library.ts";
import { Errno, unwrap } from "../native/unwrap.ts";
import { assert } from "../protocol/assert.ts";
import { trailerBytesOf } from "./frame_seal.ts";
import { KEY_BYTES, MAX_KEYS } from "./hmac.ts";
import {
  ADDRESS_WORDS,
  type Area,
  type ChecksumOptions,
  type Link,
  type LinkCounters,
  leaveToSelf,
} from "./link.ts";

// Words and numbers of ffi/kpaxos.h.
export const Option = {
  kind: 0,
  rxSlots: 1,
  txSlots: 2,
  maxPayload: 3,
  receiveBuffer: 4,
  sendBuffer: 5,
  checksumOffset: 6,
  mainEtherType: 7,
  flags: 8,
  ifindex: 9,
  bindEtherType: 10,
  multicast: 11,
  groups: 17,
  toward: 18,
  family: 24,
  address: 25,
  keys: 31,
  key: 32,
  filterCount: 48,
  secondFilterCount: 49,
  words: 50,
} as const;
export const Kind = { ethernet: 1, udp: 2 } as const;
export const Flag = { ring: 1, promiscuous: 2, alsoLo: 4, multicast: 8, dualStack: 16, offload: 32 } as const;
const NONE = 0xffffffff;
const Info = {
  areaBytes: 0,
  rxBase: 1,
  txBase: 2,
  rxSlots: 3,
  txSlots: 4,
  maxPayload: 5,
  receiveBuffer: 6,
  asleep: 8,
  bundlePayload: 9,
  rings: 10,
} as const;
const INFO_ADDRESS = 11;
const INFO_COUNT = INFO_ADDRESS + ADDRESS_WORDS;
const COUNTERS = 11;
/** Receive queues of a link, at most. */
const MAX_QUEUES = 2;

const MAX_WAIT_US = 0x7fffffff;

/** What both kinds of link are told. */
export interface SystemLinkOptions {
  readonly rxSlots?: number;
  readonly txSlots?: number;
  /** Largest payload of a frame, checksum included. */
  readonly maxPayload?: number;
  /** Kernel buffers asked for, in bytes; 0 leaves the system's default. */
  readonly receiveBufferBytes?: number;
  readonly sendBufferBytes?: number;
  /** How long a waiting step spins before it sleeps. */
  readonly spinUs?: number;
  readonly checksum?: ChecksumOptions | undefined;
}

const DEFAULT_SLOTS = 256;

export function commonOptions(kind: number, options: SystemLinkOptions, maxPayload: number): Uint32Array {
  const words = new Uint32Array(Option.words);
  words[Option.kind] = kind;
  words[Option.rxSlots] = options.rxSlots ?? DEFAULT_SLOTS;
  words[Option.txSlots] = options.txSlots ?? DEFAULT_SLOTS;
  words[Option.maxPayload] = maxPayload;
  words[Option.receiveBuffer] = options.receiveBufferBytes ?? 0;
  words[Option.sendBuffer] = options.sendBufferBytes ?? 0;
  words[Option.checksumOffset] = options.checksum?.lengthOffset ?? NONE;
  const keys = options.checksum?.keys ?? [];
  assert(keys.length <= MAX_KEYS, "a link has at most two keys");
  words[Option.keys] = keys.length;
  keys.forEach((key, i) => {
    assert(key.length === KEY_BYTES, "a key has 32 bytes");
    new Uint8Array(words.buffer).set(key, 4 * Option.key + KEY_BYTES * i);
  });
  return words;
}

/** Opens a link of these options; the handle, or a negative errno. The words hold keys: none are left in them. */
export function openHandle(words: Uint32Array): number {
  const handle = library().kpx_link_open(words, words.length);
  words.fill(0);
  return handle;
}

export class SystemLink implements Link {
  readonly kind: "ethernet" | "udp";
  readonly area: Area;
  readonly rxBase: number;
  readonly txBase: number;
  readonly rxSlots: number;
  readonly txSlots: number;
  readonly maxPayload: number;
  readonly bundlePayload: number;
  readonly trailerBytes: number;
  readonly address: Uint32Array;
  /** Bytes the kernel granted for frames that wait to be received, in all receive queues. */
  readonly receiveBufferBytes: number;
  /** Receive queues that have a ring. */
  readonly rings: number;
  readonly #handle: number;
  readonly #spinUs: number;
  readonly #native: NativeSymbols;
  readonly #nativeStep: NativeSymbols["kpx_link_step"];
  readonly #counters = new Float64Array(COUNTERS);
  /** One number, in the area. */
  readonly #asleep: Float64Array;
  #last: LinkCounters | undefined;

  constructor(kind: "ethernet" | "udp", handle: number, options: SystemLinkOptions) {
    this.kind = kind;
    this.#handle = handle;
    this.#spinUs = options.spinUs ?? 0;
    this.trailerBytes = trailerBytesOf(options.checksum);
    this.#native = library();
    this.#nativeStep = this.#native.kpx_link_step;
    const info = new Float64Array(INFO_COUNT);
    unwrap(this.#native.kpx_link_info(handle, info, INFO_COUNT), "describe a link");
    const memory = mappedMemory(this.#native.kpx_link_area(handle), info[Info.areaBytes]!);
    this.area = {
      bytes: new Uint8Array(memory),
      words: new Uint32Array(memory),
      signed: new Int32Array(memory),
    };
    this.#asleep = new Float64Array(memory, 4 * info[Info.asleep]!, 1);
    this.rxBase = info[Info.rxBase]!;
    this.txBase = info[Info.txBase]!;
    this.rxSlots = info[Info.rxSlots]!;
    this.txSlots = info[Info.txSlots]!;
    this.maxPayload = info[Info.maxPayload]!;
    this.bundlePayload = info[Info.bundlePayload]!;
    this.receiveBufferBytes = info[Info.receiveBuffer]!;
    this.rings = info[Info.rings]!;
    this.address = Uint32Array.from(info.subarray(INFO_ADDRESS));
  }

  step(ntx: number, waitUs: number): number {
    const wait = waitUs > MAX_WAIT_US ? MAX_WAIT_US : waitUs > 0 ? waitUs | 0 : 0;
    const frames = this.#nativeStep(this.#handle, ntx, this.rxSlots, this.#spinUs, wait);
    return frames >= 0 ? frames : unwrap(frames, `${this.kind} link`);
  }

  /** How long the host had been suspended when the last step had received, in microseconds. */
  get asleepUs(): number {
    return this.#asleep[0]!;
  }

  send(ntx: number): void {
    const result = this.#nativeStep(this.#handle, ntx, 0, 0, 0);
    if (result < 0) unwrap(result, `${this.kind} link`);
    leaveToSelf(this, ntx);
  }

  /** Ends a step's sleep. */
  wake(): void {
    unwrap(this.#native.kpx_link_wake(this.#handle), "wake a link");
  }

  /** Steps that sleep return when `fd` can be read, too. */
  watch(fd: number): void {
    unwrap(this.#native.kpx_link_watch(this.#handle, fd), `watch descriptor ${fd}`);
  }

  /** Steps that sleep return when the other link has frames, too. */
  watchLink(other: SystemLink): void {
    for (let queue = 0; queue < MAX_QUEUES; queue++) {
      const fd = this.#native.kpx_link_fd(other.#handle, queue);
      if (fd === -Errno.ENOENT) return;
      this.watch(unwrap(fd, "watch a link"));
    }
  }

  /** Steps that sleep return when the runtime's event loop has something to do. False: it cannot be found. */
  watchEventLoop(): boolean {
    const fd = this.#native.kpx_event_loop_fd();
    if (fd === -Errno.ENOENT) return false;
    this.watch(unwrap(fd, "find the event loop's descriptor"));
    return true;
  }

  /** Since the link was opened; those of a closed link are the ones it closed with. */
  counters(): LinkCounters {
    if (this.#last !== undefined) return { ...this.#last };
    const numbers = this.#counters;
    unwrap(this.#native.kpx_link_counters(this.#handle, numbers, COUNTERS), "read a link's counters");
    return {
      rxFrames: numbers[0]!,
      rxBytes: numbers[1]!,
      txFrames: numbers[2]!,
      txBytes: numbers[3]!,
      txDropped: numbers[4]!,
      rxDropped: numbers[5]!,
      rxTruncated: numbers[6]!,
      rxBadChecksum: numbers[7]!,
      steps: numbers[8]!,
      rxBadMac: numbers[9]!,
      rxDroppedValues: numbers[10]!,
    };
  }

  close(): void {
    if (this.#last !== undefined) return;
    this.#last = this.counters();
    unwrap(this.#native.kpx_link_close(this.#handle), "close a link");
  }
}
