/**
 * Sessions on real processes: the proposer in use is killed, is too full, forgets a session. Every value that a client was
 * told delivered is at every learner exactly once, in its session's order; what nobody can know is told so.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../../src/error.ts";
import { lastFigures } from "../../src/ops/lab_figures.ts";
import { LabProcess } from "../../src/ops/lab_process.ts";
import type { Seat } from "../../src/ops/seats.ts";
import {
  COMMAND,
  type Deliveries,
  expectSameOrder,
  seat,
  type TestCluster,
  withCluster,
} from "../support/cluster.ts";
import { finished, QUICK } from "../support/e2e.ts";
import { place, settled } from "../support/failover.ts";
import { describeUnless } from "../support/skip.ts";
import { until } from "../support/until.ts";

const SEATS: readonly Seat[] = [
  ...[0, 1, 2].map((id) => seat("acceptor", id, 0)),
  ...[0, 1].map((id) => seat("proposer", id, 0)),
  ...[0, 1].map((id) => seat("learner", id, 0)),
];
const MIB = 1 << 20;
const KPAXOS = join(import.meta.dir, "../../dist/kpaxos");

interface Plan {
  readonly settings?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
}

/** Every role on this host, over UDP; both learners' deliveries are kept. */
async function withLearners(
  { settings, command = COMMAND }: Plan,
  body: (cluster: TestCluster, learners: readonly Deliveries[]) => Promise<void>,
): Promise<void> {
  const options = { seats: SEATS, link: "loopback", settings: { ...QUICK, ...settings }, command } as const;
  await withCluster({ ...options, start: false }, async (cluster) => {
    const learners = [0, 1].map((id) => cluster.startLearner(id, ["--catch-up"]));
    await cluster.startAll();
    await body(cluster, learners);
  });
}

/** `kpaxos submit -` with what this shell command writes. */
function submit(
  cluster: TestCluster,
  input: string,
  args: readonly string[] = [],
  command = COMMAND,
): LabProcess {
  const timeout = args.includes("--timeout") ? [] : ["--timeout", "20"];
  const words = ["submit", "-", "-f", cluster.configPath, ...timeout, ...args];
  // Signals go to the one that submits.
  const script = `mkfifo in.$$ && { { ${input}; } > in.$$ & exec "$@" < in.$$; }`;
  const shell = ["sh", "-c", script, "sh", ...command, ...words];
  const child = cluster.network.spawn(0, shell, { cwd: cluster.directory });
  const submitting = new LabProcess("submit", shell, child);
  cluster.processes.push(submitting);
  return submitting;
}

async function crash(cluster: TestCluster, id: number): Promise<void> {
  const victim = cluster.member("proposer", id);
  victim.kill("SIGKILL");
  await victim.exited;
}

const texts = ({ values }: Deliveries): string[] => values.map((hex) => Buffer.from(hex, "hex").toString());

/** Of this name the numbers from 1 to `count`, each once, in order. */
function expectEach(learner: Deliveries, name: string, count: number): void {
  const own = texts(learner).filter((text) => text.startsWith(`${name} `));
  expect(own.map((text) => text.split(" ")[1])).toEqual(Array.from({ length: count }, (_, i) => `${i + 1}`));
}

/** Shell: until this file is there. */
const before = (file: string, body: string): string => `while [ ! -e ${file} ]; do ${body}; sleep 0.02; done`;

/** Clients of both proposers submit; each proposer in turn is killed while they do. */
async function proposersKilled(command: readonly string[]): Promise<void> {
  const names = ["a", "b", "c"];
  await withLearners({ command }, async (cluster, learners) => {
    const enough = join(cluster.directory, "enough");
    const submitting = names.map((name, i) => {
      const more = before(enough, `seq -f '${name} %.0f' $((n + 1)) $((n + 50)); n=$((n + 50))`);
      return submit(cluster, `n=0; ${more}`, ["-p", `${i % 2}`, "--confirm"], command);
    });
    const { list } = learners[0]!;
    for (const id of [0, 1, 0]) {
      await learners[0]!.reach(list.length + 500);
      await crash(cluster, id);
      await learners[0]!.reach(list.length + 500);
      await cluster.start("proposer", id).ready();
    }
    writeFileSync(enough, "");
    await Promise.all(submitting.map((one) => finished(one, 60_000)));
    const counts = submitting.map(({ stdout }) => Number(stdout.at(-1)));
    const all = counts.reduce((sum, count) => sum + count);
    // A client has its own learner: it may know sooner than these.
    await Promise.all(learners.map((learner) => learner.reach(all)));
    await expectSameOrder(learners);
    for (const learner of learners) {
      for (const [i, name] of names.entries()) expectEach(learner, name, counts[i]!);
      expect(learner.list.length).toBe(all);
    }
  });
}

