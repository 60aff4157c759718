/**
 * Says that a learner stands still because no snapshot leads past what is trimmed, why that can be, and what to do: after a
 * moment, then less and less often.
 */
import type { Log } from "../log.ts";

const FIRST_US = 2_000_000;
const AGAIN_US = 10_000_000;
const MOST_US = 300_000_000;

const BEGIN_EMPTY =
  "has it begin with an empty state: what came before is not in it, and two that begin so at different places differ, so only ever the first one.";

export interface Standstill {
  /** Everything up to here is trimmed. */
  readonly trimmedIid: number;
  /** What the snapshot must be of, for people. */
  readonly what: string;
  /** How it can be told to begin without; undefined: it cannot. */
  readonly beginEmptyBy: string | undefined;
  /** It is of an application's state, which nothing but the log or a snapshot can bring back. */
  readonly hasState: boolean;
  readonly sinceUs: number;
}

export class StandstillNote {
  readonly #log: Log;
  #sinceUs = -1;
  #dueUs = 0;
  #pauseUs = AGAIN_US;

  constructor(log: Log) {
    this.#log = log;
  }

  /** It can go on. */
  over(): void {
    this.#sinceUs = -1;
  }

  look(nowUs: number, still: Standstill): void {
    if (still.sinceUs !== this.#sinceUs) {
      this.#sinceUs = still.sinceUs;
      this.#dueUs = still.sinceUs + FIRST_US;
      this.#pauseUs = AGAIN_US;
    }
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + this.#pauseUs;
    this.#pauseUs = Math.min(MOST_US, 2 * this.#pauseUs);
    const seconds = Math.round((nowUs - still.sinceUs) / 1e6);
    const ifNone = still.hasState
      ? "what they made is lost, and only a new log helps"
      : "all sessions begin anew once a proposer leads that knows of none either";
    const by = still.beginEmptyBy;
    const orEmpty =
      by === undefined ? "" : ` If this is the first process that ever had one here, ${by} ${BEGIN_EMPTY}`;
    this.#log.error(
      `nothing can be delivered here: instances 1 to ${still.trimmedIid} are trimmed, and for ${seconds} s nobody has offered a snapshot of ${still.what} that leads past them. Start a process that has one, in memory or in its snapshot-path. If none is left, ${ifNone}: docs/storage.md, "No snapshot is left".${orEmpty}`,
    );
  }
}
