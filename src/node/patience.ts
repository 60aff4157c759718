/**
 * The setting `scheduling auto`: the thread of the turns is *patient*, woken without preempting whoever runs (SCHED_BATCH), as long as
 * that costs it little. Processes of a cluster that share processors then work off what they have before the next one does, instead
 * of being pushed aside by those they send to. But beside a program that does not sleep a patient thread waits for the end of a time
 * slice, each time it is woken: when its waits are long it becomes an ordinary thread, and tries again later, later each time; sooner
 * where processors had time to spare, which as many programs that do not sleep would not leave.
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
/** Before a try; each process of a cluster tries by itself, and one that is slow slows all. */
const PAUSE_FIRST_US = 4_000_000;
const PAUSE_MAX_US = 256_000_000;
/** With time to spare a part of the pause is enough. How often that is looked for, and what share of the processors is some. */
const SPARE_PAUSE = 1 / 4;
const SPARE_LOOK_US = 1_000_000;
const SPARE = 0.04;
/** Patience that lasted so long was right: the next pause is short again. */
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

/** The share of the processors that nobody used since the last look, in 0…1. */
export interface Spare {
  look(): number;
}

export class Patience {
  readonly #thread: PatientThread;
  readonly #spare: Spare;
  isPatient = false;
  #nextUs = 0;
  /** Since when it is patient, or is not; negative before the first look. */
  #sinceUs = -1;
  #pauseUs = PAUSE_FIRST_US;
  #spareDueUs = 0;
  #waitedUs = 0;
  #runs = 0;

  constructor(thread: PatientThread, spare: Spare) {
    this.#thread = thread;
    this.#spare = spare;
  }

  /** To be called often; `nowUs` never goes back. */
  look(nowUs: number): void {
    if (nowUs < this.#nextUs) return;
    this.#nextUs = nowUs + LOOK_US;
    if (this.#sinceUs < 0) this.#pause(nowUs);
    else if (this.isPatient) this.#review(nowUs);
    else if (this.#isTime(nowUs)) this.#try(nowUs);
  }

  /** The thread is an ordinary one from now on. */
  end(): void {
    if (this.isPatient) this.#become(false);
  }

  #pause(nowUs: number): void {
    this.#sinceUs = nowUs;
    this.#spareDueUs = nowUs + SPARE_PAUSE * this.#pauseUs - SPARE_LOOK_US;
  }

  #isTime(nowUs: number): boolean {
    const pausedUs = nowUs - this.#sinceUs;
    if (pausedUs >= this.#pauseUs) return true;
    if (nowUs < this.#spareDueUs) return false;
    this.#spareDueUs = nowUs + SPARE_LOOK_US;
    // The first look, before that part is over, only begins.
    return this.#spare.look() >= SPARE && pausedUs >= SPARE_PAUSE * this.#pauseUs;
  }

  #try(nowUs: number): void {
    this.#sinceUs = nowUs;
    if (!this.#become(true)) this.#nextUs = Number.POSITIVE_INFINITY;
    // What it waited for before counts for nothing.
    this.#thread.look();
    this.#remember();
  }

  #review(nowUs: number): void {
    const thread = this.#thread;
    thread.look();
    const runs = thread.runs - this.#runs;
    if (runs < WAKES) return;
    if (thread.waitedUs - this.#waitedUs <= LONG_WAIT_US * runs) {
      this.#remember();
      return;
    }
    this.#become(false);
    const wasRight = nowUs - this.#sinceUs > PROVEN_US;
    this.#pauseUs = wasRight ? PAUSE_FIRST_US : Math.min(PAUSE_MAX_US, 2 * this.#pauseUs);
    this.#pause(nowUs);
  }

  #remember(): void {
    this.#waitedUs = this.#thread.waitedUs;
    this.#runs = this.#thread.runs;
  }

  #become(patient: boolean): boolean {
    const may = this.#thread.setPatient(patient);
    this.isPatient = patient && may;
    return may;
  }
}
