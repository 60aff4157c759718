/**
 * `kpaxos bench --preset targets`: each goal of this version beside what is measured here.
 */
import type { Target } from "../bench/goals.ts";
import { warmUpsOf } from "../bench/warm_up.ts";
import type { Flags } from "../config/parse.ts";
import { parseBoolean } from "../config/values.ts";
import { ExitCode } from "../error.ts";
import { usageError } from "./args.ts";
import type { BenchArgs } from "./bench_args.ts";
import { listenerOf } from "./bench_listener.ts";
import { settingsOf } from "./bench_lists.ts";
import { print, printJson } from "./output.ts";
import { stoppable } from "./stoppable.ts";

/** What the preset chooses itself. */
const CHOSEN = [
  ...[
    "windows",
    "sizes",
    "clients",
    "rate",
    "half",
    "wires",
    "storage",
    "acceptors",
    "layout",
    "batching",
    "groups",
  ],
  ...["file", "floor", "report"],
] as readonly (keyof BenchArgs)[];

const verdictText = ({ verdict }: Target): string => verdict ?? "no verdict";

function lines(targets: readonly Target[]): string[] {
  const rows = targets.map((one) => [
    ...[one.what, one.goal, one.measured, one.ratio === null ? "" : one.ratio.toFixed(2), verdictText(one)],
  ]);
  const cells = [
    ["load", "goal", "measured", "ratio", "verdict"],
    ["---", "---", "---", "---:", "---"],
    ...rows,
  ];
  return cells.map((row) => `| ${row.join(" | ")} |`);
}

/** Its rows compare with commits that sync. */
function checkSync({ "storage-sync": given }: Flags): void {
  if (given === undefined) return;
  const sync = parseBoolean("storage-sync", String(given));
  if (sync.ok && sync.value === false)
    throw usageError(
      "--preset targets is about storage that syncs, and storage-sync no does not",
      "leave it out; without the preset it can be measured: " +
        "kpaxos bench --storage sqlite,log --settings storage-sync=no",
    );
}

export async function runTargets(args: BenchArgs): Promise<ExitCode> {
  const given = CHOSEN.find((flag) => args[flag] !== undefined);
  if (given !== undefined)
    throw usageError(
      `--preset targets chooses --${given} itself`,
      "it takes --rounds, --seconds, --warm-up, --udp, --settings, --storage-path and --json",
    );
  const settings = settingsOf(args.settings);
  checkSync(settings);
  const { Targets } = await import("../bench/targets.ts");
  const { load, machineFacts } = await import("../bench/machine.ts");
  const machine = machineFacts();
  const targets: Target[] = [];
  const listener = listenerOf();
  const found = (target: Target): void => {
    targets.push(target);
    listener.note(`${target.what}: ${target.measured}; ${target.goal}: ${verdictText(target)}`);
  };
  const options = {
    rounds: args.rounds,
    seconds: args.seconds,
    ...warmUpsOf(args["warm-up"]),
    udp: args.udp === true,
    settings,
    storagePath: args["storage-path"],
  };
  await stoppable((stop) => new Targets({ ...options, stop }, listener, found).run());
  const facts = { ...machine, loadAfter: load() };
  if (args.json === true) printJson({ machine: facts, udp: args.udp === true, settings, targets });
  else {
    print(
      `${facts.cpu}, ${facts.cores} cores, ${facts.kernel}, Bun ${facts.bun}, kpaxos ${facts.kpaxos}; ` +
        `load average ${facts.loadBefore[0]} before, ${facts.loadAfter[0]} after; ${args.rounds} rounds of ${args.seconds} s${args.udp === true ? ", over UDP" : ""}` +
        (args.settings === undefined
          ? ""
          : `; ${args.settings} (not for the floor, idle, start-up and memory)`),
    );
    print("");
    for (const line of lines(targets)) print(line);
  }
  return ExitCode.ok;
}
