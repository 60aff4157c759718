/**
 * A client's run from first value to last: warms up, has the values of an open loop sent when they are due, prints figures each
 * second, ends it in time or after enough values, and says at the end what was measured, or why nothing was.
 *
 * A run that is to be measured (a rate, a time to warm up) does not end with values under way: those are waited for and count with
 * the time they take, and what does not come back in time counts with the time it was waited for.
 */
import { createWriteStream, type WriteStream } from "node:fs";
import { CliError, ExitCode, exitCodeOf } from "../error.ts";
import type { Log } from "../log.ts";
import { standardOutput } from "../streams.ts";
import { type ClientFigures, megabits } from "./client_figures.ts";
import type { RunClient } from "./joint_client.ts";
import type { Process } from "./process.ts";
import type { Extra } from "./roles.ts";

const SECOND_US = 1_000_000;
/**
 * How long a bounded run waits for the cluster before its own time begins: as long as it is to last itself, within these. In the
 * shorter time a cluster that was just started has a leader, and who is silent is known.
 */
const READY_PATIENCE_US = [4_000_000, 10_000_000] as const;
const COLD_US = 10_000;
/** Values under way at the end of what is measured get this long to come back. */
const LAST_PATIENCE_US = 10_000_000;
/** So long without a word. */
const LAST_SILENCE_US = 1_000_000;
/** An open loop sends no oftener: to wake up for each value by itself costs more than the value. */
const RELEASE_US = 50;
const STATS_CHUNK = 1 << 16;

export interface ClientRunOptions {
  readonly log: Log;
  readonly json: boolean;
  readonly seconds: number;
  readonly values: number;
  readonly statsFile: string | undefined;
  /** Of an open loop, in values per second; undefined: a closed loop. */
  readonly rate?: number | undefined;
  /** Seconds before measuring begins. */
  readonly warmUp?: number | undefined;
  /** Seconds between two lines of figures. */
  readonly interval?: number | undefined;
  /** The last line of JSON has all latencies. */
  readonly histogram?: boolean | undefined;
}

/** `ended`: measured, and nothing is waited for. */
type Phase = "waiting" | "warming" | "measuring" | "draining" | "ended";

/** What the processor did for this process, in microseconds. */
interface Cpu {
  readonly user: number;
  readonly system: number;
}

export class ClientRun implements Extra {
  /** For the statistics file; undefined when there is none. */
  readonly onValue: ((latencyUs: number) => void) | undefined;
  readonly #options: ClientRunOptions;
  readonly #stats: WriteStream | undefined;
  #statsText = "#ORDER LATENCY ABS\n";
  #statsError: CliError | undefined;
  #order = 0;
  #client: RunClient | undefined;
  #figures: ClientFigures | undefined;
  #process: (() => Process) | undefined;
  #phase: Phase = "waiting";
  #beganUs = -1;
  /** When the present phase is over. */
  #dueUs = Number.POSITIVE_INFINITY;
  /** Measuring: from, to, and what was used and delivered meanwhile. */
  #fromUs = -1;
  #endUs = -1;
  /** An open loop sends nothing before. */
  #releaseUs = 0;
  #values = 0;
  #bytes = 0;
  #cpu: Cpu = { user: 0, system: 0 };
  #unanswered = 0;
  #printDueUs = -1;
  #second = 0;
  /** When it is said what is waited for at the end. */
  #sayUs = Number.POSITIVE_INFINITY;
  #lastValues = 0;
  #lastBytes = 0;
  #nowUs = 0;

  static async create(options: ClientRunOptions): Promise<ClientRun> {
    if (options.statsFile === undefined) return new ClientRun(options, undefined);
    const stats = createWriteStream(options.statsFile);
    await new Promise<void>((resolve, reject) => {
      stats.once("open", () => resolve());
      stats.once("error", (error) => reject(statsTrouble(options.statsFile, error)));
    });
    return new ClientRun(options, stats);
  }

