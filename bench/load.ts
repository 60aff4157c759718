/**
 * What values wait for: at most, at half of that, and when more is offered than can be chosen, with and without `queue-delay`, and
 * with the receive buffers that a kernel gives without CAP_NET_ADMIN. Latency under overload is that of values under way: the
 * others wait with their clients. As a Markdown table; each row is the median round by p99.
 *
 *     bun bench/load.ts [--clients 16] [--window 2000] [--size 64] [--seconds 3] [--rounds 3] [--settings key=value,…]
 *         [--main PATH]
 *
 * Needs root (or user namespaces). Client processes are `--clients` under overload, else one. The program measured is
 * dist/kpaxos where it is built, else src/main.ts.
 */
import { type ClientFigures, lastFigures } from "../src/ops/lab_figures.ts";
import type { Seat } from "../src/ops/seats.ts";
import { grouped } from "../src/text/grouped.ts";
import { Lab } from "../test/support/lab.ts";
import { LabCluster, type Settings } from "../test/support/lab_cluster.ts";
import { ethernetNetwork } from "../test/support/lab_network.ts";
import { commandOf, flags, MAIN_FLAG, printRow, script, usageError, whole } from "./support/script.ts";
import { ACCEPTORS } from "./support/seats.ts";

const SEATS: readonly Seat[] = [...ACCEPTORS, { role: "proposer", id: 0, host: 3 }];
const CLIENT_HOST = SEATS.length;
const WARM_UP_S = 1;
const SETTLE_MS = 30_000;
const FULL_WINDOW = 1000;
/** Values of an open loop that may be late at once. */
const OPEN_WINDOW = 65_536;
const VARIANTS: readonly Settings[] = [
  {},
  { "queue-delay": "0" },
  { "receive-buffer": "106496" },
  { "queue-delay": "0", "receive-buffer": "106496" },
];

interface Options {
  readonly clients: number;
  readonly window: number;
  readonly size: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly settings: Settings;
  readonly command: readonly string[];
}

interface Row {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly resent: number;
}

function pairOf(text: string): readonly [key: string, value: string] {
  const at = text.indexOf("=");
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw usageError(
    `--settings: ${JSON.stringify(text)} is no key=value`,
    "for example --settings batching=no",
  );
}

function options(): Options {
  const chosen = flags({
    clients: { type: "string", default: "16" },
    window: { type: "string", default: "2000" },
    size: { type: "string", default: "64" },
    seconds: { type: "string", default: "3" },
    rounds: { type: "string", default: "3" },
    settings: { type: "string", default: "" },
    ...MAIN_FLAG,
  });
  const settings = chosen.settings === "" ? [] : chosen.settings.split(",");
  return {
    clients: whole("clients", chosen.clients),
    window: whole("window", chosen.window),
    size: whole("size", chosen.size),
    seconds: whole("seconds", chosen.seconds),
    rounds: whole("rounds", chosen.rounds),
    settings: Object.fromEntries(settings.map(pairOf)),
    command: commandOf(chosen.main),
  };
}

/** Of clients that run side by side: all values, and the latency of the worst off. */
function rowOf(all: readonly ClientFigures[]): Row {
  const sum = (of: (one: ClientFigures) => number): number => all.reduce((total, one) => total + of(one), 0);
  const worst = (of: (one: ClientFigures) => number): number => Math.max(...all.map(of));
  return {
    rate: sum((one) => one.valuesPerSecond),
    p50: worst(({ latencyUs }) => latencyUs.p50),
    p99: worst(({ latencyUs }) => latencyUs.p99),
    p999: worst(({ latencyUs }) => latencyUs.p999),
    resent: sum((one) => one.resent),
  };
}

async function load(
  cluster: LabCluster,
  count: number,
  words: readonly string[],
  { size, seconds }: Options,
): Promise<Row> {
  const common = [
    "--value-size",
    `${size}`,
    "--warm-up",
    `${WARM_UP_S}`,
    "--seconds",
    `${seconds}`,
    "--json",
  ];
  const clients = Array.from({ length: count }, (_, i) =>
    cluster.client(CLIENT_HOST + i, [...words, ...common]),
  );
  const endings = await Promise.all(
    clients.map((client) => client.ending((WARM_UP_S + seconds) * 1000 + SETTLE_MS)),
  );
  const failed = clients.find((_, i) => endings[i]!.exitCode !== 0);
  if (failed !== undefined) throw new Error(`a client failed:\n${failed.tail()}`);
  return rowOf(clients.map(({ stdout }) => lastFigures(stdout)));
}

async function median(rounds: number, run: () => Promise<Row>): Promise<Row> {
  const rows: Row[] = [];
  while (rows.length < rounds) rows.push(await run());
  return rows.toSorted((a, b) => a.p99 - b.p99)[rounds >> 1]!;
}

async function measure(lab: Lab, variant: Settings, chosen: Options): Promise<void> {
  const network = { ...ethernetNetwork(lab), close: () => undefined };
  const settings = { verbosity: "info", ...variant, ...chosen.settings };
  const { command } = chosen;
  const cluster = new LabCluster({ network, seats: SEATS, settings, command });
  const name = Object.entries(variant).map((pair) => pair.join(" "));
  const row = (what: string, { rate, p50, p99, p999, resent }: Row): void => {
    const times = (p99 / p50).toFixed(1);
    printRow([name.join(", ") || "defaults", what, grouped(rate), p50, p99, p999, times, resent]);
  };
  try {
    await cluster.startAll();
    const closed = ["--outstanding", `${FULL_WINDOW}`];
    const full = await median(chosen.rounds, () => load(cluster, 1, closed, chosen));
    row("full", full);
    const open = ["--outstanding", `${OPEN_WINDOW}`, "--rate", `${Math.round(full.rate / 2)}`];
    row("half", await median(chosen.rounds, () => load(cluster, 1, open, chosen)));
    const over = ["--outstanding", `${chosen.window}`];
    row("overload", await median(chosen.rounds, () => load(cluster, chosen.clients, over, chosen)));
    await cluster.stopAll();
  } finally {
    cluster.close();
  }
}

async function main(): Promise<void> {
  const chosen = options();
  const lab = Lab.create({ hosts: CLIENT_HOST + chosen.clients });
  try {
    printRow(["settings", "load", "values/s", "p50 µs", "p99 µs", "p99.9 µs", "p99 / p50", "sent again"]);
    printRow(["---", "---", ...Array.from({ length: 6 }, () => "---:")]);
    for (const variant of VARIANTS) await measure(lab, variant, chosen);
  } finally {
    lab.close();
  }
}

await script(main);
