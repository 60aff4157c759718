/**
 * The key-value store: its commands as bytes, the store against a plain map, and the HTTP interface over a replica that
 * applies at once.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { OutcomeUnknownError, type Replicated } from "../src/api/state_machine.ts";
import { CliError, ExitCode } from "../src/error.ts";
import { KvClient } from "../src/kv/client.ts";
import {
  type Command,
  type Condition,
  decodeCommand,
  decodeResult,
  encodeCommand,
  encodeResult,
  Operation,
  put,
  remove,
  Status,
} from "../src/kv/command.ts";
import { KvServer, MAX_TIMEOUT_MS, TIMEOUT_HEADER } from "../src/kv/server.ts";
import { KvStore } from "../src/kv/store.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const keys = fc.string({
  minLength: 1,
  maxLength: 6,
  unit: fc.constantFrom("a", "b", "/", "ü", "🙂", "\ufeff"),
});
const values = fc.uint8Array({ maxLength: 12 });
const conditions: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Condition>({ kind: "none" }) },
  fc.constant<Condition>({ kind: "absent" }),
  fc.constant<Condition>({ kind: "present" }),
  fc.nat(3).map((version): Condition => ({ kind: "version", version })),
  values.map((value): Condition => ({ kind: "value", value })),
);
const commands: fc.Arbitrary<Command> = fc.oneof(
  fc.tuple(keys, values, conditions).map(([key, value, condition]) => put(key, value, condition)),
  fc.tuple(keys, conditions).map(([key, condition]) => remove(key, condition)),
);

describe("commands", () => {
  test("decode what was encoded", () => {
    fc.assert(
      fc.property(commands, (command) => {
        expect(decodeCommand(encodeCommand(command))).toEqual(command);
      }),
    );
  });

  test("whatever is cut off or put behind is no command", () => {
    fc.assert(
      fc.property(commands, fc.nat(), (command, cut) => {
        const bytes = encodeCommand(command);
        expect(decodeCommand(bytes.subarray(0, cut % bytes.length))).toBeUndefined();
        expect(decodeCommand(new Uint8Array([...bytes, 0]))).toBeUndefined();
      }),
    );
  });

  test("have these bytes", () => {
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
    const command = put("kü", new Uint8Array([7, 8]), { kind: "version", version: 3 });
    expect(hex(encodeCommand(command))).toBe("010303006bc3bc0000000000000840020000000708");
    expect(hex(encodeResult({ status: Status.differs, version: 2 ** 40 }))).toBe("010000000000007042");
  });

  test("a mark of byte order is a character of a key like any other", () => {
    const marked = put("\ufeffa", bytesOf("v"));
    expect(decodeCommand(encodeCommand(marked))).toEqual(marked);
  });

  test("random bytes never throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void decodeCommand(bytes)),
      { numRuns: 2000 },
    );
  });
});

/** What the store is meant to be, said once more in the plainest way. */
class Model {
  readonly entries = new Map<string, { value: string; version: number }>();

  apply({ operation, key, condition, value }: Command): [Status, number] {
    const entry = this.entries.get(key);
    const version = entry?.version ?? 0;
    const isMet =
      condition.kind === "none" ||
      (condition.kind === "absent" && version === 0) ||
      (condition.kind === "present" && version > 0) ||
      (condition.kind === "version" && version === condition.version) ||
      (condition.kind === "value" && entry?.value === `${condition.value}`);
    if (!isMet) return [Status.differs, version];
    if (operation === Operation.put) {
      this.entries.set(key, { value: `${value}`, version: version + 1 });
      return [Status.done, version + 1];
    }
    if (entry === undefined) return [Status.missing, 0];
    this.entries.delete(key);
    return [Status.done, 0];
  }
}

