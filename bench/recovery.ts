/**
 * How long an acceptor that kept its log in memory takes to recover it from the others: real processes, raw Ethernet between
 * network namespaces (`--udp`: UDP on 127.0.0.1), 3 acceptors, a proposer, a learner, a client. The log is filled with
 * instances as long as a frame carries; then acceptor 2 is killed and started again, `--runs` times while nothing else
 * happens, and as often while a client sends all the time. Nothing is trimmed before the log has 128 MiB.
 *
 *     bun bench/recovery.ts [--udp] [--records 10000,40000] [--runs 5] [--outstanding 100] [--main PATH] [--against PATH]
 *
 * The time is from when the acceptor hears frames until it votes. `--against`: another program (the src/main.ts of another
 * checkout, say) has a cluster of its own, and each run is one of either, one after the other; the last column is how many times
 * as many records a second the first takes over, the median of the runs.
 */
import { median } from "../src/bench/statistics.ts";
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork, loopbackNetwork, type Network } from "../test/support/lab_network.ts";
import { until } from "../test/support/until.ts";
import { commandOf, flags, MAIN_FLAG, printRow, script, whole, wholes } from "./support/script.ts";
import { ACCEPTORS } from "./support/seats.ts";

const PATIENCE_MS = 300_000;
const CLIENT_HOST = 5;
const HOSTS = 6;
/** Of a value that fills its instance, on either link. */
const FULL = { ethernet: "1368", udp: "1320" } as const;
const SMALL = "64";
const RESTARTED = 2;

const SEATS: readonly Seat[] = [
  ...ACCEPTORS,
  { role: "proposer", id: 0, host: 3 },
  { role: "learner", id: 0, host: 4 },
];

interface Options {
  readonly udp: boolean;
  readonly runs: number;
  readonly outstanding: string;
}

interface Recovered {
  readonly ms: number;
  readonly records: number;
}

async function network(udp: boolean): Promise<Network> {
  return udp ? await loopbackNetwork(HOSTS) : ethernetNetwork(Lab.create({ hosts: HOSTS }));
}

function clusterAt(place: Network, command: readonly string[]): LabCluster {
  try {
    return new LabCluster({
      network: place,
      seats: SEATS,
      settings: {
        // Trims are told when there is an eighth of it.
        "acceptor-window-bytes": "1GiB",
        "acceptor-window-instances": "8388608",
        "trim-every": "1000000000",
        "snapshot-every": "1000000000",
      },
      command,
    });
  } catch (error) {
    place.close();
    throw error;
  }
}

/** Puts so many full instances into the log. */
async function fill(cluster: LabCluster, records: number, { udp, outstanding }: Options): Promise<void> {
  await cluster.startAll();
  const size = udp ? FULL.udp : FULL.ethernet;
  const filling = cluster.client(CLIENT_HOST, [
    ...["--outstanding", outstanding, "--value-size", size],
    ...["--values", `${records}`],
  ]);
  await filling.exited;
}

async function recovery(cluster: LabCluster): Promise<Recovered> {
  const former = cluster.member("acceptor", RESTARTED);
  former.kill("SIGKILL");
  await former.ending(PATIENCE_MS);
  const acceptor = cluster.start("acceptor", RESTARTED);
  await acceptor.ready(PATIENCE_MS);
  const begun = performance.now();
  const line = await acceptor.waitForLine(/votes: has recovered/, PATIENCE_MS);
  return { ms: performance.now() - begun, records: Number(/(\d+) records/.exec(line)![1]) };
}

async function recoveryUnderLoad(cluster: LabCluster, outstanding: string): Promise<Recovered> {
  const load = cluster.client(CLIENT_HOST, [
    ...["--outstanding", outstanding, "--value-size", SMALL],
    "--json",
  ]);
  await until("the load has run for a while", () => load.stdout.length > 0, PATIENCE_MS);
  const recovered = await recovery(cluster);
  load.kill("SIGINT");
  await load.ending(PATIENCE_MS);
  return recovered;
}

const perSecond = ({ ms, records }: Recovered): number => (1000 * records) / ms;

function cells(all: readonly Recovered[]): number[] {
  const middle = [all.map(({ records }) => records), all.map(({ ms }) => ms), all.map(perSecond)];
  return middle.map((numbers) => Math.round(median(numbers)));
}

async function measure(
  clusters: readonly LabCluster[],
  label: readonly (string | number)[],
  runs: number,
  run: (cluster: LabCluster) => Promise<Recovered>,
): Promise<void> {
  const all: Recovered[][] = clusters.map(() => []);
  for (let i = 0; i < runs; i++) {
    for (const [which, cluster] of clusters.entries()) all[which]!.push(await run(cluster));
  }
  const [first, second] = all as [Recovered[], Recovered[]?];
  const ratios = second?.map((one, i) => perSecond(first[i]!) / perSecond(one));
  const rest = second === undefined ? [] : [...cells(second), median(ratios!).toFixed(1)];
  printRow([...label, ...cells(first), ...rest]);
}

async function main(): Promise<void> {
  const chosen = flags({
    udp: { type: "boolean", default: false },
    records: { type: "string", default: "10000,40000" },
    runs: { type: "string", default: "5" },
    outstanding: { type: "string", default: "100" },
    against: { type: "string" },
    ...MAIN_FLAG,
  });
  const options = {
    udp: chosen.udp,
    runs: whole("runs", chosen.runs),
    outstanding: `${whole("outstanding", chosen.outstanding)}`,
  };
  const commands = [chosen.main, chosen.against].flatMap((path) =>
    path === undefined ? [] : [commandOf(path)],
  );
  const figures = ["records", "ms", "records/s"];
  const others =
    commands.length === 1 ? [] : [...figures.map((name) => `${name} (against)`), "times as fast"];
  const titles = [...figures, ...others];
  printRow(["full instances", "", ...titles]);
  printRow(["---:", "---", ...titles.map(() => "---:")]);
  for (const records of wholes("records", chosen.records)) {
    const clusters: LabCluster[] = [];
    try {
      for (const command of commands) {
        const cluster = clusterAt(await network(options.udp), command);
        clusters.push(cluster);
        await fill(cluster, records, options);
      }
      await measure(clusters, [records, "idle"], options.runs, recovery);
      await measure(clusters, [records, "under load"], options.runs, (cluster) =>
        recoveryUnderLoad(cluster, options.outstanding),
      );
      for (const cluster of clusters) await cluster.stopAll();
    } finally {
      for (const cluster of clusters) cluster.close();
    }
  }
}

await script(main);
