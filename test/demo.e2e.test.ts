/**
 * The demo's promises about beginning and end.
 */
import { describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { LabProcess } from "../src/ops/lab_process.ts";
import { demo, FAKE, withMarker, withStates } from "./support/fake_demo.ts";
import { describeNetns } from "./support/netns.ts";
import { finish } from "./support/shell.ts";
import { until } from "./support/until.ts";

function behaves(name: string, where: readonly string[]): void {
  test(`${name}: a good run reports and exits 0`, async () => {
    const ended = await demo(where);
    expect(ended.stderr).toBe("");
    expect(ended.exitCode).toBe(0);
    for (const part of [
      "values/s",
      "acceptor 2, and started again",
      "2 delivered the same 1,000 values",
      "took up 30 records (to instance 40) from the others, and voted again after",
      "last instance 77, 77, 77\n",
      "nothing is left",
    ]) {
      expect(ended.stdout).toContain(part);
    }
  });

  test(`${name}: --json prints one object`, async () => {
    const ended = await demo([...where, "--json"]);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      learners: { learners: 2, values: 1000 },
      runs: [{ window: 1 }, { window: 100 }],
      outage: {
        acceptor: 2,
        recovered: { records: 30, upTo: 40 },
        clients: [{ values: 250 }, { deliveries: "user-learner" }],
      },
      stopped: 12,
    });
  });

  for (const [wrong, said] of [
    ["zero", "no value was chosen"],
    ["differ", "learners differ"],
    ["crash", "proposer 0 ended with exit code 3"],
    ["stubborn", "only by SIGKILL"],
    ["idle", "acceptor 2 was started again, and voted again from instance 41 on, but has accepted nothing"],
  ] as const) {
    test(`${name}: ${wrong} is a failure that says why`, async () => {
      const ended = await demo(where, wrong);
      expect(ended.exitCode).toBe(1);
      expect(ended.stderr).toContain(said);
    }, 20_000);
  }

  test(`${name}: a signal while it runs ends everything, and the demo by that signal`, async () => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const ended = await demo(where, "silent", async (running) => {
        await running.waitForLine(/^kpaxos demo/, 5000, "stdout");
        running.kill(signal);
      });
      expect(ended.signal).toBe(signal);
      expect(ended.stderr).toBe("");
    }
  });

  test(`${name}: --keep leaves the cluster to kpaxos cluster, once`, async () => {
    await withStates(async (states) => {
      const env = { ...process.env, XDG_STATE_HOME: states, FAKE: "" };
      const run = (...words: readonly string[]) =>
        finish(
          Bun.spawn([process.execPath, FAKE, ...words], {
            env,
            stdin: "ignore",
            stdout: "pipe",
            stderr: "pipe",
          }),
        );
      const first = await run("demo", "--keep", ...where);
      expect(first).toMatchObject({ code: 0, err: "" });
      for (const part of ["cluster exec --name demo client -- kpaxos run client", "cluster down --name demo"])
        expect(first.out).toContain(part);
      expect(await run("cluster", "status", "--name", "demo")).toMatchObject({ code: 0 });
      const second = await run("demo", "--keep", ...where);
      expect(second).toMatchObject({ code: 1, err: expect.stringContaining("cluster down --name demo") });
      expect(await run("cluster", "down", "--name", "demo")).toMatchObject({ code: 0 });
      expect(await run("cluster", "status", "--name", "demo")).toMatchObject({ code: 1 });
      expect(readdirSync(join(states, "kpaxos/clusters"))).toEqual([]);
    });
  });

  test(`${name}: even SIGKILL leaves no process behind`, async () => {
    const argv = [process.execPath, FAKE, "demo", ...where];
    const marker = randomUUID();
    const env = { ...process.env, FAKE: "endless", FAKE_MARKER: marker };
    const child = Bun.spawn(argv, { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    const running = new LabProcess("demo", argv, child);
    // The demo, seven roles and a client.
    await until("everything runs", () => withMarker(marker).length === 9, 10_000);
    process.kill(child.pid, "SIGKILL");
    await running.exited;
    await until("no process of the demo is left", () => withMarker(marker).length === 0, 2000);
  });
}

// They mostly wait.
describe.concurrent("on loopback", () => behaves("UDP", ["--udp"]));
describeNetns("between namespaces", () => behaves("raw Ethernet", []), describe.concurrent);
