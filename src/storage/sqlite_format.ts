/**
 * The form of an acceptor's database (docs/storage.md): its tables, whose it is, and the checksum of a row. Touches no
 * file. Numbers are whole and at most 2^53 − 1.
 */
import { copyBytes } from "../protocol/bytes.ts";
import { crc32c } from "../protocol/crc32c.ts";

/** "kpax": how the header of an SQLite file names its program. */
export const APPLICATION_ID = 0x6b706178;
export const FORMAT_VERSION = 2;

/** Whose promises a database holds. */
export interface Identity {
  readonly cluster: string;
  readonly clusterId: number;
  readonly wire: string;
  readonly acceptors: number;
  readonly acceptor: number;
}

/** Part of each checksum, so that a row of one table is never one of another. */
export const Table = { identity: 1, state: 2, standing: 3, promise: 4, record: 5 } as const;
export type Table = (typeof Table)[keyof typeof Table];

/** Word for word as SQLite keeps it, so that a schema that has changed is seen. */
export const SCHEMA: readonly string[] = [
  columns("identity", "id", "cluster TEXT, cluster_id, wire TEXT, acceptors, acceptor, crc"),
  columns(
    "state",
    "id",
    "commits, ballot, life, trim, in_use, standings, standing_sum, promises, promise_sum, records, record_sum, crc",
  ),
  columns("standing", "acceptor", "generation, incarnation, crc"),
  columns("promise", "iid", "ballot, crc"),
  columns("record", "iid", "ballot, life, flags, value BLOB, crc"),
];

function columns(table: string, key: string, others: string): string {
  const all = others.split(", ").map((one) => `${one.includes(" ") ? one : `${one} INTEGER`} NOT NULL`);
  return `CREATE TABLE ${table} (${key} INTEGER PRIMARY KEY, ${all.join(", ")}) STRICT`;
}

/** The numbers of the one row of `state`, in the order of its columns. */
export const StateField = {
  commits: 0,
  ballot: 1,
  life: 2,
  trim: 3,
  inUse: 4,
  standings: 5,
  standingSum: 6,
  promises: 7,
  promiseSum: 8,
  records: 9,
  recordSum: 10,
} as const;
export const STATE_FIELDS = 11;

/** Table number and up to eleven numbers, eight bytes each, before the bytes of the row. */
const HEADER_WORDS = 2 * (1 + STATE_FIELDS);
const HEADER_BYTES = 4 * HEADER_WORDS;
/** The largest value the acceptor's store takes. */
export const MAX_VALUE_BYTES = 65536;

/**
 * Builds a row's checksum: CRC-32C over the table's number and the row's numbers, each as 64 bits, the lower half first,
 * filled up with zeros to twelve of them, and then the row's bytes. One buffer for all rows: nothing is allocated for
 * each, but a view of each length that occurs.
 */
export class RowSum {
  readonly #bytes = new Uint8Array(HEADER_BYTES + MAX_VALUE_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer, 0, HEADER_WORDS);
  readonly #views = new Array<Uint8Array | undefined>(MAX_VALUE_BYTES + 1).fill(undefined);
  #at = 0;
  #length = 0;

  begin(table: Table, owner = 0): this {
    this.#words.fill(0);
    this.#words[0] = table;
    this.#words[1] = owner;
    this.#at = 2;
    this.#length = 0;
    return this;
  }

  add(number: number): this {
    this.#words[this.#at] = number;
    this.#words[this.#at + 1] = Math.floor(number / 2 ** 32);
    this.#at += 2;
    return this;
  }

  addBytes(bytes: Uint8Array, offset: number, length: number): this {
    copyBytes(bytes, offset, this.#bytes, HEADER_BYTES, length);
    this.#length = length;
    return this;
  }

  sum(): number {
    return crc32c(this.#bytes, 0, HEADER_BYTES + this.#length);
  }

  /** The bytes that were added last, until others are. */
  view(): Uint8Array {
    const length = this.#length;
    let view = this.#views[length];
    if (view === undefined) {
      view = this.#bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
      this.#views[length] = view;
    }
    return view;
  }
}

export function identitySum(sum: RowSum, identity: Identity): number {
  const names = new TextEncoder().encode(`${identity.cluster}\0${identity.wire}`);
  return sum
    .begin(Table.identity)
    .add(identity.clusterId)
    .add(identity.acceptors)
    .add(identity.acceptor)
    .addBytes(names, 0, Math.min(names.length, MAX_VALUE_BYTES))
    .sum();
}

/** `owner`: the checksum of the identity, so that a log of another acceptor's does not pass for this one's. */
export function stateSum(sum: RowSum, state: Float64Array, owner: number): number {
  sum.begin(Table.state, owner);
  for (let field = 0; field < STATE_FIELDS; field++) sum.add(state[field]!);
  return sum.sum();
}

/** How an acceptor differs from the one whose database it is; undefined when it does not. */
export function difference(stored: Identity, wanted: Identity): string | undefined {
  const { cluster, wire, acceptor, acceptors } = stored;
  if (cluster !== wanted.cluster) return `it belongs to cluster "${cluster}", not "${wanted.cluster}"`;
  if (acceptor !== wanted.acceptor)
    return `it belongs to acceptor ${acceptor}, not acceptor ${wanted.acceptor}`;
  if (acceptors !== wanted.acceptors)
    return `it belongs to a cluster of ${acceptors} acceptors, not of ${wanted.acceptors}`;
  if (wire !== wanted.wire) return `it was written with wire ${wire}, not with wire ${wanted.wire}`;
  if (stored.clusterId !== wanted.clusterId)
    return `it belongs to the cluster of id ${hex(stored.clusterId)}, not ${hex(wanted.clusterId)}`;
  return undefined;
}

export function hex(number: number): string {
  return `0x${number.toString(16).padStart(8, "0")}`;
}
