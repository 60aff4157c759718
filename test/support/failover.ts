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

/** When a learner that prints its values did so. */
export class DeliveryTimes {
  #lastMs = 0;
  #longestMs = 0;
  #count = 0;

  readonly feed = (): void => {
    const nowMs = performance.now();
    if (this.#count++ > 0) this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  };

  /** How often something came. */
  get count(): number {
    return this.#count;
  }

  /** The longest time in which nothing came, since this was last asked. */
  takeLongestMs(): number {
    const longest = Math.max(this.#longestMs, performance.now() - this.#lastMs);
    this.#longestMs = 0;
    return longest;
  }
}

/** Kills the leader under load, waits until values are delivered again, starts it again; how long nothing was delivered. */
export async function killLeader(
  cluster: LabCluster,
  ids: readonly number[],
  times: DeliveryTimes,
): Promise<{ readonly leader: number; readonly gapMs: number }> {
  const leader = await settled(cluster, ids);
  const steady = times.count;
  await until("values are delivered", () => times.count > steady + 50, 10_000);
  const victim = cluster.member("proposer", leader);
  times.takeLongestMs();
  victim.kill("SIGKILL");
  await victim.exited;
  await settled(
    cluster,
    ids.filter((id) => id !== leader),
  );
  const resumed = times.count;
  await until("values are delivered again", () => times.count > resumed + 50, 20_000);
  const gapMs = times.takeLongestMs();
  await cluster.start("proposer", leader).ready();
  await settled(cluster, ids);
  return { leader, gapMs };
}
