/**
 * What each role of a cluster over UDP has resident before and after an overload: 3 acceptors, a proposer, a learner, and as many clients as
 * are asked for, all in network namespaces. First idle, then behind one client with a window of 100, then behind all of them with large
 * values and windows, while each role in turn stands still for a while, so that its socket fills and is read in one go; then idle
 * again. *Area*: the part of it that is the link's frames and receive buffers. Once with bundles (`offload`), once without. As a
 * Markdown table.
 * The program measured is dist/kpaxos where it is built, else src/main.ts.
 *
 *     bun bench/overload_memory.ts [--seconds 5] [--clients 3] [--window 4096] [--size 1300] [--main PATH]
 */
import { readFileSync } from "node:fs";
import { residentOf } from "../src/bench/usage.ts";
import type { LabProcess } from "../src/ops/lab_process.ts";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { labUdpNetwork } from "../test/support/lab_network.ts";
import { commandOf, flags, MAIN_FLAG, printRow, script, whole, write } from "./support/script.ts";
import { ACCEPTORS } from "./support/seats.ts";

const MIB = 2 ** 20;
const HOSTS = 6;
const CLIENT_HOST = 5;
const STILL_MS = 500;
const QUIET_MS = 5000;
/** The area ends in so much that nobody may touch. */
const GUARD_BYTES = 0x10000;
const ROLES: readonly Seat[] = [
  ...ACCEPTORS,
  { role: "proposer", id: 0, host: 3 },
  { role: "learner", id: 0, host: 4 },
];
const GENTLE = ["--outstanding", "100", "--value-size", "64"];

interface Look {
  readonly all: number;
  readonly area: number;
}

interface Mapping {
  readonly isData: boolean;
  readonly isGuard: boolean;
  residentKib: number;
}

/** In MiB. */
function look(pid: number): Look {
  const mappings: Mapping[] = [];
  for (const line of readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+\s*(.*)$/.exec(line);
    if (head !== null) {
      const bytes = Number.parseInt(head[2]!, 16) - Number.parseInt(head[1]!, 16);
      const isGuard = head[3] === "---p" && bytes === GUARD_BYTES;
      mappings.push({ isData: head[3] === "rw-p" && head[4] === "", isGuard, residentKib: 0 });
    }
    const rss = /^Rss:\s*(\d+) kB$/.exec(line);
    if (rss !== null) mappings.at(-1)!.residentKib = Number(rss[1]);
  }
  const areas = mappings.filter((one, i) => one.isData && mappings[i + 1]?.isGuard === true);
  if (areas.length !== 1) throw new Error(`process ${pid} has ${areas.length} mappings like a link's area`);
  return { all: residentOf(pid) / MIB, area: areas[0]!.residentKib / 1024 };
}

interface Options {
  readonly seconds: number;
  readonly clients: number;
  readonly heavy: readonly string[];
  readonly command: string[];
}

/** Roles, and what they have at each look. */
async function measure(offload: "yes" | "no", options: Options): Promise<void> {
  const cluster = new LabCluster({
    network: labUdpNetwork(Lab.create({ hosts: HOSTS, ip: true })),
    seats: ROLES,
    settings: { offload: offload },
    command: options.command,
  });
  try {
    await cluster.startAll();
    const members = [...cluster.processes];
    const looks: Look[][] = [];
    const sees = (): void => {
      looks.push(members.map(({ pid }) => look(pid)));
    };
    const load = (words: readonly string[]): LabProcess =>
      cluster.client(CLIENT_HOST, [...words, "--seconds", `${options.seconds}`]);
    await Bun.sleep(QUIET_MS);
    sees();
    await load(GENTLE).exited;
    sees();
    const clients = Array.from({ length: options.clients }, () => load(options.heavy));
    for (const one of members) {
      await Bun.sleep(STILL_MS);
      one.kill("SIGSTOP");
      await Bun.sleep(STILL_MS);
      one.kill("SIGCONT");
    }
    await Promise.all(clients.map(({ exited }) => exited));
    sees();
    await Bun.sleep(QUIET_MS);
    sees();
    members.forEach(({ name }, i) => {
      const cells = looks.map((one) => `${one[i]!.all.toFixed(0)} (${one[i]!.area.toFixed(1)})`);
      printRow([name, offload, ...cells]);
    });
    await cluster.stopAll();
  } finally {
    cluster.close();
  }
}

async function main(): Promise<void> {
  const chosen = flags({
    seconds: { type: "string", default: "5" },
    clients: { type: "string", default: "3" },
    window: { type: "string", default: "4096" },
    size: { type: "string", default: "1300" },
    ...MAIN_FLAG,
  });
  const options: Options = {
    seconds: whole("seconds", chosen.seconds),
    clients: whole("clients", chosen.clients),
    heavy: [
      "--outstanding",
      `${whole("window", chosen.window)}`,
      "--value-size",
      `${whole("size", chosen.size)}`,
    ],
    command: commandOf(chosen.main),
  };
  write("MiB resident, of it in the link's area\n\n");
  printRow(["role", "offload", "idle", "window 100", "overload", "idle again"]);
  printRow(["---", "---", ...Array.from({ length: 4 }, () => "---:")]);
  for (const offload of ["yes", "no"] as const) await measure(offload, options);
}

await script(main);