test("proposers are killed while clients submit: all is delivered once, in each client's order", async () => {
  await proposersKilled(COMMAND);
}, 120_000);

describeUnless(existsSync(KPAXOS) ? undefined : "dist/kpaxos is not there: npm run build", "compiled", () => {
  test("the same with the standalone executable", async () => {
    await proposersKilled([KPAXOS]);
  }, 120_000);
});

test("a line's bytes are its value, whatever they are", async () => {
  await withLearners({}, async (cluster, [learner]) => {
    const lines = ["caf\\351", "\\357\\273\\277bom", "\\303", "", "a\\r"];
    await finished(submit(cluster, `printf '${lines.join("\\n")}'`), 20_000);
    await learner!.reach(lines.length);
    expect(learner!.values).toEqual(["636166e9", "efbbbf626f6d", "c3", "", "610d"]);
  });
}, 60_000);

test("values in pieces, up to the largest, when the proposer in use is killed", async () => {
  await withLearners({}, async (cluster, learners) => {
    const count = 24;
    const words = ["--values", `${count}`, "--outstanding", "3", "--value-size", `65536-${MIB}`, "--json"];
    const client = cluster.client(0, [...words, "-p", "0"]);
    for (const [at, id] of [
      [4, 0],
      [12, 1],
    ] as const) {
      await learners[0]!.reach(at);
      expect(client.isRunning).toBe(true);
      await crash(cluster, id);
      await cluster.start("proposer", id).ready();
    }
    await finished(client, 60_000);
    expect(lastFigures(client.stdout)).toMatchObject({ values: count, duplicates: 0, uncertain: 0 });
    await Promise.all(learners.map((learner) => learner.reach(count)));
    await expectSameOrder(learners);
    const alphabet = Buffer.from("abcdefghijklmnopqrstuvwxyz").toString("hex");
    for (const value of learners[0]!.values) {
      expect(value.length / 2).toBeGreaterThanOrEqual(65536);
      expect(value.length / 2).toBeLessThanOrEqual(MIB);
      expect(value === alphabet.repeat(Math.ceil(value.length / 52)).slice(0, value.length)).toBe(true);
    }
    expect(new Set(learners[0]!.list.map(({ session }) => session)).size).toBe(1);
    expect(learners[0]!.list.length).toBe(count);
  });
}, 120_000);

test("a proposer without room refuses: that is counted and said, and nothing is lost", async () => {
  const settings = { "proposer-queue-bytes": "64KiB", "proposer-preexec-window": "2" };
  await withLearners({ settings }, async (cluster, learners) => {
    const values = 6_000;
    const load = ["--outstanding", "1000", "--value-size", "400-500", "--values", `${values}`];
    expect(await cluster.runClient(load, { host: 0 })).toMatchObject({ values, duplicates: 0, uncertain: 0 });
    await Promise.all(learners.map((learner) => learner.reach(values)));
    await expectSameOrder(learners);
    for (const { list } of learners) {
      expect(list.length).toBe(values);
      const [{ session }] = list as [(typeof list)[0]];
      // One session, and no sequence of it was ever passed over.
      list.forEach((one, i) => {
        if (one.session !== session || one.sequence !== i + 1)
          throw new Error(`at ${i}: ${JSON.stringify(one)}`);
      });
    }
    await until("a proposer says that it refuses", () =>
      [0, 1].some((id) =>
        cluster
          .member("proposer", id)
          .stderr.some((line) => /refused \d+ times .*proposer-queue-bytes/.test(line)),
      ),
    );
  });
}, 120_000);

test("a session that was forgotten: submit says what is uncertain, and exits 75", async () => {
  await withLearners({ settings: { "session-limit": "1" } }, async (cluster, learners) => {
    const go = join(cluster.directory, "go");
    const input = `echo first; ${before(go, ":")}; echo second; echo third`;
    const idle = submit(cluster, input, ["--confirm"]);
    await idle.waitForLine(/^1$/, 10_000, "stdout");
    // One that ends its session politely would leave its place.
    const enough = join(cluster.directory, "enough");
    const other = submit(cluster, `echo other; ${before(enough, ":")}`, ["--confirm"]);
    await other.waitForLine(/^1$/, 10_000, "stdout");
    writeFileSync(go, "");
    const ending = await idle.ending(30_000);
    expect(ending).toMatchObject({ exitCode: ExitCode.unknownOutcome, killed: false });
    const log = idle.stderr.join("\n");
    expect(log).toMatch(
      /[12] of 3 values may or may not be chosen: the cluster has forgotten this client's session/,
    );
    expect(log).toContain("session-limit");
    // Only the first is certain to be the first.
    expect(idle.stdout).toEqual(["1"]);
    writeFileSync(enough, "");
    await finished(other);
    await expectSameOrder(learners);
    const delivered = texts(learners[0]!);
    expect(delivered.slice(0, 2)).toEqual(["first", "other"]);
    expect(new Set(delivered).size).toBe(delivered.length);
  });
}, 60_000);

