/**
 * What a run under chaos showed: which values were submitted and acknowledged, what each life of each learner delivered,
 * and the judgement on it. Knows no process; every rule is tested on a history that breaks it.
 *
 * Invariant: a value names its client's life and its number, so no two that were submitted are equal.
 */

/** Above every index in a batch, so that a position is one number that sorts. */
const INDEX_LIMIT = 65536;
/** Enough to see what is wrong. */
const MOST_PROBLEMS = 40;

/** Every so many values there is one that no frame holds. */
const LARGE_EVERY = 40;

/** The text of value `number` (from 1) of this client life: its padding is different from value to value. */
export function valueText(client: string, number: number): string {
  const size = (number % LARGE_EVERY === 0 ? 4000 : 0) + ((number * 7919) % 97);
  return `${client}:${number}:${"abcdefghij".repeat(500).slice(number % 10, (number % 10) + size)}`;
}

/** A value as a problem names it. */
function brief(value: string): string {
  return value.length <= 40 ? value : `${value.slice(0, 40)}… (${value.length} characters)`;
}

/** What one life of a client handed in. */
export class Submissions {
  readonly client: string;
  /** Values handed over, from 1. */
  given = 0;
  /** The first so many were confirmed. */
  acknowledged = 0;

  constructor(client: string) {
    this.client = client;
  }

  next(): string {
    return valueText(this.client, ++this.given);
  }
}

/** What one life of a learner delivered, in order. */
export class Deliveries {
  readonly learner: string;
  /** Positions as numbers. */
  readonly positions: number[] = [];
  /** Instances that it said it will never deliver. */
  readonly skipped: (readonly [first: number, last: number])[] = [];

  constructor(learner: string) {
    this.learner = learner;
  }

  get last(): number {
    return this.positions.at(-1) ?? -1;
  }
}

export function positionText(position: number): string {
  return `${Math.floor(position / INDEX_LIMIT)}.${position % INDEX_LIMIT}`;
}

/** The position is of instance `iid` or of an earlier one. */
export function isBehind(position: number, iid: number): boolean {
  return Math.floor(position / INDEX_LIMIT) <= iid;
}

export class History {
  readonly submissions = new Map<string, Submissions>();
  readonly learners: Deliveries[] = [];
  /** The log as far as anybody delivered it. */
  readonly log = new Map<number, string>();
  readonly #places = new Map<string, number>();
  readonly #problems: string[] = [];
  #unsaid = 0;

  /** The highest position that anybody delivered. */
  highest = -1;

  client(name: string): Submissions {
    const made = new Submissions(name);
    this.submissions.set(name, made);
    return made;
  }

  learner(name: string): Deliveries {
    const made = new Deliveries(name);
    this.learners.push(made);
    return made;
  }

  get acknowledged(): number {
    let sum = 0;
    for (const one of this.submissions.values()) sum += one.acknowledged;
    return sum;
  }

  problem(text: string): void {
    if (this.#problems.length < MOST_PROBLEMS) this.#problems.push(text);
    else this.#unsaid++;
  }

  /** A delivered value as its learner printed it. */
  deliver(to: Deliveries, iid: number, index: number, value: string): void {
    const position = iid * INDEX_LIMIT + index;
    const where = positionText(position);
    if (position <= to.last) {
      this.problem(`order: ${to.learner} delivered ${where} after ${positionText(to.last)}`);
    }
    to.positions.push(position);
    this.highest = Math.max(this.highest, position);
    const known = this.log.get(position);
    if (known === value) return;
    if (known !== undefined) {
      const others = this.learners.filter((one) => one !== to && one.positions.includes(position));
      const names = others.map((one) => one.learner).join(", ");
      this.problem(
        `agreement: at ${where} ${to.learner} delivered ${brief(value)}, but ${names} ${brief(known)}`,
      );
      return;
    }
    this.log.set(position, value);
    const before = this.#places.get(value);
    if (before === undefined) this.#places.set(value, position);
    else this.problem(`integrity: ${brief(value)} is delivered at ${positionText(before)} and at ${where}`);
  }

  /** Acknowledged values that nobody has delivered yet. */
  missing(): string[] {
    const list: string[] = [];
    for (const { client, acknowledged } of this.submissions.values()) {
      for (let number = 1; number <= acknowledged; number++) {
        const value = valueText(client, number);
        if (!this.#places.has(value)) list.push(value);
      }
    }
    return list;
  }

  /** Everything that is wrong, once all has been delivered. */
  judge(): string[] {
    const order = [...this.log.keys()].sort((a, b) => a - b);
    this.#judgeValues(order);
    for (const value of this.missing())
      this.problem(`durability: ${brief(value)} was acknowledged and is not there`);
    const places = new Map(order.map((position, place) => [position, place]));
    for (const one of this.learners) this.#judgeGaps(one, order, places);
    return this.#unsaid === 0 ? this.#problems : [...this.#problems, `and ${this.#unsaid} more`];
  }

  /** Only values that were submitted, each client's in its order and none left out. */
  #judgeValues(order: readonly number[]): void {
    const newest = new Map<string, number>();
    for (const position of order) {
      const value = this.log.get(position)!;
      const where = positionText(position);
      const [client = "", digits = ""] = value.split(":");
      const number = Number(digits);
      const from = this.submissions.get(client);
      if (from === undefined || !(number <= from.given) || valueText(client, number) !== value) {
        this.problem(`validity: ${brief(value)} at ${where} was never submitted`);
        continue;
      }
      const due = (newest.get(client) ?? 0) + 1;
      if (number > due)
        this.problem(`order: ${brief(value)} at ${where}, but value ${due} of it comes first`);
      if (number >= due) newest.set(client, number);
    }
  }

  /** From its first delivery to its last a learner left out only what it said it left out. */
  #judgeGaps(one: Deliveries, order: readonly number[], places: ReadonlyMap<number, number>): void {
    for (let at = 1; at < one.positions.length; at++) {
      const from = places.get(one.positions[at - 1]!)! + 1;
      const to = places.get(one.positions[at]!)!;
      const left = order.slice(from, to).filter((position) => !isSkipped(one, position));
      if (left.length === 0) continue;
      const shown = left.slice(0, 5).map(positionText).join(", ");
      this.problem(
        `gap: ${one.learner} left out ${left.length} values: ${shown}${left.length > 5 ? ", …" : ""}`,
      );
    }
  }

  /** What a learner should have delivered from the very beginning and neither did nor said it would not. */
  judgeComplete(one: Deliveries): void {
    const has = new Set(one.positions);
    let left = 0;
    let first = -1;
    for (const position of this.log.keys()) {
      if (has.has(position) || isSkipped(one, position)) continue;
      left++;
      if (first < 0 || position < first) first = position;
    }
    if (left === 0) return;
    this.problem(`complete: ${one.learner} lacks ${left} values, the first at ${positionText(first)}`);
  }
}

function isSkipped(one: Deliveries, position: number): boolean {
  const iid = Math.floor(position / INDEX_LIMIT);
  return one.skipped.some(([first, last]) => iid >= first && iid <= last);
}
