/**
 * One process: in each of its groups (mostly it is one) opens its link and is given its cores; runs until a signal, an end of
 * its own, or trouble, and leaves cleanly. What the cores are is `build.ts`; what the command line says is `cli/run*.ts`.
 */
import { type CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import { keepAwake } from "./awake.ts";
import type { Built, Context, ProcessOptions } from "./context.ts";
import { runOnCpus } from "./cpus.ts";
import { newLife } from "./identity.ts";
import { Lane } from "./lane.ts";
import type { Patience } from "./patience.ts";
import { Runner } from "./run.ts";
import { schedule } from "./scheduling.ts";
import type { Node } from "./turn.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

export class Process {
  readonly log: Log;
  /** One for each group. */
  readonly lanes: readonly Lane[];
  /** Set when the process is to end by itself. */
  exitCode: ExitCode = ExitCode.ok;
  readonly #runner: Runner;
  /** Undoes what concerns more than this node: priority, sleep of processors. */
  readonly #restore: () => void;
  readonly #handlesSignals: boolean;
  #fatal: CliError | undefined;

  /** `build` is called for each group in turn. */
  constructor(options: ProcessOptions, build: (context: Context) => Built) {
    const life = newLife();
    const lanes: Lane[] = [];
    this.log = options.wholeLog ?? options.log;
    this.#handlesSignals = options.handlesSignals ?? true;
    const { settings } = options.config;
    // First of all: memory comes from where it is first touched.
    runOnCpus(settings.cpu);
    const undo: (() => void)[] = [];
    let patience: Patience | undefined;
    this.#restore = () => {
      for (const one of undo) one();
    };
    try {
      undo.push(keepAwake(settings.keepAwake));
      const scheduled = schedule(settings);
      undo.push(scheduled.restore);
      patience = scheduled.patience;
      for (const place of [options, ...(options.others ?? [])]) {
        lanes.push(new Lane({ ...options, ...place }, life, build, (error) => this.fail(error)));
      }
    } catch (error) {
      for (const lane of lanes) lane.close();
      this.#restore();
      throw error;
    }
    this.lanes = lanes;
    const sleeper = lanes.find(({ built }) => built.sleeper !== undefined)?.built.sleeper;
    const [first] = lanes;
    // Asked in each turn.
    const dozes =
      lanes.length === 1
        ? first!.built.dozes?.bind(first!.built)
        : (): boolean => lanes.every(({ built }) => built.dozes?.() ?? false);
    this.#runner = new Runner(lanes, { sleeper, dozes, patience });
  }

  /** Of a process of one group: its node. */
  get node(): Node {
    return this.lanes[0]!.node;
  }

  /** Why nothing moves, as far as this process can tell. */
  reasons(): string[] {
    return this.#ofLanes((lane) => lane.reasons());
  }

  /** Those of them that the log does not have. */
  untoldReasons(): string[] {
    return this.#ofLanes((lane) => lane.untoldReasons());
  }

  #ofLanes(reasonsOf: (lane: Lane) => string[]): string[] {
    if (this.lanes.length === 1) return reasonsOf(this.lanes[0]!);
    return this.lanes.flatMap((lane) => reasonsOf(lane).map((text) => `group ${lane.group}: ${text}`));
  }

  /** Runs to the end; throws what ended it, unless that was asked for. */
  async run(): Promise<ExitCode> {
    const onSignal = (signal: NodeJS.Signals): void => {
      this.log.info(`${signal}: ending`);
      this.stop();
    };
    const signals = this.#handlesSignals ? SIGNALS : [];
    for (const signal of signals) process.on(signal, onSignal);
    const { opened } = this.lanes[0]!;
    this.log.info(`ready on ${opened.where}, wire ${opened.wire.name}`);
    try {
      await this.#runner.run();
    } finally {
      for (const signal of signals) process.off(signal, onSignal);
      for (const lane of this.lanes) lane.close();
      this.#restore();
    }
    if (this.#fatal !== undefined) throw this.#fatal;
    return this.exitCode;
  }

  stop(exitCode: ExitCode = ExitCode.ok): void {
    this.exitCode = exitCode;
    this.#runner.stop((lane) => this.lanes[lane]!.built.farewell?.());
  }

  /** Ends with an error. */
  fail(error: CliError): void {
    this.#fatal ??= error;
    this.stop();
  }
}
