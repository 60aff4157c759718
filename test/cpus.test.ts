/**
 * The settings `cpu`, `scheduling` and `keep-awake`: how a list of processors is read, where the turns of a process then run, at which
 * priority, and whether idle processors halt meanwhile.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Policy } from "../src/native/cpus.ts";
import { allowedCpus, parseCpus } from "../src/node/cpus.ts";
import { freePorts } from "../src/ops/free_ports.ts";
import { describeUnless } from "./support/skip.ts";

const MAIN = join(import.meta.dir, "../src/main.ts");
const LOOPBACK = "127.0.0.1";
const LATENCY = "/dev/cpu_dma_latency";
const INFO = ["--verbosity", "info"];
/** Two become real-time and end, one after the other. */
const HOLDERS = `
  import { schedulingPolicy } from ${JSON.stringify(join(import.meta.dir, "../src/native/cpus.ts"))};
  import { schedule } from ${JSON.stringify(join(import.meta.dir, "../src/node/scheduling.ts"))};
  const ends = [1, 2].map(() => schedule({ scheduling: "realtime", busyPoll: false }));
  console.log(JSON.stringify([schedulingPolicy(), ...ends.map((end) => (end.restore(), schedulingPolicy()))]));
`;
/** Two are patient; then they end, one after the other. */
const PATIENT = `
  import { schedulingPolicy } from ${JSON.stringify(join(import.meta.dir, "../src/native/cpus.ts"))};
  import { schedule } from ${JSON.stringify(join(import.meta.dir, "../src/node/scheduling.ts"))};
  const both = [1, 2].map(() => schedule({ scheduling: "auto", busyPoll: false }));
  // The pause before the first try is over at the second look.
  for (const us of [0, 4e6]) both[0].patience?.look(us);
  const policies = [schedulingPolicy()];
  for (const one of both) {
    one.restore();
    policies.push(schedulingPolicy());
  }
  console.log(JSON.stringify(policies));
`;
/** One in a Worker becomes real-time and ends, while the main thread says what it has before and after. */
const IN_WORKER = `
  import { schedulingPolicy } from ${JSON.stringify(join(import.meta.dir, "../src/native/cpus.ts"))};
  import { schedule } from ${JSON.stringify(join(import.meta.dir, "../src/node/scheduling.ts"))};
  if (Bun.isMainThread) {
    const policies = [schedulingPolicy()];
    const worker = new Worker(import.meta.path);
    worker.onmessage = () => {
      console.log(JSON.stringify([...policies, schedulingPolicy()]));
      process.exit();
    };
  } else {
    schedule({ scheduling: "realtime", busyPoll: false }).restore();
    postMessage("ended");
  }
`;
const SCHED_IDLE = 5;
const REALTIME = ["--scheduling", "realtime"];

