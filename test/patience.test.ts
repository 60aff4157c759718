/** When the thread of the turns is woken without preempting others, and when it stops doing so. */
import { expect, test } from "bun:test";
import { Patience } from "../src/node/patience.ts";

const MS = 1_000;
const SECOND = 1_000_000;

/** A thread that is told what it would read of itself, and of the time that nobody uses. */
class FakeThread {
  waitedUs = 0;
  runs = 0;
  isPatient = false;
  may = true;
  spare = 0;
  #next: readonly [number, number] = [0, 0];

  setPatient(on: boolean): boolean {
    if (this.may) this.isPatient = on;
    return this.may;
  }

  look(): void {
    [this.waitedUs, this.runs] = this.#next;
  }

  /** From now on it has run so many times more and waited so long before each. */
  ran(times: number, waitUs: number): void {
    this.#next = [this.#next[0] + times * waitUs, this.#next[1] + times];
  }
}

/** A thread, looked at ten times a second; `us`: the last time. */
class Begun {
  readonly thread = new FakeThread();
  readonly patience: Patience;
  us = 0;

  constructor(spare: number) {
    const { thread } = this;
    thread.spare = spare;
    // What it waited for before counts for nothing.
    thread.ran(100, 9 * MS);
    this.patience = new Patience(thread, { look: () => thread.spare });
    this.patience.look(0);
  }

  /** Looks until it is patient, or is not any more, and says how long that took; before each look it ran so often. */
  until(wanted: boolean, waitUs: number): number {
    const fromUs = this.us;
    while (this.thread.isPatient !== wanted) {
      if (this.us - fromUs > 600 * SECOND)
        throw new Error(`after ten minutes it is not ${wanted ? "" : "im"}patient`);
      this.go(waitUs);
    }
    return this.us - fromUs;
  }

  go(waitUs: number): void {
    this.thread.ran(32, waitUs);
    this.us += 100 * MS;
    this.patience.look(this.us);
  }
}

function patient(): Begun {
  const begun = new Begun(0.5);
  begun.until(true, 0);
  return begun;
}

test("is patient a second after it began where there is time to spare, after four where there is none", () => {
  expect([new Begun(0.04), new Begun(0.03)].map((begun) => begun.until(true, 0))).toEqual([
    1.1 * SECOND,
    4 * SECOND,
  ]);
});

test("what was spare while it looks, not before, is what counts", () => {
  const begun = new Begun(0);
  for (let i = 0; i < 15; i++) begun.go(0);
  begun.thread.spare = 0.5;
  begun.until(true, 0);
  expect(begun.us).toBe(2.1 * SECOND);
});

test("stays patient while waits are short", () => {
  const { thread, patience, us: begunUs } = patient();
  for (let us = begunUs + 100 * MS; us < 100 * SECOND; us += 100 * MS) {
    thread.ran(50, 300);
    patience.look(us);
    expect(thread.isPatient).toBe(true);
  }
});

test("long waits end it, before anybody has waited for much longer than it takes to know", () => {
  const { thread, patience, us } = patient();
  thread.ran(31, 3 * MS);
  patience.look(us + 100 * MS);
  expect(thread.isPatient).toBe(true);
  // Of too few nothing is said, but they are not forgotten.
  thread.ran(1, 3 * MS);
  patience.look(us + 200 * MS);
  expect([thread.isPatient, patience.isPatient]).toEqual([false, false]);
});

test("one long wait among many short ones does not", () => {
  const { thread, patience, us } = patient();
  thread.ran(1, 40 * MS);
  thread.ran(70, 50);
  patience.look(us + 100 * MS);
  expect(thread.isPatient).toBe(true);
});

/** Seconds from one try to the next, where each of them is in vain. */
function pauses(spare: number, count: number): number[] {
  const begun = new Begun(spare);
  return Array.from({ length: count }, () => {
    const pausedUs = begun.until(true, 0);
    begun.until(false, 3 * MS);
    return Math.round(pausedUs / SECOND);
  });
}

test("tries again later, each time later, up to some four minutes", () => {
  expect(pauses(0, 9)).toEqual([4, 8, 16, 32, 64, 128, 256, 256, 256]);
});

test("with time to spare it tries after a quarter of that", () => {
  expect(pauses(0.1, 9)).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64]);
});

test("once it was right for ten seconds the next try is soon again", () => {
  const begun = patient();
  begun.thread.spare = 0;
  begun.until(false, 3 * MS);
  expect(begun.until(true, 0)).toBe(8 * SECOND);
  for (let i = 0; i < 110; i++) begun.go(100);
  begun.until(false, 3 * MS);
  expect(begun.until(true, 0)).toBe(4 * SECOND);
});

test("who may not be patient is not asked again", () => {
  const begun = new Begun(0.5);
  begun.thread.may = false;
  for (let i = 0; i < 50; i++) begun.go(0);
  begun.thread.may = true;
  for (let i = 0; i < 3000; i++) begun.go(0);
  expect([begun.thread.isPatient, begun.patience.isPatient]).toEqual([false, false]);
});

test("its end makes the thread an ordinary one", () => {
  const { thread, patience } = patient();
  patience.end();
  expect(thread.isPatient).toBe(false);
});
