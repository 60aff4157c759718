/**
 * Whether results differ beyond noise, cell by cell; on each side is one run, or several. Of several the runs are the samples, each
 * the median of its rounds: a difference is beyond what the machine does differently from run to run. Of one on each side the rounds are: what
 * the machine did differently in the two runs is a difference like any other then. Figures are tested on their logarithms, all
 * together at one level: of results that are equal fewer than one comparison in twenty says that anything differs.
 */
import { keyOf } from "./cells.ts";
import { type BenchResult, type CellResult, cpuUsOf, type Round } from "./result.ts";
import { corrected, median, type TTest, tTest } from "./statistics.ts";

/** Comparisons of equals that may find a difference somewhere. */
export const SIGNIFICANCE = 0.05;
/** What a histogram of latencies tells apart: this, or this part of a long one. */
const LATENCY_STEP_US = 1;
const LATENCY_STEP = 1 / 512;
/** Nothing at all counts as this: it has no logarithm. */
const LEAST = 1e-3;

export type Verdict = "better" | "worse" | "no difference" | "cannot tell";

export interface Difference {
  readonly what: string;
  readonly before: number;
  readonly after: number;
  /** after ÷ before. */
  readonly ratio: number;
  /** Of so great a difference between equals, corrected for all figures; null: there is no telling. */
  readonly chance: number | null;
  /** A lone difference of less than this part of the figure would not have been seen; null: there is no telling. */
  readonly seenFrom: number | null;
  readonly verdict: Verdict;
}

export interface CellComparison {
  readonly cell: string;
  readonly runs: readonly [number, number];
  /** Of all runs. */
  readonly rounds: readonly [number, number];
  /** Values per second of open loops; null: closed ones. Of several runs their median. */
  readonly rates: readonly [number | null, number | null];
  readonly differences: readonly Difference[];
}

export interface Comparison {
  /** What the samples are. */
  readonly samples: "runs" | "rounds";
  /** No side's runs were all over before the other's began; null: one side has a single run. */
  readonly inTurns: boolean | null;
  readonly cells: readonly CellComparison[];
  /** Measured on one side only. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
  readonly differs: boolean;
  /** What is not the same about the machines, or the place. */
  readonly machines: readonly string[];
}

interface Quantity {
  readonly what: string;
  readonly of: (round: Round) => number;
  readonly moreIsBetter: boolean;
  /** The part of a figure that it is measured to. */
  readonly step: (figure: number) => number;
}

const latencyStep = (us: number): number => Math.max(LATENCY_STEP, LATENCY_STEP_US / us);
const noStep = (): number => 0;
const RATE: Quantity = {
  what: "values/s",
  of: (round) => round.valuesPerSecond,
  moreIsBetter: true,
  step: noStep,
};
const LATENCIES: readonly Quantity[] = [
  {
    what: "p50 µs as sent",
    of: ({ sentLatencyUs }) => sentLatencyUs.p50,
    moreIsBetter: false,
    step: latencyStep,
  },
  {
    what: "p99 µs as sent",
    of: ({ sentLatencyUs }) => sentLatencyUs.p99,
    moreIsBetter: false,
    step: latencyStep,
  },
];
const CPU: Quantity = { what: "CPU µs/value", of: cpuUsOf, moreIsBetter: false, step: noStep };

type Side = readonly CellResult[];

/** One figure, before it is known beside how many others it is tested. */
interface Tested {
  readonly quantity: Quantity;
  readonly before: number;
  readonly after: number;
  readonly test: TTest | undefined;
}

function samplesOf({ of }: Quantity, runs: Side, samples: Comparison["samples"]): number[] {
  return samples === "runs"
    ? runs.map(({ rounds }) => median(rounds.map(of)))
    : runs.flatMap(({ rounds }) => rounds.map(of));
}

function testOf(quantity: Quantity, before: Side, after: Side, samples: Comparison["samples"]): Tested {
  const [a, b] = [samplesOf(quantity, before, samples), samplesOf(quantity, after, samples)];
  const [from, to] = [median(a), median(b)];
  const [logsA, logsB] = [a, b].map((all) => all.map((one) => Math.log(Math.max(one, LEAST))));
  // What no value came back for has no latency and no price.
  const isKnown = [...logsA!, ...logsB!].every(Number.isFinite);
  const leastNoise = quantity.step(Math.max(LEAST, Math.min(from, to)));
  const test = isKnown ? tTest(logsA!, logsB!, leastNoise) : undefined;
  return { quantity, before: from, after: to, test };
}

