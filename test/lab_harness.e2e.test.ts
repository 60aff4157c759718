/**
 * The harness itself: processes by lines, figures read back, UDP with faults.
 */
import { describe, expect, spyOn, test } from "bun:test";
import { join } from "node:path";
import { LineDigest, lastFigures } from "../src/ops/lab_figures.ts";
import { LabProcess } from "../src/ops/lab_process.ts";
import { expectSameOrder, STANDARD, withCluster } from "./support/cluster.ts";
import { UdpRelay } from "./support/udp_relay.ts";
import { until } from "./support/until.ts";

function shell(script: string): LabProcess {
  const argv = ["sh", "-c", script];
  return new LabProcess("script", argv, Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "pipe" }));
}

describe("a process", () => {
  test("is ready when it says so, and its output is there once it has ended", async () => {
    const one = shell("echo role ready >&2; echo a; printf b");
    await one.ready();
    expect(await one.exited).toEqual({ exitCode: 0, signal: null, killed: false });
    expect(one.stdout).toEqual(["a", "b"]);
    await one.waitForLine(/^b$/, 10, "stdout");
  });

  test("that ends, or says nothing, before it is ready shows its log", async () => {
    await expect(shell("echo no luck >&2; exit 3").ready()).rejects.toThrow(/exit code 3.*\n.*no luck/);
    const silent = shell("echo still here >&2; exec sleep 60");
    await expect(silent.ready(100)).rejects.toThrow(/within 100 ms.*\n.*still here/);
    expect(await silent.stop()).toMatchObject({ signal: "SIGTERM", killed: false });
    expect(silent.isRunning).toBe(false);
  });

  test("that ignores SIGTERM is killed in the end", async () => {
    const one = shell("trap '' TERM; echo ready >&2; while :; do sleep 0.05; done");
    await one.ready();
    expect(await one.stop(200)).toMatchObject({ signal: "SIGKILL", killed: true });
  });
});

describe("figures", () => {
  const figures = {
    values: 10,
    seconds: 2,
    valuesPerSecond: 5,
    latencyUs: { mean: 1, p50: 1, p90: 1, p99: 1, p999: 1, max: 1 },
    resent: 0,
    duplicates: 0,
  };

  test("are the last line", () => {
    expect(lastFigures(['{"values":1}', JSON.stringify(figures), ""])).toEqual(figures);
  });

  test("that are missing are an error that shows the line", () => {
    expect(() => lastFigures([])).toThrow("no figures");
    expect(() => lastFigures(["oops"])).toThrow("not JSON: oops");
    expect(() => lastFigures(['{"values":1}'])).toThrow('no figures: {"values":1}');
  });

  test("a digest does not depend on how the lines were cut into chunks", () => {
    const text = new TextEncoder().encode("1 0 a\n2 0 b\n");
    const whole = new LineDigest();
    whole.feed(text);
    const parts = new LineDigest();
    for (const byte of text) parts.feed(Uint8Array.of(byte));
    expect(parts.lines).toBe(2);
    expect(parts.digest()).toBe(whole.digest());
  });
});

