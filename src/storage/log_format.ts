/**
 * The form of an acceptor's log (docs/storage.md): its first block, chunks of entries with a checksum each, and the
 * entries. Touches no file. Numbers are whole and at most 2^53 − 1; words have 32 bits, the lowest byte first.
 */
import { copyBytes } from "../protocol/bytes.ts";
import { crc32c } from "../protocol/crc32c.ts";
import { difference, type Identity } from "./sqlite_format.ts";

const LOG_VERSION = 1;
/** What is written at once begins and ends at a multiple of this, so that nothing has to be read for it. */
export const BLOCK_BYTES = 4096;
/** Chunks begin at a multiple of this. */
export const ALIGN_BYTES = 8;
const FIRST_LINE = "kpaxos acceptor log";
const MAGIC = 0x6b706c67;

/** Words of a chunk's header. Pairs are numbers, the lower half first. */
const Word = {
  crc: 0,
  magic: 1,
  bytes: 2,
  owner: 3,
  region: 4,
  number: 6,
  synced: 8,
  oldest: 10,
  run: 12,
  flags: 13,
} as const;
const HEADER_WORDS = 14;
export const HEADER_BYTES = 4 * HEADER_WORDS;

/** Bits. */
export const ChunkFlag = {
  /** The last chunk of its commit. */
  end: 1,
  /** The first one of a process. */
  begins: 2,
  /** The last one of a process that ended in order, without entries. */
  closes: 4,
} as const;

export const EntryKind = { promised: 1, promisedAt: 2, accepted: 3, trimmed: 4, standing: 5 } as const;
/** Kind, flags and length before the numbers of an entry; a record's numbers before its value. */
export const ENTRY_WORDS = 2;
export const RECORD_BYTES = 4 * (ENTRY_WORDS + 6);
export const STATE_BYTES = 4 * (ENTRY_WORDS + 4);
export const TRIM_BYTES = 4 * (ENTRY_WORDS + 2);
const STANDING_BYTES = 16;

export function recordBytes(valueBytes: number): number {
  return RECORD_BYTES + aligned(valueBytes);
}

export function standingBytes(acceptors: number): number {
  return 4 * ENTRY_WORDS + STANDING_BYTES * acceptors;
}

export function aligned(bytes: number, to: number = ALIGN_BYTES): number {
  return Math.ceil(bytes / to) * to;
}

/** What the header of a chunk says beside its length. */
export interface ChunkHeader {
  /** Number of the region's use: regions are used again, numbers are not. */
  region: number;
  /** Of this chunk; each commit's first one has the number after the last commit's. */
  number: number;
  /** Chunks up to this number were synced before this one was written. */
  synced: number;
  /** Regions before this one are not needed any more, says what was synced before this chunk was written. */
  oldest: number;
  /** Counts the processes that wrote here. */
  run: number;
  flags: number;
}

export function pairAt(words: Uint32Array, at: number): number {
  return words[at]! + words[at + 1]! * 2 ** 32;
}

export function setPair(words: Uint32Array, at: number, number: number): void {
  words[at] = number;
  words[at + 1] = Math.floor(number / 2 ** 32);
}

/** Completes the chunk of `length` bytes at `at`. */
export function sealChunk(
  bytes: Uint8Array,
  words: Uint32Array,
  at: number,
  length: number,
  owner: number,
  header: ChunkHeader,
): void {
  const word = at >>> 2;
  words[word + Word.magic] = MAGIC;
  words[word + Word.bytes] = length;
  words[word + Word.owner] = owner;
  setPair(words, word + Word.region, header.region);
  setPair(words, word + Word.number, header.number);
  setPair(words, word + Word.synced, header.synced);
  setPair(words, word + Word.oldest, header.oldest);
  words[word + Word.run] = header.run;
  words[word + Word.flags] = header.flags;
  words[word + Word.crc] = crc32c(bytes, at + 4, length - 4);
}

