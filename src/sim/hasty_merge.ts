/**
 * A merge with something wrong in it. For planted bugs only (`bugs.ts`).
 */
import { Merge, type MergeLane } from "../delivery/merge.ts";

/** Whoever has an instance is next: a group that is silent is gone past. */
export class HastyMerge extends Merge {
  override get turn(): MergeLane | null {
    const first = super.turn;
    if (first === null || first.learner.next <= first.learner.highestIid) return first;
    return this.lanes.find(({ learner }) => learner.next <= learner.highestIid) ?? first;
  }
}
