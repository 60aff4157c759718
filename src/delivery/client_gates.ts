/**
 * Where a client's deliveries come from, and when it may begin to send: its own learner, a learner's device on this
 * host, or a remote learner host.
 */

import type { Log } from "../log.ts";
import type { Extra } from "../node/roles.ts";
import { EntryBuffer } from "../protocol/batch.ts";
import type { Client } from "../protocol/client.ts";
import type { Learner } from "../protocol/learner.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { quorumOf } from "../protocol/quorum.ts";
import type { Peer } from "../protocol/types.ts";
import type { DeviceReader } from "./device_reader.ts";
import type { DeviceTaker } from "./device_source.ts";

const OPEN_FIRST_US = 100_000;
const OPEN_AGAIN_US = 1_000_000;
const OK_SILENCE_US = 3_500_000;

/** Own learner: as soon as a quorum of acceptors knows it. */
export class LearnerGate implements Extra {
  readonly #client: Client;
  readonly #learner: Learner;
  readonly #acceptors: number;
  readonly #startsByItself: boolean;

  /** `startsByItself`: the learner knows where the log is before it hears a value (native wire). */
  constructor(client: Client, learner: Learner, acceptors: number, startsByItself: boolean) {
    this.#client = client;
    this.#learner = learner;
    this.#acceptors = acceptors;
    this.#startsByItself = startsByItself;
  }

  pump(): boolean {
    if (this.#client.ready) return false;
    let registered = 0;
    for (let aid = 0; aid < this.#acceptors; aid++) if (this.#learner.isRegistered(aid)) registered++;
    this.#client.ready =
      registered >= quorumOf(this.#acceptors) && (!this.#startsByItself || this.#learner.next > 0);
    return this.#client.ready;
  }
}

/** A learner's device on this host. */
export class DeviceGate implements DeviceTaker, Extra {
  readonly #client: Client;
  readonly #reader: DeviceReader;
  readonly #batches: boolean;
  readonly #entry: EntryBuffer;

  constructor(client: Client, reader: DeviceReader, maxValue: number, batches: boolean) {
    this.#client = client;
    this.#reader = reader;
    this.#batches = batches;
    this.#entry = new EntryBuffer(maxValue);
  }

  pump(): boolean {
    if (this.#client.ready || this.#reader.state !== "attached") return false;
    this.#client.ready = true;
    return true;
  }

  take(reader: DeviceReader): boolean {
    const { bytes, offset, length } = reader;
    if (!this.#batches) {
      this.#client.onDelivered(bytes, offset, length);
      return true;
    }
    const size = this.#entry.write(reader.session, reader.sequence, bytes, offset, length);
    if (size >= 0) this.#client.onDelivered(this.#entry.bytes, 0, size);
    return true;
  }
}

/** A remote learner host: asks until it answers, and again each second, so that a restarted host knows us too. */
export class SessionGate implements Extra {
  readonly #client: Client;
  readonly #outbox: Outbox;
  readonly #first: number;
  readonly #end: number;
  readonly #host: string;
  readonly #log: Log;
  #connection = -1;
  #dueUs = 0;
  #nowUs = 0;
  #okUs = Number.NEGATIVE_INFINITY;
  #asked = 0;
  #answered = 0;

  constructor(client: Client, outbox: Outbox, first: number, end: number, host: string, log: Log) {
    this.#client = client;
    this.#outbox = outbox;
    this.#first = first;
    this.#end = end;
    this.#host = host;
    this.#log = log;
  }

  get isConnected(): boolean {
    return this.#nowUs - this.#okUs < OK_SILENCE_US;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (nowUs < this.#dueUs) return;
    this.#outbox.sessionOpen(this.#first, this.#end);
    this.#asked++;
    this.#dueUs = nowUs + (this.isConnected ? OPEN_AGAIN_US : OPEN_FIRST_US);
    if (this.#client.ready && !this.isConnected) {
      this.#log.once("host", "warn", `the learner host ${this.#host} does not answer`);
    }
  }

  nextTickUs(): number {
    return this.#dueUs;
  }

  onSessionOk(_from: Peer, connection: number): void {
    if (!this.isConnected) this.#log.info(`connected with the learner host ${this.#host} (id ${connection})`);
    this.#answered++;
    this.#connection = connection;
    this.#okUs = this.#nowUs;
    this.#client.ready = true;
  }

  onSessionValue(_from: Peer, bytes: Uint8Array, offset: number, length: number): void {
    this.#client.onDelivered(bytes, offset, length);
  }

  /**
   * In the Kernel_Paxos wire clients of one host hear each other's OK. More answers than questions: the connection may be
   * another client's, and to close that would take its values away, so ours is left to be forgotten.
   */
  close(): void {
    const isOurs = this.#connection >= 0 && this.#answered <= this.#asked;
    if (isOurs) this.#outbox.sessionClose(this.#connection);
  }
}
