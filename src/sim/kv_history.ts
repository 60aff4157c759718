/**
 * All calls of a key-value store and what came of them, which has to be linearizable. Whoever calls asks here for the key: a key
 * is used for so many calls, or until so many writes on it have an outcome that nobody knows, and then another one takes its
 * place. Each key's history is searched alone, so the search stays small however long a run is.
 */
import {
  checkLinearizable,
  type Operation,
  REGISTERS,
  type RegisterInput,
  type RegisterOutput,
} from "./linearizability.ts";
import { Violation } from "./violation.ts";

/** Calls of one key. */
export const MOST_CALLS = 128;
/** Writes of one key that may have taken effect at any time: each doubles what a search may have to try. */
export const MOST_LOST = 6;

export type Call = Operation<RegisterInput, RegisterOutput>;

/** What there is of a key that callers ask for by name. */
interface Present {
  generation: number;
  calls: number;
  lost: number;
}

export class KvHistory {
  /** Calls that were answered, and writes of which nobody knows what came of them. */
  answered = 0;
  lost = 0;
  readonly #calls: Call[] = [];
  readonly #present = new Map<string, Present>();
  readonly #stepsLimit: number | undefined;

  /** `stepsLimit`: see `checkLinearizable`. */
  constructor(stepsLimit?: number) {
    this.#stepsLimit = stepsLimit;
  }

  /** The key that stands for this name at present. */
  key(name: string): string {
    return keyOf(name, this.#of(name).generation);
  }

  /** All keys that were ever called. */
  keys(): string[] {
    return [...new Set(this.#calls.map(({ input }) => input.key))];
  }

  /** A call of a key that `key` has given begins. */
  begins(client: string, input: RegisterInput, callUs: number): Call {
    const present = this.#presentOf(input.key);
    if (present !== undefined) this.#count(present, "calls", MOST_CALLS);
    return { client, input, output: undefined, callUs, returnUs: Number.POSITIVE_INFINITY };
  }

  ends(call: Call, output: RegisterOutput, returnUs: number): void {
    this.answered++;
    this.#calls.push({ ...call, output, returnUs });
  }

  /** Nobody knows what came of it: a write may yet take effect, a read that was not answered says nothing. */
  loses(call: Call): void {
    if (call.input.kind === "get") return;
    this.lost++;
    this.#calls.push(call);
    const present = this.#presentOf(call.input.key);
    if (present !== undefined) this.#count(present, "lost", MOST_LOST);
  }

  /** When all is over: what a key holds somewhere. */
  finds(client: string, key: string, value: string | null, atUs: number): void {
    this.#calls.push({ client, input: { kind: "get", key }, output: value, callUs: atUs, returnUs: atUs });
  }

  /** Throws a violation; returns the keys of which the search for an order was given up. */
  check(): string[] {
    const verdict = checkLinearizable(this.#calls, REGISTERS, this.#stepsLimit);
    if (verdict.result === "linearizable") return [];
    if (verdict.result === "unknown") return [...verdict.partitions];
    const { partition, order, stuck } = verdict;
    const last = order.length === 0 ? "the beginning" : order.slice(-3).map(tell).join("; ");
    throw new Violation(
      "linearizability",
      `key ${partition}: nothing can follow ${last}; not ${stuck.map(tell).join("; nor ")}`,
    );
  }

  /** Every call, a line each, for people. */
  lines(): string[] {
    return this.#calls.map(tell);
  }

  #of(name: string): Present {
    const found = this.#present.get(name);
    if (found !== undefined) return found;
    const made = { generation: 0, calls: 0, lost: 0 };
    this.#present.set(name, made);
    return made;
  }

  /** Of a key that is in use. */
  #presentOf(key: string): Present | undefined {
    const [name = "", generation = ""] = key.split(".");
    const present = this.#present.get(name);
    return present?.generation === Number(generation) ? present : undefined;
  }

  #count(present: Present, what: "calls" | "lost", most: number): void {
    if (++present[what] < most) return;
    present.generation++;
    present.calls = present.lost = 0;
  }
}

function keyOf(name: string, generation: number): string {
  return `${name}.${generation}`;
}

function tell({ client, input, output, callUs, returnUs }: Call): string {
  return `${client} ${JSON.stringify(input)} → ${JSON.stringify(output)} from ${callUs} to ${returnUs}`;
}