function latencyTrouble(): string | undefined {
  if (process.getuid?.() !== 0) return "idle processors are kept awake by root only";
  return existsSync(LATENCY) ? undefined : `there is no ${LATENCY}`;
}
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
    chmodSync(directory, 0o755);
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

  const allowedOf = (thread: string) => allowedCpus(readFileSync(`${thread}/status`, "utf8"));
  /** Field 41 of proc(5); the second one may have spaces. */
  const policyOf = (thread: string): number => {
    const text = readFileSync(join(thread, "stat"), "utf8");
    return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[38]);
  };
  /** Which there are among the threads of its process. */
  const policiesOf = (thread: string) => {
    const threads = join(thread, "..");
    return [...new Set(readdirSync(threads).map((id) => policyOf(join(threads, id))))];
  };

  test("runs where it is told to", async () => {
    const cpu = allowedOf("/proc/self")!.match(/\d+$/)![0];
    expect(await whileReady(start(["--cpu", cpu, ...INFO]), allowedOf)).toBe(cpu);
  });

  describeUnless(realtimeTrouble(), "scheduling", () => {
    test("normal leaves it as it was started", async () => {
      const child = start(["--scheduling", "normal", ...INFO], ["chrt", "-b", "0"]);
      expect(await whileReady(child, policiesOf)).toEqual([Policy.batch]);
    });

    /** Waits until the thread of the turns has it. */
    async function comesTo({ pid }: { readonly pid: number }, policy: number): Promise<void> {
      while (policyOf(`/proc/${pid}/task/${pid}`) !== policy) await Bun.sleep(5);
    }

    test("auto: patient, but not beside a program that does not sleep", async () => {
      const cpu = allowedOf("/proc/self")!.match(/\d+$/)![0];
      const child = start(["--scheduling", "auto", "--cpu", cpu]);
      const beside: ReturnType<typeof Bun.spawn>[] = [];
      try {
        await comesTo(child, Policy.batch);
        // Two, each in a group of its own, so that a wait is long also where slices of time are short.
        for (const _ of [1, 2]) {
          beside.push(Bun.spawn(["setsid", "taskset", "-c", cpu, "sh", "-c", "while :; do :; done"]));
        }
        await comesTo(child, Policy.other);
        for (const one of beside) one.kill("SIGKILL");
        await comesTo(child, Policy.batch);
      } finally {
        for (const one of [child, ...beside]) {
          one.kill("SIGKILL");
          await one.exited;
        }
      }
    }, 60_000);

    test("auto ends with the last of several in one process, and leaves another policy", () => {
      const policies = (wrapper: string[]): unknown =>
        JSON.parse(Bun.spawnSync(["chrt", ...wrapper, process.execPath, "-e", PATIENT]).stdout.toString());
      expect(policies(["-o", "0"])).toEqual([Policy.batch, Policy.batch, Policy.other]);
      expect(policies(["-i", "0"])).toEqual([SCHED_IDLE, SCHED_IDLE, SCHED_IDLE]);
      // An idle process gets what others leave.
    }, 120_000);

    test("realtime: all threads", async () => {
      const child = start([...REALTIME, ...INFO]);
      expect(await whileReady(child, policiesOf)).toEqual([Policy.roundRobin]);
    });

    test("realtime leaves another real-time priority", async () => {
      const child = start([...REALTIME, ...INFO], ["chrt", "-f", "3"]);
      expect(await whileReady(child, policiesOf)).toEqual([Policy.fifo]);
    });

    test("of several in one process the last to end gives it back", () => {
      const told = Bun.spawnSync(["chrt", "-o", "0", process.execPath, "-e", HOLDERS]);
      const { roundRobin, other } = Policy;
      expect(JSON.parse(told.stdout.toString())).toEqual([roundRobin, roundRobin, other]);
    });

    test("a Worker that ends leaves it to the others of its process", () => {
      const directory = mkdtempSync(join(tmpdir(), "kpaxos-cpus-"));
      try {
        const script = join(directory, "in_worker.ts");
        writeFileSync(script, IN_WORKER);
        const told = Bun.spawnSync(["chrt", "-o", "0", process.execPath, script]);
        expect(JSON.parse(told.stdout.toString())).toEqual([Policy.other, Policy.roundRobin]);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    });

    test("realtime where it may not", async () => {
      const child = start(REALTIME, ["setpriv", "--bounding-set", "-sys_nice"]);
      const [code, error] = await Promise.all([child.exited, child.stderr.text()]);
      expect(code).toBe(77);
      expect(error).toMatch(/^error: scheduling realtime: this process may not\nhint: .*CAP_SYS_NICE/m);
    });
  });

  describeUnless(latencyTrouble(), "keep-awake", () => {
    const isHeld = (thread: string) =>
      readdirSync(join(thread, "fd")).some((fd) => {
        try {
          return readlinkSync(join(thread, "fd", fd)) === LATENCY;
        } catch {
          // Closed meanwhile.
          return false;
        }
      });

    test.each([
      ["yes holds the device", ["--keep-awake"], true],
      ["no does not", [], false],
    ])("%s", async (_, words, held) => {
      expect(await whileReady(start([...words, ...INFO]), isHeld)).toBe(held);
    });

    test("where it may not", async () => {
      const child = start(
        ["--keep-awake"],
        ["setpriv", "--bounding-set", "-dac_override", "--reuid", "65534"],
      );
      const [code, error] = await Promise.all([child.exited, child.stderr.text()]);
      expect(code).toBe(77);
      expect(error).toMatch(
        /^error: keep-awake: \/dev\/cpu_dma_latency cannot be written \(EACCES\)\nhint: /m,
      );
    });
  });

  test("says which processors there are", async () => {
    const child = start(["--cpu", "0-1023"]);
    const [code, said] = await Promise.all([child.exited, child.stderr.text()]);
    expect(code).toBe(78);
    expect(said).toMatch(/^error: cpu 0-1023: this process cannot run there\nhint: it may use \d\S*;/m);
  });
});
