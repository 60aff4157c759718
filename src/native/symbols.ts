/**
 * Signatures of the link functions (`ffi/kpaxos.h`), as data.
 */
import { FFIType } from "bun:ffi";

const { i32, ptr, u32 } = FFIType;

export const linkSymbols = {
  /** (options, words) → handle */
  kpx_link_open: { args: [ptr, u32], returns: i32 },
  kpx_link_close: { args: [i32], returns: i32 },
  kpx_link_area: { args: [i32], returns: ptr },
  /** (handle, numbers, count) → how many there are */
  kpx_link_info: { args: [i32, ptr, u32], returns: i32 },
  kpx_link_counters: { args: [i32, ptr, u32], returns: i32 },
  /** (handle, ntx, max, spinUs, waitUs) → frames */
  kpx_link_step: { args: [i32, u32, u32, u32, u32], returns: i32 },
  kpx_link_wake: { args: [i32], returns: i32 },
  /** (handle, fd) */
  kpx_link_watch: { args: [i32, i32], returns: i32 },
  /** (handle, queue) → fd */
  kpx_link_fd: { args: [i32, u32], returns: i32 },
  /** (words, count) → how many interfaces there are */
  kpx_interfaces: { args: [ptr, u32], returns: i32 },
  /** (name, bytes) */
  kpx_interface_up: { args: [ptr, u32], returns: i32 },
  /** → fd */
  kpx_event_loop_fd: { args: [], returns: i32 },
  /** (cpus, count) */
  kpx_pin: { args: [ptr, u32], returns: i32 },
  /** → policy */
  kpx_scheduling: { args: [], returns: i32 },
  /** (on) */
  kpx_set_realtime: { args: [u32], returns: i32 },
  kpx_set_patient: { args: [u32], returns: i32 },
  /** (bytes, length) */
  kpx_crc32c: { args: [ptr, u32], returns: u32 },
  /** (key, length, words) */
  kpx_hmac_prepare: { args: [ptr, u32, ptr], returns: i32 },
  /** (words, bytes, length, digest) */
  kpx_hmac_sha256: { args: [ptr, ptr, u32, ptr], returns: i32 },
} as const;
