/**
 * Files mapped by several processes, locks that tell who is alive, and FIFOs to wake each other (`ffi/shm.h`).
 *
 * A mapping is turned into an ArrayBuffer once. `close` detaches that buffer before it unmaps, so a view that
 * somebody kept is empty and never a dangling pointer.
 */
import type { Pointer } from "bun:ffi";
import { library, mappedMemory } from "./library.ts";
import { Errno, errnoName } from "./unwrap.ts";

/** A refusal of the operating system; `code` is the errno name, as in errors of node:fs. */
export class SharedMemoryError extends Error {
  override readonly name = "SharedMemoryError";
  readonly code: string;

  constructor(errno: number, what: string) {
    super(`${what}: ${errnoName(errno)}`);
    this.code = errnoName(errno);
  }
}

/** Not `unwrap`: callers tell the cases apart by `code` and have hints of their own. */
function checked(result: number, what: string): number {
  if (result < 0) throw new SharedMemoryError(-result, what);
  return result;
}

const address = new Uint32Array(2);

function cString(path: string): Uint8Array {
  return new TextEncoder().encode(`${path}\0`);
}

export class SharedMemory {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  private readonly buffer: ArrayBuffer;
  private handle: number;

  /** A new file of zeros that only this user may open; fails (EEXIST) when there is one. */
  static create(path: string, size: number): SharedMemory {
    return SharedMemory.over(checked(library().kpx_shm_create(cString(path), size, 0o600), `create ${path}`));
  }

  static open(path: string): SharedMemory {
    return SharedMemory.over(checked(library().kpx_shm_open(cString(path)), `open ${path}`));
  }

  private static over(handle: number): SharedMemory {
    try {
      return new SharedMemory(handle);
    } catch (error) {
      library().kpx_shm_close(handle);
      throw error;
    }
  }

  private constructor(handle: number) {
    const size = checked(library().kpx_shm_size(handle), "kpx_shm_size");
    checked(library().kpx_shm_map(handle, address), "map shared memory");
    this.handle = handle;
    this.buffer = mappedMemory((address[0]! + address[1]! * 0x1_0000_0000) as Pointer, size);
    this.bytes = new Uint8Array(this.buffer);
    this.words = new Int32Array(this.buffer, 0, size >> 2);
  }

  get size(): number {
    return this.bytes.length;
  }

  get closed(): boolean {
    return this.handle < 0;
  }

  /** Allocates the memory behind a range, so that running out of it fails here (ENOSPC), not at a later write. */
  reserve(offset: number, size: number): void {
    checked(library().kpx_shm_reserve(this.handle, offset, size), "allocate shared memory");
  }

  /** Takes the lock on one byte; false when another holds it. It is given up by `unlock`, `close` or death. */
  lock(byte: number): boolean {
    const status = library().kpx_shm_lock(this.handle, byte);
    return status === -Errno.EAGAIN ? false : checked(status, "lock shared memory") === 0;
  }

  unlock(byte: number): void {
    checked(library().kpx_shm_unlock(this.handle, byte), "unlock shared memory");
  }

  /** Whether another handle, of this or any process, holds that byte's lock. */
  locked(byte: number): boolean {
    return checked(library().kpx_shm_locked(this.handle, byte), "look at a lock") === 1;
  }

  /** Whether `path` still names this file. */
  isAt(path: string): boolean {
    const status = library().kpx_shm_same(this.handle, cString(path));
    return status === -Errno.ENOENT ? false : checked(status, `look at ${path}`) === 1;
  }

  close(): void {
    if (this.handle < 0) return;
    const handle = this.handle;
    this.handle = -1;
    this.buffer.transfer(0);
    checked(library().kpx_shm_close(handle), "close shared memory");
  }
}

/** One end of a FIFO on which a process that sleeps in poll is woken. */
export class WakePipe {
  private handle: number;

  /** The sleeper's end: makes the FIFO. */
  static create(path: string): WakePipe {
    return new WakePipe(checked(library().kpx_wake_create(cString(path)), `create ${path}`));
  }

  /** The waker's end. */
  static open(path: string): WakePipe {
    return new WakePipe(checked(library().kpx_wake_open(cString(path)), `open ${path}`));
  }

  private constructor(handle: number) {
    this.handle = handle;
  }

  /** For poll only: readable when woken. */
  get fd(): number {
    return checked(library().kpx_wake_fd(this.handle), "kpx_wake_fd");
  }

  wake(): void {
    checked(library().kpx_wake_post(this.handle), "wake a reader");
  }

  drain(): void {
    checked(library().kpx_wake_drain(this.handle), "kpx_wake_drain");
  }

  close(): void {
    if (this.handle < 0) return;
    checked(library().kpx_wake_close(this.handle), "kpx_wake_close");
    this.handle = -1;
  }
}
