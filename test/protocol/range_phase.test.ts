/**
 * What phase 1 over a range makes of answers that do not belong together.
 */
import { expect, test } from "bun:test";
import { ProposerWindow } from "../../src/protocol/proposer/proposer_window.ts";
import { RangePhase } from "../../src/protocol/proposer/range_phase.ts";
import { StandingVector } from "../../src/protocol/standing.ts";
import { type Ballot, MAX_IID } from "../../src/protocol/types.ts";
import { Recorder } from "../support/recorder.ts";

const ACCEPTORS = 3;
const BALLOT = 1 as Ballot;
const TRIMMED = 10_000;

/** All were born at one moment, with these incarnations. */
function born(incarnations: readonly number[]): Uint8Array {
  const vector = new StandingVector(ACCEPTORS);
  incarnations.forEach((incarnation, aid) => {
    vector.set(aid, 1, incarnation);
  });
  return vector.bytes;
}

const FORMER = born([10, 11, 12]);
const PRESENT = born([20, 21, 22]);

function answer(phase: RangePhase, aid: number, standing: Uint8Array, trimIid: number): void {
  phase.onBegin(aid, 1, trimIid + 1, MAX_IID, trimIid, standing, 0, standing.length);
  phase.onEnd(aid, false);
}

function begun(): RangePhase {
  const phase = new RangePhase(new ProposerWindow(8, 65_536, ACCEPTORS), new Recorder(), ACCEPTORS);
  phase.begin(1, BALLOT, 0);
  return phase;
}

test("what one of a former log says is chosen is doubted once the others contradict it", () => {
  const phase = begun();
  answer(phase, 2, FORMER, TRIMMED);
  expect([phase.start, phase.isStartDoubted]).toEqual([TRIMMED + 1, false]);
  answer(phase, 0, PRESENT, 0);
  answer(phase, 1, PRESENT, 0);
  expect([phase.start, phase.isStartDoubted]).toEqual([TRIMMED + 1, true]);
});

test("so it is when the others were heard first, and until phase 1 begins anew", () => {
  const phase = begun();
  answer(phase, 0, PRESENT, 0);
  answer(phase, 1, PRESENT, 0);
  expect(phase.isStartDoubted).toBe(false);
  answer(phase, 2, FORMER, TRIMMED);
  expect(phase.isStartDoubted).toBe(true);
  phase.begin(1, BALLOT, 0);
  expect(phase.isStartDoubted).toBe(false);
});
