/**
 * `kpaxos bench`: how fast a cluster is here, over everything that matters for it, and whether two such measurements differ.
 */
import { OPEN_WINDOW, type Sweep } from "../bench/cells.ts";
import type { BenchResult } from "../bench/result.ts";
import type { BenchOptions } from "../bench/run.ts";
import { FIRST_WARM_UP, warmUpsOf } from "../bench/warm_up.ts";
import { readConfig } from "../config/read.ts";
import { SCHEMA } from "../config/schema.ts";
import { CliError, ExitCode } from "../error.ts";
import { shellLine } from "../text/shell_line.ts";
import { usageError } from "./args.ts";
import { type BenchArgs, benchArgs, DEFAULTS } from "./bench_args.ts";
import { listenerOf } from "./bench_listener.ts";
import { MAX_WINDOW, numbers, oneOf, settingsOf } from "./bench_lists.ts";
import { defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { stoppable } from "./stoppable.ts";

const MAX_VALUE_SIZE = 2 ** 24 - 1;

/** What a running cluster has already. */
const OF_OUR_OWN = [
  "wires",
  "storage",
  "acceptors",
  "layout",
  "batching",
  "groups",
  "settings",
  "storage-path",
] as const;

export const benchCommand = defineKpaxosCommand({
  meta: {
    name: "bench",
    description: "measure clusters: throughput, latency, processor time, frames",
    examples: [
      { command: "kpaxos bench", what: "a cluster of its own, windows from 1 to 1000" },
      {
        command: "kpaxos bench --windows 100 --sizes 64,1000 --wires native,kernel-paxos",
        what: "four loads",
      },
      { command: "kpaxos bench --floor --batching no --windows 1,100", what: "beside plain C" },
      {
        command: "kpaxos bench --rate 1000,10000,100000 --report report",
        what: "open loop, and a page with plots",
      },
      {
        command: "kpaxos bench --half --floor --windows 1000",
        what: "latency at half of the maximum, beside plain C at half of its own",
      },
      { command: "kpaxos bench -f paxos.conf", what: "a cluster that runs" },
      { command: "kpaxos bench --compare before.json after.json", what: "did it change?" },
      {
        command: "kpaxos bench --compare before1.json,before2.json after1.json,after2.json",
        what: "the same by several runs, which were measured in turns",
      },
      { command: "kpaxos bench link", what: "the bare link, without Paxos" },
      { command: "kpaxos bench commit", what: "the bare disk, without Paxos" },
    ],
    notes: [
      "LIST is values with commas between them; every combination is measured, in rounds one after the other. As root, or where " +
        "the kernel lets ordinary users have namespaces, each role has a network namespace on a bridge; elsewhere UDP on 127.0.0.1.",
      "Latency is without coordinated omission. In an open loop it counts from when a value was to be sent. In a closed loop it " +
        "counts from its sending, and is corrected for the values that were not sent while others were waited for (as if each " +
        "place of the window sent at its mean pace); `sentLatencyUs` in the JSON is without that correction.",
      "--floor: the floor has the same load as each round: the window, or the rate of an open loop; with --half it has " +
        "half of its own maximum. It goes right before odd rounds and right behind even ones, so that a machine that becomes slower favours neither. It has the scheduling of the cluster, and its latencies are taken and corrected as ours are.",
      `A cluster that bench starts is loaded for ${FIRST_WARM_UP} s (or as long as --warm-up says) before its first round, with the ` +
        "heaviest of its loads: its runtimes compile then. What that brings is thrown away.",
      "Exit code 1: some load could not be measured to the end; the others were.",
      "--compare: exit code 0: nothing differs beyond noise, or there is no telling; 1: something does; 2: no such files, or nothing in common. " +
        "Each side is a file, or several with commas between them: runs of the same, best measured in turns (before, after, before, after). " +
        "Of several the runs are the samples: a difference is beyond the noise between runs. Of one on each side the rounds are: what " +
        "the machine did differently in the two runs counts as a difference then. All figures are tested together (Student's t test, Holm's correction): " +
        'of 100 comparisons of equals fewer than 5 find a difference anywhere. "seen from" says how small a one could have been found.',
      "--preset targets: a goal is reached or missed when all rounds say so, and too close to tell when they lie on both sides of it " +
        "(a single round, and what is measured once, have one side). Exit code 0 whatever is measured; it takes --rounds, --seconds, --warm-up, --udp, --settings, --storage-path and --json. " +
        "On disk the goal at window 1 is about one commit with nobody else on the disk; the row beneath it is about those of a quorum " +
        "at once, because all acceptors have one disk here.",
    ],
  },
  args: benchArgs,
  subCommands: {
    link: {
      description: "the bare message rate and round trip of a link, without Paxos",
      load: async () => (await import("./bench_link.ts")).linkCommand,
    },
    commit: {
      description: "what a synced commit takes on a disk, alone and beside others",
      load: async () => (await import("./bench_commit.ts")).commitCommand,
    },
  },
  run: async ({ args, rawArgs }) => {
    if (args.compare !== undefined) checkRunsNothing(args);
    if (args.compare !== undefined) return await compareFiles(args.compare, args.other, args.json === true);
    if (args.other !== undefined) {
      throw usageError(
        `unexpected "${args.other}"`,
        "kpaxos bench link measures a link, kpaxos bench commit a disk; --compare A.json B.json compares",
      );
    }
    if (args.preset !== undefined) {
      const { runTargets } = await import("./bench_targets.ts");
      return await runTargets(args);
    }
    return await measure(args, rawArgs);
  },
});

function sweepOf(args: BenchArgs): Sweep {
  const rates = args.rate === undefined ? [null] : numbers("--rate", args.rate, 0.1, 10_000_000, false);
  const windows = args.windows ?? (args.rate === undefined ? DEFAULTS.windows : `${OPEN_WINDOW}`);
  return {
    wires: oneOf("--wires", args.wires ?? DEFAULTS.wires, benchArgs.wires.listOf),
    storages: oneOf("--storage", args.storage ?? DEFAULTS.storage, benchArgs.storage.listOf),
    layouts: oneOf("--layout", args.layout ?? DEFAULTS.layout, benchArgs.layout.listOf),
    acceptors: numbers("--acceptors", args.acceptors ?? DEFAULTS.acceptors, 1, 250),
    batchings: oneOf("--batching", args.batching ?? DEFAULTS.batching, benchArgs.batching.listOf).map(
      (word) => word === "yes",
    ),
    groups: numbers("--groups", args.groups ?? DEFAULTS.groups, 1, SCHEMA.groups.max),
    windows: numbers("--windows", windows, 1, MAX_WINDOW),
    clients: numbers("--clients", args.clients ?? DEFAULTS.clients, 1, 65_535),
    sizes: numbers("--sizes", args.sizes ?? DEFAULTS.sizes, 0, MAX_VALUE_SIZE),
    rates,
  };
}

/** The shape of a cluster that runs is not ours to choose. */
function sweepOfRunning(args: BenchArgs, file: string): Sweep {
  const given = OF_OUR_OWN.find((name) => args[name] !== undefined);
  if (given !== undefined || args.udp === true || args.floor === true) {
    const flag = given ?? (args.udp === true ? "udp" : "floor");
    throw usageError(`--${flag} is of a cluster that bench starts itself`, "leave out -f, or the flag");
  }
  const config = readConfig(file, { flags: {} });
  const { wire, storageBackend, batching, groups } = config.settings;
  return {
    ...sweepOf(args),
    wires: [wire],
    storages: [storageBackend],
    layouts: [config.replicas.length > 0 ? "replicas" : "roles"],
    acceptors: [config.acceptors.length],
    batchings: [batching],
    groups: [groups],
  };
}

async function measure(args: BenchArgs, rawArgs: readonly string[]): Promise<ExitCode> {
  const { file } = args;
  const sweep = file === undefined ? sweepOf(args) : sweepOfRunning(args, file);
  if (args.half === true && args.rate !== undefined)
    throw usageError("--half follows a closed loop, and --rate is an open one", "leave one of them out");
  const { runBench } = await import("../bench/run.ts");
  const { makeReportDirectory, writeReport } = await import("../bench/report.ts");
  if (args.report !== undefined) makeReportDirectory(args.report);
  const options: Omit<BenchOptions, "stop"> = {
    sweep,
    rounds: args.rounds,
    seconds: args.seconds,
    ...warmUpsOf(args["warm-up"]),
    udp: args.udp === true,
    file,
    settings: settingsOf(args.settings),
    storagePath: args["storage-path"],
    floor: args.floor === true,
    half: args.half === true,
    commandLine: shellLine(["kpaxos", "bench", ...rawArgs]),
  };
  const listener = listenerOf();
  const result = await stoppable((stop) => runBench({ ...options, stop }, listener));
  if (args.report !== undefined) listener.note(`written: ${writeReport(args.report, result)}`);
  await printResult(result, args.json === true);
  return result.failures.length === 0 ? ExitCode.ok : ExitCode.failure;
}

async function printResult(result: BenchResult, json: boolean): Promise<void> {
  if (json) {
    printJson(result);
    return;
  }
  const { tableOf } = await import("../bench/table.ts");
  for (const line of tableOf(result)) print(line);
}

/** Not refused beside it: what belongs to it, and flags with a default, of which nobody knows here whether they were given. */
const COMPARED = ["compare", "other", "json", "rounds", "seconds"];

function checkRunsNothing(args: BenchArgs): void {
  const flags = Object.keys(benchArgs) as (keyof BenchArgs)[];
  const given = flags.find((flag) => args[flag] !== undefined && !COMPARED.includes(flag));
  if (given !== undefined)
    throw usageError(`--compare runs nothing, and --${given} is about a run`, "leave one of them out");
}

async function compareFiles(before: string, after: string | undefined, json: boolean): Promise<ExitCode> {
  if (after === undefined)
    throw usageError(
      "--compare needs two results",
      "write --compare BEFORE.json AFTER.json, or several runs on a side: A1.json,A2.json B1.json,B2.json",
    );
  const { readSides } = await import("../bench/sides.ts");
  const { compare } = await import("../bench/compare.ts");
  const { comparisonLines } = await import("../bench/comparison_text.ts");
  const sides = readSides(before, after);
  const comparison = compare(sides.before, sides.after);
  if (comparison.cells.length === 0) {
    throw new CliError("the results of both sides have no load in common", {
      exitCode: ExitCode.usage,
      hint: "measure both with the same flags",
    });
  }
  if (json) printJson(comparison);
  else for (const line of comparisonLines(comparison)) print(line);
  return comparison.differs ? ExitCode.failure : ExitCode.ok;
}
