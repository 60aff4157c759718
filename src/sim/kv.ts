/**
 * The key-value store in a simulation: replicas as a program has them, somebody at each who calls them, and the history of all
 * calls, which has to be linearizable.
 */
import { buildReplica, type ReplicaParts } from "../api/build_replica.ts";
import { ENVELOPE_LIMIT } from "../api/envelope.ts";
import { MachineHost } from "../api/machine_host.ts";
import { type Command, decodeResult, encodeCommand, put, remove, Status } from "../kv/command.ts";
import { KvStore } from "../kv/store.ts";
import type { CoreContext } from "../node/context.ts";
import type { ValueConsumer } from "../protocol/learner/session_filter.ts";
import type { Parts } from "./cluster.ts";
import type { Call, KvHistory } from "./kv_history.ts";
import type { RegisterInput, RegisterOutput } from "./linearizability.ts";
import { type Consumer, WatchedState } from "./parts.ts";
import type { Random } from "./random.ts";
import { type Checker, IDENTITY_BYTES } from "./value_log.ts";

/** Longer than leaders take to change, shorter than a run. */
const TIMEOUT_MS = 1_000;
/** Calls of one replica that are under way. */
export const MOST_CALLS_UNDER_WAY = 6;
const NAMES = ["a", "b", "c"] as const;
const NOTHING = new Uint8Array(0);

type ReadWay = "confirmed" | "log" | "local";

export interface KvCallerPlan {
  readonly name: string;
  /** Tells its values from those of other processes. */
  readonly process: number;
  /** It is acceptor and proposer too. */
  readonly votes: boolean;
  readonly random: Random;
  readonly nowUs: () => number;
  readonly history: KvHistory;
  /** A planted bug: how reads are made instead. */
  readonly reads?: ReadWay | undefined;
}

/** Who calls one replica, for as long as its process lives. */
export class KvCaller {
  readonly store = new KvStore();
  readonly host: MachineHost;
  readonly #plan: KvCallerPlan;
  readonly #under = new Set<Call>();
  #parts!: ReplicaParts;
  #values = 0;
  #submitted = 0;

  constructor(plan: KvCallerPlan) {
    this.#plan = plan;
    this.host = new MachineHost({
      machine: this.store,
      tag: Math.floor(plan.random.next() * ENVELOPE_LIMIT),
      timeoutMs: TIMEOUT_MS,
      nowMs: () => plan.nowUs() / 1000,
    });
  }

  build(context: CoreContext, { application, values, place, planted }: Consumer): Parts {
    const { host } = this;
    this.#parts = buildReplica(context, {
      host,
      machine: this.store,
      votes: this.#plan.votes,
      timeoutMs: TIMEOUT_MS,
      consumer: new Behind(values, host),
      state: (filter) => {
        planted?.(filter);
        return new WatchedState(application, filter, values);
      },
      place,
    });
    const { cores, extras } = this.#parts;
    return { cores, extras };
  }

  /** Calls something, drawn. */
  call(): void {
    if (this.#under.size >= MOST_CALLS_UNDER_WAY) return;
    const { random, process, history } = this.#plan;
    const key = history.key(random.pick(NAMES));
    const value = `${process}.${this.#values++}`;
    const drawn = random.next();
    if (drawn < 0.5) {
      this.#read(key, this.#plan.reads ?? (drawn < 0.35 ? "confirmed" : "log"));
    } else if (drawn < 0.75) this.#write({ kind: "put", key, value }, put(key, bytesOf(value)));
    else if (drawn < 0.82) this.#write({ kind: "delete", key }, remove(key));
    else {
      const expected = this.#valueOf(key);
      const condition =
        expected === null
          ? ({ kind: "absent" } as const)
          : ({ kind: "value", value: bytesOf(expected) } as const);
      this.#write({ kind: "swap", key, expected, value }, put(key, bytesOf(value), condition));
    }
  }

  /** Its process is gone, and with it who waited for answers: what was to be written may yet be. */
  gone(): void {
    for (const call of this.#under) this.#fail(call);
  }

  /** When everything is delivered: what it holds goes into the history, as if it were read. */
  tellAll(): void {
    const { name, history, nowUs } = this.#plan;
    for (const key of history.keys()) history.finds(name, key, this.#valueOf(key), nowUs());
  }

  #read(key: string, way: ReadWay): void {
    const call = this.#begin({ kind: "get", key });
    const answer = {
      resolve: () => this.#end(call, this.#valueOf(key)),
      reject: () => this.#fail(call),
    };
    if (way === "local") answer.resolve();
    else if (way === "log") this.#submit(NOTHING, answer);
    else {
      this.#parts.reads.begin(answer);
      this.#parts.wake();
    }
  }

  #write(input: RegisterInput, command: Command): void {
    const call = this.#begin(input);
    this.#submit(encodeCommand(command), {
      resolve: (bytes) => {
        const { status } = decodeResult(bytes);
        this.#end(call, status === Status.done);
      },
      reject: () => this.#fail(call),
    });
  }

  /** Behind what tells it from other values to the log's checker. */
  #submit(command: Uint8Array, answer: Parameters<MachineHost["begin"]>[2]): void {
    const number = this.#submitted++;
    this.host.begin(
      command,
      (sealed) => {
        const value = new Uint8Array(IDENTITY_BYTES + sealed.length);
        const words = new DataView(value.buffer);
        words.setUint32(0, this.#plan.process, true);
        words.setUint32(8, number, true);
        value.set(sealed, IDENTITY_BYTES);
        this.#parts.submit(value);
      },
      answer,
    );
  }

  #valueOf(key: string): string | null {
    const entry = this.store.get(key);
    return entry === undefined ? null : new TextDecoder().decode(entry.value);
  }

  #begin(input: RegisterInput): Call {
    const { name, nowUs, history } = this.#plan;
    const call = history.begins(name, input, nowUs());
    this.#under.add(call);
    return call;
  }

  #end(call: Call, output: RegisterOutput): void {
    const { nowUs, history } = this.#plan;
    if (this.#under.delete(call)) history.ends(call, output, nowUs());
  }

  #fail(call: Call): void {
    if (this.#under.delete(call)) this.#plan.history.loses(call);
  }
}

/** The machine, behind the log's checker. */
class Behind implements ValueConsumer {
  readonly #checker: Checker;
  readonly #host: MachineHost;

  constructor(checker: Checker, host: MachineHost) {
    this.#checker = checker;
    this.#host = host;
  }

  take(
    iid: number,
    index: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    this.#checker.take(iid, index, isLast, session, sequence, bytes, offset, length);
    const [from, size] = [offset + IDENTITY_BYTES, length - IDENTITY_BYTES];
    return this.#host.take(iid, index, isLast, session, sequence, bytes, from, size);
  }

  finished(iid: number): void {
    this.#checker.finished(iid);
    this.#host.finished(iid);
  }

  skipped(first: number, last: number): void {
    this.#host.skipped(first, last);
  }

  acknowledged(): number {
    return this.#host.acknowledged();
  }
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
