/**
 * What a learner of this host delivers, as an async iterator over its socket: what TypeScript programs import as `kpaxos/delivery`;
 * docs/delivery.md says what holds. It joins the learner again when that was gone, and never holds it up.
 *
 * Invariants: positions only grow; whatever the program has not had between two of them it is told as missed; what waits here for
 * the program is bounded.
 */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { oneGroup } from "../config/groups.ts";
import { CliError } from "../error.ts";
import { checkId } from "../node/identity.ts";
import { CLIENT_RECORD_BYTES, ClientRecord, readClientRecord } from "../wire/client_record.ts";
import { deviceDirectories, findDeviceDirectory } from "./device_directory.ts";
import { deviceName } from "./device_layout.ts";
import { LAST_INDEX, type Position, type StartAt } from "./log_record.ts";
import { after } from "./position.ts";
import { SocketReader } from "./socket_reader.ts";
import { socketPath } from "./socket_server.ts";

export type { Position, StartAt } from "./log_record.ts";

/** So much waits here for the program; what follows the learner keeps, as long as its log reaches. */
const WAITING_BYTES = 1 << 20;
const WAITING_RECORDS = 4096;
/** No timer runs for longer, and one that shall is due at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface DeliveredValue {
  readonly what: "value";
  readonly position: Position;
  /** Where to begin, to get what follows this. */
  readonly next: Position;
  /** No other value follows in its instance, which can be acknowledged with it. */
  readonly isLast: boolean;
  /** Which client sent it, and its how-manieth it is there. In the Kernel_Paxos wire: the client's id (0: not known), and 0. */
  readonly session: number;
  readonly sequence: number;
  /** The program's own. */
  readonly value: Uint8Array;
}

/** All positions from `first` to `last` cannot be had any more; an index of 2³¹ − 1 is the end of its instance. */
export interface MissedValues {
  readonly what: "missed";
  readonly first: Position;
  readonly last: Position;
  readonly next: Position;
}

export type Delivery = DeliveredValue | MissedValues;

export interface DeliveriesOptions {
  /** As `readConfig` returns it; or, instead of it, `socket`. */
  readonly config?: Config;
  /** The learner (or replica) of this host whose deliveries are wanted; 0 unless given. */
  readonly learner?: number;
  /** Which group's, where the configuration has several and the learner does not merge them. */
  readonly group?: number;
  /** Path of the learner's socket. */
  readonly socket?: string;
  /** `present` unless given. */
  readonly from?: StartAt;
  /** The log is trimmed no further than this program has acknowledged. */
  readonly acknowledges?: boolean;
  /** How long the learner may be gone, or not there yet, before the iterator throws; for ever unless given, or above 2³¹ − 1. */
  readonly patienceMs?: number;
  /** Kernel_Paxos wire: values are the clients' whole records. */
  readonly raw?: boolean;
  /** There is no learner now, and why. Once for each loss. */
  readonly onGone?: (reason: string) => void;
  /** There is a learner, for the first time or again. */
  readonly onJoined?: () => void;
}

/** Where the learner's socket is, or would be. */
export function learnerSocket(all: Config, learner: number, group?: number): string {
  // A learner that merges groups has one device for all.
  const config = all.settings.merge && group === undefined ? all : oneGroup(all, group);
  const { deviceDirectory, cluster } = config.settings;
  const candidates = deviceDirectories(deviceDirectory, config.origins.deviceDirectory.from !== "default");
  const directory = findDeviceDirectory(candidates, cluster, learner);
  return socketPath(join(directory, deviceName(cluster, learner)));
}