  private constructor(options: ClientRunOptions, stats: WriteStream | undefined) {
    this.#options = options;
    this.#stats = stats;
    if (stats === undefined) return;
    this.onValue = (latencyUs) => this.#note(latencyUs);
    // It does not end the run: it is told at the end.
    stats.on("error", (error) => this.#lose(error));
  }

  attach(client: RunClient, figures: ClientFigures, process: () => Process): void {
    this.#client = client;
    this.#figures = figures;
    this.#process = process;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    const figures = this.#figures!;
    figures.nowUs = nowUs;
    if (this.#beganUs < 0) this.#beganUs = nowUs;
    if (this.#phase === "waiting") {
      this.#wait();
      return;
    }
    if (this.#phase === "warming" && nowUs >= this.#dueUs && this.#isWarm()) this.#measure();
    if (this.#phase === "measuring") {
      if (nowUs >= this.#printDueUs) this.#printSecond();
      if (nowUs >= this.#dueUs) this.#end();
    }
    if (this.#options.rate !== undefined) this.#release();
    this.#review();
  }

  nextTickUs(): number {
    switch (this.#phase) {
      case "waiting":
        return this.#nowUs + SECOND_US / 10;
      case "ended":
        return Number.POSITIVE_INFINITY;
      case "draining":
        return Math.min(this.#dueUs, this.#sayUs);
      default: {
        // Warm later than was asked for: whatever comes first says so.
        const warm = Math.max(this.#dueUs, this.#nowUs + COLD_US);
        const due = this.#phase === "measuring" ? Math.min(this.#printDueUs, this.#dueUs) : warm;
        const { limit } = this.#client!;
        if (this.#options.rate === undefined || limit >= this.#options.values) return due;
        return Math.min(due, Math.max(this.#releaseUs, this.#figures!.dueUs(limit)));
      }
    }
  }

  /** The last value of a run is its end, whatever the clock says. */
  pump(nowUs: number): boolean {
    this.#nowUs = nowUs;
    this.#review();
    return false;
  }

  /** Nothing is sent before deliveries can be heard. */
  #wait(): void {
    const { warmUp = 0 } = this.#options;
    const nowUs = this.#nowUs;
    if (this.#client!.ready) {
      this.#figures!.begin(nowUs);
      this.#phase = "warming";
      this.#dueUs = nowUs + warmUp * SECOND_US;
      if (warmUp === 0) this.#measure();
    } else if (nowUs - this.#beganUs > this.#readyPatienceUs()) this.#stop();
  }

  #readyPatienceUs(): number {
    const { seconds, warmUp = 0 } = this.#options;
    if (seconds === Number.POSITIVE_INFINITY) return seconds;
    const [least, most] = READY_PATIENCE_US;
    return Math.min(most, Math.max(least, (seconds + warmUp) * SECOND_US));
  }

  /** Before a value came back there is nothing to measure, within reason. */
  #isWarm(): boolean {
    const isAlive = this.#client!.counters.delivered > 0;
    return isAlive || this.#nowUs - this.#beganUs > READY_PATIENCE_US[1];
  }

  #measure(): void {
    const figures = this.#figures!;
    if (this.#options.warmUp !== undefined) this.#say({ phase: "measuring" });
    if ((this.#options.warmUp ?? 0) > 0) figures.restart();
    this.#phase = "measuring";
    this.#fromUs = this.#nowUs;
    this.#dueUs = this.#nowUs + this.#options.seconds * SECOND_US;
    this.#printDueUs = this.#nowUs + this.#intervalUs;
    this.#cpu = process.cpuUsage();
  }

  /** Values of an open loop whose time has come. What is due soon after a release waits for the next one, and counts from its time. */
  #release(): void {
    if (this.#nowUs < this.#releaseUs && this.#endUs < 0) return;
    const until = this.#endUs < 0 ? this.#nowUs : this.#endUs;
    const due = Math.min(this.#options.values, this.#figures!.dueBy(until));
    if (due <= this.#client!.limit) return;
    this.#client!.limit = due;
    this.#releaseUs = this.#nowUs + RELEASE_US;
  }

  /** Ends measuring: what is under way is waited for if the run is to be measured. */
  #end(): void {
    if (this.#phase === "measuring" || this.#phase === "warming") {
      const figures = this.#figures!;
      this.#endUs = this.#nowUs;
      this.#values = figures.values;
      this.#bytes = figures.bytes;
      this.#cpu = process.cpuUsage(this.#cpu);
      if (this.#options.warmUp !== undefined) this.#say({ phase: "measured" });
    }
    const { rate, warmUp } = this.#options;
    if (rate === undefined && warmUp === undefined) {
      this.#stop();
      return;
    }
    this.#phase = "draining";
    this.#dueUs = this.#nowUs + LAST_PATIENCE_US;
    // Where not one value has come back the reasons are known by now: nobody is there who could have one chosen.
    if (this.#client!.counters.delivered === 0)
      this.#dueUs = Math.max(this.#nowUs, this.#beganUs + this.#readyPatienceUs());
    this.#sayUs = this.#nowUs + LAST_SILENCE_US;
    // A closed loop goes no further than it has come.
    if (rate === undefined) this.#client!.limit = this.#client!.counters.submitted;
  }

  /** Whether everything was sent that ever is to be, and has come back. */
  #review(): void {
    const client = this.#client!;
    if (this.#phase === "draining") {
      if (!client.isDone && this.#nowUs < this.#dueUs) {
        if (this.#nowUs >= this.#sayUs) this.#sayWhatIsAwaited();
        return;
      }
      this.#giveUp();
      this.#stop();
    } else if (this.#phase === "measuring" || this.#phase === "warming") {
      if (client.isDone && client.counters.submitted >= this.#options.values) this.#end();
    }
  }

  /** Values that were due, or sent, and have not come back. */
  get #awaited(): number {
    const client = this.#client!;
    if (this.#options.rate === undefined) return client.outstanding;
    const { delivered, uncertain } = client.counters;
    return client.limit - delivered - uncertain;
  }

  #sayWhatIsAwaited(): void {
    this.#sayUs = Number.POSITIVE_INFINITY;
    const seconds = Math.ceil((this.#dueUs - this.#nowUs) / SECOND_US);
    this.#options.log.warn(`waits up to ${seconds} s more for ${this.#awaited} values that are under way`);
  }

  #giveUp(): void {
    const client = this.#client!;
    this.#unanswered = this.#awaited;
    if (this.#options.rate === undefined) return;
    this.#figures!.giveUp(this.#unanswered, client.limit);
  }

  #stop(): void {
    if (this.#phase === "ended") return;
    this.#phase = "ended";
    if (this.#endUs < 0) this.#endUs = this.#nowUs;
    this.#client!.ready = false;
    this.#process!().stop();
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
    if (this.#endUs < 0) this.#interrupted();
    this.#printSummary();
    await this.#closeStats();
    if (failure !== undefined) throw failure;
    const verdict = this.#verdict(process);
    if (this.#statsError !== undefined) throw this.#statsError;
    return verdict ?? exitCode;
  }

  /** A signal ended it. */
  #interrupted(): void {
    this.#endUs = this.#nowUs;
    this.#values = this.#figures?.values ?? 0;
    this.#bytes = this.#figures?.bytes ?? 0;
    if (this.#fromUs >= 0) this.#cpu = process.cpuUsage(this.#cpu);
  }

  get #intervalUs(): number {
    return (this.#options.interval ?? 1) * SECOND_US;
  }

  #say(line: object): void {
    if (this.#options.json) standardOutput().write(`${JSON.stringify(line)}\n`);
  }

  #verdict(process: Process): ExitCode | undefined {
    const { log, values, seconds } = this.#options;
    const { delivered } = this.#client!.counters;
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
    const intervalUs = this.#intervalUs;
    const seconds = (this.#nowUs - this.#printDueUs + intervalUs) / SECOND_US;
    const values = figures.values - this.#lastValues;
    const mbps = megabits(figures.bytes - this.#lastBytes, seconds);
    this.#lastValues = figures.values;
    this.#lastBytes = figures.bytes;
    this.#printDueUs = this.#nowUs + intervalUs;
    this.#second = Math.round((this.#second + intervalUs / SECOND_US) * 1000) / 1000;
    const rate = Math.round(values / seconds);
    const line = this.#options.json
      ? JSON.stringify({ second: this.#second, values, valuesPerSecond: rate, mbps })
      : `${rate} value/s, ${mbps} Mbps`;
    standardOutput().write(`${line}\n`);
  }

  #printSummary(): void {
    const figures = this.#figures;
    const client = this.#client;
    if (figures === undefined || client === undefined) return;
    const values = this.#values;
    const seconds = this.#fromUs < 0 ? 0 : (this.#endUs - this.#fromUs) / SECOND_US;
    const rate = seconds > 0 ? values / seconds : 0;
    const mbps = megabits(this.#bytes, seconds);
    const latencyUs = figures.latency();
    const { resent, duplicates, uncertain } = client.counters;
    if (this.#options.json) {
      const valuesPerSecond = Math.round(rate * 10) / 10;
      const counts = { resent, duplicates, uncertain, unanswered: this.#unanswered };
      const own = { cpuUs: this.#cpu, residentBytes: process.memoryUsage.rss() };
      const histogram = this.#options.histogram === true ? { histogram: figures.histogram() } : {};
      this.#say({ values, seconds, valuesPerSecond, mbps, latencyUs, ...counts, ...own, ...histogram });
      return;
    }
    const { mean, p50, p90, p99, p999, max } = latencyUs;
    standardOutput().write(
      `${values} values in ${seconds.toFixed(2)} s: ${Math.round(rate)} value/s, ${mbps} Mbps\n` +
        `latency µs: average ${mean}, p50 ${p50}, p90 ${p90}, p99 ${p99}, p99.9 ${p999}, max ${max}; ` +
        `${resent} sent again, ${duplicates} delivered twice\n`,
    );
    if (this.#unanswered > 0)
      standardOutput().write(
        `${this.#unanswered} were due or under way at the end and did not come back in time\n`,
      );
    if (uncertain > 0)
      standardOutput().write(`${uncertain} may or may not be delivered: their session was forgotten\n`);
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
    await new Promise<void>((resolve) => {
      stats.end((error?: Error | null) => {
        if (error) this.#lose(error);
        resolve();
      });
    });
  }

  /** What was said first is the cause of the rest. */
  #lose(error: Error): void {
    this.#statsError ??= statsTrouble(this.#options.statsFile, error);
  }
}

function statsTrouble(path: string | undefined, cause: Error): CliError {
  return new CliError(`cannot write ${path}: ${cause.message}`, {
    exitCode: exitCodeOf(cause),
    hint: "--stats-file names a file in a directory of yours, where there is room",
    cause,
  });
}
