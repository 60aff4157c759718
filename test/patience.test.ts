/** When the thread of the turns is woken without preempting others, and when it stops doing so. */
import { expect, test } from "bun:test";
import { Patience } from "../src/node/patience.ts";

const MS = 1_000;
const SECOND = 1_000_000;

/** A thread that is told what it would read of itself. */
class FakeThread {
  waitedUs = 0;
  runs = 0;
  isPatient = false;
  may = true;
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

function begun() {
  const thread = new FakeThread();
  // What it waited for before counts for nothing.
  thread.ran(100, 9 * MS);
  const patience = new Patience(thread);
  patience.look(0);
  expect(thread.isPatient).toBe(true);
  return { thread, patience };
}

test("stays patient while waits are short", () => {
  const { thread, patience } = begun();
  for (let us = 100 * MS; us < 100 * SECOND; us += 100 * MS) {
    thread.ran(50, 300);
    patience.look(us);
    expect(thread.isPatient).toBe(true);
  }
});

test("long waits end it, before anybody has waited for much longer than it takes to know", () => {
  const { thread, patience } = begun();
  thread.ran(31, 3 * MS);
  patience.look(100 * MS);
  expect(thread.isPatient).toBe(true);
  // Of too few nothing is said, but they are not forgotten.
  thread.ran(1, 3 * MS);
  patience.look(200 * MS);
  expect([thread.isPatient, patience.isPatient]).toEqual([false, false]);
});

test("one long wait among many short ones does not", () => {
  const { thread, patience } = begun();
  thread.ran(1, 40 * MS);
  thread.ran(70, 50);
  patience.look(100 * MS);
  expect(thread.isPatient).toBe(true);
});

test("tries again later, each time later, up to some four minutes", () => {
  const { thread, patience } = begun();
  const tries: number[] = [];
  for (let us = 100 * MS; us < 1100 * SECOND; us += 100 * MS) {
    const before = thread.isPatient;
    if (before) thread.ran(32, 3 * MS);
    patience.look(us);
    if (thread.isPatient && !before) tries.push(us);
  }
  const pauses = tries.map((us, i) => Math.round((us - (tries[i - 1] ?? 0)) / SECOND));
  expect(pauses).toEqual([4, 8, 16, 32, 64, 128, 256, 256, 256]);
});

test("once it was right for ten seconds the next try is soon again", () => {
  const { thread, patience } = begun();
  let us = 0;
  const until = (wanted: boolean, waitUs: number): number => {
    const from = us;
    while (thread.isPatient !== wanted) {
      thread.ran(32, waitUs);
      us += 100 * MS;
      patience.look(us);
    }
    return us - from;
  };
  until(false, 3 * MS);
  until(true, 0);
  until(false, 3 * MS);
  expect(until(true, 0)).toBeGreaterThanOrEqual(8 * SECOND);
  for (const end = us + 11 * SECOND; us < end; us += 100 * MS) {
    thread.ran(32, 100);
    patience.look(us);
  }
  until(false, 3 * MS);
  expect(until(true, 0)).toBeLessThanOrEqual(4 * SECOND + 100 * MS);
});

test("who may not be patient is not asked again", () => {
  const thread = new FakeThread();
  thread.may = false;
  const patience = new Patience(thread);
  patience.look(0);
  thread.may = true;
  patience.look(100 * SECOND);
  expect([thread.isPatient, patience.isPatient]).toEqual([false, false]);
});

test("its end makes the thread an ordinary one", () => {
  const { thread, patience } = begun();
  patience.end();
  expect(thread.isPatient).toBe(false);
});
