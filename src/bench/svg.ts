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
  /** Behind the title, softly. */
  readonly note?: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

/** Colours that the page has to define: --c0 … */
export const COLOURS = 8;

export const WIDTH = 640;
export const HEIGHT = 360;
const LEFT = 80;
export const RIGHT = 32;
const TOP = 36;
export const BOTTOM = 52;
const LEGEND_TOP = HEIGHT + 14;
const LEGEND_LINE = 20;
/** Of a legend: from its sample of the line to its name. */
const SAMPLE = 32;
const TICKS = 6;
/** More powers of ten than that are ticks enough. */
const FEW_DECADES = 3;
/** Of a mark: about the width of a letter, and how far it stands from its point. */
const LETTER = 7;
const MARK_AWAY = 7;
const MARK_HEIGHT = 13;
/** How much room a point takes, and how far apart the places are where a line is looked at. */
const DOT = 4;
const STEP = 3;

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

export function svgPlot({ title, note, x, y, series }: Plot): string {
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
  const height = LEGEND_TOP + LEGEND_LINE * legends.rows;
  const beside = note === undefined ? "" : `<tspan class="note" dx="10">${escapeXml(note)}</tspan>`;
  const lines = [
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeXml(title)}">`,
    `<text class="title" x="${LEFT}" y="20">${escapeXml(title)}${beside}</text>`,
  ];
  for (const tick of xs.ticks) {
    const at = fixed(atX(tick));
    lines.push(
      `<line class="grid" x1="${at}" y1="${TOP}" x2="${at}" y2="${bottom}"/>`,
      `<text class="tick" x="${at}" y="${bottom + 18}" text-anchor="middle">${escapeXml((x.format ?? compact)(tick))}</text>`,
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
    `<text class="label" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${bottom + 42}" text-anchor="middle">${escapeXml(x.label)}</text>`,
    `<text class="label" x="16" y="${middle}" text-anchor="middle" transform="rotate(-90 16 ${middle})">${escapeXml(y.label)}</text>`,
  );
  lines.push(...series.flatMap((one, i) => drawn(one, i, atX, atY)));
  const marks = new Marks(series.map((one) => one.points.map(([px, py]) => [atX(px), atY(py)])));
  for (const [i, one] of series.entries()) {
    for (const [at, mark] of (one.marks ?? []).entries()) {
      const [px, py] = one.points[at]!;
      marks.add(mark, atX(px), atY(py), colourOf(one, i));
    }
  }
  lines.push(...marks.lines, ...legends.lines, "</svg>");
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

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

type Point = readonly [x: number, y: number];

/**
 * Names of points, on the right or left of them, above or below, best where no line runs; where there is room for none of these,
 * there is none.
 */
class Marks {
  readonly lines: string[] = [];
  readonly #taken: Box[];
  readonly #inked: readonly Point[];

  constructor(lines: readonly (readonly Point[])[]) {
    this.#taken = lines
      .flat()
      .map(([x, y]) => ({ left: x - DOT, right: x + DOT, top: y - DOT, bottom: y + DOT }));
    this.#inked = lines.flatMap((points) => points.slice(1).flatMap((to, i) => between(points[i]!, to)));
  }

  add(text: string, x: number, y: number, colour: string): void {
    if (text === "") return;
    const width = text.length * LETTER;
    const boxes = [x + MARK_AWAY, x - MARK_AWAY - width].flatMap((left) =>
      [y - DOT, y + DOT + MARK_HEIGHT].map((bottom) => ({
        left,
        right: left + width,
        top: bottom - MARK_HEIGHT,
        bottom,
      })),
    );
    const free = boxes.filter((one) => this.#isFree(one));
    const box = free.find((one) => !this.#isInked(one)) ?? free[0];
    if (box === undefined) return;
    this.#taken.push(box);
    const isLeft = box.left < x;
    const anchor = isLeft ? ' text-anchor="end"' : "";
    const [at, baseline] = [fixed(isLeft ? box.right : box.left), fixed(box.bottom - 2)];
    this.lines.push(
      `<text class="mark" x="${at}" y="${baseline}"${anchor} style="fill: ${colour}">${escapeXml(text)}</text>`,
    );
  }

  #isFree({ left, right, top, bottom }: Box): boolean {
    if (left < LEFT || right > WIDTH || bottom > HEIGHT - BOTTOM) return false;
    return this.#taken.every(
      (other) => right <= other.left || left >= other.right || bottom <= other.top || top >= other.bottom,
    );
  }

  #isInked({ left, right, top, bottom }: Box): boolean {
    return this.#inked.some(([x, y]) => x > left && x < right && y > top && y < bottom);
  }
}

function between([fromX, fromY]: Point, [toX, toY]: Point): Point[] {
  const steps = Math.ceil(Math.hypot(toX - fromX, toY - fromY) / STEP);
  return Array.from({ length: steps }, (_, i) => [
    fromX + (i / steps) * (toX - fromX),
    fromY + (i / steps) * (toY - fromY),
  ]);
}

function colourOf({ besides }: Series, index: number): string {
  return `var(--c${(besides ?? index) % COLOURS})`;
}

/** Lines that share a colour differ in this. */
function dashes({ besides }: Series, index: number): string {
  if (besides !== undefined) return ' stroke-dasharray="2 4"';
  return index < COLOURS ? "" : ` stroke-dasharray="${6 * Math.floor(index / COLOURS)} 4"`;
}

interface Legend {
  readonly lines: readonly string[];
  readonly rows: number;
}

/** In two columns where all names are short. */
function legendOf(series: readonly Series[]): Legend {
  const isFirst = ({ besides, name }: Series, index: number): boolean =>
    besides === undefined ||
    series.findIndex((one) => one.besides !== undefined && one.name === name) === index;
  const shown = [...series.entries()].filter(([index, one]) => isFirst(one, index));
  const half = (WIDTH - LEFT) / 2;
  const isShort = shown.every(([, { name }]) => SAMPLE + name.length * LETTER < half);
  const rows = isShort ? Math.ceil(shown.length / 2) : shown.length;
  const lines = shown.map(([index, one], at) => {
    const y = LEGEND_TOP + LEGEND_LINE * (at % rows);
    const x = LEFT + half * Math.floor(at / rows);
    const colour = one.besides === undefined ? colourOf(one, index) : "var(--soft)";
    return (
      `<line stroke="${colour}"${dashes(one, index)} x1="${x}" y1="${y}" x2="${x + SAMPLE - 8}" y2="${y}"/>` +
      `<text class="tick" x="${x + SAMPLE}" y="${y + 4}">${escapeXml(one.name)}</text>`
    );
  });
  return { lines, rows };
}
