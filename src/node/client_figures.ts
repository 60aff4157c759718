/**
 * What a client measures: how long each value took, values and bytes. In a closed loop a value's time begins when it is sent: what
 * the client holds back is not under way yet. In an open loop it begins when the value was to be sent, so what waits because the
 * cluster is slow, or the client itself, counts with its wait.
 */
import type { ClientSink } from "../protocol/client/client.ts";
import { type HistogramData, type LatencyFigures, LatencyHistogram } from "./latency_histogram.ts";

export interface FiguresOptions {
  readonly clients: number;
  readonly outstanding: number;
  /** Of an open loop: microseconds between two values. */
  readonly intervalUs?: number | undefined;
  /** Called for each value, for the statistics file. */
  readonly onValue?: ((latencyUs: number) => void) | undefined;
}

export class ClientFigures implements ClientSink {
  values = 0;
  bytes = 0;
  /** Time of the present turn. */
  nowUs = 0;
  readonly #histogram = new LatencyHistogram();
  readonly #outstanding: number;
  readonly #intervalUs: number;
  readonly #onValue: ((latencyUs: number) => void) | undefined;
  /** Of an open loop, by place in the window: when its value was to be sent. */
  readonly #intendedUs: Float64Array;
  #startUs = 0;
  #made = 0;

  constructor(options: FiguresOptions) {
    this.#outstanding = options.outstanding;
    this.#intervalUs = options.intervalUs ?? 0;
    this.#onValue = options.onValue;
    const places = this.#intervalUs > 0 ? options.clients * options.outstanding : 0;
    this.#intendedUs = new Float64Array(places);
  }

  /** The first value of an open loop is to be sent now. */
  begin(nowUs: number): void {
    this.nowUs = nowUs;
    this.#startUs = nowUs;
  }

  /** Values of an open loop that were to be sent up to then, and when the next one is. */
  dueBy(us: number): number {
    return Math.floor((us - this.#startUs) / this.#intervalUs) + 1;
  }
  dueUs(value: number): number {
    return this.#startUs + value * this.#intervalUs;
  }

  made(client: number, first: number, count: number): void {
    if (this.#intervalUs === 0) return;
    const base = client * this.#outstanding;
    let place = first % this.#outstanding;
    for (let left = count; left > 0; left--) {
      this.#intendedUs[base + place] = this.dueUs(this.#made++);
      if (++place === this.#outstanding) place = 0;
    }
  }

  delivered(sinceSentUs: number, bytes: number, client: number, first: number, count: number): void {
    this.values += count;
    this.bytes += bytes * count;
    if (this.#intervalUs > 0) {
      this.#deliveredLate(client, first, count);
      return;
    }
    this.#histogram.record(sinceSentUs, count);
    if (this.#onValue === undefined) return;
    for (let left = count; left > 0; left--) this.#onValue(sinceSentUs);
  }

  /** Of an open loop: each has its own time. */
  #deliveredLate(client: number, first: number, count: number): void {
    const base = client * this.#outstanding;
    let place = first % this.#outstanding;
    for (let left = count; left > 0; left--) {
      const latencyUs = this.nowUs - this.#intendedUs[base + place]!;
      this.#histogram.record(latencyUs);
      this.#onValue?.(latencyUs);
      if (++place === this.#outstanding) place = 0;
    }
  }

  /** What was measured up to now was to warm up. */
  restart(): void {
    this.values = 0;
    this.bytes = 0;
    this.#histogram.clear();
  }

  /** Of the first `due` values of an open loop the newest `values` have not come back: they took this long at least. */
  giveUp(values: number, due: number): void {
    for (let value = due - values; value < due; value++) {
      this.#histogram.record(this.nowUs - this.dueUs(value));
    }
  }

  latency(): LatencyFigures {
    return this.#histogram.figures();
  }

  histogram(): HistogramData {
    return this.#histogram.toJSON();
  }
}

/** Megabits per second. */
export function megabits(bytes: number, seconds: number): number {
  return seconds > 0 ? Math.round((bytes * 8) / seconds / 10_000) / 100 : 0;
}
