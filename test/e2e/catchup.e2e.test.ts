/**
 * Catching up with real processes: a fresh learner under full load while the log is trimmed every 100 000 instances, one that
 * was stopped for too long, and one that begins with its own snapshot.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeviceReader } from "../../src/delivery/device_reader.ts";
import type { LabProcess } from "../../src/ops/lab_process.ts";
import { STANDARD, type TestCluster, withCluster } from "../support/cluster.ts";
import { endClient, hasBegun, QUICK } from "../support/e2e.ts";
import { describeNetns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const folder = mkdtempSync(join(tmpdir(), "kpaxos-catchup-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const WITHOUT_LATE = STANDARD.filter(({ role, id }) => role !== "learner" || id === 0);
const SKIPPED = /instances (\d+) to (\d+) were trimmed before/;

/** Values that a client got back until now. */
function values(client: LabProcess): number {
  return client.stdout
    .map((line) => JSON.parse(line) as { second?: number; values: number })
    .reduce((sum, one) => sum + (one.second === undefined ? 0 : one.values), 0);
}

/** How long a client has run until now. */
function seconds(client: LabProcess): number {
  return (JSON.parse(client.stdout.at(-1)!) as { second: number }).second;
}

/** Where learners stand: this process reads what they deliver, as it comes. */
class Heads {
  readonly #readers: DeviceReader[] = [];
  readonly last: number[] = [];

  /** Returns the reader's number. */
  async add(cluster: TestCluster, learner: number): Promise<number> {
    const reader = DeviceReader.open(join(cluster.directory, "devices"), "kpaxos", learner);
    await until("the learner knows its reader", () => reader.read() || reader.state === "attached");
    this.last.push(0);
    return this.#readers.push(reader) - 1;
  }

  take(): void {
    for (const [at, reader] of this.#readers.entries()) {
      while (reader.read()) this.last[at] = Math.max(this.last[at]!, reader.iid);
    }
  }
}

