/**
 * Snapshots that are relied on too early. For planted bugs only (`bugs.ts`).
 */
import type { Snapshots } from "../delivery/snapshots.ts";

/** Reports what is in memory here, whoever else has it. */
export function reportsAlone({ policy }: Snapshots): void {
  const tick = policy.tick.bind(policy);
  policy.tick = (nowUs, acknowledged, isPressed) => {
    tick(nowUs, acknowledged, isPressed);
    policy.covered(policy.ripe);
  };
}
