/**
 * Which processors the calling thread runs on; threads that the runtime has already made stay free, those it makes later do not.
 * And before whom all threads run.
 */
import { library } from "./library.ts";
import { Errno, unwrap } from "./unwrap.ts";

/** False: there is no such processor, or this process may not use it; nothing has changed then. */
export function pinThread(cpus: readonly number[]): boolean {
  const result = library().kpx_pin(Uint32Array.from(cpus), cpus.length);
  if (result === -Errno.ENODEV) return false;
  unwrap(result, `run on processor ${cpus.join(", ")}`);
  return true;
}

/** The policies of sched(7) that are told apart here. */
export const Policy = { other: 0, fifo: 1, roundRobin: 2, batch: 3, deadline: 6 } as const;

/** The scheduling policy of the calling thread, as in sched(7). */
export function schedulingPolicy(): number {
  return unwrap(library().kpx_scheduling(), "read the scheduling policy");
}

/** Gives all threads the lowest real-time priority (SCHED_RR), or the ordinary policy. False: this process may not. */
export function setRealtime(on: boolean): boolean {
  const result = library().kpx_set_realtime(on ? 1 : 0);
  if (result === -Errno.EPERM) return false;
  unwrap(result, "change the scheduling policy");
  return true;
}

/**
 * Makes the calling thread one that is woken without preempting whoever runs (SCHED_BATCH), or an ordinary one again. A thread of any
 * other policy stays as it is. False: this process may not (a sandbox).
 */
export function setPatient(on: boolean): boolean {
  const result = library().kpx_set_patient(on ? 1 : 0);
  if (result === -Errno.EPERM) return false;
  unwrap(result, "change the scheduling policy");
  return true;
}
