/**
 * HMAC-SHA-256 as frames end in it, for frames that never meet the C library: the in-memory link and `frame decode`.
 * Same results as `ffi/hmac.c`.
 */
import { MAC_BYTES } from "./link.ts";

export const KEY_BYTES = 32;
/** The first key signs, all are accepted. */
export const MAX_KEYS = 2;

export function frameMac(key: Uint8Array, bytes: Uint8Array, offset: number, length: number): Uint8Array {
  const hasher = new Bun.CryptoHasher("sha256", key);
  hasher.update(bytes.subarray(offset, offset + length));
  return hasher.digest().subarray(0, MAC_BYTES);
}

/** Whether one of the keys made the MAC that follows `length` bytes from `offset` on. */
export function macHolds(
  keys: readonly Uint8Array[],
  bytes: Uint8Array,
  offset: number,
  length: number,
): boolean {
  const end = offset + length;
  if (end + MAC_BYTES > bytes.length) return false;
  return keys.some((key) => isEqual(frameMac(key, bytes, offset, length), bytes, end));
}

/** Without telling by its time where the two differ. */
function isEqual(mac: Uint8Array, bytes: Uint8Array, at: number): boolean {
  let differences = 0;
  for (let i = 0; i < MAC_BYTES; i++) differences |= mac[i]! ^ bytes[at + i]!;
  return differences === 0;
}
