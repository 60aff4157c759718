/**
 * Results as a page: one HTML file with its plots inside, which needs nothing from outside and fits a dark and a light screen;
 * beside it the figures as JSON.
 */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError, ExitCode, exitCodeOf, messageOf } from "../error.ts";
import { type HistogramData, LatencyHistogram } from "../node/latency_histogram.ts";
import { grouped } from "../text/grouped.ts";
import { loadName, shapeName } from "./cells.ts";
import type { BenchResult, CellResult } from "./result.ts";
import { COLOURS, escapeXml, type Series, svgPlot } from "./svg.ts";
import { commonLine, floorRowsOf, roundsText, rowsOf, summaryOf } from "./table.ts";

export const REPORT_NAME = "index.html";
export const DATA_NAME = "result.json";

/** More lines than that nobody can tell apart. */
const MOST_LINES = 12;
const MOST_POINTS = 400;
/** Shares of all values, as 1 ÷ (1 − share): each tick is ten times as rare. */
const RARITIES = [1, 10, 100, 1000, 10_000, 100_000] as const;

const LIGHT = ["#1f6fb2", "#c8501e", "#2c8a4b", "#8a3fa0", "#a67c00", "#c02a5a", "#3f7f86", "#6b6b6b"];
const DARK = ["#6db3f2", "#ff9b6b", "#7fd69a", "#d19be6", "#e6c353", "#ff85ac", "#7fd0d8", "#b5b5b5"];

function variables(colours: readonly string[]): string {
  return colours
    .slice(0, COLOURS)
    .map((colour, i) => `--c${i}: ${colour};`)
    .join(" ");
}

const STYLE = `
:root { color-scheme: light dark; --back: #ffffff; --text: #1c1c1c; --soft: #5a5a5a; --grid: #dddddd; ${variables(LIGHT)} }
@media (prefers-color-scheme: dark) {
  :root { --back: #16181c; --text: #e8e8e8; --soft: #a4a8ae; --grid: #363a41; ${variables(DARK)} }
}
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 78em; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9em; }
th, td { border-bottom: 1px solid var(--grid); padding: 0.25em 0.6em; text-align: right; }
td { white-space: nowrap; }
.facts th, .facts td, .named th:first-child, .named td:first-child { text-align: left; }
.facts td { white-space: normal; }
.wide { overflow-x: auto; }
code { overflow-wrap: anywhere; }
svg { display: block; width: 100%; max-width: 60em; height: auto; margin: 1.5em 0; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
svg .title { font-size: 14px; font-weight: 600; }
svg .tick, svg .mark { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg line, svg polyline { stroke-width: 2; }
p.note { color: var(--soft); }
`;

