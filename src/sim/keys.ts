/**
 * The keys of a simulated cluster. One run in some signs its frames: then every process accepts two keys, and each signs with the
 * one or the other, as in the middle of a rotation. A stranger has a key that nobody else has, or none.
 */
import { KEY_BYTES } from "../net/hmac.ts";
import type { Random } from "./random.ts";

/** Of all runs. A MAC costs more time than everything else that is done to a frame. */
const SIGNED_SHARE = 1 / 8;

export class Keyring {
  readonly isSigned: boolean;
  readonly #random: Random;
  readonly #keys: readonly [Uint8Array, Uint8Array];

  /** `always`: the run is one that signs. */
  constructor(random: Random, always: boolean) {
    this.#random = random;
    this.#keys = [newKey(random), newKey(random)];
    this.isSigned = random.happens(SIGNED_SHARE) || always;
  }

  /** For the next start of a process; undefined: its frames end in a checksum. */
  next(): readonly Uint8Array[] | undefined {
    if (!this.isSigned) return undefined;
    const [first, second] = this.#keys;
    return this.#random.happens(0.5) ? [first, second] : [second, first];
  }

  /** For a stranger. */
  foreign(hasKey: boolean): readonly Uint8Array[] | undefined {
    return hasKey ? [newKey(this.#random)] : undefined;
  }
}

function newKey(random: Random): Uint8Array {
  return Uint8Array.from({ length: KEY_BYTES }, () => random.between(0, 255));
}
