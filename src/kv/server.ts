/**
 * The key-value store over HTTP, on a Unix socket or a TCP port: turns requests into commands and reads of a replica. Holds
 * no state of its own. What it answers after a write was chosen and applied; what it cannot know it says so (504). A request
 * may say how long its sender waits: it is answered by then, with the reason if there is nothing else to tell.
 */
import {
  lateRead,
  lateResult,
  OutcomeUnknownError,
  READ_MODES,
  type ReadMode,
  type Replicated,
} from "../api/state_machine.ts";
import { messageOf } from "../error.ts";
import {
  type Command,
  type Condition,
  decodeResult,
  encodeCommand,
  MAX_KEY_BYTES,
  put,
  type Result,
  remove,
  Status,
} from "./command.ts";
import type { KvStore } from "./store.ts";

export const KEYS_PATH = "/v1/keys";
export const STATUS_PATH = "/v1/status";
/** Header of an answer: the version of the key. */
export const VERSION_HEADER = "kpaxos-version";
/** Header of a request: in so many milliseconds it must be answered. */
export const TIMEOUT_HEADER = "kpaxos-timeout";
/** What a timer can be set to. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** Of one answer: keys, and bytes of values unless the first alone has more. A turn of the replica waits while it is made. */
const LIST_LIMIT = 1000;
const LIST_BYTES = 4 << 20;

export interface KvServerOptions {
  readonly store: KvStore;
  readonly replica: Replicated;
  /** How a read is made when the request does not say. */
  readonly read: ReadMode;
  /** Bytes of the largest command that can be submitted. */
  readonly maxCommandBytes: number;
  /** Why this server has nothing to do with a key: another one has it; null: it is this one's. */
  readonly refuses?: (key: string) => string | null;
  /** Why nothing moves, where that is known. */
  readonly reason?: () => string | undefined;
  /** What `/v1/status` tells. */
  readonly status: () => Readonly<Record<string, unknown>>;
}

/** One key of a list, as JSON has it. */
export interface ListedKey {
  readonly key: string;
  readonly version: number;
  /** In base64. */
  readonly value: string;
}

class BadRequest extends Error {
  readonly status: number;
  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

export class KvServer {
  readonly #options: KvServerOptions;

  constructor(options: KvServerOptions) {
    this.#options = options;
  }

  /** Answers one request; never rejects. */
  readonly fetch = async (request: Request): Promise<Response> => {
    try {
      const given = request.headers.get(TIMEOUT_HEADER);
      if (given === null) return await this.#answer(request);
      return await this.#answerWithin(timeoutOf(given), request);
    } catch (error) {
      if (error instanceof BadRequest) return failure(error.status, error.message);
      const isUnknown = error instanceof OutcomeUnknownError && !isRead(request);
      return failure(isUnknown ? 504 : 503, messageOf(error));
    }
  };

  /** The answer, or after so many milliseconds why there is none. */
  async #answerWithin(timeoutMs: number, request: Request): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    this.#answer(request).then(resolve, reject);
    const timer = setTimeout(() => {
      const reason = this.#options.reason?.();
      if (isRead(request)) reject(new Error(lateRead(timeoutMs, reason)));
      else reject(new OutcomeUnknownError(lateResult(timeoutMs, reason)));
    }, timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, query } = partsOf(request.url);
    if (pathname === STATUS_PATH) return Response.json(this.#options.status());
    if (pathname === KEYS_PATH && request.method === "GET") return await this.#list(query);
    if (!pathname.startsWith(`${KEYS_PATH}/`)) throw new BadRequest(`there is nothing at ${pathname}`, 404);
    const key = keyOf(pathname.slice(KEYS_PATH.length + 1));
    const refusal = this.#options.refuses?.(key) ?? null;
    if (refusal !== null) throw new BadRequest(refusal, 421);
    switch (request.method) {
      case "GET":
      case "HEAD":
        return await this.#get(key, query);
      case "PUT":
        return await this.#execute(put(key, await request.bytes(), conditionOf(request, query)));
      case "DELETE":
        return await this.#execute(remove(key, conditionOf(request, query)));
      default:
        throw new BadRequest(`${request.method} is not understood`, 405);
    }
  }

  async #get(key: string, query: URLSearchParams): Promise<Response> {
    await this.#read(query);
    const entry = this.#options.store.get(key);
    if (entry === undefined) return failure(404, `no key ${JSON.stringify(key)}`);
    return new Response(entry.value, { headers: versionHeaders(entry.version) });
  }

