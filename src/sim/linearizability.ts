/**
 * Whether a history of operations is linearizable: whether each can be given one moment between its call and its return so
 * that, one after the other, they are right for a sequential model.
 *
 * The search is Wing and Gong's, with Lowe's memory of what was tried: operations are taken in the order of time, the first one
 * that returns bounds who can come next, and a set of operations taken that has led to this state before is not tried again.
 * What only observes is taken as soon as it fits: whatever order is right with it later is right with it now.
 * Operations of different keys do not see each other, so each key's history is searched alone (Herlihy and Wing: locality).
 */

export interface Operation<I, O> {
  /** For people: who called. */
  readonly client: string;
  readonly input: I;
  /** Undefined: nobody knows; the operation may have taken effect at any time after its call, or not at all. */
  readonly output: O | undefined;
  readonly callUs: number;
  /** `Infinity` when it did not return. */
  readonly returnUs: number;
}

export interface Model<S, I, O> {
  /** Which operations see each other. */
  partition(input: I): string;
  readonly initial: S;
  /** The state after the operation; undefined: it cannot have this output in this state. */
  step(state: S, input: I, output: O | undefined): S | undefined;
  /** It changes nothing, in whatever state it comes. */
  observes(input: I, output: O | undefined): boolean;
  /** Equal for equal states. */
  key(state: S): string;
}

export type Verdict<I, O> =
  | { readonly result: "linearizable" }
  /** No order is right; as many operations as ever fitted before it stuck, and those one of which should have followed. */
  | {
      readonly result: "violated";
      readonly partition: string;
      readonly order: readonly Operation<I, O>[];
      readonly stuck: readonly Operation<I, O>[];
    }
  /** Not decided: the search was given up in these; the others are linearizable. */
  | { readonly result: "unknown"; readonly partitions: readonly string[] };

/** Steps of the search in one partition before it is given up; it remembers one state a step, at most. */
const STEPS_LIMIT = 1_000_000;

export function checkLinearizable<S, I, O>(
  history: readonly Operation<I, O>[],
  model: Model<S, I, O>,
  stepsLimit = STEPS_LIMIT,
): Verdict<I, O> {
  const parts = new Map<string, Operation<I, O>[]>();
  for (const operation of history) {
    const partition = model.partition(operation.input);
    const part = parts.get(partition);
    if (part === undefined) parts.set(partition, [operation]);
    else part.push(operation);
  }
  const unknown: string[] = [];
  for (const [partition, operations] of parts) {
    const verdict = new Search(partition, operations, model, stepsLimit).run();
    if (verdict.result === "violated") return verdict;
    if (verdict.result === "unknown") unknown.push(partition);
  }
  return unknown.length === 0 ? { result: "linearizable" } : { result: "unknown", partitions: unknown };
}

/** A call or a return, in a list of both in the order of time; what is taken is taken out of the list. */
class Node {
  readonly index: number;
  /** Of a call: its return. Of a return: null. */
  readonly match: Node | null;
  previous: Node | null = null;
  next: Node | null = null;

  constructor(index: number, match: Node | null) {
    this.index = index;
    this.match = match;
  }
}

interface Taken<S> {
  readonly call: Node;
  readonly before: S;
  /** No other choice would have been better. */
  readonly isForced: boolean;
}

class Search<S, I, O> {
  readonly #partition: string;
  readonly #operations: readonly Operation<I, O>[];
  readonly #model: Model<S, I, O>;
  readonly #head = new Node(-1, null);
  readonly #set: Uint32Array;
  readonly #tried = new Set<string>();
  readonly #taken: Taken<S>[] = [];
  #stepsLeft: number;
  #longest: readonly Node[] = [];

  constructor(
    partition: string,
    operations: readonly Operation<I, O>[],
    model: Model<S, I, O>,
    stepsLimit: number,
  ) {
    this.#partition = partition;
    this.#operations = operations;
    this.#model = model;
    this.#stepsLeft = stepsLimit;
    this.#set = new Uint32Array(Math.ceil(operations.length / 32));
    this.#link();
  }

