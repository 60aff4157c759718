/**
 * Medians, and whether two samples differ: the exact rank test of Mann, Whitney and Wilcoxon, two-sided. Rounds are the samples,
 * so they are few, and no assumption is made about how they are distributed. Pure.
 */

export function median(numbers: readonly number[]): number {
  if (numbers.length === 0) return Number.NaN;
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** Beyond so many pairs the normal distribution is near enough. */
const MOST_EXACT = 900;

/** How many pairs (one of `a`, one of `b`) have the greater in `a`; ties count half. */
function pairsGreater(a: readonly number[], b: readonly number[]): number {
  let pairs = 0;
  for (const x of a) for (const y of b) pairs += x > y ? 1 : x === y ? 0.5 : 0;
  return pairs;
}

/** In how many of all orders of m and n samples so many pairs have the greater in the first, for each number of pairs. */
function orders(m: number, n: number): number[] {
  // Orders of i and j samples end with one of the first, which is greater than all j, or with one of the second.
  let table: number[][] = Array.from({ length: n + 1 }, () => [1]);
  for (let i = 1; i <= m; i++) {
    const next: number[][] = [[1]];
    for (let j = 1; j <= n; j++) {
      const counts = new Array<number>(i * j + 1).fill(0);
      table[j]!.forEach((count, pairs) => {
        counts[pairs + j] = counts[pairs + j]! + count;
      });
      next[j - 1]!.forEach((count, pairs) => {
        counts[pairs] = counts[pairs]! + count;
      });
      next.push(counts);
    }
    table = next;
  }
  return table[n]!;
}

/** The upper tail of the normal distribution (Abramowitz and Stegun 26.2.17, off by less than 1e-7). */
function normalTail(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const series = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
  const sum = series.reduceRight((rest, factor) => (rest + factor) * t, 0);
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * sum;
}

/** The chance of a difference of ranks at least this great, were both samples of one distribution. */
export function rankTest(a: readonly number[], b: readonly number[]): number {
  const [m, n] = [a.length, b.length];
  if (m === 0 || n === 0) return 1;
  const pairs = pairsGreater(a, b);
  const extreme = Math.min(pairs, m * n - pairs);
  if (m * n > MOST_EXACT) {
    const z = ((m * n) / 2 - extreme - 0.5) / Math.sqrt((m * n * (m + n + 1)) / 12);
    return Math.min(1, 2 * normalTail(Math.max(0, z)));
  }
  const counts = orders(m, n);
  const all = counts.reduce((sum, count) => sum + count, 0);
  // A half pair counts as a whole one: ties never make a difference look surer.
  const tail = counts.slice(0, Math.ceil(extreme) + 1).reduce((sum, count) => sum + count, 0);
  return Math.min(1, (2 * tail) / all);
}

/** The least chance that samples of these numbers can show at all: one order of all, or its reverse. */
export function leastChance(m: number, n: number): number {
  let orders = 1;
  for (let i = 1; i <= m; i++) orders *= (n + i) / i;
  return Math.min(1, 2 / orders);
}
