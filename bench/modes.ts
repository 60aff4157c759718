/**
 * Receive modes side by side: the same cluster (3 acceptors, a proposer, a client with its learner, raw Ethernet between
 * network namespaces) run in turns with each mode's settings, as a Markdown table. Rounds of all modes are interleaved; a
 * figure is the median of its rounds.
 *
 *     bun bench/modes.ts [--mode 'NAME KEY=VALUE …']… [--windows 1,10,100,1000] [--size 64] [--seconds 3] [--rounds 3]
 *         [--warm-up 4] [--idle SECONDS] [--wire W] [--replicas] [--main PATH]
 *
 * A mode is its name and lines of `paxos.conf`, or environment variables (`KPAXOS_LIBRARY=…`); `main=PATH` measures another program: a checkout's src/main.ts or a built
 * `kpaxos`; `link=udp` has UDP between the namespaces. `cpus=a,b,…` gives each seat and then the client its own `cpu` setting; `beside=N` has N programs that only compute run
 * meanwhile. Without `--mode`: the built-in ones.
 *
 * Each cluster first carries the heaviest load for as long as each client warms up: its runtimes compile what they run.
 *
 * CPU per value is user + system time of all the cluster's processes, softirqs that ran on their backs included. Sleeps and
 * frames are of all processes, too. `--idle` prints what the roles use when nobody asks anything of them.
 */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { median } from "../src/bench/statistics.ts";
import { cpuOf, sentFrames, wakeUpsOf } from "../src/bench/usage.ts";
import { lastFigures } from "../src/ops/lab_figures.ts";
import type { LabProcess } from "../src/ops/lab_process.ts";
import type { Seat } from "../src/ops/seats.ts";
import { grouped } from "../src/text/grouped.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork, labUdpNetwork } from "../test/support/lab_network.ts";
import {
  commandOf,
  flags,
  MAIN_FLAG,
  printRow,
  script,
  usageError,
  whole,
  wholes,
  write,
} from "./support/script.ts";
import { ACCEPTORS, REPLICAS } from "./support/seats.ts";

const SETTLE_MS = 15_000;
const CLIENT_HOST = 4;

const ROLES: readonly Seat[] = [...ACCEPTORS, { role: "proposer", id: 0, host: 3 }];

/** Seats and client are five: with fewer processors two ways to share two of them, and all on one. */
const CPUS = availableParallelism() > CLIENT_HOST ? ["0,1,2,3,4"] : ["1,1,1,0,0", "1,1,1,1,0", "0,0,0,0,0"];
const BUILT_IN = [
  "ring",
  "recvmmsg receive-mode=recvmmsg",
  "busy-poll busy-poll=yes",
  ...CPUS.map((cpus) => `cpu:${cpus} cpus=${cpus}`),
  "realtime scheduling=realtime",
];
const COMPUTES = "for(;;);";

interface Mode {
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly cpus: readonly string[];
  readonly beside: number;
  /** UDP between the namespaces instead of raw Ethernet. */
  readonly udp: boolean;
}

interface Options {
  readonly modes: readonly Mode[];
  readonly windows: readonly number[];
  readonly size: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly warmUp: number;
  readonly idle: number;
  readonly wire: string;
  readonly replicas: boolean;
}

/** What a cluster has used so far. */
interface Usage {
  readonly userUs: number;
  readonly systemUs: number;
  readonly sleeps: number;
  readonly frames: number;
}

interface Figures {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly userUs: number;
  readonly systemUs: number;
  readonly sleeps: number;
  readonly frames: number;
}

function parseMode(text: string, usual: string): Mode {
  const [name, ...words] = text.trim().split(/\s+/);
  const pairs = words.map((word) => {
    const at = word.indexOf("=");
    if (at < 1)
      throw usageError(
        `--mode: ${JSON.stringify(word)} is no KEY=VALUE`,
        "for example --mode 'recvmmsg receive-mode=recvmmsg'",
      );
    return [word.slice(0, at), word.slice(at + 1)] as const;
  });
  const isVariable = (key: string): boolean => /^[A-Z_]+$/.test(key);
  const {
    main = usual,
    cpus,
    beside,
    link,
    ...settings
  }: Record<string, string> = Object.fromEntries(pairs.filter(([key]) => !isVariable(key)));
  if (link !== undefined && link !== "udp" && link !== "ethernet")
    throw usageError(`--mode: link=${link} is no link`, "ethernet or udp");
  const variables = Object.fromEntries(pairs.filter(([key]) => isVariable(key)));
  const own = {
    cpus: cpus?.split(",") ?? [],
    beside: beside === undefined ? 0 : whole("mode beside", beside),
    udp: link === "udp",
  };
  return { name: name!, settings, variables, command: commandOf(main), ...own };
}

