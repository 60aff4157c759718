/**
 * A histogram of latencies in whole microseconds: exact below 1024 µs, buckets of at most 1/512 of their value above, so that
 * a percentile is never more than 0.2 % above a value that was recorded. Recording allocates nothing; histograms of several
 * runs can be added up, and written down as the buckets that are not empty.
 */

const SUB_BITS = 9;
const SUB = 1 << SUB_BITS;
const LINEAR = 2 * SUB;
const MAX_US = 2 ** 32 - 1;
const BUCKETS = (33 - SUB_BITS) * SUB;
/** What one long latency hides is spread over at most so many points. */
const MOST_HIDDEN = 10_000;

export interface LatencyFigures {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Bucket and count by turns, in the order of the buckets. */
export interface HistogramData {
  readonly buckets: readonly number[];
  readonly sumUs: number;
  readonly maxUs: number;
}

function bucketOf(us: number): number {
  const shift = us < LINEAR ? 0 : 31 - Math.clz32(us) - SUB_BITS;
  return shift * SUB + (us >>> shift);
}

/** The highest value of a bucket. */
function upperOf(bucket: number): number {
  if (bucket < LINEAR) return bucket;
  const shift = (bucket >> SUB_BITS) - 1;
  return (bucket - shift * SUB + 1) * 2 ** shift - 1;
}

export class LatencyHistogram {
  count = 0;
  maxUs = 0;
  #sumUs = 0;
  readonly #counts = new Float64Array(BUCKETS);

  record(latencyUs: number, times = 1): void {
    const us = latencyUs >= MAX_US ? MAX_US : latencyUs >= 1 ? Math.round(latencyUs) : 1;
    const bucket = bucketOf(us);
    this.#counts[bucket] = this.#counts[bucket]! + times;
    this.count += times;
    this.#sumUs += us * times;
    if (us > this.maxUs) this.maxUs = us;
  }

  clear(): void {
    this.#counts.fill(0);
    this.count = 0;
    this.maxUs = 0;
    this.#sumUs = 0;
  }

  /** The least value that `percent` of all are not above; 0 when there is none. */
  percentile(percent: number): number {
    const rank = Math.max(1, Math.ceil((this.count * percent) / 100 - 1e-9));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return Math.min(this.maxUs, upperOf(bucket));
    }
    return this.maxUs;
  }

  get mean(): number {
    return this.count === 0 ? 0 : this.#sumUs / this.count;
  }

  figures(): LatencyFigures {
    const [p50, p90, p99, p999] = [50, 90, 99, 99.9].map((percent) => this.percentile(percent));
    const mean = Math.round(this.mean * 10) / 10;
    return { mean, p50: p50!, p90: p90!, p99: p99!, p999: p999!, max: this.maxUs };
  }

  add(other: LatencyHistogram): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      this.#counts[bucket] = this.#counts[bucket]! + other.#counts[bucket]!;
    }
    this.count += other.count;
    this.#sumUs += other.#sumUs;
    this.maxUs = Math.max(this.maxUs, other.maxUs);
  }

  /**
   * What would have been recorded, had a value been sent each `intervalUs` even while an earlier one was waited for: a
   * latency of several intervals stands for those that would have been sent meanwhile, each with what was left of it.
   */
  corrected(intervalUs: number): LatencyHistogram {
    const all = new LatencyHistogram();
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const times = this.#counts[bucket]!;
      if (times === 0) continue;
      const us = Math.min(this.maxUs, upperOf(bucket));
      all.record(us, times);
      const hidden = intervalUs > 0 ? Math.max(0, Math.floor(us / intervalUs) - 1) : 0;
      const points = Math.min(hidden, MOST_HIDDEN);
      for (let i = 1; i <= points; i++) {
        all.record(us - ((i * hidden) / points) * intervalUs, (times * hidden) / points);
      }
    }
    return all;
  }

  /** Latencies and the share of all that is not above them, for each bucket that is not empty. */
  *distribution(): Generator<{ readonly us: number; readonly share: number }> {
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      if (this.#counts[bucket] === 0) continue;
      seen += this.#counts[bucket]!;
      yield { us: Math.min(this.maxUs, upperOf(bucket)), share: seen / this.count };
    }
  }

  toJSON(): HistogramData {
    const buckets: number[] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.#counts[bucket]!;
      if (count > 0) buckets.push(bucket, Math.round(count * 1000) / 1000);
    }
    return { buckets, sumUs: this.#sumUs, maxUs: this.maxUs };
  }

  /** undefined: this is not what `toJSON` gives. */
  static from(data: unknown): LatencyHistogram | undefined {
    if (typeof data !== "object" || data === null) return undefined;
    const { buckets, sumUs, maxUs } = data as Partial<Record<keyof HistogramData, unknown>>;
    if (!Array.isArray(buckets) || typeof sumUs !== "number" || typeof maxUs !== "number") return undefined;
    const histogram = new LatencyHistogram();
    for (let i = 0; i < buckets.length; i += 2) {
      const [bucket, count] = [Number(buckets[i]), Number(buckets[i + 1])];
      if (!Number.isInteger(bucket) || bucket < 0 || bucket >= BUCKETS || !(count > 0)) return undefined;
      histogram.#counts[bucket] = count;
      histogram.count += count;
    }
    histogram.#sumUs = sumUs;
    histogram.maxUs = maxUs;
    return histogram;
  }
}
