/**
 * Where the values of a client come from: a pattern to measure with, or values that somebody supplies.
 */
import { copyBytes, copyWords } from "../bytes.ts";

const NOTHING = new Uint8Array(0);
/** Longer values are copied sooner in another way. */
const MOST_WORDS = 32;

export interface ValueSource {
  /** Bytes of the client's value of this number (they count from 0); asked once. */
  sizeOf(client: number, number: number): number;
  /** Copies a part of the value; the same part again when it has to be sent again. */
  copy(client: number, number: number, from: number, length: number, into: Uint8Array, at: number): void;
  /** The client's values up to this one are not wanted any more. */
  release(client: number, number: number): void;
}

/** Something to look at in a trace: the alphabet again and again, in sizes that are drawn evenly. */
export class PatternValues implements ValueSource {
  readonly #least: number;
  readonly #most: number;
  readonly #random: () => number;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** Where values were copied to last, in words. */
  #into: Uint8Array = NOTHING;
  #intoWords: Int32Array = new Int32Array(0);

  constructor(leastSize: number, mostSize: number, random: () => number) {
    this.#least = leastSize;
    this.#most = mostSize;
    this.#random = random;
    this.#words = new Int32Array((mostSize + 3) >> 2);
    this.#bytes = new Uint8Array(this.#words.buffer, 0, mostSize);
    fillPattern(this.#bytes, 0);
  }

  sizeOf(): number {
    if (this.#least === this.#most) return this.#least;
    return this.#least + Math.floor(this.#random() * (this.#most - this.#least + 1));
  }

  copy(_client: number, _number: number, from: number, length: number, into: Uint8Array, at: number): void {
    if (length > MOST_WORDS * 4 || ((from | at | length | into.byteOffset) & 3) !== 0) {
      copyBytes(this.#bytes, from, into, at, length);
      return;
    }
    if (into !== this.#into) {
      this.#into = into;
      this.#intoWords = new Int32Array(into.buffer, into.byteOffset, into.length >> 2);
    }
    copyWords(this.#words, from >> 2, this.#intoWords, at >> 2, length >> 2);
  }

  release(): void {}
}

/** Values that somebody supplies, one after the other, of one client. */
export class GivenValues implements ValueSource {
  /** From the oldest that is still needed on. */
  readonly #values: Uint8Array[] = [];
  #first = 0;
  #made = 0;
  /** Bytes that are kept. */
  bytes = 0;

  /** Values that were given and did not begin to be sent. */
  get waiting(): number {
    return this.#first + this.#values.length - this.#made;
  }

  /** Values that began to be sent: those of lower numbers. */
  get begun(): number {
    return this.#made;
  }

  /** Values that are kept: those that wait, and those that are not known to be delivered. */
  get count(): number {
    return this.#values.length;
  }

  give(value: Uint8Array): void {
    this.#values.push(value);
    this.bytes += value.length;
  }

  sizeOf(_client: number, number: number): number {
    this.#made = number + 1;
    return this.#values[number - this.#first]!.length;
  }

  copy(_client: number, number: number, from: number, length: number, into: Uint8Array, at: number): void {
    copyBytes(this.#values[number - this.#first]!, from, into, at, length);
  }

  release(_client: number, number: number): void {
    while (this.#first <= number) {
      this.bytes -= this.#values.shift()!.length;
      this.#first++;
    }
  }
}

export function fillPattern(bytes: Uint8Array, from: number): void {
  for (let i = from; i < bytes.length; i++) bytes[i] = 97 + ((i - from) % 26);
}
