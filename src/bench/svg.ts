/**
 * Line plots as SVG text: axes with units, linear or logarithmic, a legend, nothing from outside. Colours are the page's (CSS
 * variables), so that they fit a dark and a light one. Pure.
 */

export type Scale = "linear" | "log";

export interface Axis {
  /** With its unit. */
  readonly label: string;
  readonly scale: Scale;
  /** How a tick is written; without it, as a number. */
  readonly format?: (value: number) => string;
  /** Where ticks stand; without it, at round numbers. */
  readonly ticks?: readonly number[];
}

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Each point is marked and may have a name. */
  readonly marks?: readonly string[];
}

export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

/** Colours that the page has to define: --c0 … */
export const COLOURS = 8;

const WIDTH = 760;
const HEIGHT = 400;
const LEFT = 74;
const RIGHT = 20;
const TOP = 34;
const BOTTOM = 50;
const LEGEND_LINE = 18;
const TICKS = 6;

export function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** 1,000,000 as 1M. */
export function compact(value: number): string {
  const size = Math.abs(value);
  const [by, unit] = size >= 1e9 ? [1e9, "G"] : size >= 1e6 ? [1e6, "M"] : size >= 1e3 ? [1e3, "k"] : [1, ""];
  return `${Number((value / by).toPrecision(3))}${unit}`;
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

/** 1, 2 or 5 times a power of ten, at least `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= step * 0.999) ?? step;
}

function linearRange(most: number): Range {
  const step = roundStep((most > 0 ? most : 1) / TICKS);
  const count = Math.max(1, Math.ceil(most / step - 1e-9));
  const ticks = Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
  return { from: 0, to: count * step, ticks };
}

function logRange(values: readonly number[]): Range {
  const some = values.filter((value) => value > 0);
  const first = Math.floor(Math.log10(Math.min(...some, 1e12)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...some, 10 ** (first + 1)))));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
  return { from: 10 ** first, to: 10 ** last, ticks };
}

function rangeOf(axis: Axis, values: readonly number[]): Range {
  if (axis.ticks !== undefined) {
    return { from: axis.ticks[0]!, to: axis.ticks.at(-1)!, ticks: axis.ticks };
  }
  if (values.length === 0) return linearRange(1);
  return axis.scale === "log" ? logRange(values) : linearRange(Math.max(...values));
}

function place(axis: Axis, range: Range, start: number, end: number): (value: number) => number {
  const scaled = (value: number): number =>
    axis.scale === "log" ? Math.log10(Math.max(value, range.from)) : value;
  const [from, to] = [scaled(range.from), scaled(range.to)];
  return (value) => start + ((scaled(value) - from) / (to - from)) * (end - start);
}

const fixed = (number: number): string => String(Math.round(number * 10) / 10);

export function svgPlot({ title, x, y, series }: Plot): string {
  const points = series.flatMap((one) => one.points);
  const xs = rangeOf(
    x,
    points.map(([at]) => at),
  );
  const ys = rangeOf(
    y,
    points.map(([, at]) => at),
  );
  const bottom = HEIGHT - BOTTOM;
  const atX = place(x, xs, LEFT, WIDTH - RIGHT);
  const atY = place(y, ys, bottom, TOP);
  const height = HEIGHT + LEGEND_LINE * series.length;
  const lines = [
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeXml(title)}">`,
    `<text class="title" x="${LEFT}" y="20">${escapeXml(title)}</text>`,
  ];
  for (const tick of xs.ticks) {
    const at = fixed(atX(tick));
    lines.push(
      `<line class="grid" x1="${at}" y1="${TOP}" x2="${at}" y2="${bottom}"/>`,
      `<text class="tick" x="${at}" y="${bottom + 16}" text-anchor="middle">${escapeXml((x.format ?? compact)(tick))}</text>`,
    );
  }
  for (const tick of ys.ticks) {
    const at = fixed(atY(tick));
    lines.push(
      `<line class="grid" x1="${LEFT}" y1="${at}" x2="${WIDTH - RIGHT}" y2="${at}"/>`,
      `<text class="tick" x="${LEFT - 8}" y="${fixed(atY(tick) + 4)}" text-anchor="end">${escapeXml((y.format ?? compact)(tick))}</text>`,
    );
  }
  const middle = (TOP + bottom) / 2;
  lines.push(
    `<text class="label" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${bottom + 38}" text-anchor="middle">${escapeXml(x.label)}</text>`,
    `<text class="label" x="16" y="${middle}" text-anchor="middle" transform="rotate(-90 16 ${middle})">${escapeXml(y.label)}</text>`,
  );
  series.forEach((one, i) => {
    lines.push(...drawn(one, i, atX, atY), legend(one, i));
  });
  lines.push("</svg>");
  return lines.join("\n");
}

function drawn(
  { points, marks }: Series,
  index: number,
  atX: (value: number) => number,
  atY: (value: number) => number,
): string[] {
  const colour = `var(--c${index % COLOURS})`;
  const path = points.map(([x, y]) => `${fixed(atX(x))},${fixed(atY(y))}`).join(" ");
  const line = `<polyline fill="none" stroke="${colour}"${dashes(index)} points="${path}"/>`;
  const lines = points.length > 1 ? [line] : [];
  if (marks === undefined && points.length > 1) return lines;
  points.forEach(([x, y], i) => {
    const [cx, cy] = [fixed(atX(x)), fixed(atY(y))];
    lines.push(`<circle fill="${colour}" cx="${cx}" cy="${cy}" r="3.5"/>`);
    const mark = marks?.[i] ?? "";
    if (mark !== "")
      lines.push(
        `<text class="mark" x="${fixed(atX(x) + 6)}" y="${fixed(atY(y) - 6)}">${escapeXml(mark)}</text>`,
      );
  });
  return lines;
}

/** Lines that share a colour differ in this. */
function dashes(index: number): string {
  return index < COLOURS ? "" : ` stroke-dasharray="${6 * Math.floor(index / COLOURS)} 4"`;
}

function legend({ name }: Series, index: number): string {
  const y = HEIGHT + LEGEND_LINE * index;
  return (
    `<line stroke="var(--c${index % COLOURS})"${dashes(index)} x1="${LEFT}" y1="${y}" x2="${LEFT + 24}" y2="${y}"/>` +
    `<text class="tick" x="${LEFT + 32}" y="${y + 4}">${escapeXml(name)}</text>`
  );
}
