/**
 * What a deposed leader had proposed may be chosen as long as nothing else is in its instances: it is not sent on before. A leader
 * whose quorum has no record of it knows nothing of these instances, and has no need of them unless it is asked. Pure.
 */
import type { LeadershipParts } from "./leadership.ts";

/** It is mostly chosen, or takes its next place, within such a time; then it asks for that. */
const STRANDED_US = 1_000_000;

export class Stranded {
  /** When who follows looks whether something is chosen in all instances that it had opened; ∞: it is. */
  dueUs = Number.POSITIVE_INFINITY;

  /** It follows somebody from now on. */
  begin(nowUs: number): void {
    this.dueUs = nowUs + STRANDED_US;
  }

  look(leader: number, { phaseTwo, learner, outbox }: LeadershipParts, nowUs: number): void {
    this.dueUs = phaseTwo.isIdle ? Number.POSITIVE_INFINITY : nowUs + STRANDED_US;
    const last = phaseTwo.highestIid;
    if (!phaseTwo.isIdle && learner.chosenIid < last) outbox.advance(leader, last);
  }
}