/** Reads the chunk at `at` into `into`; its length, or 0 when there is no whole chunk of this owner's. */
export function readChunk(
  bytes: Uint8Array,
  words: Uint32Array,
  at: number,
  end: number,
  owner: number,
  into: ChunkHeader,
): number {
  const word = at >>> 2;
  if (at + HEADER_BYTES > end || words[word + Word.magic] !== MAGIC || words[word + Word.owner] !== owner) {
    return 0;
  }
  const length = words[word + Word.bytes]!;
  if (length < HEADER_BYTES || length % ALIGN_BYTES !== 0 || at + length > end) return 0;
  if (crc32c(bytes, at + 4, length - 4) !== words[word + Word.crc]) return 0;
  into.region = pairAt(words, word + Word.region);
  into.number = pairAt(words, word + Word.number);
  into.synced = pairAt(words, word + Word.synced);
  into.oldest = pairAt(words, word + Word.oldest);
  into.run = words[word + Word.run]!;
  into.flags = words[word + Word.flags]!;
  return length;
}

/** Writes the head of an entry. */
export function setEntry(
  words: Uint32Array,
  at: number,
  kind: number,
  flags: number,
  length: number,
): number {
  words[at >>> 2] = kind | (flags << 8);
  words[(at >>> 2) + 1] = length;
  return (at >>> 2) + ENTRY_WORDS;
}

/** Bytes that an entry takes, 0 when it is none. */
export function entryBytes(words: Uint32Array, at: number, end: number): number {
  const kind = words[at >>> 2]! & 0xff;
  const length = words[(at >>> 2) + 1]!;
  let bytes = 0;
  if (kind === EntryKind.accepted) bytes = recordBytes(length);
  else if (kind === EntryKind.standing) bytes = standingBytes(length);
  else if (kind === EntryKind.trimmed) bytes = TRIM_BYTES;
  else if (kind === EntryKind.promised || kind === EntryKind.promisedAt) bytes = STATE_BYTES;
  return at + bytes > end ? 0 : bytes;
}

/** What the first block says, in words for people, a salt and a checksum. */
export interface FirstBlock {
  readonly identity: Identity;
  readonly regionBytes: number;
  /** Nobody who submits values knows it, and so none can look like a chunk of the log. */
  readonly salt: string;
}

interface Told extends Identity {
  readonly version: number;
  readonly regionBytes: number;
  readonly salt: string;
}

/** A first block and the number that all chunks of its log bear. */
export function writeFirstBlock({ identity, regionBytes, salt }: FirstBlock): Uint8Array {
  const { cluster, clusterId, wire, acceptors, acceptor } = identity;
  const told: Told = {
    ...{ version: LOG_VERSION, cluster, clusterId, wire, acceptors, acceptor },
    ...{ regionBytes, salt },
  };
  const text = new TextEncoder().encode(`${FIRST_LINE}\n${JSON.stringify(told)}\n`);
  const block = new Uint8Array(BLOCK_BYTES);
  copyBytes(text, 0, block, 0, Math.min(text.length, BLOCK_BYTES - 4));
  new DataView(block.buffer).setUint32(BLOCK_BYTES - 4, crc32c(block, 0, BLOCK_BYTES - 4), true);
  return block;
}

export function ownerOf(block: Uint8Array): number {
  return new DataView(block.buffer, block.byteOffset).getUint32(BLOCK_BYTES - 4, true);
}

export interface FirstBlockRead {
  /** What is wrong with it … */
  readonly damage?: string;
  /** … or whose else it is. */
  readonly other?: string;
  readonly regionBytes: number;
}

export function readFirstBlock(block: Uint8Array, wanted: Identity): FirstBlockRead {
  const text = new TextDecoder().decode(block.subarray(0, BLOCK_BYTES - 4));
  const [first, json] = text.split("\n");
  if (first !== FIRST_LINE) {
    return { regionBytes: 0, damage: "it is no log of an acceptor, or its first block is destroyed" };
  }
  if (crc32c(block, 0, BLOCK_BYTES - 4) !== ownerOf(block)) {
    return { regionBytes: 0, damage: "the checksum of its first block does not match" };
  }
  const told = JSON.parse(json ?? "") as Told;
  const other =
    told.version === LOG_VERSION
      ? difference(told, wanted)
      : `it has format version ${told.version}, this kpaxos reads and writes version ${LOG_VERSION}`;
  return { regionBytes: told.regionBytes, ...(other === undefined ? {} : { other }) };
}
