/**
 * One round of one cell: a client loads the cluster, and what everybody used meanwhile is read from /proc.
 */
import { CliError } from "../error.ts";
import { LatencyHistogram } from "../node/latency_histogram.ts";
import { type ClientFigures, lastFigures } from "../ops/lab_figures.ts";
import { how, type LabProcess } from "../ops/lab_process.ts";
import type { Bed } from "./bed.ts";
import type { Cell } from "./cells.ts";
import type { ProcessUse, Round } from "./result.ts";
import { residentOf, type Sample, sample, type Watched } from "./usage.ts";

/** How long a client may take beyond its own time. */
const SETTLE_MS = 20_000;
/** A plot over time has about so many points. */
const POINTS = 100;
const LEAST_INTERVAL = 0.05;

export interface Timing {
  readonly seconds: number;
  readonly warmUp: number;
}

export interface Measured {
  readonly round: Round;
  readonly histogram: LatencyHistogram;
  readonly series: readonly (readonly [number, number])[];
}

/** What the client tells beyond what every run prints. */
interface MeasuredFigures extends ClientFigures {
  readonly mbps: number;
  readonly unanswered: number;
  readonly cpuUs: { readonly user: number; readonly system: number };
  readonly residentBytes: number;
}

function clientWords({ window, clients, size, rate }: Cell, { seconds, warmUp }: Timing): string[] {
  const interval = Math.max(LEAST_INTERVAL, seconds / POINTS);
  return [
    ...["--outstanding", `${window}`, "--nclients", `${clients}`, "--value-size", `${size}`],
    ...["--seconds", `${seconds}`, "--warm-up", `${warmUp}`, "--interval", `${interval}`],
    ...(rate === null ? [] : ["--rate", `${rate}`]),
    ...["--json", "--histogram"],
  ];
}

/** What each process used between two samples. */
export function usesBetween(watched: readonly Watched[], from: Sample, to: Sample): ProcessUse[] {
  const seconds = (to.atMs - from.atMs) / 1000;
  return watched.flatMap(({ name, pid }) => {
    const before = from.cpu.get(name);
    const after = to.cpu.get(name);
    if (before === undefined || after === undefined) return [];
    const userCores = (after.user - before.user) / seconds;
    const systemCores = (after.system - before.system) / seconds;
    return [{ name, userCores, systemCores, residentBytes: residentOf(pid) }];
  });
}

/** By its own account: it may have ended before anybody looks. */
function useOfClient({ seconds, cpuUs, residentBytes }: MeasuredFigures): ProcessUse {
  const [userCores, systemCores] = [cpuUs.user, cpuUs.system].map((us) => us / 1e6 / seconds);
  return { name: "client", userCores: userCores!, systemCores: systemCores!, residentBytes };
}

function readHistogram(line: string | undefined): LatencyHistogram {
  const histogram = LatencyHistogram.from((JSON.parse(line ?? "{}") as { histogram?: unknown }).histogram);
  if (histogram === undefined) throw new CliError("the client printed no latencies");
  return histogram;
}

function readSeries(lines: readonly string[]): [number, number][] {
  return lines.flatMap((line) => {
    if (!line.startsWith('{"second"')) return [];
    const { second, valuesPerSecond } = JSON.parse(line) as Record<string, number>;
    return [[second!, valuesPerSecond!] as [number, number]];
  });
}

async function watch(bed: Bed, client: LabProcess, timing: Timing): Promise<{ from: Sample; to: Sample }> {
  const { members } = bed;
  const watched = [...members, { name: "client", pid: client.pid }];
  const isAll = members.length > 0;
  await client.waitForLine(/"phase":"measuring"/, timing.warmUp * 1000 + SETTLE_MS, "stdout");
  const from = sample(watched, bed.link, isAll);
  await client.waitForLine(/"phase":"measured"/, timing.seconds * 1000 + SETTLE_MS, "stdout");
  return { from, to: sample(watched, bed.link, isAll) };
}

export async function measureRound(bed: Bed, cell: Cell, timing: Timing): Promise<Measured> {
  const client = bed.client(clientWords(cell, timing));
  try {
    const { from, to } = await watch(bed, client, timing);
    const members = usesBetween(bed.members, from, to);
    const ending = await client.ending(SETTLE_MS);
    if (ending.exitCode !== 0) throw new CliError(`the client ended${how(ending)}:\n${client.tail()}`);
    const figures = lastFigures(client.stdout) as MeasuredFigures;
    const { seconds, valuesPerSecond, mbps, latencyUs, resent, unanswered } = figures;
    const processes = [...members, useOfClient(figures)];
    const frames = from.frames === undefined || to.frames === undefined ? null : to.frames - from.frames;
    const values = (valuesPerSecond * (to.atMs - from.atMs)) / 1000;
    return {
      round: {
        ...{ seconds, valuesPerSecond, mbps, latencyUs, resent, unanswered, processes },
        framesPerValue: frames === null || values === 0 ? null : frames / values,
      },
      histogram: readHistogram(client.stdout.findLast((line) => line !== "")),
      series: readSeries(client.stdout),
    };
  } catch (error) {
    client.kill("SIGKILL");
    const trouble = bed.trouble();
    if (!(error instanceof CliError) || trouble === "") throw error;
    throw new CliError(`${error.message}\n${trouble}`, { exitCode: error.exitCode, cause: error });
  }
}
