/**
 * Results as text: a table of all cells, what is common to all of them said once above it.
 */
import { grouped } from "../text/grouped.ts";
import type { Cell } from "./cells.ts";
import {
  type BenchResult,
  type CellResult,
  cpuUsOf,
  type FloorFigures,
  isSound,
  type ProcessUse,
  type Round,
} from "./result.ts";
import { median } from "./statistics.ts";

/** Of a cell's rounds, their medians. */
export interface Summary {
  readonly valuesPerSecond: number;
  readonly mbps: number;
  /** Cores that all processes together kept busy, and what that is for each value, in microseconds. */
  readonly cores: number;
  readonly cpuUs: number;
  readonly framesPerValue: number | null;
  /** By kind of process: the busiest of its kind. */
  readonly coresByRole: ReadonlyMap<string, number>;
  /** Of the largest process. */
  readonly residentBytes: number;
  /** Of all rounds together: what one of them lost is not lost again in a median. */
  readonly unanswered: number;
  /** Medians of the rounds' ratios to the floor, where that lost nothing: values per second of a closed loop (more is better), latencies (less is better). */
  readonly floorRate: number | null;
  readonly floorP50: number | null;
  readonly floorP99: number | null;
}

type RatioToFloor = (ours: Round, floor: FloorFigures) => number;
export const rateToFloor: RatioToFloor = (ours, floor) => ours.valuesPerSecond / floor.valuesPerSecond;
export const p50ToFloor: RatioToFloor = ({ sentLatencyUs }, floor) => sentLatencyUs.p50 / floor.p50;

/** Of the rounds beside which the floor lost nothing. */
export function ratiosToFloor(rounds: readonly Round[], ratioOf: RatioToFloor): number[] {
  return rounds.flatMap((round) =>
    round.floor === undefined || !isSound(round.floor) ? [] : [ratioOf(round, round.floor)],
  );
}

export function summaryOf({ cell, rounds }: CellResult): Summary {
  const of = (pick: (round: CellResult["rounds"][number]) => number): number => median(rounds.map(pick));
  const coresOf = (one: ProcessUse): number => one.userCores + one.systemCores;
  const cores = of(({ processes }) => processes.reduce((sum, one) => sum + coresOf(one), 0));
  const valuesPerSecond = of((round) => round.valuesPerSecond);
  const roles = new Set(rounds.flatMap(({ processes }) => processes.map(({ name }) => roleOf(name))));
  const busiest = (role: string): number =>
    of(({ processes }) => Math.max(...processes.filter(({ name }) => roleOf(name) === role).map(coresOf)));
  const frames = rounds.flatMap(({ framesPerValue }) => (framesPerValue === null ? [] : [framesPerValue]));
  const toFloor = (ratioOf: RatioToFloor): number | null => {
    const ratios = ratiosToFloor(rounds, ratioOf);
    return ratios.length === 0 ? null : median(ratios);
  };
  return {
    valuesPerSecond,
    mbps: of((round) => round.mbps),
    cores,
    cpuUs: valuesPerSecond > 0 ? of(cpuUsOf) : 0,
    framesPerValue: frames.length === 0 ? null : median(frames),
    coresByRole: new Map([...roles].map((role) => [role, busiest(role)])),
    residentBytes: Math.max(...rounds.flatMap(({ processes }) => processes.map((one) => one.residentBytes))),
    unanswered: rounds.reduce((sum, round) => sum + round.unanswered, 0),
    // What an open loop brings is what it was told to send.
    floorRate: cell.rate === null ? toFloor(rateToFloor) : null,
    floorP50: toFloor(p50ToFloor),
    floorP99: toFloor(({ sentLatencyUs }, floor) => sentLatencyUs.p99 / floor.p99),
  };
}

function roleOf(name: string): string {
  return name.split(" ")[0]!;
}

function short(number: number): string {
  return number >= 100 ? grouped(number) : number >= 10 ? number.toFixed(1) : number.toFixed(2);
}

const FIELDS: readonly (readonly [title: string, text: (cell: Cell) => string])[] = [
  ["wire", ({ wire }) => wire],
  ["storage", ({ storage }) => storage],
  ["cluster", ({ layout, acceptors }) => `${acceptors} ${layout === "replicas" ? "replicas" : "acceptors"}`],
  ["values", ({ batching }) => (batching ? "packed" : "unpacked")],
  ["groups", ({ groups }) => `${groups}`],
  ["bytes", ({ size }) => grouped(size)],
  ["clients", ({ clients }) => grouped(clients)],
  [
    "window",
    ({ window, halfOfWindow }) =>
      halfOfWindow === undefined ? grouped(window) : `½ of ${grouped(halfOfWindow)}`,
  ],
  ["rate", ({ rate }) => (rate === null ? "closed" : grouped(rate))],
];

/** What differs between cells, and what does not. */
function split(cells: readonly CellResult[]): { varying: typeof FIELDS; common: string[] } {
  const isVarying = ([, text]: (typeof FIELDS)[number]): boolean =>
    new Set(cells.map(({ cell }) => text(cell))).size > 1;
  const varying = FIELDS.filter((field) => isVarying(field) || field[0] === "window");
  const common = FIELDS.filter((field) => !varying.includes(field)).map(
    ([title, text]) => `${title} ${text(cells[0]!.cell)}`,
  );
  return { varying, common };
}

