/**
 * kpaxos beside the floor (`bench/floor`: phase 2 in plain C and nothing else), in pairs of runs one right after the other, on
 * the same network namespaces: what full recovery, sessions and failover cost. Each figure is the median of its rounds,
 * each ratio the median of the pairs' ratios.
 *
 *     bun bench/floor.ts [--rows w1,w100,w1000,…] [--seconds 2] [--rounds 5] [--settings key=value,…]
 *
 * Needs root (or user namespaces) and a C compiler. The program measured is dist/kpaxos where it is built, else src/main.ts.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { canMakeNamespaces } from "../src/ops/lab_capability.ts";
import { lastFigures } from "../src/ops/lab_figures.ts";
import { HOST_INTERFACE } from "../src/ops/lab_names.ts";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork, type Network } from "../test/support/lab_network.ts";

const EXECUTABLE = join(import.meta.dir, "../dist/kpaxos");
const MAIN = join(import.meta.dir, "../src/main.ts");
const FLOOR = join(import.meta.dir, "floor");
const SETTLE_MS = 15_000;
const SOURCES = ["main.c", "link.c", "roles.c", "client.c"];

interface Row {
  readonly title: string;
  readonly window: number;
  readonly packs: boolean;
  readonly size: number;
  readonly acceptors: number;
  readonly replicas: boolean;
  /** What is compared. */
  readonly by: "p50" | "rate";
}

const PLAIN = { window: 1, packs: false, size: 64, acceptors: 3, replicas: false, by: "rate" } as const;
const ROWS: Readonly<Record<string, Row>> = {
  w1: { ...PLAIN, title: "window 1, unpacked", by: "p50" },
  w100: { ...PLAIN, title: "window 100, unpacked", window: 100 },
  w1000: { ...PLAIN, title: "window 1000, packed", window: 1000, packs: true },
  r1: { ...PLAIN, title: "3 replicas, window 1, unpacked", replicas: true, by: "p50" },
  r100: { ...PLAIN, title: "3 replicas, window 100, unpacked", replicas: true, window: 100 },
  r1000: { ...PLAIN, title: "3 replicas, window 1000, packed", replicas: true, window: 1000, packs: true },
  large: { ...PLAIN, title: "1000 B values, window 100", window: 100, size: 1000 },
  a5: { ...PLAIN, title: "5 acceptors, window 1000, packed", window: 1000, packs: true, acceptors: 5 },
  a7: { ...PLAIN, title: "7 acceptors, window 1000, packed", window: 1000, packs: true, acceptors: 7 },
};

