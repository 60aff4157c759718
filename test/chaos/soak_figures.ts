/**
 * What a soak measures of each process, and the verdict on it: does memory grow, do descriptors stay. Pure.
 */

export interface Sample {
  /** Since the load began. */
  readonly second: number;
  readonly rssKib: number;
  readonly fds: number;
  /** Of both kinds of time, since the process began. */
  readonly cpuSeconds: number;
}

export interface Limits {
  /** Memory may grow by so much an hour. */
  readonly growthMibPerHour: number;
  /** Growth over the measured half below this is the collector's breathing, whatever it would come to in an hour. */
  readonly noiseMib: number;
  /** A shorter half says nothing about growth: buffers are still being touched for the first time. */
  readonly leastSeconds: number;
}

export interface Trend {
  readonly process: string;
  readonly firstMib: number;
  readonly lastMib: number;
  readonly mostMib: number;
  readonly slopeMibPerHour: number;
  readonly fewestFds: number;
  readonly mostFds: number;
  /** Of one core, over the measured half. */
  readonly cpuPercent: number;
  readonly problems: readonly string[];
}

/** Slope of the line with the least squared distances; 0 for fewer than two points. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const count = points.length;
  if (count < 2) return 0;
  let [sumX, sumY] = [0, 0];
  for (const [x, y] of points) {
    sumX += x;
    sumY += y;
  }
  let [products, squares] = [0, 0];
  for (const [x, y] of points) {
    products += (x - sumX / count) * (y - sumY / count);
    squares += (x - sumX / count) ** 2;
  }
  return squares === 0 ? 0 : products / squares;
}

/** What comes after the first half of the run: before it, everything still warms up. */
export function secondHalf(samples: readonly Sample[]): readonly Sample[] {
  const end = samples.at(-1)?.second ?? 0;
  return samples.filter(({ second }) => second >= end / 2);
}

export function trendOf(process: string, samples: readonly Sample[], limits: Limits): Trend {
  const half = secondHalf(samples);
  const [first, last] = [half[0], half.at(-1)];
  if (first === undefined || last === undefined) throw new Error(`${process} has no samples`);
  const perSecond = slope(half.map(({ second, rssKib }) => [second, rssKib / 1024]));
  const seconds = last.second - first.second;
  const slopeMibPerHour = perSecond * 3600;
  const fewestFds = Math.min(...half.map(({ fds }) => fds));
  const mostFds = Math.max(...half.map(({ fds }) => fds));
  const problems: string[] = [];
  const isLong = seconds >= limits.leastSeconds;
  if (isLong && slopeMibPerHour > limits.growthMibPerHour && perSecond * seconds > limits.noiseMib) {
    problems.push(
      `${process}: memory grows by ${slopeMibPerHour.toFixed(1)} MiB an hour, at most ${limits.growthMibPerHour} are allowed`,
    );
  }
  if (mostFds !== fewestFds) {
    problems.push(
      `${process}: has between ${fewestFds} and ${mostFds} open descriptors, not always the same`,
    );
  }
  return {
    process,
    firstMib: first.rssKib / 1024,
    lastMib: last.rssKib / 1024,
    mostMib: Math.max(...samples.map(({ rssKib }) => rssKib)) / 1024,
    slopeMibPerHour,
    fewestFds,
    mostFds,
    cpuPercent: seconds > 0 ? (100 * (last.cpuSeconds - first.cpuSeconds)) / seconds : 0,
    problems,
  };
}