describe("the store", () => {
  test("does what a plain map does, also after a snapshot is restored anywhere", () => {
    fc.assert(
      fc.property(fc.array(commands, { maxLength: 40 }), fc.nat(40), (list, restoreAt) => {
        let store = new KvStore();
        const model = new Model();
        list.forEach((command, i) => {
          if (i === restoreAt) {
            const snapshot = store.snapshot();
            const { bytes } = store;
            store = new KvStore();
            store.restore(snapshot);
            expect(store.snapshot()).toEqual(snapshot);
            expect(store.bytes).toBe(bytes);
          }
          const { status, version } = decodeResult(store.apply(encodeCommand(command)));
          expect([status, version]).toEqual(model.apply(command));
        });
        const listed = store.list().map(([key, { value, version }]) => [key, `${value}`, version]);
        const sorted = [...model.entries].sort(([a], [b]) => (a < b ? -1 : 1));
        expect(listed).toEqual(sorted.map(([key, { value, version }]) => [key, value, version]));
      }),
    );
  });

  test("lists by prefix, behind a key, up to a limit", () => {
    const store = new KvStore();
    for (const key of ["b/2", "a/1", "b/1", "c", "b/3", "b"])
      store.apply(encodeCommand(put(key, bytesOf(key))));
    const names = (...options: Parameters<KvStore["list"]>): string[] =>
      store.list(...options).map(([key]) => key);
    expect(names()).toEqual(["a/1", "b", "b/1", "b/2", "b/3", "c"]);
    expect(names({ prefix: "b/" })).toEqual(["b/1", "b/2", "b/3"]);
    expect(names({ prefix: "b/", after: "b/1" })).toEqual(["b/2", "b/3"]);
    expect(names({ prefix: "b/", after: "a" })).toEqual(["b/1", "b/2", "b/3"]);
    expect(names({ after: "b/3" })).toEqual(["c"]);
    expect(names({ limit: 2 })).toEqual(["a/1", "b"]);
  });

  test("refuses a snapshot that is none of its own, and keeps what it has", () => {
    const store = new KvStore();
    store.apply(encodeCommand(put("a", bytesOf("1"))));
    const snapshot = store.snapshot();
    expect(() => store.restore(new Uint8Array(3))).toThrow("no snapshot");
    expect(() => store.restore(snapshot.subarray(0, snapshot.length - 1))).toThrow("ends early");
    expect(textOf(store.get("a")!.value)).toBe("1");
  });
});

/** What it must reject with. */
async function failureOf(asked: Promise<unknown>): Promise<[exitCode: number, message: string]> {
  const error = await asked.then(
    () => new Error("it went well"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof CliError)) throw error;
  return [error.exitCode, error.message];
}

