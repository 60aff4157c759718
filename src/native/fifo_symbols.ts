/**
 * Signatures of the packet FIFO functions (`ffi/fifo.h`), as data.
 */
import { FFIType } from "bun:ffi";

const { i32, ptr } = FFIType;

export const fifoSymbols = {
  /** (path, mode) */
  kpx_fifo_make: { args: [ptr, i32], returns: i32 },
  /** (path) → handle */
  kpx_fifo_open: { args: [ptr], returns: i32 },
  /** (handle, memory, bytes, offset, length) */
  kpx_fifo_write: { args: [i32, ptr, i32, i32, i32], returns: i32 },
  kpx_fifo_close: { args: [i32], returns: i32 },
} as const;
