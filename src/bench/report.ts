/**
 * Results as a page: one HTML file with its plots inside, which needs nothing from outside and fits a dark and a light screen;
 * beside it the figures as JSON.
 */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError, ExitCode, exitCodeOf, messageOf } from "../error.ts";
import { type HistogramData, LatencyHistogram } from "../node/latency_histogram.ts";
import { grouped } from "../text/grouped.ts";
import { type Cell, cellNames, distinctions } from "./cells.ts";
import type { BenchResult, CellResult } from "./result.ts";
import { median } from "./statistics.ts";
import { COLOURS, compact, escapeXml, type Scale, type Series, svgPlot } from "./svg.ts";
import { commonLine, floorRowsOf, roundsText, rowsOf, summaryOf } from "./table.ts";

export const REPORT_NAME = "index.html";
export const DATA_NAME = "result.json";

/** More lines than that nobody can tell apart. */
const MOST_LINES = 12;
const MOST_POINTS = 400;
/** Shares of all values, as 1 ÷ (1 − share): each tick is ten times as rare. */
const RARITIES = [1, 10, 100, 1000, 10_000, 100_000] as const;

/** Further apart than that, figures of a linear axis lie on each other at its end. */
const WIDE_SPREAD = 8;

const LIGHT = ["#1f6fb2", "#d0590a", "#1b8249", "#7b3fa0", "#cf2f80", "#0f858e", "#7a4a21", "#666666"];
const DARK = ["#6db3f2", "#ff9b57", "#7fd69a", "#c99bf0", "#ff85c0", "#5fd7dc", "#d0a880", "#b5b5b5"];

function variables(colours: readonly string[]): string {
  return colours
    .slice(0, COLOURS)
    .map((colour, i) => `--c${i}: ${colour};`)
    .join(" ");
}

const STYLE = `
:root { color-scheme: light dark; --back: #ffffff; --text: #1c1c1c; --soft: #5a5a5a; --grid: #dddddd; --bad: #b3261e; ${variables(LIGHT)} }
@media (prefers-color-scheme: dark) {
  :root { --back: #16181c; --text: #e8e8e8; --soft: #a4a8ae; --grid: #363a41; --bad: #ff8a80; ${variables(DARK)} }
}
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0.2em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9em; }
th, td { border-bottom: 1px solid var(--grid); padding: 0.25em 0.6em; text-align: right; }
th { vertical-align: bottom; } td { white-space: nowrap; }
.facts th, .facts td, .words { text-align: left; } th:first-child, td:first-child { padding-left: 0; }
.facts th { font-weight: normal; color: var(--soft); vertical-align: top; white-space: nowrap; } .facts td { white-space: normal; }
.wide { overflow-x: auto; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34em), 1fr)); gap: 1.5em 2em; }
code { overflow-wrap: anywhere; }
svg { display: block; width: 100%; min-width: 600px; max-width: 56em; height: auto; }
@media (min-width: 1100px) { svg { min-width: 0; } }
svg text { fill: var(--text); font: 13px system-ui, sans-serif; }
svg .title { font-size: 15px; font-weight: 600; }
svg .tick, svg .note, svg .mark { font-size: 12px; font-weight: normal; }
svg .tick, svg .note, p.note { fill: var(--soft); color: var(--soft); }
svg .mark { paint-order: stroke; stroke: var(--back); stroke-width: 4px; stroke-linejoin: round; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg line, svg polyline { stroke-width: 2; stroke-linejoin: round; }
p.bad { color: var(--bad); }
`;

/** Words to the left, figures to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const [titles, ...body] = rows;
  const isWords = titles!.map((_, column) => body.every((row) => !/^[\d.,]*$/.test(row[column]!)));
  const line = (cells: readonly string[], tag: string, more = ""): string => {
    const kind = (column: number): string => (isWords[column] ? ' class="words"' : "");
    const texts = cells.map((text, column) => `<${tag}${more}${kind(column)}>${escapeXml(text)}</${tag}>`);
    return `<tr>${texts.join("")}</tr>`;
  };
  const lines = body.map((cells) => line(cells, "td")).join("\n");
  return `<div class="wide"><table><thead>${line(titles!, "th", ' scope="col"')}</thead>\n<tbody>${lines}</tbody></table></div>`;
}

function facts({ machine, place, startedAt }: BenchResult): string {
  const rows: [string, string][] = [
    ["begun", `${momentOf(startedAt)} UTC`],
    ["cluster", place],
    ["processor", `${machine.cpu}, ${machine.cores} cores`],
    ["memory", `${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB`],
    ["system", `${machine.kernel}, Bun ${machine.bun}`],
    ["kpaxos", machine.kpaxos],
    [
      "load average",
      `${machine.loadBefore.join(", ")} before, ${machine.loadAfter.join(", ")} after (of 1, 5 and 15 minutes)`,
    ],
  ];
  const body = rows.map(([name, text]) => `<tr><th scope="row">${name}</th><td>${escapeXml(text)}</td></tr>`);
  return `<table class="facts">${body.join("\n")}</table>`;
}

/** To the minute; what is not a moment is left as it is. */
function momentOf(text: string): string {
  return /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)/.exec(text)?.slice(1).join(" ") ?? text;
}

