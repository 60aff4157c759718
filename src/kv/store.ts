/**
 * A key-value store as a replicated state machine: the worked example of the library interface. Pure: what it holds follows
 * from the commands alone.
 *
 * Invariants: a key's version counts the puts since it came into being, from 1; the store never holds more than
 * `LIMIT_BYTES`; a snapshot lists the keys in the order of their code units, so that equal stores have equal snapshots.
 */
import type { StateMachine } from "../api/state_machine.ts";
import { type Command, type Condition, decodeCommand, encodeResult, Operation, Status } from "./command.ts";

/** The same at every replica, or they would part ways when it is reached. */
const LIMIT_BYTES = 256 << 20;
/** What a key costs besides its own bytes and its value's. */
const KEY_OVERHEAD_BYTES = 64;
const MAGIC = 0x31564b4b;
const MALFORMED = encodeResult({ status: Status.malformed, version: 0 });

export interface Entry {
  readonly value: Uint8Array;
  readonly version: number;
}

export interface ListOptions {
  readonly prefix?: string;
  /** Only keys behind this one. */
  readonly after?: string;
  readonly limit?: number;
}

export class KvStore implements StateMachine {
  readonly name = "kv";
  /** Bytes held, by the count that `LIMIT_BYTES` is about. */
  bytes = 0;
  #entries = new Map<string, Entry>();
  /** The keys in order; undefined after a key came or went. */
  #sorted: string[] | undefined;

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Keys and entries in the order of the keys. */
  list({ prefix = "", after, limit = Number.POSITIVE_INFINITY }: ListOptions = {}): [string, Entry][] {
    const keys = this.#keys();
    const found: [string, Entry][] = [];
    const from = after !== undefined && after >= prefix ? after : prefix;
    for (let i = lowerBound(keys, from); i < keys.length && found.length < limit; i++) {
      const key = keys[i]!;
      if (!key.startsWith(prefix)) break;
      if (key !== after) found.push([key, this.#entries.get(key)!]);
    }
    return found;
  }

  apply(bytes: Uint8Array): Uint8Array {
    const command = decodeCommand(bytes);
    if (command === undefined) return MALFORMED;
    const status = this.#execute(command);
    return encodeResult({ status, version: this.#entries.get(command.key)?.version ?? 0 });
  }

  #execute({ operation, key, condition, value }: Command): Status {
    if (operation === Operation.nothing) return Status.done;
    const entry = this.#entries.get(key);
    if (!holds(condition, entry)) return Status.differs;
    if (operation === Operation.delete) {
      if (entry === undefined) return Status.missing;
      this.#entries.delete(key);
      this.#sorted = undefined;
      this.bytes -= cost(key, entry.value);
      return Status.done;
    }
    const bytes = this.bytes + cost(key, value) - (entry === undefined ? 0 : cost(key, entry.value));
    if (bytes > LIMIT_BYTES) return Status.full;
    this.bytes = bytes;
    if (entry === undefined) this.#sorted = undefined;
    this.#entries.set(key, { value, version: (entry?.version ?? 0) + 1 });
    return Status.done;
  }

  /** Magic, number of keys; then of each key: lengths of key and value (4 bytes each), version (8), key, value. */
  snapshot(): Uint8Array {
    const encoder = new TextEncoder();
    const keys = this.#keys().map((key) => encoder.encode(key));
    const entries = this.#keys().map((key) => this.#entries.get(key)!);
    const size = keys.reduce((sum, key, i) => sum + 16 + key.length + entries[i]!.value.length, 8);
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, keys.length, true);
    let at = 8;
    keys.forEach((key, i) => {
      const { value, version } = entries[i]!;
      view.setUint32(at, key.length, true);
      view.setUint32(at + 4, value.length, true);
      view.setFloat64(at + 8, version, true);
      bytes.set(key, at + 16);
      bytes.set(value, at + 16 + key.length);
      at += 16 + key.length + value.length;
    });
    return bytes;
  }

  restore(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 8 || view.getUint32(0, true) !== MAGIC) throw new Error("no snapshot of this store");
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const entries = new Map<string, Entry>();
    let total = 0;
    let at = 8;
    for (let left = view.getUint32(4, true); left > 0; left--) {
      if (at + 16 > bytes.length) throw new Error("the snapshot ends early");
      const keyEnd = at + 16 + view.getUint32(at, true);
      const end = keyEnd + view.getUint32(at + 4, true);
      if (end > bytes.length) throw new Error("the snapshot ends early");
      const key = decoder.decode(bytes.subarray(at + 16, keyEnd));
      const value = bytes.slice(keyEnd, end);
      entries.set(key, { value, version: view.getFloat64(at + 8, true) });
      total += cost(key, value);
      at = end;
    }
    this.#entries = entries;
    this.#sorted = undefined;
    this.bytes = total;
  }

  #keys(): string[] {
    this.#sorted ??= [...this.#entries.keys()].sort();
    return this.#sorted;
  }
}

function holds(condition: Condition, entry: Entry | undefined): boolean {
  switch (condition.kind) {
    case "none":
      return true;
    case "absent":
      return entry === undefined;
    case "present":
      return entry !== undefined;
    case "version":
      return (entry?.version ?? 0) === condition.version;
    case "value":
      return entry !== undefined && Buffer.compare(entry.value, condition.value) === 0;
  }
}

function cost(key: string, value: Uint8Array): number {
  return KEY_OVERHEAD_BYTES + 2 * key.length + value.length;
}

/** Index of the first key that is not below `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
