/**
 * What takes a learner's values: nobody, a client of the same process, or the applications on this host (the local
 * device) and standard output.
 */
import type { Extra } from "../node/roles.ts";
import { BatchReader } from "../protocol/batch.ts";
import type { Client } from "../protocol/client.ts";
import type { Application } from "../protocol/learner.ts";
import { MAX_IID } from "../protocol/types.ts";
import type { DeviceWriter } from "./device.ts";

/** How soon a new reader of the device is noticed. */
const HOUSEKEEPING_US = 20_000;

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

/** A learner for the applications of its host. Values of one instance may be taken in several attempts. */
export class HostApplication implements Application {
  /** Values delivered. */
  values = 0;
  readonly #batches: boolean;
  readonly #device: DeviceWriter | undefined;
  readonly #sinks: readonly ValueSink[];
  readonly #onSkipped: OnSkipped;
  readonly #reader = new BatchReader();
  /** Values of the present instance that were taken already, and sinks that took the next one. */
  #taken = 0;
  #sinksTaken = 0;

  /** `batches`: an instance holds entries (native wire), not one bare value. */
  constructor(
    batches: boolean,
    device: DeviceWriter | undefined,
    sinks: readonly ValueSink[],
    onSkipped: OnSkipped,
  ) {
    this.#batches = batches;
    this.#device = device;
    this.#sinks = device === undefined ? sinks : [new DeviceSink(device), ...sinks];
    this.#onSkipped = onSkipped;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    if (this.#batches) {
      const reader = this.#reader;
      reader.open(bytes, offset, length);
      while (reader.next()) {
        if (reader.index < this.#taken) continue;
        const { index, session, sequence, valueOffset, valueLength } = reader;
        if (!this.#take(iid, index, session, sequence, bytes, valueOffset, valueLength)) return false;
      }
    } else if (this.#taken === 0 && !this.#take(iid, 0, 0, 0, bytes, offset, length)) return false;
    this.#taken = 0;
    return true;
  }

  skipped(first: number, last: number): void {
    this.#onSkipped(first, last);
  }

  acknowledged(): number {
    const device = this.#device;
    if (device === undefined) return MAX_IID;
    const wished = device.requestedTrim;
    return wished > 0 ? wished : device.acknowledged();
  }

  #take(
    iid: number,
    index: number,
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
    this.#sinksTaken = 0;
    this.#taken++;
    this.values++;
    return true;
  }
}

class DeviceSink implements ValueSink {
  readonly #device: DeviceWriter;

  constructor(device: DeviceWriter) {
    this.#device = device;
  }

  take(
    iid: number,
    index: number,
    session: number,
    sequence: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    return this.#device.deliver(iid, index, session, sequence, bytes, offset, length);
  }
}

/** Looks after a learner's device: new readers, readers that left. */
export class DeviceHousekeeping implements Extra {
  readonly #device: DeviceWriter;
  #dueUs = 0;

  constructor(device: DeviceWriter) {
    this.#device = device;
  }

  tick(nowUs: number): void {
    if (nowUs < this.#dueUs) return;
    this.#device.poll(nowUs);
    this.#dueUs = nowUs + HOUSEKEEPING_US;
  }

  nextTickUs(): number {
    return this.#dueUs;
  }
}
