/**
 * The histogram of latencies against the sorted list of them.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LatencyHistogram } from "../src/node/latency_histogram.ts";

function histogramOf(latencies: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const us of latencies) histogram.record(us);
  return histogram;
}

/** The definition: the least value that so many percent are not above. */
function exact(latencies: readonly number[], percent: number): number {
  const sorted = latencies.toSorted((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil((sorted.length * percent) / 100 - 1e-9)) - 1]!;
}

const some = fc.array(
  fc.oneof(
    fc.integer({ min: 1, max: 1500 }),
    fc.integer({ min: 1, max: 1_000_000 }),
    fc.integer({ min: 1, max: 2 ** 32 - 1 }),
  ),
  { minLength: 1, maxLength: 300 },
);

describe("percentiles", () => {
  test("are exact below 1024 µs and at most 0.2 % too high above", () => {
    fc.assert(
      fc.property(some, fc.constantFrom(0, 1, 50, 90, 99, 99.9, 100), (latencies, percent) => {
        const wanted = exact(latencies, percent);
        const got = histogramOf(latencies).percentile(percent);
        expect(got).toBeGreaterThanOrEqual(wanted);
        expect(got - wanted).toBeLessThanOrEqual(wanted < 1024 ? 0 : wanted / 512);
      }),
      { seed: 1 },
    );
  });

  test("mean, count and maximum are exact", () => {
    const histogram = histogramOf([3, 5000, 70_001]);
    expect(histogram.figures()).toMatchObject({ mean: 25_001.3, max: 70_001 });
    expect(histogram.count).toBe(3);
  });

  test("of nothing are 0", () => {
    expect(new LatencyHistogram().figures()).toEqual({ mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 });
  });

  test("what is less than a microsecond is one, what is more than an hour or so is the most there is", () => {
    expect(histogramOf([0, -5, 0.2]).figures()).toMatchObject({ p50: 1, max: 1 });
    expect(histogramOf([1e12]).figures()).toMatchObject({ p50: 2 ** 32 - 1, max: 2 ** 32 - 1 });
  });
});

test("two added up are one of all", () => {
  fc.assert(
    fc.property(some, some, (a, b) => {
      const sum = histogramOf(a);
      sum.add(histogramOf(b));
      expect(sum.toJSON()).toEqual(histogramOf([...a, ...b]).toJSON());
    }),
    { seed: 2 },
  );
});

test("written down and read back it is the same", () => {
  fc.assert(
    fc.property(some, (latencies) => {
      const data = JSON.parse(JSON.stringify(histogramOf(latencies))) as unknown;
      expect(LatencyHistogram.from(data)?.figures()).toEqual(histogramOf(latencies).figures());
    }),
    { seed: 3 },
  );
  for (const wrong of [
    undefined,
    null,
    7,
    {},
    { buckets: [1], sumUs: 1, maxUs: 1 },
    { buckets: [-1, 1], sumUs: 1, maxUs: 1 },
    { buckets: [1e9, 1], sumUs: 1, maxUs: 1 },
    { buckets: [1, -1], sumUs: 1, maxUs: 1 },
    { buckets: [1, 1], sumUs: "1", maxUs: 1 },
  ])
    expect(LatencyHistogram.from(wrong)).toBeUndefined();
});

describe("corrected for coordinated omission", () => {
  test("a stall of a second hides what would have been sent meanwhile", () => {
    // One at a time, 10 ms each; then one takes a second. 99 more would have been sent while it was waited for.
    const histogram = histogramOf([...Array.from({ length: 100 }, () => 10_000), 1_000_000]);
    expect(histogram.percentile(90)).toBeLessThan(10_050);
    const corrected = histogram.corrected(10_000);
    expect(corrected.count).toBe(200);
    expect(corrected.percentile(100)).toBe(1_000_000);
    // Half of all are of the stall, evenly from 10 ms to a second.
    expect(corrected.percentile(75)).toBeGreaterThan(490_000);
    expect(corrected.percentile(75)).toBeLessThan(520_000);
  });

  test("without a pace, or without anything long, nothing changes", () => {
    const histogram = histogramOf([10, 12, 15]);
    expect(histogram.corrected(0).toJSON()).toEqual(histogram.toJSON());
    expect(histogram.corrected(10).toJSON()).toEqual(histogram.toJSON());
  });

  test("one that hides millions is counted with all of them, in bounded time", () => {
    const corrected = histogramOf([2 ** 32 - 1]).corrected(10);
    expect(corrected.count).toBeCloseTo(Math.floor((2 ** 32 - 1) / 10), -2);
  });
});

test("its distribution ends with all", () => {
  const points = [...histogramOf([5, 7, 7, 9000]).distribution()];
  expect(points.map(({ share }) => share)).toEqual([0.25, 0.75, 1]);
  expect(points.at(-1)!.us).toBe(9000);
});