function options(): Options {
  const chosen = flags({
    mode: { type: "string", multiple: true, default: BUILT_IN },
    windows: { type: "string", default: "1,10,100,1000" },
    size: { type: "string", default: "64" },
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    "warm-up": { type: "string", default: "4" },
    idle: { type: "string" },
    wire: { type: "string", default: "native" },
    replicas: { type: "boolean", default: false },
    ...MAIN_FLAG,
  });
  return {
    modes: chosen.mode.map((text) => parseMode(text, chosen.main)),
    windows: wholes("windows", chosen.windows),
    size: `${whole("size", chosen.size)}`,
    seconds: whole("seconds", chosen.seconds) + 1,
    rounds: whole("rounds", chosen.rounds),
    warmUp: whole("warm-up", chosen["warm-up"]),
    idle: chosen.idle === undefined ? 0 : whole("idle", chosen.idle),
    wire: chosen.wire,
    replicas: chosen.replicas,
  };
}

function sleepsOf(pid: number): number {
  let sleeps = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    sleeps += wakeUpsOf(pid, Number(thread));
  }
  return sleeps;
}

function usage(processes: readonly LabProcess[]): Usage {
  const sum = { userUs: 0, systemUs: 0, sleeps: 0, frames: 0 };
  for (const { pid } of processes) {
    const used = cpuOf(pid);
    if (used === undefined) throw new Error(`process ${pid} has ended`);
    sum.userUs += used.user * 1e6;
    sum.systemUs += used.system * 1e6;
    sum.sleeps += sleepsOf(pid);
    // Each process has a network namespace to itself.
    sum.frames += sentFrames(readFileSync(`/proc/${pid}/net/dev`, "utf8"), false);
  }
  return sum;
}

function clusterOf(lab: Lab, mode: Mode, { wire, replicas }: Options): LabCluster {
  const seats = (replicas ? REPLICAS : ROLES).map((seat, i) => {
    const cpu = mode.cpus[i];
    return cpu === undefined ? seat : { ...seat, args: ["--cpu", cpu] };
  });
  const network = mode.udp ? labUdpNetwork(lab) : ethernetNetwork(lab);
  return new LabCluster({
    network: {
      ...network,
      // The network outlives the cluster.
      close: () => undefined,
      spawn: (host, argv, options) => lab.spawn(host, argv, { ...options, env: mode.variables }),
    },
    seats,
    settings: { wire, verbosity: "info", ...mode.settings },
    command: mode.command,
  });
}

/** A client of this cluster that keeps so many values under way. */
function load(cluster: LabCluster, mode: Mode, window: number, size: string, times: readonly string[]) {
  const cpu = mode.cpus[cluster.seats.length];
  const what = ["--outstanding", `${window}`, "--value-size", size, ...times, "--json", "--cantrim"];
  return cluster.client(CLIENT_HOST, cpu === undefined ? what : [...what, "--cpu", cpu]);
}

async function warm(cluster: LabCluster, mode: Mode, { windows, size, warmUp }: Options): Promise<void> {
  const client = load(cluster, mode, Math.max(...windows), size, ["--seconds", `${warmUp}`]);
  const { exitCode } = await client.ending(warmUp * 1000 + SETTLE_MS);
  if (exitCode !== 0) throw new Error(`the client failed:\n${client.tail()}`);
}

/** Counted is the time between the client's first line and its last but one. */
async function measure(cluster: LabCluster, mode: Mode, window: number, run: Options): Promise<Figures> {
  const { size, seconds, warmUp } = run;
  const times = ["--warm-up", `${warmUp}`, "--seconds", `${seconds}.3`];
  const client = load(cluster, mode, window, size, times);
  const processes = cluster.processes.filter((one) => one.isRunning);
  const at = async (second: number): Promise<Usage> => {
    const withinMs = (warmUp + seconds) * 1000 + SETTLE_MS;
    await client.waitForLine(new RegExp(`"second":${second},`), withinMs, "stdout");
    return usage(processes);
  };
  const before = await at(1);
  const after = await at(seconds);
  const ending = await client.ending(SETTLE_MS);
  if (ending.exitCode !== 0) throw new Error(`the client failed:\n${client.tail()}`);
  let values = 0;
  for (const line of client.stdout) {
    const parsed = JSON.parse(line) as { second?: number; values: number };
    if (parsed.second !== undefined && parsed.second > 1) values += parsed.values;
  }
  const { latencyUs } = lastFigures(client.stdout);
  return {
    rate: values / (seconds - 1),
    p50: latencyUs.p50,
    p99: latencyUs.p99,
    userUs: (after.userUs - before.userUs) / values,
    systemUs: (after.systemUs - before.systemUs) / values,
    sleeps: (after.sleeps - before.sleeps) / values,
    frames: (after.frames - before.frames) / values,
  };
}

