/**
 * One round of one cell: clients load the cluster, and what everybody used meanwhile is read from /proc.
 */
import { CliError } from "../error.ts";
import { LatencyHistogram } from "../node/latency_histogram.ts";
import { type ClientFigures, lastFigures } from "../ops/lab_figures.ts";
import { how, type LabProcess } from "../ops/lab_process.ts";
import type { Bed } from "./bed.ts";
import type { Cell } from "./cells.ts";
import type { ProcessUse, Round } from "./result.ts";
import { framesBetween, residentOf, type Sample, sample, type Watched } from "./usage.ts";

/** How long a client may take beyond its own time. */
const SETTLE_MS = 20_000;
/** A plot over time has about so many points. */
const POINTS = 100;
/** Each costs whoever reads it some 0.3 ms of a processor that the cluster could use. */
const LEAST_INTERVAL = 0.2;

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
  const interval = Math.min(seconds, Math.max(LEAST_INTERVAL, seconds / POINTS));
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
function useOfClient({ seconds, cpuUs, residentBytes }: MeasuredFigures, name: string): ProcessUse {
  const [userCores, systemCores] = [cpuUs.user, cpuUs.system].map((us) => us / 1e6 / seconds);
  return { name, userCores: userCores!, systemCores: systemCores!, residentBytes };
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

async function watch(
  bed: Bed,
  clients: readonly LabProcess[],
  timing: Timing,
): Promise<{ readonly from: Sample; readonly to: Sample }> {
  const { members } = bed;
  const watched = [...members, ...clients.map(({ name, pid }) => ({ name, pid }))];
  const say = async (line: RegExp, seconds: number): Promise<Sample> => {
    const patienceMs = seconds * 1000 + SETTLE_MS;
    await Promise.all(clients.map((client) => client.waitForLine(line, patienceMs, "stdout")));
    return sample(watched, bed.onLoopback, members.length > 0);
  };
  const from = await say(/"phase":"measuring"/, timing.warmUp);
  return { from, to: await say(/"phase":"measured"/, timing.seconds) };
}

/** What a client printed, once it has ended well. */
async function figuresOf(client: LabProcess): Promise<MeasuredFigures> {
  const ending = await client.ending(SETTLE_MS);
  if (ending.exitCode !== 0) throw new CliError(`the client ended${how(ending)}:\n${client.tail()}`);
  return lastFigures(client.stdout) as MeasuredFigures;
}

/** Of several clients, each interval's sum. */
function sumSeries(all: readonly (readonly [number, number][])[]): [number, number][] {
  const [first, ...others] = all;
  return (first ?? []).map(([second, rate], i) => [
    second,
    others.reduce((sum, series) => sum + (series[i]?.[1] ?? 0), rate),
  ]);
}

/** A client for each group loads the cluster, or one (`isJoint`), with the same load in each group, all of them. */
export async function measureRound(
  bed: Bed,
  cell: Cell,
  timing: Timing,
  isJoint = cell.groups === 1,
): Promise<Measured> {
  const words = clientWords(isJoint ? { ...cell, clients: cell.clients * cell.groups } : cell, timing);
  const clients = isJoint
    ? [bed.client(words)]
    : Array.from({ length: cell.groups }, (_, group) => bed.client(words, group));
  try {
    const { from, to } = await watch(bed, clients, timing);
    const members = usesBetween(bed.members, from, to);
    const figures = await Promise.all(clients.map(figuresOf));
    const histogram = new LatencyHistogram();
    for (const { stdout } of clients) histogram.add(readHistogram(stdout.findLast((line) => line !== "")));
    const sum = (pick: (one: MeasuredFigures) => number): number =>
      figures.reduce((all, one) => all + pick(one), 0);
    const valuesPerSecond = sum((one) => one.valuesPerSecond);
    const frames = framesBetween(from, to);
    const values = (valuesPerSecond * (to.atMs - from.atMs)) / 1000;
    return {
      round: {
        seconds: figures[0]!.seconds,
        valuesPerSecond,
        mbps: sum(({ mbps }) => mbps),
        sentLatencyUs: histogram.figures(),
        resent: sum(({ resent }) => resent),
        unanswered: sum(({ unanswered }) => unanswered),
        processes: [...members, ...figures.map((one, i) => useOfClient(one, clients[i]!.name))],
        framesPerValue: frames === null || values === 0 ? null : frames / values,
      },
      histogram,
      series: sumSeries(clients.map(({ stdout }) => readSeries(stdout))),
    };
  } catch (error) {
    for (const client of clients) client.kill("SIGKILL");
    if (!(error instanceof CliError) || bed.stands) throw error;
    throw new CliError(`${error.message}\n${bed.trouble()}`, { exitCode: error.exitCode, cause: error });
  }
}
