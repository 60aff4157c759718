/**
 * Whether two results differ beyond noise, cell by cell. The rounds are the samples: a rank test says how likely a difference at least
 * this great would be, were there none; where there are too few rounds for any answer, that is the answer. It knows the noise between
 * rounds only: what the machine did differently in the two runs is a difference like any other. Figures are tested one by one.
 */
import { keyOf } from "./cells.ts";
import { type BenchResult, type CellResult, cpuUsOf, type Round } from "./result.ts";
import { leastChance, median, rankTest } from "./statistics.ts";

/** A difference is believed when chance alone brings it about less often than this. */
export const SIGNIFICANCE = 0.01;

export type Verdict = "better" | "worse" | "no difference" | "cannot tell";

export interface Difference {
  readonly what: string;
  readonly before: number;
  readonly after: number;
  /** after ÷ before. */
  readonly ratio: number;
  readonly chance: number;
  readonly verdict: Verdict;
}

export interface CellComparison {
  readonly cell: string;
  readonly rounds: readonly [number, number];
  /** Values per second of open loops; null: closed ones. */
  readonly rates: readonly [number | null, number | null];
  readonly differences: readonly Difference[];
}

export interface Comparison {
  readonly cells: readonly CellComparison[];
  /** Measured in one of both only. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
  readonly differs: boolean;
  /** What is not the same about the machines. */
  readonly machines: readonly string[];
}

interface Quantity {
  readonly what: string;
  readonly of: (round: Round) => number;
  readonly moreIsBetter: boolean;
}

const RATE: Quantity = { what: "values/s", of: (round) => round.valuesPerSecond, moreIsBetter: true };
const LATENCIES: readonly Quantity[] = [
  { what: "p50 µs as sent", of: ({ sentLatencyUs }) => sentLatencyUs.p50, moreIsBetter: false },
  { what: "p99 µs as sent", of: ({ sentLatencyUs }) => sentLatencyUs.p99, moreIsBetter: false },
];
const CPU: Quantity = {
  what: "CPU µs/value",
  of: cpuUsOf,
  moreIsBetter: false,
};

function differenceOf(quantity: Quantity, before: readonly Round[], after: readonly Round[]): Difference {
  const [a, b] = [before.map(quantity.of), after.map(quantity.of)];
  const chance = rankTest(a, b);
  const [from, to] = [median(a), median(b)];
  const known = leastChance(a.length, b.length) < SIGNIFICANCE;
  const isBetter = to > from === quantity.moreIsBetter;
  const verdict = !known
    ? "cannot tell"
    : chance >= SIGNIFICANCE
      ? "no difference"
      : isBetter
        ? "better"
        : "worse";
  return { what: quantity.what, before: from, after: to, ratio: to / from, chance, verdict };
}

function compareCell(before: CellResult, after: CellResult): CellComparison {
  // The rate of an open loop is given: as long as the cluster keeps up it says nothing.
  const quantities = before.cell.rate === null ? [RATE, ...LATENCIES, CPU] : [...LATENCIES, CPU];
  return {
    cell: keyOf(before.cell),
    rounds: [before.rounds.length, after.rounds.length],
    rates: [before.cell.rate, after.cell.rate],
    differences: quantities.map((one) => differenceOf(one, before.rounds, after.rounds)),
  };
}

export function compare(before: BenchResult, after: BenchResult): Comparison {
  const later = new Map(after.cells.map((one) => [keyOf(one.cell), one]));
  const earlier = new Set(before.cells.map((one) => keyOf(one.cell)));
  const cells = before.cells.flatMap((one) => {
    const other = later.get(keyOf(one.cell));
    return other === undefined ? [] : [compareCell(one, other)];
  });
  const facts = ["cpu", "cores", "kernel", "bun"] as const;
  return {
    cells,
    onlyBefore: [...earlier].filter((key) => !later.has(key)),
    onlyAfter: [...later.keys()].filter((key) => !earlier.has(key)),
    differs: cells.some(({ differences }) =>
      differences.some(({ verdict }) => verdict === "better" || verdict === "worse"),
    ),
    machines: facts.flatMap((fact) =>
      before.machine[fact] === after.machine[fact]
        ? []
        : [`${fact}: ${before.machine[fact]}, then ${after.machine[fact]}`],
    ),
  };
}

/** Rounds that two equal samples need for an answer. */
export function roundsNeeded(): number {
  let rounds = 1;
  while (leastChance(rounds, rounds) >= SIGNIFICANCE) rounds++;
  return rounds;
}