async function measureIdle(cluster: LabCluster, seconds: number): Promise<Figures> {
  const processes = cluster.processes.filter((one) => one.isRunning);
  await Bun.sleep(2000);
  const before = usage(processes);
  await Bun.sleep(seconds * 1000);
  const after = usage(processes);
  const each = seconds * processes.length;
  return {
    ...{ rate: 0, p50: 0, p99: 0 },
    userUs: (after.userUs - before.userUs) / each,
    systemUs: (after.systemUs - before.systemUs) / each,
    sleeps: (after.sleeps - before.sleeps) / each,
    frames: (after.frames - before.frames) / each,
  };
}

const medianOf = (runs: readonly Figures[], what: keyof Figures): number =>
  median(runs.map((run) => run[what]));

function printTable(run: Options, found: ReadonlyMap<string, Figures[]>): void {
  const heads = ["CPU µs/value", "user", "system", "sleeps/value", "frames/value"];
  write(
    `network namespaces on a bridge, wire ${run.wire}, ${run.replicas ? "replicas, " : ""}${run.size} B values:\n\n`,
  );
  printRow(["window", "mode", "values/s", "p50 µs", "p99 µs", ...heads]);
  printRow(["---:", "---", ...Array.from({ length: 8 }, () => "---:")]);
  for (const window of run.windows) {
    for (const { name } of run.modes) {
      const runs = found.get(`${window} ${name}`)!;
      const per = (what: keyof Figures): string => medianOf(runs, what).toFixed(window < 100 ? 2 : 3);
      const cpu = runs.map((one) => ({ ...one, userUs: one.userUs + one.systemUs }));
      printRow([
        ...[`${window}`, name, grouped(medianOf(runs, "rate"))],
        ...[grouped(medianOf(runs, "p50")), grouped(medianOf(runs, "p99"))],
        medianOf(cpu, "userUs").toFixed(window < 100 ? 2 : 3),
        ...[per("userUs"), per("systemUs"), per("sleeps"), per("frames")],
      ]);
    }
  }
  if (run.idle === 0) return;
  write("\nidle, of one role:\n\n");
  printRow(["mode", "% of a core", "sleeps/s", "frames/s"]);
  printRow(["---", "---:", "---:", "---:"]);
  for (const { name } of run.modes) {
    const runs = found.get(`idle ${name}`)!;
    const percent = (medianOf(runs, "userUs") + medianOf(runs, "systemUs")) / 10_000;
    printRow([
      name,
      percent.toFixed(2),
      grouped(medianOf(runs, "sleeps")),
      grouped(medianOf(runs, "frames")),
    ]);
  }
}

async function main(): Promise<void> {
  const run = options();
  const found = new Map<string, Figures[]>();
  const note = (key: string, figures: Figures): void => {
    const runs = found.get(key);
    if (runs === undefined) found.set(key, [figures]);
    else runs.push(figures);
  };
  const lab = Lab.create({ hosts: CLIENT_HOST + 1, ip: true });
  try {
    for (let round = 0; round < run.rounds; round++) {
      for (const mode of run.modes) {
        const cluster = clusterOf(lab, mode, run);
        const beside = Array.from({ length: mode.beside }, () =>
          Bun.spawn([process.execPath, "-e", COMPUTES]),
        );
        try {
          await cluster.startAll();
          await warm(cluster, mode, run);
          for (const window of run.windows)
            note(`${window} ${mode.name}`, await measure(cluster, mode, window, run));
          if (run.idle > 0) note(`idle ${mode.name}`, await measureIdle(cluster, run.idle));
          await cluster.stopAll();
        } finally {
          for (const program of beside) program.kill();
          cluster.close();
        }
        process.stderr.write(`round ${round + 1} of ${run.rounds}: ${mode.name}\n`);
      }
    }
  } finally {
    lab.close();
  }
  printTable(run, found);
}

await script(main);
