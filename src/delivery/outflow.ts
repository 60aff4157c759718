/**
 * Standard output with a count of what its reader has not taken yet. Bun's `writableLength` is always 0 there and `drain`
 * comes even when nothing was held back, so each write's own end is counted.
 */
import { standardOutput } from "../streams.ts";

/** More than this waiting: whoever writes should wait too. */
const MAX_WAITING_BYTES = 1 << 20;

export class Outflow {
  #waiting = 0;
  /** Told when there is room again after `isFull` was seen. */
  readonly #onRoom: () => void;
  readonly #write: (text: string, taken: () => void) => void;

  constructor(
    onRoom: () => void = () => undefined,
    write: (text: string, taken: () => void) => void = (text, taken) => standardOutput().write(text, taken),
  ) {
    this.#onRoom = onRoom;
    this.#write = write;
  }

  get isFull(): boolean {
    return this.#waiting > MAX_WAITING_BYTES;
  }

  /** Takes the text in any case. */
  write(text: string): void {
    const { length } = text;
    this.#waiting += length;
    this.#write(text, () => {
      const wasFull = this.isFull;
      this.#waiting -= length;
      if (wasFull && !this.isFull) this.#onRoom();
    });
  }
}
