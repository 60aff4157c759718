/**
 * The setting `scheduling auto`: the thread of the turns is *patient*, woken without preempting whoever runs (SCHED_BATCH), as long as
 * that costs it little. Processes of a cluster that share processors then work off what they have before the next one does, instead
 * of being pushed aside by those they send to. But beside a program that does not sleep a patient thread waits for the end of a time
 * slice, each time it is woken: when its waits are long it becomes an ordinary thread, and tries again later, later each time.
 *
 * Invariants: what it costs to find out that the waits are long is bounded, about a tenth of a second in each pause between two tries;
 * who never waits long stays patient.
 */

/** How often the waits are looked at. */
const LOOK_US = 100_000;
/** Fewer say nothing: a processor may be stopped once for tens of milliseconds, by the kernel or a hypervisor. */
const WAKES = 32;
/** Longer than others of a cluster under full load work between two sleeps, shorter than a time slice. */
const LONG_WAIT_US = 700;
/** Each process of a cluster tries by itself, and one that is slow slows all. */
const RETRY_FIRST_US = 4_000_000;
const RETRY_MAX_US = 256_000_000;
/** Patience that lasts so long was right: the next retry is soon again. */
const PROVEN_US = 10_000_000;

/** The thread that is patient or not. */
export interface PatientThread {
  /** False: it may not. */
  setPatient(on: boolean): boolean;
  /** Reads how long it has been ready to run and did not, and how often it has run; since its beginning. */
  look(): void;
  readonly waitedUs: number;
  readonly runs: number;
}

export class Patience {
  readonly #thread: PatientThread;
  isPatient = false;
  #nextUs = 0;
  #sinceUs = 0;
  #retryUs = RETRY_FIRST_US;
  #waitedUs = 0;
  #runs = 0;

  constructor(thread: PatientThread) {
    this.#thread = thread;
  }

  /** To be called often; `nowUs` never goes back. */
  look(nowUs: number): void {
    if (nowUs < this.#nextUs) return;
    this.#nextUs = nowUs + LOOK_US;
    const thread = this.#thread;
    thread.look();
    if (!this.isPatient) {
      this.#sinceUs = nowUs;
      if (!this.#become(true)) this.#nextUs = Number.POSITIVE_INFINITY;
    } else {
      const runs = thread.runs - this.#runs;
      if (runs < WAKES) return;
      if (thread.waitedUs - this.#waitedUs > LONG_WAIT_US * runs) {
        this.#become(false);
        this.#nextUs = nowUs + this.#retryUs;
        this.#retryUs = Math.min(RETRY_MAX_US, 2 * this.#retryUs);
      } else if (nowUs - this.#sinceUs > PROVEN_US) {
        this.#retryUs = RETRY_FIRST_US;
      }
    }
    this.#waitedUs = thread.waitedUs;
    this.#runs = thread.runs;
  }

  /** The thread is an ordinary one from now on. */
  end(): void {
    if (this.isPatient) this.#become(false);
  }

  #become(patient: boolean): boolean {
    const may = this.#thread.setPatient(patient);
    this.isPatient = patient && may;
    return may;
  }
}
