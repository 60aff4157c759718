/**
 * `kpaxos bench --compare`: whether results differ, and how often it is wrong about that.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compare } from "../src/bench/compare.ts";
import { comparisonLines } from "../src/bench/comparison_text.ts";
import type { BenchResult, Round } from "../src/bench/result.ts";
import { readSides } from "../src/bench/sides.ts";
import { corrected, studentOf, studentTails, tTest } from "../src/bench/statistics.ts";
import { benchResult, cellResult, roundOf } from "./support/bench_result.ts";
import { seededRandom } from "./support/random.ts";

describe("Student's t", () => {
  test("has the tails that tables have", () => {
    for (const [freedom, t] of [
      [1, 12.706],
      [2, 4.303],
      [3, 3.182],
      [4, 2.776],
      [8, 2.306],
      [9, 2.262],
      [30, 2.042],
      [60, 2.0],
    ] as const) {
      expect(studentTails(t, freedom)).toBeCloseTo(0.05, 4);
      expect(studentTails(-t, freedom)).toBeCloseTo(0.05, 4);
      expect(studentOf(0.05, freedom)).toBeCloseTo(t, 2);
    }
    expect(studentTails(8.61, 4)).toBeCloseTo(0.001, 5);
    expect(studentTails(0, 3)).toBeCloseTo(1, 12);
    expect(studentTails(Number.POSITIVE_INFINITY, 4)).toBeCloseTo(0, 12);
  });

  test("of two samples", () => {
    // Means 2 and 5, both variances 1: t is 3 / √(2/3).
    const one = tTest([1, 2, 3], [4, 5, 6], 0)!;
    expect(one.chance).toBeCloseTo(studentTails(3 / Math.sqrt(2 / 3), 4), 12);
    expect(one.leastSeen(one.chance)).toBeCloseTo(3, 6);
    // One against several borrows their noise.
    expect(tTest([5], [1, 2, 3], 0)!.chance).toBeCloseTo(studentTails(3 / Math.sqrt(4 / 3), 2), 12);
    expect(tTest([7, 7], [7, 7], 0)!.chance).toBe(1);
    expect(tTest([7, 7], [8, 8], 0)!.chance).toBe(0);
    // What is told in steps has the noise of a step, however often it is the same.
    expect(tTest([7, 7], [8, 8], 1)!.chance).toBeCloseTo(studentTails(1, 2), 12);
    for (const [a, b] of [
      [[1], [2]],
      [[], [1, 2]],
      [[1, 2], []],
    ] as const)
      expect(tTest(a, b, 0)).toBeUndefined();
  });

  test("is corrected for all that are tested, the least chance most", () => {
    expect(corrected([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
    expect(corrected([0.9, 0.8])).toEqual([1, 1]);
    expect(corrected([0.2])).toEqual([0.2]);
    expect(corrected([])).toEqual([]);
  });
});

const slow = [100, 101, 99, 102, 98].map((rate) => roundOf(rate * 1000));
const fast = [150, 151, 149, 152, 148].map((rate) => roundOf(rate * 1000));
const at = (minute: number): Partial<BenchResult> => ({
  startedAt: new Date(Date.UTC(2026, 10, 22, 10, minute)).toISOString(),
});
const of = (rounds: readonly Round[], minute = 0) => benchResult([cellResult(rounds)], at(minute));
const told = (before: readonly BenchResult[], after: readonly BenchResult[]): string =>
  comparisonLines(compare(before, after)).join("\n");

describe("two results", () => {
  test("that differ beyond noise say in what, and which way", () => {
    const up = compare([of(slow)], [of(fast)]);
    expect(up).toMatchObject({ differs: true, samples: "rounds", inTurns: null });
    expect(up.cells[0]!.differences[0]).toMatchObject({ what: "values/s", verdict: "better", ratio: 1.5 });
    expect(compare([of(fast)], [of(slow)]).cells[0]!.differences[0]!.verdict).toBe("worse");
    // What takes less time is better.
    const quicker = slow.map(({ valuesPerSecond }) => roundOf(valuesPerSecond, 50));
    const p50 = compare([of(slow)], [of(quicker)]).cells[0]!.differences.find(
      ({ what }) => what === "p50 µs as sent",
    );
    expect(p50).toMatchObject({ verdict: "better", ratio: 0.5 });
    expect(comparisonLines(up).join("\n")).toContain("+50.0 %");
    expect(comparisonLines(up).at(-1)).toBe("something differs beyond noise");
  });

  test("say that they do not know the noise between runs, whether they differ or not", () => {
    for (const after of [slow, fast]) {
      const text = told([of(slow)], [of(after)]);
      expect(text).toContain("corrected (Holm) for all 4 figures: of 100 comparisons of equals fewer than 5");
      expect(text).toContain("this knows the noise between rounds, not that between runs");
    }
  });

  test("at half of what each reached name the rates where these differ", () => {
    const half = (rate: number) => benchResult([cellResult(slow, { window: 4096, rate, halfOfWindow: 100 })]);
    expect(told([half(50_000)], [half(75_000)])).toContain("at 50,000 and 75,000 values/s");
    expect(told([half(50_000)], [half(50_000)])).not.toContain("50,000");
    expect(told([of(slow)], [of(fast)])).not.toContain("latencies depend on");
  });

  test("that do not differ say so, and how small a difference they could have shown", () => {
    const same = compare([of(slow)], [of(slow.toReversed())]);
    expect(same.differs).toBe(false);
    for (const { verdict } of same.cells[0]!.differences) expect(verdict).toBe("no difference");
    const { seenFrom } = same.cells[0]!.differences[0]!;
    // Rounds differ by 1.6 % (one standard deviation): √(2/5) of that, and 3.2 times it, since four figures are tested.
    expect(seenFrom).toBeCloseTo(0.0325, 2);
    const larger = slow.map(({ valuesPerSecond }) => roundOf(valuesPerSecond * (1 + 1.1 * seenFrom!)));
    expect(compare([of(slow)], [of(larger)]).cells[0]!.differences[0]!.verdict).toBe("better");
    expect(comparisonLines(same).at(-1)).toBe("nothing differs beyond noise");
  });

  test("of a round each cannot tell", () => {
    const few = compare([of(slow.slice(0, 1))], [of(fast.slice(0, 1))]);
    expect(few.differs).toBe(false);
    expect(few.cells[0]!.differences[0]).toMatchObject({ verdict: "cannot tell", chance: null });
    const lines = comparisonLines(few);
    expect(lines.join("\n")).toContain("4 of 4 figures: cannot tell, too few rounds");
    expect(lines.at(-1)).toBe("there is no telling whether anything differs");
  });

  test("of which one stood still differ, and what nothing came back for has no price", () => {
    const stood = slow.map(() => roundOf(0));
    const { differences } = compare([of(slow)], [of(stood)]).cells[0]!;
    expect(differences[0]).toMatchObject({ what: "values/s", verdict: "worse" });
    expect(differences.at(-1)).toMatchObject({ what: "CPU µs/value", verdict: "cannot tell" });
  });

  test("whose medians are one step of the histogram apart are not known to differ", () => {
    const steady = (p50: number) =>
      of(slow.map((one) => ({ ...one, sentLatencyUs: { ...one.sentLatencyUs, p50 } })));
    expect(compare([steady(55)], [steady(56)]).differs).toBe(false);
    expect(compare([steady(55)], [steady(65)]).differs).toBe(true);
  });

  test("with other loads, of another machine or another place, say that too", () => {
    const before = benchResult([cellResult(slow), cellResult(slow, { window: 1 })]);
    const after = benchResult([cellResult(slow), cellResult(slow, { window: 10 })]);
    const machine = { ...after.machine, cores: 4 };
    const text = told([before], [{ ...after, machine, place: "raw Ethernet" }]);
    expect(text).toContain("only before: native, memory, 3 acceptors, packed, 64 B, 1 × 1, closed");
    expect(text).toContain("only after: native, memory, 3 acceptors, packed, 64 B, 1 × 10, closed");
    expect(text).toContain("not measured alike: cores: 2, then 4");
    expect(text).toContain("not measured alike: place: UDP on 127.0.0.1, then raw Ethernet");
  });
});

describe("several runs on a side", () => {
  /** Rounds of runs whose machine was so much faster. */
  const runs = (factors: readonly number[], minutes: readonly number[], rounds = slow): BenchResult[] =>
    factors.map((factor, i) =>
      of(
        rounds.map(({ valuesPerSecond }) => roundOf(valuesPerSecond * factor, 100 / factor)),
        minutes[i]!,
      ),
    );

  test("are the samples: what differs from run to run anyway is no difference", () => {
    // Rounds of a run are alike; each run is up to a tenth off.
    const before = runs([1, 1.1, 0.92], [0, 20, 40]);
    const after = runs([1.08, 0.95, 1.12], [10, 30, 50]);
    const both = compare(before, after);
    expect(both).toMatchObject({ samples: "runs", inTurns: true, differs: false });
    expect(both.cells[0]).toMatchObject({ runs: [3, 3], rounds: [15, 15] });
    // Any two of them would.
    expect(compare([before[2]!], [after[2]!]).differs).toBe(true);
    const real = compare(before, runs([1.6, 1.5, 1.7], [10, 30, 50]));
    expect(real.cells[0]!.differences[0]).toMatchObject({ what: "values/s", verdict: "better" });
    expect(comparisonLines(real).join("\n")).toContain("(3 and 3 runs, 15 and 15 rounds)");
  });

  test("tell that they were not measured in turns", () => {
    const [before, after] = [runs([1, 1.01], [0, 10]), runs([1, 1.02], [20, 30])];
    expect(compare(before, after).inTurns).toBe(false);
    expect(told(before, after)).toContain("Measure in turns");
    expect(told(before, runs([1, 1.02], [5, 15]))).not.toContain("Measure in turns");
  });

  test("beside a single one lend it their noise, and say so", () => {
    const text = told(runs([1, 1.1, 0.92], [0, 20, 40]), runs([1.15], [10]));
    expect(text).toContain("one side has a single run");
    expect(text).toContain("nothing differs beyond noise");
  });

  test("of which one alone has a load leave no telling about it", () => {
    const cells = [cellResult(slow), cellResult(slow, { window: 1 })];
    const more = [cellResult(fast), cellResult(fast, { window: 1 })];
    const before = [benchResult(cells, at(0)), of(slow, 20)];
    const after = [benchResult(more, at(10)), of(fast, 30)];
    const [both, single] = compare(before, after).cells;
    expect(both!.differences[0]!.verdict).toBe("better");
    expect(single).toMatchObject({ runs: [1, 1], rounds: [5, 5] });
    for (const { verdict } of single!.differences) expect(verdict).toBe("cannot tell");
  });
});

