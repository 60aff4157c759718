/**
 * Phase 1 over a range, in a window and a store that hold a part of what acceptors have accepted: whatever that is, in whatever
 * order it is told, what a proposer may propose again on the word of a quorum is what that quorum knows, and there is something to
 * be proposed again as long as there is more.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { MAX_BLOCK_BYTES } from "../../src/protocol/arena.ts";
import { ProposerWindow } from "../../src/protocol/proposer/proposer_window.ts";
import { RangePhase } from "../../src/protocol/proposer/range_phase.ts";
import { quorumOf } from "../../src/protocol/quorum.ts";
import { StandingVector } from "../../src/protocol/standing.ts";
import { type Ballot, MAX_IID } from "../../src/protocol/types.ts";
import { Recorder } from "../support/recorder.ts";

const ACCEPTORS = 3;
const QUORUM = quorumOf(ACCEPTORS);
const LAST_IID = 14;
const PRESENT = 10 as Ballot;
const STANDING = new StandingVector(ACCEPTORS).bytes;
/** The store: the least that has room for a longest value beside another. */
const STORE_BYTES = 2 * MAX_BLOCK_BYTES;
/** So often everybody is asked until nothing changes any more. */
const ROUNDS = 40;

/** Of each acceptor, the ballot that it accepted at in each instance from 1 on; 0: none. */
type Accepted = readonly (readonly number[])[];

interface Case {
  readonly accepted: Accepted;
  /** Of the value of each ballot. */
  readonly lengths: readonly number[];
  readonly perFrame: number;
  /** Who tells nothing before the others have told all; −1: nobody. */
  readonly late: number;
}

/** Tells what acceptors have accepted, frame by frame, to who asks. */
class Acceptors extends Recorder {
  readonly #case: Case;
  #asked: [aid: number, iid: number][] = [];

  constructor(of: Case) {
    super();
    this.#case = of;
  }

  override prepare(iid: number): void {
    this.#asked = Array.from({ length: ACCEPTORS }, (_, aid) => [aid, iid]);
  }
  override prepareTo(aid: number, iid: number): void {
    this.#asked.push([aid, iid]);
  }

  /** Everything that is asked is answered once. */
  answers(phase: RangePhase, isHeard: (aid: number) => boolean): void {
    for (const [aid, iid] of this.#asked.splice(0)) if (isHeard(aid)) this.#answer(phase, aid, iid);
  }

  #answer(phase: RangePhase, aid: number, asked: number): void {
    const { accepted, lengths, perFrame } = this.#case;
    const all = accepted[aid]!.flatMap((ballot, at) => (ballot > 0 && at + 1 >= asked ? [at + 1] : []));
    const told = all.slice(0, perFrame);
    const last = told.length < all.length ? told.at(-1)! : MAX_IID;
    phase.onBegin(aid, asked, asked, last, 0, STANDING, 0, STANDING.length);
    for (const iid of told) {
      const ballot = accepted[aid]![iid - 1]!;
      const value = new Uint8Array(lengths[ballot]!).fill(ballot);
      phase.onRecord(iid, ballot as Ballot, value, 0, value.length);
    }
    phase.onEnd(aid, false);
  }
}

function heldBallot(window: ProposerWindow, iid: number): number {
  return window.hasAdopted(iid) ? window.arena.bytes[window.valueOffset(iid)]! : 0;
}

/** Of some quorum, what is held in first…last is at least what each of it has accepted. */
function isWordOfQuorum(window: ProposerWindow, accepted: Accepted, first: number, last: number): boolean {
  const believed = accepted.filter((ballots) => {
    for (let iid = first; iid <= last; iid++) if (heldBallot(window, iid) < ballots[iid - 1]!) return false;
    return true;
  });
  return believed.length >= QUORUM;
}

const length = fc.oneof(fc.integer({ min: 1, max: MAX_BLOCK_BYTES }), fc.constantFrom(20_000, 30_000));
const cases: fc.Arbitrary<Case> = fc.record({
  accepted: fc.array(fc.array(fc.nat(4), { minLength: LAST_IID, maxLength: LAST_IID }), {
    minLength: ACCEPTORS,
    maxLength: ACCEPTORS,
  }),
  lengths: fc.array(length, { minLength: 5, maxLength: 5 }),
  perFrame: fc.integer({ min: 1, max: 4 }),
  late: fc.integer({ min: -1, max: ACCEPTORS - 1 }),
});

test("phase 1 goes on with any record of the acceptors, and proposes what a quorum knows", () => {
  fc.assert(
    fc.property(cases, fc.nat(ACCEPTORS), (one, down) => {
      const window = new ProposerWindow(8, STORE_BYTES, ACCEPTORS);
      const acceptors = new Acceptors(one);
      const phase = new RangePhase(window, acceptors, ACCEPTORS);
      phase.begin(1, PRESENT, 0);
      for (let times = 0; !phase.isComplete(); times++) {
        expect(times).toBeLessThan(LAST_IID + 1);
        for (let round = 0; round < ROUNDS && !phase.isComplete(); round++) {
          acceptors.answers(phase, (aid) => aid !== down && (aid !== one.late || round > ROUNDS / 2));
          phase.retry();
        }
        if (phase.isComplete()) break;
        const last = Math.min(phase.toldIid, window.low + window.instances - 1);
        expect(last).toBeGreaterThanOrEqual(window.low);
        expect(isWordOfQuorum(window, one.accepted, window.low, last)).toBe(true);
        // It is proposed again, and chosen.
        for (let iid = window.low; iid <= last; iid++) window.close(iid, false, new Uint8Array(0), 0, 0);
        window.advance(1);
        phase.begin(window.low, PRESENT, 0);
      }
      expect(isWordOfQuorum(window, one.accepted, window.low, LAST_IID)).toBe(true);
    }),
  );
});
