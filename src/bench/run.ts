/**
 * A whole run: for each cluster all its cells, in rounds, so that what changes on the machine meanwhile meets all of them; then, if
 * asked for, each cell again at half of its throughput. Reports as it goes, prints nothing.
 */
import type { Flags } from "../config/parse.ts";
import { DEFAULT_SETTINGS } from "../config/schema.ts";
import { CliError } from "../error.ts";
import { LatencyHistogram } from "../node/latency_histogram.ts";
import { choosePlace, describePlace } from "../ops/cluster_place.ts";
import { grouped } from "../text/grouped.ts";
import { type Bed, GivenBed, OwnBed } from "./bed.ts";
import { type Cell, cellsOf, type Group, groupsOf, halfOf, keyOf, type Sweep } from "./cells.ts";
import { compileFloor, type Floor, lacksFloor, type MeasuredFloor, measureFloor } from "./floor.ts";
import { load, machineFacts } from "./machine.ts";
import { type Measured, measureRound, type Timing } from "./measure.ts";
import { inTurns } from "./pairs.ts";
import {
  type BenchResult,
  type CellResult,
  type FloorResult,
  FORMAT,
  FORMAT_VERSION,
  isSound,
} from "./result.ts";
import { median } from "./statistics.ts";
import { orStopped } from "./stopping.ts";
import { heaviest, type WarmUps, warmUpOf } from "./warm_up.ts";

/** Of a load that only warms up: the least a client takes. */
const UNMEASURED_SECONDS = 0.1;

export interface BenchOptions extends Timing, WarmUps {
  readonly sweep: Sweep;
  readonly rounds: number;
  /** UDP instead of raw Ethernet; on the loopback interface where namespaces are not possible. */
  readonly udp: boolean;
  /** The configuration of a cluster that runs; undefined: one of our own. */
  readonly file: string | undefined;
  readonly settings: Flags;
  readonly storagePath: string | undefined;
  readonly floor: boolean;
  /** After each cell, half of its throughput in an open loop. */
  readonly half: boolean;
  readonly commandLine: string;
  readonly stop: AbortSignal;
}

export interface BenchListener {
  /** Something that whoever waits wants to know. */
  note(text: string): void;
  /** About to be measured; `done` of `all` rounds are. */
  begins(what: string, done: number, all: number): void;
  /** A round is over. */
  measured(what: string, valuesPerSecond: number, p50: number): void;
}

function sumOf(histograms: readonly LatencyHistogram[]): LatencyHistogram {
  const sum = new LatencyHistogram();
  for (const one of histograms) sum.add(one);
  return sum;
}

/** In a closed loop a place in the window sends its next value when it gets the last one back: each mean latency one. */
function withoutOmission(sent: LatencyHistogram, rate: number | null): LatencyHistogram {
  return rate === null ? sent.corrected(sent.mean) : sent;
}

function throughputOf(floors: readonly MeasuredFloor[]): number {
  return median(floors.map(({ figures }) => figures.valuesPerSecond));
}

class CellRun {
  readonly cell: Cell;
  /** The load of the floor beside it; undefined: it has none. */
  readonly besides: Cell | undefined;
  readonly rounds: { readonly measured: Measured; readonly floor: MeasuredFloor | undefined }[] = [];
  hasFailed = false;

  constructor(cell: Cell, besides: Cell | undefined) {
    this.cell = cell;
    this.besides = besides;
  }

