/**
 * The writing end of a FIFO in packet mode (`ffi/fifo.h`): one write is one read of its reader. Never blocks; that nobody
 * reads, or reads fast enough, is an answer and not an error.
 */
import { library } from "./library.ts";
import { SharedMemoryError } from "./shared_memory.ts";
import { Errno } from "./unwrap.ts";

/** The longest record. */
export const MAX_RECORD_BYTES = 4096;

export type OpenAnswer = "open" | "nobody reads" | "another process writes";
export type WriteAnswer = "written" | "full" | "nobody reads";

function trouble(result: number, what: string): SharedMemoryError {
  return new SharedMemoryError(-result, what);
}

export class PacketFifo {
  readonly path: string;
  readonly #name: Uint8Array;
  #handle = -1;

  /** Makes the FIFO unless there is one; the error's `code` ENXIO: something else has that name. */
  constructor(path: string) {
    this.path = path;
    this.#name = new TextEncoder().encode(`${path}\0`);
    const status = library().kpx_fifo_make(this.#name, 0o600);
    if (status < 0) throw trouble(status, `make ${path}`);
  }

  get isOpen(): boolean {
    return this.#handle >= 0;
  }

  open(): OpenAnswer {
    const handle = library().kpx_fifo_open(this.#name);
    if (handle === -Errno.ENXIO) return "nobody reads";
    if (handle === -Errno.EBUSY) return "another process writes";
    if (handle < 0) throw trouble(handle, `open ${this.path}`);
    this.#handle = handle;
    return "open";
  }

  /** One record, the first `length` bytes of `bytes`. When nobody reads any more it is closed. */
  write(bytes: Uint8Array, length: number): WriteAnswer {
    const status = library().kpx_fifo_write(this.#handle, bytes, bytes.length, 0, length);
    if (status === 0) return "written";
    if (status === -Errno.EAGAIN) return "full";
    if (status !== -Errno.EPIPE) throw new SharedMemoryError(-status, `write ${this.path}`);
    this.close();
    return "nobody reads";
  }

  close(): void {
    if (this.#handle < 0) return;
    library().kpx_fifo_close(this.#handle);
    this.#handle = -1;
  }
}
