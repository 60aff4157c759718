/**
 * Clusters whose acceptors keep what they accept on disk, all three on this machine's one: values per second and latency by
 * backend and window, each beside what one synced append costs at that moment, when the cluster is idle; and the CPU time
 * of an acceptor for each value. Backends take turns.
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { lastFigures } from "../src/ops/lab_figures.ts";
import type { Seat } from "../src/ops/seats.ts";
import { grouped } from "../src/text/grouped.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork, loopbackNetwork } from "../test/support/lab_network.ts";

const EXECUTABLE = join(import.meta.dir, "../dist/kpaxos");
const MAIN = join(import.meta.dir, "../src/main.ts");
const ACCEPTORS = [0, 1, 2];
const PROPOSER_HOST = 3;
const CLIENT_HOST = 4;
const SETTLE_MS = 15_000;
const FLOOR_MS = 300;
/** Of a value of 64 bytes with all that is kept beside it. */
const APPEND_BYTES = 128;
/** Of /proc/PID/stat. */
const TICKS_PER_SECOND = 100;

export interface ClusterOptions {
  readonly directory: string;
  readonly backends: readonly string[];
  readonly windows: readonly number[];
  readonly size: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly udp: boolean;
}

interface Run {
  readonly valuesPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly syncedUs: number;
  readonly cpuUs: number;
}

/** p50 of an append and its fdatasync, while nobody else writes. */
function syncedAppendUs(directory: string): number {
  const path = join(directory, "append");
  const fd = openSync(path, "w");
  const bytes = Buffer.alloc(APPEND_BYTES, 1);
  const times: number[] = [];
  for (const end = performance.now() + FLOOR_MS; performance.now() < end; ) {
    const began = performance.now();
    writeSync(fd, bytes);
    fdatasyncSync(fd);
    times.push((performance.now() - began) * 1000);
  }
  closeSync(fd);
  rmSync(path);
  return times.toSorted((a, b) => a - b)[times.length >> 1]!;
}

/** The program itself may run below those that brought it to its host. */
function innermost(pid: number): number {
  const child = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0] ?? "";
  return child === "" ? pid : innermost(Number(child));
}

function cpuSeconds(pid: number): number {
  const [, rest] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const fields = rest!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function start(backend: string, directory: string, udp: boolean): Promise<LabCluster> {
  const acceptors = ACCEPTORS.map(
    (id): Seat => ({ role: "acceptor", id, host: id, args: ["--storage-path", join(directory, `${id}`)] }),
  );
  const seats: Seat[] = [...acceptors, { role: "proposer", id: 0, host: PROPOSER_HOST }];
  const network = udp
    ? await loopbackNetwork(seats.length)
    : ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1 }));
  const cluster = new LabCluster({
    network,
    seats,
    settings: { verbosity: "info", "storage-backend": backend, "storage-path": join(directory, "others") },
    command: existsSync(EXECUTABLE) ? [EXECUTABLE] : [process.execPath, MAIN],
  });
  await cluster.startAll();
  return cluster;
}

async function measure(
  cluster: LabCluster,
  window: number,
  { directory, size, seconds }: ClusterOptions,
): Promise<Run> {
  const syncedUs = syncedAppendUs(directory);
  const pids = ACCEPTORS.map((id) => innermost(cluster.member("acceptor", id).pid));
  const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0) / pids.length;
  const before = used();
  const words = [
    "--outstanding",
    `${window}`,
    "--value-size",
    `${size}`,
    "--seconds",
    `${seconds}`,
    "--json",
  ];
  const client = cluster.client(CLIENT_HOST, words);
  const ending = await client.ending(seconds * 1000 + SETTLE_MS);
  if (ending.exitCode !== 0) throw new Error(`the client failed:\n${client.tail()}`);
  const { values, valuesPerSecond, latencyUs } = lastFigures(client.stdout);
  const cpuUs = ((used() - before) * 1e6) / values;
  return { valuesPerSecond, p50Us: latencyUs.p50, p99Us: latencyUs.p99, syncedUs, cpuUs };
}

async function measureBackend(
  backend: string,
  options: ClusterOptions,
  runs: Map<string, Run[]>,
): Promise<void> {
  const directory = mkdtempSync(join(options.directory, `${backend}-`));
  let cluster: LabCluster | undefined;
  try {
    cluster = await start(backend, directory, options.udp);
    for (const window of options.windows) {
      const key = `${backend} ${window}`;
      runs.set(key, [...(runs.get(key) ?? []), await measure(cluster, window, options)]);
    }
    await cluster.stopAll();
  } finally {
    cluster?.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** A Markdown table; of several rounds the one of median rate. */
export async function clusterTable(options: ClusterOptions): Promise<string> {
  const runs = new Map<string, Run[]>();
  for (let round = 0; round < options.rounds; round++) {
    for (const backend of options.backends) await measureBackend(backend, options, runs);
  }
  const heads = [
    "backend",
    "window",
    "values/s",
    "p50 µs",
    "p99 µs",
    "synced append µs",
    "p50 / append",
    "CPU µs",
  ];
  const lines = [row(heads), row(heads.map((_, i) => (i === 0 ? "---" : "---:")))];
  for (const [key, all] of runs) {
    const run = all.toSorted((a, b) => a.valuesPerSecond - b.valuesPerSecond)[all.length >> 1]!;
    const { valuesPerSecond, p50Us, p99Us, syncedUs, cpuUs } = run;
    const rate = grouped(valuesPerSecond);
    const ratio = (p50Us / syncedUs).toFixed(2);
    lines.push(row([...key.split(" "), rate, p50Us, p99Us, syncedUs.toFixed(0), ratio, cpuUs.toFixed(2)]));
  }
  return lines.join("\n");
}