  get #floors(): MeasuredFloor[] {
    return this.rounds.flatMap(({ floor }) => floor ?? []);
  }

  get #throughput(): number {
    return median(this.rounds.map(({ measured }) => measured.round.valuesPerSecond));
  }

  /** NaN: it lost something in each round. */
  get #floorThroughput(): number {
    return throughputOf(this.#floors.filter(({ figures }) => isSound(figures)));
  }

  /** Half of what it reached, and beside it half of what the floor reached; undefined: that is too little. */
  half(seconds: number): CellRun | undefined {
    const half = halfOf(this.cell, this.#throughput, seconds);
    return half && new CellRun(half, halfOf(this.cell, this.#floorThroughput, seconds));
  }

  result(): CellResult {
    const { cell, rounds } = this;
    const sent = sumOf(rounds.map(({ measured }) => measured.histogram));
    const all = withoutOmission(sent, cell.rate);
    const floor = this.#floorResult();
    return {
      cell,
      rounds: rounds.map(({ measured, floor }) =>
        floor === undefined ? measured.round : { ...measured.round, floor: floor.figures },
      ),
      latencyUs: all.figures(),
      sentLatencyUs: sent.figures(),
      histogram: all.toJSON(),
      series: rounds[0]?.measured.series ?? [],
      ...(floor === undefined ? {} : { floor }),
    };
  }

  #floorResult(): FloorResult | undefined {
    const floors = this.#floors;
    if (floors.length === 0) return undefined;
    const rate = this.besides?.rate ?? null;
    const sound = this.#floorThroughput;
    const all = withoutOmission(sumOf(floors.map(({ histogram }) => histogram)), rate);
    return {
      rate,
      valuesPerSecond: Number.isNaN(sound) ? throughputOf(floors) : sound,
      latencyUs: all.figures(),
      histogram: all.toJSON(),
      lost: floors.reduce((sum, { figures }) => sum + figures.lost, 0),
    };
  }
}

class Bench {
  readonly #options: BenchOptions;
  readonly #listener: BenchListener;
  #done = 0;
  readonly #all: number;
  noFloor: string | null = null;
  readonly failures: { readonly cell: string; readonly why: string }[] = [];
  place = "";

  constructor(options: BenchOptions, listener: BenchListener, cells: number) {
    this.#options = options;
    this.#listener = listener;
    this.#all = cells * options.rounds * (options.half ? 2 : 1);
  }

  async group(group: Group, floor: Floor | undefined): Promise<CellResult[]> {
    const bed = await this.#makeBed(group);
    try {
      this.place = bed.description;
      const results = await orStopped(this.#measureAll(bed, group.cells, floor), this.#options.stop);
      if (bed instanceof OwnBed) await bed.end();
      return results;
    } finally {
      await bed.close();
    }
  }

  async #makeBed({ shape }: Group): Promise<Bed> {
    const { file, settings, udp, storagePath, stop } = this.#options;
    if (file !== undefined) return new GivenBed(file);
    return await OwnBed.start({
      shape,
      choice: choosePlace(udp ? "udp-hosts" : undefined),
      settings,
      storagePath,
      stop,
    });
  }

  async #measureAll(bed: Bed, cells: readonly Cell[], floor: Floor | undefined): Promise<CellResult[]> {
    if (bed instanceof OwnBed) await this.#warmUp(bed, heaviest(cells));
    const closed = cells.map((cell) => new CellRun(cell, cell));
    await this.#rounds(bed, closed, floor);
    const halves = closed.map((run) => this.#halfOf(run));
    await this.#rounds(
      bed,
      halves.filter((run) => run !== undefined),
      floor,
    );
    return closed
      .flatMap((run, i) => [run, halves[i]])
      .filter((run) => run !== undefined && run.rounds.length > 0)
      .map((run) => run!.result());
  }

  #halfOf(run: CellRun): CellRun | undefined {
    const { half: isWanted, seconds } = this.#options;
    if (!isWanted || run.rounds.length === 0) return undefined;
    const half = run.half(seconds);
    if (half === undefined)
      this.#listener.note(`${keyOf(run.cell)}: no half of it, too little came back in ${seconds} s`);
    else if (half.besides === undefined && this.#options.floor && this.noFloor === null)
      this.#listener.note(`${keyOf(half.cell)}: no floor, that has no maximum to be halved`);
    return half;
  }

  /** What it measures is thrown away. A load that fails says so again when its turn comes. */
  async #warmUp(bed: OwnBed, cell: Cell): Promise<void> {
    const { firstWarmUp, stop } = this.#options;
    if (firstWarmUp === 0) return;
    this.#listener.note(`a fresh cluster: ${firstWarmUp} s of ${keyOf(cell)} to warm up`);
    try {
      await measureRound(bed, cell, { seconds: UNMEASURED_SECONDS, warmUp: firstWarmUp });
    } catch (error) {
      if (stop.aborted || !(error instanceof CliError) || !bed.stands) throw error;
      this.#listener.note(`not warm: ${error.message}`);
    }
  }

  async #rounds(bed: Bed, runs: readonly CellRun[], floor: Floor | undefined): Promise<void> {
    for (let round = 0; round < this.#options.rounds; round++) {
      for (const run of runs) {
        if (!run.hasFailed) await this.#round(bed, run, floor);
        this.#done++;
      }
    }
  }

  /** One that fails ends its load, and no other one as long as the cluster stands. */
  async #round(bed: Bed, run: CellRun, floor: Floor | undefined): Promise<void> {
    const { stop, seconds } = this.#options;
    stop.throwIfAborted();
    const cell = keyOf(run.cell);
    const warmUp = warmUpOf(run.cell, this.#options);
    const round = run.rounds.length + 1;
    const what = `${cell}, round ${round}`;
    this.#listener.begins(what, this.#done, this.#all);
    try {
      const { ours: measured, floor: beside } = await inTurns(
        round,
        () => this.#floorOf(bed, run.besides, floor),
        () => measureRound(bed, run.cell, { seconds, warmUp }),
      );
      run.rounds.push({ measured, floor: beside });
      if (beside !== undefined && !isSound(beside.figures))
        this.#listener.note(`${what}: no ratio, the floor lost ${grouped(beside.figures.lost)} values`);
      this.#listener.measured(what, measured.round.valuesPerSecond, measured.round.sentLatencyUs.p50);
    } catch (error) {
      if (stop.aborted || !(error instanceof CliError) || !bed.stands) throw error;
      run.hasFailed = true;
      this.failures.push({ cell, why: error.message });
      this.#listener.note(`${what} failed: ${error.message}`);
    }
  }

  async #floorOf(
    bed: Bed,
    cell: Cell | undefined,
    floor: Floor | undefined,
  ): Promise<MeasuredFloor | undefined> {
    if (floor === undefined || cell === undefined) return undefined;
    const why = floor.ok ? lacksFloor(cell) : floor.reason;
    if (floor.ok && why === undefined && bed instanceof OwnBed) {
      const { seconds, settings } = this.#options;
      const scheduling = `${settings.scheduling ?? DEFAULT_SETTINGS.scheduling}`;
      return await measureFloor(floor.program, bed, cell, seconds, scheduling);
    }
    if (this.noFloor === null) {
      this.noFloor = why ?? "the floor runs on a cluster of our own only";
      this.#listener.note(`no floor: ${this.noFloor}`);
    }
    return undefined;
  }
}

