/**
 * What the reference's clients and devices put around a value, and the session frames between a user-space client and
 * its learner host, which share EtherType 0xCB02 with client values. Numbers here are in the host order of x86,
 * little-endian. Pure; frames are told apart by exact form, never by a code alone: a client value of client id 100
 * is not an OPEN_CONN.
 *
 * Client record: i32 client id, 4 bytes of padding, i64 seconds, i64 microseconds (time of sending), u64 size, then
 * `size` bytes. Device record: u64 size, then `size` bytes.
 */
import { readU32Little, readU64Little, writeU32Little, writeU64Little } from "./bytes.ts";

export const CLIENT_RECORD_BYTES = 32;
export const DEVICE_RECORD_BYTES = 8;

/** The header of a client record. Reused: valid until the next read into it. */
export class ClientRecord {
  clientId = 0;
  seconds = 0;
  microseconds = 0;
  size = 0;
}

export function writeClientRecord(record: ClientRecord, into: Uint8Array, at: number): void {
  writeU32Little(into, at, record.clientId);
  writeU32Little(into, at + 4, 0);
  writeU64Little(into, at + 8, record.seconds);
  writeU64Little(into, at + 16, record.microseconds);
  writeU64Little(into, at + 24, record.size);
}

/** Reads the record in the `length` bytes at `at`; false when they are not exactly one. */
export function readClientRecord(bytes: Uint8Array, at: number, length: number, out: ClientRecord): boolean {
  if (!isClientRecord(bytes, at, length)) return false;
  out.clientId = readU32Little(bytes, at) | 0;
  out.seconds = readU64Little(bytes, at + 8);
  out.microseconds = readU64Little(bytes, at + 16);
  out.size = length - CLIENT_RECORD_BYTES;
  return true;
}

function isClientRecord(bytes: Uint8Array, at: number, length: number): boolean {
  return length >= CLIENT_RECORD_BYTES && readU64Little(bytes, at + 24) === length - CLIENT_RECORD_BYTES;
}

/** Writes the size that stands before a device record's value. */
export function writeDeviceRecord(into: Uint8Array, at: number, size: number): void {
  writeU64Little(into, at, size);
}

/** The size of the value in the device record that fills these bytes, or −1 when they are not exactly one. */
export function readDeviceRecord(bytes: Uint8Array, at: number, length: number): number {
  if (length < DEVICE_RECORD_BYTES) return -1;
  const size = readU64Little(bytes, at);
  return size === length - DEVICE_RECORD_BYTES ? size : -1;
}

/** What the value of a 0xCB02 frame is. */
export const SessionFrame = { none: 0, open: 1, ok: 2, close: 3, delivered: 4 } as const;
export type SessionFrame = (typeof SessionFrame)[keyof typeof SessionFrame];

const OPEN_CODE = 100;
export const OK_CODE = 101;
export const CLOSE_CODE = 102;
export const OPEN_BYTES = 12;
const CONNECTION_BYTES = 8;

/** `none`: a value that a client wants in the log. */
export function classifySession(bytes: Uint8Array, at: number, length: number): SessionFrame {
  if (length === OPEN_BYTES && readU32Little(bytes, at) === OPEN_CODE) return SessionFrame.open;
  if (length === CONNECTION_BYTES) {
    const code = readU32Little(bytes, at);
    if (code === OK_CODE) return SessionFrame.ok;
    if (code === CLOSE_CODE) return SessionFrame.close;
    return SessionFrame.none;
  }
  if (isClientRecord(bytes, at, length)) return SessionFrame.none;
  const size = readDeviceRecord(bytes, at, length);
  if (size >= 0 && isClientRecord(bytes, at + DEVICE_RECORD_BYTES, size)) return SessionFrame.delivered;
  return SessionFrame.none;
}

/** OPEN_CONN for client ids first…end − 1. Returns its length. */
export function writeSessionOpen(into: Uint8Array, at: number, first: number, end: number): number {
  writeU32Little(into, at, OPEN_CODE);
  writeU32Little(into, at + 4, first);
  writeU32Little(into, at + 8, end);
  return OPEN_BYTES;
}

/** OK or CLOSE_CONN. Returns its length. */
export function writeSessionConnection(
  into: Uint8Array,
  at: number,
  code: number,
  connection: number,
): number {
  writeU32Little(into, at, code);
  writeU32Little(into, at + 4, connection);
  return CONNECTION_BYTES;
}

/** The i32 with this index of a session frame. */
export function sessionNumber(bytes: Uint8Array, at: number, index: number): number {
  return readU32Little(bytes, at + 4 * index) | 0;
}
