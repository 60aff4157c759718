/**
 * The ring of `ffi/ring.h` driven from TypeScript: the same layout and memory model (explained there), through Atomics
 * on the mapped memory. No call into C per record, only to wake or to sleep; no allocation per record.
 *
 * One `Ring` object plays one side. It keeps that side's position to itself and checks every word the other side wrote
 * before using it; the first wrong one ends the ring with a `fault`, and no index ever leads out of it.
 */
import { assert } from "../protocol/assert.ts";
import { library } from "./library.ts";
import { unwrap } from "./unwrap.ts";

/** Memory that two sides share; both views cover the same bytes from the same start. */
export interface RingMemory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

const MAGIC = 0x6b707872;
const VERSION = 1;
const HEADER_BYTES = 256;
const RECORD_BYTES = 8;
/** As an Int32Array shows 0xffffffff. */
const WRAP = -1;
const MIN_CAPACITY = 64;
const MAX_CAPACITY = 1 << 30;

/** Word indices in the header. */
const CAPACITY = 2;
const PRODUCED = 16;
const CONSUMED = 32;
const SLEEPING = 48;
const PRODUCER_CLOSED = 49;
const CONSUMER_CLOSED = 50;

/** How the other side slept when `submit` looked. */
export const Sleeper = {
  none: 0,
  /** In `wait`: it has been woken. */
  futex: 1,
  /** On a descriptor (`prepareSleep`): the caller of `submit` must wake it there. */
  descriptor: 2,
} as const;
export type Sleeper = (typeof Sleeper)[keyof typeof Sleeper];

export type RingFault = "" | "producer index" | "consumer index" | "record length" | "wrap marker";

/** Why memory is not taken for a ring. */
export class RingError extends Error {
  override readonly name = "RingError";
}

function validCapacity(capacity: number): boolean {
  return capacity >= MIN_CAPACITY && capacity <= MAX_CAPACITY && (capacity & (capacity - 1)) === 0;
}

export class Ring {
  readonly memory: RingMemory;
  /** Byte offset of the ring in the memory. */
  readonly offset: number;
  readonly capacity: number;
  /** The largest payload: half of the capacity less the record header. */
  readonly maxPayload: number;
  /** What the other side did wrong; "" while it did not. A faulty ring is neither read nor written any more. */
  fault: RingFault = "";

  /** The record that `peek` found: where its payload is in `memory.bytes`. It stays there until `release`. */
  recordOffset = 0;
  recordLength = 0;
  /** Unsigned. */
  recordType = 0;

  private readonly words: Int32Array;
  private readonly header: number;
  private readonly data: number;
  private readonly mask: number;
  // Counters as 32-bit integers; only differences are meaningful.
  private head = 0;
  private published = 0;
  private seenConsumed = 0;
  private tail = 0;
  private released = 0;
  private seenProduced = 0;

  /** Bytes that a ring takes. */
  static bytesFor(capacity: number): number {
    if (!validCapacity(capacity)) throw new RingError(`no ring has a capacity of ${capacity} bytes`);
    return HEADER_BYTES + capacity;
  }

  /** Makes an empty ring at `offset` (a multiple of 64). */
  static create(memory: RingMemory, offset: number, capacity: number): Ring {
    const { words } = memory;
    place(memory, offset, Ring.bytesFor(capacity));
    const at = offset >> 2;
    Atomics.store(words, at, 0);
    Atomics.store(words, at + 1, VERSION);
    Atomics.store(words, at + CAPACITY, capacity);
    for (const word of [PRODUCED, CONSUMED, SLEEPING, PRODUCER_CLOSED, CONSUMER_CLOSED])
      Atomics.store(words, at + word, 0);
    Atomics.store(words, at, MAGIC);
    return new Ring(memory, offset, capacity);
  }