function namesOf({ cells }: BenchResult): (one: CellResult) => string {
  const name = cellNames(cells.map(({ cell }) => cell));
  return ({ cell }) => name(cell);
}

/** Where all figures can be told apart. */
function scaleFor(figures: readonly number[]): Scale {
  const some = figures.filter((figure) => figure > 0);
  return Math.max(...some) >= WIDE_SPREAD * Math.min(...some) ? "log" : "linear";
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
  const parts = distinctions(result.cells.map(({ cell }) => cell));
  for (const one of result.cells) {
    const name = [...parts(one.cell), loopOf(one.cell)].join(", ");
    lines.set(name, [...(lines.get(name) ?? []), one]);
  }
  const drawn = [...lines].slice(0, MOST_LINES).map(([name, cells]) => ({
    name,
    cells: cells.toSorted((a, b) => a.cell.window - b.cell.window || (a.cell.rate ?? 0) - (b.cell.rate ?? 0)),
  }));
  const ours = drawn.map(({ name, cells }): Series => {
    const points = cells.map((one) => [summaryOf(one).valuesPerSecond, one.latencyUs[what]] as const);
    return { name, points, marks: cells.map(({ cell }) => markOf(cell)) };
  });
  const floors = drawn.map(({ cells }): Floors | undefined => {
    const beside = cells.flatMap(({ floor }) => floor ?? []);
    const points = beside.map((floor) => [floor.valuesPerSecond, floor.latencyUs[what]] as const);
    return points.length === 0 ? undefined : { points, marks: [] };
  });
  const series = withFloors(ours, floors);
  const throughputs = series.flatMap(({ points }) => points.map(([x]) => x));
  return svgPlot({
    title: `Throughput against latency, ${what}`,
    note: marksNote(drawn.flatMap(({ cells }) => cells)),
    x: { label: "throughput (values/s)", scale: scaleFor(throughputs) },
    y: { label: `latency, ${what} (µs)`, scale: "log", format: grouped },
    series,
  });
}

function loopOf({ rate, halfOfWindow }: Cell): string {
  if (rate === null) return "closed loop";
  return halfOfWindow === undefined ? "open loop" : "open loop at half of that";
}

/** The window of an open loop is a bound, not a load. */
function markOf({ rate, window, halfOfWindow }: Cell): string {
  if (halfOfWindow !== undefined) return `½ ${grouped(halfOfWindow)}`;
  return rate === null ? grouped(window) : compact(rate);
}

