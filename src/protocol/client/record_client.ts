/**
 * The client of the Kernel_Paxos wire, in a closed loop: virtual clients, each with so many values outstanding; the next one
 * leaves when one comes back, and one that does not come back in time is sent again, which may deliver it twice: that wire has
 * no sessions. What would wait in queues for too long waits here (`flow_window.ts`): nobody in that wire can say that it is too
 * much. Pure; where deliveries come from (an own learner, a device, a learner host) is the caller's business.
 */

import { FlowWindow } from "../flow_window.ts";
import type { Outbox } from "../outbox.ts";
import type { Client, ClientSink } from "./client.ts";

/** How a value says whose it is. */
export interface ValueFormat {
  /** Bytes that the format adds to each value. */
  readonly overheadBytes: number;
  /** Writes the value of `size` bytes into `bytes` at 0 and returns its whole length. */
  write(client: number, slot: number, sequence: number, stampUs: number, size: number): number;
  readonly bytes: Uint8Array;
  /** Reads a delivered value: call `next` until it is false. */
  open(bytes: Uint8Array, offset: number, length: number): void;
  /** Moves to the next value that belongs to this process's clients. */
  next(): boolean;
  /** Of the value read: its virtual client (from 0), slot, and the sequence or stamp that tells it from others. */
  readonly client: number;
  readonly slot: number;
  readonly sequence: number;
  readonly stampUs: number;
  readonly size: number;
}

export interface RecordClientOptions {
  readonly clients: number;
  readonly outstanding: number;
  /** Sizes are drawn evenly from least…most, in bytes. */
  readonly leastSize: number;
  readonly mostSize: number;
  readonly proposerId: number;
  readonly timeoutMs: number;
  /** How long values may wait in queues; 0: as long as they like. */
  readonly queueDelayMs: number;
  /** Stop after so many values; `Infinity`: never. */
  readonly values: number;
  readonly random: () => number;
}

const RESEND_CHECK_US = 20_000;
const ROOM_RESERVE = 8;
/** Values that may be under way at first, and at least, however long they wait. Each is a frame. */
const WINDOW_FIRST = 64;
const WINDOW_FLOOR = 128;

export class RecordClient implements Client {
  readonly counters = { submitted: 0, delivered: 0, resent: 0, duplicates: 0, uncertain: 0 };
  proposerId: number;
  /** Stop after so many values; may be raised while running. */
  limit: number;
  /** Nothing is sent before deliveries can be heard. */
  ready = false;
  readonly #options: RecordClientOptions;
  readonly #format: ValueFormat;
  readonly #outbox: Outbox;
  readonly #sink: ClientSink;
  readonly #sequence: Float64Array;
  readonly #stampUs: Float64Array;
  readonly #firstSentUs: Float64Array;
  readonly #lastSentUs: Float64Array;
  readonly #size: Uint32Array;
  readonly #nextSequence: Float64Array;
  readonly #window: FlowWindow;
  /** Slots without a value: the one that is so for longest comes first. */
  readonly #idle: Int32Array;
  #idleFirst = 0;
  #idleCount: number;
  #lastStampUs = 0;
  #firstStampUs = Number.POSITIVE_INFINITY;
  #resendCheckUs = 0;
  #nowUs = 0;

  constructor(options: RecordClientOptions, format: ValueFormat, outbox: Outbox, sink: ClientSink) {
    const slots = options.clients * options.outstanding;
    this.#options = options;
    this.#format = format;
    this.#outbox = outbox;
    this.#sink = sink;
    this.proposerId = options.proposerId;
    this.limit = options.values;
    this.#sequence = new Float64Array(slots);
    this.#stampUs = new Float64Array(slots);
    this.#firstSentUs = new Float64Array(slots);
    this.#lastSentUs = new Float64Array(slots);
    this.#size = new Uint32Array(slots);
    this.#nextSequence = new Float64Array(slots);
    for (let slot = 0; slot < slots; slot++) this.#nextSequence[slot] = 1 + (slot % options.outstanding);
    this.#idle = new Int32Array(slots);
    for (let slot = 0; slot < slots; slot++) this.#idle[slot] = slot;
    this.#idleCount = slots;
    this.#window = new FlowWindow(WINDOW_FIRST, WINDOW_FLOOR, 1, options.queueDelayMs * 1000);
  }

  /** Values sent and not delivered yet. */
  get outstanding(): number {
    return this.#idle.length - this.#idleCount;
  }

  get isWaiting(): boolean {
    return this.outstanding > 0;
  }

  get isDone(): boolean {
    return this.counters.submitted >= this.limit && this.outstanding === 0;
  }

