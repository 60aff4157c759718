/**
 * Where the processor time of a cluster under load goes, by role: perf samples every process, and each sample is put down to
 * what it was doing. 3 acceptors, a proposer and a client with its learner (or 3 replicas and a client), raw Ethernet between
 * network namespaces. It begins once compiling takes next to nothing. The program measured is dist/kpaxos where it is built, else src/main.ts.
 *
 *     bun bench/where.ts [--window 1000] [--size 64] [--wire W] [--replicas] [--seconds 4]
 *         [--warm-up 60] [--main PATH] [--top N]
 *
 * Softirqs that deliver a frame to its receiver run on the back of whoever sends it, and count as its `send`. `Bun` is its
 * runtime in the main thread, the interpreter included; other threads compile and collect garbage. `--top` lists the functions
 * with the most samples in each role, as far as they have names.
 */
import { join } from "node:path";
import { orStopped, pause } from "../src/bench/stopping.ts";
import { cpuOf } from "../src/bench/usage.ts";
import { stoppable } from "../src/cli/stoppable.ts";
import { diesWithUs } from "../src/ops/child.ts";
import { lastFigures } from "../src/ops/lab_figures.ts";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";
import { commandOf, flags, MAIN_FLAG, number, printRow, script, whole, write } from "./support/script.ts";
import { ACCEPTORS, REPLICAS } from "./support/seats.ts";

const CLIENT_HOST = 4;
const LOOK_MS = 2000;
const COMPILING_SHARE = 0.04;
const ROLES: readonly Seat[] = [...ACCEPTORS, { role: "proposer", id: 0, host: 3 }];

/** The first that matches a frame of the stack, innermost first, tells what a sample was for. */
const KINDS = [
  ["send", /sys_send/],
  ["receive", /sys_recv/],
  ["sleep", /sys_p?poll|sys_ppoll|schedule|do_idle/],
  ["event loop", /sys_epoll|sys_read|sys_write|sys_futex/],
] as const;
const OTHERS = ["other kernel", "JavaScript", "Bun", "other threads", "libc", "libkpaxos"] as const;

interface Sample {
  readonly pid: number;
  readonly kind: string;
  readonly symbol: string;
}

function kindOf(dso: string, stack: string): string {
  if (dso.includes("[kernel") || dso.includes("kallsyms")) {
    for (const [kind, pattern] of KINDS) if (pattern.test(stack)) return kind;
    return "other kernel";
  }
  if (/libkpaxos/.test(dso)) return "libkpaxos";
  if (/\/kpaxos\b|\/bun\b/.test(dso)) return "Bun";
  if (/libc|libm|vdso|ld-linux/.test(dso)) return "libc";
  return "JavaScript";
}

/** One sample of `perf script`: a line that says whose, then its stack, innermost first. */
function parse(text: string): Sample[] {
  return text.split("\n\n").flatMap((block) => {
    const [head, ...frames] = block.trim().split("\n");
    const ids = /\s(\d+)\/(\d+)\s/.exec(` ${head} `);
    const pid = Number(ids?.[1]);
    const inner = /^\s*[0-9a-f]+ (.*?)(?:\+0x[0-9a-f]+)? \((.*)\)$/.exec(frames[0] ?? "");
    if (!Number.isInteger(pid) || inner === null) return [];
    // Compilers and collectors.
    const isOther = ids![2] !== ids![1];
    const kind = isOther ? "other threads" : kindOf(inner[2]!, frames.join("\n"));
    return [{ pid, kind, symbol: inner[1]! }];
  });
}

/** Seconds of processor time: of all threads that there ever were, and of the main one. */
function times(pid: number): { all: number; main: number } {
  const of = (thread?: number): number => {
    const used = cpuOf(pid, thread);
    if (used === undefined) throw new Error(`process ${pid} has ended`);
    return used.user + used.system;
  };
  return { all: of(), main: of(pid) };
}

/** Waits until compiling takes next to nothing, which a long run does not spend its time on; at most `seconds`. */
async function settle(pids: readonly number[], seconds: number, stop: AbortSignal): Promise<void> {
  const sum = (): { all: number; main: number } =>
    pids.map(times).reduce((a, b) => ({ all: a.all + b.all, main: a.main + b.main }));
  let before = sum();
  for (let second = 0; second < seconds; second += LOOK_MS / 1000) {
    await pause(LOOK_MS, stop);
    const now = sum();
    const all = now.all - before.all;
    if (second > 0 && all - (now.main - before.main) < COMPILING_SHARE * all) return;
    before = now;
  }
}

