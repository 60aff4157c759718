/**
 * The store's client and connections that break: a write is sent once, whatever became of the connection before.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KvClient } from "../src/kv/client.ts";

const WRITE = /^(PUT|DELETE) /;

test("a write that breaks off is not sent again by itself: it may have taken effect", async () => {
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-test-"));
  const socket = join(directory, "kv");
  const writes: string[] = [];
  const open = new Set<Socket>();
  // The first write and all reads are answered, and their connections stay; every other write breaks off.
  const server = createServer((connection) => {
    open.add(connection);
    connection.on("data", (chunk) => {
      const [line = ""] = chunk.toString().split("\r\n");
      if (WRITE.test(line) && writes.push(line) > 1) connection.destroy();
      else connection.write('HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"version":1}');
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    const client = new KvClient({ socket }, 5_000);
    await client.put("a", new Uint8Array(1));
    await client.get("a");
    await expect(client.put("a", new Uint8Array(2))).rejects.toThrow("cannot reach");
    await client.get("a");
    await expect(client.delete("a")).rejects.toThrow("cannot reach");
    expect(writes.map((line) => WRITE.exec(line)?.[1])).toEqual(["PUT", "PUT", "DELETE"]);
  } finally {
    for (const connection of open) connection.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  }
});
