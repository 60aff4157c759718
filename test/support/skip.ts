/**
 * Tests that need something of the machine: where it is missing they are skipped, and the reason is part of the name.
 */
import { describe, test } from "bun:test";

/** `reason` undefined: nothing is missing. */
export function describeUnless(reason: string | undefined, name: string, body: () => void): void {
  if (reason === undefined) describe(name, body);
  else describe.skip(name, () => test(reason, () => {}));
}
