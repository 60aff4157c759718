/**
 * The client of `kpaxos kv serve`: what the command line and TypeScript programs call. Speaks HTTP over a Unix socket or TCP.
 */

import { checkTimeout } from "../api/options.ts";
import type { ReadMode } from "../api/state_machine.ts";
import { CliError, codeOf, ExitCode, exitCodeOf, isDenied, messageOf } from "../error.ts";
import {
  KEYS_PATH,
  type ListedKey,
  MAX_TIMEOUT_MS,
  STATUS_PATH,
  TIMEOUT_HEADER,
  VERSION_HEADER,
} from "./server.ts";

/** The server must answer by so much before its client gives up, or by this share, that its reason arrives. */
const MARGIN_MS = 500;
const MARGIN_SHARE = 0.2;
/** Nobody was connected to, so nothing was sent. */
const NOT_SENT = new Set([
  ...["ENOENT", "ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"],
  ...["ConnectionRefused", "FailedToOpenSocket"],
]);
const TOO_LARGE = 413;
const ADDRESS_TOO_LONG = 431;
const UNAVAILABLE = 503;
const FULL = 507;

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

/** A response that has come as a whole. */
interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/**
 * Its errors are `CliError`s. Their `exitCode` tells what became of what was asked for: `unknownOutcome` that it may have taken
 * effect, or may still; any other that it did not.
 */
export class KvClient {
  readonly #place: KvPlace;
  readonly #timeoutMs: number;

  constructor(place: KvPlace, timeoutMs = 10_000) {
    checkTimeout(timeoutMs);
    this.#place = place;
    this.#timeoutMs = timeoutMs;
  }

  /** The value and its version; undefined when there is no such key. */
  async get(key: string, read?: ReadMode): Promise<Versioned | undefined> {
    const answer = await this.#call(`${pathOf(key)}${readQuery(read, "?")}`, { method: "GET" }, [404]);
    if (answer.status === 404 && jsonOf(answer.body)) return undefined;
    const version = answer.headers.get(VERSION_HEADER);
    if (version === null) throw noServer();
    return { value: answer.body, version: Number(version) };
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
      const query = `?prefix=${encoded(prefix)}${from}${readQuery(read, "&")}`;
      const { body } = await this.#call(`${KEYS_PATH}${query}`, { method: "GET" }, []);
      const page = jsonOf(body) as { keys: ListedKey[]; more: boolean };
      for (const { key, version, value } of page.keys) {
        yield { key, version, value: new Uint8Array(Buffer.from(value, "base64")) };
      }
      after = page.keys.at(-1)?.key;
      if (!page.more) return;
    }
  }

  async status(): Promise<Record<string, unknown>> {
    const { body } = await this.#call(STATUS_PATH, { method: "GET" }, []);
    return jsonOf(body) as Record<string, unknown>;
  }

  async #write(key: string, init: RequestInit, condition: WriteCondition): Promise<WriteOutcome> {
    const { absent, version, value } = condition;
    const headers: Record<string, string> = {};
    if (absent === true) headers["if-none-match"] = "*";
    if (version !== undefined) headers["if-match"] = `"${version}"`;
    const expect = value === undefined ? "" : `?expect=${Buffer.from(value).toString("base64url")}`;
    const answer = await this.#call(`${pathOf(key)}${expect}`, { ...init, headers }, [404, 412]);
    const said = jsonOf(answer.body) as { version?: number };
    return { done: answer.ok, version: said.version ?? 0 };
  }

  /** Statuses besides 2xx that the caller understands are in `known`; any other is an error. */
  async #call(path: string, init: RequestInit, known: readonly number[]): Promise<Answer> {
    const place = this.#place;
    const base = "url" in place ? place.url.replace(/\/$/, "") : "http://kv";
    const where = "url" in place ? place.url : place.socket;
    const isRead = init.method === "GET";
    let answer: Answer;
    try {
      const response = await fetch(`${base}${path}`, {
        ...init,
        headers: { ...init.headers, [TIMEOUT_HEADER]: `${answerMs(this.#timeoutMs)}` },
        // On a connection that it uses again Bun sends a request twice when that breaks: no write may be.
        keepalive: isRead,
        ...("socket" in place ? { unix: place.socket } : {}),
        signal: AbortSignal.timeout(Math.min(this.#timeoutMs, Number.MAX_SAFE_INTEGER)),
      });
      const { ok, status, headers } = response;
      answer = { ok, status, headers, body: await response.bytes() };
    } catch (error) {
      const isUnknown = !isRead && !NOT_SENT.has(codeOf(error));
      const exitCode = isUnknown ? ExitCode.unknownOutcome : ExitCode.unavailable;
      const fate = isUnknown ? "; what was sent may still take effect" : "";
      if (error instanceof Error && error.name === "TimeoutError") {
        throw new CliError(`${where} did not answer in ${this.#timeoutMs} ms${fate}`, { exitCode });
      }
      if (isDenied(error)) {
        throw new CliError(`cannot reach ${where}: this user may not (${codeOf(error)})`, {
          exitCode: exitCodeOf(error),
          hint: "the server is another user's: run this as that user, or name an address that it listens on: --url",
          cause: error,
        });
      }
      throw new CliError(`cannot reach ${where}: ${plain(messageOf(error))}${fate}`, {
        exitCode,
        hint: "is `kpaxos kv serve` running there?",
        cause: error,
      });
    }
    const { ok, status } = answer;
    if (ok || known.includes(status)) return answer;
    const exitCode = exitCodeOfStatus(status, isRead);
    throw new CliError(`${where}: ${reasonOf(answer)}`, { exitCode, ...adviceOf(exitCode, isRead) });
  }
}

