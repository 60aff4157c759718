/**
 * HMAC-SHA-256 as frames end in it, for frames that never meet the C library: the in-memory link and `frame decode`.
 * Same results as `ffi/hmac.c`.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { MAC_BYTES } from "./link.ts";

export const KEY_BYTES = 32;
/** The first key signs, all are accepted. */
export const MAX_KEYS = 2;

export function frameMac(key: Uint8Array, bytes: Uint8Array, offset: number, length: number): Uint8Array {
  const digest = createHmac("sha256", key)
    .update(bytes.subarray(offset, offset + length))
    .digest();
  return digest.subarray(0, MAC_BYTES);
}

/** Whether one of the keys made the MAC that follows `length` bytes from `offset` on. */
export function macHolds(
  keys: readonly Uint8Array[],
  bytes: Uint8Array,
  offset: number,
  length: number,
): boolean {
  const end = offset + length;
  const given = bytes.subarray(end, end + MAC_BYTES);
  if (given.length < MAC_BYTES) return false;
  return keys.some((key) => timingSafeEqual(frameMac(key, bytes, offset, length), given));
}