  run(): Verdict<I, O> {
    const head = this.#head;
    let state = this.#model.initial;
    let at = this.#fitting(state) ?? head.next;
    while (head.next !== null) {
      if (this.#stepsLeft-- === 0) return { result: "unknown", partitions: [this.#partition] };
      if (at !== null && at.match !== null) {
        const next = this.#try(at, state);
        if (next === undefined) at = at.next;
        else {
          this.#taken.push({ call: at, before: state, isForced: this.#observes(at) });
          state = next;
          lift(at);
          at = this.#fitting(state) ?? head.next;
        }
        continue;
      }
      // Somebody has returned whose operation none of these orders has room for: the last one taken comes later.
      if (this.#taken.length > this.#longest.length) this.#longest = this.#taken.map(({ call }) => call);
      let last: Taken<S> | undefined;
      do {
        last = this.#taken.pop();
        if (last === undefined) return this.#violated();
        const word = last.call.index >>> 5;
        this.#set[word] = this.#set[word]! & ~(1 << (last.call.index & 31));
        put(last.call);
      } while (last.isForced);
      state = last.before;
      at = last.call.next;
    }
    return { result: "linearizable" };
  }

  #observes(call: Node): boolean {
    const { input, output } = this.#operations[call.index]!;
    return this.#model.observes(input, output);
  }

  /** Of those that can come next, one that only observes, and fits. */
  #fitting(state: S): Node | undefined {
    for (let at = this.#head.next; at !== null && at.match !== null; at = at.next) {
      if (!this.#observes(at)) continue;
      const { input, output } = this.#operations[at.index]!;
      if (this.#model.step(state, input, output) !== undefined) return at;
    }
    return undefined;
  }

  /** The state after this operation; undefined where it does not fit, or where this has been tried. */
  #try(call: Node, state: S): S | undefined {
    const { input, output } = this.#operations[call.index]!;
    const next = this.#model.step(state, input, output);
    if (next === undefined) return undefined;
    const word = call.index >>> 5;
    const bit = 1 << (call.index & 31);
    this.#set[word] = this.#set[word]! | bit;
    const key = `${this.#set.join()} ${this.#model.key(next)}`;
    if (!this.#tried.has(key)) {
      this.#tried.add(key);
      return next;
    }
    this.#set[word] = this.#set[word]! & ~bit;
    return undefined;
  }

  #violated(): Verdict<I, O> {
    const order = this.#longest.map(({ index }) => this.#operations[index]!);
    const rest = this.#operations.filter((operation) => !order.includes(operation));
    const firstUs = Math.min(...rest.map(({ returnUs }) => returnUs));
    const stuck = rest.filter(({ callUs }) => callUs <= firstUs);
    return { result: "violated", partition: this.#partition, order, stuck };
  }

  /** Of one moment, calls come before returns: operations that touch are concurrent. */
  #link(): void {
    const events: { atUs: number; isReturn: boolean; node: Node }[] = [];
    this.#operations.forEach(({ callUs, returnUs }, index) => {
      const end = new Node(index, null);
      events.push({ atUs: callUs, isReturn: false, node: new Node(index, end) });
      events.push({ atUs: returnUs, isReturn: true, node: end });
    });
    events.sort((a, b) =>
      a.atUs !== b.atUs
        ? a.atUs - b.atUs
        : Number(a.isReturn) - Number(b.isReturn) || a.node.index - b.node.index,
    );
    let last = this.#head;
    for (const { node } of events) {
      last.next = node;
      node.previous = last;
      last = node;
    }
  }
}

function lift(call: Node): void {
  for (const node of [call, call.match!]) {
    node.previous!.next = node.next;
    if (node.next !== null) node.next.previous = node.previous;
  }
}

/** Takes `lift` back. */
function put(call: Node): void {
  for (const node of [call.match!, call]) {
    node.previous!.next = node;
    if (node.next !== null) node.next.previous = node;
  }
}

// ── a register per key ────────────────────────────────────────────────────────────────────────────────────────────

export type RegisterInput =
  | { readonly kind: "get"; readonly key: string }
  | { readonly kind: "put"; readonly key: string; readonly value: string }
  | { readonly kind: "delete"; readonly key: string }
  /** Puts `value` if the key holds `expected` (null: if it holds nothing). */
  | {
      readonly kind: "swap";
      readonly key: string;
      readonly expected: string | null;
      readonly value: string;
    };

/** Of a get: what it found, null: nothing. Of a swap: whether it took place. Of a delete: whether there was something. Of a put: true. */
export type RegisterOutput = string | null | boolean;

/** A key-value store, key by key: what a key holds, null: nothing. */
export const REGISTERS: Model<string | null, RegisterInput, RegisterOutput> = {
  partition: ({ key }) => key,
  initial: null,
  step: (state, input, output) => {
    switch (input.kind) {
      case "get":
        return output === undefined || output === state ? state : undefined;
      case "put":
        return input.value;
      case "delete":
        return output === undefined || output === (state !== null) ? null : undefined;
      case "swap": {
        const takesPlace = state === input.expected;
        if (output !== undefined && output !== takesPlace) return undefined;
        return takesPlace ? input.value : state;
      }
    }
  },
  observes: ({ kind }, output) =>
    output !== undefined && (kind === "get" || (kind === "swap" && output === false)),
  key: (state) => (state === null ? "" : `=${state}`),
};
