/**
 * A host's own clock, read in whole microseconds: it began at another time than the simulation's, and runs a little faster or
 * slower. It never goes back.
 */
export class HostClock {
  readonly #offsetUs: number;
  readonly #rate: number;

  /** `driftPpm`: microseconds it gains in a second. */
  constructor(offsetUs = 0, driftPpm = 0) {
    this.#offsetUs = offsetUs;
    this.#rate = 1 + driftPpm / 1e6;
  }

  get isSkewed(): boolean {
    return this.#rate !== 1;
  }

  /** What the clock shows at this time of the simulation. */
  read(virtualUs: number): number {
    return Math.floor(this.#offsetUs + virtualUs * this.#rate);
  }

  /** The first microsecond of the simulation at which the clock shows this time, or more. */
  when(localUs: number): number {
    if (localUs === Number.POSITIVE_INFINITY) return localUs;
    let virtualUs = Math.max(0, Math.ceil((localUs - this.#offsetUs) / this.#rate));
    // What division rounds, either way.
    while (this.read(virtualUs) < localUs) virtualUs++;
    while (virtualUs > 0 && this.read(virtualUs - 1) >= localUs) virtualUs--;
    return virtualUs;
  }
}