  onDelivered(
    _session: number,
    _sequence: number,
    _iid: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const format = this.#format;
    format.open(bytes, offset, length);
    while (format.next()) this.#returned(format.slot, format.sequence, format.stampUs);
  }

  /** No such messages in this wire. */
  onAcknowledge(): void {}
  onLeader(): void {}
  onBusy(): void {}

  tick(nowUs: number): void {
    this.#nowUs = nowUs;
    if (nowUs < this.#resendCheckUs) return;
    this.#resendCheckUs = nowUs + RESEND_CHECK_US;
    const dueUs = nowUs - this.#options.timeoutMs * 1000;
    for (let slot = 0; slot < this.#sequence.length; slot++) {
      if (this.#sequence[slot] === 0 || this.#lastSentUs[slot]! > dueUs) continue;
      if (this.#outbox.room() < ROOM_RESERVE) return;
      if (this.#window.isNewLoss(nowUs)) this.#window.lost(nowUs, this.outstanding);
      this.counters.resent++;
      this.#send(slot);
    }
  }

  nextTickUs(): number {
    return this.outstanding === 0 ? Number.POSITIVE_INFINITY : this.#resendCheckUs;
  }

  /** Sends values for idle places, as many as may be under way; true when frames ran out before. `wallUs` is the time of day. */
  pump(wallUs: number): boolean {
    if (!this.ready) return false;
    while (this.#idleCount > 0 && this.counters.submitted < this.limit) {
      if (this.outstanding + 1 > this.#window.size) return false;
      if (this.#outbox.room() < ROOM_RESERVE) return true;
      const slot = this.#takeIdle();
      // A place's sequences are its own: place p of o takes p + 1, p + 1 + o, p + 1 + 2o, …
      this.#sequence[slot] = this.#nextSequence[slot]!;
      this.#nextSequence[slot] = this.#nextSequence[slot]! + this.#options.outstanding;
      this.#lastStampUs = Math.max(this.#lastStampUs + 1, wallUs);
      this.#stampUs[slot] = this.#lastStampUs;
      if (this.#firstStampUs === Number.POSITIVE_INFINITY) this.#firstStampUs = this.#lastStampUs;
      this.#size[slot] = this.#drawSize();
      this.#firstSentUs[slot] = this.#nowUs;
      this.counters.submitted++;
      this.#sink.made?.(Math.floor(slot / this.#options.outstanding), this.#sequence[slot]!, 1);
      this.#send(slot);
    }
    return false;
  }

  #takeIdle(): number {
    const slot = this.#idle[this.#idleFirst]!;
    if (++this.#idleFirst === this.#idle.length) this.#idleFirst = 0;
    this.#idleCount--;
    return slot;
  }

  #addIdle(slot: number): void {
    let at = this.#idleFirst + this.#idleCount++;
    if (at >= this.#idle.length) at -= this.#idle.length;
    this.#idle[at] = slot;
  }

  #drawSize(): number {
    const { leastSize, mostSize } = this.#options;
    return leastSize + Math.floor(this.#options.random() * (mostSize - leastSize + 1));
  }

  #send(slot: number): void {
    const client = Math.floor(slot / this.#options.outstanding);
    const length = this.#format.write(
      client,
      slot,
      this.#sequence[slot]!,
      this.#stampUs[slot]!,
      this.#size[slot]!,
    );
    this.#lastSentUs[slot] = this.#nowUs;
    this.#outbox.clientValue(this.proposerId, this.#format.bytes, 0, length, 0);
  }

  #returned(slot: number, sequence: number, stampUs: number): void {
    const isKnown =
      slot < this.#sequence.length && (this.#sequence[slot] === sequence || this.#stampUs[slot] === stampUs);
    if (!isKnown || this.#sequence[slot] === 0) {
      // What was sent before our first value is of a client that had our id before us.
      if (stampUs < 0 || stampUs >= this.#firstStampUs) this.counters.duplicates++;
      return;
    }
    const number = this.#sequence[slot]!;
    // Of one that was sent again it is not known which of them came back.
    if (this.#lastSentUs[slot] === this.#firstSentUs[slot])
      this.#window.sample(this.#nowUs - this.#firstSentUs[slot]!, this.#nowUs);
    this.#window.returned(1, this.outstanding);
    this.#sequence[slot] = 0;
    this.#addIdle(slot);
    this.counters.delivered++;
    const client = Math.floor(slot / this.#options.outstanding);
    this.#sink.delivered(this.#nowUs - this.#firstSentUs[slot]!, this.#size[slot]!, client, number, 1, 0);
  }
}
