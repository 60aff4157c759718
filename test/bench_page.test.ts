/**
 * The page of `kpaxos bench --report`: its plots, its tables, and that it needs nothing but itself.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { htmlReport, writeReport } from "../src/bench/report.ts";
import { readResult } from "../src/bench/result.ts";
import { BOTTOM, compact, HEIGHT, RIGHT, type Series, svgPlot, WIDTH } from "../src/bench/svg.ts";
import { benchResult, besideFloor, cellResult, roundOf } from "./support/bench_result.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "kpaxos-bench-test-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Every tag is closed by its own, and attributes are quoted: enough for a page that has no scripts. */
function expectWellFormed(text: string, empty: readonly string[]): void {
  const open: string[] = [];
  const body = text.replace(/<style>.*?<\/style>/s, "").replace(/<!doctype html>/, "");
  for (const [tag, slash, name, rest, self] of body.matchAll(
    /<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w-]+="[^"<>]*")*)\s*(\/?)>/g,
  )) {
    expect({ tag, rest }).toEqual({ tag, rest: rest! });
    if (slash === "/") expect(open.pop()).toBe(name!);
    else if (self !== "/" && !empty.includes(name!)) open.push(name!);
  }
  expect(open).toEqual([]);
  // No bracket outside of a tag.
  expect(body.replace(/<\/?[a-zA-Z][^<>]*>/g, "")).not.toMatch(/[<>]/);
  expect(body.replace(/&(?:amp|lt|gt|quot);/g, "")).not.toContain("&");
}

function plotOf(points: readonly (readonly [number, number])[]): string {
  const x = { label: "x (s)", scale: "linear" } as const;
  return svgPlot({ title: "t", x, y: { label: "y (µs)", scale: "log" }, series: [{ name: "one", points }] });
}

