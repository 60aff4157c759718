/**
 * What `kpaxos bench --preset targets` says of a goal: reached, missed, or that its rounds lie on both sides.
 */
import { describe, expect, test } from "bun:test";
import {
  absoluteTarget,
  commitTarget,
  latencyTarget,
  rateTarget,
  shareTarget,
  tailTarget,
  wireTarget,
} from "../src/bench/goals.ts";
import type { CellResult, Round } from "../src/bench/result.ts";
import { atLeast, atMost, quotientOf, rangeText, verdictOf } from "../src/bench/verdicts.ts";
import { besideFloor, cellResult, roundOf } from "./support/bench_result.ts";

test("a goal is too close to tell where some rounds reach it and others do not", () => {
  const range = (low: number, high: number) => ({ low, high });
  expect(verdictOf(range(1.1, 1.3), atMost(1.2))).toBe("too close to tell");
  expect(verdictOf(range(1.1, 1.2), atMost(1.2))).toBe("reached");
  expect(verdictOf(range(1.21, 1.3), atMost(1.2))).toBe("missed");
  expect(verdictOf(range(0.7, 0.9), atLeast(0.8))).toBe("too close to tell");
  expect(verdictOf(range(0.8, 0.9), atLeast(0.8))).toBe("reached");
  expect(verdictOf(range(0.7, 0.79), atLeast(0.8))).toBe("missed");
});

test("where nothing came back there is no verdict, or one side at most", () => {
  const [none, some] = [
    { low: 0, high: 0 },
    { low: 0, high: 2 },
  ];
  const nothing = quotientOf(none, none);
  expect([rangeText(nothing), verdictOf(nothing, atLeast(1))]).toEqual(["rounds' ratios ? to ?", null]);
  const open = quotientOf({ low: 1, high: 2 }, some);
  expect([rangeText(open), verdictOf(open, atLeast(1))]).toEqual([
    "rounds' ratios 0.50 to ?",
    "too close to tell",
  ]);
});

describe("beside the floor", () => {
  // It has 4000 values a second and 50 µs.
  const beside = (...rounds: readonly Round[]): CellResult => besideFloor(cellResult(rounds), null, 50);

  test("latency counts by the rounds' ratios", () => {
    const close = beside(roundOf(1, 55), roundOf(1, 58), roundOf(1, 62));
    expect(latencyTarget("it", close, 1.2, "")).toEqual({
      what: "it",
      goal: "p50 at most 1.2 × floor",
      measured: "58 µs, floor 50 µs; rounds' ratios 1.10 to 1.24",
      ratio: 1.16,
      verdict: "too close to tell",
    });
    expect(latencyTarget("it", close, 1.3, "").verdict).toBe("reached");
    expect(latencyTarget("it", close, 1, "").verdict).toBe("missed");
  });

  test("so does throughput", () => {
    const close = beside(roundOf(3000), roundOf(3600), roundOf(4400));
    expect(rateTarget("it", close, 0.8, 0.95, "")).toMatchObject({
      goal: "values/s at least 0.8 × floor (0.95 aimed at)",
      measured: "3,600, floor 4,000; rounds' ratios 0.75 to 1.10",
      ratio: 0.9,
      verdict: "too close to tell",
    });
    expect(rateTarget("it", close, 0.75, undefined, "").verdict).toBe("reached");
    expect(rateTarget("it", close, 1.2, undefined, "").verdict).toBe("missed");
  });

  test("there is no verdict without one, or where it lost values in each round", () => {
    const alone = latencyTarget("it", cellResult([roundOf(1)]), 1.2, "no C compiler");
    expect(alone).toMatchObject({ measured: "no C compiler", ratio: null, verdict: null });
    const lossy = besideFloor(cellResult([roundOf(1)]), null, 50, 3);
    for (const one of [latencyTarget("it", lossy, 1.2, "no"), rateTarget("it", lossy, 1, undefined, "no")])
      expect(one).toMatchObject({ measured: "the floor lost values in each round", verdict: null });
  });

  test("more acceptors keep a share of what three have, as the floor does", () => {
    const three = beside(roundOf(8000), roundOf(8400), roundOf(7600));
    const five = {
      ...beside(roundOf(6000), roundOf(6600), roundOf(6000)),
      cell: { ...three.cell, acceptors: 5 },
    };
    // The floor beside both is the same: it keeps all.
    expect(shareTarget(five, three, "")).toMatchObject({
      what: "5 acceptors, window 100, packed",
      measured: "0.75, floor 1.00; rounds' ratios 0.71 to 0.87",
      ratio: 0.75,
      verdict: "missed",
    });
    expect(shareTarget(three, three, "").verdict).toBe("too close to tell");
    expect(shareTarget(cellResult([roundOf(0)]), cellResult([roundOf(0)]), "").measured).toBe(
      "too little came back",
    );
    expect(shareTarget(cellResult([roundOf(1)]), three, "no floor").measured).toBe("no floor");
  });
});

