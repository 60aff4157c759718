/**
 * What a dead leader costs on this machine, as a Markdown table: 3 acceptors, 3 proposers and a learner as processes, raw
 * Ethernet between network namespaces, clients, at each proposer one. The leader is killed (SIGKILL) again and again; the figure
 * is the longest time in which the learner delivered nothing. The parts are as the logs tell them: until a proposer missed
 * the leader, from there until one led, from there until values were delivered again.
 *
 *     bun bench/failover.ts [--kills 20] [--clients 3] [--outstanding 4] [--leader-timeout 20ms]…
 *         [--main PATH]
 */
import type { Seat } from "../src/ops/seats.ts";
import { DeliveryTimes, type Failover, killLeader } from "../test/support/failover.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";
import { commandOf, flags, MAIN_FLAG, printRow, script, whole, write } from "./support/script.ts";
import { ACCEPTORS } from "./support/seats.ts";

const PROPOSERS = [0, 1, 2];
const CLIENT_HOST = 7;
const SEATS: readonly Seat[] = [
  ...ACCEPTORS,
  ...PROPOSERS.map((id) => ({ role: "proposer", id, host: 3 + id }) as const),
  { role: "learner", id: 0, host: 6, args: ["--print", "--json"] },
];
/** From the start of the former victim to the next kill. */
const CALM_MS = 1000;
/** The first is the default. */
const LEADER_TIMEOUTS = ["500ms", "100ms", "20ms"];

interface Plan {
  readonly kills: number;
  readonly clients: number;
  /** Values that each client has under way. */
  readonly outstanding: number;
  readonly leaderTimeouts: readonly string[];
  readonly command: readonly string[];
}

function asked(): Plan {
  const chosen = flags({
    kills: { type: "string", default: "20" },
    clients: { type: "string", default: `${PROPOSERS.length}` },
    outstanding: { type: "string", default: "4" },
    "leader-timeout": { type: "string", multiple: true, default: LEADER_TIMEOUTS },
    ...MAIN_FLAG,
  });
  return {
    kills: whole("kills", chosen.kills),
    clients: whole("clients", chosen.clients),
    outstanding: whole("outstanding", chosen.outstanding),
    leaderTimeouts: chosen["leader-timeout"],
    command: commandOf(chosen.main),
  };
}

async function failovers(leaderTimeout: string, plan: Plan): Promise<Failover[]> {
  const { kills, clients, outstanding, command } = plan;
  const network = ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1 }));
  const settings = { "leader-timeout": leaderTimeout };
  const cluster = new LabCluster({ network, seats: SEATS, settings, command });
  try {
    const times = new DeliveryTimes();
    cluster.start("learner", 0, { onStdout: times.feed });
    await cluster.startAll();
    for (let id = 0; id < clients; id++) {
      const words = { outstanding, "proposer-id": id % PROPOSERS.length, id };
      const args = Object.entries(words).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      cluster.client(CLIENT_HOST, ["--json", ...args]);
    }
    const found: Failover[] = [];
    while (found.length < kills) found.push(await killLeader(cluster, PROPOSERS, times, CALM_MS));
    await cluster.stopAll();
    return found;
  } finally {
    cluster.close();
  }
}

/** p50, p90 and the highest of what is known: who had just lost the lead when it was killed was missed by nobody. */
function spread(figures: readonly number[]): [number, number, number] {
  const sorted = figures.filter(Number.isFinite).sort((a, b) => a - b);
  const at = (part: number): number => Math.round(sorted[Math.floor(part * (sorted.length - 1))]!);
  return [at(0.5), at(0.9), at(1)];
}

async function main(): Promise<void> {
  const plan = asked();
  write(
    `${plan.kills} kills each, longest time without a delivery, ms; of its parts p50 / p90 / max:\n\n` +
      "| leader-timeout | p50 | p90 | max | missed after | led after | values after |\n" +
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
  );
  for (const leaderTimeout of plan.leaderTimeouts) {
    const found = await failovers(leaderTimeout, plan);
    const part = (of: (one: Failover) => number): string => spread(found.map(of)).join(" / ");
    const cells = [
      leaderTimeout,
      ...spread(found.map((one) => one.gapMs)),
      part((one) => one.missedMs),
      part((one) => one.ledMs),
      part((one) => one.resumedMs),
    ];
    printRow(cells);
  }
}

await script(main);
