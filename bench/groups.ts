/**
 * What groups cost and give: the same load over 1, 2, 4, … groups of one configuration, with a client process for each group and
 * with one for all, and the price of a learner that merges them. As a Markdown table: values per second of all groups together,
 * latency, and processor time of all processes for each value, which is what a machine with enough cores would divide by.
 *
 *     bun bench/groups.ts [--groups 1,2,4] [--window 100] [--size 64] [--seconds 3] [--rounds 3] [--proposers 1] [--udp]
 *
 * The window is each group's. Rounds go through all rows in turn, and each row shows its median round. The program measured is
 * dist/kpaxos where it is built, else src/main.ts.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cpuOf } from "../src/bench/usage.ts";
import { remove, up } from "../src/ops/cluster.ts";
import { choosePlace, commandOn, describePlace } from "../src/ops/cluster_place.ts";
import { clusterEnvironment, configPath, stopSeats } from "../src/ops/cluster_roles.ts";
import type { ClusterState } from "../src/ops/cluster_state.ts";
import { labPrefix } from "../src/ops/lab_names.ts";
import { makeOwnDirectory } from "../src/ops/own_directory.ts";

const EXECUTABLE = join(import.meta.dir, "../dist/kpaxos");
const MAIN = join(import.meta.dir, "../src/main.ts");
const WARM_UP_S = 1;

interface Options {
  readonly groups: readonly number[];
  readonly window: number;
  readonly size: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly proposers: number;
  readonly udp: boolean;
}

interface Row {
  readonly groups: number;
  readonly clients: "one for each group" | "one for all";
  readonly learners: "none" | "one for each group" | "one that merges";
}

interface Figures {
  readonly values: number;
  readonly valuesPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuUs: number;
}

/** The last line of a client, as far as it is used here. */
interface Last {
  readonly values: number;
  readonly valuesPerSecond: number;
  readonly latencyUs: { readonly p50: number; readonly p99: number };
  readonly cpuUs: { readonly user: number; readonly system: number };
}

class UsageError extends Error {}

function whole(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new UsageError(`--${flag}: ${JSON.stringify(text)} is no whole number above 0`);
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      groups: { type: "string", default: "1,2,4" },
      window: { type: "string", default: "100" },
      size: { type: "string", default: "64" },
      seconds: { type: "string", default: "3" },
      rounds: { type: "string", default: "3" },
      proposers: { type: "string", default: "1" },
      udp: { type: "boolean", default: false },
    },
  });
  return {
    groups: values.groups.split(",").map((text) => whole("groups", text)),
    window: whole("window", values.window),
    size: whole("size", values.size),
    seconds: whole("seconds", values.seconds),
    rounds: whole("rounds", values.rounds),
    proposers: whole("proposers", values.proposers),
    udp: values.udp,
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

/** Seconds of processor time of the cluster's processes. */
function cpuOfSeats({ seats }: ClusterState): number {
  let sum = 0;
  for (const { process } of seats) {
    const cpu = process === undefined ? undefined : cpuOf(process.pid);
    if (cpu !== undefined) sum += cpu.user + cpu.system;
  }
  return sum;
}

async function client(
  state: ClusterState,
  words: readonly string[],
  { size, seconds }: Options,
): Promise<Last> {
  const load = ["--value-size", `${size}`, "--warm-up", `${WARM_UP_S}`, "--seconds", `${seconds}`, "--json"];
  const argv = [...state.command, "run", "client", "-f", configPath(state), ...words, ...load];
  const child = Bun.spawn(commandOn(state, state.clientHost, argv), {
    env: clusterEnvironment(state),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, errors] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0) throw new Error(`the client failed:\n${errors}`);
  return JSON.parse(out.trimEnd().split("\n").at(-1)!) as Last;
}

async function load(state: ClusterState, row: Row, chosen: Options): Promise<Figures> {
  const { window } = chosen;
  const words =
    row.clients === "one for all"
      ? [["--nclients", `${row.groups}`, "--outstanding", `${window}`]]
      : Array.from({ length: row.groups }, (_, group) => {
          const which = row.groups === 1 ? [] : ["--group", `${group}`];
          return [...which, "--outstanding", `${window}`];
        });
  const before = cpuOfSeats(state);
  const ends = await Promise.all(words.map((some) => client(state, some, chosen)));
  const seatsUs = (cpuOfSeats(state) - before) * 1e6;
  const sum = (of: (end: Last) => number): number => ends.reduce((all, end) => all + of(end), 0);
  const most = (of: (end: Last) => number): number => Math.max(...ends.map(of));
  const values = sum((end) => end.values);
  // Members worked while the clients warmed up, too.
  const share = chosen.seconds / (chosen.seconds + WARM_UP_S);
  const cpuUs = (seatsUs * share + sum(({ cpuUs: own }) => own.user + own.system)) / values;
  return {
    values,
    valuesPerSecond: sum((end) => end.valuesPerSecond),
    p50: most((end) => end.latencyUs.p50),
    p99: most((end) => end.latencyUs.p99),
    cpuUs,
  };
}

let made = 0;

async function measure(row: Row, chosen: Options): Promise<Figures> {
  const directory = makeOwnDirectory();
  const state = await up({
    name: `groups-${made}`,
    directory,
    choice: choosePlace(chosen.udp ? "udp" : undefined),
    topology: { acceptors: 3, proposers: chosen.proposers, learners: row.learners === "none" ? 0 : 1 },
    flags: { groups: row.groups, ...(row.learners === "one that merges" ? { merge: true } : {}) },
    prefix: labPrefix(process.pid, made++),
    command: existsSync(EXECUTABLE) ? [EXECUTABLE] : [process.execPath, MAIN],
    dies: true,
  });
  try {
    return await load(state, row, chosen);
  } finally {
    await stopSeats(state.seats);
    remove(state);
    rmSync(directory, { recursive: true, force: true });
  }
}

function line(cells: readonly (string | number)[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
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
  const { kind } = choosePlace(chosen.udp ? "udp" : undefined);
  const place = describePlace(kind, 3 + chosen.proposers + 1);
  process.stdout.write(`${place}, ${chosen.size} B values, window ${chosen.window} in each group:\n\n`);
  line(["groups", "clients", "learners", "values/s", "p50 µs", "p99 µs", "CPU µs a value"]);
  line(["---:", "---", "---", "---:", "---:", "---:", "---:"]);
  for (const [i, { groups, clients, learners }] of rows.entries()) {
    const sorted = runs[i]!.toSorted((a, b) => a.valuesPerSecond - b.valuesPerSecond);
    const { valuesPerSecond, p50, p99, cpuUs } = sorted[sorted.length >> 1]!;
    const rate = Math.round(valuesPerSecond).toLocaleString("en");
    line([groups, clients, learners, rate, p50, p99, cpuUs.toFixed(2)]);
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
