/**
 * What kpaxos aims at, each goal beside what is measured here: ratios to the floor of the same run, and what an idle or a long
 * run costs. A goal that cannot be measured on this machine says why.
 */

import type { Flags } from "../config/parse.ts";
import { CliError } from "../error.ts";
import type { LatencyFigures } from "../node/latency_histogram.ts";
import { grouped } from "../text/grouped.ts";
import type { Sweep } from "./cells.ts";
import { DISK_BACKENDS, type DiskBackend } from "./committer.ts";
import type { CellResult } from "./result.ts";
import { type BenchListener, type BenchOptions, runBench } from "./run.ts";
import { median } from "./statistics.ts";
import { type SyncPrice, syncPrice } from "./sync_price.ts";
import { p50ToFloor, rateToFloor, ratiosText, summaryOf } from "./table.ts";
import { idleUse, memoryUse, startUp } from "./target_probes.ts";

export interface Target {
  readonly what: string;
  readonly goal: string;
  readonly measured: string;
  /** What the goal is about, where it is a ratio. */
  readonly ratio: number | null;
  /** null: not measured. */
  readonly met: boolean | null;
}

export type TargetOptions = Pick<
  BenchOptions,
  "rounds" | "seconds" | "warmUp" | "firstWarmUp" | "halfWarmUp" | "udp" | "settings" | "storagePath" | "stop"
>;

const BASE: Sweep = {
  wires: ["native"],
  storages: ["memory"],
  layouts: ["roles"],
  acceptors: [3],
  batchings: [false],
  groups: [1],
  windows: [100],
  clients: [1],
  sizes: [64],
  rates: [null],
};
const QUIET_MACHINE_RATE = 1_000_000;
const DISK_RATE = 200_000;
const COMMITS = 200;
const TAIL_TIMES = 5;
const TAIL_GOAL = `p99 at most ${TAIL_TIMES} × p50`;
const IDLE_CORES = 0.02;
const START_UP_MS = 30;
const RESIDENT_BYTES = 200e6;
/** How long an idle cluster is watched, in times of a round. */
const IDLE_ROUNDS = 3;
/** A long run takes at most so many times the time of a round. */
const LONG_ROUNDS = 40;
const LONG_INSTANCES = 10_000_000;

type Measure = (
  sweep: Partial<Sweep>,
  more?: { floor?: boolean; half?: boolean; settings?: Flags },
) => Promise<readonly CellResult[]>;

const times = (number: number): string => number.toFixed(2);
const sent = ({ rounds }: CellResult, what: "p50" | "p99"): number =>
  median(rounds.map(({ sentLatencyUs }) => sentLatencyUs[what]));
const floorOf = ({ rounds }: CellResult, what: "valuesPerSecond" | "p50"): number =>
  median(rounds.map(({ floor }) => floor?.[what] ?? Number.NaN));

function openLoop(rate: number | null, { p50, p99 }: LatencyFigures): string {
  return `${grouped(rate ?? 0)} values/s: p50 ${grouped(p50)} µs, p99 ${grouped(p99)} µs`;
}

/** What this machine gives whoever does nothing but phase 2. */
function floorsHalf({ floor }: CellResult): string {
  return floor === undefined ? "" : `; floor at half of its own: ${openLoop(floor.rate, floor.latencyUs)}`;
}

function unmeasured(what: string, goal: string, why: string): Target {
  return { what, goal, measured: why, ratio: null, met: null };
}

/** p50 beside the floor's: less is better. */
function latencyTarget(what: string, one: CellResult, most: number, why: string): Target {
  const goal = `p50 at most ${most} × floor`;
  const { floorP50: ratio } = summaryOf(one);
  if (ratio === null) return unmeasured(what, goal, why);
  const measured = `${grouped(sent(one, "p50"))} µs, floor ${grouped(floorOf(one, "p50"))} µs; ${ratiosText(one, p50ToFloor)}`;
  return { what, goal, measured, ratio, met: ratio <= most };
}

/** Values per second beside the floor's: more is better. */
function rateTarget(
  what: string,
  one: CellResult,
  least: number,
  aim: number | undefined,
  why: string,
): Target {
  const goal = `values/s at least ${least} × floor${aim === undefined ? "" : ` (${aim} aimed at)`}`;
  const { floorRate: ratio, valuesPerSecond } = summaryOf(one);
  if (ratio === null) return unmeasured(what, goal, why);
  const measured = `${grouped(valuesPerSecond)}, floor ${grouped(floorOf(one, "valuesPerSecond"))}; ${ratiosText(one, rateToFloor)}`;
  return { what, goal, measured, ratio, met: ratio >= least };
}

