/**
 * `describe` for tests that need network namespaces. Where they cannot be made the block is skipped and says why;
 * with KPAXOS_REQUIRE_NETNS=1 (CI) that is a failure instead.
 */
import { describe, test } from "bun:test";
import { canMakeNamespaces } from "../../src/ops/lab_capability.ts";

function whyNot(): string | undefined {
  const ability = canMakeNamespaces();
  if (!ability.ok) return `${ability.reason}; ${ability.hint}`;
  return ability.reenter
    ? "no permission to make network namespaces; run the tests as root or inside " +
        "`unshare --user --map-root-user --net --mount sh -c 'mount -t tmpfs tmpfs /run && npm test'`"
    : undefined;
}

/** `group`: `describe.concurrent` for tests that mostly wait. */
export function describeNetns(
  name: string,
  body: () => void,
  group: (name: string, body: () => void) => void = describe,
): void {
  const reason = whyNot();
  if (reason === undefined) {
    group(name, body);
    return;
  }
  if (process.env.KPAXOS_REQUIRE_NETNS === "1") throw new Error(`KPAXOS_REQUIRE_NETNS=1, but ${reason}`);
  console.warn(`skipped: ${name}: ${reason}`);
  describe.skip(name, () => test(reason, () => {}));
}
