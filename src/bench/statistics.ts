/**
 * Medians, and whether two samples differ: Student's two-sided t test of samples with one variance, and Holm's correction where
 * many are tested at once. Pure.
 */

export function median(numbers: readonly number[]): number {
  if (numbers.length === 0) return Number.NaN;
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** The chance of a t this far from 0, or farther, on either side (Abramowitz and Stegun 26.7.3 and 26.7.4). */
export function studentTails(t: number, freedom: number): number {
  const angle = Math.atan(Math.abs(t) / Math.sqrt(freedom));
  const cosine = Math.cos(angle);
  const isOdd = freedom % 2 === 1;
  let term = isOdd ? cosine : 1;
  let sum = 0;
  for (let power = isOdd ? 1 : 0; power <= freedom - 2; power += 2) {
    sum += term;
    term *= (cosine * cosine * (power + 1)) / (power + 2);
  }
  const inner = isOdd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
  return Math.min(1, Math.max(0, 1 - inner));
}

/** The t whose `studentTails` are this chance. */
export function studentOf(chance: number, freedom: number): number {
  let [low, high] = [0, 1];
  while (studentTails(high, freedom) > chance) [low, high] = [high, 2 * high];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (studentTails(middle, freedom) > chance) low = middle;
    else high = middle;
  }
  return high;
}

export interface TTest {
  /** Of a difference at least this great, were both samples of one normal distribution. */
  readonly chance: number;
  /** The least difference whose chance is `chance`. */
  leastSeen(chance: number): number;
}

/** `leastNoise`: a standard deviation below that is not believed. Undefined: samples so few say nothing about noise. */
export function tTest(a: readonly number[], b: readonly number[], leastNoise: number): TTest | undefined {
  const freedom = a.length + b.length - 2;
  if (a.length === 0 || b.length === 0 || freedom < 1) return undefined;
  const [meanA, meanB] = [mean(a), mean(b)];
  const squares = squaresAround(a, meanA) + squaresAround(b, meanB);
  const noise = Math.max(leastNoise, Math.sqrt(squares / freedom));
  const error = noise * Math.sqrt(1 / a.length + 1 / b.length);
  const difference = Math.abs(meanA - meanB);
  return {
    chance: difference === 0 ? 1 : studentTails(difference / error, freedom),
    leastSeen: (chance) => studentOf(chance, freedom) * error,
  };
}

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
}

function squaresAround(numbers: readonly number[], centre: number): number {
  return numbers.reduce((sum, one) => sum + (one - centre) ** 2, 0);
}

/**
 * Each chance, corrected for all of them: of true hypotheses one or more fall below a limit no oftener than the limit says, however
 * they depend on each other (Holm).
 */
export function corrected(chances: readonly number[]): number[] {
  const order = chances.map((_, i) => i).sort((i, j) => chances[i]! - chances[j]!);
  const all = new Array<number>(chances.length).fill(1);
  let most = 0;
  order.forEach((which, rank) => {
    most = Math.max(most, Math.min(1, chances[which]! * (chances.length - rank)));
    all[which] = most;
  });
  return all;
}