test("values that were sent and not confirmed in time: submit exits 75, or says so when a signal ends it, and they are delivered later", async () => {
  await withLearners({}, async (cluster, learners) => {
    const go = join(cluster.directory, "go");
    const input = (name: string): string =>
      `echo ${name} 1; ${before(go, ":")}; echo ${name} 2; echo ${name} 3`;
    const late = submit(cluster, input("late"), ["--confirm", "--timeout", "1"]);
    const ended = submit(cluster, input("ended"), ["--confirm"]);
    const both = [late, ended];
    for (const one of both) await one.waitForLine(/^1$/, 10_000, "stdout");
    const leader = await settled(cluster, [0, 1]);
    const lost = [1, 2].map((id) => cluster.member("acceptor", id));
    for (const one of lost) one.kill("SIGSTOP");
    writeFileSync(go, "");
    expect(await late.ending(20_000)).toMatchObject({ exitCode: ExitCode.unknownOutcome, killed: false });
    expect(late.stderr.join("\n")).toContain("value 2 is not confirmed: it was sent and may still be chosen");
    ended.kill("SIGTERM");
    expect(await ended.ending(10_000)).toMatchObject({ exitCode: null, signal: "SIGTERM", killed: false });
    expect(ended.stderr.join("\n")).toMatch(
      /ended by SIGTERM: 1 of 3 values are chosen; sent, and may still be chosen: 2$/m,
    );
    // The other proposer leads, with those that have no record of them: they come when who has them is back, and nobody sends anything.
    const knowing = [cluster.member("acceptor", 0), cluster.member("proposer", leader)];
    for (const one of knowing) one.kill("SIGSTOP");
    for (const one of lost) one.kill("SIGCONT");
    await until(
      "the other proposer leads",
      () => place(cluster.member("proposer", 1 - leader)) === "leading",
    );
    for (const one of knowing) one.kill("SIGCONT");
    for (const learner of learners) await learner.reach(6);
    for (const name of ["late", "ended"]) expectEach(learners[0]!, name, 3);
    await expectSameOrder(learners);
  });
}, 60_000);

test("a signal ends submit whatever its input does, and it says what became of the values", async () => {
  await withLearners({}, async (cluster) => {
    const go = join(cluster.directory, "go");
    const idle = submit(cluster, `exec 2>/dev/null; ${before(go, ":")}`);
    const endless = submit(cluster, "yes", ["--confirm"]);
    await idle.waitForLine(/ready on/, 10_000);
    await endless.waitForLine(/^\d+$/, 10_000, "stdout");
    const ends = async (one: LabProcess, signal: "SIGINT" | "SIGTERM", says: RegExp): Promise<void> => {
      one.kill(signal);
      expect(await one.ending(5_000)).toMatchObject({ exitCode: null, signal, killed: false });
      expect(one.stderr.join("\n")).toMatch(says);
    };
    await ends(idle, "SIGTERM", /ended by SIGTERM: no value was submitted$/m);
    await ends(endless, "SIGINT", /ended by SIGINT: \d+ of \d+ values are chosen; .*not sent: \d+$/m);
    const proposers = [0, 1].map((id) => cluster.member("proposer", id));
    for (const one of proposers) one.kill("SIGSTOP");
    const unsent = submit(cluster, "echo lost");
    await unsent.waitForLine(/ready on/, 10_000);
    await Bun.sleep(300);
    await ends(unsent, "SIGTERM", /ended by SIGTERM: 0 of 1 values are chosen; not sent: 1$/m);
    for (const one of proposers) one.kill("SIGCONT");
    writeFileSync(go, "");
  });
}, 60_000);

test("who reads confirmations may leave: the values are submitted all the same", async () => {
  await withLearners({}, async (cluster, learners) => {
    const words = [...COMMAND, "submit", "-", "--confirm", "--json", "-f", cluster.configPath];
    // The second half is written when the reader has gone.
    const script =
      '{ seq -f "a %.0f" 500; sleep 1; seq -f "a %.0f" 501 1000; } | { "$@"; echo "$?" > code; } | head -1';
    const shell = ["sh", "-c", script, "sh", ...words];
    const child = cluster.network.spawn(0, shell, { cwd: cluster.directory });
    const submitting = new LabProcess("submit", shell, child);
    cluster.processes.push(submitting);
    expect((await submitting.ending(30_000)).exitCode).toBe(0);
    expect(submitting.stdout).toHaveLength(1);
    await learners[0]!.reach(1000);
    expectEach(learners[0]!, "a", 1000);
    expect(readFileSync(join(cluster.directory, "code"), "utf8")).toBe("0\n");
  });
}, 60_000);
