/**
 * The verdict of a soak: growth is told from breathing, descriptors that come and go are told.
 */
import { expect, test } from "bun:test";
import { type Sample, secondHalf, slope, trendOf } from "./soak_figures.ts";
import { memoryCurve } from "./soak_page.ts";

const LIMITS = { growthMibPerHour: 16, noiseMib: 8, leastSeconds: 600 };

function hour(rssMib: (second: number) => number, fds: (second: number) => number = () => 20): Sample[] {
  return Array.from({ length: 361 }, (_, at) => at * 10).map((second) => ({
    second,
    rssKib: rssMib(second) * 1024,
    fds: fds(second),
    cpuSeconds: second / 4,
  }));
}

test("the slope is that of the line", () => {
  expect(slope([])).toBe(0);
  expect(slope([[1, 5]])).toBe(0);
  expect(
    slope([
      [0, 1],
      [1, 3],
      [2, 5],
    ]),
  ).toBe(2);
});

test("flat, breathing and warming up are no growth", () => {
  expect(
    trendOf(
      "a",
      hour(() => 60),
      LIMITS,
    ),
  ).toMatchObject({ problems: [], slopeMibPerHour: 0, cpuPercent: 25 });
  expect(
    trendOf(
      "a",
      hour((second) => 60 + (second % 100) / 10),
      LIMITS,
    ).problems,
  ).toEqual([]);
  expect(
    trendOf(
      "a",
      hour((second) => 60 + Math.min(second, 1500) / 10),
      LIMITS,
    ).problems,
  ).toEqual([]);
});

test("growth is told, with its rate", () => {
  const { problems, slopeMibPerHour } = trendOf(
    "a",
    hour((second) => 60 + second / 100),
    LIMITS,
  );
  expect(slopeMibPerHour).toBeCloseTo(36, 6);
  expect(problems).toEqual(["a: memory grows by 36.0 MiB an hour, at most 16 are allowed"]);
});

test("so little in so short a time is none", () => {
  const short = hour((second) => 60 + second / 100).slice(0, 19);
  expect(secondHalf(short).length).toBe(10);
  expect(trendOf("a", short, LIMITS).problems).toEqual([]);
  const steep = hour((second) => 60 + second).slice(0, 19);
  expect(trendOf("a", steep, LIMITS).problems).toEqual([]);
  expect(trendOf("a", steep, { ...LIMITS, leastSeconds: 60 }).problems).toHaveLength(1);
});

test("descriptors must stay the same", () => {
  const { problems } = trendOf(
    "a",
    hour(
      () => 60,
      (second) => (second < 3000 ? 20 : 21),
    ),
    LIMITS,
  );
  expect(problems).toEqual(["a: has between 20 and 21 open descriptors, not always the same"]);
});

test("the curve has a line for each process", () => {
  const svg = memoryCurve(
    new Map([
      ["acceptor 0", hour(() => 60)],
      ["client 1", hour(() => 70)],
    ]),
  );
  expect(svg.match(/<polyline/g)).toHaveLength(2);
  expect(svg).toContain(">client 1</text>");
  expect(svg).not.toContain("NaN");
});
