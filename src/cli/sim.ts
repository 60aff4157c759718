/**
 * `kpaxos sim`: whole clusters in this process, on a virtual clock, with everything that can go wrong going wrong. Each seed is
 * a run, and the same one each time.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { CliError, codeOf, ExitCode, exitCodeOf } from "../error.ts";
import type { Outcome, RunPlan, Tally } from "../sim/campaign.ts";
import { usageError } from "./args.ts";
import { type ArgsDef, type ArgValues, defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { stoppable } from "./stoppable.ts";

const SHOWN_TRACE_LINES = 60;
const FAILURES_LIMIT = 10;
const PROGRESS_MS = 10_000;
const TRACE_CHUNK = 65_536;

const namesOf = (all: readonly { readonly name: string }[]): string[] => all.map(({ name }) => name);

const simArgs = {
  scenario: {
    type: "string",
    default: "all",
    valueHint: "NAME",
    completes: async () => ["all", ...namesOf((await import("../sim/scenario.ts")).SCENARIOS)],
    description: "what goes wrong (--list names them); all: each in turn",
  },
  seed: { type: "integer", min: 0, description: "run this seed only" },
  seeds: { type: "range", min: 0, description: "run these seeds" },
  count: { type: "integer", min: 1, description: "run so many seeds, from 1 or from --seed on (default 20)" },
  minutes: {
    type: "number",
    min: 0.01,
    description: "run as many seeds as so many minutes allow, from 1 or from --seed on",
  },
  duration: {
    type: "number",
    min: 0.1,
    max: 86_400,
    default: 5,
    description: "simulated seconds until everything is healed",
  },
  trace: { type: "string", valueHint: "FILE", description: "write all that happens in the run to FILE" },
  plant: {
    type: "string",
    valueHint: "NAME",
    completes: async () => namesOf((await import("../sim/plants.ts")).PLANTS),
    description: "plant a bug that has to be found (--list names them)",
  },
  list: { type: "boolean", description: "list scenarios and bugs" },
  json: { type: "boolean", description: "one JSON object a run, and a last one with their sums" },
} as const satisfies ArgsDef;
type SimArgs = ArgValues<typeof simArgs>;

export const simCommand = defineKpaxosCommand({
  meta: {
    name: "sim",
    description: "simulate whole clusters in which things go wrong, and check that nothing chosen is lost",
    examples: [
      { command: "kpaxos sim", what: "20 seeds, every scenario in turn" },
      { command: "kpaxos sim --scenario crashes --seed 7", what: "one run, the same each time" },
      {
        command: "kpaxos sim --minutes 60 --seed 5000",
        what: "as many seeds as an hour allows, from 5000 on",
      },
      {
        command: "kpaxos sim --scenario crashes --seed 7 --trace sim.txt",
        what: "with every message in a file",
      },
    ],
    notes: [
      "A simulation runs the real cores, wires and node code on a network, disks and clocks in memory. All of it follows from " +
        "the seed and this very build; the digest of a run stands for everything that happened in it.",
      "Exit code 1: a property was violated. The seed, the command that repeats it, and what happened last are printed.",
    ],
  },
  args: simArgs,
  run: async ({ args }) => {
    if (args.list === true) return await listAll(args.json === true);
    const { Tally } = await import("../sim/campaign.ts");
    const tally = new Tally();
    const startedMs = performance.now();
    await stoppable((stop) => runAll(args, tally, stop));
    report(args, tally, (performance.now() - startedMs) / 1000);
    return tally.failures > 0 ? ExitCode.failure : ExitCode.ok;
  },
});

async function listAll(json: boolean): Promise<ExitCode> {
  const { SCENARIOS } = await import("../sim/scenario.ts");
  const { PLANTS } = await import("../sim/plants.ts");
  const rows = {
    scenarios: SCENARIOS.map(({ name, summary }) => ({ name, summary })),
    plants: PLANTS.map(({ name, summary }) => ({ name, summary })),
  };
  if (json) printJson(rows);
  else {
    for (const [title, items] of Object.entries(rows)) {
      print(`${title}:`);
      for (const { name, summary } of items) print(`  ${name.padEnd(24)} ${summary}`);
    }
  }
  return ExitCode.ok;
}

async function runAll(args: SimArgs, tally: Tally, stop: AbortSignal): Promise<void> {
  const { runOnce } = await import("../sim/campaign.ts");
  const write = traceFile(args);
  const untilMs = performance.now() + (args.minutes ?? 0) * 60_000;
  let saidMs = performance.now();
  try {
    for (const plan of await plans(args)) {
      if (args.minutes !== undefined && performance.now() >= untilMs) break;
      const outcome = runOnce(plan, write?.line);
      tally.add(outcome);
      tell(args, outcome);
      if (tally.failures >= FAILURES_LIMIT) break;
      if (args.json !== true && args.minutes !== undefined && performance.now() - saidMs > PROGRESS_MS) {
        saidMs = performance.now();
        print(`${runs(tally.runs)}, ${tally.failures} failed`);
      }
      // Signals are heard between two runs.
      await new Promise((resolve) => setImmediate(resolve));
      stop.throwIfAborted();
    }
  } finally {
    write?.end();
  }
}

/** Seeds with their scenarios; without an end if it is time that ends them. */
async function plans(args: SimArgs): Promise<Iterable<RunPlan>> {
  const { scenariosNamed } = await import("../sim/campaign.ts");
  const { findPlant, PLANTS } = await import("../sim/plants.ts");
  const { SCENARIOS } = await import("../sim/scenario.ts");
  const scenarios = scenariosNamed(args.scenario);
  if (scenarios.length === 0) {
    const names = SCENARIOS.map(({ name }) => name).join(", ");
    throw usageError(`there is no scenario ${JSON.stringify(args.scenario)}`, `scenarios: all, ${names}`);
  }
  const plant = args.plant === undefined ? undefined : findPlant(args.plant);
  if (args.plant !== undefined && plant === undefined) {
    const names = PLANTS.map(({ name }) => name).join(", ");
    throw usageError(`there is no bug ${JSON.stringify(args.plant)}`, `bugs: ${names}`);
  }
  const given = [args.seed, args.seeds].filter((one) => one !== undefined).length;
  if (given > 1) throw usageError("--seed and --seeds are two ways to say which", "give one of them");
  const { first, last } = seedsOf(args);
  const durationUs = Math.round(args.duration * 1_000_000);
  // With every scenario a seed that is asked for by its number is run in each; of many, each has its own.
  const inEach = isOneSeed(args);
  return (function* () {
    for (let seed = first; seed <= last; seed++) {
      const some = inEach ? scenarios : [scenarios[seed % scenarios.length]!];
      for (const scenario of some)
        yield { scenario, seed, durationUs, ...(plant === undefined ? {} : { plant }) };
    }
  })();
}

