/**
 * Chance from a seed: everything a simulation draws comes from here, so that a seed is a run. Streams of one seed are
 * independent: what one part of a simulation draws does not move what another one draws.
 */
export class Random {
  readonly #state: Uint32Array;

  constructor(seed: number, stream: string) {
    let mixed = (seed ^ 0x9e3779b9) >>> 0;
    for (let i = 0; i < stream.length; i++) mixed = Math.imul(mixed ^ stream.charCodeAt(i), 0x85ebca6b) >>> 0;
    this.#state = new Uint32Array([mixed, seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 1]);
    for (let i = 0; i < 12; i++) this.next();
  }

  /** Uniform in 0…1; a function of its own, for whoever wants only that. */
  readonly next = (): number => {
    const s = this.#state;
    const sum = (s[0]! + s[1]! + s[3]!) >>> 0;
    s[3] = s[3]! + 1;
    s[0] = s[1]! ^ (s[1]! >>> 9);
    s[1] = s[2]! + (s[2]! << 3);
    s[2] = ((s[2]! << 21) | (s[2]! >>> 11)) + sum;
    return sum / 2 ** 32;
  };

  happens(chance: number): boolean {
    return chance > 0 && this.next() < chance;
  }

  /** A whole number from least to most, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** A waiting time of this mean: small ones are common, some are several times as long. */
  around(mean: number): number {
    return Math.ceil(-Math.log(1 - this.next()) * mean);
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)]!;
  }

  shuffled<T>(list: readonly T[]): T[] {
    const rest = [...list];
    const drawn: T[] = [];
    while (rest.length > 0) drawn.push(rest.splice(Math.floor(this.next() * rest.length), 1)[0]!);
    return drawn;
  }

  /** The number of a process start. */
  life(): number {
    return 1 + Math.floor(this.next() * 2 ** 32) + 2 ** 32 * Math.floor(this.next() * (2 ** 21 - 1));
  }
}
