/**
 * What a learner does where acceptors have trimmed, and the others cannot prove what they have.
 */
import { expect, test } from "bun:test";
import { type Application, Learner } from "../../src/protocol/learner/learner.ts";
import type { Ballot } from "../../src/protocol/types.ts";
import { Recorder } from "../support/recorder.ts";

const BALLOT = 65536 as Ballot;
const VALUE = new TextEncoder().encode("value");

interface Made {
  readonly learner: Learner;
  readonly skips: [number, number][];
  nowMs: number;
}

function made(native: boolean, keepsState: boolean): Made {
  const skips: [number, number][] = [];
  const application: Application = {
    deliver: () => true,
    skipped: (first, last) => void skips.push([first, last]),
    acknowledged: () => 0,
  };
  const learner = new Learner(
    {
      acceptors: 3,
      windowInstances: 32,
      windowBytes: 1 << 20,
      catchUp: true,
      waitsForStart: false,
      keepsState,
      statesTellHighest: native,
      beginning: 128,
      canTrim: false,
      hasApplications: false,
      trimEvery: 100,
      trimBytes: 1 << 20,
    },
    new Recorder(),
    application,
  );
  return { learner, skips, nowMs: 0 };
}

/** Time passes; acceptor 2 has trimmed up to 5, acceptor 1 alone has a record of them and cannot say that it was chosen. */
function wait(one: Made, ms: number): void {
  for (const end = one.nowMs + ms; one.nowMs < end; one.nowMs += 5) {
    one.learner.tick(one.nowMs * 1000);
    one.learner.onAcceptorState(0, 0, 8, 0, 0);
    one.learner.onAcceptorState(1, 0, 8, 0, 0);
    one.learner.onAcceptorState(2, 5, 8, 0, 0);
    for (let iid = 1; iid <= 5; iid++) one.learner.onAccepted(1, iid, BALLOT, 7, VALUE, 0, VALUE.length);
    one.learner.deliver();
  }
}

test("native wire: one that keeps no state waits a moment for who may be down, then goes past what one acceptor has trimmed", () => {
  const one = made(true, false);
  wait(one, 250);
  expect(one.skips).toEqual([]);
  wait(one, 500);
  expect(one.skips).toEqual([[1, 5]]);
  expect(one.learner.next).toBe(6);
});

test("one that keeps a state stays, and wants a snapshot that leads past it", () => {
  const one = made(true, true);
  wait(one, 250);
  expect(one.learner.waitsForSnapshot).toBe(false);
  wait(one, 500);
  expect(one.skips).toEqual([]);
  expect(one.learner.next).toBe(1);
  expect(one.learner.lostIid).toBe(5);
  expect(one.learner.waitsForSnapshot).toBe(true);
  one.learner.restored(5);
  expect(one.learner.waitsForSnapshot).toBe(false);
  expect(one.learner.next).toBe(6);
});

test("kernel-paxos wire: a trim proves nothing, and a quorum that may have it is waited for", () => {
  const one = made(false, false);
  wait(one, 3000);
  expect(one.skips).toEqual([]);
  expect(one.learner.next).toBe(1);
});