describeNetns("catching up", () => {
  test("the manuals' known bug: trimming every 100 000 instances under full load, a fresh learner reaches the head and stays", async () => {
    const settings = { ...QUICK, batching: "no", "trim-every": "100000", "snapshot-every": "100000" };
    await withCluster({ seats: STANDARD, settings, start: false }, async (cluster) => {
      for (const { role, id } of WITHOUT_LATE) cluster.start(role, id);
      await Promise.all(WITHOUT_LATE.map(({ role, id }) => cluster.member(role, id).ready()));
      const load = ["--outstanding", "200", "--value-size", "64", "--json"];
      const client = cluster.client(cluster.spareHost, load);
      // An instance holds one value here.
      await until("twice a hundred thousand instances", () => values(client) > 220_000, 90_000);

      const late = cluster.start("learner", 1, { args: ["--catch-up"] });
      const said = await late.waitForLine(SKIPPED, 20_000);
      // Nobody waited for values there.
      expect(said).toContain("programs of this host will read from there on");
      const lost = Number(SKIPPED.exec(said)![2]);
      expect(lost).toBeGreaterThan(50_000);
      await late.waitForLine(/is at the head, instance/, 60_000);
      const read = late.stderr.length;
      const from = values(client);
      await until("another hundred thousand", () => values(client) > from + 100_000, 60_000);
      // Five thousand behind would be said.
      expect(late.stderr.slice(read).filter((line) => line.includes("reads on from"))).toEqual([]);
      await endClient(client);
      const heads = new Heads();
      for (const id of [0, 1]) await heads.add(cluster, id);
      await cluster.runClient(["--values", "10"]);
      await until("both are at the end", () => {
        heads.take();
        return heads.last[0]! > lost && heads.last[0] === heads.last[1];
      });
    });
  }, 240_000);

  test("a learner that is stopped past learner-timeout holds nothing back, and comes back by snapshot", async () => {
    const settings = {
      ...QUICK,
      batching: "no",
      "trim-every": "200",
      "learner-timeout": "1s",
      "trim-rule": "all",
    };
    await withCluster({ seats: STANDARD, settings, start: false }, async (cluster) => {
      const stopped = cluster.startLearner(1, ["--catch-up"]);
      const other = cluster.startLearner(0, ["--catch-up"]);
      const rest = STANDARD.filter(({ role }) => role !== "learner");
      for (const { role, id } of rest) cluster.start(role, id);
      await Promise.all(rest.map(({ role, id }) => cluster.member(role, id).ready()));
      // More than its receive buffer holds for it.
      const client = cluster.client(cluster.spareHost, [
        "--outstanding",
        "50",
        "--value-size",
        "500",
        "--json",
      ]);
      await hasBegun(client);
      await stopped.reach(500);
      stopped.process.kill("SIGSTOP");
      const before = stopped.list.at(-1)!.iid;
      const since = seconds(client);
      // It is counted for a second more; then the others' reports trim past it.
      await until("four seconds of load", () => seconds(client) >= since + 4, 20_000);
      stopped.process.kill("SIGCONT");
      const said = await stopped.process.waitForLine(SKIPPED, 20_000);
      // Its standard output did.
      expect(said).toContain("they are not delivered here");
      const [, first, end] = SKIPPED.exec(said)!;
      expect(Number(first)).toBeGreaterThanOrEqual(before);
      expect(Number(end)).toBeGreaterThan(Number(first));
      await endClient(client);
      const whole = () => other.list.filter(({ iid }) => iid > Number(end));
      await until("both have the rest", () => stopped.list.at(-1)!.iid === other.list.at(-1)!.iid, 20_000);
      expect(stopped.list.filter(({ iid }) => iid > Number(end))).toEqual(whole());
      const missed = stopped.list.filter(({ iid }) => iid >= Number(first) && iid <= Number(end));
      expect(missed).toEqual([]);
    });
  }, 90_000);

  test("snapshot-path: killed, it goes on behind its own snapshot; a damaged one is refused with what to do", async () => {
    const path = join(folder, "snapshots");
    const settings = { ...QUICK, batching: "no", "trim-every": "500", "snapshot-path": path };
    await withCluster({ seats: WITHOUT_LATE, settings, start: false }, async (cluster) => {
      const learner = cluster.startLearner(0, ["--catch-up"]);
      await cluster.startAll();
      const { values } = await cluster.runClient(["--seconds", "3", "--outstanding", "10"]);
      await learner.reach(values);
      await until(
        "both have written theirs",
        () => readdirSync(path).filter((one) => one.endsWith(".snapshot")).length === 2,
      );
      const all = [...learner.list];
      learner.process.kill("SIGKILL");
      await learner.process.ending(5000);

      const again = cluster.startLearner(0, ["--catch-up"]);
      const line = await again.process.waitForLine(
        /goes on behind instance \d+ with .*learner-0\.snapshot/,
        10_000,
      );
      const iid = Number(/instance (\d+)/.exec(line)![1]);
      expect(iid).toBeGreaterThan(100);
      const rest = all.filter((one) => one.iid > iid);
      await again.reach(rest.length);
      expect(again.list.slice(0, rest.length)).toEqual(rest);
      again.process.kill("SIGTERM");
      await again.process.ending(5000);

      const file = join(path, "learner-0.snapshot");
      const bytes = readFileSync(file);
      bytes[20] = bytes[20]! ^ 1;
      writeFileSync(file, bytes);
      const refused = cluster.start("learner", 0);
      expect((await refused.ending(10_000)).exitCode).toBe(78);
      expect(refused.stderr.join("\n")).toMatch(
        /learner-0\.snapshot cannot be used: its checksum is wrong\n.*move it away/,
      );
      rmSync(file);
      await cluster.start("learner", 0).ready();
    });
  }, 60_000);

  test("acceptors on disk and nothing said of snapshots: everybody killed at once behind a trim, and all is there again", async () => {
    const path = join(folder, "disks");
    const durable = { "storage-backend": "sqlite", "storage-path": path };
    const settings = { ...QUICK, ...durable, batching: "no", "trim-every": "200" };
    await withCluster({ seats: WITHOUT_LATE, settings, start: false }, async (cluster) => {
      const learner = cluster.startLearner(0, ["--catch-up"]);
      await cluster.startAll();
      const { values } = await cluster.runClient(["--seconds", "4", "--outstanding", "10"]);
      await learner.reach(values);
      const snapshots = () => readdirSync(path).filter((one) => one.endsWith(".snapshot"));
      await until("both have written theirs", () => snapshots().length === 2);
      const all = [...learner.list];
      const everybody = cluster.processes.filter((one) => one.isRunning);
      for (const one of everybody) one.kill("SIGKILL");
      await Promise.all(everybody.map((one) => one.ending(5000)));

      const again = cluster.startLearner(0, ["--catch-up"]);
      const rest = WITHOUT_LATE.filter(({ role }) => role !== "learner");
      for (const { role, id } of rest) cluster.start(role, id);
      const line = await again.process.waitForLine(
        /goes on behind instance \d+ with .*learner-0\.snapshot/,
        10_000,
      );
      const iid = Number(/instance (\d+)/.exec(line)![1]);
      expect(iid).toBeGreaterThan(100);
      await cluster.runClient(["--values", "20"]);
      const missing = all.filter((one) => one.iid > iid);
      await again.reach(missing.length + 20);
      expect(again.list.slice(0, missing.length)).toEqual(missing);
      // It was trimmed: without the files nobody could have gone on.
      const acceptors = [0, 1, 2].map((id) => cluster.member("acceptor", id));
      await cluster.stopCleanly();
      const told = acceptors.map(({ stderr }) => /trimmed to (\d+)/.exec(stderr.join("\n"))?.[1]);
      for (const trimIid of told) expect(Number(trimIid)).toBeGreaterThan(100);
    });
  }, 60_000);
});
