/**
 * A storage that is nothing but maps, and turns of journal entries drawn from a seed: what a real storage must tell after
 * any crash is compared with this.
 */
import type { Journal } from "../../src/protocol/acceptor/journal.ts";
import type { Ballot, Life } from "../../src/protocol/types.ts";
import { type LogOptions, openLog } from "../../src/storage/log_open.ts";
import { openSqlite, type SqliteOptions } from "../../src/storage/sqlite_open.ts";
import type { Storage } from "../../src/storage/storage.ts";

export const ACCEPTORS = 3;
/** Of a value in what `storage_writer.ts` writes. */
export const MOST_BYTES = 1500;

export function optionsIn(directory: string, more: Partial<SqliteOptions> = {}): SqliteOptions {
  return {
    directory,
    identity: { cluster: "kpaxos", clusterId: 0x1234, wire: "native", acceptors: ACCEPTORS, acceptor: 0 },
    sync: true,
    trash: false,
    warn: () => undefined,
    ...more,
  };
}

/** A log of small regions, of which it has few. */
export function logOptionsIn(directory: string, more: Partial<LogOptions> = {}): LogOptions {
  const window = { windowInstances: 1024, windowBytes: 65_536, regionBytes: 16_384, mostRegions: 5 };
  return { ...optionsIn(directory), ...window, ...more };
}

export const BACKENDS = ["sqlite", "log"] as const;
export type Backend = (typeof BACKENDS)[number];

/** The file of acceptor 0, which everything it promised is in sooner or later. */
export const FILES = { sqlite: "acceptor-0.db", log: "acceptor-0.kplog" } as const;

/** A storage that makes room as often as it can. */
export function openSmall(backend: Backend, directory: string, sync = true): Storage {
  return backend === "sqlite"
    ? openSqlite(optionsIn(directory, { checkpointPages: 12, sync }))
    : openLog(logOptionsIn(directory, { sync }));
}

export class StorageModel implements Journal {
  promise = "none";
  trimIid = 0;
  standings = "none";
  readonly promises = new Map<number, number>();
  readonly records = new Map<number, string>();

  promised(ballot: Ballot, life: Life): void {
    this.promise = `${ballot} of ${life}`;
  }

  promisedAt(iid: number, ballot: Ballot): void {
    this.promises.set(iid, ballot);
  }

  accepted(
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const value = Bun.hash(bytes.subarray(offset, offset + length)).toString(16);
    this.records.set(iid, `${ballot} of ${life}, flags ${flags}, ${length} bytes ${value}`);
  }

  trimmed(iid: number): void {
    this.trimIid = Math.max(this.trimIid, iid);
    for (const rows of [this.promises, this.records]) {
      for (const key of rows.keys()) if (key <= iid) rows.delete(key);
    }
  }

  standing(generations: Float64Array, incarnations: Float64Array): void {
    this.standings = `${generations.join(" ")} / ${incarnations.join(" ")}`;
  }

  /** Everything, in one text: two models with the same text are the same. */
  describe(): string {
    const rows = (name: string, map: ReadonlyMap<number, unknown>): string[] =>
      [...map].sort(([a], [b]) => a - b).map(([iid, what]) => `${name} ${iid}: ${what}`);
    return [
      `promised ${this.promise}, trimmed to ${this.trimIid}, standing ${this.standings}`,
      ...rows("promise", this.promises),
      ...rows("record", this.records),
    ].join("\n");
  }
}

/** Draws what one turn journals, the same for the same random numbers. */
export class Turns {
  readonly #random: () => number;
  readonly #into: readonly Journal[];
  readonly #mostBytes: number;
  readonly #bytes = new Uint8Array(65536 + 64);
  #ballot = 65536;
  #next = 1;
  #trimIid = 0;

  constructor(random: () => number, into: readonly Journal[], mostBytes: number) {
    this.#random = random;
    this.#into = into;
    this.#mostBytes = mostBytes;
    for (let i = 0; i < this.#bytes.length; i++) this.#bytes[i] = Math.floor(random() * 256);
  }

  turn(): void {
    const entries = this.#below(6);
    for (let i = 0; i <= entries; i++) this.#entry();
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #entry(): void {
    const draw = this.#random();
    if (draw < 0.05) this.#promise();
    else if (draw < 0.15) this.#promiseAt();
    else if (draw < 0.2) this.#trim();
    else if (draw < 0.23) this.#stand();
    else this.#accept();
  }

  #promise(): void {
    this.#ballot += 1 + this.#below(2 ** 33);
    const life = 1 + this.#below(2 ** 53 - 2);
    for (const one of this.#into) one.promised(this.#ballot as Ballot, life);
  }

  #promiseAt(): void {
    const iid = this.#trimIid + 1 + this.#below(50);
    const ballot = this.#below(2 ** 32) as Ballot;
    for (const one of this.#into) one.promisedAt(iid, ballot);
  }

  #trim(): void {
    this.#trimIid += this.#below(Math.max(1, this.#next - this.#trimIid));
    for (const one of this.#into) one.trimmed(this.#trimIid);
  }

  #stand(): void {
    const draw = () => this.#below(2 ** 53 - 1);
    const generations = Float64Array.from({ length: ACCEPTORS }, draw);
    const incarnations = Float64Array.from({ length: ACCEPTORS }, draw);
    for (const one of this.#into) one.standing(generations, incarnations);
  }

  /** The next instance mostly, sometimes one that has a record or was left out. */
  #accept(): void {
    const again = this.#random() < 0.2 && this.#next > this.#trimIid + 1;
    const iid = again ? this.#trimIid + 1 + this.#below(this.#next - this.#trimIid) : this.#next;
    if (iid >= this.#next) this.#next = iid + 1 + this.#below(1.2);
    const life = 1 + this.#below(2 ** 53 - 2);
    const flags = this.#below(4);
    const offset = this.#below(64);
    const length = this.#random() < 0.1 ? 0 : this.#below(this.#mostBytes + 1);
    for (const one of this.#into) {
      one.accepted(iid, this.#ballot as Ballot, life, flags, this.#bytes, offset, length);
    }
  }
}

/** In which order a storage gives back what it keeps. */
export function replayOrder(storage: Storage): string[] {
  const order: string[] = [];
  storage.replay({
    promised: (ballot) => order.push(`promised ${ballot}`),
    promisedAt: (iid) => order.push(`promisedAt ${iid}`),
    accepted: (iid) => order.push(`accepted ${iid}`),
    trimmed: (iid) => order.push(`trimmed ${iid}`),
    standing: () => order.push("standing"),
  });
  return order;
}