function table(rows: readonly (readonly string[])[], kind = "figures"): string {
  const [titles, ...body] = rows;
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((text) => `<${tag}>${escapeXml(text)}</${tag}>`).join("")}</tr>`;
  return `<div class="wide"><table class="${kind}">${line(titles!, "th")}\n${body.map((cells) => line(cells, "td")).join("\n")}</table></div>`;
}

function facts({ machine, place, startedAt, commandLine }: BenchResult): string {
  const rows: [string, string][] = [
    ["begun", startedAt],
    ["command", commandLine],
    ["cluster", place],
    ["processor", `${machine.cpu}, ${machine.cores} cores`],
    ["memory", `${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB`],
    ["system", `${machine.kernel}, Bun ${machine.bun}`],
    ["kpaxos", machine.kpaxos],
    ["load average before", machine.loadBefore.join(", ")],
    ["load average after", machine.loadAfter.join(", ")],
  ];
  const body = rows.map(
    ([name, text]) => `<tr><th>${name}</th><td><code>${escapeXml(text)}</code></td></tr>`,
  );
  return `<table class="facts">${body.join("\n")}</table>`;
}

function nameOf({ cell }: CellResult, result: BenchResult): string {
  const shapes = new Set(result.cells.map((one) => shapeName(one.cell)));
  return shapes.size > 1 ? `${shapeName(cell)}, ${loadName(cell)}` : loadName(cell);
}

type Floors = Pick<Series, "points" | "marks">;

/** Lines, and behind them those of the floor that belong to some of them. */
function withFloors(lines: readonly Series[], floors: readonly (Floors | undefined)[]): Series[] {
  const beside = floors.flatMap((one, i) =>
    one === undefined ? [] : { ...one, name: "the floor, beside the line of the same colour", besides: i },
  );
  return [...lines, ...beside];
}

/** A line for each cluster, value size and number of clients; a point for each window or rate. */
function throughputPlot(result: BenchResult, what: "p50" | "p99"): string {
  const lines = new Map<string, CellResult[]>();
  for (const one of result.cells) {
    const { size, clients, rate } = one.cell;
    const loop = rate === null ? "closed loop" : "open loop";
    const name = `${shapeName(one.cell)}, ${size} B, ${clients} client${clients === 1 ? "" : "s"}, ${loop}`;
    lines.set(name, [...(lines.get(name) ?? []), one]);
  }
  const drawn = [...lines].slice(0, MOST_LINES).map(([name, cells]) => ({
    name,
    cells: cells.toSorted((a, b) => a.cell.window - b.cell.window || (a.cell.rate ?? 0) - (b.cell.rate ?? 0)),
  }));
  const ours = drawn.map(({ name, cells }): Series => {
    const points = cells.map((one) => [summaryOf(one).valuesPerSecond, one.latencyUs[what]] as const);
    return { name, points, marks: cells.map(markOf) };
  });
  const floors = drawn.map(({ cells }): Floors | undefined => {
    const beside = cells.flatMap(({ floor }) => floor ?? []);
    const points = beside.map((floor) => [floor.valuesPerSecond, floor.latencyUs[what]] as const);
    return points.length === 0 ? undefined : { points, marks: [] };
  });
  return svgPlot({
    title: `Throughput against latency, ${what} (numbers: window; ½: half of what it reached)`,
    x: { label: "throughput (values/s)", scale: "linear" },
    y: { label: `latency, ${what} (µs)`, scale: "log" },
    series: withFloors(ours, floors),
  });
}

/** The window of an open loop is a bound, not a load. */
function markOf({ cell }: CellResult): string {
  if (cell.halfOfWindow !== undefined) return `½ ${cell.halfOfWindow}`;
  return cell.rate === null ? `${cell.window}` : "";
}

function thinned<T>(all: readonly T[]): T[] {
  const every = Math.ceil(all.length / MOST_POINTS);
  return all.filter((_, i) => i % every === 0 || i === all.length - 1);
}

function distributionOf(histogram: HistogramData): [us: number, rarity: number][] {
  const top = RARITIES.at(-1)!;
  const points = [...(LatencyHistogram.from(histogram)?.distribution() ?? [])];
  return thinned(points.map(({ us, share }) => [us, Math.min(top, 1 / Math.max(1 - share, 1 / top))]));
}

function distributionPlot(result: BenchResult, cells: readonly CellResult[]): string {
  const ours = cells.map(
    (one): Series => ({ name: nameOf(one, result), points: distributionOf(one.histogram) }),
  );
  const floors = cells.map(({ floor }): Floors | undefined =>
    floor === undefined ? undefined : { points: distributionOf(floor.histogram) },
  );
  return svgPlot({
    title: "Latency distribution",
    x: { label: "latency (µs)", scale: "log" },
    y: {
      label: "share of values not slower (%)",
      scale: "log",
      ticks: RARITIES,
      format: (rarity) => `${Number((100 * (1 - 1 / rarity)).toFixed(3))}`,
    },
    series: withFloors(ours, floors),
  });
}

function timePlot(result: BenchResult, cells: readonly CellResult[]): string {
  return svgPlot({
    title: "Values per second over time, first round",
    x: { label: "time (s)", scale: "linear" },
    y: { label: "throughput (values/s)", scale: "linear" },
    series: cells.map((one) => ({ name: nameOf(one, result), points: one.series })),
  });
}

function coresTable(result: BenchResult): string {
  const summaries = result.cells.map(summaryOf);
  const roles = [...new Set(summaries.flatMap(({ coresByRole }) => [...coresByRole.keys()]))];
  const rows = result.cells.map((one, i) => [
    nameOf(one, result),
    ...roles.map((role) => summaries[i]!.coresByRole.get(role)?.toFixed(2) ?? ""),
    grouped(summaries[i]!.residentBytes / 1e6),
  ]);
  return table([["load", ...roles, "MB of the largest process"], ...rows], "named");
}

function floorSection(result: BenchResult): string {
  const rows = floorRowsOf(result, (one) => nameOf(one, result));
  if (rows.length === 0) return "";
  return `<h2>The floor</h2>
<p>Phase 2 in plain C and nothing else, right before each round on the same hosts, with the same load; beside half of a load half of its own
maximum. A latency that it misses, too, is the machine's.</p>
${table(rows, "named")}`;
}

export function htmlReport(result: BenchResult): string {
  const cells = result.cells.slice(0, MOST_LINES);
  const left = result.cells.length - cells.length;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>kpaxos bench, ${escapeXml(result.startedAt)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>kpaxos bench</h1>
${facts(result)}
<h2>Results</h2>
<p>${escapeXml(commonLine(result))}. ${roundsText(result)}.</p>
${table(rowsOf(result))}
<p class="note">In an open loop latency counts from when a value was to be sent. In a closed loop it counts from its sending, and is corrected
for the values that were not sent while others were waited for; the figures without that are in ${DATA_NAME}.${
    result.noFloor === null ? "" : ` No floor: ${escapeXml(result.noFloor)}.`
  }</p>
${result.failures.map(({ cell, why }) => `<p class="note">Failed: ${escapeXml(`${cell}: ${why}`)}</p>`).join("\n")}
${floorSection(result)}
<h2>Cores kept busy</h2>
<p>By the busiest process of each kind.</p>
${coresTable(result)}
<h2>Plots</h2>
${left > 0 ? `<p class="note">Of ${result.cells.length} loads the first ${cells.length} are drawn.</p>` : ""}
${throughputPlot(result, "p50")}
${throughputPlot(result, "p99")}
${distributionPlot(result, cells)}
${timePlot(result, cells)}
</body>
</html>
`;
}

/** Before anything is measured: a directory that cannot be written is no surprise at the end. */
export function makeReportDirectory(directory: string): void {
  const draft = join(directory, `${REPORT_NAME}.new`);
  try {
    mkdirSync(directory, { recursive: true });
    writeFileSync(draft, "");
    rmSync(draft);
  } catch (cause) {
    throw new CliError(`cannot write a report there: ${messageOf(cause)}`, {
      exitCode: exitCodeOf(cause, ExitCode.usage),
      hint: "give --report a directory that this user may write; it is made if it is not there",
      cause,
    });
  }
}

export function writeReport(directory: string, result: BenchResult): string {
  const page = join(directory, REPORT_NAME);
  writeFileSync(page, htmlReport(result));
  writeFileSync(join(directory, DATA_NAME), `${JSON.stringify(result)}\n`);
  return page;
}
