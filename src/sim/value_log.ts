/**
 * What became of the clients' values, as all learners of a cluster saw it (native wire): each is delivered at one position,
 * once, in its client's order; every learner delivers the same values in the same order; what a client was told is
 * delivered is there, and was told once.
 */
import type { ClientSink } from "../protocol/client/client.ts";
import type { ValueSource } from "../protocol/client/value_source.ts";
import { crc32c } from "../protocol/crc32c.ts";
import type { ValueConsumer } from "../protocol/learner/session_filter.ts";
import { type Run, RunReader, type TakesRuns } from "./runs.ts";
import type { Delivery, SessionOracle } from "./session_oracle.ts";
import { Violation } from "./violation.ts";

/** Process, client, number of the value: what every value begins with. */
export const IDENTITY_BYTES = 12;

/** Values that tell whose they are. */
export class NumberedValues implements ValueSource {
  readonly #process: number;
  readonly #least: number;
  readonly #most: number;
  readonly #random: () => number;

  constructor(process: number, leastSize: number, mostSize: number, random: () => number) {
    this.#process = process;
    this.#least = Math.max(IDENTITY_BYTES, leastSize);
    this.#most = Math.max(this.#least, mostSize);
    this.#random = random;
  }

  sizeOf(): number {
    return this.#least + Math.floor(this.#random() * (this.#most - this.#least + 1));
  }

  copy(client: number, number: number, from: number, length: number, into: Uint8Array, at: number): void {
    for (let i = 0; i < length; i++) into[at + i] = this.#byteAt(client, number, from + i);
  }

  release(): void {}

  #byteAt(client: number, number: number, at: number): number {
    if (at >= IDENTITY_BYTES) return (number * 7 + at) & 0xff;
    const word = at < 4 ? this.#process : at < 8 ? client : number;
    return (word >>> (8 * (at & 3))) & 0xff;
  }
}

interface Delivered {
  readonly iid: number;
  readonly index: number;
  readonly session: number;
  readonly sequence: number;
  readonly sum: number;
}

/** An instance as far as anybody has delivered it. Some have only ever been inside a snapshot. */
interface Instance {
  readonly values: Delivered[];
  /** Of each value: its client, and the value's number. */
  readonly identities: (readonly [client: string, number: number])[];
  /** Somebody has delivered all of it. */
  isWhole: boolean;
}

interface Told {
  readonly delivered: Set<string>;
  readonly uncertain: Set<string>;
}

export class ValueLog {
  /** While false nothing is kept, and nothing compared. */
  keeps = true;
  /**
   * All learners may be away at once, or forget what they delivered: what a snapshot has one leave out may have been delivered
   * to nobody but a proposer.
   */
  mayMissTellers = false;
  /** Which runs of values learners take at once. */
  takesRuns: TakesRuns = () => false;
  /** How many they took so. */
  runs = 0;
  /** Values that learners handed on, each compared with what is due. */
  compared = 0;
  readonly #oracle: SessionOracle | undefined;
  readonly #instances = new Map<number, Instance>();
  #highestIid = 0;
  #count = 0;
  /** By identity. */
  readonly #positions = new Map<string, string>();
  /** Of each client: the number of its last value in the log. */
  readonly #last = new Map<string, number>();
  readonly #told: Told[] = [];
  /** Instances that some learner left out because it did not know the sessions. */
  readonly #passedOver = new Set<number>();

  /** `oracle`: a second opinion on what has to be delivered. */
  constructor(oracle?: SessionOracle) {
    this.#oracle = oracle;
  }

  get count(): number {
    return this.#count;
  }

  /** The values of instance `iid` by the rules of sessions; undefined: nobody was asked. */
  expected(iid: number): readonly Delivery[] | undefined {
    return this.#oracle?.expected(iid);
  }

  /** A learner says that it leaves out first…last. */
  passedOver(first: number, last: number): void {
    for (let iid = first; iid <= last; iid++) this.#passedOver.add(iid);
  }

