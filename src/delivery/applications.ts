/**
 * What takes a learner's values: nobody, a client of the same process, or the applications on this host (through the
 * delivery log) and standard output.
 */
import { BatchReader } from "../protocol/batch.ts";
import type { Client } from "../protocol/client.ts";
import type { Application } from "../protocol/learner.ts";
import { MAX_IID } from "../protocol/types.ts";
import type { LocalDelivery } from "./readers.ts";

/** Told of values that this learner can never deliver. */
export type OnSkipped = (first: number, last: number) => void;

/** A client with its learner inside (the manual's KClient). */
export class ClientApplication implements Application {
  readonly #onSkipped: OnSkipped;
  #client: Client | undefined;

  constructor(onSkipped: OnSkipped) {
    this.#onSkipped = onSkipped;
  }

  attach(client: Client): void {
    this.#client = client;
  }

  deliver(_iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    this.#client?.onDelivered(bytes, offset, length);
    return true;
  }

  skipped(first: number, last: number): void {
    this.#onSkipped(first, last);
  }

  acknowledged(): number {
    return MAX_IID;
  }
}

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
 * A learner for the applications of its host. The delivery log takes everything at once; sinks may say "not now", and then
 * the values of one instance are taken in several attempts.
 */
export class HostApplication implements Application {
  /** Values delivered. */
  values = 0;
  readonly #batches: boolean;
  readonly #local: LocalDelivery | undefined;
  readonly #sinks: readonly ValueSink[];
  readonly #onSkipped: OnSkipped;
  readonly #reader = new BatchReader();
  /** Values of the present instance that were taken already, and sinks that took the next one. */
  #taken = 0;
  #sinksTaken = 0;

  /** `batches`: an instance holds entries (native wire), not one bare value. */
  constructor(
    batches: boolean,
    local: LocalDelivery | undefined,
    sinks: readonly ValueSink[],
    onSkipped: OnSkipped,
  ) {
    this.#batches = batches;
    this.#local = local;
    this.#sinks = sinks;
    this.#onSkipped = onSkipped;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    this.#local?.log.openInstance(iid);
    if (this.#batches) {
      const reader = this.#reader;
      reader.open(bytes, offset, length);
      while (reader.next()) {
        if (reader.index < this.#taken) continue;
        const { index, isLast, session, sequence, valueOffset, valueLength } = reader;
        if (!this.#take(iid, index, isLast, session, sequence, bytes, valueOffset, valueLength)) return false;
      }
    } else if (this.#taken === 0 && !this.#take(iid, 0, true, 0, 0, bytes, offset, length)) return false;
    this.#taken = 0;
    this.#local?.log.closeInstance(iid);
    return true;
  }

  skipped(first: number, last: number): void {
    this.#local?.log.gap(first, last);
    this.#onSkipped(first, last);
  }

  acknowledged(): number {
    return this.#local?.acknowledged() ?? MAX_IID;
  }

  #take(
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
    this.#taken++;
    this.values++;
    return true;
  }
}
