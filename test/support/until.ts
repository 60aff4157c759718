/**
 * Waiting for a condition instead of for a time.
 */
export class TimedOut extends Error {}

/** Asks again every few milliseconds until `ask` returns something other than undefined or false. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() >= deadline) throw new TimedOut(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(5);
  }
}