  async #list(query: URLSearchParams): Promise<Response> {
    const limit = Number(query.get("limit") ?? LIST_LIMIT);
    if (!Number.isInteger(limit) || limit < 1) throw new BadRequest("limit is a whole number from 1");
    await this.#read(query);
    const after = query.get("after");
    const most = Math.min(limit, LIST_LIMIT);
    const found = this.#options.store.list({
      prefix: query.get("prefix") ?? "",
      ...(after === null ? {} : { after }),
      limit: most + 1,
    });
    let count = 0;
    for (let bytes = 0; count < Math.min(found.length, most); count++) {
      bytes += found[count]![1].value.length;
      if (count > 0 && bytes > LIST_BYTES) break;
    }
    const keys: ListedKey[] = found.slice(0, count).map(([key, { value, version }]) => ({
      key,
      version,
      value: Buffer.from(value).toString("base64"),
    }));
    return Response.json({ keys, more: count < found.length });
  }

  async #read(query: URLSearchParams): Promise<void> {
    const given = query.get("read") ?? this.#options.read;
    const mode = READ_MODES.find((one) => one === given);
    if (mode === undefined) throw new BadRequest(`read is one of ${READ_MODES.join(", ")}`);
    await this.#options.replica.read(mode);
  }

  async #execute(command: Command): Promise<Response> {
    const bytes = encodeCommand(command);
    const { maxCommandBytes, replica } = this.#options;
    if (bytes.length > maxCommandBytes) {
      throw new BadRequest(`key and value are ${bytes.length} bytes, the limit is ${maxCommandBytes}`, 413);
    }
    return answerTo(command, decodeResult(await replica.submit(bytes)));
  }
}

function isRead({ method }: Request): boolean {
  return method === "GET" || method === "HEAD";
}

function answerTo({ key }: Command, { status, version }: Result): Response {
  switch (status) {
    case Status.done:
      return Response.json({ version }, { headers: versionHeaders(version) });
    case Status.differs:
      return failure(412, "the condition does not hold", version);
    case Status.missing:
      return failure(404, `no key ${JSON.stringify(key)}`);
    case Status.full:
      return failure(507, "the store is full", version);
    case Status.malformed:
      return failure(400, "the replicas do not understand this command");
  }
}

const NO_QUERY = new URLSearchParams();

/** Of a request's address. With a host it is normalized already: a `URL` for each would be one object more for the collector to end. */
function partsOf(url: string): { readonly pathname: string; readonly query: URLSearchParams } {
  if (url.startsWith("/")) throw new BadRequest("the header Host is missing, or names no host");
  const hash = url.indexOf("#");
  const end = hash < 0 ? url.length : hash;
  const begin = url.indexOf("/", url.indexOf("//") + 2);
  const mark = url.indexOf("?", begin);
  if (mark < 0 || mark > end) return { pathname: url.slice(begin, end), query: NO_QUERY };
  return { pathname: url.slice(begin, mark), query: new URLSearchParams(url.slice(mark + 1, end)) };
}

function timeoutOf(given: string): number {
  const timeoutMs = /^\d+$/.test(given) ? Number(given) : 0;
  if (timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS) return timeoutMs;
  throw new BadRequest(`${TIMEOUT_HEADER} is a whole number of milliseconds, 1 to ${MAX_TIMEOUT_MS}`);
}

function keyOf(path: string): string {
  let key: string;
  try {
    key = decodeURIComponent(path);
  } catch {
    throw new BadRequest("the key is not properly percent-encoded");
  }
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > MAX_KEY_BYTES) {
    throw new BadRequest(`a key has 1 to ${MAX_KEY_BYTES} bytes, this one has ${bytes}`);
  }
  return key;
}

/** `If-Match: "VERSION"` or `*`, `If-None-Match: *`, or `?expect=` with the value wanted, in base64url. */
function conditionOf(request: Request, query: URLSearchParams): Condition {
  const expect = query.get("expect");
  const match = request.headers.get("if-match");
  const noneMatch = request.headers.get("if-none-match");
  const given = [expect, match, noneMatch].filter((one) => one !== null);
  if (given.length > 1) throw new BadRequest("more than one condition is given");
  if (expect !== null) return { kind: "value", value: wantedValue(expect) };
  if (noneMatch !== null) {
    if (noneMatch !== "*") throw new BadRequest("If-None-Match knows only *");
    return { kind: "absent" };
  }
  if (match === null) return { kind: "none" };
  if (match === "*") return { kind: "present" };
  const version = /^"(\d{1,15})"$/.exec(match)?.[1];
  if (version === undefined) throw new BadRequest('If-Match is * or a version in quotes: "3"');
  return { kind: "version", version: Number(version) };
}

/** Buffer skips what is no base64: only what reads back as it was is a value. */
function wantedValue(expect: string): Uint8Array {
  const value = Buffer.from(expect, "base64url");
  if (value.toString("base64url") !== expect.replace(/={1,2}$/, ""))
    throw new BadRequest("expect is the value wanted, in base64url");
  return new Uint8Array(value);
}

function versionHeaders(version: number): Record<string, string> {
  return { [VERSION_HEADER]: `${version}`, etag: `"${version}"` };
}

function failure(status: number, error: string, version?: number): Response {
  return Response.json(version === undefined ? { error } : { error, version }, { status });
}
