/**
 * A link carries frames: raw Ethernet, UDP, or memory (tests, simulator). It knows addresses and bytes, and nothing
 * of Paxos. One call, `step`, sends the turn's frames and returns the received ones.
 *
 * All frames of a link live in one `Area`, allocated once. Each slot is described by a descriptor of
 * `DESCRIPTOR_WORDS` 32-bit words (host order, little-endian):
 *
 * | word | rx (written by the link) | tx (written by the wire) |
 * |---|---|---|
 * | 0 `OFFSET` | byte offset of the payload in the area | the same, fixed; read only for the wire |
 * | 1 `LENGTH` | payload bytes (Ethernet: may include padding) | payload bytes, without the checksum |
 * | 2 `PROTOCOL` | EtherType; 0 on UDP | EtherType; ignored on UDP |
 * | 3 `PORTS` | `Port.lo` when it came in through the loopback interface | set of `Port` bits: where to send it |
 * | 4…9 `ADDRESS` | source address, `ADDRESS_WORDS` words | destination address |
 *
 * Address words. Ethernet: word 0 = bytes 0–3 of the MAC, word 1 = bytes 4–5 (both as loaded from memory,
 * little-endian), rest 0; but for a destination word 2 may be a mark (`MARK`). UDP: words 0–3 = the IPv6 address as in memory (IPv4 as ::ffff:a.b.c.d), word 4 = port in
 * host order, word 5 = scope id.
 *
 * Payload offsets are 4-aligned, so payloads can be read as 32-bit words.
 */
export const DESCRIPTOR_WORDS = 16;
export const OFFSET = 0;
export const LENGTH = 1;
export const PROTOCOL = 2;
export const PORTS = 3;
export const ADDRESS = 4;
export const ADDRESS_WORDS = 6;
/**
 * Of a destination over Ethernet: frames of one turn with the same destination and the same mark, of 16 bits, may leave in a bundle, of which a
 * receiver's filter sees the first; 0: alone. With `MARK_BUNDLE` in it they leave so or not at all.
 */
export const MARK = ADDRESS + 2;
export const MARK_BUNDLE = 0x8000;

export const Port = {
  /** The network interface (Ethernet), or the socket (UDP). */
  wire: 1,
  /** The loopback interface, for peers on this host: a NIC never gives back its own frames. */
  lo: 2,
  /** Back to this very process: handled by `node/turn.ts`, never seen by the kernel. */
  self: 4,
} as const;

/**
 * Multicast over UDP: so many addresses side by side, of which the one behind the first by n is for whoever has a role of the set n. So
 * all datagrams to one address are for the same processes, whether or not the kernel makes one message of them.
 */
export const MULTICAST_GROUPS = 8;

/** What a frame's checksum takes of it: a CRC-32C, or with keys a MAC. */
export const CRC_BYTES = 4;
export const MAC_BYTES = 16;

export interface Area {
  readonly bytes: Uint8Array;
  /** The same memory as 32-bit words. */
  readonly words: Uint32Array;
  /**
   * The same with signs: addresses are read so. Code that reads unsigned words is compiled for what was read last, of an address 0, and is left,
   * and thrown away, at each word of 2³¹ or more (`test/recompiled.test.ts`).
   */
  readonly signed: Int32Array;
}

export interface LinkCounters {
  rxFrames: number;
  rxBytes: number;
  txFrames: number;
  txBytes: number;
  /** Frames the kernel refused to send (queue full, interface down). */
  txDropped: number;
  /** Frames the kernel dropped because the receive queue was full. Of datagrams that passed it as one it counts one. */
  rxDropped: number;
  /** Of those: client values (and what is not of this wire), on a link with a receive queue of their own for them. */
  rxDroppedValues: number;
  /** Frames longer than a slot. */
  rxTruncated: number;
  /** Frames whose checksum was wrong (native wire); they never reach the decoder. */
  rxBadChecksum: number;
  /** Frames without a MAC, or with one of another key; on a link without keys, frames that have a MAC. */
  rxBadMac: number;
  steps: number;
}

/**
 * Where a link finds the length of what a frame's checksum covers: a little-endian u16 at byte `lengthOffset` of the
 * payload, counting from the payload's first byte. A CRC-32C of that many bytes follows them (4 bytes, little-endian),
 * or, with keys, HMAC-SHA-256 cut to its first 16 bytes. The link appends it on send, and on receive drops and counts
 * frames in which it is wrong.
 */
export interface ChecksumOptions {
  readonly lengthOffset: number;
  /** One or two keys of 32 bytes: the first signs, both are accepted. */
  readonly keys?: readonly Uint8Array[] | undefined;
}

/** Of descriptors that were sent already: only this process itself still looks at them. */
export function leaveToSelf({ area, txBase }: Link, ntx: number): void {
  const { words } = area;
  for (let slot = 0; slot < ntx; slot++) {
    const at = txBase + slot * DESCRIPTOR_WORDS + PORTS;
    words[at] = words[at]! & Port.self;
  }
}

export interface Link {
  readonly kind: "ethernet" | "udp" | "memory";
  readonly area: Area;
  /** Word index of the first rx (tx) descriptor. */
  readonly rxBase: number;
  readonly txBase: number;
  readonly rxSlots: number;
  readonly txSlots: number;
  /** Largest payload in bytes that a frame may have, checksum included. */
  readonly maxPayload: number;
  /** The same of a frame in a bundle (`MARK`); 0: the link has none that the caller decides on. */
  readonly bundlePayload: number;
  /** How many of these bytes the checksum takes: 0 without one, 4, or 16 with keys. */
  readonly trailerBytes: number;
  /** This node's own address (ADDRESS_WORDS words). */
  readonly address: Uint32Array;
  /**
   * Sends tx slots 0…ntx − 1, then waits at most `waitUs` microseconds (0: not at all) for frames and returns how
   * many lie in rx slots 0…n − 1. They stay valid until the next call.
   */
  step(ntx: number, waitUs: number): number;
  /**
   * Sends tx slots 0…ntx − 1 ahead of the step, and takes every port but `self` from their descriptors: the step sends what comes
   * after them. What the last step received need not stay valid.
   */
  send(ntx: number): void;
  counters(): LinkCounters;
  close(): void;
}
