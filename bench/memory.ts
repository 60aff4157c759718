/**
 * What each role of a cluster has resident while instances go by: 3 acceptors, a proposer, a learner and a client with its own
 * learner, raw Ethernet between network namespaces, a value to an instance. One line of figures every so many instances, on
 * standard output as CSV; at the end, on standard error, the growth of each role over the second half and what its memory is.
 * The program measured is dist/kpaxos where it is built, else src/main.ts.
 *
 *     bun bench/memory.ts [--values 10000000] [--window 100] [--size 64] [--every 250000] [--replicas] [--main PATH]
 */
import { readFileSync } from "node:fs";
import { type Resident, secondHalf, watchResident } from "../src/bench/residents.ts";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";
import { commandOf, flags, MAIN_FLAG, script, whole, write } from "./support/script.ts";
import { ACCEPTORS, REPLICAS } from "./support/seats.ts";

const MIB = 2 ** 20;
const LIMIT_MIB = 200;
/** Per million instances of the second half. */
const FLAT_MIB = 0.5;
const CLIENT_HOST = 5;
const WATCH_MS = 200;
const ROLES: readonly Seat[] = [
  ...ACCEPTORS,
  { role: "proposer", id: 0, host: 3 },
  { role: "learner", id: 0, host: 4 },
];

/** The largest mappings of a process that are resident, in MiB. */
function largest(pid: number): string {
  const sizes = new Map<string, number>();
  let name = "";
  for (const line of readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ (\S{4}) \S+ \S+ \d+\s*(.*)$/.exec(line);
    if (mapping !== null)
      name = mapping[2] === "" ? `anonymous ${mapping[1]}` : mapping[2]!.split("/").at(-1)!;
    const rss = /^Rss:\s*(\d+) kB$/.exec(line);
    if (rss !== null) sizes.set(name, (sizes.get(name) ?? 0) + (Number(rss[1]) * 1024) / MIB);
  }
  const top = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 4);
  return top.map(([what, mib]) => `${what} ${mib.toFixed(1)}`).join(", ");
}

/** MiB for each million values, over the second half. */
function slope(all: readonly Resident[], of: number): number {
  const [first, last] = secondHalf(all) ?? [];
  const millions = ((last?.values ?? 0) - (first?.values ?? 0)) / 1e6;
  return millions > 0 ? (last!.bytes[of]! - first!.bytes[of]!) / MIB / millions : 0;
}

async function main(): Promise<void> {
  const chosen = flags({
    values: { type: "string", default: "10000000" },
    window: { type: "string", default: "100" },
    size: { type: "string", default: "64" },
    every: { type: "string", default: "250000" },
    replicas: { type: "boolean", default: false },
    ...MAIN_FLAG,
  });
  const everyValues = whole("every", chosen.every);
  const load = Object.entries({ outstanding: "window", "value-size": "size", values: "values" } as const);
  const words = load.flatMap(([flag, name]) => [`--${flag}`, `${whole(name, chosen[name])}`]);
  const cluster = new LabCluster({
    network: ethernetNetwork(Lab.create({ hosts: CLIENT_HOST + 1 })),
    seats: chosen.replicas ? REPLICAS : ROLES,
    settings: { verbosity: "info", batching: "no" },
    command: commandOf(chosen.main),
  });
  try {
    await cluster.startAll();
    const client = cluster.client(CLIENT_HOST, [...words, "--json"]);
    const members = [...cluster.processes];
    write(`instances,${members.map(({ name }) => name).join(",")}\n`);
    const samples = await watchResident({
      pids: members.map(({ pid }) => pid),
      client,
      everyValues,
      nap: () => Bun.sleep(WATCH_MS),
      found: ({ values, bytes }) =>
        write(`${values},${bytes.map((one) => (one / MIB).toFixed(1)).join(",")}\n`),
    });
    const ending = await client.exited;
    if (ending.exitCode !== 0) throw new Error(`the client failed:\n${client.tail()}`);
    members.forEach((member, i) => {
      const peak = Math.max(...samples.map(({ bytes }) => bytes[i]! / MIB));
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

await script(main);
