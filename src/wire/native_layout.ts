/**
 * The native wire's layout. Little-endian, everything 4-aligned. One EtherType; a frame is a header, messages, and the
 * checksum that the link appends (CRC-32C over `length` bytes).
 *
 * Header (28 bytes): magic 0x6B, version, flags, group | cluster id | source role bit, destination roles, length (u16) |
 * source id (u16), destination id (u16, 0xFFFF all) | life (two words) | generations of the acceptors, or 0.
 *
 * Message: type (u8), flags (u8), length in bytes with this word (u16); then its words: instance ids, ballots and lives take two, low
 * one first; a value is its length in one word and its bytes, padded with zeros to 4.
 */
import { MAC_BYTES } from "../net/link.ts";
import { Role } from "../protocol/types.ts";

export const NATIVE_MAGIC = 0x6b;
export const NATIVE_VERSION = 7;
export const HEADER_BYTES = 28;
export const CHECKSUM_BYTES = 4;
/** Byte offset of the header's u16 that says how many bytes the checksum covers. */
export const LENGTH_OFFSET = 10;
export const ALL_IDS = 0xffff;
/** Of the header's flags: its last word names generations (`generations.ts`). As a bit of the first word. */
export const GENERATIONS = 1 << 16;
/** Of the header's flags: the seven bits above are the mark of the sender's log (`log_mark.ts`). Where they stand in the first word. */
export const LOG_MARK_SHIFT = 17;
export const LOG_MARK_MASK = 0x7f;

/** Of an accept: the acceptor that lives with its proposer, under the same id, has accepted this. */
export const VOTED = 1;
/** Of a frame of a promise: another one of the same answer follows. */
export const MORE = 1;
/** Bits of the flags of a `bundleAsk`: it stands in a bundle; it is asked of everyone. Of a `bundleAnswer`: one came in a bundle, too; the same. */
export const BundleFlag = { bundled: 1, everyone: 2 } as const;
export const BUNDLE_FLAGS = BundleFlag.bundled | BundleFlag.everyone;

export const NativeType = {
  prepare: 1,
  promise: 2,
  promiseRecord: 3,
  accept: 4,
  accepted: 5,
  acceptedValue: 6,
  preempted: 7,
  repeat: 8,
  trim: 9,
  acceptorState: 10,
  clientValue: 11,
  busy: 12,
  learnerHi: 13,
  learnerDel: 14,
  acceptorOk: 15,
  claim: 16,
  heartbeat: 17,
  sessionOpen: 18,
  sessionOk: 19,
  sessionClose: 20,
  sessionValue: 21,
  echo: 22,
  preVote: 23,
  preVoted: 24,
  standingAsk: 25,
  standing: 26,
  recover: 27,
  acknowledge: 28,
  readAsk: 29,
  readIndex: 30,
  snapshotAsk: 31,
  snapshotInfo: 32,
  snapshotFetch: 33,
  snapshotChunk: 34,
  advance: 35,
  promisePart: 36,
  bundleAsk: 37,
  bundleAnswer: 38,
} as const;
export type NativeType = (typeof NativeType)[keyof typeof NativeType];
export type NativeName = keyof typeof NativeType;

/** Who has a learner core, or talks to a proposer: all but acceptors. */
const OTHERS = Role.proposer | Role.learner | Role.client | Role.host;

interface MessageLayout {
  /** Role bits: who may say it. */
  readonly from: number;
  /** Fields in order: name and how many words it takes. */
  readonly fields: readonly (readonly [name: string, words: 1 | 2])[];
  /** A value follows the fields. */
  readonly value: boolean;
  /** What the flags byte means, if anything. */
  readonly flags?: string;
}