interface Figures {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

interface Options {
  readonly rows: readonly Row[];
  readonly seconds: number;
  readonly rounds: number;
  readonly settings: Readonly<Record<string, string>>;
}

class UsageError extends Error {}

function options(): Options {
  const { values } = parseArgs({
    options: {
      rows: { type: "string", default: Object.keys(ROWS).join(",") },
      seconds: { type: "string", default: "2" },
      rounds: { type: "string", default: "5" },
      settings: { type: "string", default: "" },
    },
  });
  const rows = values.rows.split(",").map((name) => {
    const row = ROWS[name];
    if (row === undefined)
      throw new UsageError(`--rows: no row ${name}; there are ${Object.keys(ROWS).join(", ")}`);
    return row;
  });
  const positive = (flag: string, text: string): number => {
    if (Number(text) > 0) return Number(text);
    throw new UsageError(`${flag}: ${JSON.stringify(text)} is no number above 0`);
  };
  const settings = values.settings === "" ? [] : values.settings.split(",").map((pair) => pair.split("="));
  return {
    rows,
    seconds: positive("--seconds", values.seconds),
    rounds: positive("--rounds", values.rounds),
    settings: Object.fromEntries(settings),
  };
}

function buildFloor(directory: string): string {
  const program = join(directory, "floor");
  const sources = SOURCES.map((name) => join(FLOOR, name));
  const flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"];
  const compiler = process.env.CC ?? "cc";
  const result = Bun.spawnSync([compiler, ...flags, "-o", program, ...sources], { stderr: "pipe" });
  if (result.exitCode !== 0) throw new Error(`${compiler} failed:\n${result.stderr.toString()}`);
  return program;
}

/** Acceptors are on hosts 0…, the proposer and the client behind them; a replica that leads is acceptor 0 as well. */
function seatsOf({ acceptors, replicas }: Row): Seat[] {
  const ids = Array.from({ length: acceptors }, (_, id) => id);
  if (replicas) return ids.map((id) => ({ role: "replica", id, host: id }));
  const seats: Seat[] = ids.map((id) => ({ role: "acceptor", id, host: id }));
  return [...seats, { role: "proposer", id: 0, host: acceptors }];
}

async function measureFloor(program: string, lab: Lab, row: Row, seconds: number): Promise<Figures> {
  const { acceptors, replicas, window, size, packs } = row;
  const clientHost = acceptors + 1;
  const proposerHost = replicas ? 0 : acceptors;
  const mac = (host: number): string => lab.hosts[host]!.mac;
  const all = ["--acceptors", `${acceptors}`, "--proposer", mac(proposerHost), "--client", mac(clientHost)];
  if (packs) all.push("--packs");
  const start = async (host: number, role: string, ...words: string[]): Promise<ReturnType<Lab["spawn"]>> => {
    const child = lab.spawn(host, [program, role, HOST_INTERFACE, ...all, ...words]);
    const ready = child.stderr?.getReader();
    const said = await ready?.read();
    ready?.releaseLock();
    if (said?.value === undefined) throw new Error(`the floor's ${role} did not start`);
    return child;
  };
  const others: ReturnType<Lab["spawn"]>[] = [];
  try {
    for (let id = replicas ? 1 : 0; id < acceptors; id++)
      others.push(await start(id, "acceptor", "--id", `${id}`));
    others.push(await start(proposerHost, "proposer", ...(replicas ? ["--votes"] : [])));
    const words = ["--window", `${window}`, "--size", `${size}`, "--seconds", `${seconds}`];
    const client = await start(clientHost, "client", ...words);
    const text = await new Response(client.stdout).text();
    const { valuesPerSecond, p50, p99, lost } = JSON.parse(text) as Record<string, number>;
    if (lost! > 0) process.stderr.write(`the floor lost ${lost} of ${window} values under way\n`);
    return { rate: valuesPerSecond!, p50: p50!, p99: p99! };
  } finally {
    for (const child of others) child.kill("SIGKILL");
    await Promise.all(others.map((child) => child.exited));
  }
}

async function measureKpaxos(cluster: LabCluster, row: Row, seconds: number): Promise<Figures> {
  const words = ["--outstanding", `${row.window}`, "--value-size", `${row.size}`, "--seconds", `${seconds}`];
  const client = cluster.client(row.acceptors + 1, [...words, "--json"]);
  const ending = await client.ending(seconds * 1000 + SETTLE_MS);
  if (ending.exitCode !== 0) throw new Error(`the client failed:\n${client.tail()}`);
  const { valuesPerSecond, latencyUs } = lastFigures(client.stdout);
  return { rate: valuesPerSecond, p50: latencyUs.p50, p99: latencyUs.p99 };
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
const whole = (number: number): string => Math.round(number).toLocaleString("en");

function print(cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

/** The network outlives the cluster, for the floor's runs. */
function shared(network: Network): Network {
  return { ...network, close: () => undefined };
}

async function measureRow(program: string, row: Row, { seconds, rounds, settings }: Options): Promise<void> {
  const lab = Lab.create({ hosts: row.acceptors + 2 });
  let cluster: LabCluster | undefined;
  try {
    cluster = new LabCluster({
      network: shared(ethernetNetwork(lab)),
      seats: seatsOf(row),
      settings: { verbosity: "info", batching: row.packs ? "yes" : "no", ...settings },
      command: existsSync(EXECUTABLE) ? [EXECUTABLE] : [process.execPath, MAIN],
    });
    await cluster.startAll();
    const floors: Figures[] = [];
    const ours: Figures[] = [];
    await measureKpaxos(cluster, row, 0.5);
    for (let round = 0; round < rounds; round++) {
      floors.push(await measureFloor(program, lab, row, seconds));
      ours.push(await measureKpaxos(cluster, row, seconds));
    }
    const of = (runs: readonly Figures[], what: keyof Figures): number =>
      median(runs.map((run) => run[what]));
    const what = row.by;
    const ratio = median(ours.map((run, round) => run[what] / floors[round]![what]));
    print([
      row.title,
      whole(of(floors, "rate")),
      whole(of(ours, "rate")),
      ...[of(floors, "p50"), of(ours, "p50"), of(floors, "p99"), of(ours, "p99")].map(whole),
      `${ratio.toFixed(2)} (${what === "rate" ? "values/s" : "p50"})`,
    ]);
    await cluster.stopAll();
  } finally {
    cluster?.close();
    lab.close();
  }
}

async function main(): Promise<void> {
  const chosen = options();
  const ability = canMakeNamespaces();
  if (!ability.ok) throw new UsageError(`${ability.reason}: ${ability.hint}`);
  if (ability.reenter) throw new UsageError("no permission to make network namespaces: run as root");
  const directory = mkdtempSync(join(tmpdir(), "kpaxos-floor-"));
  try {
    const program = buildFloor(directory);
    print([
      "load",
      "floor values/s",
      "kpaxos values/s",
      "floor p50 µs",
      "kpaxos p50 µs",
      "floor p99 µs",
      "kpaxos p99 µs",
      "ratio",
    ]);
    print(["---", ...Array.from({ length: 7 }, () => "---:")]);
    for (const row of chosen.rows) await measureRow(program, row, chosen);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
