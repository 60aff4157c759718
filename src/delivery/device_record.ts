/**
 * The record stream of Kernel_Paxos' character device, for pipes and unmodified programs: u64 size, then the value.
 */
import { copyBytes } from "../protocol/bytes.ts";
import { DEVICE_RECORD_BYTES, writeDeviceRecord } from "../wire/client_record.ts";

/** Writes one record into `into` at `at`; returns its bytes, or −1 when it does not fit. */
export function deviceRecord(
  into: Uint8Array,
  at: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
): number {
  const size = DEVICE_RECORD_BYTES + length;
  if (at + size > into.length) return -1;
  writeDeviceRecord(into, at, length);
  copyBytes(bytes, offset, into, at + DEVICE_RECORD_BYTES, length);
  return size;
}
