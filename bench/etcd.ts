/**
 * etcd and kpaxos beside each other: three servers of each, the same load, one after the other in the same run, as a Markdown
 * table. `kpaxos kv` is what compares with etcd: a store on a log. `kpaxos log` is the log alone, whose clients submit values to it.
 *
 *     bun bench/etcd.ts [--storage log,memory] [--concurrency 1,10,100,1000] [--size 64] [--keys 1000] [--connections 3]
 *         [--seconds 3] [--warm-up 4] [--rounds 3] [--storage-path DIR] [--etcd PATH] [--main PATH]
 *
 * Needs root, and etcd (Debian: etcd-server). Network namespaces on a bridge: etcd talks TCP between them, kpaxos raw Ethernet, and the
 * clients of both stores TCP. With `log` and `sqlite` etcd's data are in DIR, with `memory` in /dev/shm. `--concurrency`: requests
 * under way; `--connections`: to etcd, over all members. Reads are linearizable, and come before the writes: etcd
 * up to 3.4.23 copies with each read as much as was once written between two commits. All clients of a row are one process. Each row
 * has the medians of its rounds, latencies are of all rounds together, without coordinated omission.
 */
import { statfsSync } from "node:fs";
import { usesBetween } from "../src/bench/measure.ts";
import { median } from "../src/bench/statistics.ts";
import { orStopped } from "../src/bench/stopping.ts";
import { sample } from "../src/bench/usage.ts";
import { stoppable } from "../src/cli/stoppable.ts";
import { CliError, ExitCode, messageOf } from "../src/error.ts";
import { LatencyHistogram } from "../src/node/latency_histogram.ts";
import { how, type LabProcess } from "../src/ops/lab_process.ts";
import { grouped } from "../src/text/grouped.ts";
import { Lab } from "../test/support/lab.ts";
import type { Operation } from "./etcd/connection.ts";
import {
  HOSTS,
  type Place,
  type Sort,
  type Stand,
  SYSTEMS,
  type System,
  start,
  type Work,
} from "./etcd/stands.ts";
import {
  commandOf,
  flags,
  MAIN_FLAG,
  number,
  printRow,
  script,
  usageError,
  whole,
  wholes,
  write,
} from "./support/script.ts";

const STORAGES = ["log", "sqlite", "memory"];
const TMPFS = 0x01021994;
/** Of each load, whose client is a new process. */
const CLIENT_WARM_UP_S = 1;
const SETTLE_MS = 20_000;

interface Options extends Sort, Pick<Place, "kpaxos" | "etcd" | "directory"> {
  readonly storages: readonly string[];
  readonly concurrency: readonly number[];
  readonly seconds: number;
  readonly warmUp: number;
  readonly rounds: number;
}

interface Run {
  readonly rate: number;
  readonly serverUs: number;
  readonly clientCores: number;
  readonly histogram: LatencyHistogram;
}

/** What a client prints last. */
interface Figures {
  readonly valuesPerSecond: number;
  readonly seconds: number;
  readonly cpuUs: { readonly user: number; readonly system: number };
  readonly histogram: unknown;
}

function options(): Options {
  const chosen = flags({
    storage: { type: "string", default: "log,memory" },
    concurrency: { type: "string", default: "1,10,100,1000" },
    size: { type: "string", default: "64" },
    keys: { type: "string", default: "1000" },
    connections: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    "warm-up": { type: "string", default: "4" },
    rounds: { type: "string", default: "3" },
    "storage-path": { type: "string", default: "/var/tmp" },
    etcd: { type: "string", default: "etcd" },
    ...MAIN_FLAG,
  });
  const storages = chosen.storage.split(",");
  const strange = storages.find((name) => !STORAGES.includes(name));
  if (strange !== undefined)
    throw usageError(`--storage: there is no ${strange}`, `there are ${STORAGES.join(", ")}`);
  const found = {
    storages,
    concurrency: wholes("concurrency", chosen.concurrency),
    size: whole("size", chosen.size),
    keys: whole("keys", chosen.keys),
    connections: whole("connections", chosen.connections),
    seconds: number("seconds", chosen.seconds),
    warmUp: number("warm-up", chosen["warm-up"]),
    rounds: whole("rounds", chosen.rounds),
    directory: chosen["storage-path"],
    kpaxos: commandOf(chosen.main),
  };
  const etcd = Bun.which(chosen.etcd);
  if (etcd === null) {
    throw new CliError(`there is no program ${chosen.etcd}`, {
      exitCode: ExitCode.unavailable,
      hint: "apt-get install etcd-server has it (its service need not run), or --etcd PATH",
    });
  }
  return { ...found, etcd };
}

/** In memory nothing is synced, whoever asks for it. */
function refuseMemory({ storages, directory }: Options): void {
  if (storages.every((name) => name === "memory")) return;
  let type: number;
  try {
    ({ type } = statfsSync(directory));
  } catch (cause) {
    throw usageError(`--storage-path: ${messageOf(cause)}`, "name a directory that this user may write");
  }
  if (type === TMPFS) throw usageError(`--storage-path: ${directory} is in memory`, "name one on a disk");
}

