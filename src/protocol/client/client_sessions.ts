/**
 * The sessions of a process's virtual clients, in typed arrays: for each its window of values under way, in the order they
 * were submitted, and how far it is sent and delivered. A value takes one sequence, or one for each of its pieces.
 *
 * Invariants: sequences go up from 1 without a gap; a session's values come back in their order; what was never sent as a whole
 * cannot have been delivered.
 */

export class ClientSessions {
  readonly count: number;
  /** Values that a client may have under way. */
  readonly outstanding: number;
  /** 0: not open. */
  readonly id: Float64Array;
  /** The nonce it was, or is to be, opened with. */
  readonly nonce: Float64Array;
  /** The sequence that the next new value begins with. */
  readonly nextSequence: Float64Array;
  /** All up to here are delivered. */
  readonly done: Float64Array;
  /** What is sent next, and the highest that was ever sent. */
  readonly sendNext: Float64Array;
  readonly sentTo: Float64Array;
  /** Numbers of values: the oldest under way, the one `sendNext` is of, the next new one. */
  readonly head: Float64Array;
  readonly sending: Float64Array;
  readonly tail: Float64Array;
  /** Their places. */
  readonly headAt: Int32Array;
  readonly sendingAt: Int32Array;
  readonly tailAt: Int32Array;
  /** By place of a value: its last sequence, bytes, pieces, when it was made, when all of it was sent, and whether some of it was sent again. */
  readonly lastSequence: Float64Array;
  readonly size: Uint32Array;
  readonly pieces: Uint32Array;
  readonly madeUs: Float64Array;
  readonly sentUs: Float64Array;
  readonly isResent: Uint8Array;

  constructor(count: number, outstanding: number) {
    const values = count * outstanding;
    this.count = count;
    this.outstanding = outstanding;
    this.id = new Float64Array(count);
    this.nonce = new Float64Array(count);
    this.nextSequence = new Float64Array(count).fill(1);
    this.done = new Float64Array(count);
    this.sendNext = new Float64Array(count).fill(1);
    this.sentTo = new Float64Array(count);
    this.head = new Float64Array(count);
    this.sending = new Float64Array(count);
    this.tail = new Float64Array(count);
    this.headAt = firstPlaces(count, outstanding);
    this.sendingAt = firstPlaces(count, outstanding);
    this.tailAt = firstPlaces(count, outstanding);
    this.lastSequence = new Float64Array(values);
    this.size = new Uint32Array(values);
    this.pieces = new Uint32Array(values);
    this.madeUs = new Float64Array(values);
    this.sentUs = new Float64Array(values);
    this.isResent = new Uint8Array(values);
  }

  /** Values under way. */
  underWay(client: number): number {
    return this.tail[client]! - this.head[client]!;
  }

  /** Sequences that were sent and are not known to be delivered. */
  inFlight(client: number): number {
    return this.sendNext[client]! - this.done[client]! - 1;
  }

  /** The most that one of them has in flight. */
  mostInFlight(): number {
    let most = 0;
    for (let client = 0; client < this.count; client++) most = Math.max(most, this.inFlight(client));
    return most;
  }

  hasToSend(client: number): boolean {
    return this.sendNext[client]! < this.nextSequence[client]!;
  }

  /** `sendNext` is sent. True: with it a whole value is sent again. */
  sent(client: number, nowUs: number): boolean {
    const sequence = this.sendNext[client]!;
    const isFirst = sequence > this.sentTo[client]!;
    if (isFirst) this.sentTo[client] = sequence;
    this.sendNext[client] = sequence + 1;
    const place = this.sendingAt[client]!;
    if (sequence !== this.lastSequence[place]) return false;
    this.sentUs[place] = nowUs;
    this.sending[client] = this.sending[client]! + 1;
    this.sendingAt[client] = this.#after(client, place);
    return !isFirst;
  }

  /** Everything up to `sequence` is delivered; false when that is known, or cannot be. The values are still to be taken off. */
  deliveredTo(client: number, sequence: number): boolean {
    if (sequence <= this.done[client]! || sequence > this.sentTo[client]!) return false;
    this.done[client] = sequence;
    if (this.sendNext[client]! <= sequence) this.#seek(client, sequence + 1);
    return true;
  }

  /** Goes back: everything from `sequence` on is sent again. */
  goBack(client: number, sequence: number): void {
    const to = Math.max(sequence, this.done[client]! + 1);
    if (to >= this.sendNext[client]!) return;
    const sentTo = this.sentTo[client]!;
    this.#seek(client, to);
    let place = this.sendingAt[client]!;
    for (let left = this.tail[client]! - this.sending[client]!; left > 0; left--) {
      if (this.lastSequence[place]! - this.pieces[place]! + 1 > sentTo) break;
      this.isResent[place] = 1;
      place = this.#after(client, place);
    }
  }

  /** Whether the oldest value under way was sent as a whole: it may have been delivered. */
  mayHeadBeDelivered(client: number): boolean {
    return this.underWay(client) > 0 && this.lastSequence[this.headAt[client]!]! <= this.sentTo[client]!;
  }

  /** Takes off the oldest value under way, of a session that is gone. */
  takeHead(client: number): void {
    this.head[client] = this.head[client]! + 1;
    this.headAt[client] = this.#after(client, this.headAt[client]!);
  }

  /** The session is gone: what is under way is numbered anew, for the next one, which has another nonce. */
  restart(client: number, nonce: number): void {
    this.id[client] = 0;
    this.nonce[client] = nonce;
    this.done[client] = 0;
    this.sentTo[client] = 0;
    this.sendNext[client] = 1;
    this.sending[client] = this.head[client]!;
    this.sendingAt[client] = this.headAt[client]!;
    let next = 1;
    let place = this.headAt[client]!;
    for (let left = this.underWay(client); left > 0; left--) {
      next += this.pieces[place]!;
      this.lastSequence[place] = next - 1;
      place = this.#after(client, place);
    }
    this.nextSequence[client] = next;
  }

  /** `sendNext` becomes `sequence`, and `sending` the value it is of. */
  #seek(client: number, sequence: number): void {
    this.sendNext[client] = sequence;
    let number = this.head[client]!;
    let place = this.headAt[client]!;
    while (number < this.tail[client]! && this.lastSequence[place]! < sequence) {
      number++;
      place = this.#after(client, place);
    }
    this.sending[client] = number;
    this.sendingAt[client] = place;
  }

  #after(client: number, place: number): number {
    const next = place + 1;
    return next === (client + 1) * this.outstanding ? next - this.outstanding : next;
  }
}

function firstPlaces(count: number, outstanding: number): Int32Array {
  return Int32Array.from({ length: count }, (_, client) => client * outstanding);
}

/** 53 random bits. */
export function drawNonce(random: () => number): number {
  return Math.floor(random() * 2 ** 21) * 2 ** 32 + Math.floor(random() * 2 ** 32);
}
