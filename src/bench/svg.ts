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
  /** Belongs to the series at this place: has its colour, is dotted, and the legend has its name but once. */
  readonly besides?: number;
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
const LEGEND_TOP = HEIGHT + 12;
const LEGEND_LINE = 18;
const TICKS = 6;
/** More powers of ten than that are ticks enough. */
const FEW_DECADES = 3;
/** Of a mark: about the width of a letter, and how far it stands from its point. */
const LETTER = 6.5;
const MARK_AWAY = 6;
const MARK_HEIGHT = 12;

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
  const [least, most] = some.length === 0 ? [1, 10] : [Math.min(...some), Math.max(...some)];
  const first = Math.floor(Math.log10(least));
  const last = Math.max(first + 1, Math.ceil(Math.log10(most)));
  const powers = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
  if (last - first > FEW_DECADES) return { from: 10 ** first, to: 10 ** last, ticks: powers };
  const fine = powers.flatMap((power) => [power, 2 * power, 5 * power]);
  const from = fine.findLast((tick) => tick <= least * 1.001) ?? 10 ** first;
  const to = fine.find((tick) => tick >= most * 0.999 && tick >= 2 * from) ?? 10 ** last;
  return { from, to, ticks: fine.filter((tick) => tick >= from && tick <= to) };
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
  const legends = legendOf(series);
  const height = LEGEND_TOP + LEGEND_LINE * legends.length;
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
  const marks = new Marks();
  for (const [i, one] of series.entries()) {
    lines.push(...drawn(one, i, atX, atY));
    for (const [at, mark] of (one.marks ?? []).entries()) {
      const [px, py] = one.points[at]!;
      marks.add(mark, atX(px), atY(py));
    }
  }
  lines.push(...marks.lines, ...legends, "</svg>");
  return lines.join("\n");
}

function drawn(
  one: Series,
  index: number,
  atX: (value: number) => number,
  atY: (value: number) => number,
): string[] {
  const { points, marks } = one;
  const colour = colourOf(one, index);
  const path = points.map(([x, y]) => `${fixed(atX(x))},${fixed(atY(y))}`).join(" ");
  const line = `<polyline fill="none" stroke="${colour}"${dashes(one, index)} points="${path}"/>`;
  const lines = points.length > 1 ? [line] : [];
  if (marks === undefined && points.length > 1) return lines;
  const fill = one.besides === undefined ? colour : "var(--back)";
  for (const [x, y] of points) {
    const [cx, cy] = [fixed(atX(x)), fixed(atY(y))];
    lines.push(`<circle fill="${fill}" stroke="${colour}" cx="${cx}" cy="${cy}" r="3.5"/>`);
  }
  return lines;
}

/** Names of points, above them or below; where there is room for neither, there is none. */
class Marks {
  readonly lines: string[] = [];
  readonly #taken: (readonly [from: number, to: number, baseline: number])[] = [];

  add(text: string, x: number, y: number): void {
    if (text === "") return;
    const width = text.length * LETTER;
    const isLeft = x + MARK_AWAY + width > WIDTH;
    const from = isLeft ? x - MARK_AWAY - width : x + MARK_AWAY;
    const baselines = [y - MARK_AWAY, y + MARK_AWAY + MARK_HEIGHT / 2];
    const baseline = baselines.find((one) => this.#isFree(from, from + width, one));
    if (baseline === undefined) return;
    this.#taken.push([from, from + width, baseline]);
    const anchor = isLeft ? ' text-anchor="end"' : "";
    const at = fixed(isLeft ? from + width : from);
    this.lines.push(`<text class="mark" x="${at}" y="${fixed(baseline)}"${anchor}>${escapeXml(text)}</text>`);
  }

  #isFree(from: number, to: number, baseline: number): boolean {
    if (baseline > HEIGHT - BOTTOM) return false;
    return this.#taken.every(
      ([left, right, other]) => to < left || from > right || Math.abs(baseline - other) >= MARK_HEIGHT,
    );
  }
}

function colourOf({ besides }: Series, index: number): string {
  return `var(--c${(besides ?? index) % COLOURS})`;
}

/** Lines that share a colour differ in this. */
function dashes({ besides }: Series, index: number): string {
  if (besides !== undefined) return ' stroke-dasharray="2 4"';
  return index < COLOURS ? "" : ` stroke-dasharray="${6 * Math.floor(index / COLOURS)} 4"`;
}

function legendOf(series: readonly Series[]): string[] {
  const isFirst = ({ besides, name }: Series, index: number): boolean =>
    besides === undefined ||
    series.findIndex((one) => one.besides !== undefined && one.name === name) === index;
  const shown = [...series.entries()].filter(([index, one]) => isFirst(one, index));
  return shown.map(([index, one], row) => {
    const y = LEGEND_TOP + LEGEND_LINE * row;
    const colour = one.besides === undefined ? colourOf(one, index) : "var(--soft)";
    return (
      `<line stroke="${colour}"${dashes(one, index)} x1="${LEFT}" y1="${y}" x2="${LEFT + 24}" y2="${y}"/>` +
      `<text class="tick" x="${LEFT + 32}" y="${y + 4}">${escapeXml(one.name)}</text>`
    );
  });
}