  /** What a learner of this name hands its values to. */
  consumer(name: string): Checker {
    return new Checker(this, name);
  }

  /** What a client process of this number is told. */
  sink(process: number): ClientSink {
    const told: Told = { delivered: new Set(), uncertain: new Set() };
    const last: number[] = [];
    this.#told.push(told);
    const once = (client: number, number: number): string => {
      if (number <= (last[client] ?? -1))
        throw new Violation(
          "integrity",
          `client ${process}/${client} is told of ${number} after ${last[client]}`,
        );
      last[client] = number;
      return `${process}/${client}/${number}`;
    };
    return {
      delivered: (_latencyUs, _bytes, client, first, count) => {
        for (let number = first; number < first + count; number++) {
          const key = once(client, number);
          if (this.keeps) told.delivered.add(key);
        }
      },
      uncertain: (client, number) => told.uncertain.add(once(client, number)),
    };
  }

  /** What was told delivered, and no learner has delivered yet; undefined: all of it is there. */
  missing(): string | undefined {
    for (const { delivered } of this.#told) {
      for (const key of delivered) if (!this.#positions.has(key)) return key;
    }
    return undefined;
  }

  /** When all is over: what clients were told is there, and each client's values are in its order. */
  checkWhole(): void {
    this.#addPassedOver();
    const missing = this.missing();
    if (missing !== undefined) throw new Violation("integrity", `value ${missing} is told, and nowhere`);
    this.#last.clear();
    for (const iid of [...this.#instances.keys()].sort((a, b) => a - b)) {
      for (const [client, number] of this.instance(iid)!.identities) this.#inOrder(client, number, `${iid}`);
    }
  }

  /** What nobody was left to deliver was delivered once, by whoever told its client: it counts as it is in the log. */
  #addPassedOver(): void {
    const oracle = this.#oracle;
    for (const iid of this.#passedOver) {
      const { values, isWhole } = this.begun(iid);
      const due = isWhole ? [] : (oracle?.expected(iid) ?? []);
      for (let i = values.length; i < due.length; i++) {
        const { index, session, sequence, checksum: sum } = due[i]!;
        this.add("the log", { iid, index, session, sequence, sum }, identityOf(oracle!.values(iid)[i]!, 0));
      }
    }
  }

  /** Values of which their client was told that it will never know. */
  get uncertain(): number {
    return this.#told.reduce((sum, { uncertain }) => sum + uncertain.size, 0);
  }

  /** Undefined: nobody has delivered anything of it. */
  instance(iid: number): Instance | undefined {
    return this.#instances.get(iid);
  }

  /** The first learner to deliver it says what it is. */
  add(name: string, delivered: Delivered, identity: readonly number[]): void {
    const [process, client, number] = identity as [number, number, number];
    const position = `${delivered.iid}.${delivered.index}`;
    const key = `${process}/${client}/${number}`;
    const before = this.#positions.get(key);
    if (before !== undefined)
      throw new Violation("integrity", `${name} delivers ${key} at ${position}, and it was at ${before}`);
    // What others had in a snapshot comes later: it is put in order in the end.
    if (delivered.iid >= this.#highestIid) this.#inOrder(`${process}/${client}`, number, position);
    this.#highestIid = Math.max(this.#highestIid, delivered.iid);
    this.#positions.set(key, position);
    this.#count++;
    const instance = this.begun(delivered.iid);
    instance.values.push(delivered);
    instance.identities.push([`${process}/${client}`, number]);
  }

  /** Somebody delivers the instance, whatever there is in it. */
  begun(iid: number): Instance {
    const known = this.#instances.get(iid);
    if (known !== undefined) return known;
    const made: Instance = { values: [], identities: [], isWhole: false };
    this.#instances.set(iid, made);
    return made;
  }

  #inOrder(client: string, number: number, position: string): void {
    const last = this.#last.get(client) ?? -1;
    if (number <= last)
      throw new Violation("order", `${client}/${number} is delivered at ${position}, behind ${last}`);
    this.#last.set(client, number);
  }
}

/** Compares what one learner delivers. */
export class Checker implements ValueConsumer {
  readonly #log: ValueLog;
  readonly #name: string;
  readonly #runs: RunReader;
  /** Values of the instance under way that were delivered. */
  #taken = 0;
  /** The last instance that was delivered as a whole. */
  #last = 0;

