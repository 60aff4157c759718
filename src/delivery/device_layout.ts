/**
 * The file behind a delivery device: one page of control words, then `places` places, each for one reader with a ring.
 * Words are 32 bits, little-endian; a 53-bit number is two words, low first. Pure: offsets, names, numbers.
 *
 * Life of a place: `free` → `claiming` (the reader, by compare-and-swap, while it holds the lock on byte 1 + place) →
 * `claimed` (its ring is made) → `attached` (the learner: records come) → `leaving` (the reader) or `dropped` (the
 * learner gave up on it) → `free` (the learner, once the reader's lock is gone). The learner holds the lock on byte 0.
 *
 * What a reader reports back (acknowledged and trim request) stands under a sequence lock: the word `REPORT` is odd
 * while the reader writes. The learner never spins on it: it keeps what it knew and looks again at the next poll, so
 * a reader that dies in the middle holds nobody up.
 */
import { LOG_RECORD_BYTES } from "./log_record.ts";

export const DEVICE_MAGIC = 0x6b707864;
export const DEVICE_VERSION = 2;
export const PAGE_BYTES = 4096;
export const MAX_PLACES = 64;

/** Control words. The first line is written once, before the file has its name. */
export const Control = {
  magic: 0,
  version: 1,
  places: 2,
  ringBytes: 3,
  /** Random: tells this device from the one that had the name before. */
  instance: 4,
  learnerPid: 5,
  /** Readers add 1 when the state of a place has changed. */
  changes: 32,
} as const;

/** Words of a place. */
export const Place = {
  state: 0,
  readerPid: 1,
  /** Position of the last value delivered before the reader was attached: iid (2 words) and index. */
  afterIid: 4,
  afterIndex: 6,
  /** Where the reader wants to begin: one of `StartWord`, and for a position its iid (2 words) and index. */
  start: 7,
  startIid: 8,
  startIndex: 10,
  /** 1: it will acknowledge what it is done with. */
  acknowledges: 11,
  report: 16,
  acknowledged: 17,
  trim: 19,
} as const;

export const PlaceState = { free: 0, claiming: 1, claimed: 2, attached: 3, leaving: 4, dropped: 5 } as const;
export type PlaceState = (typeof PlaceState)[keyof typeof PlaceState];

export const StartWord = { present: 0, oldest: 1, position: 2 } as const;

/** Bytes of a place before its ring. */
const PLACE_BYTES = 256;
const RING_HEADER_BYTES = 256;

/**
 * A value in the ring, as it is in the delivery log: iid, session, sequence (2 words each), index (its highest bit: the
 * last value of its instance), length; then the value. What was missed: the first and the last iid (2 words each), both indexes.
 */
export const RECORD_HEADER_BYTES = LOG_RECORD_BYTES;
export const RecordWord = { iid: 0, session: 2, sequence: 4, index: 6 } as const;
export const MISSED_BYTES = 24;
export const MissedWord = { firstIid: 0, lastIid: 2, firstIndex: 4, lastIndex: 5 } as const;
/** Types of the ring's records; others are for later versions. */
export const RecordType = { value: 1, missed: 2 } as const;

export const LEARNER_LOCK = 0;
export function readerLock(place: number): number {
  return 1 + place;
}

function placeStride(ringBytes: number): number {
  const bytes = PLACE_BYTES + RING_HEADER_BYTES + ringBytes;
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

export function placeOffset(place: number, ringBytes: number): number {
  return PAGE_BYTES + place * placeStride(ringBytes);
}

export function ringOffset(place: number, ringBytes: number): number {
  return placeOffset(place, ringBytes) + PLACE_BYTES;
}

export function deviceBytes(places: number, ringBytes: number): number {
  return PAGE_BYTES + places * placeStride(ringBytes);
}

/** The largest value that a ring of this size takes. */
export function maxValueBytes(ringBytes: number): number {
  return ringBytes / 2 - 8 - RECORD_HEADER_BYTES;
}

/** The smallest ring that takes values of `valueBytes`. */
export function ringBytesFor(valueBytes: number): number {
  let bytes = PAGE_BYTES;
  while (maxValueBytes(bytes) < valueBytes) bytes *= 2;
  return bytes;
}

export function loadNumber(words: Int32Array, at: number): number {
  const high = Atomics.load(words, at + 1) >>> 0;
  return high * 0x1_0000_0000 + (Atomics.load(words, at) >>> 0);
}

export function storeNumber(words: Int32Array, at: number, value: number): void {
  Atomics.store(words, at, value | 0);
  Atomics.store(words, at + 1, Math.floor(value / 0x1_0000_0000));
}

/** Not atomic: for words that one store publishes. */
export function putNumber(words: Int32Array, at: number, value: number): void {
  words[at] = value | 0;
  words[at + 1] = Math.floor(value / 0x1_0000_0000);
}

export function getNumber(words: Int32Array, at: number): number {
  return (words[at + 1]! >>> 0) * 0x1_0000_0000 + (words[at]! >>> 0);
}

/** File name of a device. Cluster names may hold anything; file names here do not. */
export function deviceName(cluster: string, id: number): string {
  const safe = cluster.replace(/[^A-Za-z0-9_-]/gu, (character) =>
    [...new TextEncoder().encode(character)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
  );
  return `${safe}-klearner${id}`;
}

/** What the names of a device's wake-up FIFOs begin with. */
export function wakePrefix(devicePath: string): string {
  return `${devicePath}.wake-`;
}

/** The instance is in the name, so that a reader of an old device cannot remove the FIFO of a new one. */
export function wakePath(devicePath: string, instance: number, place: number): string {
  return `${wakePrefix(devicePath)}${(instance >>> 0).toString(16)}-${place}`;
}
