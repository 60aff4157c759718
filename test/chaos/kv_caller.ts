/**
 * Calls one server of a key-value store, one call after the other, and writes down what came of each. What a server says was not
 * done counts as not done; what broke off may have been done, now or later.
 */
import { KEYS_PATH } from "../../src/kv/server.ts";
import type { Call, KvHistory } from "../../src/sim/kv_history.ts";
import type { RegisterInput } from "../../src/sim/linearizability.ts";

const NAMES = ["a", "b", "c"] as const;
/** Beyond what a server takes to say that it does not know. */
const TIMEOUT_MS = 8_000;
const PAUSE_MS = 50;
/** So many calls there is a value that no frame holds. */
const LARGE_EVERY = 40;
const LARGE_BYTES = 4_000;
const NOBODY_THERE = new Set(["ENOENT", "ECONNREFUSED", "ConnectionRefused", "FailedToOpenSocket"]);

export interface CallerPlan {
  readonly name: string;
  readonly socket: string;
  readonly history: KvHistory;
  readonly random: () => number;
  readonly perSecond: number;
}

export function nowUs(): number {
  return Math.floor(performance.now() * 1000);
}

export class Caller {
  readonly problems: string[] = [];
  readonly #plan: CallerPlan;
  #isOver = false;
  #loop: Promise<void> | undefined;
  #values = 0;
  /** What was seen of a key last. */
  readonly #seen = new Map<string, string | null>();

  constructor(plan: CallerPlan) {
    this.#plan = plan;
  }

  start(): void {
    this.#loop = this.#calls();
  }

  stop(): void {
    this.#isOver = true;
  }

  /** Until the call under way has come to its end. */
  async finish(): Promise<void> {
    this.stop();
    await this.#loop;
  }

  async #calls(): Promise<void> {
    while (!this.#isOver) {
      const beganMs = performance.now();
      const isThere = await this.#call(this.#draw());
      const pauseMs = isThere ? 1000 / this.#plan.perSecond - (performance.now() - beganMs) : PAUSE_MS;
      if (pauseMs > 0) await Bun.sleep(pauseMs);
    }
  }

  #draw(): RegisterInput {
    const { random, history, name } = this.#plan;
    const key = history.key(NAMES[Math.floor(random() * NAMES.length)]!);
    const drawn = random();
    if (drawn < 0.45) return { kind: "get", key };
    if (drawn < 0.5) return { kind: "delete", key };
    const number = ++this.#values;
    const value = `${name}.${number}${"~".repeat(number % LARGE_EVERY === 0 ? LARGE_BYTES : 0)}`;
    if (drawn < 0.75) return { kind: "put", key, value };
    return { kind: "swap", key, expected: this.#seen.get(key) ?? null, value };
  }

  /** False: nobody is there. */
  async #call(input: RegisterInput): Promise<boolean> {
    const { name, history, socket, random } = this.#plan;
    const call = history.begins(name, input, nowUs());
    const read = random() < 0.7 ? "confirmed" : "log";
    let response: Response;
    try {
      response = await fetch(urlOf(input, read), {
        unix: socket,
        // A connection that is used again could have a request sent twice.
        keepalive: false,
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...requestOf(input),
      });
      return this.#answered(call, response.status, await response.text());
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (NOBODY_THERE.has(code)) return false;
      history.loses(call);
      return true;
    }
  }

  #answered(call: Call, status: number, text: string): boolean {
    const { history, name } = this.#plan;
    const { kind, key } = call.input;
    const ends = (output: string | null | boolean): boolean => {
      history.ends(call, output, nowUs() + 1);
      return true;
    };
    if (status === 504) {
      history.loses(call);
      return true;
    }
    // Nothing was done.
    if (status === 503) return true;
    if (kind === "get" && (status === 200 || status === 404)) {
      const found = status === 200 ? text : null;
      this.#seen.set(key, found);
      return ends(found);
    }
    if (status === 200) return ends(true);
    if ((kind === "delete" && status === 404) || (kind === "swap" && status === 412)) return ends(false);
    this.problems.push(`answer: ${name} is answered ${status} to ${kind} ${key}: ${text.slice(0, 200)}`);
    return true;
  }
}

function urlOf(input: RegisterInput, read: string): string {
  const base = `http://kv${KEYS_PATH}/${encodeURIComponent(input.key)}`;
  if (input.kind === "get") return `${base}?read=${read}`;
  if (input.kind !== "swap" || input.expected === null) return base;
  return `${base}?expect=${Buffer.from(input.expected).toString("base64url")}`;
}

function requestOf(input: RegisterInput): RequestInit {
  switch (input.kind) {
    case "get":
      return { method: "GET" };
    case "delete":
      return { method: "DELETE" };
    case "put":
      return { method: "PUT", body: input.value };
    case "swap":
      return {
        method: "PUT",
        body: input.value,
        headers: input.expected === null ? { "if-none-match": "*" } : {},
      };
  }
}
