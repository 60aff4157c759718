/**
 * Where a client's deliveries come from, and when it may begin to send: its own learner, a learner's device on this
 * host, or a remote learner host.
 */

import type { Log } from "../log.ts";
import type { Extra } from "../node/roles.ts";
import { BatchReader } from "../protocol/batch.ts";
import type { Client } from "../protocol/client/client.ts";
import type { SessionClient } from "../protocol/client/session_client.ts";
import type { Learner } from "../protocol/learner/learner.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { quorumOf } from "../protocol/quorum.ts";
import type { Peer } from "../protocol/types.ts";
import type { DeviceReader } from "./device_reader.ts";
import type { DeviceTaker } from "./device_source.ts";

const OPEN_FIRST_US = 100_000;
const OPEN_AGAIN_US = 1_000_000;
const OK_SILENCE_US = 3_500_000;
/** It is asked each second. */
const DOUBT_US = 1.5 * OPEN_AGAIN_US;
const ROOM_RESERVE = 16;

/** Own learner: as soon as a quorum of acceptors knows it. */
export class LearnerGate implements Extra {
  readonly #client: Client;
  readonly #learner: Learner;
  readonly #acceptors: number;
  readonly #startsByItself: boolean;
  #isOpen = false;

  /** `startsByItself`: the learner knows where the log is before it hears a value (native wire). */
  constructor(client: Client, learner: Learner, acceptors: number, startsByItself: boolean) {
    this.#client = client;
    this.#learner = learner;
    this.#acceptors = acceptors;
    this.#startsByItself = startsByItself;
  }

  pump(): boolean {
    if (this.#isOpen) return false;
    let registered = 0;
    for (let aid = 0; aid < this.#acceptors; aid++) if (this.#learner.isRegistered(aid)) registered++;
    this.#isOpen =
      registered >= quorumOf(this.#acceptors) && (!this.#startsByItself || this.#learner.next > 0);
    if (this.#isOpen) this.#client.ready = true;
    return this.#isOpen;
  }
}

/** A learner's device on this host. */
export class DeviceGate implements DeviceTaker, Extra {
  readonly #client: Client;
  readonly #reader: DeviceReader;
  #isOpen = false;

  constructor(client: Client, reader: DeviceReader) {
    this.#client = client;
    this.#reader = reader;
  }

  pump(): boolean {
    if (this.#isOpen || this.#reader.state !== "attached") return false;
    this.#isOpen = true;
    this.#client.ready = true;
    return true;
  }

  take(reader: DeviceReader): boolean {
    const { iid, session, sequence, bytes, offset, length } = reader;
    this.#client.onDelivered(session, sequence, iid, bytes, offset, length);
    return true;
  }
}

/** What a client asks a remote learner host for: ranges of client ids (Kernel_Paxos wire) or of sessions. */
export interface Asked {
  /** How many ranges there are. */
  readonly count: number;
  /** Where range `i` begins and ends (exclusive); begins with 0: there is nothing to ask for yet. */
  firstOf(i: number): number;
  endOf(i: number): number;
}

/** Client ids first…end − 1 (Kernel_Paxos wire). */
export function askedIds(first: number, end: number): Asked {
  return { count: 1, firstOf: () => first, endOf: () => end };
}

/** The sessions of the client, each by itself. */
export function askedSessions(client: SessionClient): Asked {
  const { sessions } = client;
  return { count: sessions.count, firstOf: (i) => sessions.id[i]!, endOf: (i) => sessions.id[i]! + 1 };
}

/** A remote learner host: asks until it answers, and again each second, so that a restarted host knows us too. */
export class SessionGate implements Extra {
  readonly #client: Client;
  readonly #outbox: Outbox;
  readonly #asked: Asked;
  readonly #batches: boolean;
  readonly #host: string;
  readonly #log: Log;
  readonly #reader = new BatchReader();
  /** What each range began with when it was asked for last, and when to ask again. */
  readonly #first: Float64Array;
  readonly #dueUs: Float64Array;
  #connection = -1;
  #nowUs = 0;
  #okUs = Number.NEGATIVE_INFINITY;
  #questions = 0;
  #answers = 0;
  #wasReady = false;

  /** `batches`: values come as entries (native wire), not in a client record. */
  constructor(client: Client, outbox: Outbox, asked: Asked, batches: boolean, host: string, log: Log) {
    this.#client = client;
    this.#outbox = outbox;
    this.#asked = asked;
    this.#batches = batches;
    this.#host = host;
    this.#log = log;
    this.#first = new Float64Array(asked.count).fill(-1);
    this.#dueUs = new Float64Array(asked.count);
  }

  get isConnected(): boolean {
    return this.#nowUs - this.#okUs < OK_SILENCE_US;
  }

  /** The host, if it was asked and does not answer: known before somebody else is blamed for what does not come through it. */
  get silentHost(): string | undefined {
    return this.#questions === 0 || this.#nowUs - this.#okUs < DOUBT_US ? undefined : this.#host;
  }

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    this.#ask();
  }

  /** A session that was just opened is asked for at once. */
  pump(): boolean {
    return this.#batches && this.#ask();
  }

  nextTickUs(): number {
    let dueUs = this.#nowUs + OPEN_AGAIN_US;
    for (let i = 0; i < this.#dueUs.length; i++) {
      if (this.#isWanted(i)) dueUs = Math.min(dueUs, this.#dueUs[i]!);
    }
    return dueUs;
  }

  onSessionOk(_from: Peer, connection: number): void {
    if (!this.isConnected) this.#log.info(`connected with the learner host ${this.#host} (id ${connection})`);
    this.#answers++;
    this.#connection = connection;
    this.#okUs = this.#nowUs;
    if (!this.#wasReady) this.#client.ready = true;
    this.#wasReady = true;
  }

  onSessionValue(_from: Peer, bytes: Uint8Array, offset: number, length: number): void {
    if (!this.#batches) return this.#client.onDelivered(0, 0, 0, bytes, offset, length);
    const reader = this.#reader;
    reader.open(bytes, offset, length);
    while (reader.next()) {
      this.#client.onDelivered(reader.session, reader.sequence, 0, bytes, 0, 0);
    }
  }

  /**
   * In the Kernel_Paxos wire clients of one host hear each other's OK. More answers than questions: the connection may be
   * another client's, and to close that would take its values away, so ours is left to be forgotten. In the native wire the
   * host forgets sessions that nobody asks for.
   */
  close(): void {
    const isOurs = !this.#batches && this.#connection >= 0 && this.#answers <= this.#questions;
    if (isOurs) this.#outbox.sessionClose(this.#connection);
  }

  #isWanted(i: number): boolean {
    return !this.#batches || this.#asked.firstOf(i) !== 0;
  }

  /** Asks for what is due; true: frames ran out before. */
  #ask(): boolean {
    for (let i = 0; i < this.#asked.count; i++) {
      if (!this.#isWanted(i)) continue;
      const first = this.#asked.firstOf(i);
      if (this.#first[i] === first && this.#nowUs < this.#dueUs[i]!) continue;
      if (this.#outbox.room() < ROOM_RESERVE) return true;
      this.#first[i] = first;
      this.#dueUs[i] = this.#nowUs + (this.isConnected ? OPEN_AGAIN_US : OPEN_FIRST_US);
      this.#outbox.sessionOpen(first, this.#asked.endOf(i));
      this.#questions++;
    }
    return false;
  }
}