async function measure(stand: Stand, work: Work, stop: AbortSignal): Promise<Run> {
  const client = stand.client(work);
  const looks = async (line: RegExp, seconds: number) => {
    await orStopped(client.waitForLine(line, seconds * 1000 + SETTLE_MS, "stdout"), stop);
    return sample(stand.members, false, false);
  };
  const from = await looks(/"phase":"measuring"/, work.warmUp);
  const to = await looks(/"phase":"measured"/, work.seconds);
  await ended(client, stop);
  const figures = JSON.parse(client.stdout.findLast((line) => line !== "") ?? "{}") as Figures;
  const histogram = LatencyHistogram.from(figures.histogram);
  if (histogram === undefined) throw new CliError("the client printed no latencies");
  const { valuesPerSecond, seconds, cpuUs } = figures;
  const cores = usesBetween(stand.members, from, to).reduce(
    (sum, one) => sum + one.userCores + one.systemCores,
    0,
  );
  return {
    rate: valuesPerSecond,
    serverUs: (cores * 1e6) / valuesPerSecond,
    clientCores: (cpuUs.user + cpuUs.system) / 1e6 / seconds,
    histogram,
  };
}

async function ended(client: LabProcess, stop: AbortSignal): Promise<void> {
  const ending = await orStopped(client.ending(SETTLE_MS), stop);
  if (ending.exitCode !== 0) throw new CliError(`the client ended${how(ending)}:\n${client.tail()}`);
}

/** What was measured, round by round. */
class Rows {
  readonly #runs = new Map<string, Run[]>();

  of(storage: string, operation: Operation, outstanding: number, system: System): Run[] {
    const key = JSON.stringify([storage, operation, outstanding, system]);
    const runs = this.#runs.get(key) ?? [];
    this.#runs.set(key, runs);
    return runs;
  }
}

/** Every load of one system; each operation begins with the heaviest, which is not looked at. */
async function measureStand(
  stand: Stand,
  { concurrency, seconds, warmUp }: Options,
  stop: AbortSignal,
  take: (operation: Operation, outstanding: number, run: Run) => void,
): Promise<void> {
  const filler = stand.filler();
  if (filler !== undefined) await ended(filler, stop);
  for (const operation of stand.operations) {
    const heaviest = Math.max(...concurrency);
    await measure(stand, { operation, outstanding: heaviest, warmUp, seconds: CLIENT_WARM_UP_S }, stop);
    for (const outstanding of concurrency) {
      const work = { operation, outstanding, warmUp: CLIENT_WARM_UP_S, seconds };
      take(operation, outstanding, await measure(stand, work, stop));
    }
  }
}

async function measureAll(lab: Lab, chosen: Options, rows: Rows, stop: AbortSignal): Promise<void> {
  for (let round = 1; round <= chosen.rounds; round++) {
    for (const storage of chosen.storages) {
      // Whoever comes first does not always: a shared machine drifts.
      for (const system of round % 2 === 1 ? SYSTEMS : SYSTEMS.toReversed()) {
        process.stderr.write(`round ${round} of ${chosen.rounds}: ${system}, ${storage}\n`);
        const stand = await start(system, storage, { lab, ...chosen }, chosen, stop);
        try {
          await measureStand(stand, chosen, stop, (operation, outstanding, run) =>
            rows.of(storage, operation, outstanding, system).push(run),
          );
        } catch (error) {
          if (stop.aborted || !(error instanceof CliError)) throw error;
          throw new CliError(`${system}, ${storage}: ${error.message}\n${stand.trouble()}`, { cause: error });
        } finally {
          await stand.close();
        }
      }
    }
  }
}

function printTable({ storages, concurrency }: Options, rows: Rows): void {
  printRow([
    "storage",
    "load",
    "under way",
    "",
    "values/s",
    "÷ etcd",
    "p50 µs",
    "p99 µs",
    "servers' CPU µs/value",
    "client's cores",
  ]);
  printRow(["---", "---", "---:", "---", "---:", "---:", "---:", "---:", "---:", "---:"]);
  for (const storage of storages) {
    for (const operation of ["put", "get"] as const) {
      for (const outstanding of concurrency) {
        const beside = rows.of(storage, operation, outstanding, "etcd");
        for (const system of SYSTEMS) {
          const runs = rows.of(storage, operation, outstanding, system);
          if (runs.length === 0) continue;
          const all = new LatencyHistogram();
          for (const { histogram } of runs) all.add(histogram.corrected(histogram.mean));
          const middle = (of: (run: Run, round: number) => number): number => median(runs.map(of));
          printRow([
            ...[storage, operation, outstanding, system, grouped(middle(({ rate }) => rate))],
            // The log alone is not what a store is to be compared with.
            system === "kpaxos log" ? "" : middle(({ rate }, round) => rate / beside[round]!.rate).toFixed(2),
            ...[grouped(all.percentile(50)), grouped(all.percentile(99))],
            middle(({ serverUs }) => serverUs).toFixed(1),
            middle(({ clientCores }) => clientCores).toFixed(2),
          ]);
        }
      }
    }
  }
}

async function main(): Promise<void> {
  const chosen = options();
  refuseMemory(chosen);
  const version = Bun.spawnSync([chosen.etcd, "--version"]).stdout.toString().split("\n")[0];
  const rows = new Rows();
  await stoppable(async (stop) => {
    const lab = Lab.create({ hosts: HOSTS, ip: true, handleSignals: false });
    try {
      await measureAll(lab, chosen, rows, stop);
    } finally {
      lab.close();
    }
  });
  write(
    `${version}; ${chosen.size} B values, ${chosen.keys} keys, ${chosen.rounds} rounds of ${chosen.seconds} s:\n\n`,
  );
  printTable(chosen, rows);
}

await script(main);