/** What the names of points are: of those that there are. */
function marksNote(cells: readonly CellResult[]): string {
  const has = (is: (cell: Cell) => boolean): boolean => cells.some(({ cell }) => is(cell));
  const words = [
    ...(has(({ rate }) => rate === null) ? ["window"] : []),
    ...(has(({ rate, halfOfWindow }) => rate !== null && halfOfWindow === undefined)
      ? ["values/s asked for"]
      : []),
    ...(has(({ halfOfWindow }) => halfOfWindow !== undefined) ? ["½: half of what it reached"] : []),
  ];
  return `numbers: ${words.join("; ")}`;
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

function distributionPlot(cells: readonly CellResult[], nameOf: (one: CellResult) => string): string {
  const ours = cells.map((one): Series => ({ name: nameOf(one), points: distributionOf(one.histogram) }));
  const floors = cells.map(({ floor }): Floors | undefined =>
    floor === undefined ? undefined : { points: distributionOf(floor.histogram) },
  );
  return svgPlot({
    title: "Latency distribution",
    x: { label: "latency (µs)", scale: "log", format: grouped },
    y: {
      label: "share of values not slower (%)",
      scale: "log",
      ticks: RARITIES,
      format: (rarity) => `${Number((100 * (1 - 1 / rarity)).toFixed(3))}`,
    },
    series: withFloors(ours, floors),
  });
}

function timePlot(cells: readonly CellResult[], nameOf: (one: CellResult) => string): string {
  const rates = cells.flatMap(({ series }) =>
    series.length === 0 ? [] : [median(series.map(([, rate]) => rate))],
  );
  const scale = scaleFor(rates);
  return svgPlot({
    title: "Throughput over time",
    note: "first round",
    x: { label: "time (s)", scale: "linear" },
    y: { label: "throughput (values/s)", scale },
    series: cells.map((one) => ({ name: nameOf(one), points: one.series })),
  });
}

/** One load alone has nothing to be drawn against. */
function plotsOf(result: BenchResult, nameOf: (one: CellResult) => string): string {
  const cells = result.cells.slice(0, MOST_LINES);
  const left = result.cells.length - cells.length;
  const plots = [
    ...(result.cells.length > 1 ? [throughputPlot(result, "p50"), throughputPlot(result, "p99")] : []),
    distributionPlot(cells, nameOf),
    timePlot(cells, nameOf),
  ];
  return `<h2>Plots</h2>
${left > 0 ? `<p class="note">Of ${result.cells.length} loads the first ${cells.length} are drawn.</p>` : ""}
<div class="plots">
${plots.map((plot) => `<div class="wide">${plot}</div>`).join("\n")}
</div>`;
}

function coresTable(result: BenchResult, nameOf: (one: CellResult) => string): string {
  const summaries = result.cells.map(summaryOf);
  const roles = [...new Set(summaries.flatMap(({ coresByRole }) => [...coresByRole.keys()]))];
  const rows = result.cells.map((one, i) => [
    nameOf(one),
    ...roles.map((role) => summaries[i]!.coresByRole.get(role)?.toFixed(2) ?? ""),
    grouped(summaries[i]!.residentBytes / 1e6),
  ]);
  return table([["load", ...roles, "MB of the largest process"], ...rows]);
}

/** What failed, and what was lost. */
function badNews({ cells, failures }: BenchResult, nameOf: (one: CellResult) => string): string {
  const late = cells.flatMap((one) => {
    const { unanswered } = summaryOf(one);
    return unanswered > 0 ? [`${nameOf(one)}: ${grouped(unanswered)} values did not come back in time`] : [];
  });
  const failed = failures.map(({ cell, why }) => `Failed: ${cell}: ${why}`);
  return [...failed, ...late].map((text) => `<p class="bad">${escapeXml(text)}.</p>`).join("\n");
}

/** With a unit in each title: on a page they are not read across. */
function withUnits([titles, ...rows]: string[][]): string[][] {
  return [titles!.map((title) => (/^(p[\d.]+|max)$/.test(title) ? `${title} µs` : title)), ...rows];
}

function floorSection(result: BenchResult, nameOf: (one: CellResult) => string): string {
  const rows = floorRowsOf(result, nameOf);
  if (rows.length === 0) return "";
  return `<h2>The floor</h2>
<p>Phase 2 in plain C and nothing else, right before odd rounds and right behind even ones, on the same hosts, with the same load; beside half of a load half of its own
maximum. A latency that it misses, too, is the machine's.</p>
${table(withUnits(rows))}`;
}

export function htmlReport(result: BenchResult): string {
  const { machine, startedAt, commandLine } = result;
  const nameOf = namesOf(result);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeXml(`kpaxos bench: ${machine.cpu}, ${momentOf(startedAt)}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>kpaxos bench on ${escapeXml(`${machine.cpu}, ${machine.cores} cores`)}</h1>
<p><code>${escapeXml(commandLine)}</code></p>
${facts(result)}
<h2>Results</h2>
<p>${escapeXml(commonLine(result))}. ${roundsText(result)}.</p>
${table(withUnits(rowsOf(result)))}
${badNews(result, nameOf)}
<p class="note">In an open loop latency counts from when a value was to be sent. In a closed loop it counts from its sending, and is corrected
for the values that were not sent while others were waited for; the figures without that are in ${DATA_NAME}.${
    result.noFloor === null ? "" : ` No floor: ${escapeXml(result.noFloor)}.`
  }</p>
${floorSection(result, nameOf)}
<h2>Cores kept busy</h2>
<p>By the busiest process of each kind.</p>
${coresTable(result, nameOf)}
${plotsOf(result, nameOf)}
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
