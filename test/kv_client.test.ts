/**
 * The store's client and connections that break or say nothing: a write is sent once, whatever became of the connection before, and
 * what became of it is not known.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitCode } from "../src/error.ts";
import { KvClient } from "../src/kv/client.ts";

const WRITE = /^(PUT|DELETE) /;
const UNKNOWN = "; what was sent may still take effect";

/** Something listens at a socket that takes requests as they come. */
async function withListener(
  onRequest: (text: string, connection: Socket) => void,
  body: (socket: string) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
  const socket = join(directory, "kv");
  const open = new Set<Socket>();
  const server = createServer((connection) => {
    open.add(connection);
    connection.on("data", (chunk) => onRequest(chunk.toString(), connection));
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    await body(socket);
  } finally {
    for (const connection of open) connection.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  }
}

test("a write that breaks off is not sent again by itself: it may have taken effect", async () => {
  const writes: string[] = [];
  // The first write and all reads are answered, and their connections stay; every other write breaks off.
  const answer = (text: string, connection: Socket): void => {
    const [line = ""] = text.split("\r\n");
    if (WRITE.test(line) && writes.push(line) > 1) connection.destroy();
    else connection.write('HTTP/1.1 200 OK\r\nkpaxos-version: 1\r\nContent-Length: 13\r\n\r\n{"version":1}');
  };
  await withListener(answer, async (socket) => {
    const client = new KvClient({ socket }, 5_000);
    const unknown = {
      exitCode: ExitCode.unknownOutcome,
      message: expect.stringMatching(new RegExp(`^cannot reach .*${UNKNOWN}$`)),
    };
    await client.put("a", new Uint8Array(1));
    await client.get("a");
    await expect(client.put("a", new Uint8Array(2))).rejects.toMatchObject(unknown);
    await client.get("a");
    await expect(client.delete("a")).rejects.toMatchObject(unknown);
    expect(writes.map((line) => WRITE.exec(line)?.[1])).toEqual(["PUT", "PUT", "DELETE"]);
  });
});

test("a server that says nothing: of a read nothing is unknown, of a write everything", async () => {
  const times: string[] = [];
  const note = (text: string): unknown => times.push(...(/^kpaxos-timeout: .*$/im.exec(text) ?? []));
  await withListener(note, async (socket) => {
    const client = new KvClient({ socket }, 200);
    const message = `${socket} did not answer in 200 ms`;
    await expect(client.get("a")).rejects.toMatchObject({ exitCode: ExitCode.unavailable, message });
    await expect(client.put("a", new Uint8Array(1))).rejects.toMatchObject({
      exitCode: ExitCode.unknownOutcome,
      message: `${message}${UNKNOWN}`,
    });
    // The server would have had so long.
    expect(times.map((line) => line.toLowerCase())).toEqual(Array(2).fill("kpaxos-timeout: 160"));
  });
});

test("an answer that breaks off in the middle is none", async () => {
  const half = (_text: string, connection: Socket): unknown =>
    connection.end('HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"vers');
  await withListener(half, async (socket) => {
    const client = new KvClient({ socket }, 5_000);
    await expect(client.get("a")).rejects.toMatchObject({ exitCode: ExitCode.unavailable });
    await expect(client.put("a", new Uint8Array(1))).rejects.toMatchObject({
      exitCode: ExitCode.unknownOutcome,
      message: expect.stringMatching(/; what was sent may still take effect$/),
    });
  });
});

test("what may be done is told: reads may be repeated, writes of unknown fate are looked for first", async () => {
  const answer = (text: string, connection: Socket): void => {
    const status = WRITE.test(text) ? "504 Gateway Timeout" : "503 Service Unavailable";
    connection.end(`HTTP/1.1 ${status}\r\nContent-Length: 16\r\n\r\n{"error":"late"}`);
  };
  await withListener(answer, async (socket) => {
    const client = new KvClient({ socket }, 5_000);
    const hint = expect.stringContaining("--read local");
    await expect(client.get("a", "log")).rejects.toMatchObject({ exitCode: ExitCode.unavailable, hint });
    await expect(client.put("a", new Uint8Array(1))).rejects.toMatchObject({
      exitCode: ExitCode.unknownOutcome,
      hint: expect.stringMatching(/^look whether it took effect/),
    });
  });
});

test("what the runtime advises its programmers is not told", async () => {
  const nobody = new KvClient({ url: "http://127.0.0.1:1" }, 5_000);
  await expect(nobody.get("a")).rejects.toThrow(
    /^cannot reach http:\/\/127\.0\.0\.1:1: .*Unable to connect$/,
  );
  await withListener(
    (_text, connection) => connection.destroy(),
    async (socket) => {
      const error = new KvClient({ socket }, 5_000).get("a");
      await expect(error).rejects.toThrow(/^cannot reach /);
      await expect(error).rejects.not.toThrow(/verbose/);
    },
  );
});

test("a key that no address can have is refused before anything is sent: another one would be meant", async () => {
  const asked: string[] = [];
  await withListener(
    (text) => asked.push(text),
    async (socket) => {
      const client = new KvClient({ socket }, 500);
      for (const key of [".", "..", "\ud800"]) {
        const refusal = { exitCode: ExitCode.usage, message: expect.stringContaining(JSON.stringify(key)) };
        await expect(client.get(key)).rejects.toMatchObject(refusal);
        await expect(client.put(key, new Uint8Array(1))).rejects.toMatchObject(refusal);
        await expect(client.delete(key)).rejects.toMatchObject(refusal);
      }
      const half = { exitCode: ExitCode.usage, message: expect.stringContaining('"\\ud800"') };
      await expect(client.list("\ud800").next()).rejects.toMatchObject(half);
      expect(asked).toEqual([]);
    },
  );
});

test("what another service answers is no value, and no word that there is none", async () => {
  let status = "200 OK";
  const answer = (_text: string, connection: Socket): unknown =>
    connection.end(`HTTP/1.1 ${status}\r\nContent-Length: 6\r\n\r\n<html>`);
  await withListener(answer, async (socket) => {
    const client = new KvClient({ socket }, 5_000);
    const other = { exitCode: ExitCode.unavailable, message: "what answers there is no `kpaxos kv serve`" };
    await expect(client.get("a")).rejects.toMatchObject(other);
    status = "404 Not Found";
    await expect(client.get("a")).rejects.toMatchObject(other);
  });
});
