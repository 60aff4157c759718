/**
 * A proposer's store that is full when it campaigns: of its own values, before which what may be chosen goes, or phase 1 would not end;
 * and of what one acceptor tells, while another one tells of higher ballots.
 */
import { describe, expect, test } from "bun:test";
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

describe("what the first one tells fills the store, and the second one tells longer values of a higher ballot", () => {
  const LONGER = new Uint8Array(32_000).fill(8);
  const HIGHER = 2 as Ballot;
  const CAMPAIGN = 3 as Ballot;
  /** Room for four large values. */
  const roomy = (): ProposerWindow => new ProposerWindow(8, 131_072, ACCEPTORS);
  const held = (window: ProposerWindow): number[] =>
    [1, 2, 3, 4].map((iid) => (window.hasAdopted(iid) ? window.valueLength(iid) : 0));

  test("native wire: the highest instances make room, and are asked for again of who has told them", () => {
    const window = roomy();
    const outbox = new Recorder();
    const phase = new RangePhase(window, outbox, ACCEPTORS);
    const { bytes } = new StandingVector(ACCEPTORS);
    phase.begin(1, CAMPAIGN, 0);
    for (const [aid, ballot, value] of [
      [0, FORMER, LARGE],
      [1, HIGHER, LONGER],
    ] as const) {
      phase.onBegin(aid, 1, 1, MAX_IID, 0, bytes, 0, bytes.length);
      for (const iid of [1, 2, 3, 4]) phase.onRecord(iid, ballot, value, 0, value.length);
      expect(phase.onEnd(aid, false)).toBe(false);
    }
    // The second instance's longer value fits neither hole: what the first one told of it stays.
    expect([held(window), phase.isCut]).toEqual([[32_000, 30_000, 0, 0], true]);
    expect(phase.toldIid).toBe(1);
    outbox.take();
    phase.retry();
    expect(outbox.take().slice(0, 2)).toEqual([
      "prepare to=a0 iid=3 ballot=0.3",
      "prepare to=a1 iid=2 ballot=0.3",
    ]);
  });

  test("Kernel_Paxos wire: the promises of the highest instances are asked for again", () => {
    const window = roomy();
    const outbox = new Recorder();
    const phase = new InstancePhase(window, outbox, ACCEPTORS);
    phase.begin();
    phase.fill(CAMPAIGN, 4, 0, 0);
    for (const iid of [1, 2, 3, 4]) phase.onPromise(0, iid, CAMPAIGN, FORMER, LARGE, 0, LARGE.length);
    expect(held(window)).toEqual([30_000, 30_000, 30_000, 30_000]);
    phase.onPromise(1, 1, CAMPAIGN, HIGHER, LONGER, 0, LONGER.length);
    expect(held(window)).toEqual([32_000, 30_000, 30_000, 0]);
    expect([1, 4].map((iid) => window.status(iid))).toEqual([Status.prepared, Status.preparing]);
    outbox.take();
    phase.retry(4, 0);
    expect(outbox.take().map((line) => line.slice(0, 19))).toEqual([
      "prepare to=a0 iid=4",
      "prepare to=a1 iid=4",
      "prepare to=a2 iid=4",
    ]);
  });
});

test("a value of a higher ballot that is no longer takes its place", () => {
  const window = new ProposerWindow(8, 65_536, ACCEPTORS);
  for (const iid of [1, 2]) window.adopt(iid, FORMER, LARGE, 0, LARGE.length, PRESENT);
  expect(window.adopt(1, PRESENT, LARGE, 0, LARGE.length, 3 as Ballot)).toBe(true);
  expect([1, 2].map((iid) => window.hasAdopted(iid))).toEqual([true, true]);
});