describe("a cluster", () => {
  const FAKE = join(import.meta.dir, "support/fake_main.ts");
  const fake = (wrong: string): string[] => ["env", `FAKE=${wrong}`, process.execPath, FAKE];

  async function failure(body: Promise<void>): Promise<{ error: Error; logs: string }> {
    const shown = spyOn(console, "error").mockImplementation(() => {});
    try {
      const error = await body.then(
        () => new Error("it did not fail"),
        (reason: Error) => reason,
      );
      return { error, logs: shown.mock.calls.flat().join("\n") };
    } finally {
      shown.mockRestore();
    }
  }

  test("starts, serves a client, compares learners, ends cleanly", async () => {
    const seats = STANDARD.filter(({ role }) => role !== "learner");
    await withCluster(
      { link: "loopback", seats: STANDARD, start: false, command: fake("") },
      async (cluster) => {
        expect(cluster.config).toContain("verbosity info\n");
        expect(cluster.config).toMatch(/^acceptor 0 127\.0\.0\.1 \d+$/m);
        const learners = [cluster.startLearner(0), cluster.startLearner(1)];
        for (const { role, id } of seats) cluster.start(role, id);
        await cluster.startAll();
        expect((await cluster.runClient(["--values", "500"])).values).toBe(500);
        await Promise.all(learners.map((learner) => learner.reach(1000)));
        await expectSameOrder(learners);
      },
    );
  });

  test("says where learners differ, and shows the logs", async () => {
    const { error, logs } = await failure(
      withCluster(
        { link: "loopback", seats: STANDARD, start: false, command: fake("differ") },
        async (cluster) => {
          const learners = [cluster.startLearner(0), cluster.startLearner(1)];
          await Promise.all(learners.map((learner) => learner.reach(1000)));
          await expectSameOrder(learners);
        },
      ),
    );
    expect(error.message).toContain("delivery 299 differs: learner 0");
    expect(logs).toContain("--- learner 1: ");
    expect(logs).toContain("learner ready");
  });

  test("a role that does not end on SIGTERM is a failure", async () => {
    const seats = STANDARD.slice(0, 1);
    const { error } = await failure(
      withCluster({ link: "loopback", seats, command: fake("stubborn") }, async () => {}),
    );
    expect(error.message).toBe("not ended cleanly: acceptor 0 only by SIGKILL");
  });

  test("a role that ends while it starts is a failure", async () => {
    const { error } = await failure(
      withCluster({ link: "loopback", seats: STANDARD, command: fake("crash") }, async () => {}),
    );
    expect(error.message).toMatch(/proposer 0 ended with exit code 3.*\n.*cannot go on/);
  });
});

describe("UDP relay", () => {
  const COUNT = 1000;

  /** An echo server behind a relay; returns what comes back to a client that sends 0, 1, 2, … */
  async function exchange(
    host: string,
    prepare: (relay: UdpRelay) => void,
  ): Promise<{ back: number[]; relay: UdpRelay }> {
    const server = await Bun.udpSocket({
      hostname: host,
      socket: { data: (socket, bytes, port, from) => void socket.send(bytes, port, from) },
    });
    const relay = await UdpRelay.start([{ host, port: server.port }], 7);
    const back: number[] = [];
    const client = await Bun.udpSocket({
      hostname: host,
      socket: { data: (_, bytes) => void back.push(bytes.readUInt32LE(0)) },
    });
    try {
      prepare(relay);
      const { port } = relay.endpoints[0]!;
      for (let at = 0; at < COUNT; at++) {
        client.send(new Uint8Array(Uint32Array.of(at, 0, 0, 0).buffer), port, host);
        // A socket's queue is small: go on once this one was taken.
        if (at % 16 === 15) await until("the relay took it", () => relay.stats.fromClients > at);
      }
      let last = -1;
      await until("nothing more comes", async () => {
        const before = last;
        last = relay.stats.sent + back.length;
        await Bun.sleep(40);
        return before === last && relay.stats.sent + back.length === last;
      });
      return { back, relay };
    } finally {
      client.close();
      relay.close();
      server.close();
    }
  }

  for (const host of ["127.0.0.1", "::1"]) {
    test(`${host}: without faults all comes back in order`, async () => {
      const { back } = await exchange(host, () => {});
      expect(back).toEqual(Array.from({ length: COUNT }, (_, at) => at));
    });
  }

  test("loses, doubles and reorders about as often as asked", async () => {
    const { relay } = await exchange("127.0.0.1", (made) => made.set({ loss: 20, dup: 20, reorder: 20 }));
    const { received, lost, duplicated, reordered } = relay.stats;
    for (const share of [
      lost / received,
      duplicated / (received - lost),
      reordered / (received - lost + duplicated),
    ]) {
      expect(share).toBeGreaterThan(0.15);
      expect(share).toBeLessThan(0.25);
    }
  });

  test("reordering and doubling lose nothing, and delays keep the order", async () => {
    const mixed = await exchange("127.0.0.1", (made) => made.set({ dup: 20, reorder: 20 }));
    expect(new Set(mixed.back).size).toBe(COUNT);
    expect(mixed.back).not.toEqual(mixed.back.toSorted((a, b) => a - b));
    const delayed = await exchange("127.0.0.1", (made) => made.set({ delayMs: [1, 5] }));
    expect(delayed.back).toEqual(Array.from({ length: COUNT }, (_, at) => at));
  });

  test("a server that is cut off gets nothing", async () => {
    const { back, relay } = await exchange("127.0.0.1", (made) => made.cut(0));
    expect(back).toEqual([]);
    expect(relay.stats.cut).toBe(COUNT);
  });
});
