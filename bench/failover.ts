/**
 * What a dead leader costs on this machine, as a Markdown table: 3 acceptors, 3 proposers and a learner as processes, raw
 * Ethernet between network namespaces, a client at each proposer. The leader is killed (SIGKILL) again and again; the figure
 * is the longest time in which the learner delivered nothing. Values that were on their way to the dead one are
 * sent again by their clients after client-timeout: that is part of it.
 *
 *     bun bench/failover.ts [--kills 10]
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { canMakeNamespaces } from "../src/ops/lab_capability.ts";
import type { Seat } from "../src/ops/seats.ts";
import { DeliveryTimes, killLeader } from "../test/support/failover.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";

const EXECUTABLE = join(import.meta.dir, "../dist/kpaxos");
const MAIN = join(import.meta.dir, "../src/main.ts");
const PROPOSERS = [0, 1, 2];
const CLIENT_HOST = 7;
const SEATS: readonly Seat[] = [
  ...[0, 1, 2].map((id) => ({ role: "acceptor", id, host: id }) as const),
  ...PROPOSERS.map((id) => ({ role: "proposer", id, host: 3 + id }) as const),
  { role: "learner", id: 0, host: 6, args: ["--print", "--json"] },
];
const SETTINGS: readonly Readonly<Record<string, string>>[] = [
  { "leader-timeout": "500ms", "client-timeout": "100ms" },
  { "leader-timeout": "100ms", "client-timeout": "20ms" },
  { "leader-timeout": "20ms", "client-timeout": "5ms" },
];

class UsageError extends Error {}

function killsAsked(): number {
  const { values } = parseArgs({ options: { kills: { type: "string", default: "10" } } });
  const kills = Number(values.kills);
  if (!Number.isInteger(kills) || kills < 1)
    throw new UsageError(`--kills: ${JSON.stringify(values.kills)} is no whole number above 0`);
  return kills;
}

async function gaps(settings: Readonly<Record<string, string>>, kills: number): Promise<number[]> {
  const network = ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1 }));
  const command = existsSync(EXECUTABLE) ? [EXECUTABLE] : [process.execPath, MAIN];
  const cluster = new LabCluster({ network, seats: SEATS, settings, command });
  try {
    const times = new DeliveryTimes();
    cluster.start("learner", 0, { onStdout: times.feed });
    await cluster.startAll();
    for (const id of PROPOSERS)
      cluster.client(CLIENT_HOST, ["--json", "--outstanding", "4", "-p", `${id}`, "--id", `${id}`]);
    const found: number[] = [];
    while (found.length < kills) found.push((await killLeader(cluster, PROPOSERS, times)).gapMs);
    await cluster.stopAll();
    return found.sort((a, b) => a - b);
  } finally {
    cluster.close();
  }
}

async function main(): Promise<void> {
  const kills = killsAsked();
  const ability = canMakeNamespaces();
  if (!ability.ok) throw new UsageError(`${ability.reason}: ${ability.hint}`);
  if (ability.reenter) throw new UsageError("no permission to make network namespaces: run as root");
  process.stdout.write(`${kills} kills each, longest time without a delivery, ms:\n\n`);
  process.stdout.write("| leader-timeout | client-timeout | p50 | max |\n| ---: | ---: | ---: | ---: |\n");
  for (const settings of SETTINGS) {
    const found = await gaps(settings, kills);
    const cells = [
      settings["leader-timeout"],
      settings["client-timeout"],
      Math.round(found[found.length >> 1]!),
      Math.round(found.at(-1)!),
    ];
    process.stdout.write(`| ${cells.join(" | ")} |\n`);
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
