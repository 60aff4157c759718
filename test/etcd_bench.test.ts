/**
 * What `bench/etcd.ts` speaks and refuses: its gRPC against another implementation of HTTP/2, its HTTP against the real server, and
 * pieces cut anywhere. Its figures are not looked at.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Answered, Connection } from "../bench/etcd/connection.ts";
import { Frame, frame, GrpcConnection, putMessage, rangeMessage } from "../bench/etcd/grpc.ts";
import { getRequest, HttpConnection, putRequest } from "../bench/etcd/http.ts";
import { KvServer } from "../src/kv/server.ts";
import { KvStore } from "../src/kv/store.ts";

const PROGRAM = join(import.meta.dir, "../bench/etcd.ts");
const LOAD = join(import.meta.dir, "../bench/etcd/load.ts");
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const value = (length: number): Uint8Array => new Uint8Array(length).fill(0x61);

function run(...words: readonly string[]): { status: number; out: string; err: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, ...words], {
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  return { status: exitCode, out: stdout.toString(), err: stderr.toString() };
}

/** What a connection has to send. */
function sent(connection: Connection): Buffer {
  const pieces: Buffer[] = [];
  const write = (bytes: Uint8Array): number => pieces.push(Buffer.from(bytes)) * 0 + bytes.length;
  connection.out.flush({ write });
  return Buffer.concat(pieces);
}

describe("messages", () => {
  test("PutRequest and RangeRequest, behind gRPC's prefix", () => {
    expect(hex(putMessage("ab", value(1)))).toBe("00000000070a026162120161");
    expect(hex(rangeMessage("ab"))).toBe("00000000040a026162");
  });

  test("a length of more than seven bits", () => {
    const message = putMessage("k", value(300));
    expect(hex(message.subarray(0, 12))).toBe("00000001320a016b12ac0261");
    expect(message.length).toBe(5 + 3 + 3 + 300);
  });

  test("what does not fit into a frame is refused", () => {
    expect(() => putMessage("k", value(16_384))).toThrow(RangeError);
  });

  test("HTTP", () => {
    expect(putRequest("k", value(2)).toString()).toBe(
      "PUT /v1/keys/k HTTP/1.1\r\nhost: kv\r\ncontent-length: 2\r\n\r\naa",
    );
    expect(getRequest("k").toString()).toBe("GET /v1/keys/k HTTP/1.1\r\nhost: kv\r\n\r\n");
  });
});

/** A connection, and the slots and problems it tells. */
function heard(make: (answered: Answered) => Connection): {
  connection: Connection;
  answers: [number, string | null][];
} {
  const answers: [number, string | null][] = [];
  return { connection: make((slot, problem) => answers.push([slot, problem])), answers };
}