/** What it prints; a stop ends it, and has its say once it is gone. */
async function textOf(argv: readonly string[], stop: AbortSignal): Promise<string> {
  stop.throwIfAborted();
  const child = Bun.spawn(diesWithUs(argv), { stdout: "pipe", stderr: "pipe", signal: stop });
  const [text, error, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  stop.throwIfAborted();
  if (code !== 0) throw new Error(`${argv.slice(0, 2).join(" ")}: ${error.trim()}`);
  return text;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "–" : ((100 * part) / whole).toFixed(1);
}

function table(samples: readonly Sample[], names: ReadonlyMap<number, string>): void {
  const kinds = [...KINDS.map(([kind]) => kind), ...OTHERS];
  printRow(["% of its samples", "share of all", ...kinds]);
  printRow(["---", ...["", ...kinds].map(() => "---:")]);
  const rowOf = (name: string, own: readonly Sample[]): void => {
    const counts = kinds.map((kind) => own.filter((one) => one.kind === kind).length);
    printRow([
      name,
      percent(own.length, samples.length),
      ...counts.map((count) => percent(count, own.length)),
    ]);
  };
  for (const [pid, name] of names)
    rowOf(
      name,
      samples.filter((one) => one.pid === pid),
    );
  rowOf("all", samples);
}

function top(samples: readonly Sample[], names: ReadonlyMap<number, string>, count: number): void {
  for (const [pid, name] of names) {
    const own = samples.filter((one) => one.pid === pid);
    const bySymbol = new Map<string, number>();
    for (const { kind, symbol } of own) {
      const what = kind === "JavaScript" && symbol === "[unknown]" ? "(compiled JavaScript)" : symbol;
      const key = `${what} (${kind})`;
      bySymbol.set(key, (bySymbol.get(key) ?? 0) + 1);
    }
    write(`\n${name}:\n`);
    const sorted = [...bySymbol].sort((a, b) => b[1] - a[1]).slice(0, count);
    for (const [symbol, n] of sorted) write(`  ${percent(n, own.length).padStart(5)} %  ${symbol}\n`);
  }
}

interface Run {
  readonly wire: string;
  readonly replicas: boolean;
  readonly window: number;
  readonly size: number;
  readonly seconds: number;
  readonly warmUp: number;
  /** How many functions are listed. */
  readonly most: number;
}

async function measure(cluster: LabCluster, run: Run, stop: AbortSignal): Promise<void> {
  await orStopped(cluster.startAll(), stop);
  const words = ["--outstanding", `${run.window}`, "--value-size", `${run.size}`, "--cantrim", "--json"];
  const client = cluster.client(CLIENT_HOST, words);
  await settle(
    cluster.processes.map(({ pid }) => pid),
    run.warmUp,
    stop,
  );
  const names = new Map(cluster.processes.map(({ pid, name }) => [pid, name]));
  const data = join(cluster.directory, "perf.data");
  const whose = ["-p", [...names.keys()].join(",")];
  const record = ["perf", "record", "-q", "-F", "1999", "-g", "-o", data];
  await textOf([...record, ...whose, "--", "sleep", `${run.seconds}`], stop);
  await client.stop();
  const { valuesPerSecond } = lastFigures(client.stdout);
  const fields = "comm,pid,tid,time,ip,sym,dso";
  const samples = parse(await textOf(["perf", "script", "-i", data, "-F", fields], stop));
  write(
    `${run.replicas ? "replicas" : "roles"}, wire ${run.wire}, ${run.size} B, window ${run.window}: ` +
      `${Math.round(valuesPerSecond)} values/s, ${samples.length} samples\n\n`,
  );
  table(samples, names);
  if (run.most > 0) top(samples, names, run.most);
  await cluster.stopAll();
}

async function main(): Promise<void> {
  const chosen = flags({
    window: { type: "string", default: "1000" },
    size: { type: "string", default: "64" },
    wire: { type: "string", default: "native" },
    replicas: { type: "boolean", default: false },
    seconds: { type: "string", default: "4" },
    "warm-up": { type: "string", default: "60" },
    top: { type: "string", default: "0" },
    ...MAIN_FLAG,
  });
  const command = commandOf(chosen.main);
  const { wire, replicas } = chosen;
  const run: Run = {
    wire,
    replicas,
    window: whole("window", chosen.window),
    size: whole("size", chosen.size),
    seconds: number("seconds", chosen.seconds),
    warmUp: whole("warm-up", chosen["warm-up"], 0),
    most: whole("top", chosen.top, 0),
  };
  if (Bun.which("perf") === null) throw new Error("the program perf is missing");
  await stoppable(async (stop) => {
    const cluster = new LabCluster({
      network: ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1, handleSignals: false })),
      seats: replicas ? REPLICAS : ROLES,
      settings: { wire, verbosity: "info" },
      command,
    });
    try {
      await measure(cluster, run, stop);
    } finally {
      cluster.close();
    }
  });
}

await script(main);