function differenceOf(tested: Tested, chance: number, figures: number): Difference {
  const { quantity, before, after, test } = tested;
  const facts = { what: quantity.what, before, after, ratio: after / before };
  if (test === undefined) return { ...facts, chance: null, seenFrom: null, verdict: "cannot tell" };
  const isBetter = after > before === quantity.moreIsBetter;
  const verdict = chance >= SIGNIFICANCE ? "no difference" : isBetter ? "better" : "worse";
  return { ...facts, chance, seenFrom: Math.expm1(test.leastSeen(SIGNIFICANCE / figures)), verdict };
}

function rateOf(runs: Side): number | null {
  const rates = runs.flatMap(({ cell }) => cell.rate ?? []);
  return rates.length === 0 ? null : median(rates);
}

function byKey(results: readonly BenchResult[]): Map<string, CellResult[]> {
  const all = new Map<string, CellResult[]>();
  for (const one of results.flatMap(({ cells }) => cells)) {
    const key = keyOf(one.cell);
    all.set(key, [...(all.get(key) ?? []), one]);
  }
  return all;
}

/** `before` and `after`: one result or several, of a run each. */
export function compare(before: readonly BenchResult[], after: readonly BenchResult[]): Comparison {
  const samples = before.length === 1 && after.length === 1 ? "rounds" : "runs";
  const [earlier, later] = [byKey(before), byKey(after)];
  const shared = [...earlier].flatMap(([key, runs]) => {
    const others = later.get(key);
    if (others === undefined) return [];
    const [{ cell }] = runs as [CellResult];
    // The rate of an open loop is given: as long as the cluster keeps up it says nothing.
    const quantities = cell.rate === null ? [RATE, ...LATENCIES, CPU] : [...LATENCIES, CPU];
    return [{ key, runs, others, tests: quantities.map((one) => testOf(one, runs, others, samples)) }];
  });
  const known = shared.flatMap(({ tests }) => tests).filter(({ test }) => test !== undefined);
  const chances = new Map(
    corrected(known.map(({ test }) => test!.chance)).map((chance, i) => [known[i]!, chance]),
  );
  const count = (runs: Side): number => runs.reduce((sum, { rounds }) => sum + rounds.length, 0);
  const cells = shared.map(
    ({ key, runs, others, tests }): CellComparison => ({
      cell: key,
      runs: [runs.length, others.length],
      rounds: [count(runs), count(others)],
      rates: [rateOf(runs), rateOf(others)],
      differences: tests.map((one) => differenceOf(one, chances.get(one) ?? 1, known.length)),
    }),
  );
  return {
    samples,
    inTurns: before.length === 1 || after.length === 1 ? null : isInTurns(before, after),
    cells,
    onlyBefore: [...earlier.keys()].filter((key) => !later.has(key)),
    onlyAfter: [...later.keys()].filter((key) => !earlier.has(key)),
    differs: cells.some(({ differences }) =>
      differences.some(({ verdict }) => verdict === "better" || verdict === "worse"),
    ),
    machines: otherMachines(before, after),
  };
}

function isInTurns(before: readonly BenchResult[], after: readonly BenchResult[]): boolean {
  const [a, b] = [before, after].map((side) => side.map(({ startedAt }) => Date.parse(startedAt)));
  return Math.max(...a!) > Math.min(...b!) && Math.max(...b!) > Math.min(...a!);
}

const FACTS: readonly (readonly [what: string, of: (result: BenchResult) => string | number])[] = [
  ["cpu", ({ machine }) => machine.cpu],
  ["cores", ({ machine }) => machine.cores],
  ["kernel", ({ machine }) => machine.kernel],
  ["bun", ({ machine }) => machine.bun],
  ["place", ({ place }) => place],
];

function otherMachines(before: readonly BenchResult[], after: readonly BenchResult[]): string[] {
  return FACTS.flatMap(([what, of]) => {
    const [first, then] = [before, after].map((side) => [...new Set(side.map(of))].sort().join(" and "));
    return new Set([...before, ...after].map(of)).size === 1 ? [] : [`${what}: ${first}, then ${then}`];
  });
}