/** Title row first; every cell as text. */
export function rowsOf(result: BenchResult): string[][] {
  const { varying } = split(result.cells);
  const summaries = result.cells.map(summaryOf);
  const hasFloor = summaries.some(({ floorP50 }) => floorP50 !== null);
  const hasFloorRate = summaries.some(({ floorRate }) => floorRate !== null);
  const hasFrames = summaries.some(({ framesPerValue }) => framesPerValue !== null);
  const titles = [
    ...varying.map(([title]) => title),
    ...["values/s", "Mbit/s", "p50 µs", "p90", "p99", "p99.9", "max", "CPU µs/value"],
    ...(hasFrames ? ["frames/value"] : []),
    "MB",
    ...(hasFloorRate ? ["values/s ÷ floor"] : []),
    ...(hasFloor ? ["p50 ÷ floor", "p99 ÷ floor"] : []),
  ];
  const rows = result.cells.map(({ cell, latencyUs }, i) => {
    const { valuesPerSecond, mbps, cpuUs, framesPerValue, residentBytes, floorRate, floorP50, floorP99 } =
      summaries[i]!;
    const { p50, p90, p99, p999, max } = latencyUs;
    const ratio = (number: number | null): string => (number === null ? "" : number.toFixed(2));
    return [
      ...varying.map(([, text]) => text(cell)),
      grouped(valuesPerSecond),
      short(mbps),
      ...[p50, p90, p99, p999, max].map(grouped),
      short(cpuUs),
      ...(hasFrames ? [framesPerValue === null ? "" : short(framesPerValue)] : []),
      grouped(residentBytes / 1e6),
      ...(hasFloorRate ? [ratio(floorRate)] : []),
      ...(hasFloor ? [ratio(floorP50), ratio(floorP99)] : []),
    ];
  });
  return [titles, ...rows];
}

/** The floor beside each load that has one; empty: none has. */
export function floorRowsOf(
  result: BenchResult,
  nameOf: (one: CellResult, at: number) => string,
): string[][] {
  const rows = result.cells.flatMap((one, at) => {
    if (one.floor === undefined) return [];
    const { rate, valuesPerSecond, latencyUs, lost } = one.floor;
    const { p50, p90, p99, p999, max } = latencyUs;
    const figures = [valuesPerSecond, p50, p90, p99, p999, max, lost];
    return [[nameOf(one, at), rate === null ? "closed" : grouped(rate), ...figures.map(grouped)]];
  });
  const titles = ["load", "rate", "values/s", "p50 µs", "p90", "p99", "p99.9", "max", "lost"];
  return rows.length === 0 ? [] : [titles, ...rows];
}

/** Columns aligned to the right, words to the left. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isWords = widths.map((_, column) => rows.slice(1).every((row) => !/^[\d.,]*$/.test(row[column]!)));
  return rows.map((row) =>
    row
      .map((text, column) =>
        isWords[column] ? text.padEnd(widths[column]!) : text.padStart(widths[column]!),
      )
      .join("  ")
      .trimEnd(),
  );
}

export function commonLine(result: BenchResult): string {
  return split(result.cells).common.join(", ");
}

/** Of which rounds figures are. */
export function roundsText({ cells }: BenchResult): string {
  const counts = cells.map(({ rounds }) => rounds.length);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  const many = least === most ? `${most}` : `${least} to ${most}`;
  const what = most === 1 ? "One round" : `Medians of ${many} rounds`;
  return `${what} of ${cells[0]!.rounds[0]!.seconds.toFixed(1)} s; latency without coordinated omission, over all rounds`;
}

export function tableOf(result: BenchResult): string[] {
  const { machine } = result;
  return [
    `${result.place}; ${commonLine(result)}`,
    `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}, Bun ${machine.bun}, kpaxos ${machine.kpaxos}; ` +
      `load average ${machine.loadBefore[0]} before, ${machine.loadAfter[0]} after`,
    roundsText(result),
    "",
    ...aligned(rowsOf(result)),
    "",
    ...result.failures.flatMap(({ cell, why }) => [`failed: ${cell}: ${why}`, ""]),
    ...floorLines(result),
    "cores kept busy (the busiest of each kind):",
    ...result.cells.map((one, i) => `  ${String(i + 1).padStart(2)}. ${coresLine(one)}`),
  ];
}

function floorLines(result: BenchResult): string[] {
  const rows = floorRowsOf(result, (_, at) => `${at + 1}.`);
  if (rows.length === 0) return [];
  return ["the floor beside them:", ...aligned(rows).map((line) => `  ${line}`), ""];
}

function coresLine(one: CellResult): string {
  const { coresByRole, unanswered } = summaryOf(one);
  const cores = [...coresByRole].map(([role, busy]) => `${role} ${busy.toFixed(2)}`).join(", ");
  return unanswered > 0 ? `${cores}; ${grouped(unanswered)} values did not come back in time` : cores;
}
