/**
 * A cluster of real processes on this machine and `kpaxos run client` with growing windows, as a Markdown table: 3
 * acceptors, a proposer, and a client with its learner inside, raw Ethernet between network namespaces (`--udp`: UDP
 * on 127.0.0.1). The program measured is dist/kpaxos where it is built, else src/main.ts.
 *
 *     bun bench/cluster.ts [--wire W] [--udp] [--replicas] [--key] [--windows 1,10,100] [--size 64]
 *         [--seconds 3] [--rounds 1]
 *
 * `--key` authenticates all frames. With several rounds the table shows each window's median round. Figures of a busy
 * machine are figures of that machine.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { newKeyLine, writeKeyFile } from "../src/node/key_file.ts";
import { canMakeNamespaces } from "../src/ops/lab_capability.ts";
import { type ClientFigures, lastFigures } from "../src/ops/lab_figures.ts";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork, loopbackNetwork, type Network } from "../test/support/lab_network.ts";

const EXECUTABLE = join(import.meta.dir, "../dist/kpaxos");
const MAIN = join(import.meta.dir, "../src/main.ts");
const SETTLE_MS = 15_000;

const SEATS: readonly Seat[] = [
  { role: "acceptor", id: 0, host: 0 },
  { role: "acceptor", id: 1, host: 1 },
  { role: "acceptor", id: 2, host: 2 },
  { role: "proposer", id: 0, host: 3 },
];
const REPLICAS: readonly Seat[] = [0, 1, 2].map((id) => ({ role: "replica", id, host: id }));
const CLIENT_HOST = 4;
const KEY_FILE = "cluster.key";

interface Options {
  readonly wire: string;
  readonly udp: boolean;
  readonly replicas: boolean;
  readonly key: boolean;
  readonly windows: readonly number[];
  readonly size: string;
  readonly seconds: number;
  readonly rounds: number;
}

class UsageError extends Error {}

function options(): Options {
  const { values } = parseArgs({
    options: {
      wire: { type: "string", default: "native" },
      udp: { type: "boolean", default: false },
      replicas: { type: "boolean", default: false },
      key: { type: "boolean", default: false },
      windows: { type: "string", default: "1,10,100" },
      size: { type: "string", default: "64" },
      seconds: { type: "string", default: "3" },
      rounds: { type: "string", default: "1" },
    },
  });
  const windows = values.windows.split(",").map((text) => positive("--windows", text));
  const seconds = positive("--seconds", values.seconds);
  return { ...values, windows, seconds, rounds: positive("--rounds", values.rounds) };
}

function positive(flag: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0) return number;
  throw new UsageError(`${flag}: ${JSON.stringify(text)} is no whole number above 0`);
}

async function network(udp: boolean, seats: number): Promise<Network> {
  if (udp) return await loopbackNetwork(seats);
  const ability = canMakeNamespaces();
  if (!ability.ok) throw new UsageError(`${ability.reason}: ${ability.hint}`);
  if (ability.reenter)
    throw new UsageError("no permission to make network namespaces: run as root, or --udp");
  return ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1 }));
}

function row(cells: readonly (string | number)[]): void {
  process.stdout.write(`| ${cells.join(" | ")} |\n`);
}

async function measure(
  cluster: LabCluster,
  window: number,
  { size, seconds }: Options,
): Promise<ClientFigures> {
  const client = cluster.client(CLIENT_HOST, [
    ...["--outstanding", `${window}`, "--value-size", size, "--seconds", `${seconds}`, "--json"],
    // In the Kernel_Paxos wire nobody trims unless told, and a full acceptor accepts nothing.
    "--cantrim",
  ]);
  const ending = await client.ending(seconds * 1000 + SETTLE_MS);
  if (ending.exitCode !== 0) throw new Error(`the client failed:\n${client.tail()}`);
  return lastFigures(client.stdout);
}

function median(runs: readonly ClientFigures[]): ClientFigures {
  return runs.toSorted((a, b) => a.valuesPerSecond - b.valuesPerSecond)[runs.length >> 1]!;
}

async function main(): Promise<void> {
  const chosen = options();
  const seats = chosen.replicas ? REPLICAS : SEATS;
  const place = await network(chosen.udp, seats.length);
  let cluster: LabCluster | undefined;
  try {
    const command = existsSync(EXECUTABLE) ? [EXECUTABLE] : [process.execPath, MAIN];
    cluster = new LabCluster({
      network: place,
      seats,
      settings: {
        wire: chosen.wire,
        verbosity: "info",
        ...(chosen.key ? { "cluster-key": KEY_FILE } : {}),
      },
      command,
    });
    if (chosen.key) writeKeyFile(join(cluster.directory, KEY_FILE), newKeyLine(), false);
    await cluster.startAll();
    process.stdout.write(
      `${place.description}, wire ${chosen.wire}, ${chosen.size} B values${chosen.key ? ", with a key" : ""}:\n\n`,
    );
    row(["window", "values/s", "p50 µs", "p99 µs", "sent again"]);
    row(["---:", "---:", "---:", "---:", "---:"]);
    for (const window of chosen.windows) {
      const runs: ClientFigures[] = [];
      while (runs.length < chosen.rounds) runs.push(await measure(cluster, window, chosen));
      const { valuesPerSecond, latencyUs, resent } = median(runs);
      row([window, Math.round(valuesPerSecond).toLocaleString("en"), latencyUs.p50, latencyUs.p99, resent]);
    }
    await cluster.stopAll();
  } finally {
    if (cluster === undefined) place.close();
    else cluster.close();
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