describe("over HTTP", () => {
  const socket = join(tmpdir(), `kpaxos-kv-${process.pid}.sock`);
  const store = new KvStore();
  const reads: string[] = [];
  let trouble: Error | undefined;
  let isStuck = false;
  let submitted = 0;
  const replica: Replicated = {
    submit: async (command) => {
      submitted++;
      if (trouble !== undefined) throw trouble;
      if (isStuck) await new Promise(() => undefined);
      return store.apply(command);
    },
    read: async (mode) => {
      if (trouble !== undefined) throw trouble;
      if (isStuck && mode !== "local") await new Promise(() => undefined);
      reads.push(mode);
    },
  };
  const kv = new KvServer({
    store,
    replica,
    read: "confirmed",
    maxCommandBytes: 200,
    reason: () => "no quorum",
    status: () => ({ applied: 7 }),
  });
  const client = new KvClient({ socket });
  let server: Bun.Server<undefined>;
  beforeAll(() => {
    server = Bun.serve({ unix: socket, fetch: kv.fetch });
  });
  afterAll(async () => {
    await server.stop(true);
    rmSync(socket, { force: true });
  });

  test("put, get, delete, list", async () => {
    expect(await client.get("k/ey ü")).toBeUndefined();
    expect(await client.put("k/ey ü", bytesOf("v1"))).toEqual({ done: true, version: 1 });
    expect(await client.put("k/ey ü", bytesOf(""))).toEqual({ done: true, version: 2 });
    expect(await client.get("k/ey ü")).toEqual({ value: bytesOf(""), version: 2 });
    const listed = await Array.fromAsync(client.list("k/"));
    expect(listed).toEqual([{ key: "k/ey ü", value: bytesOf(""), version: 2 }]);
    expect(await client.delete("k/ey ü")).toEqual({ done: true, version: 0 });
    expect(await client.delete("k/ey ü")).toEqual({ done: false, version: 0 });
    expect(await client.status()).toEqual({ applied: 7 });
  });

  test("conditions: absent, version, value", async () => {
    expect(await client.put("c", bytesOf("x"), { absent: true })).toEqual({ done: true, version: 1 });
    expect(await client.put("c", bytesOf("y"), { absent: true })).toEqual({ done: false, version: 1 });
    expect(await client.put("c", bytesOf("y"), { version: 2 })).toEqual({ done: false, version: 1 });
    expect(await client.put("c", bytesOf("y"), { version: 1 })).toEqual({ done: true, version: 2 });
    expect(await client.delete("c", { value: bytesOf("x") })).toEqual({ done: false, version: 2 });
    expect(await client.delete("c", { value: bytesOf("y") })).toEqual({ done: true, version: 0 });
  });

  test("pages: a list of more keys than one answer has", async () => {
    for (let i = 0; i < 1001; i++)
      store.apply(encodeCommand(put(`p${`${i}`.padStart(4, "0")}`, bytesOf(`${i}`))));
    const listed = await Array.fromAsync(client.list("p"));
    expect(listed.map(({ key }) => Number(key.slice(1)))).toEqual([...Array(1001).keys()]);
  });

  test("pages: no more bytes in one answer than a few values need", async () => {
    const size = 1 << 20;
    for (let i = 0; i < 9; i++) store.apply(encodeCommand(put(`q${i}`, new Uint8Array(size))));
    const answer = await fetch("http://kv/v1/keys?prefix=q", { unix: socket });
    const page = (await answer.json()) as { keys: unknown[]; more: boolean };
    expect([page.keys.length, page.more]).toEqual([4, true]);
    const listed = await Array.fromAsync(client.list("q"));
    expect(listed.map(({ key, value }) => [key, value.length])).toEqual(
      Array.from({ length: 9 }, (_, i) => [`q${i}`, size]),
    );
  });

  test("a value expected that is too long for an address: the error says what to do", async () => {
    await client.put("long", bytesOf("x"));
    const [exitCode, message] = await failureOf(
      client.put("long", bytesOf("y"), { value: new Uint8Array(20_000) }),
    );
    expect(exitCode).toBe(ExitCode.usage);
    expect(message).toMatch(/too long for an address: .* give the version of the key$/);
  });

  test("reads are made the way that was asked for", async () => {
    reads.length = 0;
    await client.get("a");
    await client.get("a", "log");
    await Array.fromAsync(client.list("", "local"));
    expect(reads.slice(0, 2)).toEqual(["confirmed", "log"]);
    expect(new Set(reads.slice(2))).toEqual(new Set(["local"]));
  });

  test("what is wrong is said", async () => {
    const ask = async (path: string, init: RequestInit = {}): Promise<[number, string]> => {
      const response = await fetch(`http://kv${path}`, { ...init, unix: socket });
      return [response.status, ((await response.json()) as { error: string }).error];
    };
    expect(await ask("/v1/keys/")).toEqual([400, "a key has 1 to 1024 bytes, this one has 0"]);
    expect(await ask("/v1/keys/%ff")).toEqual([400, "the key is not properly percent-encoded"]);
    expect(await ask("/other")).toEqual([404, "there is nothing at /other"]);
    expect(await ask("/v1/keys/a?read=fast")).toEqual([400, "read is one of log, confirmed, local"]);
    expect(await ask("/v1/keys?limit=0")).toEqual([400, "limit is a whole number from 1"]);
    expect(await ask("/v1/keys/a", { method: "POST" })).toEqual([405, "POST is not understood"]);
    const big = { method: "PUT", body: new Uint8Array(300) };
    expect(await ask("/v1/keys/a", big)).toEqual([413, "key and value are 309 bytes, the limit is 200"]);
    // What Buffer would make of these is another value.
    for (const wanted of ["!!!", "+/8=", "a", "YQ YQ"])
      expect(await ask(`/v1/keys/a?expect=${wanted}`, { method: "PUT" })).toEqual([
        400,
        "expect is the value wanted, in base64url",
      ]);
    const unquoted = { method: "DELETE", headers: { "if-match": "3" } };
    expect(await ask("/v1/keys/a", unquoted)).toEqual([400, 'If-Match is * or a version in quotes: "3"']);
  });

  test("addresses: what a URL makes of them, and none without a host", async () => {
    const ask = async (path: string, host: string): Promise<string> => {
      const { promise, resolve } = Promise.withResolvers<string>();
      let text = "";
      await Bun.connect({
        unix: socket,
        socket: {
          open: (to) => void to.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`),
          data: (_from, bytes) => {
            text += bytes.toString();
          },
          close: () => resolve(text.split("\r\n\r\n")[1] ?? ""),
        },
      });
      return await promise;
    };
    for (const [path, key] of [
      ["/v1/keys/a#b?c", "a"],
      ["/v1/keys/a?read=local&x=/?#b", "a"],
      ["/v1/keys/%61/../b%2Fc", "b/c"],
      ["//v1/../v1/keys/a", undefined],
    ] as const) {
      const error = key === undefined ? "there is nothing at //v1/keys/a" : `no key "${key}"`;
      for (const host of ["kv", "kv:80", "[::1]:8080"])
        expect(JSON.parse(await ask(path, host))).toEqual({ error });
    }
    for (const host of ["", "a/b"])
      expect(JSON.parse(await ask("/v1/keys/a", host))).toEqual({ error: expect.stringMatching(/\bHost\b/) });
  });

  test("trouble: an unknown outcome is not a refusal", async () => {
    trouble = new OutcomeUnknownError("the command may have been chosen");
    await expect(client.put("a", bytesOf("1"))).rejects.toThrow("the command may have been chosen");
    const ask = async (path: string, method: string): Promise<number> =>
      (await fetch(`http://kv/v1/keys/a${path}`, { method, unix: socket })).status;
    expect(await ask("", "DELETE")).toBe(504);
    // A read has no outcome, however it is made.
    expect(await ask("?read=log", "GET")).toBe(503);
    trouble = new Error("no leader");
    const other = await fetch("http://kv/v1/keys/a", { unix: socket });
    expect(other.status).toBe(503);
    trouble = undefined;
  });

  test("who says how long it waits is answered by then, with the reason", async () => {
    const ask = async (path: string, method: string): Promise<[number, string]> => {
      const init = { method, headers: { [TIMEOUT_HEADER]: "100" } };
      const response = await fetch(`http://kv/v1/keys${path}`, { ...init, unix: socket });
      return [response.status, ((await response.json()) as { error: string }).error];
    };
    isStuck = true;
    try {
      const unknown = "no result within 100 ms; the command may still be chosen: no quorum";
      expect(await ask("/late", "PUT")).toEqual([504, unknown]);
      for (const path of ["/late", ""])
        expect(await ask(path, "GET")).toEqual([503, "nothing could be read within 100 ms: no quorum"]);
      expect(await client.get("late", "local")).toBeUndefined();
    } finally {
      isStuck = false;
    }
    expect(await client.put("late", bytesOf("2"))).toEqual({ done: true, version: 1 });
  });

  test("a client has the server answer before it gives up itself", async () => {
    const told: (string | null)[] = [];
    const slow = `${socket}.slow`;
    const fetch = (request: Request): Response => {
      told.push(request.headers.get(TIMEOUT_HEADER));
      return Response.json({ error: "no quorum" }, { status: request.method === "GET" ? 503 : 504 });
    };
    const server = Bun.serve({ unix: slow, fetch });
    try {
      for (const timeoutMs of [2000, 10_000]) {
        const waits = new KvClient({ socket: slow }, timeoutMs);
        const said = await failureOf(waits.put("late", bytesOf("1")));
        expect(said).toEqual([ExitCode.unknownOutcome, `${slow}: no quorum`]);
      }
      const waits = new KvClient({ socket: slow });
      expect(await failureOf(waits.get("late"))).toEqual([ExitCode.unavailable, `${slow}: no quorum`]);
      expect(told).toEqual(["1600", "9500", "9500"]);
    } finally {
      await server.stop(true);
    }
  });

  test("a time that is none is refused before anything is done", async () => {
    const before = submitted;
    for (const given of ["0", "-1", "1.5", "soon", `${MAX_TIMEOUT_MS + 1}`]) {
      const init = { method: "DELETE", headers: { [TIMEOUT_HEADER]: given } };
      const response = await fetch("http://kv/v1/keys/a", { ...init, unix: socket });
      expect([response.status, await response.text()]).toEqual([
        400,
        '{"error":"kpaxos-timeout is a whole number of milliseconds, 1 to 2147483647"}',
      ]);
    }
    expect(submitted).toBe(before);
    for (const timeoutMs of [1e12, Number.POSITIVE_INFINITY])
      expect(await new KvClient({ socket }, timeoutMs).get("nobody")).toBeUndefined();
  });

  test("exit codes: what may have happened, what did not, what is asked wrongly", async () => {
    const { unknownOutcome, unavailable, usage } = ExitCode;
    const codeOf = async (asked: Promise<unknown>): Promise<number> => (await failureOf(asked))[0];
    trouble = new OutcomeUnknownError("late");
    expect(await codeOf(client.delete("a"))).toBe(unknownOutcome);
    expect(await codeOf(client.get("a", "log"))).toBe(unavailable);
    trouble = new Error("no leader");
    expect(await codeOf(client.put("a", bytesOf("1")))).toBe(unavailable);
    expect(await codeOf(client.get("a"))).toBe(unavailable);
    trouble = undefined;
    expect(await codeOf(client.put("a", new Uint8Array(300)))).toBe(usage);
    expect(await codeOf(client.get("k".repeat(1025)))).toBe(usage);
    // Somebody between client and server knows less than the server.
    const between = `${socket}.between`;
    let status = 502;
    let said = "trouble";
    const proxy = Bun.serve({ unix: between, fetch: () => new Response(said, { status }) });
    const far = new KvClient({ socket: between });
    expect(await failureOf(far.put("a", bytesOf("1")))).toEqual([unknownOutcome, `${between}: status 502`]);
    expect(await codeOf(far.get("a"))).toBe(unavailable);
    for (said of ["", "null", "7", "[]", '{"error":null}']) {
      expect(await failureOf(far.get("a"))).toEqual([unavailable, `${between}: status 502`]);
    }
    status = 507;
    expect(await codeOf(far.put("a", bytesOf("1")))).toBe(unavailable);
    status = 200;
    for (said of ["<html>", "null"]) {
      for (const asked of [() => far.put("a", bytesOf("1")), () => far.status()]) {
        expect(await failureOf(asked())).toEqual([unavailable, "what answers there is no `kpaxos kv serve`"]);
      }
    }
    await proxy.stop(true);
  });

  test("no server: the error says what to start, and that nothing was sent", async () => {
    for (const place of [{ socket: `${socket}.none` }, { url: "http://127.0.0.1:1" }]) {
      const nobody = new KvClient(place);
      for (const asked of [
        () => nobody.get("a"),
        () => nobody.put("a", bytesOf("1")),
        () => nobody.delete("a"),
      ]) {
        const [exitCode, message] = await failureOf(asked());
        expect(exitCode).toBe(ExitCode.unavailable);
        expect(message).toStartWith("cannot reach");
        expect(message).not.toContain("may still take effect");
      }
    }
  });
});
