/**
 * A soak as a page: Markdown with its figures, and the memory of each process over time as an SVG.
 */
import type { Sample, Trend } from "./soak_figures.ts";

export interface SoakPage {
  readonly title: string;
  readonly command: string;
  readonly date: string;
  readonly machine: string;
  readonly seconds: number;
  /** Long enough for a word about growth. */
  readonly isLong: boolean;
  readonly values: number;
  /** Values a second in the first and in the second half. */
  readonly rates: readonly [first: number, second: number];
  readonly position: number;
  readonly trimmed: number;
  readonly trends: readonly Trend[];
  readonly problems: readonly string[];
  /** File name of the curve, beside the page. */
  readonly curve: string;
}

const WIDTH = 860;
const HEIGHT = 380;
const LEFT = 60;
const TOP = 20;
const RIGHT = 150;
const BOTTOM = 45;
const COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f"];

export function markdown(page: SoakPage): string {
  const rows = page.trends.map((trend) => {
    const { process, firstMib, lastMib, mostMib, slopeMibPerHour, fewestFds, mostFds, cpuPercent } = trend;
    const memory = [firstMib, lastMib, mostMib, slopeMibPerHour].map((mib) => mib.toFixed(1)).join(" | ");
    const fds = fewestFds === mostFds ? `${mostFds}` : `${fewestFds}–${mostFds}`;
    return `| ${process} | ${memory} | ${fds} | ${cpuPercent.toFixed(0)} |`;
  });
  const memory = page.isLong ? "memory does not grow" : "too short a run for a word about memory";
  const verdict =
    page.problems.length === 0
      ? `No process ended, descriptors stay the same, ${memory}.`
      : page.problems.map((problem) => `- ${problem}`).join("\n");
  const [first, second] = page.rates;
  return `# ${page.title}

${verdict}

\`${page.command}\`, ${page.date}, ${page.machine}.

${page.values} values in ${(page.seconds / 60).toFixed(1)} minutes: ${Math.round(first)} a second in the first half,
${Math.round(second)} in the second; delivered up to instance ${page.position}, trimmed to ${page.trimmed}.

![Memory of each process over time](${page.curve})

Memory is the resident set in MiB: after half the time, at the end, the most at any time, and the slope an hour of the
second half by least squares. Descriptors and CPU (percent of one core) are of the second half.

| process | half | end | most | MiB/h | descriptors | CPU % |
|---|---:|---:|---:|---:|---:|---:|
${rows.join("\n")}
`;
}

/** A round number of about `span / 6`. */
function step(span: number): number {
  const rough = Math.max(span / 6, 1e-9);
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
}

export function memoryCurve(series: ReadonlyMap<string, readonly Sample[]>): string {
  const all = [...series.values()].flat();
  const minutes = Math.max(...all.map(({ second }) => second), 1) / 60;
  const mib = Math.max(...all.map(({ rssKib }) => rssKib), 1024) / 1024;
  const top = Math.ceil((mib * 1.05) / step(mib)) * step(mib);
  const x = (minute: number): number => LEFT + (minute / minutes) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const parts: string[] = [];
  const text = (at: readonly [number, number], anchor: string, words: string): void => {
    parts.push(
      `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" text-anchor="${anchor}">${words}</text>`,
    );
  };
  for (let value = 0; value <= top; value += step(mib)) {
    parts.push(`<path d="M${LEFT} ${y(value).toFixed(1)}H${WIDTH - RIGHT}" stroke="#ddd"/>`);
    text([LEFT - 6, y(value) + 4], "end", `${value}`);
  }
  const every = step(minutes);
  for (let at = 0; at <= minutes + every / 1000; at += every) {
    text([x(at), HEIGHT - BOTTOM + 18], "middle", `${Number(at.toPrecision(3))}`);
  }
  text([LEFT, TOP - 6], "end", "MiB");
  text([(LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8], "middle", "minutes");
  for (const [at, [name, samples]] of [...series].entries()) {
    const colour = COLOURS[at % COLOURS.length]!;
    const points = samples.map(
      ({ second, rssKib }) => `${x(second / 60).toFixed(1)},${y(rssKib / 1024).toFixed(1)}`,
    );
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points.join(" ")}"/>`,
      `<path d="M${WIDTH - RIGHT + 12} ${TOP + 6 + at * 18}h18" stroke="${colour}" stroke-width="3"/>`,
    );
    text([WIDTH - RIGHT + 36, TOP + 10 + at * 18], "start", name);
  }
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">\n<title>Memory of each process over time</title>`;
  return `${open}\n<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>\n${parts.join("\n")}\n</svg>\n`;
}
