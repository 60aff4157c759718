/**
 * Which records are known to be the chosen value. A leader announces that everything up to an instance is chosen; what it
 * proposed there itself, at the ballot and in the life of the announcement, is then what was chosen (a leader stops announcing
 * when it learns of a choice above its ballot). Such a record needs no second witness when it is repeated.
 *
 * Work is done once for each instance of a leadership, whenever the record and its announcement come.
 */

import { type Ballot, type Life, NO_BALLOT } from "../types.ts";
import type { AcceptorLog } from "./acceptor_log.ts";
import { RecordFlag } from "./journal.ts";

export class ChosenMarks {
  readonly #log: AcceptorLog;
  #ballot: Ballot = NO_BALLOT;
  #life: Life = 0;
  /** What this leader has announced. */
  #announcedIid = 0;
  /** The lowest instance accepted from it that was not announced at the time. */
  #lowestIid = Number.POSITIVE_INFINITY;

  constructor(log: AcceptorLog) {
    this.#log = log;
  }

  /** The leader of (ballot, life) says that every instance ≤ `iid` is chosen. */
  announced(iid: number, ballot: Ballot, life: Life): void {
    if (!this.#follows(ballot, life) || iid <= this.#announcedIid) return;
    const log = this.#log;
    const last = Math.min(iid, log.highestIid);
    for (let i = Math.max(this.#announcedIid + 1, this.#lowestIid, log.trimIid + 1); i <= last; i++) {
      if (log.ballotAt(i) === ballot && log.lifeAt(i) === life) this.#mark(i);
    }
    this.#announcedIid = iid;
  }

  /** An instance was accepted at (ballot, life). */
  accepted(iid: number, ballot: Ballot, life: Life): void {
    if (!this.#follows(ballot, life)) return;
    if (iid <= this.#announcedIid) this.#mark(iid);
    else if (iid < this.#lowestIid) this.#lowestIid = iid;
  }

  #mark(iid: number): void {
    this.#log.setFlags(iid, this.#log.flagsAt(iid) | RecordFlag.chosen);
  }

  /** False: a former leader. */
  #follows(ballot: Ballot, life: Life): boolean {
    if (ballot < this.#ballot) return false;
    if (ballot === this.#ballot && life === this.#life) return true;
    this.#ballot = ballot;
    this.#life = life;
    this.#announcedIid = 0;
    this.#lowestIid = Number.POSITIVE_INFINITY;
    return true;
  }
}
