/**
 * When a leader has all sessions of the log begin anew: it does not know them, all that it found when it began is chosen, and
 * for a while nobody has led it on with a snapshot. Pure.
 *
 * More than one, or one too many, does no harm: the sessions there were are forgotten by all learners at the same instance,
 * and their clients told so.
 */
/** It is waited for so many leader timeouts. */
const TIMEOUTS = 4;
const NEVER = Number.POSITIVE_INFINITY;

export class SessionReset {
  proposed = 0;
  /** When it is to be proposed, as far as is known now. */
  dueUs = NEVER;
  readonly #patienceUs: number;

  constructor(leaderTimeoutUs: number) {
    this.#patienceUs = TIMEOUTS * leaderTimeoutUs;
  }

  /** `isWanted`: the leader can do it, and nothing else. True: now; and again after as long if nothing comes of it. */
  isDue(isWanted: boolean, nowUs: number): boolean {
    if (!isWanted) {
      this.dueUs = NEVER;
      return false;
    }
    if (this.dueUs === NEVER) this.dueUs = nowUs + this.#patienceUs;
    if (nowUs < this.dueUs) return false;
    this.dueUs = nowUs + this.#patienceUs;
    return true;
  }
}
