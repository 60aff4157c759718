/**
 * Which of a fixed number of sessions may have something to send: each once, served in turn. Pure.
 */
export class ActiveRing {
  count = 0;
  readonly #ring: Int32Array;
  readonly #isIn: Uint8Array;
  #head = 0;

  constructor(size: number) {
    this.#ring = new Int32Array(size);
    this.#isIn = new Uint8Array(size);
  }

  /** The one whose turn it is; only while `count` is not 0. */
  get first(): number {
    return this.#ring[this.#head]!;
  }

  add(index: number): void {
    if (this.#isIn[index] === 1) return;
    this.#isIn[index] = 1;
    let at = this.#head + this.count++;
    if (at >= this.#ring.length) at -= this.#ring.length;
    this.#ring[at] = index;
  }

  /** All, this one first. */
  addAll(first: number): void {
    const ring = this.#ring;
    for (let i = 0; i < ring.length; i++) ring[i] = (first + i) % ring.length;
    this.#isIn.fill(1);
    this.#head = 0;
    this.count = ring.length;
  }

  /** The first has nothing to send any more. */
  shift(): void {
    this.#isIn[this.first] = 0;
    if (++this.#head === this.#ring.length) this.#head = 0;
    this.count--;
  }
}