describe("how often it is wrong", () => {
  const COMPARISONS = 1000;
  const WINDOWS = [1, 10, 100, 1000];
  const random = seededRandom(11);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

  /**
   * Runs differ by `betweenRuns`, rounds by 3 % and each figure by 2 % more; one round in twenty is a bad one. `factor`: of the
   * values a second, in all of it.
   */
  function run(betweenRuns: number, factor = 1): BenchResult {
    const cells = WINDOWS.map((window) => {
      const ofRun = betweenRuns * normal();
      const rounds = Array.from({ length: 5 }, () => {
        const ofRound = ofRun + 0.03 * normal() - (random() < 0.05 ? 0.4 : 0);
        const speed = (): number => factor * Math.exp(ofRound + 0.02 * normal());
        const p50 = Math.round(70 / speed());
        const one = roundOf(14_000 * window * speed(), p50);
        const p99 = Math.round((300 / speed()) * Math.exp(0.2 * normal()));
        return { ...one, sentLatencyUs: { ...one.sentLatencyUs, p99 } };
      });
      return cellResult(rounds, { window });
    });
    return benchResult(cells);
  }
  const runs = (count: number, betweenRuns: number, factor = 1): BenchResult[] =>
    Array.from({ length: count }, () => run(betweenRuns, factor));
  const shareThatDiffers = (comparisons: number, side: (isAfter: boolean) => BenchResult[]): number => {
    let different = 0;
    for (let i = 0; i < comparisons; i++) if (compare(side(false), side(true)).differs) different++;
    return different / comparisons;
  };

  test.each([
    ["three runs on each side, which differ by 5 %", 3, 3, 0.05],
    ["three runs on each side, which differ by 20 %", 3, 3, 0.2],
    ["two runs on each side", 2, 2, 0.05],
    ["one run beside four", 1, 4, 0.05],
    ["one run on each side of a machine that does not change", 1, 1, 0],
  ] as const)(
    "of equals fewer than one comparison in twenty finds a difference: %s",
    (_, before, after, betweenRuns) => {
      const share = shareThatDiffers(COMPARISONS, (isAfter) => runs(isAfter ? after : before, betweenRuns));
      expect(share).toBeLessThan(0.05);
    },
    60_000,
  );

  test("a fifth more is found by three runs of five rounds, in nearly all comparisons", () => {
    const share = shareThatDiffers(200, (isAfter) => runs(3, 0.02, isAfter ? 1.2 : 1));
    expect(share).toBeGreaterThan(0.95);
  }, 60_000);
});

