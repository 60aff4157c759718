/**
 * Waiting that a stop ends, and work that does not wait but hears it.
 */
const NAP_MS = 50;

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

/** Between two pieces of work that keep the event loop: a signal has its turn. */
export async function hear(stop: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  stop.throwIfAborted();
}

/** Sleeps, and hears a stop soon. */
export async function pause(ms: number, stop: AbortSignal): Promise<void> {
  const untilMs = performance.now() + ms;
  for (let left = ms; left > 0; left = untilMs - performance.now()) {
    await Bun.sleep(Math.min(left, NAP_MS));
    stop.throwIfAborted();
  }
}