  /** Joins a ring that stands at `offset`; throws `RingError` when there is no sane one. */
  static attach(memory: RingMemory, offset: number): Ring {
    const { words } = memory;
    place(memory, offset, HEADER_BYTES);
    const at = offset >> 2;
    if (Atomics.load(words, at) !== MAGIC) throw new RingError("there is no ring");
    const version = Atomics.load(words, at + 1);
    if (version !== VERSION) throw new RingError(`the ring has version ${version}, not ${VERSION}`);
    const capacity = Atomics.load(words, at + CAPACITY);
    if (!validCapacity(capacity))
      throw new RingError(`the ring has an impossible capacity of ${capacity} bytes`);
    place(memory, offset, HEADER_BYTES + capacity);
    return new Ring(memory, offset, capacity);
  }

  private constructor(memory: RingMemory, offset: number, capacity: number) {
    const words = memory.words;
    const header = offset >> 2;
    const consumed = Atomics.load(words, header + CONSUMED);
    const produced = Atomics.load(words, header + PRODUCED);
    if (((produced | consumed) & 7) !== 0 || (produced - consumed) >>> 0 > capacity)
      throw new RingError("the ring's indices contradict each other");
    this.memory = memory;
    this.offset = offset;
    this.capacity = capacity;
    this.maxPayload = capacity / 2 - RECORD_BYTES;
    this.words = words;
    this.header = header;
    this.data = offset + HEADER_BYTES;
    this.mask = capacity - 1;
    this.head = this.published = this.seenProduced = produced;
    this.tail = this.released = this.seenConsumed = consumed;
  }

  // ---- producer ----

  /**
   * Room for a record: the byte offset of its payload in `memory.bytes`, or −1 when there is none now (full, consumer
   * closed, fault). Published by the next `submit`.
   */
  reserve(length: number, type: number): number {
    assert(length >= 0 && length <= this.maxPayload, "a record fits its ring");
    if (this.fault !== "") return -1;
    const need = RECORD_BYTES + ((length + 7) & ~7);
    let at = this.head & this.mask;
    const left = this.capacity - at;
    const skip = need > left ? left : 0;
    if (this.capacity - ((this.head - this.seenConsumed) >>> 0) < skip + need && !this.makeRoom(skip + need))
      return -1;
    if (skip !== 0) {
      this.words[(this.data + at) >> 2] = WRAP;
      at = 0;
    }
    const word = (this.data + at) >> 2;
    this.words[word] = length;
    this.words[word + 1] = type;
    this.head = (this.head + skip + need) | 0;
    return this.data + at + RECORD_BYTES;
  }

  /** Looks how far the consumer is. */
  private makeRoom(wanted: number): boolean {
    const consumed = Atomics.load(this.words, this.header + CONSUMED);
    // It may only have moved forward, and not beyond what was published.
    const moved = (consumed - this.seenConsumed) >>> 0;
    if ((consumed & 7) !== 0 || moved > (this.published - this.seenConsumed) >>> 0) {
      this.fault = "consumer index";
      return false;
    }
    this.seenConsumed = consumed;
    return this.capacity - ((this.head - consumed) >>> 0) >= wanted && !this.consumerClosed;
  }

  /** Publishes everything reserved, wakes the consumer if it sleeps in `wait`, and says how it slept. */
  submit(): Sleeper {
    if (this.head === this.published) return Sleeper.none;
    this.published = this.head;
    Atomics.store(this.words, this.header + PRODUCED, this.head);
    return this.wakeSleeper();
  }

  /** Forgets everything reserved since the last `submit`. */
  cancel(): void {
    this.head = this.published;
  }

  /** Nothing more will come; what was submitted can still be read. */
  closeProducer(): Sleeper {
    Atomics.store(this.words, this.header + PRODUCER_CLOSED, 1);
    return this.wakeSleeper();
  }

  get consumerClosed(): boolean {
    return Atomics.load(this.words, this.header + CONSUMER_CLOSED) !== 0;
  }

  private wakeSleeper(): Sleeper {
    const word = this.header + SLEEPING;
    if (Atomics.load(this.words, word) === Sleeper.none) return Sleeper.none;
    const kind = Atomics.exchange(this.words, word, Sleeper.none);
    if (kind === Sleeper.none || kind === Sleeper.descriptor) return kind;
    unwrap(library().kpx_ring_wake(this.words, this.words.byteLength, this.offset), "kpx_ring_wake");
    return Sleeper.futex;
  }