test("values a second count round by round", () => {
  const one = cellResult([roundOf(900), roundOf(1100), roundOf(1200)]);
  expect(absoluteTarget("it", one, 1000)).toMatchObject({
    measured: "1,100; rounds' ratios 0.90 to 1.20",
    ratio: 1.1,
    verdict: "too close to tell",
  });
  expect(absoluteTarget("it", one, 900).verdict).toBe("reached");
  expect(absoluteTarget("it", one, 1201).verdict).toBe("missed");
});

test("a tail counts round by round, and by all rounds together", () => {
  const tail = (...times: readonly number[]): CellResult => {
    const rounds = times.map((each) => {
      const one = roundOf(1000, 100);
      return { ...one, sentLatencyUs: { ...one.sentLatencyUs, p99: 100 * each } };
    });
    const one = cellResult(rounds, { rate: 1000, halfOfWindow: 1000 });
    return { ...one, latencyUs: { ...one.latencyUs, p50: 100, p99: 450 } };
  };
  expect(tailTarget("it", tail(4, 4.9))).toMatchObject({
    measured: "1,000 values/s: p50 100 µs, p99 450 µs; rounds' ratios 4.00 to 4.90",
    ratio: 4.5,
    verdict: "reached",
  });
  expect(tailTarget("it", tail(4, 5.1)).verdict).toBe("too close to tell");
  // Few slow values in each round may be many together, and the other way round.
  expect(tailTarget("it", tail(6, 7)).verdict).toBe("too close to tell");
  expect(tailTarget("it", undefined)).toMatchObject({ measured: "too little came back", verdict: null });
});

test("a value on disk counts beside the commits before and after it", () => {
  const one = cellResult([roundOf(1, 190), roundOf(1, 195), roundOf(1, 199)]);
  const price = (aloneUs: number) => ({ aloneUs, quorumUs: 200, appendUs: 50 });
  const words = { goal: "one synced commit", beside: (us: number) => `one commit alone ${us} µs` };
  const target = (before: number, after: number) =>
    commitTarget("it", one, [price(before), price(after)], "aloneUs", words);
  expect(target(100, 110)).toEqual({
    what: "it",
    goal: "p50 at most 2 × one synced commit",
    measured: "195 µs, one commit alone 105 µs; rounds' ratios 1.73 to 1.99",
    ratio: 195 / 105,
    verdict: "reached",
  });
  expect(target(90, 110).verdict).toBe("too close to tell");
  expect(target(90, 90).verdict).toBe("missed");
  expect(commitTarget("it", one, [price(1), price(1)], "quorumUs", words).verdict).toBe("reached");
});

describe("the Kernel_Paxos wire", () => {
  const cell = (rates: readonly number[], framesPerValue: number | null, window: number): CellResult =>
    cellResult(
      rates.map((rate) => ({ ...roundOf(rate), framesPerValue })),
      { window },
    );
  const alone = { native: cell([1000, 1020, 980], 6, 1), other: cell([1040, 1060, 1030], 10, 1) };

  test("has no excuse at window 1, where there is nothing to merge: not that it sends a copy to each", () => {
    expect(wireTarget(alone, alone)).toMatchObject({
      what: "Kernel_Paxos wire, window 1",
      goal: "values/s no lower than native unpacked",
      measured:
        "1,040, native 1,000 (frames per value 6.00 and 10.00, native first); rounds' ratios 1.01 to 1.08",
      ratio: 1.04,
      verdict: "reached",
    });
    const at = (...rates: readonly number[]) => {
      const one = { ...alone, other: cell(rates, 10, 1) };
      return wireTarget(one, one).verdict;
    };
    expect(at(700, 710, 720)).toBe("missed");
    expect(at(970, 1010, 1030)).toBe("too close to tell");
  });

  test("may lose with larger ones what the native wire saves by merging, and no more", () => {
    const native = cell([10_000, 10_000], 0.6, 10);
    const at = (rate: number, frames: number | null = 10) =>
      wireTarget({ native, other: cell([rate, rate], frames, 10) }, alone);
    // A tenth of the frames.
    expect(at(1001)).toMatchObject({
      goal: "values/s no lower than native unpacked, but for frames it cannot merge: at least 0.10 ×",
      verdict: "reached",
    });
    expect(at(900).verdict).toBe("missed");
    // What merges as well has less of an excuse.
    expect(at(1500, 5)).toMatchObject({
      goal: expect.stringContaining("at least 0.20 ×"),
      verdict: "missed",
    });
    expect(at(2001, 5).verdict).toBe("reached");
    expect(at(5000, null)).toMatchObject({ ratio: 0.5, verdict: null });
  });
});
