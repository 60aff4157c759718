/**
 * Numbers in byte arrays, without a view or an object per call. Callers check bounds.
 */
/** The big-endian u32 at `at`. */
export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** The little-endian u32 at `at`. */
export function readU32Little(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function writeU32Little(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** The little-endian u64 at `at`; above 2^53 only its magnitude is right, which is enough to refuse it. */
export function readU64Little(bytes: Uint8Array, at: number): number {
  return readU32Little(bytes, at + 4) * 0x1_0000_0000 + readU32Little(bytes, at);
}

/** `value` is an integer from 0 to 2^53 − 1. */
export function writeU64Little(bytes: Uint8Array, at: number, value: number): void {
  writeU32Little(bytes, at, value >>> 0);
  writeU32Little(bytes, at + 4, Math.floor(value / 0x1_0000_0000));
}