describe("gRPC", () => {
  const load = { operation: "get", keys: 1, valueBytes: 4 } as const;
  const made = () => heard((answered) => new GrpcConnection(load, answered));
  const headers = frame(Frame.headers, 4, 1, Buffer.from([0x88]));
  const trailers = frame(Frame.headers, 5, 1, Buffer.from([0x88]));

  test("an answer in pieces of any length", () => {
    const answer = Buffer.concat([headers, frame(Frame.data, 0, 1, value(9)), trailers]);
    for (let length = 1; length <= answer.length; length++) {
      const { connection, answers } = made();
      connection.ask(5, rangeMessage("k"));
      for (let at = 0; at < answer.length; at += length) connection.feed(answer.subarray(at, at + length));
      expect(answers).toEqual([[5, null]]);
    }
  });

  test("no message, or one without the value, is a failure; so is a reset", () => {
    const { connection, answers } = made();
    for (const slot of [5, 6, 7]) connection.ask(slot, rangeMessage("k"));
    connection.feed(trailers);
    connection.feed(frame(Frame.data, 1, 3, value(8)));
    connection.feed(frame(Frame.reset, 0, 5, Buffer.from([0, 0, 0, 7])));
    expect(answers).toEqual([
      [5, "etcd answered with 0 bytes, at least 9 were due: an error, or no such key"],
      [6, "etcd answered with 8 bytes, at least 9 were due: an error, or no such key"],
      [7, "etcd reset a call: HTTP/2 error 7"],
    ]);
  });

  test("pings and settings are acknowledged, a farewell is an error", () => {
    const { connection } = made();
    sent(connection);
    connection.feed(frame(Frame.settings, 0, 0, Buffer.alloc(0)));
    connection.feed(frame(Frame.ping, 0, 0, Buffer.from("12345678")));
    expect(hex(sent(connection))).toBe(
      hex(
        Buffer.concat([
          frame(Frame.settings, 1, 0, Buffer.alloc(0)),
          frame(Frame.ping, 1, 0, Buffer.from("12345678")),
        ]),
      ),
    );
    const farewell = frame(Frame.goAway, 0, 0, Buffer.from("\0\0\0\0\0\0\0\0too many pings"));
    expect(() => connection.feed(farewell)).toThrow("too many pings");
  });

  test("what the server has no room for waits, in order, until it has", () => {
    const { connection } = made();
    const message = putMessage("k", value(16_000));
    sent(connection);
    for (let slot = 0; slot < 6; slot++) connection.ask(slot, message);
    const streams = (bytes: Buffer): number[] => {
      const found: number[] = [];
      for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3))
        if (bytes[at + 3] === Frame.data) found.push(bytes.readUInt32BE(at + 5));
      return found;
    };
    expect(streams(sent(connection))).toEqual([1, 3, 5, 7]);
    connection.feed(frame(Frame.windowUpdate, 0, 0, Buffer.from([0, 0, 0x40, 0])));
    expect(streams(sent(connection))).toEqual([9]);
    connection.feed(frame(Frame.windowUpdate, 0, 0, Buffer.from([0, 0, 0x40, 0])));
    expect(streams(sent(connection))).toEqual([11]);
  });
});

describe("HTTP", () => {
  const made = () =>
    heard((answered) => new HttpConnection({ operation: "get", keys: 1, valueBytes: 4 }, answered));

  test("an answer in pieces of any length", () => {
    const answer = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nx: y\r\n\r\naaaa");
    for (let length = 1; length <= answer.length; length++) {
      const { connection, answers } = made();
      connection.ask(5, getRequest("k"));
      for (let at = 0; at < answer.length; at += length) connection.feed(answer.subarray(at, at + length));
      expect(answers).toEqual([[5, null]]);
    }
  });

  test("a refusal is told with its words", () => {
    const { connection, answers } = made();
    connection.ask(5, getRequest("k"));
    expect(() => connection.ask(6, getRequest("k"))).toThrow("under way");
    connection.feed(Buffer.from("HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\nno key"));
    expect(answers).toEqual([[5, "kpaxos kv: HTTP/1.1 404 Not Found: no key"]]);
  });
});

