/**
 * The client of `kpaxos kv serve`: what the command line and TypeScript programs call. Speaks HTTP over a Unix socket or TCP.
 */

import type { ReadMode } from "../api/state_machine.ts";
import { CliError, codeOf, exitCodeOf, isDenied, messageOf } from "../error.ts";
import { KEYS_PATH, type ListedKey, STATUS_PATH, VERSION_HEADER } from "./server.ts";

/** Where a server is: the path of its Unix socket, or an address like http://host:port. */
export type KvPlace = { readonly socket: string } | { readonly url: string };

export interface Versioned {
  readonly value: Uint8Array;
  readonly version: number;
}

/** What must hold for a write to take effect; at most one. */
export interface WriteCondition {
  readonly absent?: boolean;
  readonly version?: number;
  readonly value?: Uint8Array;
}

/** `done` false: the condition did not hold, or there was nothing to delete. `version`: the key's now, 0 when it does not exist. */
export interface WriteOutcome {
  readonly done: boolean;
  readonly version: number;
}

export class KvClient {
  readonly #place: KvPlace;
  readonly #timeoutMs: number;

  constructor(place: KvPlace, timeoutMs = 10_000) {
    this.#place = place;
    this.#timeoutMs = timeoutMs;
  }

  /** The value and its version; undefined when there is no such key. */
  async get(key: string, read?: ReadMode): Promise<Versioned | undefined> {
    const response = await this.#call(`${pathOf(key)}${readQuery(read, "?")}`, { method: "GET" }, [404]);
    if (response.status === 404) return undefined;
    return { value: await response.bytes(), version: Number(response.headers.get(VERSION_HEADER)) };
  }

  async put(key: string, value: Uint8Array, condition: WriteCondition = {}): Promise<WriteOutcome> {
    return await this.#write(key, { method: "PUT", body: value }, condition);
  }

  async delete(key: string, condition: WriteCondition = {}): Promise<WriteOutcome> {
    return await this.#write(key, { method: "DELETE" }, condition);
  }

  /** All keys with this prefix, page by page. */
  async *list(prefix = "", read?: ReadMode): AsyncGenerator<{ key: string } & Versioned> {
    let after: string | undefined;
    for (;;) {
      const from = after === undefined ? "" : `&after=${encodeURIComponent(after)}`;
      const query = `?prefix=${encodeURIComponent(prefix)}${from}${readQuery(read, "&")}`;
      const response = await this.#call(`${KEYS_PATH}${query}`, { method: "GET" }, []);
      const page = (await response.json()) as { keys: ListedKey[]; more: boolean };
      for (const { key, version, value } of page.keys) {
        yield { key, version, value: new Uint8Array(Buffer.from(value, "base64")) };
      }
      after = page.keys.at(-1)?.key;
      if (!page.more) return;
    }
  }

  async status(): Promise<Record<string, unknown>> {
    const response = await this.#call(STATUS_PATH, { method: "GET" }, []);
    return (await response.json()) as Record<string, unknown>;
  }

  async #write(key: string, init: RequestInit, condition: WriteCondition): Promise<WriteOutcome> {
    const { absent, version, value } = condition;
    const headers: Record<string, string> = {};
    if (absent === true) headers["if-none-match"] = "*";
    if (version !== undefined) headers["if-match"] = `"${version}"`;
    const expect = value === undefined ? "" : `?expect=${Buffer.from(value).toString("base64url")}`;
    const response = await this.#call(`${pathOf(key)}${expect}`, { ...init, headers }, [404, 412]);
    const body = (await response.json()) as { version?: number };
    return { done: response.ok, version: body.version ?? 0 };
  }

  /** Statuses besides 2xx that the caller understands are in `known`; any other is an error. */
  async #call(path: string, init: RequestInit, known: readonly number[]): Promise<Response> {
    const place = this.#place;
    const base = "url" in place ? place.url.replace(/\/$/, "") : "http://kv";
    const where = "url" in place ? place.url : place.socket;
    let response: Response;
    try {
      response = await fetch(`${base}${path}`, {
        ...init,
        // On a connection that it uses again Bun sends a request twice when that breaks: no write may be.
        keepalive: init.method === "GET",
        ...("socket" in place ? { unix: place.socket } : {}),
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
    } catch (error) {
      const isLate = error instanceof Error && error.name === "TimeoutError";
      const fate = init.method === "GET" ? "" : "; what was sent may still take effect";
      if (isLate) throw new CliError(`${where} did not answer in ${this.#timeoutMs} ms${fate}`);
      if (isDenied(error)) {
        throw new CliError(`cannot reach ${where}: this user may not (${codeOf(error)})`, {
          exitCode: exitCodeOf(error),
          hint: "the server is another user's: run this as that user, or name an address that it listens on: --url",
          cause: error,
        });
      }
      throw new CliError(`cannot reach ${where}: ${messageOf(error)}`, {
        hint: "is `kpaxos kv serve` running there?",
        cause: error,
      });
    }
    if (response.ok || known.includes(response.status)) return response;
    const { error } = (await response.json().catch(() => ({}))) as { error?: string };
    throw new CliError(`${where}: ${error ?? `status ${response.status}`}`);
  }
}

function pathOf(key: string): string {
  return `${KEYS_PATH}/${encodeURIComponent(key)}`;
}

function readQuery(read: ReadMode | undefined, before: "?" | "&"): string {
  return read === undefined ? "" : `${before}read=${read}`;
}
