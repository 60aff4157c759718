/**
 * A proposer's store that its own values fill, when it campaigns: what may be chosen goes before them, or phase 1 would not end.
 */
import { expect, test } from "bun:test";
import { InstancePhase } from "../../src/protocol/proposer/instance_phase.ts";
import { ProposerWindow, Status } from "../../src/protocol/proposer/proposer_window.ts";
import { RangePhase } from "../../src/protocol/proposer/range_phase.ts";
import { StandingVector } from "../../src/protocol/standing.ts";
import { type Ballot, MAX_IID } from "../../src/protocol/types.ts";
import { Recorder } from "../support/recorder.ts";

const ACCEPTORS = 3;
const LARGE = new Uint8Array(30_000).fill(7);
const [FORMER, PRESENT] = [1 as Ballot, 2 as Ballot];

/** Two large values fill its one page: they are under way, at the former ballot. */
function crowded(): ProposerWindow {
  const window = new ProposerWindow(8, 65_536, ACCEPTORS);
  for (const iid of [1, 2]) {
    window.own(iid, window.arena.store(LARGE, 0, LARGE.length), LARGE.length);
    window.enter(iid, Status.accepting, FORMER);
  }
  return window;
}

test("native wire: phase 1 ends, and the value that may be chosen is the one that is proposed", () => {
  const window = crowded();
  const phase = new RangePhase(window, new Recorder(), ACCEPTORS);
  const { bytes } = new StandingVector(ACCEPTORS);
  phase.begin(1, PRESENT, 0);
  for (const aid of [0, 1]) {
    phase.onBegin(aid, 1, 1, MAX_IID, 0, bytes, 0, bytes.length);
    if (aid === 0) for (const iid of [1, 2]) phase.onRecord(iid, FORMER, LARGE, 0, LARGE.length);
    phase.onEnd(aid, false);
  }
  expect(phase.isComplete()).toBe(true);
  expect([1, 2].map((iid) => [window.hasAdopted(iid), window.hasOwn(iid)])).toEqual([
    [true, false],
    [true, false],
  ]);
  // Who sent them is believed when they come again.
  expect(window.dropped).toBe(2);
});

test("Kernel_Paxos wire: what is proposed at the present ballot stays, the rest makes room", () => {
  const window = crowded();
  const phase = new InstancePhase(window, new Recorder(), ACCEPTORS);
  phase.begin();
  phase.fill(PRESENT, 4, 0, 0);
  window.enter(1, Status.accepting, PRESENT);
  for (const iid of [3, 4]) phase.onPromise(0, iid, PRESENT, FORMER, LARGE, 0, LARGE.length);
  expect([1, 2].map((iid) => window.hasOwn(iid))).toEqual([true, false]);
  expect([3, 4].map((iid) => window.hasAdopted(iid))).toEqual([true, false]);
  expect(window.dropped).toBe(1);
});
