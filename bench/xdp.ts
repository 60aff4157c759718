/**
 * AF_XDP beside AF_PACKET on veth (bench/xdp/xdp.c): a flood of frames, and one frame to and fro, between two network namespaces
 * on a bridge. Frames are sent through a packet socket in all modes; what differs is the end that listens. As Markdown tables.
 *
 *     bun bench/xdp.ts [--sizes 100,1500] [--seconds 1] [--rounds 5]
 *
 * Rounds of all modes are interleaved; a figure is the median of its rounds. CPU is that of both processes for a frame that
 * arrived, since a frame's way through veth and bridge runs in its sender; the listener's share is given beside it.
 */
import { join } from "node:path";
import { median } from "../src/bench/statistics.ts";
import { hear, orStopped } from "../src/bench/stopping.ts";
import { HOST_INTERFACE, hostMac } from "../src/ops/lab_names.ts";
import { LabProcess } from "../src/ops/lab_process.ts";
import { grouped } from "../src/text/grouped.ts";
import { Lab } from "../test/support/lab.ts";
import { flags, inOwnDirectory, number, printRow, script, whole, wholes } from "./support/script.ts";

const SOURCE = join(import.meta.dir, "xdp/xdp.c");
const MODES = ["packet", "generic", "native"] as const;
const LOADS = ["flood", "ping"] as const;
const SETTLE_MS = 10_000;

interface Report {
  readonly sent: number;
  readonly received: number;
  readonly cpuUs: number;
  readonly seconds: number;
  readonly p50: number;
}

interface Figures {
  readonly perSecond: number;
  readonly lostShare: number;
  readonly cpuUs: number;
  readonly listenerUs: number;
  readonly p50: number;
}

type Load = (typeof LOADS)[number];

async function measure(lab: Lab, program: string, mode: string, load: Load, end: string[]): Promise<Figures> {
  const start = (host: number, words: readonly string[]): LabProcess => {
    const argv = [program, ...words];
    return new LabProcess(`${mode} ${words[0]}`, argv, lab.spawn(host, argv));
  };
  const reportOf = async (one: LabProcess): Promise<Report> => {
    const ending = await one.ending(SETTLE_MS);
    if (ending.exitCode !== 0) throw new Error(`${one.name} failed:\n${one.tail()}`);
    return JSON.parse(one.stdout.join("")) as Report;
  };
  const listener = start(0, ["listen", HOST_INTERFACE, mode]);
  try {
    await listener.ready(SETTLE_MS);
    const there = await reportOf(start(1, [load, HOST_INTERFACE, hostMac(0), ...end]));
    listener.kill("SIGTERM");
    const here = await reportOf(listener);
    return {
      perSecond: here.received / there.seconds,
      lostShare: 1 - here.received / there.sent,
      cpuUs: (here.cpuUs + there.cpuUs) / here.received,
      listenerUs: here.cpuUs / here.received,
      p50: there.p50,
    };
  } finally {
    listener.kill("SIGKILL");
    await listener.exited;
  }
}

const medianOf = (runs: readonly Figures[], what: keyof Figures): number =>
  median(runs.map((run) => run[what]));

function print(found: ReadonlyMap<string, readonly Figures[]>): void {
  printRow([
    "load",
    "bytes",
    "receiver",
    "frames/s",
    "lost %",
    "CPU µs/frame",
    "receiver's",
    "round trip µs",
  ]);
  printRow(["---", "---:", "---", "---:", "---:", "---:", "---:", "---:"]);
  for (const [name, runs] of found) {
    const [load, size, mode] = name.split(" ") as [Load, string, string];
    printRow([
      ...[load, size, mode, grouped(medianOf(runs, "perSecond"))],
      (100 * medianOf(runs, "lostShare")).toFixed(1),
      ...[medianOf(runs, "cpuUs").toFixed(2), medianOf(runs, "listenerUs").toFixed(2)],
      load === "ping" ? medianOf(runs, "p50").toFixed(1) : "",
    ]);
  }
}

function compile(directory: string): string {
  const program = join(directory, "xdp");
  const words = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-o", program, SOURCE];
  const compiled = Bun.spawnSync([process.env.CC ?? "cc", ...words], { stderr: "pipe" });
  if (compiled.exitCode !== 0) throw new Error(`xdp.c does not compile:\n${compiled.stderr.toString()}`);
  return program;
}

interface Run {
  readonly sizes: readonly number[];
  readonly seconds: number;
  readonly rounds: number;
}

async function measureAll(lab: Lab, program: string, run: Run): Promise<Map<string, Figures[]>> {
  const found = new Map<string, Figures[]>();
  for (let round = 0; round < run.rounds; round++) {
    for (const load of LOADS) {
      for (const size of run.sizes) {
        for (const mode of MODES) {
          const name = `${load} ${size} ${mode}`;
          const figures = await measure(lab, program, mode, load, [`${size}`, `${run.seconds}`]);
          found.set(name, [...(found.get(name) ?? []), figures]);
        }
      }
    }
  }
  return found;
}

async function main(): Promise<void> {
  const chosen = flags({
    sizes: { type: "string", default: "100,1500" },
    seconds: { type: "string", default: "1" },
    rounds: { type: "string", default: "5" },
  });
  const run = {
    sizes: wholes("sizes", chosen.sizes),
    seconds: number("seconds", chosen.seconds),
    rounds: whole("rounds", chosen.rounds),
  };
  await inOwnDirectory(async (directory, stop) => {
    const program = compile(directory);
    await hear(stop);
    const lab = Lab.create({ hosts: 2, handleSignals: false });
    try {
      print(await orStopped(measureAll(lab, program, run), stop));
    } finally {
      lab.close();
    }
  });
}

await script(main);
