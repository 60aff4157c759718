/**
 * A client's run from first value to last: prints figures each second, ends it in time or after enough values, and says
 * at the end what was measured, or why nothing was.
 */
import { createWriteStream, type WriteStream } from "node:fs";
import { CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import type { Client } from "../protocol/client/client.ts";
import { type ClientFigures, megabits } from "./client_figures.ts";
import type { Process } from "./process.ts";
import type { Extra } from "./roles.ts";

const SECOND_US = 1_000_000;
/** How long a bounded run waits for the cluster before its own time begins. */
const READY_PATIENCE_US = 10_000_000;
/** Values under way at the end get this long to come back. */
const LAST_PATIENCE_US = 2_000_000;
const STATS_CHUNK = 1 << 16;

export interface ClientRunOptions {
  readonly log: Log;
  readonly json: boolean;
  readonly seconds: number;
  readonly values: number;
  readonly statsFile: string | undefined;
}

export class ClientRun implements Extra {
  /** For the statistics file; undefined when there is none. */
  readonly onValue: ((latencyUs: number) => void) | undefined;
  readonly #options: ClientRunOptions;
  readonly #stats: WriteStream | undefined;
  #statsText = "#ORDER LATENCY ABS\n";
  #order = 0;
  #client: Client | undefined;
  #figures: ClientFigures | undefined;
  #process: (() => Process) | undefined;
  #beganUs = -1;
  #readyUs = -1;
  #endUs = -1;
  #printDueUs = -1;
  #second = 0;
  #lastValues = 0;
  #lastBytes = 0;
  #nowUs = 0;
  #drainDueUs = -1;

  static async create(options: ClientRunOptions): Promise<ClientRun> {
    if (options.statsFile === undefined) return new ClientRun(options, undefined);
    const stats = createWriteStream(options.statsFile);
    await new Promise<void>((resolve, reject) => {
      stats.once("open", () => resolve());
      stats.once("error", (error) =>
        reject(new CliError(`cannot write ${options.statsFile}: ${error.message}`, { cause: error })),
      );
    });
    return new ClientRun(options, stats);
  }

  private constructor(options: ClientRunOptions, stats: WriteStream | undefined) {
    this.#options = options;
    this.#stats = stats;
    if (stats !== undefined) this.onValue = (latencyUs) => this.#note(latencyUs);
  }

  attach(client: Client, figures: ClientFigures, process: () => Process): void {
    this.#client = client;
    this.#figures = figures;
    this.#process = process;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (this.#beganUs < 0) this.#beganUs = nowUs;
    const client = this.#client!;
    if (this.#readyUs < 0 && client.ready) {
      this.#readyUs = nowUs;
      this.#printDueUs = nowUs + SECOND_US;
    }
    if (this.#readyUs < 0) {
      if (this.#options.seconds < Number.POSITIVE_INFINITY && nowUs - this.#beganUs > READY_PATIENCE_US)
        this.#end();
      return;
    }
    if (nowUs >= this.#printDueUs) this.#printSecond();
    if (client.isDone || nowUs - this.#readyUs >= this.#options.seconds * SECOND_US) this.#end();
  }

  nextTickUs(): number {
    if (this.#readyUs < 0) return this.#nowUs + SECOND_US / 10;
    return Math.min(this.#printDueUs, this.#readyUs + this.#options.seconds * SECOND_US);
  }

  /** The last value of a run is its end, whatever the clock says. */
  pump(nowUs: number): boolean {
    if (this.#readyUs >= 0 && this.#client!.isDone) {
      this.#nowUs = nowUs;
      this.#end();
    }
    return false;
  }

  /** Runs the process to its end and prints the figures of the whole run. */
  async finish(process: Process): Promise<ExitCode> {
    let failure: unknown;
    let exitCode: ExitCode = ExitCode.ok;
    try {
      exitCode = await process.run();
    } catch (error) {
      failure = error;
    }
    if (this.#endUs < 0) this.#endUs = this.#nowUs;
    this.#printSummary();
    await this.#closeStats();
    if (failure !== undefined) throw failure;
    return this.#verdict(process) ?? exitCode;
  }

  #end(): void {
    const client = this.#client!;
    if (this.#endUs < 0) this.#endUs = this.#nowUs;
    if (this.#drainDueUs < 0) this.#drainDueUs = this.#nowUs + LAST_PATIENCE_US;
    client.ready = false;
    this.#process!().stop();
  }

  #verdict(process: Process): ExitCode | undefined {
    const { log, values, seconds } = this.#options;
    const delivered = this.#figures!.values;
    const enough =
      values === Number.POSITIVE_INFINITY
        ? delivered > 0
        : delivered >= values || seconds < Number.POSITIVE_INFINITY;
    if (enough && delivered > 0) return undefined;
    const reasons = process.reasons();
    const { uncertain } = this.#client!.counters;
    if (uncertain > 0) reasons.unshift(`${uncertain} may be delivered or not: their session was forgotten`);
    log.error(delivered === 0 ? "no value was delivered" : `${delivered} of ${values} values were delivered`);
    for (const reason of reasons) log.error(`why: ${reason}`);
    return ExitCode.failure;
  }

  #printSecond(): void {
    const figures = this.#figures!;
    const seconds = (this.#nowUs - this.#printDueUs + SECOND_US) / SECOND_US;
    const values = figures.values - this.#lastValues;
    const mbps = megabits(figures.bytes - this.#lastBytes, seconds);
    this.#lastValues = figures.values;
    this.#lastBytes = figures.bytes;
    this.#printDueUs = this.#nowUs + SECOND_US;
    this.#second++;
    const rate = Math.round(values / seconds);
    const line = this.#options.json
      ? JSON.stringify({ second: this.#second, values, valuesPerSecond: rate, mbps })
      : `${rate} value/s, ${mbps} Mbps`;
    process.stdout.write(`${line}\n`);
  }

  #printSummary(): void {
    const figures = this.#figures;
    const client = this.#client;
    if (figures === undefined || client === undefined) return;
    const seconds = this.#readyUs < 0 ? 0 : (this.#endUs - this.#readyUs) / SECOND_US;
    const rate = seconds > 0 ? figures.values / seconds : 0;
    const latencyUs = figures.latency();
    const { resent, duplicates, uncertain } = client.counters;
    if (this.#options.json) {
      const mbps = megabits(figures.bytes, seconds);
      const rounded = Math.round(rate * 10) / 10;
      const all = {
        values: figures.values,
        seconds,
        valuesPerSecond: rounded,
        mbps,
        latencyUs,
        resent,
        duplicates,
        uncertain,
      };
      process.stdout.write(`${JSON.stringify(all)}\n`);
      return;
    }
    const { mean, p50, p90, p99, p999, max } = latencyUs;
    process.stdout.write(
      `${figures.values} values in ${seconds.toFixed(2)} s: ${Math.round(rate)} value/s, ${megabits(figures.bytes, seconds)} Mbps\n` +
        `latency µs: average ${mean}, p50 ${p50}, p90 ${p90}, p99 ${p99}, p99.9 ${p999}, max ${max}; ` +
        `${resent} sent again, ${duplicates} delivered twice\n`,
    );
    if (uncertain > 0)
      process.stdout.write(`${uncertain} may or may not be delivered: their session was forgotten\n`);
  }

  #note(latencyUs: number): void {
    this.#statsText += `${++this.#order} ${Math.round(latencyUs)} ${Date.now() * 1000}\n`;
    if (this.#statsText.length >= STATS_CHUNK) this.#flushStats();
  }

  #flushStats(): void {
    this.#stats?.write(this.#statsText);
    this.#statsText = "";
  }

  async #closeStats(): Promise<void> {
    const stats = this.#stats;
    if (stats === undefined) return;
    this.#flushStats();
    await new Promise<void>((resolve, reject) => {
      stats.once("error", reject);
      stats.end(() => resolve());
    });
  }
}
