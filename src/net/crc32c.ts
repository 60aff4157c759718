/**
 * CRC-32C (Castagnoli) in TypeScript, for frames that never meet the C library: the in-memory link and
 * `frame decode`. Same results as `ffi/crc32c.c`.
 */
const POLYNOMIAL = 0x82f63b78;

const table = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) !== 0 ? POLYNOMIAL : 0);
  table[byte] = crc;
}

/** Of `length` bytes from `offset` on, as an unsigned number. */
export function crc32c(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): number {
  let crc = -1;
  for (let i = offset, end = offset + length; i < end; i++) {
    crc = (crc >>> 8) ^ table[(crc ^ bytes[i]!) & 0xff]!;
  }
  return ~crc >>> 0;
}
