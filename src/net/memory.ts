/**
 * A network in memory, for tests and the simulator: links with MAC addresses joined by a hub that loses, doubles, delays,
 * reorders and corrupts frames, and can be cut. Virtual: it has no clock and no timers, time is what `deliver` says. The
 * same calls with the same `random` give the same run, frame by frame.
 *
 * Like an Ethernet: a frame reaches every link of its destination address but never the link that sent it, group
 * addresses reach everyone, short frames are padded. A real link's ports do not exist here: `Port.wire` and `Port.lo`
 * both mean this network (one copy), `Port.self` alone is not sent.
 */
import { assert } from "../protocol/assert.ts";
import { copyBytes } from "../protocol/bytes.ts";
import { FrameSeal } from "./frame_seal.ts";
import {
  ADDRESS,
  ADDRESS_WORDS,
  type Area,
  type ChecksumOptions,
  DESCRIPTOR_WORDS,
  LENGTH,
  type Link,
  type LinkCounters,
  leaveToSelf,
  OFFSET,
  PORTS,
  Port,
  PROTOCOL,
} from "./link.ts";
import { FrameQueue } from "./memory_queue.ts";

/** Each chance (0…1) is drawn for every copy of a frame on its own. */
export interface Faults {
  readonly loss: number;
  readonly duplication: number;
  /** One bit of the payload is flipped. */
  readonly corruption: number;
  /** The copy takes up to `lateUs` longer: later ones overtake it. */
  readonly reordering: number;
  readonly lateUs: number;
  /** The copy takes up to `staleUs` longer: by then the world has changed, and whom it is for may have restarted. */
  readonly stale: number;
  readonly staleUs: number;
  /** How long every copy takes, drawn evenly. */
  readonly leastDelayUs: number;
  readonly mostDelayUs: number;
}

export const NO_FAULTS: Faults = {
  loss: 0,
  duplication: 0,
  corruption: 0,
  reordering: 0,
  lateUs: 0,
  stale: 0,
  staleUs: 0,
  leastDelayUs: 0,
  mostDelayUs: 0,
};

export interface MemoryLinkOptions {
  /**
   * Where the link is: cuts and faults of single ways hold for places, and what is under way to a place reaches the link that is
   * opened there next. A second open link there is a twin of the first: both hear all that comes. Default: a place of its own.
   */
  readonly place?: number;
  /** The link's MAC, as address words (`link.ts`). */
  readonly address: Uint32Array;
  readonly rxSlots?: number;
  readonly txSlots?: number;
  /** Largest payload of a frame, checksum included. */
  readonly maxPayload?: number;
  /** Payload of frames that may be marked (`MARK`), at most; marks change nothing here. Default: 0, there are none. */
  readonly bundlePayload?: number;
  /** Frames under way to this link, or waiting for its next step; more are dropped and counted. */
  readonly queueFrames?: number;
  readonly checksum?: ChecksumOptions;
  /** Only frames of this EtherType carry the checksum; default: all. */
  readonly mainEtherType?: number;
}

/** An Ethernet frame has at least so much payload. */
const LEAST_PAYLOAD = 46;
const PLACES_LIMIT = 2 ** 20;
/** Places that nobody has named lie behind those that somebody has. */
const OWN_PLACES = 2 ** 19;

export class MemoryNetwork {
  faults: Faults;
  nowUs = 0;
  /** What the faults did, in copies of frames. */
  readonly counters = { lost: 0, duplicated: 0, corrupted: 0, late: 0, stale: 0, cut: 0, worse: 0 };
  /** Follows from every frame sent, its sender and its time: runs with the same digest were the same. */
  digest = 0;
  readonly #random: () => number;
  readonly #links: MemoryLink[] = [];
  /** Ways (from, to) between places that are cut. */
  readonly #cuts = new Set<number>();
  /** Ways that have faults of their own. */
  readonly #ways = new Map<number, Faults>();
  /** What was under way to places where no link is open now. */
  readonly #parked = new Map<number, FrameQueue>();
  #opened = 0;
  #sent = 0;

  /** `random`: uniform in 0…1, from a seed. */
  constructor(random: () => number, faults: Faults = NO_FAULTS) {
    this.#random = random;
    this.faults = faults;
  }