/** Every message as data: lengths are checked against it, and `kpaxos frame` shows frames with it. */
export const NATIVE_MESSAGES: Readonly<Record<NativeName, MessageLayout>> = {
  prepare: {
    from: Role.proposer,
    fields: [
      ["iid", 2],
      ["ballot", 2],
    ],
    value: false,
  },
  promise: {
    from: Role.acceptor,
    fields: [
      ["ballot", 2],
      ["life", 2],
      ["asked", 2],
      ["first", 2],
      ["last", 2],
      ["trimIid", 2],
    ],
    value: true,
    flags: "more",
  },
  promiseRecord: {
    from: Role.acceptor,
    fields: [
      ["iid", 2],
      ["valueBallot", 2],
      ["valueLife", 2],
    ],
    value: true,
    flags: "record",
  },
  accept: {
    from: Role.proposer,
    fields: [
      ["iid", 2],
      ["ballot", 2],
      ["chosenIid", 2],
    ],
    value: true,
    flags: "voted",
  },
  accepted: {
    from: Role.acceptor,
    fields: [
      ["first", 2],
      ["last", 2],
      ["ballot", 2],
      ["life", 2],
    ],
    value: false,
  },
  acceptedValue: {
    from: Role.acceptor,
    fields: [
      ["iid", 2],
      ["ballot", 2],
      ["life", 2],
    ],
    value: true,
    flags: "repeat",
  },
  preempted: {
    from: Role.acceptor,
    fields: [
      ["iid", 2],
      ["ballot", 2],
    ],
    value: false,
  },
  repeat: {
    from: OTHERS,
    fields: [
      ["first", 2],
      ["last", 2],
    ],
    value: false,
  },
  trim: {
    from: OTHERS,
    fields: [
      ["iid", 2],
      ["kind", 1],
    ],
    value: false,
    flags: "hasApplications",
  },
  acceptorState: {
    from: Role.acceptor,
    fields: [
      ["trimIid", 2],
      ["highestIid", 2],
      ["logId", 2],
    ],
    value: false,
    flags: "state",
  },
  clientValue: { from: OTHERS, fields: [], value: true, flags: "hops" },
  busy: { from: Role.proposer, fields: [], value: false, flags: "reason" },
  learnerHi: { from: OTHERS, fields: [], value: false },
  learnerDel: { from: OTHERS, fields: [], value: false },
  acceptorOk: { from: Role.acceptor, fields: [], value: false },
  claim: {
    from: Role.acceptor | OTHERS,
    fields: [
      ["uptimeMs", 2],
      ["generation", 1],
    ],
    value: false,
  },
  heartbeat: {
    from: Role.proposer,
    fields: [
      ["iid", 2],
      ["ballot", 2],
      ["round", 2],
      ["leaseMs", 1],
    ],
    value: false,
  },
  sessionOpen: {
    from: Role.client,
    fields: [
      ["first", 2],
      ["end", 2],
    ],
    value: false,
  },
  sessionOk: { from: Role.host, fields: [["connection", 1]], value: false },
  sessionClose: { from: Role.client, fields: [["connection", 1]], value: false },
  sessionValue: { from: Role.host, fields: [], value: true },
  echo: {
    from: Role.acceptor,
    fields: [
      ["iid", 2],
      ["ballot", 2],
      ["life", 2],
      ["round", 2],
    ],
    value: false,
  },
  preVote: {
    from: Role.proposer,
    fields: [
      ["round", 2],
      ["ballot", 2],
    ],
    value: false,
  },
  preVoted: {
    from: Role.acceptor,
    fields: [
      ["round", 2],
      ["ballot", 2],
    ],
    value: false,
    flags: "granted",
  },
  standingAsk: {
    from: Role.acceptor,
    fields: [
      ["nonce", 2],
      ["generation", 1],
    ],
    value: false,
    flags: "standing",
  },
  standing: {
    from: Role.acceptor,
    fields: [
      ["nonce", 2],
      ["ballot", 2],
    ],
    value: true,
    flags: "standing",
  },
  recover: {
    from: Role.acceptor,
    fields: [
      ["iid", 2],
      ["ballot", 2],
      ["frames", 1],
    ],
    value: false,
  },
  acknowledge: {
    from: Role.proposer,
    fields: [
      ["session", 2],
      ["sequence", 2],
      ["iid", 2],
    ],
    value: false,
    flags: "kind",
  },
  readAsk: { from: OTHERS, fields: [["nonce", 2]], value: false },
  readIndex: {
    from: Role.proposer,
    fields: [
      ["nonce", 2],
      ["iid", 2],
    ],
    value: false,
    flags: "confirmed",
  },
  snapshotAsk: {
    from: OTHERS,
    fields: [
      ["above", 2],
      ["kind", 1],
    ],
    value: false,
  },
  snapshotInfo: {
    from: OTHERS,
    fields: [
      ["iid", 2],
      ["size", 2],
      ["kind", 1],
      ["checksum", 1],
    ],
    value: false,
  },
  snapshotFetch: {
    from: OTHERS,
    fields: [
      ["iid", 2],
      ["position", 2],
      ["kind", 1],
      ["size", 1],
    ],
    value: false,
  },
  snapshotChunk: {
    from: OTHERS,
    fields: [
      ["iid", 2],
      ["position", 2],
      ["kind", 1],
    ],
    value: true,
  },
  advance: { from: Role.learner | Role.proposer, fields: [["iid", 2]], value: false },
  promisePart: {
    from: Role.acceptor,
    fields: [
      ["ballot", 2],
      ["life", 2],
      ["first", 2],
      ["last", 2],
      ["standing", 1],
    ],
    value: false,
    flags: "more",
  },
  bundleAsk: { from: Role.acceptor | OTHERS, fields: [["nonce", 2]], value: true, flags: "flags" },
  bundleAnswer: { from: Role.acceptor | OTHERS, fields: [["nonce", 2]], value: false, flags: "flags" },
};