/** One program's place in the log. Iterate over it once; leaving the loop closes it. */
export class Deliveries implements AsyncIterableIterator<Delivery, undefined> {
  readonly #reader: SocketReader;
  readonly #options: DeliveriesOptions;
  readonly #unwraps: boolean;
  readonly #record = new ClientRecord();
  readonly #waiters: PromiseWithResolvers<IteratorResult<Delivery, undefined>>[] = [];
  /** From `#at` on: what waits for the program. */
  #waiting: Delivery[] = [];
  #at = 0;
  #bytes = 0;
  #isPaused = false;
  #isClosed = false;
  #error: Error | undefined;
  /** Why there is no learner; empty: there is one. */
  #reason = "";
  /** Of its patience. Never while paused: then nothing is read, a learner's welcome neither. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Begins at once, and waits for the learner where there is none. */
  constructor(options: DeliveriesOptions) {
    const { config, socket, learner = 0, group, from = "present", acknowledges = false, raw } = options;
    const { patienceMs = Number.POSITIVE_INFINITY } = options;
    this.#options = options;
    if ((config === undefined) === (socket === undefined))
      throw new TypeError("deliveries come from a config or from a socket: give one of them");
    checkId("learner", learner, "the id of a learner");
    if (!(patienceMs > 0)) throw new RangeError(`patienceMs ${patienceMs}: a number of milliseconds above 0`);
    this.#unwraps = config?.settings.wire === "kernel-paxos" && raw !== true;
    this.#reader = new SocketReader(
      config === undefined ? socket! : () => learnerSocket(config, learner, group),
      {
        onWelcome: () => {
          this.#reason = "";
          this.#stopTimer();
          this.#tell(() => options.onJoined?.());
        },
        onGone: (reason) => {
          this.#expect(reason);
          this.#tell(() => options.onGone?.(reason));
        },
        onValue: (iid, index, isLast, session, sequence, bytes, offset, length) =>
          this.#give(this.#valueOf(iid, index, isLast, session, sequence, bytes, offset, length), length),
        onMissed: (firstIid, firstIndex, lastIid, lastIndex) => {
          const first = { iid: firstIid, index: firstIndex };
          const last = { iid: lastIid, index: lastIndex };
          this.#give({ what: "missed", first, last, next: after(lastIid, lastIndex) }, 0);
        },
      },
      { from, acknowledges },
    );
    this.#expect("nobody is there");
    this.#reader.start();
  }

  /** The learner's socket, or where it is looked for. */
  get path(): string {
    return this.#reader.path;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next one, as soon as there is one. Rejects with a `CliError` when the learner was gone for too long. */
  next(): Promise<IteratorResult<Delivery, undefined>> {
    if (this.#at < this.#waiting.length) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#isClosed) return Promise.resolve({ done: true, value: undefined });
    if (this.#error !== undefined) return Promise.reject(this.#error);
    const waiter = Promise.withResolvers<IteratorResult<Delivery, undefined>>();
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  return(): Promise<IteratorResult<Delivery, undefined>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Instance `iid` and all before are done with: the log may be trimmed so far. */
  acknowledge(iid: number): void {
    if (this.#options.acknowledges !== true)
      throw new TypeError("who acknowledges says so at the start: acknowledges: true");
    this.#reader.acknowledge(iid);
  }

  /** Asks for a trim of the log up to `iid`. */
  requestTrim(iid: number): void {
    this.#reader.requestTrim(iid);
  }

  /** Ends it: nothing comes any more, not even what had come already. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#stopTimer();
    this.#reader.close();
    this.#waiting = [];
    this.#at = this.#bytes = 0;
    for (const waiter of this.#waiters.splice(0)) waiter.resolve({ done: true, value: undefined });
  }

  #valueOf(
    iid: number,
    index: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): DeliveredValue {
    const isRecord = this.#unwraps && readClientRecord(bytes, offset, length, this.#record);
    const from = isRecord ? offset + CLIENT_RECORD_BYTES : offset;
    return {
      what: "value",
      position: { iid, index },
      next: after(iid, isLast ? LAST_INDEX : index),
      isLast,
      session: isRecord ? this.#record.clientId : session,
      sequence,
      value: bytes.slice(from, offset + length),
    };
  }

  #give(delivery: Delivery, length: number): void {
    if (this.#isClosed) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: delivery });
      return;
    }
    this.#waiting.push(delivery);
    this.#bytes += length;
    // Those that were taken count, until all are: they are kept so long.
    const isFull = this.#bytes >= WAITING_BYTES || this.#waiting.length >= WAITING_RECORDS;
    if (this.#isPaused || !isFull) return;
    this.#isPaused = true;
    this.#stopTimer();
    this.#reader.pause();
  }

  #take(): Delivery {
    const delivery = this.#waiting[this.#at++]!;
    if (this.#at < this.#waiting.length) return delivery;
    this.#waiting = [];
    this.#at = this.#bytes = 0;
    if (!this.#isPaused) return delivery;
    this.#isPaused = false;
    this.#reader.resume();
    if (this.#reason !== "") this.#expect(this.#reason);
    return delivery;
  }

  /** From now on the learner is waited for. */
  #expect(reason: string): void {
    const { patienceMs } = this.#options;
    this.#reason = reason;
    if (
      patienceMs === undefined ||
      patienceMs > LONGEST_TIMER_MS ||
      this.#timer !== undefined ||
      this.#isPaused
    )
      return;
    this.#timer = setTimeout(() => this.#giveUp(patienceMs), patienceMs);
  }

  /** What the program's function throws is nothing that the socket's reader could handle: it is the process's uncaught exception. */
  #tell(callback: () => void): void {
    queueMicrotask(() => {
      if (!this.#isClosed) callback();
    });
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** What had come already is given before that is told. */
  #giveUp(patienceMs: number): void {
    const error = new CliError(`${this.path}: ${this.#reason}, for ${patienceMs} ms`, {
      hint: "run the learner on this host, as the same user: kpaxos run learner",
    });
    this.#error = error;
    this.#reader.close();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}
