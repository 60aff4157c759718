/**
 * What the targets need besides loads: the price of doing nothing, of starting, and of running for long.
 */
import { CliError } from "../error.ts";
import { choosePlace } from "../ops/cluster_place.ts";
import { selfCommand } from "../ops/lab_capability.ts";
import { lastFigures } from "../ops/lab_figures.ts";
import { how } from "../ops/lab_process.ts";
import { OwnBed } from "./bed.ts";
import { StartStage } from "./first_frame.ts";
import { usesBetween } from "./measure.ts";
import { secondHalf, watchResident } from "./residents.ts";
import { median } from "./statistics.ts";
import { pause } from "./stopping.ts";
import { sample, wakeUpsOf } from "./usage.ts";

const IDLE_SETTLE_MS = 1000;
const STARTS = 11;
const WATCH_MS = 200;
const WATCHES = 100;
const WINDOW = 100;

export interface ProbeOptions {
  readonly udp: boolean;
  readonly storagePath: string | undefined;
  readonly stop: AbortSignal;
}

async function bedOf(options: ProbeOptions): Promise<OwnBed> {
  return await OwnBed.start({
    shape: { wire: "native", storage: "memory", layout: "roles", acceptors: 3, batching: false, groups: 1 },
    choice: choosePlace(options.udp ? "udp-hosts" : undefined),
    settings: {},
    storagePath: options.storagePath,
    stop: options.stop,
  });
}

/** Of the busiest role of a cluster that nobody uses. */
export async function idleUse(
  options: ProbeOptions,
  seconds: number,
): Promise<{ cores: number; wakeUps: number }> {
  const bed = await bedOf(options);
  try {
    await pause(IDLE_SETTLE_MS, options.stop);
    const { members } = bed;
    const look = () => ({
      ...sample(members, bed.onLoopback, false),
      wakeUps: members.map(({ pid }) => wakeUpsOf(pid)),
    });
    const from = look();
    await pause(seconds * 1000, options.stop);
    const to = look();
    if (!bed.stands) throw new CliError(`an idle cluster did not last:\n${bed.trouble()}`);
    const watched = (to.atMs - from.atMs) / 1000;
    return {
      cores: Math.max(...usesBetween(members, from, to).map((one) => one.userCores + one.systemCores)),
      wakeUps: Math.max(...to.wakeUps.map((count, i) => (count - from.wakeUps[i]!) / watched)),
    };
  } finally {
    await bed.close();
  }
}

/** Milliseconds from starting a proposer to its first frame, the median of some. */
export async function startUp(stop: AbortSignal): Promise<{ ms: number; isCompiled: boolean }> {
  const command = selfCommand();
  const stage = await StartStage.open("proposer");
  try {
    const times: number[] = [];
    while (times.length < STARTS) {
      stop.throwIfAborted();
      times.push((await stage.once(command)).wallMs);
    }
    return { ms: median(times), isCompiled: command.length === 1 };
  } finally {
    stage.close();
  }
}

export interface MemoryUse {
  readonly instances: number;
  /** Bytes of the largest process of the cluster. */
  readonly halfway: number;
  readonly end: number;
  readonly largest: string;
}

/** A value to an instance, until there are so many or the time is over. */
export async function memoryUse(
  options: ProbeOptions,
  instances: number,
  seconds: number,
): Promise<MemoryUse> {
  const bed = await bedOf(options);
  try {
    const words = [
      "--outstanding",
      `${WINDOW}`,
      "--values",
      `${instances}`,
      "--seconds",
      `${seconds}`,
      "--json",
    ];
    const client = bed.client(words);
    const { members } = bed;
    const all = await watchResident({
      pids: members.map(({ pid }) => pid),
      client,
      everyValues: instances / WATCHES,
      nap: () => pause(WATCH_MS, options.stop),
    });
    const ending = await client.exited;
    if (ending.exitCode !== 0) throw new CliError(`the client ended${how(ending)}:\n${client.tail()}`);
    const { values } = lastFigures(client.stdout);
    const [halfway, end] = secondHalf(all) ?? [];
    const most = Math.max(0, ...(end?.bytes ?? []));
    const largest = end?.bytes.indexOf(most) ?? -1;
    return {
      instances: values,
      halfway: halfway?.bytes[largest] ?? 0,
      end: most,
      largest: members[largest]?.name ?? "nobody",
    };
  } finally {
    await bed.close();
  }
}
