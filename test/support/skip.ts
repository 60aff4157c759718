/**
 * Tests that need something of the machine: where it is missing they are skipped, and the reason is part of the name.
 */
import { describe, test } from "bun:test";

/** `reason` undefined: nothing is missing. `group`: `describe.concurrent` for tests that mostly wait. */
export function describeUnless(
  reason: string | undefined,
  name: string,
  body: () => void,
  group: (name: string, body: () => void) => void = describe,
): void {
  if (reason === undefined) group(name, body);
  else describe.skip(name, () => test(reason, () => {}));
}
