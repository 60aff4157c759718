/**
 * When a proposer that does not lead yet has some of the log chosen again, because its window does not hold all that phase 1
 * finds. Mostly what its learner reads moves the window on. It does not where nobody knows any more what is chosen, for all
 * acceptors have restarted, and no quorum shows it: one that is up has it alone, or they stand at different ballots. Then what lies
 * in the window, as far as a quorum has told all of it, is proposed again, as a leader would; and phase 1 begins anew behind it.
 * Pure.
 */
import type { ProposerWindow } from "./proposer_window.ts";
import type { RangePhase } from "./range_phase.ts";

export class Clearing {
  /** It is proposed again: nothing else is, and what promises tell has no part in it. */
  isOpen = false;
  /** How often that was so. */
  times = 0;
  /** What there is to be proposed again. */
  first = 1;
  last = 0;
  /** Where the window stands, and since when. */
  #low = 0;
  #sinceUs = 0;

  /** Another phase 1, of a window that stands here. */
  begin(low: number, nowUs: number): void {
    this.isOpen = false;
    this.#stands(low, nowUs);
  }

  open(): void {
    this.isOpen = true;
    this.times++;
  }

  /** The window has not moved for so long, and is in the way of more. */
  isDue({ low, instances }: ProposerWindow, phase: RangePhase, nowUs: number, patienceUs: number): boolean {
    if (low !== this.#low) this.#stands(low, nowUs);
    this.first = Math.max(phase.start, low);
    this.last = Math.min(phase.toldIid, low + instances - 1);
    return phase.isCut && nowUs - this.#sinceUs >= patienceUs && this.first <= this.last;
  }

  #stands(low: number, nowUs: number): void {
    this.#low = low;
    this.#sinceUs = nowUs;
  }
}