export async function runBench(options: BenchOptions, listener: BenchListener): Promise<BenchResult> {
  const startedAt = new Date().toISOString();
  const cells = cellsOf(options.sweep);
  const groups = groupsOf(cells);
  const bench = new Bench(options, listener, cells.length);
  const facts = machineFacts();
  const choice = options.file === undefined ? choosePlace(options.udp ? "udp-hosts" : undefined) : undefined;
  if (choice !== undefined) listener.note(`${describePlace(choice, hostsOf(groups))} (${choice.reason})`);
  const floor = options.floor ? compileFloor(choice?.kind !== "loopback") : undefined;
  const results: CellResult[] = [];
  try {
    for (const group of groups) {
      options.stop.throwIfAborted();
      results.push(...(await bench.group(group, floor)));
    }
  } finally {
    if (floor?.ok === true) floor.remove();
  }
  if (results.length === 0) throw new CliError(bench.failures[0]?.why ?? "nothing was measured");
  return {
    format: FORMAT,
    version: FORMAT_VERSION,
    startedAt,
    commandLine: options.commandLine,
    place: bench.place,
    machine: { ...facts, loadAfter: load() },
    noFloor: bench.noFloor,
    failures: bench.failures,
    cells: results,
  };
}

/** Of the largest cluster: a host a role, and one for the client. */
function hostsOf(groups: readonly Group[]): number {
  return Math.max(...groups.map(({ shape }) => shape.acceptors + (shape.layout === "replicas" ? 1 : 2)));
}
