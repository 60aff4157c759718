/**
 * What groups cost and give: the same load over 1, 2, 4, … groups of one configuration, with a client process for each group and
 * with one for all, and the price of a learner that merges them. As a Markdown table: values per second of all groups together,
 * latency, and processor time of all processes for each value, which is what a machine with enough cores would divide by.
 *
 *     bun bench/groups.ts [--groups 1,2,4] [--window 100] [--size 64] [--seconds 3] [--rounds 3] [--proposers 1] [--udp]
 *         [--main PATH]
 *
 * The window is each group's. Rounds go through all rows in turn, each in a cluster of its own that is loaded before it is measured;
 * figures are medians of the rounds. The program measured is dist/kpaxos where it is built, else src/main.ts.
 */
import { OwnBed } from "../src/bench/bed.ts";
import { measureRound } from "../src/bench/measure.ts";
import { cpuUsOf } from "../src/bench/result.ts";
import { median } from "../src/bench/statistics.ts";
import { FIRST_WARM_UP } from "../src/bench/warm_up.ts";
import { choosePlace, describePlace } from "../src/ops/cluster_place.ts";
import { grouped } from "../src/text/grouped.ts";
import { commandOf, flags, MAIN_FLAG, printRow, script, whole, wholes, write } from "./support/script.ts";

const NEVER = new AbortController().signal;

interface Options {
  readonly groups: readonly number[];
  readonly window: number;
  readonly size: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly proposers: number;
  readonly udp: boolean;
  readonly command: readonly string[];
}

interface Row {
  readonly groups: number;
  readonly clients: "one for each group" | "one for all";
  readonly learners: "none" | "one for each group" | "one that merges";
}

interface Figures {
  readonly valuesPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuUs: number;
}

function options(): Options {
  const chosen = flags({
    groups: { type: "string", default: "1,2,4" },
    window: { type: "string", default: "100" },
    size: { type: "string", default: "64" },
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    proposers: { type: "string", default: "1" },
    udp: { type: "boolean", default: false },
    ...MAIN_FLAG,
  });
  return {
    groups: wholes("groups", chosen.groups),
    window: whole("window", chosen.window),
    size: whole("size", chosen.size),
    seconds: whole("seconds", chosen.seconds),
    rounds: whole("rounds", chosen.rounds),
    proposers: whole("proposers", chosen.proposers),
    udp: chosen.udp,
    command: commandOf(chosen.main),
  };
}

function rowsOf(groups: readonly number[]): Row[] {
  return groups.flatMap((count): Row[] => {
    const each: Row = { groups: count, clients: "one for each group", learners: "none" };
    if (count === 1) return [each];
    return [
      each,
      { ...each, clients: "one for all" },
      { ...each, learners: "one for each group" },
      { ...each, learners: "one that merges" },
    ];
  });
}

async function measure(row: Row, chosen: Options): Promise<Figures> {
  const { groups, clients, learners } = row;
  const { window, size, seconds, proposers, udp } = chosen;
  const shape = {
    ...{ wire: "native", storage: "memory", layout: "roles" as const, acceptors: 3, batching: true, groups },
  };
  const bed = await OwnBed.start({
    shape,
    choice: choosePlace(udp ? "udp" : undefined),
    settings: learners === "one that merges" ? { merge: true } : {},
    storagePath: undefined,
    stop: NEVER,
    topology: { proposers, learners: learners === "none" ? 0 : 1 },
    command: chosen.command,
  });
  try {
    const cell = { ...shape, window, clients: 1, size, rate: null };
    const isJoint = groups === 1 || clients === "one for all";
    const { round } = await measureRound(bed, cell, { seconds, warmUp: FIRST_WARM_UP }, isJoint);
    const { p50, p99 } = round.sentLatencyUs;
    return { valuesPerSecond: round.valuesPerSecond, p50, p99, cpuUs: cpuUsOf(round) };
  } finally {
    await bed.close();
  }
}

async function main(): Promise<void> {
  const chosen = options();
  const rows = rowsOf(chosen.groups);
  const runs = rows.map((): Figures[] => []);
  for (let round = 0; round < chosen.rounds; round++) {
    for (const [i, row] of rows.entries()) {
      process.stderr.write(`round ${round + 1} of ${chosen.rounds}, row ${i + 1} of ${rows.length}\n`);
      runs[i]!.push(await measure(row, chosen));
    }
  }
  const place = describePlace(choosePlace(chosen.udp ? "udp" : undefined), 3 + chosen.proposers + 1);
  write(`${place}, ${chosen.size} B values, window ${chosen.window} in each group:\n\n`);
  printRow(["groups", "clients", "learners", "values/s", "p50 µs", "p99 µs", "CPU µs a value"]);
  printRow(["---:", "---", "---", "---:", "---:", "---:", "---:"]);
  for (const [i, { groups, clients, learners }] of rows.entries()) {
    const middle = (what: keyof Figures): number => median(runs[i]!.map((one) => one[what]));
    const latencies = [middle("p50"), middle("p99")].map(grouped);
    printRow([
      ...[groups, clients, learners, grouped(middle("valuesPerSecond")), ...latencies],
      middle("cpuUs").toFixed(2),
    ]);
  }
}

await script(main);
