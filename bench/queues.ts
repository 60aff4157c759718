/**
 * One receive queue and two (`receive-queues`) when more comes than can be chosen: 3 acceptors, 2 proposers and client
 * processes on raw Ethernet between network namespaces, as a Markdown table. Rounds of all cases are interleaved; a figure
 * is the median of its rounds.
 *
 *     bun bench/queues.ts [--clients 4] [--rate 2000000] [--flood 30000] [--size 64] [--seconds 3] [--rounds 3]
 *         [--case 'NAME KEY=VALUE …']… [--main PATH]
 *
 * Load: the clients offer `--rate` values a second together, whether or not they come back (an open loop), or with
 * `flood=yes` the first offers a fifth of that while somebody who heeds no answer sends the first leader `--flood` client frames a second. A
 * case is its name, settings, and `flood`. A probe, a client with one value under way, tells what a value waits for.
 *
 * "Chosen after" is the leader's: from the frame that first proposes an instance to the one that tells it is chosen, by the
 * kernel's time stamps at a host that only listens. Drops are the leader's, as the kernel counts them for each socket.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { median } from "../src/bench/statistics.ts";
import { type ClientFigures, lastFigures } from "../src/ops/lab_figures.ts";
import type { LabProcess } from "../src/ops/lab_process.ts";
import type { Seat } from "../src/ops/seats.ts";
import { grouped } from "../src/text/grouped.ts";
import { settled } from "../test/support/failover.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster, type Settings } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";
import { ChoosingTimes, Flooder } from "./queues_watch.ts";
import { commandOf, flags, MAIN_FLAG, printRow, script, whole } from "./support/script.ts";
import { ACCEPTORS } from "./support/seats.ts";

/** Of proposer 0. */
const PROPOSER_HOST = 3;
const SEATS: readonly Seat[] = [
  ...ACCEPTORS,
  ...[0, 1].map((id) => ({ role: "proposer", id, host: PROPOSER_HOST + id }) as const),
];
const LISTENER_HOST = SEATS.length;
const CLIENT_HOST = LISTENER_HOST + 1;
const WARM_UP_S = 2;
const SETTLE_MS = 30_000;
/** Values of each client that may be late at once. */
const WINDOW = 16_384;
const BUILT_IN = [
  ...["1", "2"].map((queues) => `overload receive-queues=${queues}`),
  ...["1", "2"].map(
    (queues) => `overload, 64 KiB receive-queues=${queues} receive-mode=recvmmsg receive-buffer=64KiB`,
  ),
  ...["1", "2"].map(
    (queues) =>
      `overload, 64 KiB, no queue-delay receive-queues=${queues} receive-mode=recvmmsg receive-buffer=64KiB queue-delay=0`,
  ),
  ...["1", "2"].map(
    (queues) => `flood, 64 KiB receive-queues=${queues} receive-mode=recvmmsg receive-buffer=64KiB flood=yes`,
  ),
];

interface Case {
  readonly name: string;
  readonly settings: Settings;
  readonly floods: boolean;
}

interface Plan {
  readonly clients: number;
  readonly rate: number;
  readonly flood: number;
  readonly size: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly cases: readonly Case[];
  readonly command: readonly string[];
}

interface Row {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly chosenP50: number;
  readonly chosenP99: number;
  readonly again: number;
  readonly leaders: number;
  /** Frames of the flood. */
  readonly flood: number;
  readonly droppedProtocol: number;
  readonly droppedValues: number;
}

/** What stands before the first KEY=VALUE is the name. */
function parseCase(text: string): Case {
  const words = text.trim().split(/\s+/);
  const isPair = (word: string): boolean => /^[a-z-]+=/.test(word);
  const pairs = words.filter(isPair).map((word) => word.split("=") as [string, string]);
  const { flood, ...settings } = Object.fromEntries(pairs) as Record<string, string>;
  return { name: words.filter((word) => !isPair(word)).join(" "), settings, floods: flood === "yes" };
}

function asked(): Plan {
  const chosen = flags({
    clients: { type: "string", default: "4" },
    rate: { type: "string", default: "2000000" },
    flood: { type: "string", default: "30000" },
    size: { type: "string", default: "64" },
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    case: { type: "string", multiple: true, default: BUILT_IN },
    ...MAIN_FLAG,
  });
  return {
    clients: whole("clients", chosen.clients),
    rate: whole("rate", chosen.rate),
    flood: whole("flood", chosen.flood),
    size: `${whole("size", chosen.size)}`,
    seconds: whole("seconds", chosen.seconds),
    rounds: whole("rounds", chosen.rounds),
    cases: chosen.case.map(parseCase),
    command: commandOf(chosen.main),
  };
}

/**
 * Frames dropped at each packet socket of a process since it was opened, the first opened first (`ss`). Of a proposer with two
 * the second is the values'.
 */
function droppedBySocket(lab: Lab, host: number, pid: number): number[] {
  const fds = `/proc/${pid}/fd`;
  const inodes = readdirSync(fds)
    .map(Number)
    .toSorted((a, b) => a - b)
    .map((fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`${fds}/${fd}`))?.[1]);
  const argv = ["netns", "exec", lab.hosts[host]!.name, "ss", "--packet", "--all", "--memory", "--extended"];
  const { stdout } = spawnSync("ip", [...argv, "--no-header", "--oneline"], { encoding: "utf8" });
  const drops = new Map<string, number>();
  for (const line of stdout.split("\n")) {
    const inode = /\bino:(\d+)/.exec(line)?.[1];
    if (inode !== undefined) drops.set(inode, Number(/\bskmem:\([^)]*\bd(\d+)\)/.exec(line)?.[1] ?? 0));
  }
  return inodes.flatMap((inode) => drops.get(inode ?? "") ?? []);
}

