/**
 * How fast a late learner catches up, and what that costs the others: real processes, raw Ethernet between network namespaces
 * (`--udp`: UDP on 127.0.0.1), 3 acceptors, a proposer, a learner, a client that sends all the time. After some seconds a
 * second learner starts with --catch-up, from instance 1; nothing is trimmed meanwhile.
 *
 *     bun bench/catchup.ts [--udp] [--outstanding 100] [--size 64] [--seconds 6] [--no-batching]
 *         [--main PATH]
 *
 * Prints the client's rate before, in each fifth of a second while the learner reads, and after; the share of its rate that it
 * kept meanwhile; the learner's rate and how long it took. On a machine of few cores and under full load the client's loss is
 * above all the learner's own work; with `--outstanding 1` there is time to spare, and what is lost is what the others are
 * kept from; the learner says when it is at the head only if it was 5000 instances behind, so that takes more `--seconds`.
 */
import type { Seat } from "../src/ops/seats.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster } from "../test/support/lab_cluster.ts";
import { ethernetNetwork, loopbackNetwork, type Network } from "../test/support/lab_network.ts";
import { until } from "../test/support/until.ts";
import { commandOf, flags, MAIN_FLAG, script, whole, write } from "./support/script.ts";
import { ACCEPTORS } from "./support/seats.ts";

const PATIENCE_MS = 120_000;
const HOSTS = 7;
/** Of the client's figures. A learner may be done within a second. */
const A_SECOND = 5;

const SEATS: readonly Seat[] = [
  ...ACCEPTORS,
  { role: "proposer", id: 0, host: 3 },
  { role: "learner", id: 0, host: 4 },
  { role: "learner", id: 1, host: 5 },
];
const LATE = 1;

interface Options {
  readonly udp: boolean;
  readonly outstanding: string;
  readonly size: string;
  readonly seconds: number;
  readonly batching: boolean;
  readonly command: readonly string[];
}

function options(): Options {
  const chosen = flags({
    udp: { type: "boolean", default: false },
    outstanding: { type: "string", default: "100" },
    size: { type: "string", default: "64" },
    seconds: { type: "string", default: "6" },
    batching: { type: "boolean", default: true },
    ...MAIN_FLAG,
  });
  return {
    ...{ udp: chosen.udp, batching: chosen.batching },
    outstanding: `${whole("outstanding", chosen.outstanding)}`,
    size: `${whole("size", chosen.size)}`,
    seconds: whole("seconds", chosen.seconds, 2),
    command: commandOf(chosen.main),
  };
}

async function network(udp: boolean): Promise<Network> {
  return udp ? await loopbackNetwork(HOSTS) : ethernetNetwork(Lab.create({ hosts: HOSTS }));
}

/** The client's values in each interval so far. */
function countsOf(lines: readonly string[]): number[] {
  return lines
    .map((line) => JSON.parse(line) as { second?: number; values: number })
    .flatMap(({ second, values }) => (second === undefined ? [] : [values]));
}

/** Values a second. */
function meanRate(counts: readonly number[]): number {
  return Math.round((counts.reduce((a, b) => a + b, 0) * A_SECOND) / Math.max(1, counts.length));
}

async function measure(cluster: LabCluster, { outstanding, size, seconds }: Options): Promise<void> {
  const early = SEATS.filter(({ role, id }) => role !== "learner" || id !== LATE);
  for (const { role, id } of early) cluster.start(role, id);
  await Promise.all(early.map(({ role, id }) => cluster.member(role, id).ready()));
  const client = cluster.client(HOSTS - 1, [
    ...["--outstanding", outstanding, "--value-size", size],
    ...["--json", "--interval", `${1 / A_SECOND}`],
  ]);
  const past = (): number[] => countsOf(client.stdout);
  await until("the load has run for a while", () => past().length >= seconds * A_SECOND, PATIENCE_MS);
  const before = past().slice(-(seconds - 1) * A_SECOND);

  const late = cluster.start("learner", LATE, { args: ["--catch-up"] });
  const started = past().length;
  const line = await late.waitForLine(/is at the head, instance/, PATIENCE_MS);
  const during = past().slice(started);
  if (during.length === 0) throw new Error("the learner was at the head at once: give more --seconds");
  const arrived = past().length + 1;
  await until("a while later", () => past().length >= arrived + 3 * A_SECOND, PATIENCE_MS);
  const after = past().slice(arrived);
  client.kill("SIGINT");
  await client.ending(PATIENCE_MS);

  const [, iid, took, rate] = /instance (\d+), after ([\d.]+) s: (\d+) instances/.exec(line)!;
  const live = meanRate(before);
  // Values an instance are the same for both: the log is what the client sent.
  const valuesPerInstance =
    past()
      .slice(0, started + during.length)
      .reduce((a, b) => a + b, 0) / Number(iid);
  const learned = Math.round(Number(rate) * valuesPerInstance);
  const share = (counts: readonly number[]): string =>
    `${meanRate(counts)} values/s, ${(meanRate(counts) / live).toFixed(2)} of it`;
  const out = [
    `before: ${live} values/s`,
    `while a learner reads: ${during.map((count) => count * A_SECOND).join(" ")}: ${share(during)}`,
    `after: ${share(after)}`,
    `the learner: ${took} s to instance ${iid}, ${rate} instances/s, about ${learned} values/s: ${(learned / live).toFixed(1)} × the live rate`,
  ];
  write(`${out.join("\n")}\n`);
}

async function main(): Promise<void> {
  const chosen = options();
  const place = await network(chosen.udp);
  let cluster: LabCluster | undefined;
  try {
    cluster = new LabCluster({
      network: place,
      seats: SEATS,
      settings: {
        verbosity: "info",
        batching: chosen.batching ? "yes" : "no",
        // Nothing is trimmed, and no snapshot leads past anything.
        "acceptor-window-bytes": "1GiB",
        "acceptor-window-instances": "8388608",
        "trim-every": "1000000000",
        "snapshot-every": "1000000000",
      },
      command: chosen.command,
    });
    await measure(cluster, chosen);
    await cluster.stopAll();
  } finally {
    if (cluster === undefined) place.close();
    else cluster.close();
  }
}

await script(main);
