/**
 * The transmit slots of a link, handed out in order within one turn. Never sends, never encodes.
 */
import { DESCRIPTOR_WORDS, type Link, OFFSET } from "../net/link.ts";
import type { WireCounters } from "./wire.ts";

export class TxFrames {
  /** Slots 0…used − 1 are taken. */
  used = 0;
  readonly #slots: number;
  readonly #base: number;
  readonly #words: Uint32Array;
  readonly #counters: WireCounters;

  constructor(link: Link, counters: WireCounters) {
    this.#slots = link.txSlots;
    this.#base = link.txBase;
    this.#words = link.area.words;
    this.#counters = counters;
  }

  /** The descriptor (word index) of the next free slot, or −1 when there is none: the frame is dropped and counted. */
  open(): number {
    if (this.used === this.#slots) {
      this.#counters.overflow++;
      return -1;
    }
    this.#counters.framesOut++;
    return this.#base + this.used++ * DESCRIPTOR_WORDS;
  }

  room(): number {
    return this.#slots - this.used;
  }

  clear(): void {
    this.used = 0;
  }

  /** Where in the area the slot's payload begins, in bytes. */
  payload(descriptor: number): number {
    return this.#words[descriptor + OFFSET]!;
  }
}