describe("a page", () => {
  const cells = [1, 100, 1000].map((window) => cellResult([roundOf(window * 1000)], { window }));
  const half = cellResult([roundOf(500)], { window: 4096, rate: 500, halfOfWindow: 1 });

  test("has all plots, is well-formed and needs nothing from outside", () => {
    const page = htmlReport(benchResult([...cells, half]));
    expectWellFormed(page, ["meta"]);
    expect(page.match(/<svg/g)).toHaveLength(4);
    for (const label of [
      "throughput (values/s)",
      "latency (µs)",
      "time (s)",
      "share of values not slower (%)",
    ])
      expect(page).toContain(label);
    expect(page).toContain("cluster=&lt;a &amp; b&gt;");
    expect(page).toContain("prefers-color-scheme: dark");
    expect(page).not.toMatch(/https?:|\bsrc=|\bhref=|@import|url\(|<script|NaN|undefined|Infinity/);
  });

  test("shows the floor beside what it is beside of, and names it once", () => {
    const page = htmlReport(benchResult([besideFloor(cells[1]!, null, 50), besideFloor(half, 900, 60)]));
    expectWellFormed(page, ["meta"]);
    expect(page).toContain("<h2>The floor</h2>");
    // In both plots of throughput, and in that of latencies.
    expect(page.match(/>the floor, beside the line of the same colour</g)).toHaveLength(3);
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
    expect(htmlReport(benchResult(cells))).not.toContain("floor");
  });

  test("of one round, or of nothing delivered, is a page all the same", () => {
    for (const one of [cellResult([roundOf(0, 0)]), { ...cells[0]!, series: [] }])
      expectWellFormed(htmlReport(benchResult([one])), ["meta"]);
  });

  test("names nothing that is not there: halves, windows, rates, plots of one point", () => {
    const closed = htmlReport(benchResult(cells));
    expect(closed).not.toContain("½");
    expect(closed.match(/>numbers: window</g)).toHaveLength(2);
    const halved = htmlReport(benchResult([...cells, half]));
    expect(halved).toContain(">numbers: window; ½: half of what it reached<");
    expect(halved).toContain(">open loop at half of that<");
    const rates = [1000, 30_000].map((rate) => cellResult([roundOf(rate)], { rate, window: 4096 }));
    const open = htmlReport(benchResult(rates));
    expect(open).toContain(">numbers: values/s asked for<");
    // A point's name, and the line's in each legend.
    for (const text of [">30k</text>", ">open loop<", ">30,000 values/s<"]) expect(open).toContain(text);
    expect(open).not.toContain("window 4,096");
    const one = htmlReport(benchResult(cells.slice(0, 1)));
    expect(one.match(/<svg/g)).toHaveLength(2);
    expect(one).not.toContain("Throughput against latency");
  });

  test("says in its title which machine and which command, and in names what differs only", () => {
    const wires = ["native", "kernel-paxos"].flatMap((wire) =>
      [64, 1000].map((size) => cellResult([roundOf(100)], { wire, size })),
    );
    const page = htmlReport(benchResult(wires));
    expectWellFormed(page, ["meta"]);
    expect(page).toContain("<title>kpaxos bench: Test CPU, 2026-11-22 10:00</title>");
    expect(page).toContain("<h1>kpaxos bench on Test CPU, 2 cores</h1>\n<p><code>kpaxos bench --settings");
    expect(page).toContain(">kernel-paxos, 1,000 B, closed loop<");
    expect(page).toContain(">native, 64 B, window 100<");
    // Words to the left, figures to the right, each with its unit.
    expect(page).toContain('<th scope="col" class="words">wire</th>');
    for (const title of ["bytes", "p99 µs", "max µs"])
      expect(page).toContain(`<th scope="col">${title}</th>`);
    expect(page).toContain("<td>1,000</td>");
  });

  test("draws figures that lie far apart on a logarithmic axis, others from zero", () => {
    const over = (...rates: readonly number[]): string => {
      const drawn = rates.map((rate, window) => ({
        ...cellResult([roundOf(rate)], { window }),
        series: [[0.5, rate] as const, [1, rate] as const],
      }));
      return htmlReport(benchResult(drawn)).split("Throughput over time")[2]!;
    };
    const heights = (plot: string): number[] =>
      [...plot.matchAll(/points="[\d.]+,([\d.]+)/g)].map(([, y]) => Number(y));
    const [low, middle, high] = heights(over(1000, 30_000, 900_000));
    expect(low! - middle!).toBeCloseTo(middle! - high!, 0);
    expect(low! - middle!).toBeGreaterThan(80);
    expect(over(1000, 3000)).toContain(">0</text>\n<line");
    expect(over(1000, 3000)).toContain(">2k<");
  });

  test("shows what failed and what was lost, in a colour of its own", () => {
    const lossy = cellResult([{ ...roundOf(100), unanswered: 1234 }]);
    const failures = [{ cell: "native <x>", why: "no quorum" }];
    const page = htmlReport(benchResult([lossy, ...cells], { failures }));
    expectWellFormed(page, ["meta"]);
    expect(page).toContain('<p class="bad">Failed: native &lt;x&gt;: no quorum.</p>');
    expect(page).toContain('<p class="bad">window 100: 1,234 values did not come back in time.</p>');
    expect(htmlReport(benchResult(cells))).not.toContain('class="bad"');
  });

  test("can be read on a narrow screen: plots keep their size and scroll, as tables do", () => {
    const page = htmlReport(benchResult(cells));
    const least = Number(/svg \{[^}]*min-width: (\d+)px/.exec(page)![1]);
    const letters = Number(/svg \.tick[^}]*font-size: (\d+)px/.exec(page)![1]);
    expect((letters * least) / WIDTH).toBeGreaterThan(10);
    expect(page).toContain(".wide { overflow-x: auto; }");
    expect(page.match(/<div class="wide"><(svg|table)/g)).toHaveLength(4 + 2);
  });

  test("is written with its figures beside it", () => {
    const page = writeReport(directory, benchResult(cells));
    expect(readFileSync(page, "utf8")).toContain("</html>");
    expect(readResult(join(directory, "result.json")).cells).toHaveLength(3);
  });

  test("its plots have ticks at round numbers, and points in their frame", () => {
    const plot = plotOf([
      [0, 3],
      [830_000, 40_000],
    ]);
    expectWellFormed(plot, []);
    for (const tick of [">0<", ">200k<", ">1M<", ">1<", ">100k<"]) expect(plot).toContain(tick);
    for (const [, x, y] of plot.matchAll(/([\d.]+),([\d.]+)/g)) {
      expect(Number(x)).toBeLessThanOrEqual(WIDTH - RIGHT);
      expect(Number(y)).toBeLessThanOrEqual(HEIGHT - BOTTOM);
    }
    const narrow = plotOf([
      [0, 130],
      [1, 420],
    ]);
    // Few powers of ten have ticks between them, and the plot ends at one of these.
    for (const tick of [">100<", ">200<", ">500<"]) expect(narrow).toContain(tick);
    expect(narrow).not.toContain(">1k<");
    expect([0, 999, 1500, 2_000_000, 3e9].map(compact)).toEqual(["0", "999", "1.5k", "2M", "3G"]);
  });

  test("names of points do not lie on each other, nor beyond the edge", () => {
    const at = (x: number): [number, number][] => [[x, 100]];
    const series = [0.5, 0.5, 0.5, 0.5, 0.5, 1].map((x) => ({
      name: "one",
      points: at(x),
      marks: ["12345"],
    }));
    const plot = svgPlot({
      title: "t",
      x: { label: "x (s)", scale: "linear" },
      y: { label: "y (µs)", scale: "linear" },
      series,
    });
    const marks = [...plot.matchAll(/class="mark" x="([\d.]+)" y="([\d.]+)"( text-anchor="end")?/g)];
    // On the right and on the left, above and below, and the fifth left out; the one at the edge stands on the left of its point.
    expect(marks).toHaveLength(5);
    expect(marks.map(([, , , isLeft]) => isLeft !== undefined)).toEqual([false, false, true, true, true]);
    expect(Number(marks[4]![1])).toBeLessThan(WIDTH);
    for (const [one, other] of [
      [0, 1],
      [2, 3],
    ] as const)
      expect(Math.abs(Number(marks[one]![2]) - Number(marks[other]![2]))).toBeGreaterThanOrEqual(12);
  });

  test("a name of a point stands where no line runs, and behind it is none", () => {
    const points = [
      [0, 0],
      [10, 10],
    ] as const;
    const axis = { label: "x (s)", scale: "linear" } as const;
    const plotOf = (more: readonly Series[]): string =>
      svgPlot({
        title: "t",
        x: axis,
        y: { ...axis, ticks: [0, 20] },
        series: [{ name: "one", points: [[5, 5]], marks: ["here"] }, ...more],
      });
    const heightOf = (plot: string): number => Number(/class="mark"[^>]* y="([\d.]+)"/.exec(plot)![1]);
    // A rising line runs through what is above the point, on the right.
    expect(heightOf(plotOf([{ name: "two", points }]))).toBeGreaterThan(heightOf(plotOf([])));
    expect(htmlReport(benchResult(cells))).toContain("paint-order: stroke; stroke: var(--back)");
  });
});
