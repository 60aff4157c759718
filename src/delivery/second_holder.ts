/**
 * Who else has the state that a process keeps in memory: what is trimmed has to outlive any one process. Asks for offers of the
 * same kind while the process has more than it may report; what an offer covers at the moment it comes may be reported. Says
 * when nobody offers anything, and what to do.
 *
 * Never remembers an offer: who made it may be gone by the time there is more to report. When all goes well it asks once for a
 * snapshot, as soon as there is one to report: a log that grows by a window in a second is trimmed several times in it. In vain it
 * asks once a second, and a few times a second when acceptors run full.
 */
import type { Log } from "../log.ts";
import type { Outbox } from "../protocol/outbox.ts";

const ASK_US = 1_000_000;
/** Never sooner again. */
const LEAST_ASK_US = 20_000;
const PRESSED_ASK_US = 250_000;
/** Nobody has answered for so long: somebody should know. */
const PATIENCE_US = 10_000_000;
const PRESSED_PATIENCE_US = 3_000_000;
const AGAIN_US = 60_000_000;
const MOST_US = 600_000_000;
const NEVER = Number.POSITIVE_INFINITY;

export interface SecondHolderOptions {
  readonly kind: number;
  /** For people: what is held; and what processes need to be asked, if anything. */
  readonly what: string;
  readonly needs: string;
  readonly outbox: Pick<Outbox, "snapshotAsk">;
  readonly log: Log;
}

/** What the learner knows of the acceptors: one is half full; everything up to `trimmedIid` is gone. */
export interface LogSeen {
  readonly isPressed: boolean;
  readonly trimmedIid: number;
}

/** What is held here, and what of it may be reported. */
export interface Holding {
  readonly ripe: number;
  readonly reported: number;
  covered(iid: number): void;
}

export class SecondHolder {
  readonly counters = { asked: 0, offers: 0 };
  readonly #options: SecondHolderOptions;
  readonly #holding: Holding;
  /** What there was to report when it was last looked. */
  #ripe = 0;
  /** An offer came for it that covers a part: the rest can wait for the next one. */
  #isContent = false;
  #askDueUs = 0;
  #askedUs = 0;
  /** Since when it asks in vain; −1: it does not. */
  #vainUs = -1;
  #nowUs = 0;
  #sayDueUs = 0;
  #sayPauseUs = AGAIN_US;

  constructor(holding: Holding, options: SecondHolderOptions) {
    this.#holding = holding;
    this.#options = options;
  }

  /** For so long nobody else has offered what is held here alone; 0: not so. */
  get aloneUs(): number {
    const us = this.#vainUs < 0 ? 0 : this.#nowUs - this.#vainUs;
    return us < PRESSED_PATIENCE_US ? 0 : us;
  }

  tick(nowUs: number, log: LogSeen): void {
    this.#nowUs = nowUs;
    const { ripe, reported } = this.#holding;
    if (ripe !== this.#ripe) {
      this.#ripe = ripe;
      this.#isContent = false;
      this.#askDueUs = Math.min(this.#askDueUs, this.#askedUs + LEAST_ASK_US);
    }
    const { isPressed } = log;
    if (ripe <= reported || (this.#isContent && !isPressed)) {
      this.#vainUs = -1;
      return;
    }
    if (this.#vainUs < 0) this.#begin(nowUs);
    if (isPressed) this.#askDueUs = Math.min(this.#askDueUs, nowUs + PRESSED_ASK_US);
    if (nowUs >= this.#askDueUs) {
      this.#askDueUs = nowUs + (isPressed ? PRESSED_ASK_US : ASK_US);
      this.#askedUs = nowUs;
      this.counters.asked++;
      // Above 0 asks who wants to begin, and is given a snapshot of now.
      this.#options.outbox.snapshotAsk(this.#options.kind, Math.max(1, reported));
    }
    this.#say(nowUs, log);
  }

  dueUs(): number {
    return this.#vainUs < 0 ? NEVER : this.#askDueUs;
  }

  /** Somebody has a snapshot that covers everything up to `iid`, now. */
  onOffer(kind: number, iid: number): void {
    const { ripe, reported } = this.#holding;
    if (kind !== this.#options.kind || iid <= reported || ripe <= reported) return;
    this.counters.offers++;
    this.#holding.covered(iid);
    this.#isContent = true;
    this.#vainUs = -1;
  }

  /** Why the log is not trimmed, and what helps; what is said of it depends on whether it can still be read from its beginning. */
  text(trimmedIid: number): string {
    const { what, needs } = this.#options;
    const help =
      trimmedIid > 0
        ? `Start a second process that has it${needs}, and do not end this one before: instances 1 to ${trimmedIid} are trimmed`
        : `Start a second process that has it${needs}; or restart this one with snapshot-path DIR: it reads the log from instance 1 again, and nothing is lost`;
    return `only this process has the state of ${what} behind instance ${this.#holding.reported}, in memory: it would be lost with it, so what is behind is not trimmed until the log is full. ${help}`;
  }

  #begin(nowUs: number): void {
    this.#vainUs = nowUs;
    this.#askDueUs = Math.max(nowUs, this.#askDueUs);
    this.#sayDueUs = 0;
    this.#sayPauseUs = AGAIN_US;
  }

  #say(nowUs: number, log: LogSeen): void {
    const patienceUs = log.isPressed ? PRESSED_PATIENCE_US : PATIENCE_US;
    if (nowUs < Math.max(this.#vainUs + patienceUs, this.#sayDueUs)) return;
    this.#sayDueUs = nowUs + this.#sayPauseUs;
    this.#sayPauseUs = Math.min(MOST_US, 2 * this.#sayPauseUs);
    this.#options.log.warn(this.text(log.trimmedIid));
  }
}
