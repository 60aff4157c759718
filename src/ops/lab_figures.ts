/**
 * What the programs of a cluster print, read back: a client's figures, a learner's deliveries.
 */
import { CliError } from "../error.ts";

export interface Latency {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** The last line of `kpaxos run client --json`. */
export interface ClientFigures {
  readonly values: number;
  readonly seconds: number;
  readonly valuesPerSecond: number;
  readonly latencyUs: Latency;
  readonly resent: number;
  readonly duplicates: number;
}

function isFigures(value: unknown): value is ClientFigures {
  if (typeof value !== "object" || value === null) return false;
  const numbers = ["values", "seconds", "valuesPerSecond", "resent", "duplicates"] as const;
  const record = value as Readonly<Record<string, unknown>>;
  return numbers.every((key) => typeof record[key] === "number") && typeof record.latencyUs === "object";
}

/** The figures a client printed last; throws when it printed none. */
export function lastFigures(lines: readonly string[]): ClientFigures {
  const last = lines.findLast((line) => line.trim() !== "");
  if (last === undefined) throw new CliError("the client printed no figures");
  let value: unknown;
  try {
    value = JSON.parse(last);
  } catch (cause) {
    throw new CliError(`the client's last line is not JSON: ${last}`, { cause });
  }
  if (!isFigures(value)) throw new CliError(`the client's last line has no figures: ${last}`);
  return value;
}

/** What an acceptor that had forgotten everything took up from the others. */
export interface Recovered {
  readonly records: number;
  /** The highest instance it took up. */
  readonly upTo: number;
}

/** What an acceptor says in its log about its recovery; undefined: it does not vote again yet. */
export function recoveredIn(log: string): Recovered | undefined {
  const match = /\bvotes: has recovered [^\n]*: (\d+) records, up to instance (\d+),/.exec(log);
  return match === null ? undefined : { records: Number(match[1]), upTo: Number(match[2]) };
}

/** The last instance an acceptor named in its log. */
export function lastInstance(log: string): number | undefined {
  const number = [...log.matchAll(/\blast instance (\d+)/g)].at(-1)?.[1];
  return number === undefined ? undefined : Number(number);
}

const NEWLINE = 0x0a;

/** Counts and hashes lines without keeping them. */
export class LineDigest {
  lines = 0;
  #hasher = new Bun.CryptoHasher("sha256");

  readonly feed = (chunk: Uint8Array): void => {
    this.#hasher.update(chunk);
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) this.lines++;
  };

  /** Of everything so far. */
  digest(): string {
    return this.#hasher.copy().digest("hex");
  }
}
