/**
 * What is to be done at which time of a simulation; things of one time are done in the order in which they were noted.
 */
interface Item {
  readonly atUs: number;
  readonly order: number;
  readonly run: () => void;
}

export class Agenda {
  readonly #items: Item[] = [];
  #order = 0;

  at(atUs: number, run: () => void): void {
    const item = { atUs, order: this.#order++, run };
    let index = this.#items.length;
    while (index > 0 && this.#items[index - 1]!.atUs > atUs) index--;
    this.#items.splice(index, 0, item);
  }

  /** When the next thing is to be done; `Infinity`: nothing is. */
  dueUs(): number {
    return this.#items[0]?.atUs ?? Number.POSITIVE_INFINITY;
  }

  /** Does the next thing. */
  next(): void {
    this.#items.shift()?.run();
  }

  clear(): void {
    this.#items.length = 0;
  }
}
