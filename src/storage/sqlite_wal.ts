/**
 * Looks through a write-ahead log before SQLite does. SQLite ends a log at its first bad frame and forgets what follows,
 * which is right for a transaction that a power cut tore: it had not been committed. But where a whole transaction follows
 * the bad frame, the torn one had been synced, so it was damaged since, and what it promised must not be forgotten.
 *
 * The file is only read. The damage of the very last transaction cannot be told from a torn one (docs/storage.md).
 */
import { closeSync, openSync, readSync } from "node:fs";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const CHUNK_FRAMES = 128;
/** Checksums over little-endian words; the last bit set: big-endian. */
const MAGIC = 0x377f0682;
const SALTS_AT = 16;
const SUMS_AT = 24;
/** In a frame's header: pages of the database after a transaction, in its last frame only; salts; checksums. */
const FRAME_COMMIT_AT = 4;
const FRAME_SALTS_AT = 8;
const FRAME_SUMS_AT = 16;

/** The running checksum of a log. */
class WalSum {
  a = 0;
  b = 0;
  readonly littleEndian: boolean;

  constructor(littleEndian: boolean) {
    this.littleEndian = littleEndian;
  }

  add(view: DataView, from: number, length: number): void {
    let { a, b } = this;
    for (let at = from; at < from + length; at += 8) {
      a = (a + view.getUint32(at, this.littleEndian) + b) >>> 0;
      b = (b + view.getUint32(at + 4, this.littleEndian) + a) >>> 0;
    }
    this.a = a;
    this.b = b;
  }

  isAt(view: DataView, at: number): boolean {
    return view.getUint32(at) === this.a && view.getUint32(at + 4) === this.b;
  }
}

/** What is wrong with the log at `path`; undefined: nothing that a power cut cannot do. */
export function damageOfWal(path: string): string | undefined {
  const fd = openSync(path, "r");
  try {
    return damageOf((into, position) => readSync(fd, into, 0, into.length, position));
  } finally {
    closeSync(fd);
  }
}

type Read = (into: Uint8Array, position: number) => number;

function damageOf(read: Read): string | undefined {
  const header = new Uint8Array(HEADER_BYTES + FRAME_HEADER_BYTES);
  // The header is synced before the first frame is written.
  if (read(header, 0) < header.length) return undefined;
  const view = new DataView(header.buffer);
  const magic = view.getUint32(0);
  const sum = new WalSum(magic === MAGIC);
  sum.add(view, 0, SUMS_AT);
  const pageBytes = view.getUint32(8);
  const isWhole = (magic & ~1) >>> 0 === MAGIC && sum.isAt(view, SUMS_AT);
  if (!isWhole || pageBytes < 512 || pageBytes > 65536) return "its header is damaged";
  return damageOfFrames(read, view, sum, pageBytes);
}

function damageOfFrames(read: Read, header: DataView, sum: WalSum, pageBytes: number): string | undefined {
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const chunk = new Uint8Array(CHUNK_FRAMES * frameBytes);
  const view = new DataView(chunk.buffer);
  /** The first frame that does not hold, from 1; 0 while all do. */
  let bad = 0;
  let hasEnded = false;
  for (let first = 0; ; first += CHUNK_FRAMES) {
    const length = read(chunk, HEADER_BYTES + first * frameBytes);
    for (let at = 0, frame = first + 1; at + frameBytes <= length; at += frameBytes, frame++) {
      // Frames of another round have other salts: what the log held before it began anew.
      const isOfThisRound =
        view.getUint32(at + FRAME_SALTS_AT) === header.getUint32(SALTS_AT) &&
        view.getUint32(at + FRAME_SALTS_AT + 4) === header.getUint32(SALTS_AT + 4);
      if (bad === 0) {
        sum.add(view, at, FRAME_SALTS_AT);
        sum.add(view, at + FRAME_HEADER_BYTES, pageBytes);
        if (!isOfThisRound || !sum.isAt(view, at + FRAME_SUMS_AT)) bad = frame;
      }
      if (bad === 0 || !isOfThisRound) continue;
      if (hasEnded) return `frame ${bad} is damaged, and frame ${frame} of a later transaction follows it`;
      hasEnded = view.getUint32(at + FRAME_COMMIT_AT) !== 0;
    }
    if (length < chunk.length) return undefined;
  }
}