describe("the files of a side", () => {
  let directory = "";
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "kpaxos-bench-test-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const write = (name: string, minute: number): string => {
    const path = join(directory, name);
    writeFileSync(path, JSON.stringify(of(slow, minute)));
    return path;
  };

  test("have commas between them, unless one has them in its name", () => {
    const [a, b, c] = [write("a.json", 0), write("b.json", 1), write("c.json", 2)];
    const { before, after } = readSides(`${a},${b}`, c);
    expect(before).toEqual([of(slow, 0), of(slow, 1)]);
    expect(after).toEqual([of(slow, 2)]);
    const odd = write("a,b.json", 7);
    expect(readSides(odd, odd)).toEqual({ before: [of(slow, 7)], after: [of(slow, 7)] });
    expect(() => readSides(`${a},`, b)).toThrow("cannot read");
  });

  test("are of a run each: one that is there twice, or on both sides, is refused", () => {
    const [a, b, copy] = [write("a.json", 0), write("b.json", 1), write("copy.json", 0)];
    for (const [before, after] of [
      [`${a},${a}`, b],
      [`${a},${copy}`, b],
      [`${a},${b}`, copy],
    ] as const)
      expect(() => readSides(before, after)).toThrow("are one run, which began at 2026-11-22T10:00:00.000Z");
  });
});