describe("the client", () => {
  const calls = new Map<string, number>();
  const store = new KvStore();
  const kv = new KvServer({
    store,
    replica: { submit: async (command) => store.apply(command), read: async () => undefined },
    read: "confirmed",
    maxCommandBytes: 1000,
    status: () => ({}),
  });
  let grpc: Http2Server;
  let http: Bun.Server<undefined>;
  beforeAll(async () => {
    grpc = createServer();
    grpc.on("stream", (stream: ServerHttp2Stream, headers) => {
      const call = `${headers[":method"]} ${headers[":path"]} ${headers["content-type"]} ${headers.te}`;
      calls.set(call, (calls.get(call) ?? 0) + 1);
      stream.respond({ ":status": 200, "content-type": "application/grpc" });
      stream.end(Buffer.alloc(80));
      stream.resume();
    });
    await new Promise<void>((listening) => void grpc.listen(0, "127.0.0.1", listening));
    http = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: kv.fetch });
  });
  afterAll(async () => {
    grpc.close();
    await http.stop(true);
  });

  async function figures(...words: readonly string[]): Promise<string[]> {
    const timing = ["--warm-up", "0.1", "--seconds", "0.3", "--keys", "20"];
    const child = Bun.spawn([process.execPath, LOAD, ...timing, ...words], { stderr: "pipe" });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect({ code: await child.exited, err }).toEqual({ code: 0, err: "" });
    return out.trimEnd().split("\n");
  }

  test("speaks HTTP/2 as others understand it, beyond the first room for what it sends", async () => {
    const at = `127.0.0.1:${(grpc.address() as AddressInfo).port}`;
    // 200 kB over one connection: three times what it may send before it is given more room.
    const filling = [
      "--fill",
      "--keys",
      "200",
      "--size",
      "1000",
      "--outstanding",
      "50",
      "--connections",
      "1",
    ];
    expect(await figures("--at", at, ...filling)).toEqual([""]);
    expect([...calls.keys()]).toEqual(["POST /etcdserverpb.KV/Put application/grpc trailers"]);
    // One more may be under way when all are there.
    expect([...calls.values()][0]).toBeGreaterThanOrEqual(200);
    const lines = await figures("--at", at, "--connections", "2", "--outstanding", "50", "--size", "1000");
    expect(lines.slice(0, 2)).toEqual(['{"phase":"measuring"}', '{"phase":"measured"}']);
    expect(JSON.parse(lines[2]!).values).toBeGreaterThan(0);
  });

  test("fills, writes and reads a store", async () => {
    const words = ["--protocol", "http", "--at", `127.0.0.1:${http.port}`, "--size", "10"];
    expect(await figures(...words, "--fill")).toEqual([""]);
    expect(store.list().map(([key, entry]) => [key, entry.value.length])).toEqual(
      Array.from({ length: 20 }, (_, i) => [`key-${`${i}`.padStart(6, "0")}`, 10]),
    );
    for (const operation of ["put", "get"]) {
      const lines = await figures(...words, "--operation", operation, "--outstanding", "30");
      expect(JSON.parse(lines[2]!).values).toBeGreaterThan(0);
    }
  });

  test("a key that is not there ends it", () => {
    const child = Bun.spawn(
      [process.execPath, LOAD, "--protocol", "http", "--at", `127.0.0.1:${http.port}`].concat(
        ..."--operation get --keys 21 --size 10".split(" "),
      ),
      { stderr: "pipe" },
    );
    return expect(child.stderr.text()).resolves.toContain(
      '404 Not Found: {"error":"no key \\"key-000020\\""}',
    );
  });

  test.each([
    ["--at", "here", '--at: "here" is no HOST:PORT'],
    ["--protocol", "quic", "--protocol: there is no quic"],
    ["--operation", "delete", "--operation: there is no delete"],
    ["--size", "16384", "--size: 16384 B do not fit into one HTTP/2 frame"],
  ])("%s %s is refused", (flag, text, message) => {
    const { status, err } = run(LOAD, flag, text);
    expect({ status, err: err.split("\n")[0] }).toEqual({ status: 2, err: `error: ${message}` });
  });
});

describe("the program", () => {
  test("without etcd it says where to get it", () => {
    const { status, err } = run(PROGRAM, "--etcd", "/none/etcd");
    expect({ status, err }).toEqual({
      status: 69,
      err: expect.stringMatching(
        /^error: there is no program \/none\/etcd\nhint: .*etcd-server.*--etcd PATH\n$/,
      ),
    });
  });

  test.each([
    [["--storage", "log,disk"], "--storage: there is no disk"],
    [["--concurrency", "1,x"], '--concurrency: "x" is no whole number above 0'],
    [["--etcd", process.execPath, "--storage-path", "/dev/shm"], "--storage-path: /dev/shm is in memory"],
    [
      ["--etcd", process.execPath, "--storage-path", "/none"],
      "--storage-path: ENOENT: no such file or directory, statfs '/none'",
    ],
  ])("%p is refused", (words, message) => {
    const { status, err } = run(PROGRAM, ...words);
    expect({ status, err: err.split("\n")[0] }).toEqual({ status: 2, err: `error: ${message}` });
  });
});
