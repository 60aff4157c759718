/**
 * What was delivered, as all learners of a cluster saw it: the first to deliver an instance says what its value is, and
 * everyone else must deliver the same.
 */

import { sameBytes } from "../../src/protocol/bytes.ts";
import type { Client } from "../../src/protocol/client/client.ts";
import type { Application } from "../../src/protocol/learner/learner.ts";
import type { Watcher } from "../../src/sim/parts.ts";
import { ClientRecord, readClientRecord } from "../../src/wire/client_record.ts";

interface Known {
  readonly first: number;
  readonly end: number;
  readonly client: Client;
}

export class Delivered {
  /** By instance. */
  readonly values: (Uint8Array | undefined)[] = [];
  last = 0;
  /** While false nothing is kept, and nothing compared. */
  keeps = true;
  readonly #clients: Known[] = [];
  readonly #record = new ClientRecord();

  /** The client ids that are this client's (Kernel_Paxos wire; sessions are the business of `ValueLog`). */
  know(first: number, count: number, client: Client): void {
    this.#clients.push({ first, end: first + count, client });
  }

  take(iid: number, bytes: Uint8Array, offset: number, length: number): void {
    const known = this.values[iid];
    if (!this.keeps) this.last = Math.max(this.last, iid);
    else if (known === undefined) {
      this.values[iid] = bytes.slice(offset, offset + length);
      this.last = Math.max(this.last, iid);
    } else if (known.length !== length || !sameBytes(known, 0, bytes, offset, length)) {
      throw new Error(`two values were delivered at instance ${iid}`);
    }
  }

  /** Nothing a client counted is missing, and nothing is there that nobody has submitted. */
  checkClients(): void {
    const keys = new Set<string>();
    const counts = new Map<Client, number>();
    for (const value of this.values) {
      if (value === undefined) continue;
      for (const [session, key] of this.#entries(value)) {
        const owner = this.#clients.find(({ first, end }) => session >= first && session < end);
        if (owner === undefined) throw new Error(`a value of client ${session}, which nobody is`);
        if (keys.has(key)) continue;
        keys.add(key);
        counts.set(owner.client, (counts.get(owner.client) ?? 0) + 1);
      }
    }
    for (const { client } of this.#clients) {
      const count = counts.get(client) ?? 0;
      const { submitted, delivered } = client.counters;
      if (count < delivered) throw new Error(`a client counts ${delivered} values, the log has ${count}`);
      if (count > submitted)
        throw new Error(`the log has ${count} values of a client that sent ${submitted}`);
    }
  }

  /** Client id and identity of the value in an instance. */
  *#entries(value: Uint8Array): Generator<[id: number, key: string]> {
    if (!readClientRecord(value, 0, value.length, this.#record)) return;
    const { clientId, seconds, microseconds } = this.#record;
    yield [clientId, `${clientId} ${seconds} ${microseconds}`];
  }
}

/** A learner's application: in order, without a gap, the same as everyone else's. */
export class Recorder implements Watcher {
  first = 0;
  last = 0;
  /** Does not take values while false. */
  takes = true;
  readonly skips: [first: number, last: number][] = [];
  readonly #delivered: Delivered;
  readonly #fromStart: boolean;
  /** What the instances are handed on to: a client's own log. */
  behind: Application | undefined;

  constructor(delivered: Delivered, fromStart: boolean) {
    this.#delivered = delivered;
    this.#fromStart = fromStart;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    if (!this.takes) return false;
    if (this.last === 0 && this.#fromStart && iid !== 1) throw new Error(`begins with instance ${iid}`);
    if (this.last > 0 && iid !== this.last + 1) throw new Error(`instance ${iid} after ${this.last}`);
    if (this.first === 0) this.first = iid;
    this.last = iid;
    this.#delivered.take(iid, bytes, offset, length);
    this.behind?.deliver(iid, bytes, offset, length);
    return true;
  }

  /** What a snapshot leaves out is told as skipped, where anything was delivered before. */
  began(): void {}

  beganUnknown(): void {}

  skipped(first: number, last: number): void {
    if (first !== this.last + 1 && this.last > 0) throw new Error(`skips ${first} after ${this.last}`);
    this.skips.push([first, last]);
    this.behind?.skipped(first, last);
    this.last = last;
  }

  acknowledged(): number {
    return this.takes ? Number.MAX_SAFE_INTEGER : this.last;
  }
}
