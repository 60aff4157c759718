/**
 * What a cluster costs that nobody uses: processor time, sleeps that ended and frames sent a second, of each process. 3
 * acceptors, 2 proposers (one leads), a learner and a client that is connected and has nothing to send; then 3 replicas; raw
 * Ethernet between network namespaces. The program measured is dist/kpaxos where it is built, else src/main.ts.
 *
 *     bun bench/idle.ts [--seconds 20] [--wire W] [--main PATH]
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";

const EXECUTABLE = join(import.meta.dir, "../dist/kpaxos");
const MAIN = join(import.meta.dir, "../src/main.ts");
/** Compilers and collectors come to rest. */
const SETTLE_MS = 15_000;
const GOAL_PERCENT = 2;
const CLIENT_HOST = 6;
const ROLES: readonly Seat[] = [
  ...[0, 1, 2].map((id) => ({ role: "acceptor", id, host: id }) as const),
  ...[0, 1].map((id) => ({ role: "proposer", id, host: 3 + id }) as const),
  { role: "learner", id: 0, host: 5 },
];
const REPLICAS: readonly Seat[] = [0, 1, 2].map((id) => ({ role: "replica", id, host: id }));

interface Use {
  readonly ns: number;
  readonly sleeps: number;
  readonly sent: number;
}

function used(pid: number): Use {
  const main = `/proc/${pid}/task/${pid}`;
  const ns = Number(readFileSync(`${main}/schedstat`, "utf8").split(" ")[0]);
  const status = readFileSync(`${main}/status`, "utf8");
  const sleeps = Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]);
  const line = /^\s*eth0:(.*)$/m.exec(readFileSync(`/proc/${pid}/net/dev`, "utf8"))?.[1];
  return { ns, sleeps, sent: Number(line?.trim().split(/\s+/)[9] ?? 0) };
}

async function measure(
  name: string,
  seats: readonly Seat[],
  settings: Readonly<Record<string, string>>,
  main: string,
  seconds: number,
): Promise<void> {
  const cluster = new LabCluster({
    network: ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1 })),
    seats,
    settings: { verbosity: "info", ...settings },
    command: main.endsWith(".ts") ? [process.execPath, main] : [main],
  });
  try {
    await cluster.startAll();
    // A value each ten seconds: connected, and idle between them.
    cluster.client(CLIENT_HOST, ["--rate", "0.1", "--interval", "3600"]);
    await Bun.sleep(SETTLE_MS);
    const members = cluster.processes.filter(({ isRunning }) => isRunning);
    const before = members.map(({ pid }) => used(pid));
    await Bun.sleep(seconds * 1000);
    members.forEach((member, i) => {
      const now = used(member.pid);
      const was = before[i]!;
      const percent = (now.ns - was.ns) / 1e7 / seconds;
      const per = (a: number, b: number): string => ((a - b) / seconds).toFixed(1);
      const mark = percent < GOAL_PERCENT ? "" : " (too much)";
      process.stdout.write(
        `| ${name} | ${member.name} | ${percent.toFixed(2)}${mark} | ${per(now.sleeps, was.sleeps)} | ${per(now.sent, was.sent)} |\n`,
      );
    });
    await cluster.stopAll();
  } finally {
    cluster.close();
  }
}

async function main(): Promise<void> {
  const { values: chosen } = parseArgs({
    options: {
      seconds: { type: "string", default: "20" },
      wire: { type: "string", default: "native" },
      main: { type: "string", default: existsSync(EXECUTABLE) ? EXECUTABLE : MAIN },
    },
  });
  const settings = { wire: chosen.wire };
  const native = chosen.wire === "native";
  process.stdout.write(
    "| cluster | process | % of a core | wakes/s | frames/s |\n| --- | --- | ---: | ---: | ---: |\n",
  );
  // In the Kernel_Paxos wire proposers are no members of an election.
  const roles = native ? ROLES : ROLES.filter(({ role, id }) => role !== "proposer" || id === 0);
  await measure("roles", roles, settings, chosen.main, Number(chosen.seconds));
  await measure("replicas", REPLICAS, settings, chosen.main, Number(chosen.seconds));
}

try {
  await main();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
