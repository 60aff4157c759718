/**
 * What a client measures: latency of each value from its first sending to its delivery, values and bytes per second.
 */
import { createHistogram } from "node:perf_hooks";
import type { ClientSink } from "../protocol/client/client.ts";

const MAX_LATENCY_US = 3_600_000_000;

export interface LatencyFigures {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export class ClientFigures implements ClientSink {
  values = 0;
  bytes = 0;
  readonly #histogram = createHistogram({ lowest: 1, highest: MAX_LATENCY_US, figures: 3 });
  readonly #onValue: ((latencyUs: number) => void) | undefined;

  /** `onValue`: called for each value, for the statistics file. */
  constructor(onValue?: (latencyUs: number) => void) {
    this.#onValue = onValue;
  }

  delivered(latencyUs: number, bytes: number): void {
    this.values++;
    this.bytes += bytes;
    this.#histogram.record(Math.min(MAX_LATENCY_US, Math.max(1, Math.round(latencyUs))));
    this.#onValue?.(latencyUs);
  }

  latency(): LatencyFigures {
    const histogram = this.#histogram;
    if (this.values === 0) return { mean: 0, p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
    // A percentile is the upper end of its bucket, which may lie above the highest value seen.
    const at = (percent: number): number => Math.min(histogram.max, histogram.percentile(percent));
    return {
      mean: Math.round(histogram.mean * 10) / 10,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: histogram.max,
    };
  }
}

/** Megabits per second. */
export function megabits(bytes: number, seconds: number): number {
  return seconds > 0 ? Math.round((bytes * 8) / seconds / 10_000) / 100 : 0;
}
