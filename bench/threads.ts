/**
 * Threads that receive and send, with the lock-free ring between them and the turns, beside the one thread of today: the C
 * library with bench/threads/link_threads.c around its links, loaded in place of the real one. Markdown tables.
 *
 *     npm run -s build && bun bench/threads.ts cluster [options of bench/modes.ts]
 *         real clusters, with threads in all roles or in the leader alone; program and library must be of the same sources
 *     bun bench/threads.ts busy [--work 0,1,3] [--windows 1,32,256] [--seconds 1] [--rounds 3]
 *         one process, busy for so many µs with each frame, and a peer that needs less than a core: the other core is free
 *
 * Rounds of all modes are interleaved; a figure is the median of its rounds. CPU is that of the busy process.
 */
import { join } from "node:path";
import { median } from "../src/bench/statistics.ts";
import { hear, orStopped } from "../src/bench/stopping.ts";
import { LabProcess } from "../src/ops/lab_process.ts";
import { grouped } from "../src/text/grouped.ts";
import { Lab } from "../test/support/lab.ts";
import {
  commandOf,
  flags,
  inOwnDirectory,
  number,
  printRow,
  script,
  usageError,
  whole,
  wholes,
  write,
} from "./support/script.ts";
import { type Driven, drive, type Served, serve } from "./threads/busy.ts";
import { threadedLibrary, WHICH, withThreadedLeader } from "./threads/library.ts";

const MODES = join(import.meta.dir, "modes.ts");
const BUSY_HOST = 0;
const PEER_HOST = 1;
const SETTLE_MS = 10_000;

interface Mode {
  readonly name: string;
  readonly variables: Readonly<Record<string, string>>;
}

interface Figures extends Driven {
  readonly cpuUs: number;
}

interface BusyRun {
  readonly workUs: readonly number[];
  readonly windows: readonly number[];
  readonly seconds: number;
  readonly rounds: number;
}

function busyRun(words: readonly string[]): BusyRun {
  const chosen = flags(
    {
      work: { type: "string", default: "0,1,3" },
      windows: { type: "string", default: "1,32,256" },
      seconds: { type: "string", default: "1" },
      rounds: { type: "string", default: "3" },
    },
    words,
  );
  return {
    workUs: wholes("work", chosen.work, 0),
    windows: wholes("windows", chosen.windows),
    seconds: number("seconds", chosen.seconds),
    rounds: whole("rounds", chosen.rounds),
  };
}

async function measure(
  lab: Lab,
  mode: Mode,
  workUs: number,
  window: number,
  seconds: number,
): Promise<Figures> {
  const start = (host: number, words: readonly (string | number)[], env: Mode["variables"]): LabProcess => {
    const argv = [process.execPath, import.meta.path, ...words.map(String)];
    return new LabProcess(`${words[0]}`, argv, lab.spawn(host, argv, { env }));
  };
  const busy = start(BUSY_HOST, ["serve", workUs], mode.variables);
  try {
    await busy.ready(SETTLE_MS);
    const peer = start(PEER_HOST, ["drive", window, seconds], {});
    const ending = await peer.ending(seconds * 1000 + SETTLE_MS);
    if (ending.exitCode !== 0) throw new Error(`the peer failed:\n${peer.tail()}`);
    const ended = await busy.ending(SETTLE_MS);
    if (ended.exitCode !== 0) throw new Error(`the busy process failed:\n${busy.tail()}`);
    const { cpuUs, frames } = JSON.parse(busy.stdout.join("")) as Served;
    return { ...(JSON.parse(peer.stdout.join("")) as Driven), cpuUs: cpuUs / frames };
  } finally {
    busy.kill("SIGKILL");
    await busy.exited;
  }
}

const medianOf = (runs: readonly Figures[], what: keyof Figures): number =>
  median(runs.map((run) => run[what]));

async function busy(run: BusyRun, library: string, stop: AbortSignal): Promise<void> {
  const modes: readonly Mode[] = [
    { name: "one thread", variables: {} },
    ...WHICH.map((which) => ({ name: which, variables: { KPAXOS_LIBRARY: library, KPX_THREADS: which } })),
  ];
  const cells = run.workUs.flatMap((workUs) => run.windows.map((window) => ({ workUs, window })));
  const found = cells.map(() => modes.map((): Figures[] => []));
  const lab = Lab.create({ hosts: 2, handleSignals: false });
  try {
    for (let round = 0; round < run.rounds; round++) {
      for (const [row, { workUs, window }] of cells.entries()) {
        for (const [at, mode] of modes.entries())
          found[row]![at]!.push(await orStopped(measure(lab, mode, workUs, window, run.seconds), stop));
      }
      process.stderr.write(`round ${round + 1} of ${run.rounds}\n`);
    }
  } finally {
    lab.close();
  }
  printRow(["µs of work", "window", "threads", "frames/s", "p50 µs", "p99 µs", "CPU µs/frame"]);
  printRow(["---:", "---:", "---", "---:", "---:", "---:", "---:"]);
  for (const [row, { workUs, window }] of cells.entries()) {
    for (const [at, { name }] of modes.entries()) {
      const runs = found[row]![at]!;
      const figures = (["framesPerSecond", "p50", "p99"] as const).map((what) =>
        grouped(medianOf(runs, what)),
      );
      printRow([`${workUs}`, `${window}`, name, ...figures, medianOf(runs, "cpuUs").toFixed(2)]);
    }
  }
}

/** Returns the exit code of bench/modes.ts. */
async function cluster(
  words: readonly string[],
  directory: string,
  library: string,
  stop: AbortSignal,
): Promise<number> {
  const kpaxos = commandOf();
  const modes = [
    "one-thread",
    ...WHICH.map((which) => `${which} KPAXOS_LIBRARY=${library} KPX_THREADS=${which}`),
    ...WHICH.map((which) => `leader:${which} main=${withThreadedLeader(directory, library, which, kpaxos)}`),
  ].map((mode) => `${mode} receive-mode=recvmmsg receive-queues=1 offload=no`);
  const argv = [process.execPath, MODES, ...words, ...modes.flatMap((mode) => ["--mode", mode])];
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "inherit", stderr: "inherit" });
  try {
    return await orStopped(child.exited, stop);
  } finally {
    // It ends its own laboratory then.
    child.kill();
    await child.exited;
  }
}

async function main(): Promise<void> {
  const [what, ...words] = process.argv.slice(2);
  if (what === "serve") {
    write(JSON.stringify(serve(Number(words[0]))));
    return;
  }
  if (what === "drive") {
    write(JSON.stringify(drive(BUSY_HOST, Number(words[0]), Number(words[1]))));
    return;
  }
  if (what !== "busy" && what !== "cluster") {
    throw usageError(
      what === undefined ? "what shall run?" : `there is no ${JSON.stringify(what)}`,
      "bun bench/threads.ts cluster [options of bench/modes.ts] | busy [--work 0,1,3] [--windows 1,32,256] …",
    );
  }
  const run = what === "busy" ? busyRun(words) : undefined;
  await inOwnDirectory(async (directory, stop) => {
    const library = threadedLibrary(directory);
    await hear(stop);
    if (run !== undefined) await busy(run, library, stop);
    else process.exitCode = await cluster(words, directory, library, stop);
  });
}

await script(main);