/** And not the first of many. */
function isOneSeed({ seed, count, minutes }: SimArgs): boolean {
  return seed !== undefined && count === undefined && minutes === undefined;
}

function seedsOf(args: SimArgs): { first: number; last: number } {
  if (args.seeds !== undefined) return args.seeds;
  const first = args.seed ?? 1;
  if (args.count !== undefined) return { first, last: first + args.count - 1 };
  if (args.minutes !== undefined) return { first, last: Number.MAX_SAFE_INTEGER };
  return { first, last: args.seed ?? 20 };
}

function traceFile(args: SimArgs): { line: (line: string) => void; end: () => void } | undefined {
  const { trace: path } = args;
  if (path === undefined) return undefined;
  const fails = (error: unknown): CliError => {
    const why = codeOf(error) || String(error);
    const hint = "name a file in a directory of yours, where there is room";
    return new CliError(`cannot write the trace to ${path}: ${why}`, { exitCode: exitCodeOf(error), hint });
  };
  let fd: number;
  try {
    fd = openSync(path, "w");
  } catch (error) {
    throw fails(error);
  }
  let text = "";
  // It is no fault of the run that it happens in: it is told when that is over.
  let failure: CliError | undefined;
  const flush = (): void => {
    const bytes = Buffer.from(text);
    text = "";
    try {
      for (let at = 0; failure === undefined && at < bytes.length; ) at += writeSync(fd, bytes, at);
    } catch (error) {
      failure = fails(error);
    }
  };
  return {
    line: (line) => {
      text += `${line}\n`;
      if (text.length >= TRACE_CHUNK) flush();
    },
    end: () => {
      flush();
      closeSync(fd);
      if (failure !== undefined) throw failure;
    },
  };
}

/** What to type to have the very same run. */
function replay({ scenario, seed, durationUs, plant }: RunPlan): string {
  const words = [`kpaxos sim --scenario ${scenario.name} --seed ${seed} --duration ${durationUs / 1e6}`];
  if (plant !== undefined) words.push(`--plant ${plant.name}`);
  return words.join(" ");
}

function tell(args: SimArgs, { plan, figures, failure }: Outcome): void {
  const { scenario, seed } = plan;
  if (args.json === true) {
    printJson({
      scenario: scenario.name,
      seed,
      ...figures,
      ...(failure === undefined ? {} : { failure, replay: replay(plan) }),
    });
    return;
  }
  if (failure === undefined) {
    if (isOneSeed(args)) {
      const seconds = (figures.simulatedUs / 1e6).toFixed(1);
      print(
        `${scenario.name} seed ${seed}: ok, ${figures.delivered} deliveries of ${figures.chosen} instances in ${seconds} s, digest ${figures.digest}`,
      );
    }
    return;
  }
  print(`${scenario.name} seed ${seed}: ${failure.message}`);
  print("  what happened last:");
  for (const line of failure.trace.slice(-SHOWN_TRACE_LINES)) print(`  ${line}`);
  print(`  repeat it: ${replay(plan)}`);
}

function report(args: SimArgs, tally: Tally, seconds: number): void {
  const simulatedSeconds = tally.simulatedUs / 1e6;
  if (args.json === true) {
    const perHour = (tally.runs / seconds) * 3600;
    printJson({ ...tally, seconds, simulatedSeconds, runsPerHour: Math.round(perHour) });
    return;
  }
  print(
    `${runs(tally.runs)}, ${tally.failures} failed; ${(simulatedSeconds / 60).toFixed(1)} min simulated in ${seconds.toFixed(1)} s ` +
      `(${(simulatedSeconds / seconds).toFixed(1)} times as fast, ${Math.round((tally.runs / seconds) * 3600)} runs an hour)`,
  );
  print(`${tally.chosen} instances chosen, ${tally.delivered} deliveries, ${tally.frames} frames`);
  for (const [title, counts] of [
    ["done to them", tally.mishaps],
    ["came of it", tally.faults],
    ["checked", tally.checks],
  ] as const)
    print(`${title}: ${list(counts)}`);
  const { undecided = 0 } = tally.checks;
  if (undecided > 0)
    print(
      `not decided: whether the calls of ${undecided} keys are linearizable; the search for an order was given up`,
    );
}

function list(counts: Readonly<Record<string, number>>): string {
  const words = Object.entries(counts).map(([kind, count]) => `${kind} ${count}`);
  return words.length === 0 ? "nothing" : words.join(", ");
}

function runs(count: number): string {
  return count === 1 ? "1 run" : `${count} runs`;
}