/** The slowest of a hundred beside the median, at half of the maximum. */
function tailTarget(what: string, half: CellResult | undefined): Target {
  if (half === undefined) return unmeasured(what, TAIL_GOAL, "too little came back");
  const { p50, p99 } = half.latencyUs;
  return {
    what,
    goal: TAIL_GOAL,
    measured: `${openLoop(half.cell.rate, half.latencyUs)}${floorsHalf(half)}`,
    ratio: p99 / p50,
    met: p99 <= TAIL_TIMES * p50,
  };
}

export class Targets {
  readonly #options: TargetOptions;
  readonly #listener: BenchListener;
  readonly #found: (target: Target) => void;
  #noFloor = "no floor";

  /** `found`: told each target as soon as it is known. */
  constructor(options: TargetOptions, listener: BenchListener, found: (target: Target) => void) {
    this.#options = options;
    this.#listener = listener;
    this.#found = found;
  }

  readonly #measure: Measure = async (sweep, { floor = false, half = false, settings = {} } = {}) => {
    const result = await runBench(
      {
        ...this.#options,
        settings: { ...this.#options.settings, ...settings },
        ...{
          file: undefined,
          floor,
          half,
          commandLine: "kpaxos bench --preset targets",
        },
        sweep: { ...BASE, ...sweep },
      },
      this.#listener,
    );
    const [failure] = result.failures;
    if (failure !== undefined) throw new CliError(`${failure.cell}: ${failure.why}`);
    if (result.noFloor !== null) this.#noFloor = result.noFloor;
    return result.cells;
  };

  async run(): Promise<void> {
    for (const layout of ["roles", "replicas"] as const) await this.#besideFloor(layout);
    const [large] = await this.#measure({ sizes: [1000] }, { floor: true });
    this.#found(rateTarget("1000 B values, window 100", large!, 0.85, undefined, this.#noFloor));
    for (const storage of DISK_BACKENDS) await this.#disk(storage);
    await this.#otherWire();
    await this.#moreAcceptors();
    await this.#quiet();
    await this.#long();
  }

