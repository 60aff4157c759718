/**
 * What a cluster costs that nobody uses: processor time, sleeps that ended and frames sent a second, of each process. 3
 * acceptors, 2 proposers (one leads), a learner and a client that is connected and has nothing to send; then 3 replicas; raw
 * Ethernet between network namespaces. The program measured is dist/kpaxos where it is built, else src/main.ts.
 *
 *     bun bench/idle.ts [--seconds 20] [--wire W] [--main PATH]
 */
import { readFileSync } from "node:fs";
import { sentFrames, wakeUpsOf } from "../src/bench/usage.ts";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";
import { commandOf, flags, MAIN_FLAG, printRow, script, whole } from "./support/script.ts";
import { ACCEPTORS, REPLICAS } from "./support/seats.ts";

/** Compilers and collectors come to rest. */
const SETTLE_MS = 15_000;
const GOAL_PERCENT = 2;
const CLIENT_HOST = 6;
const ROLES: readonly Seat[] = [
  ...ACCEPTORS,
  ...[0, 1].map((id) => ({ role: "proposer", id, host: 3 + id }) as const),
  { role: "learner", id: 0, host: 5 },
];

interface Use {
  readonly ns: number;
  readonly sleeps: number;
  readonly sent: number;
}

function used(pid: number): Use {
  const ns = Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, "utf8").split(" ")[0]);
  return {
    ns,
    sleeps: wakeUpsOf(pid),
    sent: sentFrames(readFileSync(`/proc/${pid}/net/dev`, "utf8"), false),
  };
}

async function measure(
  name: string,
  seats: readonly Seat[],
  settings: Readonly<Record<string, string>>,
  command: readonly string[],
  seconds: number,
): Promise<void> {
  const cluster = new LabCluster({
    network: ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1 })),
    seats,
    settings: { verbosity: "info", ...settings },
    command,
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
      const figures = [per(now.sleeps, was.sleeps), per(now.sent, was.sent)];
      printRow([name, member.name, `${percent.toFixed(2)}${mark}`, ...figures]);
    });
    await cluster.stopAll();
  } finally {
    cluster.close();
  }
}

async function main(): Promise<void> {
  const chosen = flags({
    seconds: { type: "string", default: "20" },
    wire: { type: "string", default: "native" },
    ...MAIN_FLAG,
  });
  const seconds = whole("seconds", chosen.seconds);
  const command = commandOf(chosen.main);
  const settings = { wire: chosen.wire };
  const native = chosen.wire === "native";
  printRow(["cluster", "process", "% of a core", "wakes/s", "frames/s"]);
  printRow(["---", "---", "---:", "---:", "---:"]);
  // In the Kernel_Paxos wire proposers are no members of an election.
  const roles = native ? ROLES : ROLES.filter(({ role, id }) => role !== "proposer" || id === 0);
  await measure("roles", roles, settings, command, seconds);
  await measure("replicas", REPLICAS, settings, command, seconds);
}

await script(main);
