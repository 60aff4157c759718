/**
 * What each role of a cluster has resident while instances go by: 3 acceptors, a proposer, a learner and a client with its own
 * learner, raw Ethernet between network namespaces, a value to an instance. One line of figures every so many instances, on
 * standard output as CSV; at the end, on standard error, the growth of each role over the second half and what its memory is.
 * The program measured is dist/kpaxos where it is built, else src/main.ts.
 *
 *     bun bench/memory.ts [--values 10000000] [--window 100] [--size 64] [--every 250000] [--replicas] [--main PATH]
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { LabProcess } from "../src/ops/lab_process.ts";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";

const EXECUTABLE = join(import.meta.dir, "../dist/kpaxos");
const MAIN = join(import.meta.dir, "../src/main.ts");
const MIB = 1024;
const LIMIT_MIB = 200;
/** Per million instances of the second half. */
const FLAT_MIB = 0.5;
const CLIENT_HOST = 5;
const ROLES: readonly Seat[] = [
  ...[0, 1, 2].map((id) => ({ role: "acceptor", id, host: id }) as const),
  { role: "proposer", id: 0, host: 3 },
  { role: "learner", id: 0, host: 4 },
];
const REPLICAS: readonly Seat[] = [0, 1, 2].map((id) => ({ role: "replica", id, host: id }));

/** Resident memory in MiB: all, and what is neither a file's nor shared. */
function resident(pid: number): { all: number; own: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) / MIB;
  return { all: field("VmRSS"), own: field("RssAnon") };
}

/** The largest mappings of a process that are resident, in MiB. */
function largest(pid: number): string {
  const sizes = new Map<string, number>();
  let name = "";
  for (const line of readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ \d+\s*(.*)$/.exec(line);
    if (mapping !== null)
      name = mapping[2] === "" ? `anonymous ${mapping[1]}` : mapping[2]!.split("/").at(-1)!;
    const rss = /^Rss:\s*(\d+) kB$/.exec(line);
    if (rss !== null) sizes.set(name, (sizes.get(name) ?? 0) + Number(rss[1]) / MIB);
  }
  const top = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 4);
  return top.map(([what, mib]) => `${what} ${mib.toFixed(1)}`).join(", ");
}

interface Sample {
  readonly instances: number;
  readonly mib: readonly number[];
}

/** MiB for each million instances, over the second half. */
function slope(samples: readonly Sample[], of: number): number {
  const half = samples.slice(samples.length >> 1);
  const [first, last] = [half[0]!, half.at(-1)!];
  const millions = (last.instances - first.instances) / 1e6;
  return millions > 0 ? (last.mib[of]! - first.mib[of]!) / millions : 0;
}

/** Counts what a client says it has had delivered, a line a second. */
class Progress {
  instances = 0;
  #rest = "";
  readonly #decoder = new TextDecoder();

  readonly feed = (chunk: Uint8Array): void => {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const { second, values } = JSON.parse(line) as { second?: number; values: number };
      if (second !== undefined) this.instances += values;
    }
  };
}

async function watch(
  members: readonly LabProcess[],
  client: LabProcess,
  progress: Progress,
  every: number,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  let next = 0;
  while (client.isRunning) {
    const { instances } = progress;
    if (instances >= next) {
      next = instances + every;
      const mib = members.map(({ pid }) => resident(pid).all);
      samples.push({ instances, mib });
      process.stdout.write(`${instances},${mib.map((one) => one.toFixed(1)).join(",")}\n`);
    }
    await Bun.sleep(200);
  }
  return samples;
}

async function main(): Promise<void> {
  const { values: chosen } = parseArgs({
    options: {
      values: { type: "string", default: "10000000" },
      window: { type: "string", default: "100" },
      size: { type: "string", default: "64" },
      every: { type: "string", default: "250000" },
      replicas: { type: "boolean", default: false },
      main: { type: "string", default: existsSync(EXECUTABLE) ? EXECUTABLE : MAIN },
    },
  });
  const command = chosen.main.endsWith(".ts") ? [process.execPath, chosen.main] : [chosen.main];
  const cluster = new LabCluster({
    network: ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1 })),
    seats: chosen.replicas ? REPLICAS : ROLES,
    settings: { verbosity: "info", batching: "no" },
    command,
  });
  try {
    await cluster.startAll();
    const words = ["--outstanding", chosen.window, "--value-size", chosen.size, "--values", chosen.values];
    const progress = new Progress();
    const client = cluster.client(CLIENT_HOST, [...words, "--json"], { onStdout: progress.feed });
    const members = [...cluster.processes];
    process.stdout.write(`instances,${members.map(({ name }) => name).join(",")}\n`);
    const samples = await watch(members, client, progress, Number(chosen.every));
    const ending = await client.exited;
    if (ending.exitCode !== 0) throw new Error(`the client failed:\n${client.tail()}`);
    members.forEach((member, i) => {
      const peak = Math.max(...samples.map(({ mib }) => mib[i]!));
      const grows = slope(samples, i);
      const verdict = peak < LIMIT_MIB && grows < FLAT_MIB ? "ok" : "TOO MUCH";
      const parts = member.isRunning ? `; ${largest(member.pid)}` : "";
      process.stderr.write(
        `${member.name}: at most ${peak.toFixed(0)} MiB, ${grows.toFixed(2)} MiB per million instances: ${verdict}${parts}\n`,
      );
    });
    await cluster.stopAll();
  } finally {
    cluster.close();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
