/**
 * Says when a learner has far to go, and when it has arrived.
 */
import type { Log } from "../log.ts";
import type { Learner } from "../protocol/learner/learner.ts";

/** Instances behind that are worth a line, and how near is the head. */
const FAR = 5000;
const NEAR = 256;

export class CatchUpNote {
  readonly #log: Log;
  #sinceUs = -1;
  #from = 0;
  #bytes = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  look(nowUs: number, { next, highestIid, counters }: Learner): void {
    if (next === 0) return;
    const behind = highestIid + 1 - next;
    if (this.#sinceUs < 0) {
      if (behind < FAR) return;
      this.#sinceUs = nowUs;
      this.#from = next;
      this.#bytes = counters.deliveredBytes;
      this.#log.info(`reads on from instance ${next}: ${behind} behind`);
    } else if (behind < NEAR) {
      const seconds = Math.max(1, nowUs - this.#sinceUs) / 1e6;
      const rate = Math.round((next - this.#from) / seconds);
      const megabytes = ((counters.deliveredBytes - this.#bytes) / 1e6).toFixed(1);
      this.#sinceUs = -1;
      this.#log.info(
        `is at the head, instance ${next - 1}, after ${seconds.toFixed(2)} s: ${rate} instances/s, ${megabytes} MB`,
      );
    }
  }
}