export const NATIVE_NAMES: readonly (NativeName | undefined)[] = names();
/** Bytes of a message of each type before its value's bytes (with its first word and the value's length). */
export const FIXED_BYTES: Uint16Array = fixedBytes();
/** 1 where a value follows. */
export const HAS_VALUE: Uint8Array = hasValue();
/** Role bits: who may say a message of each type. */
export const SPEAKERS: Uint8Array = speakers();

/**
 * What a frame carries besides the value of its single accept or promise record, which may need a frame without the standing. A
 * MAC is counted with and without keys: a value that was accepted without must fit a frame that has one.
 */
export const VALUE_OVERHEAD_BYTES =
  HEADER_BYTES + MAC_BYTES + FIXED_BYTES[NativeType.promisePart]! + FIXED_BYTES[NativeType.promiseRecord]!;
/** What the frame of a promise carries besides its standing. */
export const PROMISE_OVERHEAD_BYTES = HEADER_BYTES + MAC_BYTES + FIXED_BYTES[NativeType.promise]!;

function names(): (NativeName | undefined)[] {
  const list: (NativeName | undefined)[] = [undefined];
  for (const name of Object.keys(NATIVE_MESSAGES) as NativeName[]) list[NativeType[name]] = name;
  return list;
}

function fixedBytes(): Uint16Array {
  const bytes = new Uint16Array(256);
  for (const name of Object.keys(NATIVE_MESSAGES) as NativeName[]) {
    const { fields, value } = NATIVE_MESSAGES[name];
    let words = 1 + (value ? 1 : 0);
    for (const [, size] of fields) words += size;
    bytes[NativeType[name]] = 4 * words;
  }
  return bytes;
}

function hasValue(): Uint8Array {
  const flags = new Uint8Array(256);
  for (const name of Object.keys(NATIVE_MESSAGES) as NativeName[]) {
    flags[NativeType[name]] = NATIVE_MESSAGES[name].value ? 1 : 0;
  }
  return flags;
}

function speakers(): Uint8Array {
  const roles = new Uint8Array(256);
  for (const name of Object.keys(NATIVE_MESSAGES) as NativeName[]) {
    roles[NativeType[name]] = NATIVE_MESSAGES[name].from;
  }
  return roles;
}
