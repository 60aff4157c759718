/**
 * Simulations one after the other, and what came of them. A run that fails is run again with a trace: the same seed is the
 * same run, so a trace costs nothing while all is well.
 */
import { asViolation } from "./backstage.ts";
import { addAll, type Counts } from "./faults.ts";
import { startMishaps } from "./mishaps.ts";
import type { Plant } from "./plants.ts";
import { SCENARIOS, type Scenario } from "./scenario.ts";
import { type Figures, Simulation, type SimulationOptions } from "./simulation.ts";
import { Trace } from "./trace.ts";
import type { Property, Violation } from "./violation.ts";

export const TRACE_LINES = 200;

export interface RunPlan {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly durationUs: number;
  readonly plant?: Plant;
}

export interface Outcome {
  readonly plan: RunPlan;
  readonly figures: Figures;
  readonly failure?: Failure;
}

export interface Failure {
  readonly property: Property | "not deterministic";
  readonly message: string;
  /** The last things that happened before, oldest first. */
  readonly trace: readonly string[];
}

/** Runs one simulation; `write`: takes every line of its trace. */
export function runOnce(plan: RunPlan, write?: (line: string) => void): Outcome {
  const trace = write === undefined ? undefined : new Trace({ keep: TRACE_LINES, write });
  const first = attempt(plan, trace);
  if (first.violation === undefined) return { plan, figures: first.figures };
  const { property, message } = first.violation;
  if (trace !== undefined) {
    return { plan, figures: first.figures, failure: { property, message, trace: trace.lines() } };
  }
  const traced = new Trace({ keep: TRACE_LINES });
  const second = attempt(plan, traced);
  const isSame = second.violation?.message === message && second.figures.digest === first.figures.digest;
  const failure: Failure = isSame
    ? { property, message, trace: traced.lines() }
    : {
        property: "not deterministic",
        message: `first ${message}; then ${second.violation?.message ?? "nothing"}`,
        trace: traced.lines(),
      };
  return { plan, figures: first.figures, failure };
}

/** The same without a trace of what failed: whether, and how. */
export function attempt(
  plan: RunPlan,
  trace?: Trace,
): { readonly figures: Figures; readonly violation?: Violation } {
  const { scenario, seed, durationUs, plant } = plan;
  const options: SimulationOptions = {
    scenario,
    seed,
    durationUs,
    ...(plant === undefined ? {} : { plant }),
    ...(trace === undefined ? {} : { trace }),
  };
  const simulation = new Simulation(options);
  startMishaps(simulation);
  try {
    return { figures: simulation.run() };
  } catch (error) {
    return { figures: simulation.figures(), violation: asViolation("simulation", error) };
  }
}

/** The scenarios that a name stands for. */
export function scenariosNamed(name: string): readonly Scenario[] {
  return name === "all" ? SCENARIOS : SCENARIOS.filter((one) => one.name === name);
}

/** What a number of runs came to. */
export class Tally {
  runs = 0;
  failures = 0;
  simulatedUs = 0;
  turns = 0;
  frames = 0;
  values = 0;
  chosen = 0;
  delivered = 0;
  readonly mishaps: Counts = {};
  readonly faults: Counts = {};
  readonly checks: Counts = {};

  add({ figures, failure }: Outcome): void {
    this.runs++;
    if (failure !== undefined) this.failures++;
    this.simulatedUs += figures.simulatedUs;
    this.turns += figures.turns;
    this.frames += figures.frames;
    this.values += figures.values;
    this.chosen += figures.chosen;
    this.delivered += figures.delivered;
    addAll(this.mishaps, figures.mishaps);
    addAll(this.faults, figures.faults);
    addAll(this.checks, figures.checks);
  }

  /** What came of others: what was done, and checked. */
  addAll({ mishaps, faults, checks }: Tally): void {
    addAll(this.mishaps, mishaps);
    addAll(this.faults, faults);
    addAll(this.checks, checks);
  }
}
