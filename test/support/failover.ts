/**
 * What a dead leader costs: who leads as the proposers themselves say it, and how long nothing is delivered at a learner that
 * has nothing to do with it.
 */
import type { LabProcess } from "../../src/ops/lab_process.ts";
import type { LabCluster } from "./lab_cluster.ts";
import { until } from "./until.ts";

/** What a proposer last said of its place: leading, or the proposer it follows. */
export function place(proposer: LabProcess): "leading" | number | undefined {
  const line = proposer.stderr.findLast((one) =>
    /leading at ballot|follows proposer|preparing at|asks for votes|steps down/.test(one),
  );
  if (line === undefined) return undefined;
  const leader = /follows proposer (\d+)/.exec(line)?.[1];
  if (leader !== undefined) return Number(leader);
  return line.includes("leading at") ? "leading" : undefined;
}

/** Waits until one of these proposers leads and the others follow it; returns the leader's id. */
export async function settled(
  cluster: LabCluster,
  ids: readonly number[],
  timeoutMs = 10_000,
): Promise<number> {
  const text = await until(
    "one proposer leads and the others follow it",
    () => {
      const places = ids.map((id) => place(cluster.member("proposer", id)));
      const leader = ids.find(
        (id, i) => places[i] === "leading" && ids.every((other, j) => other === id || places[j] === id),
      );
      return leader === undefined ? undefined : `${leader}`;
    },
    timeoutMs,
  );
  return Number(text);
}

/** The time of day, as logs have it. */
function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** A time in which nothing came, and when it ended. */
export interface Gap {
  readonly ms: number;
  readonly endMs: number;
}

/** When a learner that prints its values did so. */
export class DeliveryTimes {
  #lastMs = 0;
  #longest: Gap = { ms: 0, endMs: 0 };
  #count = 0;

  readonly feed = (): void => {
    const endMs = nowMs();
    if (this.#count++ > 0) this.#note(endMs);
    this.#lastMs = endMs;
  };

  /** How often something came. */
  get count(): number {
    return this.#count;
  }

  /** The longest time in which nothing came, since this was last asked. */
  takeLongest(): Gap {
    this.#note(nowMs());
    const longest = this.#longest;
    this.#longest = { ms: 0, endMs: 0 };
    return longest;
  }

  #note(endMs: number): void {
    const ms = endMs - this.#lastMs;
    if (ms > this.#longest.ms) this.#longest = { ms, endMs };
  }
}

/** What a kill cost, in milliseconds: all of it, and how long until a proposer missed the leader, one led, values came again. */
export interface Failover {
  readonly leader: number;
  readonly gapMs: number;
  readonly missedMs: number;
  readonly ledMs: number;
  readonly resumedMs: number;
}

/** When the first of these processes logged such a line, since then. */
function loggedMs(processes: readonly LabProcess[], pattern: RegExp, sinceMs: number): number {
  const times = processes.flatMap(({ stderr }) =>
    stderr.filter((line) => pattern.test(line)).map((line) => Date.parse(line.slice(0, line.indexOf(" ")))),
  );
  return Math.min(...times.filter((ms) => ms >= Math.floor(sinceMs)));
}

/**
 * Kills the leader under load, waits until values are delivered again, starts it again; how long nothing was delivered.
 * `calmMs`: how long it has led before, for what processes have measured when they start says little.
 */
export async function killLeader(
  cluster: LabCluster,
  ids: readonly number[],
  times: DeliveryTimes,
  calmMs = 0,
): Promise<Failover> {
  await settled(cluster, ids);
  await Bun.sleep(calmMs);
  const leader = await settled(cluster, ids);
  const steady = times.count;
  await until("values are delivered", () => times.count > steady + 50, 10_000);
  const victim = cluster.member("proposer", leader);
  times.takeLongest();
  const killedMs = nowMs();
  victim.kill("SIGKILL");
  await victim.exited;
  const others = ids.filter((id) => id !== leader);
  await settled(cluster, others);
  const resumed = times.count;
  await until("values are delivered again", () => times.count > resumed + 50, 20_000);
  const gap = times.takeLongest();
  const survivors = others.map((id) => cluster.member("proposer", id));
  const missed = loggedMs(survivors, /is silent for|preparing at/, killedMs);
  const led = loggedMs(survivors, /leading at ballot/, killedMs);
  await cluster.start("proposer", leader).ready();
  await settled(cluster, ids);
  const resumedMs = gap.endMs - led;
  return { leader, gapMs: gap.ms, missedMs: missed - killedMs, ledMs: led - missed, resumedMs };
}
