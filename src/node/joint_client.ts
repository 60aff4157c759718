/**
 * The clients of one process in several groups, as one: what a run counts and bounds. Each is independent of the others; values
 * to be submitted are shared out evenly.
 */
import type { Client, ClientCounters } from "../protocol/client/client.ts";

/** What of a client a run has to do with. */
export type RunClient = Pick<Client, "ready" | "limit" | "outstanding" | "isDone"> & {
  readonly counters: Readonly<ClientCounters>;
};

/** Of `values` in all, those of part `part` of `parts`. */
export function shareOf(values: number, part: number, parts: number): number {
  return values === Number.POSITIVE_INFINITY ? values : Math.floor((values + parts - 1 - part) / parts);
}

export class JointClient implements RunClient {
  readonly #parts: RunClient[] = [];
  readonly #counters: ClientCounters = { submitted: 0, delivered: 0, resent: 0, duplicates: 0, uncertain: 0 };

  add(part: RunClient): void {
    this.#parts.push(part);
  }

  /** As soon as one is: a group that is away holds up nobody. */
  get ready(): boolean {
    return this.#parts.some((part) => part.ready);
  }
  set ready(ready: boolean) {
    for (const part of this.#parts) part.ready = ready;
  }

  get limit(): number {
    let sum = 0;
    for (let i = 0; i < this.#parts.length; i++) sum += this.#parts[i]!.limit;
    return sum;
  }
  set limit(limit: number) {
    this.#parts.forEach((part, i) => {
      const share = shareOf(limit, i, this.#parts.length);
      if (share !== part.limit) part.limit = share;
    });
  }

  get outstanding(): number {
    let sum = 0;
    for (let i = 0; i < this.#parts.length; i++) sum += this.#parts[i]!.outstanding;
    return sum;
  }

  /** Asked in each turn. */
  get isDone(): boolean {
    for (let i = 0; i < this.#parts.length; i++) if (!this.#parts[i]!.isDone) return false;
    return true;
  }

  get counters(): Readonly<ClientCounters> {
    const sum = this.#counters;
    for (const key of Object.keys(sum) as (keyof ClientCounters)[]) sum[key] = 0;
    for (const { counters } of this.#parts) {
      sum.submitted += counters.submitted;
      sum.delivered += counters.delivered;
      sum.resent += counters.resent;
      sum.duplicates += counters.duplicates;
      sum.uncertain += counters.uncertain;
    }
    return sum;
  }
}