  constructor(log: ValueLog, name: string) {
    this.#log = log;
    this.#name = name;
    this.#runs = new RunReader(name, this);
  }

  takeRun(...run: Run): boolean {
    if (!this.#log.takesRuns()) return false;
    this.#log.runs++;
    this.#runs.take(...run);
    return true;
  }

  take(
    iid: number,
    index: number,
    _isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const log = this.#log;
    if (!log.keeps) return true;
    log.compared++;
    const now = { iid, index, session, sequence, sum: crc32c(bytes, offset, length) };
    const expected = log.expected(iid);
    if (expected !== undefined) this.#compare(now, expected[this.#taken]);
    const instance = log.instance(iid);
    const known = instance?.values[this.#taken];
    if (known !== undefined) {
      if (!isSame(known, now))
        throw new Violation("order", `${this.#name} delivers ${show(now)}, others ${show(known)}`);
    } else if (instance?.isWhole === true)
      throw new Violation("order", `${this.#name} delivers ${show(now)}, others nothing there`);
    else log.add(this.#name, now, identityOf(bytes, offset));
    this.#taken++;
    return true;
  }

  finished(iid: number): void {
    const log = this.#log;
    if (!log.keeps) return;
    const due = log.expected(iid)?.[this.#taken];
    if (due !== undefined)
      throw new Violation("integrity", `${this.#name} leaves out ${due.session}/${due.sequence} of ${iid}`);
    const first = this.#last > 0 ? this.#last + 1 : iid;
    for (let one = first; one <= iid; one++) {
      const known = log.instance(one)?.values[one === iid ? this.#taken : 0];
      if (known !== undefined) throw new Violation("order", `${this.#name} leaves out ${show(known)}`);
    }
    log.begun(iid).isWhole = true;
    this.#taken = 0;
    this.#last = iid;
  }

  #compare(now: Delivered, due: Delivery | undefined): void {
    const { index, session, sequence, sum } = now;
    const isDue =
      due?.index === index && due.session === session && due.sequence === sequence && due.checksum === sum;
    if (isDue) return;
    const wanted =
      due === undefined ? "nothing" : `${due.session}/${due.sequence} at ${now.iid}.${due.index}`;
    throw new Violation("integrity", `${this.#name} delivers ${show(now)}, where ${wanted} is due`);
  }

  skipped(first: number, last: number): void {
    this.#log.passedOver(first, last);
    this.#last = last;
    this.#taken = 0;
  }

  /** It goes on behind instance `iid`. */
  began(iid: number): void {
    if (this.#log.mayMissTellers) this.#log.passedOver(this.#last + 1, iid);
    this.#last = iid;
    this.#taken = 0;
  }

  acknowledged(): number {
    return this.#last;
  }
}

function identityOf(bytes: Uint8Array, offset: number): number[] {
  const word = (at: number): number =>
    bytes[offset + at]! |
    (bytes[offset + at + 1]! << 8) |
    (bytes[offset + at + 2]! << 16) |
    (bytes[offset + at + 3]! << 24);
  return [word(0), word(4), word(8)];
}

function isSame(a: Delivered, b: Delivered): boolean {
  return (
    a.iid === b.iid &&
    a.index === b.index &&
    a.session === b.session &&
    a.sequence === b.sequence &&
    a.sum === b.sum
  );
}

function show({ iid, index, session, sequence }: Delivered): string {
  return `${session}/${sequence} at ${iid}.${index}`;
}
