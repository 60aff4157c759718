/**
 * What kpaxos aims at, each goal beside what is measured here: ratios to the floor of the same run, and what an idle or a long
 * run costs. A goal that cannot be measured on this machine says why.
 */

import type { Flags } from "../config/parse.ts";
import { CliError } from "../error.ts";
import { grouped } from "../text/grouped.ts";
import type { Sweep } from "./cells.ts";
import { DISK_BACKENDS, type DiskBackend } from "./committer.ts";
import {
  absoluteTarget,
  commitTarget,
  latencyTarget,
  rateTarget,
  shareTarget,
  TAIL_GOAL,
  type Target,
  tailTarget,
  unmeasured,
  wireTarget,
} from "./goals.ts";
import type { CellResult } from "./result.ts";
import { type BenchListener, type BenchOptions, runBench } from "./run.ts";
import { syncPrice } from "./sync_price.ts";
import { idleUse, memoryUse, startUp } from "./target_probes.ts";

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
    this.#found(
      absoluteTarget(`${who}window 1000, packed, on a quiet machine`, thousand!, QUIET_MACHINE_RATE),
    );
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
    const prices = [before, after] as const;
    const appendUs = (before.appendUs + after.appendUs) / 2;
    this.#found(absoluteTarget(`${storage} storage, synchronous, packed, window 1000`, thousand!, DISK_RATE));
    const what = `${storage} storage, synchronous, window 1`;
    this.#found(
      commitTarget(what, one!, prices, "aloneUs", {
        goal: "one synced commit",
        beside: (us) =>
          `one commit alone ${grouped(us)} µs (an append with fdatasync ${grouped(appendUs)} µs)`,
      }),
    );
    this.#found(
      commitTarget(`${what}, all acceptors on this one disk`, one!, prices, "quorumUs", {
        goal: "the commits of a quorum at once",
        beside: (us) =>
          `${acceptors} processes commit at once: a majority of them is done after ${grouped(us)} µs`,
      }),
    );
  }

  async #otherWire(): Promise<void> {
    const windows = [1, 10, 100];
    const cells = await this.#measure({ wires: ["native", "kernel-paxos"], windows });
    const pairs = windows.map((_, i) => ({ native: cells[i]!, other: cells[i + windows.length]! }));
    for (const pair of pairs) this.#found(wireTarget(pair, pairs[0]!));
  }

  async #moreAcceptors(): Promise<void> {
    const cells = await this.#measure(
      { acceptors: [3, 5, 7], batchings: [true], windows: [1000] },
      { floor: true },
    );
    const [three, ...more] = cells;
    for (const one of more) this.#found(shareTarget(one, three!, this.#noFloor));
  }

  async #quiet(): Promise<void> {
    const { cores, wakeUps } = await idleUse(this.#options, this.#options.seconds * IDLE_ROUNDS);
    this.#found({
      what: "idle role",
      goal: `under ${100 * IDLE_CORES} % of a core`,
      measured: `${(100 * cores).toFixed(2)} %, ${grouped(wakeUps)} wake-ups a second (the busiest)`,
      ratio: null,
      verdict: cores < IDLE_CORES ? "reached" : "missed",
    });
    const { ms, isCompiled } = await startUp(this.#options.stop);
    this.#found({
      what: "start-up to the first frame",
      goal: `under ${START_UP_MS} ms, compiled`,
      measured: `${ms.toFixed(1)} ms${isCompiled ? "" : ", from sources: not what is meant"}`,
      ratio: null,
      verdict: !isCompiled ? null : ms < START_UP_MS ? "reached" : "missed",
    });
  }

  async #long(): Promise<void> {
    const longest = this.#options.seconds * LONG_ROUNDS;
    const { instances, halfway, end, largest } = await memoryUse(this.#options, LONG_INSTANCES, longest);
    const isFlat = end < RESIDENT_BYTES && end < 1.1 * halfway;
    this.#found({
      what: `memory of a role after ${grouped(instances)} instances`,
      goal: `flat, under ${grouped(RESIDENT_BYTES / 1e6)} MB`,
      measured: `${largest}: ${grouped(end / 1e6)} MB, halfway ${grouped(halfway / 1e6)} MB`,
      ratio: end / halfway,
      verdict: instances < LONG_INSTANCES ? null : isFlat ? "reached" : "missed",
    });
  }
}
