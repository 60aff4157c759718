/**
 * What a run of the benchmark found, as `--json` writes and `compare` reads it.
 */
import { readFileSync } from "node:fs";
import { CliError, ExitCode, exitCodeOf, isDenied, messageOf } from "../error.ts";
import type { HistogramData, LatencyFigures } from "../node/latency_histogram.ts";
import type { Cell } from "./cells.ts";

export const FORMAT = "kpaxos-bench";
export const FORMAT_VERSION = 2;

/** Of one process, while values were measured. */
export interface ProcessUse {
  readonly name: string;
  /** Cores kept busy, in user and in system mode. */
  readonly userCores: number;
  readonly systemCores: number;
  readonly residentBytes: number;
}

/** Of one round, right before or right behind ours; latencies are of the values that were really sent. */
export interface FloorFigures {
  readonly valuesPerSecond: number;
  /** Of an open loop; absent: a closed one. */
  readonly rate?: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly lost: number;
}

/** What it lost it never sends again, and nothing behind it is delivered: a figure with a loss in it is no floor. */
export function isSound({ lost, valuesPerSecond }: FloorFigures): boolean {
  return lost === 0 && valuesPerSecond > 0;
}

/** Over all rounds of a cell. */
export interface FloorResult {
  /** Values per second of its open loop: that of the cell, or half of its own maximum where the cell has half of ours. */
  readonly rate: number | null;
  /** Median of the sound rounds; of all where none is. */
  readonly valuesPerSecond: number;
  /** As the cell's: without coordinated omission. */
  readonly latencyUs: LatencyFigures;
  readonly histogram: HistogramData;
  readonly lost: number;
}

export interface Round {
  readonly seconds: number;
  readonly valuesPerSecond: number;
  readonly mbps: number;
  /** Of the values that were really sent, from when they were to be. */
  readonly sentLatencyUs: LatencyFigures;
  readonly resent: number;
  /** Due, or under way, and not back in time. */
  readonly unanswered: number;
  readonly processes: readonly ProcessUse[];
  /** Of all hosts; null: not known. */
  readonly framesPerValue: number | null;
  /** The floor, right before (in odd rounds, counted from 1) or right behind (in even ones). */
  readonly floor?: FloorFigures;
}

/** Microseconds of processor time of all processes for each value of a round. */
export function cpuUsOf({ processes, valuesPerSecond }: Round): number {
  return (processes.reduce((sum, one) => sum + one.userCores + one.systemCores, 0) * 1e6) / valuesPerSecond;
}

export interface CellResult {
  readonly cell: Cell;
  readonly rounds: readonly Round[];
  /** Over all rounds, without coordinated omission. */
  readonly latencyUs: LatencyFigures;
  /** Over all rounds, of the values that were really sent. */
  readonly sentLatencyUs: LatencyFigures;
  readonly histogram: HistogramData;
  /** Of the first round: end of the interval in seconds, values per second in it. */
  readonly series: readonly (readonly [number, number])[];
  /** The floor beside it. */
  readonly floor?: FloorResult;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly bun: string;
  readonly kpaxos: string;
  readonly loadBefore: readonly number[];
  readonly loadAfter: readonly number[];
}

export interface BenchResult {
  readonly format: typeof FORMAT;
  readonly version: typeof FORMAT_VERSION;
  readonly startedAt: string;
  readonly commandLine: string;
  readonly place: string;
  readonly machine: Machine;
  /** Why there is no floor, where one was asked for. */
  readonly noFloor: string | null;
  /** Loads that could not be measured to the end, and why. */
  readonly failures: readonly { readonly cell: string; readonly why: string }[];
  readonly cells: readonly CellResult[];
}

function isResult(value: unknown): value is BenchResult {
  if (typeof value !== "object" || value === null) return false;
  const { format, version, startedAt, machine, cells } = value as Partial<Record<keyof BenchResult, unknown>>;
  return (
    format === FORMAT &&
    version === FORMAT_VERSION &&
    typeof startedAt === "string" &&
    isObject(machine) &&
    Array.isArray(cells) &&
    cells.every(
      (one: Partial<CellResult> | null) =>
        isObject(one?.cell) && Array.isArray(one?.rounds) && one.rounds.every(isRound),
    )
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isRound(value: Partial<Round> | null): boolean {
  const { valuesPerSecond, sentLatencyUs, processes } = value ?? {};
  return typeof valuesPerSecond === "number" && isObject(sentLatencyUs) && Array.isArray(processes);
}

const WRITES = "kpaxos bench --json > FILE";

/** A file that `kpaxos bench --json` wrote. */
export function readResult(path: string): BenchResult {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new CliError(`cannot read ${path}: ${messageOf(cause)}`, {
      exitCode: exitCodeOf(cause, ExitCode.usage),
      hint: isDenied(cause)
        ? "let this user read it, or run this as its owner"
        : `--compare takes files that were written by: ${WRITES}`,
      cause,
    });
  }
  if (isResult(value)) return value;
  throw new CliError(`${path} is no result of kpaxos bench (format ${FORMAT} ${FORMAT_VERSION})`, {
    exitCode: ExitCode.usage,
    hint: `write one: ${WRITES}`,
  });
}
