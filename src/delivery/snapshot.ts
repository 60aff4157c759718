/**
 * A snapshot as bytes, the same on the wire and in a file: what the log up to and including instance `iid` has made of the
 * sessions and of the application. Total: bytes that are no snapshot of this cluster are refused with a reason.
 *
 * Little-endian:
 *
 * | bytes | content |
 * |---|---|
 * | 0–3 | "kpxs" |
 * | 4–7 | version: 2 |
 * | 8–11 | cluster id |
 * | 12–15 | kind: 0 sessions alone, else a hash of the application's name |
 * | 16–23 | iid |
 * | 24–31 | the log's id: of two logs of one cluster, which (`StandingVector.logId`); 0: not known |
 * | 32–35 | length of the table of sessions |
 * | 36–39 | length of the application's bytes |
 * | 40… | the table, the application's bytes |
 * | last 4 | CRC-32C of everything before |
 */
import { copyBytes } from "../protocol/bytes.ts";
import { crc32c } from "../protocol/crc32c.ts";
import { MAX_SNAPSHOT_BYTES } from "../protocol/learner/snapshot_transfer.ts";

const MAGIC = 0x7378706b;
const VERSION = 2;
const HEADER_BYTES = 40;
const TRAILER_BYTES = 4;
const HIGH = 2 ** 32;
const LIMIT = 2 ** 53;

/** Sessions alone: what a process without a state machine keeps. */
export const SESSIONS_ONLY = 0;

export interface Snapshot {
  readonly kind: number;
  readonly iid: number;
  readonly logId: number;
  readonly table: Uint8Array;
  readonly application: Uint8Array;
}

/** A snapshot that is kept: its bytes, and what of them is asked for often. */
export interface Encoded {
  readonly kind: number;
  readonly iid: number;
  readonly bytes: Uint8Array;
  readonly checksum: number;
}

/** Why bytes are not taken. */
export type SnapshotRefusal = "no snapshot" | "damaged" | "version" | "cluster";

/** The kind of snapshots of an application of this name. */
export function kindOf(name: string): number {
  const text = new TextEncoder().encode(name);
  return crc32c(text) || 1;
}

export function encodeSnapshot(snapshot: Snapshot, clusterId: number): Encoded {
  const { kind, iid, logId, table, application } = snapshot;
  const end = HEADER_BYTES + table.length + application.length;
  const bytes = new Uint8Array(end + TRAILER_BYTES);
  if (bytes.length > MAX_SNAPSHOT_BYTES) throw new RangeError(`a snapshot of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, clusterId, true);
  view.setUint32(12, kind, true);
  setPair(view, 16, iid);
  setPair(view, 24, logId);
  view.setUint32(32, table.length, true);
  view.setUint32(36, application.length, true);
  copyBytes(table, 0, bytes, HEADER_BYTES, table.length);
  copyBytes(application, 0, bytes, HEADER_BYTES + table.length, application.length);
  const checksum = crc32c(bytes, 0, end);
  view.setUint32(end, checksum, true);
  return { kind, iid, bytes, checksum };
}

export function decodeSnapshot(bytes: Uint8Array, clusterId: number): Snapshot | SnapshotRefusal {
  if (bytes.length < HEADER_BYTES + TRAILER_BYTES) return "no snapshot";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) return "no snapshot";
  if (view.getUint32(4, true) !== VERSION) return "version";
  const tableLength = view.getUint32(32, true);
  const end = HEADER_BYTES + tableLength + view.getUint32(36, true);
  if (end + TRAILER_BYTES !== bytes.length) return "damaged";
  if (crc32c(bytes, 0, end) !== view.getUint32(end, true)) return "damaged";
  if (view.getUint32(8, true) !== clusterId) return "cluster";
  const iid = pairAt(view, 16);
  const logId = pairAt(view, 24);
  if (iid < 1 || iid >= LIMIT || logId >= LIMIT) return "damaged";
  return {
    kind: view.getUint32(12, true),
    iid,
    logId,
    table: bytes.subarray(HEADER_BYTES, HEADER_BYTES + tableLength),
    application: bytes.subarray(HEADER_BYTES + tableLength, end),
  };
}

/** What is kept of bytes that were decoded. */
export function encodedOf(snapshot: Snapshot, bytes: Uint8Array): Encoded {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const checksum = view.getUint32(bytes.length - TRAILER_BYTES, true);
  return { kind: snapshot.kind, iid: snapshot.iid, bytes, checksum };
}

function setPair(view: DataView, at: number, number: number): void {
  view.setUint32(at, number >>> 0, true);
  view.setUint32(at + 4, Math.floor(number / HIGH), true);
}

function pairAt(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * HIGH + view.getUint32(at, true);
}
