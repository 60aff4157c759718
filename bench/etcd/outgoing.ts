/**
 * Bytes on their way into a socket: gathered while a turn asks, written at its end; what the kernel does not take waits for it.
 */
export interface Sink {
  /** Returns how many bytes were taken. */
  write(bytes: Uint8Array): number;
}

export class Outgoing {
  #bytes = Buffer.allocUnsafe(1 << 16);
  #length = 0;

  put(...pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      const end = this.#length + piece.length;
      if (end > this.#bytes.length) {
        const larger = Buffer.allocUnsafe(2 * end);
        this.#bytes.copy(larger, 0, 0, this.#length);
        this.#bytes = larger;
      }
      this.#bytes.set(piece, this.#length);
      this.#length = end;
    }
  }

  flush(sink: Sink): void {
    if (this.#length === 0) return;
    const taken = Math.max(0, sink.write(this.#bytes.subarray(0, this.#length)));
    this.#bytes.copyWithin(0, taken, this.#length);
    this.#length -= taken;
  }
}

/** What came of a stream and is not used up yet. */
export class Incoming {
  #rest: Buffer = Buffer.alloc(0);

  /** `use` returns how many bytes from the front it has done with; what it leaves comes again with the next chunk. */
  feed(chunk: Uint8Array, use: (bytes: Buffer) => number): void {
    const fresh = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const bytes = this.#rest.length === 0 ? fresh : Buffer.concat([this.#rest, fresh]);
    const used = use(bytes);
    // A copy: the chunk is its owner's.
    this.#rest = Buffer.from(bytes.subarray(used));
  }
}