  async #besideFloor(layout: "roles" | "replicas"): Promise<void> {
    const who = layout === "roles" ? "" : "3 replicas, ";
    const [one, hundred] = await this.#measure({ layouts: [layout], windows: [1, 100] }, { floor: true });
    this.#found(latencyTarget(`${who}window 1, unpacked`, one!, 1.2, this.#noFloor));
    this.#found(rateTarget(`${who}window 100, unpacked`, hundred!, 0.8, 0.95, this.#noFloor));
    const packed = { layouts: [layout], batchings: [true], windows: [1000] };
    const [thousand, half] = await this.#measure(packed, { floor: true, half: true });
    this.#found(rateTarget(`${who}window 1000, packed`, thousand!, 0.6, 0.8, this.#noFloor));
    const rate = summaryOf(thousand!).valuesPerSecond;
    this.#found({
      what: `${who}window 1000, packed, on a quiet machine`,
      goal: `at least ${grouped(QUIET_MACHINE_RATE)} values/s`,
      measured: grouped(rate),
      ratio: rate / QUIET_MACHINE_RATE,
      met: rate >= QUIET_MACHINE_RATE,
    });
    this.#found(tailTarget(`${who}half of that, open loop`, half));
    if (this.#options.settings.scheduling === undefined) await this.#inRealTime(who, packed);
  }

  /** Whoever else runs on the processors decides about the slowest values; there is a setting for hosts that are there for kpaxos. */
  async #inRealTime(who: string, packed: Partial<Sweep>): Promise<void> {
    const what = `${who}the same with scheduling realtime`;
    try {
      const settings = { scheduling: "realtime" };
      const [, half] = await this.#measure(packed, { floor: true, half: true, settings });
      this.#found(tailTarget(what, half));
    } catch (error) {
      if (this.#options.stop.aborted || !(error instanceof CliError)) throw error;
      // A row of a table is one line.
      this.#found(unmeasured(what, TAIL_GOAL, error.message.replace(/\s+/g, " ")));
    }
  }

  async #disk(storage: DiskBackend): Promise<void> {
    const { storagePath, stop } = this.#options;
    const acceptors = BASE.acceptors[0]!;
    const price = () => syncPrice({ backend: storage, storagePath, acceptors, commits: COMMITS, stop });
    const before = await price();
    const [one, thousand] = await this.#measure({
      storages: [storage],
      batchings: [true],
      windows: [1, 1000],
    });
    const after = await price();
    const mean = (of: keyof SyncPrice): number => (before[of] + after[of]) / 2;
    const { valuesPerSecond } = summaryOf(thousand!);
    this.#found({
      what: `${storage} storage, synchronous, packed, window 1000`,
      goal: `at least ${grouped(DISK_RATE)} values/s`,
      measured: grouped(valuesPerSecond),
      ratio: valuesPerSecond / DISK_RATE,
      met: valuesPerSecond >= DISK_RATE,
    });
    const what = `${storage} storage, synchronous, window 1`;
    const p50 = sent(one!, "p50");
    const aloneUs = mean("aloneUs");
    this.#found({
      what,
      goal: "p50 at most 2 × one synced commit",
      measured: `${grouped(p50)} µs, one commit alone ${grouped(aloneUs)} µs (an append with fdatasync ${grouped(mean("appendUs"))} µs)`,
      ratio: p50 / aloneUs,
      met: p50 <= 2 * aloneUs,
    });
    const quorumUs = mean("quorumUs");
    this.#found({
      what: `${what}, all acceptors on this one disk`,
      goal: "p50 at most 2 × the commits of a quorum at once",
      measured: `${grouped(p50)} µs, ${acceptors} processes commit at once: a majority of them is done after ${grouped(quorumUs)} µs`,
      ratio: p50 / quorumUs,
      met: p50 <= 2 * quorumUs,
    });
  }

  async #otherWire(): Promise<void> {
    const windows = [1, 10, 100];
    const cells = await this.#measure({ wires: ["native", "kernel-paxos"], windows });
    windows.forEach((window, i) => {
      const [native, other] = [cells[i]!, cells[i + windows.length]!].map((one) => summaryOf(one));
      const ratio = other!.valuesPerSecond / native!.valuesPerSecond;
      const frames = [native, other].map((one) => one!.framesPerValue?.toFixed(2) ?? "?").join(" and ");
      // Frames are what both spend their time on: what it cannot merge it may lose.
      const merged = (native!.framesPerValue ?? 1) / (other!.framesPerValue ?? 1);
      this.#found({
        what: `Kernel_Paxos wire, window ${window}`,
        goal: "no slower than native unpacked, but for frames it cannot merge",
        measured: `${grouped(other!.valuesPerSecond)}, native ${grouped(native!.valuesPerSecond)} (frames per value ${frames}, native first)`,
        ratio,
        met: ratio >= Math.min(1, merged),
      });
    });
  }

  async #moreAcceptors(): Promise<void> {
    const cells = await this.#measure(
      { acceptors: [3, 5, 7], batchings: [true], windows: [1000] },
      { floor: true },
    );
    const [three, ...more] = cells;
    for (const one of more) {
      const what = `${one.cell.acceptors} acceptors, window 1000, packed`;
      const goal = "keeps the share of 3 acceptors' values/s that the floor keeps";
      const ours = summaryOf(one).valuesPerSecond / summaryOf(three!).valuesPerSecond;
      const floors = floorOf(one, "valuesPerSecond") / floorOf(three!, "valuesPerSecond");
      if (!Number.isFinite(floors) || !Number.isFinite(ours)) {
        this.#found(unmeasured(what, goal, Number.isFinite(ours) ? this.#noFloor : "too little came back"));
        continue;
      }
      const measured = `${times(ours)}, floor ${times(floors)}`;
      this.#found({ what, goal, measured, ratio: ours / floors, met: ours >= floors });
    }
  }

  async #quiet(): Promise<void> {
    const { cores, wakeUps } = await idleUse(this.#options, this.#options.seconds * IDLE_ROUNDS);
    this.#found({
      what: "idle role",
      goal: `under ${100 * IDLE_CORES} % of a core`,
      measured: `${(100 * cores).toFixed(2)} %, ${grouped(wakeUps)} wake-ups a second (the busiest)`,
      ratio: null,
      met: cores < IDLE_CORES,
    });
    const { ms, isCompiled } = await startUp(this.#options.stop);
    this.#found({
      what: "start-up to the first frame",
      goal: `under ${START_UP_MS} ms, compiled`,
      measured: `${ms.toFixed(1)} ms${isCompiled ? "" : ", from sources: not what is meant"}`,
      ratio: null,
      met: isCompiled ? ms < START_UP_MS : null,
    });
  }

  async #long(): Promise<void> {
    const longest = this.#options.seconds * LONG_ROUNDS;
    const { instances, halfway, end, largest } = await memoryUse(this.#options, LONG_INSTANCES, longest);
    this.#found({
      what: `memory of a role after ${grouped(instances)} instances`,
      goal: `flat, under ${grouped(RESIDENT_BYTES / 1e6)} MB`,
      measured: `${largest}: ${grouped(end / 1e6)} MB, halfway ${grouped(halfway / 1e6)} MB`,
      ratio: end / halfway,
      met: instances < LONG_INSTANCES ? null : end < RESIDENT_BYTES && end < 1.1 * halfway,
    });
  }
}
