/**
 * The floor beside a cell: phase 2 of Multi-Paxos in plain C and nothing else (`bench/floor`), on the hosts of the same
 * cluster, right before or right behind each round. Its sources travel inside this program and are compiled where they are needed.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import clientSource from "../../bench/floor/client.c" with { type: "text" };
import headerSource from "../../bench/floor/floor.h" with { type: "text" };
import linkSource from "../../bench/floor/link.c" with { type: "text" };
import mainSource from "../../bench/floor/main.c" with { type: "text" };
import rolesSource from "../../bench/floor/roles.c" with { type: "text" };
import { CliError } from "../error.ts";
import { LatencyHistogram } from "../node/latency_histogram.ts";
import { HOST_INTERFACE, hostMac } from "../ops/lab_names.ts";
import type { LabProcess } from "../ops/lab_process.ts";
import { makeOwnDirectory } from "../ops/own_directory.ts";
import type { OwnBed } from "./bed.ts";
import type { Cell } from "./cells.ts";
import type { FloorFigures } from "./result.ts";

const SOURCES: Readonly<Record<string, string>> = {
  "floor.h": headerSource,
  "client.c": clientSource,
  "link.c": linkSource,
  "main.c": mainSource,
  "roles.c": rolesSource,
};
const FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"];
const COMPILERS = ["cc", "gcc", "clang"];
const READY_MS = 5000;
const SETTLE_MS = 5000;

// Limits of the program, as its sources have them.
const MOST_ACCEPTORS = 16;
const MOST_WINDOW = 32_768;
const LEAST_SIZE = 8;
const MOST_SIZE = 1400;

/** The compiled program, or why there is none. */
export type Floor =
  | { readonly ok: true; readonly program: string; readonly remove: () => void }
  | { readonly ok: false; readonly reason: string };

/** `hasHosts`: the cluster beside it is on hosts of a bridge. */
export function compileFloor(hasHosts: boolean): Floor {
  if (!hasHosts) return { ok: false, reason: "the floor speaks raw Ethernet only, and this cluster UDP" };
  const wanted = process.env.CC === undefined ? COMPILERS : [process.env.CC];
  const compiler = wanted.map((name) => Bun.which(name)).find((path) => path !== null);
  if (compiler === undefined || compiler === null) {
    const reason = process.env.CC === undefined ? "no C compiler" : `CC names no program: ${process.env.CC}`;
    return { ok: false, reason: `${reason} (apt-get install gcc libc6-dev)` };
  }
  const directory = makeOwnDirectory();
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  for (const [name, text] of Object.entries(SOURCES)) writeFileSync(join(directory, name), text);
  const program = join(directory, "floor");
  const sources = Object.keys(SOURCES).filter((name) => name.endsWith(".c"));
  const result = Bun.spawnSync([compiler, ...FLAGS, "-o", program, ...sources], {
    cwd: directory,
    stderr: "pipe",
  });
  if (result.exitCode === 0) return { ok: true, program, remove };
  remove();
  return { ok: false, reason: `${compiler} failed: ${result.stderr.toString().trim().split("\n")[0]}` };
}

/** Why a cell has no floor; undefined: it has one. */
export function lacksFloor(cell: Cell): string | undefined {
  const { rate, acceptors, window, clients, size, storage, groups } = cell;
  if (storage !== "memory") return "the floor has no disk";
  if (groups > 1) return "the floor has one group";
  if (acceptors > MOST_ACCEPTORS) return `the floor has at most ${MOST_ACCEPTORS} acceptors`;
  if (rate === null && window * clients > MOST_WINDOW)
    return `the floor has at most ${MOST_WINDOW} values under way`;
  if (size < LEAST_SIZE || size > MOST_SIZE)
    return `the floor's values have ${LEAST_SIZE} to ${MOST_SIZE} bytes`;
  return undefined;
}

export interface MeasuredFloor {
  readonly figures: FloorFigures;
  readonly histogram: LatencyHistogram;
}

function loadWords({ window, clients, size, rate }: Cell, seconds: number): string[] {
  // Of an open loop the window is a bound, not a load.
  const underWay = Math.min(window * clients, MOST_WINDOW);
  return [
    ...["--window", `${underWay}`, "--size", `${size}`, "--seconds", `${seconds}`],
    ...(rate === null ? [] : ["--rate", `${rate}`]),
  ];
}

/**
 * `scheduling`: as that setting of the cluster, so that both are woken alike.
 * Acceptors are on hosts 0…, the proposer and the client behind them; a replica that leads is acceptor 0 as well, and all of them learn.
 */
export async function measureFloor(
  program: string,
  bed: OwnBed,
  cell: Cell,
  seconds: number,
  scheduling: string,
): Promise<MeasuredFloor> {
  const replicas = cell.layout === "replicas";
  const proposerHost = replicas ? 0 : cell.acceptors;
  const { clientHost } = bed.state;
  const all = [
    ...[
      "--acceptors",
      `${cell.acceptors}`,
      "--proposer",
      hostMac(proposerHost),
      "--client",
      hostMac(clientHost),
    ],
    ...(cell.batching ? ["--packs"] : []),
    ...(replicas ? ["--learns"] : []),
    ...["--scheduling", scheduling],
  ];
  const started: LabProcess[] = [];
  const start = async (host: number, role: string, ...words: string[]): Promise<LabProcess> => {
    const one = bed.spawn(host, `the floor's ${role}`, [program, role, HOST_INTERFACE, ...all, ...words]);
    started.push(one);
    await one.ready(READY_MS);
    return one;
  };
  try {
    for (let id = replicas ? 1 : 0; id < cell.acceptors; id++) await start(id, "acceptor", "--id", `${id}`);
    await start(proposerHost, "proposer", ...(replicas ? ["--votes"] : []));
    const client = await start(clientHost, "client", ...loadWords(cell, seconds));
    const ending = await client.ending(seconds * 1000 + SETTLE_MS);
    if (ending.exitCode !== 0) throw new CliError(`the floor's client failed:\n${client.tail()}`);
    return figuresOf(client.stdout.join(""), cell.rate);
  } finally {
    for (const one of started) one.kill("SIGKILL");
    await Promise.all(started.map((one) => one.exited));
  }
}

interface FloorOutput {
  readonly valuesPerSecond: number;
  readonly lost: number;
  /** Microseconds and how often, by turns. */
  readonly latencies: readonly number[];
}

function figuresOf(text: string, rate: number | null): MeasuredFloor {
  const { valuesPerSecond, lost, latencies } = JSON.parse(text) as FloorOutput;
  const histogram = new LatencyHistogram();
  for (let i = 0; i < latencies.length; i += 2) histogram.record(latencies[i]!, latencies[i + 1]!);
  const { p50, p90, p99 } = histogram.figures();
  const figures = { valuesPerSecond, ...(rate === null ? {} : { rate }), p50, p90, p99, lost };
  return { figures, histogram };
}
