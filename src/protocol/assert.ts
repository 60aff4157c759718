/** Stops the process when an invariant does not hold: a bug of ours, never of the input. */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${what}`);
}
