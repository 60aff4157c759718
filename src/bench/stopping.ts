/**
 * Waiting and working that a stop ends.
 */
const NAP_MS = 50;
/** So often a long row of calls lets the event loop have a turn, in which it hears of signals. */
const CALLS_A_TURN = 50;

/** Rejects when `stop` does, whatever `work` waits for then. */
export async function orStopped<T>(work: Promise<T>, stop: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onStop = (): void => reject(stop.reason);
  stop.addEventListener("abort", onStop, { once: true });
  // What dies because it was stopped says nothing new.
  work.catch(() => undefined);
  try {
    stop.throwIfAborted();
    return await Promise.race([work, promise]);
  } finally {
    stop.removeEventListener("abort", onStop);
  }
}

/** Sleeps, and hears a stop soon. */
export async function pause(ms: number, stop: AbortSignal): Promise<void> {
  const untilMs = performance.now() + ms;
  for (let left = ms; left > 0; left = untilMs - performance.now()) {
    await Bun.sleep(Math.min(left, NAP_MS));
    stop.throwIfAborted();
  }
}

/** What each of so many calls takes, in microseconds. */
export async function timesUs(calls: number, call: () => void, stop: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  while (times.length < calls) {
    if (times.length % CALLS_A_TURN === 0) await Bun.sleep(0);
    stop.throwIfAborted();
    const began = performance.now();
    call();
    times.push((performance.now() - began) * 1000);
  }
  return times;
}
