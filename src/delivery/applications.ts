/**
 * What takes a learner's values: the applications on this host (through the delivery log) and standard output. In the native
 * wire a session filter stands before it, which decides what is a value; in the Kernel_Paxos wire every instance is one.
 */
import type { Application } from "../protocol/learner/learner.ts";
import type { ValueConsumer } from "../protocol/learner/session_filter.ts";
import { MAX_IID } from "../protocol/types.ts";
import type { LocalDelivery } from "./readers.ts";

/** Told of values that this learner can never deliver, and how many of its applications wait for values now. */
export type OnSkipped = (first: number, last: number, applications: number) => void;

/** Where single values go, one after the other; false: not now. */
export interface ValueSink {
  take(
    iid: number,
    index: number,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean;
}

/**
 * The applications of a learner's host. The delivery log takes everything at once; sinks may say "not now", and then the value
 * is offered again, to those that have not taken it.
 */
export class HostConsumer implements ValueConsumer {
  /** Values delivered. */
  values = 0;
  readonly #local: LocalDelivery | undefined;
  readonly #sinks: readonly ValueSink[];
  readonly #onSkipped: OnSkipped;
  /** Sinks that took the value that is offered. */
  #sinksTaken = 0;

  constructor(local: LocalDelivery | undefined, sinks: readonly ValueSink[], onSkipped: OnSkipped) {
    this.#local = local;
    this.#sinks = sinks;
    this.#onSkipped = onSkipped;
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
    while (this.#sinksTaken < this.#sinks.length) {
      const sink = this.#sinks[this.#sinksTaken]!;
      if (!sink.take(iid, index, session, sequence, bytes, offset, length)) return false;
      this.#sinksTaken++;
    }
    this.#local?.log.append(iid, index, isLast, session, sequence, bytes, offset, length);
    this.#sinksTaken = 0;
    this.values++;
    return true;
  }

  takeRun(
    iid: number,
    index: number,
    count: number,
    isLast: boolean,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    if (this.#sinks.length > 0) return false;
    const log = this.#local?.log;
    const isTaken =
      log?.appendRun(iid, index, count, isLast, session, sequence, bytes, offset, length) ?? true;
    if (isTaken) this.values += count;
    return isTaken;
  }

  finished(iid: number): void {
    this.#local?.log.openInstance(iid);
    this.#local?.log.closeInstance(iid);
  }

  skipped(first: number, last: number): void {
    this.#local?.log.gap(first, last);
    this.#onSkipped(first, last, this.#sinks.length + (this.#local?.readers ?? 0));
  }

  acknowledged(): number {
    return this.#local?.acknowledged() ?? MAX_IID;
  }
}

/** In the Kernel_Paxos wire an instance is one bare value, and there are no sessions. */
export class BareApplication implements Application {
  readonly #consumer: ValueConsumer;

  constructor(consumer: ValueConsumer) {
    this.#consumer = consumer;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    if (!this.#consumer.take(iid, 0, true, 0, 0, bytes, offset, length)) return false;
    this.#consumer.finished(iid);
    return true;
  }

  skipped(first: number, last: number): void {
    this.#consumer.skipped(first, last);
  }

  acknowledged(): number {
    return this.#consumer.acknowledged();
  }
}