/** All clients' values, and what the probe waited. */
function together(all: readonly ClientFigures[], probe: ClientFigures): Pick<Row, "rate" | "p50" | "p99"> {
  const rate = all.reduce((sum, one) => sum + one.valuesPerSecond, 0);
  return { rate, p50: probe.latencyUs.p50, p99: probe.latencyUs.p99 };
}

async function figuresOf(clients: readonly LabProcess[], timeoutMs: number): Promise<ClientFigures[]> {
  const endings = await Promise.all(clients.map((client) => client.ending(timeoutMs)));
  const failed = clients.find((_, i) => endings[i]!.exitCode !== 0);
  if (failed !== undefined) throw new Error(`a client failed:\n${failed.tail()}`);
  return clients.map(({ stdout }) => lastFigures(stdout));
}

async function measure(lab: Lab, one: Case, plan: Plan): Promise<Row> {
  const network = { ...ethernetNetwork(lab), close: () => undefined };
  const settings = { verbosity: "info", ...one.settings };
  const { command } = plan;
  const cluster = new LabCluster({ network, seats: SEATS, settings, command });
  let times: ChoosingTimes | undefined;
  let flooder: Flooder | undefined;
  try {
    await cluster.startAll();
    const leader = await settled(cluster, [0, 1]);
    const leading = (): number =>
      [0, 1].reduce((sum, id) => {
        const { stderr } = cluster.member("proposer", id);
        return sum + stderr.filter((line) => line.includes("leading at ballot")).length;
      }, 0);
    const before = leading();
    times = new ChoosingTimes(lab.hosts[LISTENER_HOST]!, cluster.config);
    if (one.floods) flooder = new Flooder(lab.hosts[LISTENER_HOST]!, cluster.config, leader, plan.flood);
    const words = [
      ...["--warm-up", `${WARM_UP_S}`, "--seconds", `${plan.seconds}`],
      ...["--json", "--proposer-id", `${leader}`],
    ];
    const probe = cluster.client(CLIENT_HOST, ["--outstanding", "1", "--value-size", plan.size, ...words]);
    const count = one.floods ? 1 : plan.clients;
    const each = Math.round((one.floods ? plan.rate / 5 : plan.rate) / count);
    const open = ["--rate", `${each}`, "--outstanding", `${WINDOW}`, "--value-size", plan.size, ...words];
    const clients = Array.from({ length: count }, (_, i) => cluster.client(CLIENT_HOST + 1 + i, open));
    flooder?.begin();
    await Bun.sleep(WARM_UP_S * 1000);
    times.begin();
    const [first, ...others] = await figuresOf([probe, ...clients], plan.seconds * 1000 + SETTLE_MS);
    flooder?.end();
    times.end();
    const { pid } = cluster.member("proposer", leader);
    const [protocol = 0, values = 0] = droppedBySocket(lab, PROPOSER_HOST + leader, pid);
    const row = {
      ...together(others, first!),
      ...times.figures(),
      leaders: leading() - before,
      flood: flooder?.sent ?? 0,
      droppedProtocol: protocol,
      droppedValues: values,
    };
    await cluster.stopAll();
    return row;
  } finally {
    flooder?.close();
    times?.close();
    cluster.close();
  }
}

function printTable({ cases }: Plan, found: readonly Row[][]): void {
  const heads = [
    "values/s",
    "probe p50 µs",
    "p99",
    "chosen after p50 µs",
    "p99",
    "proposed again",
    "new leaders",
  ];
  printRow(["load", "queues", ...heads, "flood's frames", "dropped", "of these in the values' queue"]);
  printRow(["---", "---:", ...Array.from({ length: heads.length + 3 }, () => "---:")]);
  cases.forEach(({ name, settings }, i) => {
    const rows = found[i]!;
    const mid = (of: (row: Row) => number): string => grouped(median(rows.map(of)));
    printRow([
      ...[name, settings["receive-queues"] ?? ""],
      ...[mid((row) => row.rate), mid((row) => row.p50), mid((row) => row.p99)],
      ...[mid((row) => row.chosenP50), mid((row) => row.chosenP99)],
      ...[mid((row) => row.again), mid((row) => row.leaders)],
      mid((row) => row.flood),
      ...[mid((row) => row.droppedProtocol + row.droppedValues), mid((row) => row.droppedValues)],
    ]);
  });
}

async function main(): Promise<void> {
  const plan = asked();
  const lab = Lab.create({ hosts: CLIENT_HOST + 1 + plan.clients });
  const found = plan.cases.map((): Row[] => []);
  try {
    for (let round = 0; round < plan.rounds; round++) {
      for (const [i, one] of plan.cases.entries()) {
        const row = await measure(lab, one, plan);
        found[i]!.push(row);
        const queues = one.settings["receive-queues"] ?? "";
        const figures = JSON.stringify(row);
        process.stderr.write(`round ${round + 1} of ${plan.rounds}: ${one.name} ${queues}: ${figures}\n`);
      }
    }
  } finally {
    lab.close();
  }
  printTable(plan, found);
}

await script(main);