  // ---- consumer ----

  /** Finds the next record, if there is one. */
  peek(): boolean {
    if (this.fault !== "") return false;
    if (this.tail === this.seenProduced && !this.lookForMore()) return false;
    let available = (this.seenProduced - this.tail) >>> 0;
    let at = this.tail & this.mask;
    let skip = 0;
    let length = this.words[(this.data + at) >> 2]!;
    if (length === WRAP) {
      skip = this.capacity - at;
      // A marker is published together with the record behind it, and never at byte 0.
      if (at === 0 || skip >= available) return this.broken("wrap marker");
      available -= skip;
      at = 0;
      length = this.words[this.data >> 2]!;
    }
    if (length < 0 || length > this.maxPayload) return this.broken("record length");
    const need = RECORD_BYTES + ((length + 7) & ~7);
    if (need > available || need > this.capacity - at) return this.broken("record length");
    this.recordOffset = this.data + at + RECORD_BYTES;
    this.recordLength = length;
    this.recordType = this.words[((this.data + at) >> 2) + 1]! >>> 0;
    this.tail = (this.tail + skip + need) | 0;
    return true;
  }

  private lookForMore(): boolean {
    const produced = Atomics.load(this.words, this.header + PRODUCED);
    const filled = (produced - this.released) >>> 0;
    if ((produced & 7) !== 0 || filled > this.capacity || filled < (this.seenProduced - this.released) >>> 0)
      return this.broken("producer index");
    this.seenProduced = produced;
    return produced !== this.tail;
  }

  private broken(fault: RingFault): false {
    this.fault = fault;
    return false;
  }

  /** Whether something lies beyond what was peeked. */
  get hasMore(): boolean {
    return Atomics.load(this.words, this.header + PRODUCED) !== this.tail;
  }

  /** Bytes that were peeked and are not released yet. */
  get held(): number {
    return (this.tail - this.released) >>> 0;
  }

  /** Gives the room of all peeked records back. */
  release(): void {
    if (this.tail === this.released) return;
    this.released = this.tail;
    Atomics.store(this.words, this.header + CONSUMED, this.tail);
  }

  /** Nothing will be read any more. */
  closeConsumer(): void {
    Atomics.store(this.words, this.header + CONSUMER_CLOSED, 1);
  }

  /** The producer has closed; records may still be there. */
  get producerClosed(): boolean {
    return Atomics.load(this.words, this.header + PRODUCER_CLOSED) !== 0;
  }

  /** Blocks this thread until there is a record or the producer closes (true), or the time is over (false). */
  wait(timeoutUs: number): boolean {
    if (this.fault !== "") return false;
    const size = this.words.byteLength;
    return (
      unwrap(
        library().kpx_ring_wait(this.words, size, this.offset, this.tail, timeoutUs),
        "kpx_ring_wait",
      ) === 1
    );
  }

  /** Announces a sleep on a descriptor. False: there is something to read (or the end), do not sleep. */
  prepareSleep(): boolean {
    const word = this.header + SLEEPING;
    Atomics.store(this.words, word, Sleeper.descriptor);
    if (!this.hasMore && !this.producerClosed) return true;
    Atomics.store(this.words, word, Sleeper.none);
    return false;
  }

  /** Ends that sleep. The producer may have woken the descriptor, or be about to. */
  wokeUp(): void {
    Atomics.store(this.words, this.header + SLEEPING, Sleeper.none);
  }
}

function place(memory: RingMemory, offset: number, size: number): void {
  const { bytes, words } = memory;
  assert(bytes.buffer === words.buffer && bytes.byteOffset === words.byteOffset, "views of the same memory");
  if (!Number.isInteger(offset) || offset < 0 || (offset & 63) !== 0)
    throw new RingError(`a ring cannot stand at byte ${offset}`);
  if (offset + size > words.byteLength)
    throw new RingError(`a ring of ${size} bytes at byte ${offset} does not fit ${words.byteLength} bytes`);
}
