/**
 * Signatures of the ring, shared memory and wake-up functions (`ffi/ring.h`, `ffi/shm.h`), as data.
 */
import { FFIType } from "bun:ffi";

const { i32, ptr } = FFIType;

export const ringSymbols = {
  /** (capacity) → bytes; does nothing else, so it also measures the price of a call. */
  kpx_ring_bytes: { args: [i32], returns: i32 },
  /** (memory, bytes, offset, capacity) */
  kpx_ring_init: { args: [ptr, i32, i32, i32], returns: i32 },
  /** (memory, bytes, offset) → capacity */
  kpx_ring_check: { args: [ptr, i32, i32], returns: i32 },
  /** (memory, bytes, offset, tail, timeoutUs) → 1: look again, 0: time is over */
  kpx_ring_wait: { args: [ptr, i32, i32, i32, i32], returns: i32 },
  /** (memory, bytes, offset) */
  kpx_ring_wake: { args: [ptr, i32, i32], returns: i32 },
  /** (path, bytes, mode) → handle */
  kpx_shm_create: { args: [ptr, i32, i32], returns: i32 },
  /** (path) → handle */
  kpx_shm_open: { args: [ptr], returns: i32 },
  kpx_shm_size: { args: [i32], returns: i32 },
  /** (handle, address[2]) */
  kpx_shm_map: { args: [i32, ptr], returns: i32 },
  /** (handle, offset, bytes) */
  kpx_shm_reserve: { args: [i32, i32, i32], returns: i32 },
  /** (handle, byte) */
  kpx_shm_lock: { args: [i32, i32], returns: i32 },
  kpx_shm_unlock: { args: [i32, i32], returns: i32 },
  /** (handle, byte) → 1: locked by another */
  kpx_shm_locked: { args: [i32, i32], returns: i32 },
  /** (handle, path) → 1: still the same file */
  kpx_shm_same: { args: [i32, ptr], returns: i32 },
  kpx_shm_close: { args: [i32], returns: i32 },
  /** (path) → handle */
  kpx_wake_create: { args: [ptr], returns: i32 },
  kpx_wake_open: { args: [ptr], returns: i32 },
  kpx_wake_fd: { args: [i32], returns: i32 },
  kpx_wake_post: { args: [i32], returns: i32 },
  kpx_wake_drain: { args: [i32], returns: i32 },
  kpx_wake_close: { args: [i32], returns: i32 },
} as const;
