/**
 * Work that a signal stops and that cleans up before the signal takes its usual effect.
 */
import { endStreams } from "../streams.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs `body`; a signal stops it, and then ends this process as it would have done without us. */
export async function stoppable<T>(body: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  let received: (typeof SIGNALS)[number] | undefined;
  const onSignal = (signal: (typeof SIGNALS)[number]): void => {
    received = signal;
    stop.abort(new Error(`ended by ${signal}`));
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const leave = (): void => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
  try {
    const result = await body(stop.signal);
    leave();
    return result;
  } catch (error) {
    leave();
    if (received === undefined || error !== stop.signal.reason) throw error;
    const signal = received;
    // What was written before goes out; a second signal does not wait for that.
    endStreams(() => process.kill(process.pid, signal));
    return await new Promise(() => undefined);
  }
}
