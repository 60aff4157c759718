/**
 * What a frame's end proves: appended and checked as `ffi/link_checksum.c` does it, for frames that never meet the C
 * library. A CRC-32C, or with keys a MAC.
 */
import { crc32c } from "./crc32c.ts";
import { frameMac, macHolds } from "./hmac.ts";
import { type ChecksumOptions, CRC_BYTES, type LinkCounters, MAC_BYTES } from "./link.ts";

/** How much of a frame's end `options` takes. */
export function trailerBytesOf(options: ChecksumOptions | undefined): number {
  if (options === undefined) return 0;
  return isKeyed(options) ? MAC_BYTES : CRC_BYTES;
}

function isKeyed({ keys }: ChecksumOptions): boolean {
  return keys !== undefined && keys.length > 0;
}

export class FrameSeal {
  readonly trailerBytes: number;
  readonly #lengthOffset: number;
  readonly #keys: readonly Uint8Array[];

  constructor(options: ChecksumOptions) {
    this.trailerBytes = trailerBytesOf(options);
    this.#lengthOffset = options.lengthOffset;
    this.#keys = options.keys ?? [];
  }

  /** Appends it; false when the frame does not say its own length. There is room for `trailerBytes`. */
  seal(bytes: Uint8Array, offset: number, length: number): boolean {
    if (length < this.#lengthOffset + 2 || this.#covered(bytes, offset) !== length) return false;
    const key = this.#keys[0];
    if (key !== undefined) {
      bytes.set(frameMac(key, bytes, offset, length), offset + length);
      return true;
    }
    const crc = crc32c(bytes, offset, length);
    for (let i = 0; i < CRC_BYTES; i++) bytes[offset + length + i] = crc >>> (8 * i);
    return true;
  }

  /** Whether it is right; counts it when it is not. */
  admits(bytes: Uint8Array, offset: number, length: number, counters: LinkCounters): boolean {
    const least = this.#lengthOffset + 2;
    const covered = length < least ? 0 : this.#covered(bytes, offset);
    if (covered >= least && covered + this.trailerBytes <= length && this.#holds(bytes, offset, covered))
      return true;
    // Without keys: what has just the room of a MAC is another's who has one.
    const keyed = this.#keys.length > 0 || (covered >= least && covered + MAC_BYTES === length);
    if (keyed) counters.rxBadMac++;
    else counters.rxBadChecksum++;
    return false;
  }

  #holds(bytes: Uint8Array, offset: number, covered: number): boolean {
    if (this.#keys.length > 0) return macHolds(this.#keys, bytes, offset, covered);
    const crc = crc32c(bytes, offset, covered);
    for (let i = 0; i < CRC_BYTES; i++) {
      if (bytes[offset + covered + i] !== ((crc >>> (8 * i)) & 0xff)) return false;
    }
    return true;
  }

  #covered(bytes: Uint8Array, offset: number): number {
    const at = offset + this.#lengthOffset;
    return bytes[at]! | (bytes[at + 1]! << 8);
  }
}
