/**
 * When to send again: some round trips after sending, doubling up to a limit. The round trip is measured on what was
 * answered at the first attempt (Karn's rule).
 */
const LEAST_US = 10_000;

export class Retry {
  /** Measured, smoothed. */
  roundTripUs = 2_500;
  readonly #limitUs: number;
  readonly #leastUs: number;

  constructor(limitUs: number, leastUs: number = LEAST_US) {
    this.#limitUs = limitUs;
    this.#leastUs = leastUs;
  }

  /** A round trip was measured. */
  sample(us: number): void {
    this.roundTripUs += (us - this.roundTripUs) / 8;
  }

  firstUs(): number {
    return Math.min(this.#limitUs, this.#leastUs + 4 * this.roundTripUs);
  }

  /** How long to wait after the `attempts`-th sending. */
  pauseUs(attempts: number): number {
    return Math.min(this.#limitUs, this.firstUs() * 2 ** Math.max(0, attempts - 1));
  }
}
