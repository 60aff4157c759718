/**
 * The commands of the key-value store and their results as bytes. A command is what travels through the log; a result is what
 * every replica computes for it. Total on input: bytes that are no command are decoded as undefined.
 *
 * Command (little-endian): operation (1 byte), condition (1), key length (2), key (UTF-8); then the condition's operand
 * (`version`: 8 bytes; `value`: length (4) and bytes); then, of a put, length (4) and bytes of the new value.
 * Result: status (1 byte), then the key's version (8).
 */

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
const decoder = new TextDecoder("utf-8", { fatal: true });

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
  const view = new DataView(bytes.buffer);
  view.setUint8(0, operation);
  view.setUint8(1, CONDITIONS.indexOf(condition.kind));
  view.setUint16(2, key.length, true);
  bytes.set(key, HEADER_BYTES);
  let at = HEADER_BYTES + key.length;
  if (condition.kind === "version") view.setFloat64(at, condition.version, true);
  if (condition.kind === "value") writeValue(view, bytes, at, condition.value);
  at += operand;
  if (hasValue) writeValue(view, bytes, at, value);
  return bytes;
}

/** Copies what it keeps: the bytes may be used again by their owner. */
export function decodeCommand(bytes: Uint8Array): Command | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES) return undefined;
  const operation = view.getUint8(0);
  const kind = CONDITIONS[view.getUint8(1)];
  const keyLength = view.getUint16(2, true);
  let at = HEADER_BYTES + keyLength;
  if (kind === undefined || keyLength > MAX_KEY_BYTES || at > bytes.length) return undefined;
  const key = text(bytes.subarray(HEADER_BYTES, at));
  if (key === undefined) return undefined;
  let condition: Condition;
  if (kind === "version") {
    if (bytes.length < at + 8) return undefined;
    condition = { kind, version: view.getFloat64(at, true) };
    at += 8;
  } else if (kind === "value") {
    const value = readValue(view, bytes, at);
    if (value === undefined) return undefined;
    condition = { kind, value };
    at += 4 + value.length;
  } else condition = { kind };
  let value: Uint8Array = NOTHING;
  if (operation === Operation.put) {
    const given = readValue(view, bytes, at);
    if (given === undefined) return undefined;
    value = given;
    at += 4 + value.length;
  } else if (operation !== Operation.delete && operation !== Operation.nothing) return undefined;
  return at === bytes.length ? { operation, key, condition, value } : undefined;
}

export function encodeResult({ status, version }: Result): Uint8Array {
  const bytes = new Uint8Array(9);
  bytes[0] = status;
  new DataView(bytes.buffer).setFloat64(1, version, true);
  return bytes;
}

export function decodeResult(bytes: Uint8Array): Result {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { status: view.getUint8(0) as Status, version: view.getFloat64(1, true) };
}

function writeValue(view: DataView, bytes: Uint8Array, at: number, value: Uint8Array): void {
  view.setUint32(at, value.length, true);
  bytes.set(value, at + 4);
}

function readValue(view: DataView, bytes: Uint8Array, at: number): Uint8Array | undefined {
  if (bytes.length < at + 4) return undefined;
  const length = view.getUint32(at, true);
  return bytes.length < at + 4 + length ? undefined : bytes.slice(at + 4, at + 4 + length);
}

function text(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}
