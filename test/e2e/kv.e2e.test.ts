/**
 * The key-value store with real processes: its commands as users type them, its HTTP, and what becomes of both when processes
 * are killed.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../../src/error.ts";
import { freePorts } from "../../src/ops/free_ports.ts";
import { COMMAND, seat, type TestCluster, withCluster } from "../support/cluster.ts";
import { settled } from "../support/failover.ts";
import { KvShell } from "../support/kv_shell.ts";
import { until } from "../support/until.ts";

const SEATS = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, id)),
  ...[0, 1].map((id) => seat("proposer", id, 3 + id)),
];
const REPLICAS = [0, 1, 2].map((id) => seat("replica", id, id));
const MODES = ["confirmed", "log", "local"] as const;

function sum(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A cluster with servers 0 and 1 beside it. */
async function withServers(
  settings: Record<string, string>,
  body: (kv: KvShell, cluster: TestCluster) => Promise<void>,
): Promise<void> {
  await withCluster({ seats: SEATS, link: "loopback", settings }, async (cluster) => {
    const kv = new KvShell(cluster);
    await Promise.all([kv.serve(0), kv.serve(1)]);
    await body(kv, cluster);
  });
}

describe.concurrent("kpaxos kv", () => {
  test("the commands, at either server, with their exit codes", async () => {
    await withServers({}, async (kv) => {
      expect(await kv.ok(["put", "greeting", "hello, world", "--id", "0"])).toBe("");
      for (const mode of MODES.slice(0, 2)) {
        expect(await kv.ok(["get", "greeting", "--id", "1", "--read", mode])).toBe("hello, world");
      }
      expect(await kv.ok(["get", "greeting", "--id", "0", "--read", "local"])).toBe("hello, world");
      expect(JSON.parse(await kv.ok(["get", "greeting", "--json"]))).toEqual({
        key: "greeting",
        version: 1,
        value: Buffer.from("hello, world").toString("base64"),
      });

      await kv.ok(["cas", "greeting", "hello, world", "bye", "--id", "1"]);
      expect(await kv.ok(["get", "greeting", "--id", "0"])).toBe("bye");
      const failures = [
        ["cas", "greeting", "hello, world", "again"],
        ["put", "greeting", "mine", "--absent"],
        ["put", "greeting", "mine", "--version", "1"],
        ["delete", "greeting", "--version", "1"],
        ["delete", "nobody"],
        ["get", "nobody"],
      ];
      const said = await Promise.all(failures.map((words) => kv.run(words)));
      expect(said.map(({ exitCode }) => exitCode)).toEqual(failures.map(() => 1));
      expect(said[0]!.stderr).toContain('"greeting" was not changed: it has another value (version 2)');
      expect(said[5]!.stderr).toContain('no key "nobody"');

      await kv.ok(["put", "greeting", "third", "--version", "2"]);
      await kv.ok(["put", "users/b", "2", "--absent"]);
      await kv.ok(["put", "users/a", "1"]);
      expect(await kv.ok(["list", "--id", "1"])).toBe("greeting\nusers/a\nusers/b\n");
      expect(await kv.ok(["list", "users/", "--values"])).toBe("users/a\t1\nusers/b\t2\n");
      await kv.ok(["delete", "users/a", "--id", "1"]);
      expect(await kv.ok(["list", "users/", "--id", "0"])).toBe("users/b\n");

      const usage = [["put", "a", "b", "--absent", "--version", "1"], ["get"], ["get", "a", "--read", "old"]];
      for (const words of usage) expect((await kv.run(words)).exitCode).toBe(2);
      const nowhere = await kv.run(["get", "greeting", "--id", "7"]);
      expect(nowhere.exitCode).toBe(69);
      expect(nowhere.stderr).toContain("kpaxos kv serve");
    });
  }, 60_000);

  test("a value of 900 kB; a larger one than max-value-size", async () => {
    await withServers({}, async (kv, cluster) => {
      const value = new Uint8Array(900_000);
      crypto.getRandomValues(value.subarray(0, 65_536));
      await kv.ok(["put", "large", "-", "--id", "0"], value);
      const found = await kv.run(["get", "large", "--id", "1"]);
      expect(found.stdout.length).toBe(value.length);
      expect(sum(found.stdout)).toBe(sum(value));
      // A reader that has had enough is no failure.
      const words = [...COMMAND, "kv", "get", "large", "-f", cluster.configPath];
      const piped = ["bash", "-o", "pipefail", "-c", '"$@" | head -c 1', "bash", ...words];
      const enough = Bun.spawnSync(piped, { stdin: "ignore" });
      expect([enough.stderr.toString(), enough.exitCode, enough.stdout.length]).toEqual(["", 0, 1]);
      const tooLarge = await kv.run(["put", "large", "-"], new Uint8Array(1_100_000));
      expect(tooLarge.exitCode).toBe(ExitCode.usage);
      expect(tooLarge.stderr).toContain("max-value-size is the limit");
      expect(sum((await kv.run(["get", "large"])).stdout)).toBe(sum(value));
    });
  }, 60_000);

  test("requests go on when the leader is killed", async () => {
    await withServers({ "client-timeout": "200ms" }, async (kv, cluster) => {
      await kv.ok(["put", "before", "1"]);
      const leader = await settled(cluster, [0, 1]);
      const victim = cluster.member("proposer", leader);
      victim.kill("SIGKILL");
      // While nobody leads yet.
      await Promise.all([
        kv.ok(["put", "during", "2", "--id", "0"]),
        kv.ok(["put", "too", "3", "--id", "1"]),
      ]);
      expect(await kv.ok(["list", "--values", "--id", "1"])).toBe("before\t1\nduring\t2\ntoo\t3\n");
      await victim.exited;
      await cluster.start("proposer", leader).ready();
      await kv.ok(["put", "after", "4", "--id", "1"]);
      expect(await kv.ok(["get", "after", "--id", "0"])).toBe("4");
    });
  }, 60_000);

  test("a server that was killed has its state again: from the log", async () => {
    await withServers({}, async (kv) => {
      await kv.ok(["put", "a", "1", "--id", "0"]);
      const server = await kv.serve(2);
      await kv.ok(["put", "b", "2", "--id", "2"]);
      server.kill("SIGKILL");
      await server.exited;
      // Its socket is still there, and nobody answers.
      expect(existsSync(kv.socket(2))).toBe(true);
      const dead = await kv.run(["get", "a", "--id", "2"]);
      expect(dead.exitCode).toBe(ExitCode.unavailable);
      expect(dead.stderr).toContain("cannot reach");
      await kv.ok(["put", "c", "3", "--id", "0"]);
      await kv.serve(2);
      expect(await kv.ok(["list", "--values", "--id", "2"])).toBe("a\t1\nb\t2\nc\t3\n");
    });
  }, 60_000);

  test("all servers were killed and the log is trimmed: from their snapshots", async () => {
    const settings = { "trim-every": "20", "snapshot-every": "20", "acceptor-window-instances": "256" };
    await withCluster({ seats: SEATS, link: "loopback", settings }, async (cluster) => {
      const kv = new KvShell(cluster);
      const place = ["--snapshot-path", join(cluster.directory, "snapshots")];
      let servers = await Promise.all([kv.serve(0, place), kv.serve(1, place)]);
      await kv.ok(["put", "first", "kept"]);
      const url = "http://kv/v1/keys";
      // Far more than the acceptors' window has room for.
      for (let i = 0; i < 600; i++) {
        const answer = await fetch(`${url}/counter`, { unix: kv.socket(i & 1), method: "PUT", body: `${i}` });
        expect(answer.status).toBe(200);
      }
      for (const server of servers) server.kill("SIGKILL");
      await Promise.all(servers.map((server) => server.exited));
      servers = await Promise.all([kv.serve(0, place), kv.serve(1, place)]);
      for (const id of [0, 1]) {
        expect(await kv.ok(["list", "--values", "--id", `${id}`])).toBe("counter\t599\nfirst\tkept\n");
        expect((await kv.status(id)).applied).toBeGreaterThan(600);
      }
      await kv.ok(["cas", "counter", "599", "600"]);
    });
  }, 60_000);

  test("replicas that vote and serve in one process each", async () => {
    await withCluster({ seats: REPLICAS, link: "loopback", start: false }, async (cluster) => {
      const kv = new KvShell(cluster);
      const servers = await Promise.all([0, 1, 2].map((id) => kv.serve(id, ["--replica"])));
      await kv.ok(["put", "a", "1", "--id", "0"]);
      for (const id of [0, 1, 2]) expect(await kv.ok(["get", "a", "--id", `${id}`])).toBe("1");
      const stranger = await kv.run(["serve", "--replica", "--id", "3"]);
      expect(stranger.exitCode).toBe(78);
      expect(stranger.stderr).toContain("no replica 3");
      servers[0]!.kill("SIGKILL");
      await servers[0]!.exited;
      // Without --id: of a server that runs.
      await kv.ok(["put", "b", "2"]);
      await kv.serve(0, ["--replica"]);
      expect(await kv.ok(["list", "--values", "--id", "0"])).toBe("a\t1\nb\t2\n");
    });
  }, 60_000);

  test.serial(
    "a request begins at once, not when the server would have woken anyway",
    async () => {
      await withServers({}, async (kv) => {
        await kv.ok(["put", "a", "1", "--id", "0"]);
        const times: number[] = [];
        for (let i = 0; i < 40; i++) {
          const fromMs = performance.now();
          const answer = await fetch("http://kv/v1/keys/a", { unix: kv.socket(0) });
          expect(await answer.text()).toBe("1");
          times.push(performance.now() - fromMs);
        }
        // An idle process sleeps up to 100 ms.
        expect(times.toSorted((x, y) => x - y)[20]!).toBeLessThan(50);
      });
    },
    60_000,
  );

  test("a server that ends answers what it was asked: with what became of it", async () => {
    await withServers({}, async (kv, cluster) => {
      const server = await kv.serve(2, ["--listen", "127.0.0.1:0"]);
      const said = await server.waitForLine(/ and http:\/\/127\.0\.0\.1:[1-9]\d*$/, 5_000);
      const lost = [0, 1].map((id) => cluster.member("acceptor", id));
      for (const one of lost) one.kill("SIGSTOP");
      const asked = [
        ["PUT", 504],
        ["GET", 503],
      ] as const;
      const url = `${said.slice(said.indexOf("http:"))}/v1/keys/a`;
      const answers = asked.map(async ([method]) => {
        const answer = await fetch(url, { method });
        return [method, answer.status, ((await answer.json()) as { error: string }).error];
      });
      await until("it waits", async () => (await kv.status(2)).pending > 0);
      await server.stop();
      for (const one of lost) one.kill("SIGCONT");
      const why = expect.stringContaining("the replica ended");
      expect(await Promise.all(answers)).toEqual(asked.map(([method, status]) => [method, status, why]));
    });
  }, 60_000);

  test("two servers on one id: the second is refused, the first goes on", async () => {
    await withServers({}, async (kv) => {
      const second = kv.launch(0);
      const ending = await second.ending(10_000);
      expect(ending).toMatchObject({ exitCode: 1, killed: false });
      expect(second.stderr.join("\n")).toContain("a server answers there already");
      await kv.ok(["put", "a", "1", "--id", "0"]);
      expect(await kv.ok(["get", "a", "--id", "0"])).toBe("1");
    });
  }, 60_000);

  test("a server that ends takes its socket away; another wire is refused", async () => {
    await withServers({}, async (kv) => {
      const server = await kv.serve(2);
      expect(await server.stop()).toMatchObject({ exitCode: 0, killed: false });
      expect(existsSync(kv.socket(2))).toBe(false);
      const wire = await kv.run(["serve", "--id", "3", "--wire", "kernel-paxos"]);
      expect(wire.exitCode).toBe(78);
      expect(wire.stderr).toContain("wire native");
    });
  }, 60_000);

  test("without a majority: status, reasons and exit codes tell what is known, and what happened is seen later", async () => {
    await withServers({}, async (kv, cluster) => {
      await kv.ok(["put", "a", "1", "--id", "0"]);
      // So long a proposer that is asked nothing says nothing over UDP, which is no reason for anything.
      await Bun.sleep(3_500);
      const healthy = await kv.status(0);
      expect(healthy).toMatchObject({ isBehind: false, pending: 0, reasons: [], known: healthy.applied });
      const lost = [1, 2].map((id) => cluster.member("acceptor", id));
      for (const one of lost) one.kill("SIGSTOP");
      const why = /acceptor 1 .* and acceptor 2 .* do not answer, and 1 of 3 are no quorum/;
      await until("it is known", async () => why.test((await kv.status(0)).reasons[0] ?? ""), 15_000);
      const told = async (words: readonly string[]): Promise<[number | null, boolean]> => {
        const { exitCode, stderr } = await kv.run([...words, "--timeout", "1", "--id", "0"]);
        return [exitCode, why.test(stderr)];
      };
      const asked = [["put", "b", "2"], ["cas", "a", "1", "2"], ["delete", "c"], ["get", "a"], ["list"]];
      const { unknownOutcome, unavailable } = ExitCode;
      expect(await Promise.all(asked.map(told))).toEqual([
        ...Array(3).fill([unknownOutcome, true]),
        ...Array(2).fill([unavailable, true]),
      ]);
      const submit = ["submit", "x", "--timeout", "1", "-f", cluster.configPath];
      const submitted = cluster.launch("submit", 0, submit);
      // It opens no session, so its value was never sent.
      expect(await submitted.ending(20_000)).toMatchObject({ exitCode: unavailable, killed: false });
      expect(submitted.stderr.join("\n")).toMatch(/it was not sent/);
      for (const one of lost) one.kill("SIGCONT");
      await until("it has happened", async () => (await kv.run(["get", "b"])).text === "2", 20_000);
      const late = await kv.run(["cas", "a", "1", "2"]);
      expect([late.exitCode, late.stderr]).toEqual([
        1,
        expect.stringContaining("has another value (version 2)"),
      ]);
    });
  }, 90_000);

  test("HTTP on TCP: versions as ETags, conditions, and what is refused", async () => {
    await withCluster({ seats: SEATS, link: "loopback" }, async (cluster) => {
      const kv = new KvShell(cluster);
      const [port] = await freePorts(1, "127.0.0.1");
      const base = `http://127.0.0.1:${port}`;
      const server = await kv.serve(0, ["--listen", `127.0.0.1:${port}`]);
      const key = `${base}/v1/keys/a%2Fb`;
      const put = async (body: string, headers: Record<string, string> = {}): Promise<Response> =>
        await fetch(key, { method: "PUT", body, headers });

      expect((await fetch(key)).status).toBe(404);
      const first = await put("one", { "if-none-match": "*" });
      expect([first.status, first.headers.get("etag")]).toEqual([200, '"1"']);
      expect((await put("two", { "if-none-match": "*" })).status).toBe(412);
      expect((await put("two", { "if-match": '"7"' })).status).toBe(412);
      expect((await put("two", { "if-match": '"1"' })).status).toBe(200);
      expect((await put("three", { "if-match": "*" })).status).toBe(200);
      const found = await fetch(key);
      expect([await found.text(), found.headers.get("etag")]).toEqual(["three", '"3"']);
      for (const mode of MODES) expect(await (await fetch(`${key}?read=${mode}`)).text()).toBe("three");
      expect((await fetch(`${key}?read=old`)).status).toBe(400);
      expect((await put("x", { "if-match": "3" })).status).toBe(400);
      expect((await fetch(key, { method: "POST", body: "x" })).status).toBe(405);
      expect((await fetch(`${base}/`)).status).toBe(404);
      expect((await fetch(key, { method: "DELETE", headers: { "if-match": '"2"' } })).status).toBe(412);
      expect((await fetch(key, { method: "DELETE" })).status).toBe(200);
      expect((await fetch(key)).status).toBe(404);

      expect(await kv.ok(["put", "from", "afar", "--url", base])).toBe("");
      expect(await kv.ok(["get", "from", "--url", base])).toBe("afar");
      const taken = await kv.run(["serve", "--id", "1", "--listen", `127.0.0.1:${port}`]);
      expect(taken.exitCode).toBe(1);
      expect(taken.stderr).toContain("cannot listen on");
      expect(existsSync(kv.socket(1))).toBe(false);

      // Without a majority nothing can be confirmed or chosen, and that is said in time.
      await server.stop();
      const impatient = await kv.serve(0, ["--timeout", "0.5", "--listen", `127.0.0.1:${port}`]);
      await until("it has caught up", async () => (await kv.status(0)).keys === 1);
      for (const id of [0, 1]) cluster.member("acceptor", id).kill("SIGKILL");
      await Promise.all([0, 1].map((id) => cluster.member("acceptor", id).exited));
      expect((await put("lost?")).status).toBe(504);
      expect((await fetch(`${base}/v1/keys/from?read=log`)).status).toBe(503);
      expect(await (await fetch(`${base}/v1/keys/from?read=local`)).text()).toBe("afar");
      await until(
        "no read is confirmed",
        async () => (await fetch(`${base}/v1/keys/from`)).status === 503,
        10_000,
      );
      expect(impatient.isRunning).toBe(true);
    });
  }, 60_000);
});
