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

/** How many pairs (one of `a`, one of `b`) have the greater in `a`; ties count half. */
export function pairsGreater(a: readonly number[], b: readonly number[]): number {
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

/** The chance of a difference of ranks at least this great, were both samples of one distribution. */
export function rankTest(a: readonly number[], b: readonly number[]): number {
  if (a.length === 0 || b.length === 0) return 1;
  const pairs = pairsGreater(a, b);
  const extreme = Math.min(pairs, a.length * b.length - pairs);
  const counts = orders(a.length, b.length);
  const all = counts.reduce((sum, count) => sum + count, 0);
  // A half pair counts as none: ties never make a difference look surer.
  const tail = counts.slice(0, Math.ceil(extreme) + 1).reduce((sum, count) => sum + count, 0);
  return Math.min(1, (2 * tail) / all);
}

/** The least chance that samples of these numbers can show at all. */
export function leastChance(m: number, n: number): number {
  const all = orders(m, n).reduce((sum, count) => sum + count, 0);
  return Math.min(1, 2 / all);
}
