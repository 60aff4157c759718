/**
 * How long an acceptor that kept its log in memory takes to recover it from the others, and what that costs a client meanwhile:
 * real processes, raw Ethernet between network namespaces (`--udp`: UDP on 127.0.0.1), 3 acceptors, a proposer, a client. The
 * log is filled with instances as long as a frame carries; then acceptor 2 is killed and started again, `--runs` times while
 * nothing else happens, and as often while a client sends all the time. Nothing is trimmed.
 *
 *     bun bench/recovery.ts [--udp] [--records 10000,40000] [--runs 3] [--outstanding 100] [--main PATH]
 *
 * The time is from when the acceptor hears frames until it votes. `--main` measures another checkout's src/main.ts.
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
const CLIENT_HOST = 4;
const HOSTS = 5;
/** Of a value that fills its instance, on either link. */
const FULL = { ethernet: "1368", udp: "1320" } as const;
const SMALL = "64";
const RESTARTED = 2;

const SEATS: readonly Seat[] = [...ACCEPTORS, { role: "proposer", id: 0, host: 3 }];

interface Options {
  readonly udp: boolean;
  readonly runs: number;
  readonly outstanding: string;
  readonly command: readonly string[];
}

interface Recovered {
  readonly ms: number;
  readonly records: number;
}

async function network(udp: boolean): Promise<Network> {
  return udp ? await loopbackNetwork(HOSTS) : ethernetNetwork(Lab.create({ hosts: HOSTS }));
}

async function restart(cluster: LabCluster): Promise<Recovered> {
  const former = cluster.member("acceptor", RESTARTED);
  former.kill("SIGKILL");
  await former.ending(PATIENCE_MS);
  const acceptor = cluster.start("acceptor", RESTARTED);
  await acceptor.ready(PATIENCE_MS);
  const begun = performance.now();
  const line = await acceptor.waitForLine(/votes: has recovered/, PATIENCE_MS);
  return { ms: performance.now() - begun, records: Number(/(\d+) records/.exec(line)![1]) };
}

function tell(records: number, state: string, all: readonly Recovered[]): void {
  const ms = median(all.map((one) => one.ms));
  const taken = median(all.map((one) => one.records));
  const each = all.map((one) => Math.round(one.ms)).join(" ");
  printRow([records, state, taken, Math.round(ms), Math.round((1000 * taken) / ms), each]);
}

async function measure(cluster: LabCluster, records: number, options: Options): Promise<void> {
  const { udp, runs, outstanding } = options;
  await cluster.startAll();
  const size = udp ? FULL.udp : FULL.ethernet;
  const filling = cluster.client(CLIENT_HOST, [
    ...["--outstanding", outstanding, "--value-size", size],
    ...["--values", `${records}`],
  ]);
  await filling.exited;
  const idle: Recovered[] = [];
  for (let run = 0; run < runs; run++) idle.push(await restart(cluster));
  tell(records, "idle", idle);

  const loading = cluster.client(CLIENT_HOST, [
    ...["--outstanding", outstanding, "--value-size", SMALL, "--json"],
  ]);
  const loaded: Recovered[] = [];
  for (let run = 0; run < runs; run++) {
    const seen = loading.stdout.length;
    await until("the load has run for a while", () => loading.stdout.length > seen + 1, PATIENCE_MS);
    loaded.push(await restart(cluster));
  }
  tell(records, "under load", loaded);
  loading.kill("SIGINT");
  await loading.ending(PATIENCE_MS);
}

async function main(): Promise<void> {
  const chosen = flags({
    udp: { type: "boolean", default: false },
    records: { type: "string", default: "10000,40000" },
    runs: { type: "string", default: "3" },
    outstanding: { type: "string", default: "100" },
    ...MAIN_FLAG,
  });
  const options = {
    udp: chosen.udp,
    runs: whole("runs", chosen.runs),
    outstanding: `${whole("outstanding", chosen.outstanding)}`,
    command: commandOf(chosen.main),
  };
  printRow(["full instances", "", "records taken over", "ms, median", "records/s", "each, ms"]);
  printRow(["---:", "---", "---:", "---:", "---:", "---"]);
  for (const records of wholes("records", chosen.records)) {
    const place = await network(options.udp);
    let cluster: LabCluster | undefined;
    try {
      cluster = new LabCluster({
        network: place,
        seats: SEATS,
        settings: {
          // Nothing is trimmed.
          "acceptor-window-bytes": "1GiB",
          "acceptor-window-instances": "8388608",
          "trim-every": "1000000000",
          "snapshot-every": "1000000000",
        },
        command: options.command,
      });
      await measure(cluster, records, options);
      await cluster.stopAll();
    } finally {
      if (cluster === undefined) place.close();
      else cluster.close();
    }
  }
}

await script(main);
