/**
 * Ties the calling thread to processors. Threads that the runtime has already made stay free; those it makes later do not.
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
