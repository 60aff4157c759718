/**
 * The node's table of peers: everyone a frame came from or may go to, by role, id and address. A `Peer` is an index
 * into it. In the Kernel_Paxos wire, where an address is all there is, role and id are 0.
 *
 * Bounded: when full, the unpinned peer that was silent longest makes room; with none, the newcomer is refused (−1)
 * and counted. Members of the configuration are pinned.
 */
import { assert } from "../protocol/assert.ts";
import type { Peer } from "../protocol/types.ts";
import { ADDRESS_WORDS } from "./link.ts";

/** Six words from a position on; received ones are read with signs (`Area.signed`). */
type AddressWords = Int32Array | Uint32Array;

const DEFAULT_PEERS = 4096;
/** Who speaks again after so long begins anew to be alone. */
const PAUSE_US = 3_000_000;

export class Peers {
  readonly capacity: number;
  count = 0;
  /** Newcomers turned away because every place was pinned. */
  refused = 0;
  readonly role: Uint8Array;
  readonly id: Uint16Array;
  readonly life: Float64Array;
  readonly lastHeardUs: Float64Array;
  /** `Port` bits by which the peer is reached: learned from where its frames arrive. */
  readonly ports: Uint8Array;
  readonly pinned: Uint8Array;
  /** When something came last that was for everyone of a role. */
  everyoneUs = Number.NEGATIVE_INFINITY;
  /** Of a peer: since when it speaks to this process alone, and when it did so last. */
  readonly #aloneSinceUs: Float64Array;
  readonly #aloneUs: Float64Array;
  readonly addresses: Uint32Array;
  readonly #signed: Int32Array;
  /** An address from elsewhere, with signs. */
  readonly #words = new Int32Array(ADDRESS_WORDS);
  readonly #next: Int32Array;
  readonly #buckets: Int32Array;

  constructor(capacity: number = DEFAULT_PEERS) {
    this.capacity = capacity;
    this.role = new Uint8Array(capacity);
    this.id = new Uint16Array(capacity);
    this.life = new Float64Array(capacity);
    this.lastHeardUs = new Float64Array(capacity);
    this.ports = new Uint8Array(capacity);
    this.pinned = new Uint8Array(capacity);
    this.#aloneSinceUs = new Float64Array(capacity).fill(Number.NEGATIVE_INFINITY);
    this.#aloneUs = new Float64Array(capacity).fill(Number.NEGATIVE_INFINITY);
    this.addresses = new Uint32Array(capacity * ADDRESS_WORDS);
    this.#signed = new Int32Array(this.addresses.buffer);
    this.#next = new Int32Array(capacity).fill(-1);
    let buckets = 16;
    while (buckets < capacity) buckets *= 2;
    this.#buckets = new Int32Array(buckets).fill(-1);
  }

  /** The peer of this role, id and address (6 words at `at`), or −1. */
  find(role: number, id: number, words: AddressWords, at: number): Peer {
    let peer = this.#buckets[this.#bucket(role, id, words, at)]!;
    while (peer >= 0 && !this.#is(peer, role, id, words, at)) peer = this.#next[peer]!;
    return peer as Peer;
  }

  /** Finds or adds; `ports` are added to the peer's. −1: the table is full of pinned peers. */
  intern(role: number, id: number, words: AddressWords, at: number, ports: number, nowUs: number): Peer {
    let peer: number = this.find(role, id, words, at);
    if (peer < 0) {
      peer = this.#place();
      if (peer < 0) return peer as Peer;
      this.role[peer] = role;
      this.id[peer] = id;
      this.life[peer] = 0;
      this.ports[peer] = 0;
      for (let i = 0; i < ADDRESS_WORDS; i++) this.addresses[peer * ADDRESS_WORDS + i] = words[at + i]!;
      const bucket = this.#bucket(role, id, words, at);
      this.#next[peer] = this.#buckets[bucket]!;
      this.#buckets[bucket] = peer;
    }
    this.ports[peer] = this.ports[peer]! | ports;
    this.lastHeardUs[peer] = nowUs;
    return peer as Peer;
  }

  /** Adds a member of the configuration, which is never evicted and has not been heard yet. */
  pin(role: number, id: number, words: Uint32Array, ports: number): Peer {
    this.#words.set(words);
    const peer = this.intern(role, id, this.#words, 0, ports, Number.NEGATIVE_INFINITY);
    assert(peer >= 0, "the peer table has room for the configuration");
    this.pinned[peer] = 1;
    return peer;
  }

  copyAddress(peer: Peer, into: Uint32Array, at: number): void {
    const from = peer * ADDRESS_WORDS;
    for (let i = 0; i < ADDRESS_WORDS; i++) into[at + i] = this.#signed[from + i]!;
  }

  heard(peer: Peer): boolean {
    return this.lastHeardUs[peer]! > Number.NEGATIVE_INFINITY;
  }

  /** Something came that this process alone was told. */
  heardAlone(peer: Peer, nowUs: number): void {
    const goesOn = this.#aloneSinceUs[peer]! > this.everyoneUs && nowUs - this.#aloneUs[peer]! < PAUSE_US;
    if (!goesOn) this.#aloneSinceUs[peer] = nowUs;
    this.#aloneUs[peer] = nowUs;
  }

  /** For so long the peer has spoken to this process alone, again and again, and nobody to everyone; 0 when that is over. */
  aloneForUs(peer: Peer, nowUs: number): number {
    const sinceUs = this.#aloneSinceUs[peer]!;
    const isSo = sinceUs > this.everyoneUs && nowUs - this.#aloneUs[peer]! < PAUSE_US;
    return isSo ? this.#aloneUs[peer]! - sinceUs : 0;
  }

  #place(): number {
    if (this.count < this.capacity) return this.count++;
    let oldest = -1;
    for (let i = 0; i < this.capacity; i++) {
      if (this.pinned[i] === 1) continue;
      if (oldest < 0 || this.lastHeardUs[i]! < this.lastHeardUs[oldest]!) oldest = i;
    }
    if (oldest < 0) this.refused++;
    else this.#unlink(oldest);
    return oldest;
  }

  #unlink(peer: number): void {
    const bucket = this.#bucket(this.role[peer]!, this.id[peer]!, this.#signed, peer * ADDRESS_WORDS);
    const next = this.#next[peer]!;
    if (this.#buckets[bucket] === peer) {
      this.#buckets[bucket] = next;
      return;
    }
    let before = this.#buckets[bucket]!;
    while (this.#next[before] !== peer) before = this.#next[before]!;
    this.#next[before] = next;
  }

  /** Whether the peer's address is these 6 words. */
  isAt(peer: number, words: AddressWords, at: number): boolean {
    const from = peer * ADDRESS_WORDS;
    for (let i = 0; i < ADDRESS_WORDS; i++)
      if ((this.#signed[from + i]! ^ words[at + i]!) !== 0) return false;
    return true;
  }

  haveOneAddress(one: Peer, other: Peer): boolean {
    return this.isAt(one, this.#signed, other * ADDRESS_WORDS);
  }

  #is(peer: number, role: number, id: number, words: AddressWords, at: number): boolean {
    return this.role[peer] === role && this.id[peer] === id && this.isAt(peer, words, at);
  }

  #bucket(role: number, id: number, words: AddressWords, at: number): number {
    let hash = Math.imul(role * 65599 + id + 1, 0x9e3779b1);
    for (let i = 0; i < ADDRESS_WORDS; i++)
      hash = Math.imul(hash ^ words[at + i]!, 0x85ebca6b) ^ (hash >>> 13);
    return (hash ^ (hash >>> 16)) & (this.#buckets.length - 1);
  }
}