/** Milliseconds that the server has for its answer. */
function answerMs(timeoutMs: number): number {
  const share = Math.floor(timeoutMs - Math.min(MARGIN_MS, MARGIN_SHARE * timeoutMs));
  return Math.min(Math.max(1, share), MAX_TIMEOUT_MS);
}

/** What an answer that is an error says; it need not come from this server's code. */
function reasonOf({ status, body }: Answer): string {
  try {
    const said = jsonOf(body);
    if ("error" in said && typeof said.error === "string") return said.error;
  } catch {
    // Its status must do.
  }
  // The HTTP server itself refuses what is far too large, without a word.
  if (status === TOO_LARGE) return "that is more than it takes: max-value-size is the limit";
  // Nor has it a word for an address that is too long.
  if (status === ADDRESS_TOO_LONG)
    return "that is too long for an address: instead of a long value expected give the version of the key";
  return `status ${status}`;
}

/** Whatever the server answers is an object. */
function jsonOf(body: Uint8Array): object {
  let said: unknown;
  try {
    said = JSON.parse(new TextDecoder().decode(body));
  } catch {
    // Said below.
  }
  if (typeof said === "object" && said !== null) return said;
  throw noServer();
}

function noServer(): CliError {
  return new CliError("what answers there is no `kpaxos kv serve`", {
    exitCode: ExitCode.unavailable,
    hint: "is the address that of another service?",
  });
}

/** Of an answer that is an error. */
function exitCodeOfStatus(status: number, isRead: boolean): ExitCode {
  if (status < 500) return ExitCode.usage;
  // Nothing was done; somebody in between who has another word for that may not know.
  const isRefused = status === UNAVAILABLE || status === FULL;
  return isRead || isRefused ? ExitCode.unavailable : ExitCode.unknownOutcome;
}

/** Without what the runtime advises its programmers. */
function plain(message: string): string {
  return message.replace(/\. (For more information, pass|Is the computer able) .*$/, "");
}

/** What may be done where it is not the request that is wrong. */
function adviceOf(exitCode: ExitCode, isRead: boolean): { readonly hint?: string } {
  if (exitCode === ExitCode.unknownOutcome)
    return { hint: "look whether it took effect (get) before it is repeated, or repeat it with a condition" };
  if (exitCode !== ExitCode.unavailable || !isRead) return {};
  return {
    hint: "a read may be repeated; `local` (--read local) answers with what this server has, however old",
  };
}

function pathOf(key: string): string {
  // They lead up the path, however they are written: something else would be asked for.
  if (key === "." || key === "..") throw noAddress(key, "it is a step of a path there");
  return `${KEYS_PATH}/${encoded(key)}`;
}

function encoded(text: string): string {
  if (!text.isWellFormed()) throw noAddress(text, "it has half of a surrogate pair");
  return encodeURIComponent(text);
}

function noAddress(key: string, why: string): CliError {
  return new CliError(`${JSON.stringify(key)} cannot be the key in an address: ${why}`, {
    exitCode: ExitCode.usage,
    hint: "choose another key, for example with a prefix",
  });
}

function readQuery(read: ReadMode | undefined, before: "?" | "&"): string {
  return read === undefined ? "" : `${before}read=${read}`;
}
