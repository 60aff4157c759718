/**
 * How long the oldest value of a queue has waited, to the millisecond. Knows of values only how many came and when. Pure.
 */

/** A queue that needs more has values that waited for long in any case: it is known then to be at least so old. */
const MARKS = 256;
const LEAST_US = 1_000;

export class QueueAge {
  /** From which value on (counted from the first ever) they came at this time. */
  readonly #from = new Float64Array(MARKS);
  readonly #us = new Float64Array(MARKS);
  #head = 0;
  #count = 0;
  #pushed = 0;

  pushed(nowUs: number): void {
    const last = (this.#head + this.#count - 1) % MARKS;
    if (this.#count === 0 || (this.#count < MARKS && nowUs - this.#us[last]! >= LEAST_US)) {
      const at = (this.#head + this.#count++) % MARKS;
      this.#from[at] = this.#pushed;
      this.#us[at] = nowUs;
    }
    this.#pushed++;
  }

  /** `waiting`: values that are in the queue. */
  ageUs(waiting: number, nowUs: number): number {
    const oldest = this.#pushed - waiting;
    while (this.#count > 0 && (waiting === 0 || this.#endOfFirst() <= oldest)) {
      this.#head = (this.#head + 1) % MARKS;
      this.#count--;
    }
    return this.#count === 0 ? 0 : nowUs - this.#us[this.#head]!;
  }

  #endOfFirst(): number {
    return this.#count === 1 ? this.#pushed : this.#from[(this.#head + 1) % MARKS]!;
  }
}
