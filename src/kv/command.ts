/**
 * The commands of the key-value store and their results as bytes. A command is what travels through the log; a result is what
 * every replica computes for it. Total on input: bytes that are no command are decoded as undefined.
 *
 * Command (little-endian): operation (1 byte), condition (1), key length (2), key (UTF-8); then the condition's operand
 * (`version`: 8 bytes; `value`: length (4) and bytes); then, of a put, length (4) and bytes of the new value.
 * Result: status (1 byte), then the key's version (8).
 */
import { readFloat64, readUint32, writeFloat64, writeUint32 } from "../protocol/bytes.ts";

/** A key has at most so many bytes. */
export const MAX_KEY_BYTES = 1024;

export const Operation = { put: 1, delete: 2, nothing: 3 } as const;
export type Operation = (typeof Operation)[keyof typeof Operation];

/** What must hold for a command to take effect. `absent`: there is no such key. */
export type Condition =
  | { readonly kind: "none" }
  | { readonly kind: "absent" }
  | { readonly kind: "present" }
  | { readonly kind: "version"; readonly version: number }
  | { readonly kind: "value"; readonly value: Uint8Array };
const CONDITIONS = ["none", "absent", "present", "version", "value"] as const satisfies Condition["kind"][];

export interface Command {
  readonly operation: Operation;
  readonly key: string;
  readonly condition: Condition;
  /** Of a put. */
  readonly value: Uint8Array;
}

export const Status = {
  /** It took effect. */
  done: 0,
  /** Its condition did not hold. */
  differs: 1,
  /** There was no such key to delete. */
  missing: 2,
  /** The store has no room for it. */
  full: 3,
  /** The bytes are no command of this store. */
  malformed: 4,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

export interface Result {
  readonly status: Status;
  /** The key's version after the command; 0: it does not exist. */
  readonly version: number;
}

const NOTHING = new Uint8Array(0);
const HEADER_BYTES = 4;
const encoder = new TextEncoder();
// A key keeps its mark of byte order: without it, it would be another key.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function put(key: string, value: Uint8Array, condition: Condition = { kind: "none" }): Command {
  return { operation: Operation.put, key, condition, value };
}

export function remove(key: string, condition: Condition = { kind: "none" }): Command {
  return { operation: Operation.delete, key, condition, value: NOTHING };
}

export function encodeCommand(command: Command): Uint8Array {
  const { operation, condition, value } = command;
  const key = encoder.encode(command.key);
  const operand =
    condition.kind === "version" ? 8 : condition.kind === "value" ? 4 + condition.value.length : 0;
  const hasValue = operation === Operation.put;
  const bytes = new Uint8Array(HEADER_BYTES + key.length + operand + (hasValue ? 4 + value.length : 0));
  bytes[0] = operation;
  bytes[1] = CONDITIONS.indexOf(condition.kind);
  bytes[2] = key.length;
  bytes[3] = key.length >>> 8;
  bytes.set(key, HEADER_BYTES);
  let at = HEADER_BYTES + key.length;
  if (condition.kind === "version") writeFloat64(bytes, at, condition.version);
  if (condition.kind === "value") writeValue(bytes, at, condition.value);
  at += operand;
  if (hasValue) writeValue(bytes, at, value);
  return bytes;
}

/** Copies what it keeps: the bytes may be used again by their owner. */
export function decodeCommand(bytes: Uint8Array): Command | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const operation = bytes[0]!;
  const kind = CONDITIONS[bytes[1]!];
  const keyLength = bytes[2]! | (bytes[3]! << 8);
  let at = HEADER_BYTES + keyLength;
  if (kind === undefined || keyLength > MAX_KEY_BYTES || at > bytes.length) return undefined;
  const key = text(bytes.subarray(HEADER_BYTES, at));
  if (key === undefined) return undefined;
  let condition: Condition;
  if (kind === "version") {
    if (bytes.length < at + 8) return undefined;
    condition = { kind, version: readFloat64(bytes, at) };
    at += 8;
  } else if (kind === "value") {
    const value = readValue(bytes, at);
    if (value === undefined) return undefined;
    condition = { kind, value };
    at += 4 + value.length;
  } else condition = { kind };
  let value: Uint8Array = NOTHING;
  if (operation === Operation.put) {
    const given = readValue(bytes, at);
    if (given === undefined) return undefined;
    value = given;
    at += 4 + value.length;
  } else if (operation !== Operation.delete && operation !== Operation.nothing) return undefined;
  return at === bytes.length ? { operation, key, condition, value } : undefined;
}

export function encodeResult({ status, version }: Result): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[0] = status;
  writeFloat64(bytes, 1, version);
  return bytes;
}

export function decodeResult(bytes: Uint8Array): Result {
  return { status: bytes[0] as Status, version: readFloat64(bytes, 1) };
}

function writeValue(bytes: Uint8Array, at: number, value: Uint8Array): void {
  writeUint32(bytes, at, value.length);
  bytes.set(value, at + 4);
}

function readValue(bytes: Uint8Array, at: number): Uint8Array | undefined {
  if (bytes.length < at + 4) return undefined;
  const length = readUint32(bytes, at);
  return bytes.length < at + 4 + length ? undefined : bytes.slice(at + 4, at + 4 + length);
}

function text(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
