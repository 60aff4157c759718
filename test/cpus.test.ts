/**
 * The settings `cpu` and `scheduling`: how a list of processors is read, where the turns of a process then run, and at which
 * priority.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEFAULT_SETTINGS } from "../src/config/schema.ts";
import { Policy, schedulingPolicy } from "../src/native/cpus.ts";
import { parseCpus } from "../src/node/cpus.ts";
import { schedule } from "../src/node/scheduling.ts";
import { freePorts } from "../src/ops/free_ports.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { describeUnless } from "./support/skip.ts";

const MAIN = join(import.meta.dir, "../src/main.ts");
const LOOPBACK = "127.0.0.1";
const INFO = ["--verbosity", "info"];
/** What tests are run behind does not hold for it. */
const AHEAD = ["nice", "-n", "-20"];

function realtimeTrouble(): string | undefined {
  const missing = ["chrt", "setpriv"].find((name) => Bun.which(name) === null);
  if (missing !== undefined) return `the program ${missing} is missing`;
  const { exitCode } = Bun.spawnSync(["chrt", "-r", "1", "true"]);
  return exitCode === 0 ? undefined : "real-time priority needs CAP_SYS_NICE";
}

test.each([
  ["0", [0]],
  ["2-4", [2, 3, 4]],
  ["0,2-3", [0, 2, 3]],
  ["3,1-3", [3, 1, 2]],
  ["1023", [1023]],
])("%s", (text, cpus) => expect(parseCpus(text)).toEqual(cpus));

test.each(["", "-1", "1-", "3-2", "1024", "0-1024", "a", "0,,1", "0 1", "12345"])("%p is no list", (text) =>
  expect(parseCpus(text)).toBeUndefined(),
);

describe("a process", () => {
  let directory = "";
  let config = "";

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "kpaxos-cpus-"));
    config = join(directory, "paxos.conf");
    const [first, second] = await freePorts(2, LOOPBACK);
    writeFileSync(config, `acceptor 0 ${LOOPBACK} ${first}\nproposer 0 ${LOOPBACK} ${second}\n`);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  function start(words: readonly string[], wrapper: readonly string[] = []) {
    return Bun.spawn(
      [...wrapper, process.execPath, MAIN, "run", "acceptor", "-f", config, "--id", "0", ...words],
      {
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
      },
    );
  }

  /** What the kernel says of the thread that runs the turns, and what the process said, once it is ready. */
  async function whileReady<T>(child: ReturnType<typeof start>, look: (thread: string, said: string) => T) {
    try {
      let said = "";
      for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) {
        said += chunk;
        if (said.includes("ready")) break;
      }
      return look(`/proc/${child.pid}/task/${child.pid}`, said);
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
  }

  const allowed = (status: string): string | undefined => /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];
  const allowedOf = (thread: string) => allowed(readFileSync(`${thread}/status`, "utf8"));
  const policyOf = (thread: string) => {
    const text = readFileSync(`${thread}/stat`, "utf8");
    // Field 41 of proc(5); the second one may have spaces.
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[38]);
  };

  test("runs where it is told to", async () => {
    const cpu = allowed(readFileSync("/proc/self/status", "utf8"))!.match(/\d+$/)![0];
    expect(await whileReady(start(["--cpu", cpu, ...INFO]), allowedOf)).toBe(cpu);
  });

  describeUnless(realtimeTrouble(), "scheduling", () => {
    test("normal leaves it as it was started", async () => {
      const child = start(["--scheduling", "normal", ...INFO], ["chrt", "-b", "0"]);
      expect(await whileReady(child, policyOf)).toBe(Policy.batch);
    });

    test("auto is real-time", async () => {
      const child = start(INFO, AHEAD);
      const [policy, said] = await whileReady(child, (thread, text) => [policyOf(thread), text]);
      expect(policy).toBe(Policy.roundRobin);
      expect(said).toContain("turns run at real-time priority");
    });

    test.each([
      ["behind others", ["chrt", "-o", "0", "nice", "-n", "19"], Policy.other],
      ["as a batch", ["chrt", "-b", "0"], Policy.batch],
      ["first in, first out", ["chrt", "-f", "3"], Policy.fifo],
    ])("auto leaves what was started %s", async (_, wrapper, policy) => {
      expect(await whileReady(start(INFO, wrapper), policyOf)).toBe(policy);
    });

    test("the last of a thread's processes gives it back", () => {
      const settings = { ...DEFAULT_SETTINGS, scheduling: "realtime" as const };
      const [endFirst, endLast] = [0, 1].map(() => schedule(settings, false, collectingLog().log));
      expect(schedulingPolicy()).toBe(Policy.roundRobin);
      endFirst!();
      expect(schedulingPolicy()).toBe(Policy.roundRobin);
      endLast!();
      expect(schedulingPolicy()).toBe(Policy.other);
    });

    test("auto leaves who spins at ordinary priority", async () => {
      expect(await whileReady(start(["--busy-poll", ...INFO], AHEAD), policyOf)).toBe(Policy.other);
    });

    test("where it may not: auto says so and runs, realtime refuses", async () => {
      const without = ["setpriv", "--bounding-set", "-sys_nice"];
      const said = await whileReady(start(INFO, [...AHEAD, ...without]), (_, text) => text);
      expect(said).toContain("turns run at ordinary priority: real-time needs CAP_SYS_NICE");
      const child = start(["--scheduling", "realtime"], without);
      const [code, error] = await Promise.all([child.exited, child.stderr.text()]);
      expect(code).toBe(77);
      expect(error).toMatch(/^error: scheduling realtime: this process may not\nhint: .*CAP_SYS_NICE/m);
    });
  });

  test("says which processors there are", async () => {
    const child = start(["--cpu", "0-1023"]);
    const [code, said] = await Promise.all([child.exited, child.stderr.text()]);
    expect(code).toBe(78);
    expect(said).toMatch(/^error: cpu 0-1023: this process cannot run there\nhint: it may use \d\S*;/m);
  });
});