  open(options: MemoryLinkOptions): MemoryLink {
    const place = options.place ?? OWN_PLACES + this.#opened;
    assert(place < PLACES_LIMIT, "places are numbered");
    this.#opened++;
    const parked = this.#parked.get(place);
    this.#parked.delete(place);
    parked?.dropUntil(this.nowUs);
    const link = new MemoryLink(this, place, options, parked);
    this.#links.push(link);
    return link;
  }

  /** Time is now `nowUs`: what is due by then lies ready for the next step of its link. */
  deliver(nowUs: number): void {
    assert(nowUs >= this.nowUs, "time does not go back");
    this.nowUs = nowUs;
  }

  /** When the next frame is due; `Infinity` when none is under way. */
  nextDueUs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#links.length; i++) due = Math.min(due, this.#links[i]!.nextDueUs());
    return due;
  }

  /** From now on nothing goes from one link to the other in this direction; what is under way arrives. */
  cut(from: MemoryLink, to: MemoryLink): void {
    this.cutPlaces(from.place, to.place);
  }

  /** The same of places, whether a link is open there or not. */
  cutPlaces(from: number, to: number): void {
    this.#cuts.add(from * PLACES_LIMIT + to);
  }

  /** The way is there again. */
  joinPlaces(from: number, to: number): void {
    this.#cuts.delete(from * PLACES_LIMIT + to);
  }

  /** From now on frames from one place to the other have these faults; without: those of all others. */
  worsen(from: number, to: number, faults?: Faults): void {
    if (faults === undefined) this.#ways.delete(from * PLACES_LIMIT + to);
    else this.#ways.set(from * PLACES_LIMIT + to, faults);
  }

  /** Cuts these links off from all others that are open, both ways. */
  isolate(links: readonly MemoryLink[]): void {
    for (const link of links) {
      for (const other of this.#links) {
        if (links.includes(other)) continue;
        this.cut(link, other);
        this.cut(other, link);
      }
    }
  }

  /** Takes all cuts back, and what was worsened. */
  heal(): void {
    this.#cuts.clear();
    this.#ways.clear();
  }

  /** For links: carries a frame to whomever it is for. `words` at `address`: the destination. */
  carry(
    from: MemoryLink,
    words: Uint32Array,
    address: number,
    protocol: number,
    offset: number,
    length: number,
  ): void {
    const isGroup = (words[address]! & 1) !== 0;
    this.#digest(from, offset, length);
    for (let i = 0; i < this.#links.length; i++) {
      const to = this.#links[i]!;
      if (to === from) continue;
      const own = to.address;
      if (!isGroup && (own[0] !== words[address] || own[1] !== words[address + 1])) continue;
      const way = from.place * PLACES_LIMIT + to.place;
      if (this.#cuts.size > 0 && this.#cuts.has(way)) this.counters.cut++;
      else {
        const worse = this.#ways.size > 0 ? this.#ways.get(way) : undefined;
        if (worse !== undefined) this.counters.worse++;
        this.#copies(worse ?? this.faults, from, to, protocol, offset, length);
      }
    }
  }

  /** For links. `queue`: what is under way to this one; it waits for the next link of a named place. */
  forget(link: MemoryLink, queue: FrameQueue): void {
    this.#links.splice(this.#links.indexOf(link), 1);
    const isLast = !this.#links.some(({ place }) => place === link.place);
    if (link.place < OWN_PLACES && isLast) this.#parked.set(link.place, queue);
  }

  /** A frame's last bytes are its checksum, so they stand for all of it. */
  #digest(from: MemoryLink, offset: number, length: number): void {
    const { bytes } = from.area;
    let digest = Math.imul(this.digest ^ from.place ^ (length << 16), 0x9e3779b1) ^ (this.nowUs | 0);
    for (let i = offset + length - 4; i < offset + length; i++)
      digest = Math.imul(digest ^ bytes[i]!, 0x01000193);
    this.digest = digest >>> 0;
  }

  #copies(
    faults: Faults,
    from: MemoryLink,
    to: MemoryLink,
    protocol: number,
    offset: number,
    length: number,
  ): void {
    if (this.#happens(faults.loss)) {
      this.counters.lost++;
      return;
    }
    this.#copy(faults, from, to, protocol, offset, length);
    if (!this.#happens(faults.duplication)) return;
    this.counters.duplicated++;
    this.#copy(faults, from, to, protocol, offset, length);
  }

  #copy(
    faults: Faults,
    from: MemoryLink,
    to: MemoryLink,
    protocol: number,
    offset: number,
    length: number,
  ): void {
    const { leastDelayUs, mostDelayUs, lateUs, staleUs } = faults;
    let dueUs = this.nowUs + leastDelayUs;
    if (mostDelayUs > leastDelayUs) dueUs += Math.floor(this.#random() * (mostDelayUs - leastDelayUs + 1));
    if (this.#happens(faults.reordering)) {
      this.counters.late++;
      dueUs += Math.floor(this.#random() * (lateUs + 1));
    }
    if (this.#happens(faults.stale)) {
      this.counters.stale++;
      dueUs += Math.floor(this.#random() * (staleUs + 1));
    }
    let flipped = -1;
    if (this.#happens(faults.corruption) && length > 0) {
      this.counters.corrupted++;
      flipped = Math.floor(this.#random() * length * 8);
    }
    to.arrive(from, dueUs, ++this.#sent, protocol, offset, length, flipped);
  }

  #happens(chance: number): boolean {
    return chance > 0 && this.#random() < chance;
  }
}

export class MemoryLink implements Link {
  readonly kind = "memory";
  readonly area: Area;
  readonly rxBase = 0;
  readonly txBase: number;
  readonly rxSlots: number;
  readonly txSlots: number;
  readonly maxPayload: number;
  readonly bundlePayload: number;
  readonly trailerBytes: number;
  readonly address: Uint32Array;
  readonly place: number;
  readonly #network: MemoryNetwork;
  readonly #queue: FrameQueue;
  readonly #frameSeal: FrameSeal | undefined;
  readonly #mainEtherType: number;
  readonly #counters: LinkCounters = {
    rxFrames: 0,
    rxBytes: 0,
    txFrames: 0,
    txBytes: 0,
    txDropped: 0,
    rxDropped: 0,
    rxDroppedValues: 0,
    rxTruncated: 0,
    rxBadChecksum: 0,
    rxBadMac: 0,
    steps: 0,
  };
  #closed = false;

  /** `parked`: what is under way to the place already. */
  constructor(network: MemoryNetwork, place: number, options: MemoryLinkOptions, parked?: FrameQueue) {
    this.#network = network;
    this.place = place;
    this.address = new Uint32Array(ADDRESS_WORDS);
    this.address.set(options.address.subarray(0, 2));
    this.rxSlots = options.rxSlots ?? 128;
    this.txSlots = options.txSlots ?? 512;
    this.maxPayload = options.maxPayload ?? 1500;
    this.bundlePayload = options.bundlePayload ?? 0;
    this.txBase = this.rxSlots * DESCRIPTOR_WORDS;
    this.#frameSeal = options.checksum === undefined ? undefined : new FrameSeal(options.checksum);
    this.trailerBytes = this.#frameSeal?.trailerBytes ?? 0;
    this.#mainEtherType = options.mainEtherType ?? 0;
    const slots = this.rxSlots + this.txSlots;
    const slotBytes = (Math.max(this.maxPayload, LEAST_PAYLOAD) + 3) & ~3;
    const head = slots * DESCRIPTOR_WORDS * 4;
    const buffer = new ArrayBuffer(head + slots * slotBytes);
    this.area = {
      bytes: new Uint8Array(buffer),
      words: new Uint32Array(buffer),
      signed: new Int32Array(buffer),
    };
    for (let i = 0; i < slots; i++) this.area.words[i * DESCRIPTOR_WORDS + OFFSET] = head + i * slotBytes;
    this.#queue = parked ?? new FrameQueue(options.queueFrames ?? 1024, slotBytes);
    assert(this.#queue.slotBytes === slotBytes, "links of one place have slots of one size");
  }

  /** `waitUs` means nothing here: there is no clock to wait on. */
  step(ntx: number, _waitUs: number): number {
    assert(!this.#closed, "a closed link is not stepped");
    this.#counters.steps++;
    this.#sendAll(ntx);
    let received = 0;
    while (received < this.rxSlots && this.nextDueUs() <= this.#network.nowUs) {
      if (this.#receive(this.#queue.pop(), received * DESCRIPTOR_WORDS)) received++;
    }
    return received;
  }

  send(ntx: number): void {
    assert(!this.#closed, "a closed link sends nothing");
    this.#sendAll(ntx);
    leaveToSelf(this, ntx);
  }

  /** When the next frame for this link is due. */
  nextDueUs(): number {
    return this.#queue.dueUs();
  }

  counters(): LinkCounters {
    return { ...this.#counters };
  }

  /** What lies here is lost, and what is under way if the place has no number. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#network.forget(this, this.#queue);
  }

  /** For the network: a copy of a frame in `from`'s area. `flipped`: a bit that breaks on the way, −1: none. */
  arrive(
    from: MemoryLink,
    dueUs: number,
    order: number,
    protocol: number,
    offset: number,
    length: number,
    flipped: number,
  ): void {
    const queue = this.#queue;
    if (length > this.maxPayload) {
      this.#counters.rxTruncated++;
      return;
    }
    const slot = queue.push(dueUs, order, from.area.bytes, offset, length);
    if (slot < 0) {
      this.#counters.rxDropped++;
      return;
    }
    const at = slot * queue.slotBytes;
    if (flipped >= 0)
      queue.bytes[at + (flipped >>> 3)] = queue.bytes[at + (flipped >>> 3)]! ^ (1 << (flipped & 7));
    for (let i = length; i < LEAST_PAYLOAD; i++) queue.bytes[at + i] = 0;
    queue.length[slot] = Math.max(length, LEAST_PAYLOAD);
    queue.protocol[slot] = protocol;
    queue.source[2 * slot] = from.address[0]!;
    queue.source[2 * slot + 1] = from.address[1]!;
  }

  #sendAll(ntx: number): void {
    for (let slot = 0; slot < ntx; slot++) this.#send(this.txBase + slot * DESCRIPTOR_WORDS);
  }

  #send(descriptor: number): void {
    const { words } = this.area;
    if ((words[descriptor + PORTS]! & (Port.wire | Port.lo)) === 0) return;
    const protocol = words[descriptor + PROTOCOL]! & 0xffff;
    const offset = words[descriptor + OFFSET]!;
    let length = words[descriptor + LENGTH]!;
    const seal = this.#sealOf(protocol);
    if (seal !== undefined) {
      const fits = length + seal.trailerBytes <= this.maxPayload;
      if (!fits || !seal.seal(this.area.bytes, offset, length)) {
        this.#counters.txDropped++;
        return;
      }
      length += seal.trailerBytes;
    } else if (length > this.maxPayload) {
      this.#counters.txDropped++;
      return;
    }
    this.#counters.txFrames++;
    this.#counters.txBytes += length;
    this.#network.carry(this, words, descriptor + ADDRESS, protocol, offset, length);
  }

  #receive(slot: number, descriptor: number): boolean {
    const queue = this.#queue;
    const { bytes, words } = this.area;
    const at = words[descriptor + OFFSET]!;
    const length = queue.length[slot]!;
    const protocol = queue.protocol[slot]!;
    copyBytes(queue.bytes, slot * queue.slotBytes, bytes, at, length);
    if (this.#sealOf(protocol)?.admits(bytes, at, length, this.#counters) === false) return false;
    words[descriptor + LENGTH] = length;
    words[descriptor + PROTOCOL] = protocol;
    words[descriptor + PORTS] = Port.wire;
    words[descriptor + ADDRESS] = queue.source[2 * slot]!;
    words[descriptor + ADDRESS + 1] = queue.source[2 * slot + 1]!;
    for (let i = 2; i < ADDRESS_WORDS; i++) words[descriptor + ADDRESS + i] = 0;
    this.#counters.rxFrames++;
    this.#counters.rxBytes += length;
    return true;
  }

  /** What frames of this EtherType end in. */
  #sealOf(protocol: number): FrameSeal | undefined {
    return this.#mainEtherType === 0 || this.#mainEtherType === protocol ? this.#frameSeal : undefined;
  }
}
