/**
 * A learner that comes late to an instance whose acceptors stand at different ballots: it was chosen at one, and a later
 * leader reached only some of them with the same value at a higher one; or some of them have no record of it at all.
 */
import { describe, expect, test } from "bun:test";
import { LearnerWindow } from "../../src/protocol/learner/learner_window.ts";
import { quorumOf } from "../../src/protocol/quorum.ts";
import { type Ballot, NO_BALLOT, RepeatFlag } from "../../src/protocol/types.ts";

const OLD = 65536 as Ballot;
const NEW = 131073 as Ballot;
const KNOWS = RepeatFlag.known;
const VALUE = new TextEncoder().encode("value");

function late(): LearnerWindow {
  return new LearnerWindow(16, 1 << 20, 3);
}

describe("acceptors at different ballots", () => {
  test("no quorum at one ballot: not chosen, whatever is said", () => {
    const window = late();
    expect(window.vote(1, 0, OLD, 7)).toBe(false);
    expect(window.vote(1, 1, NEW, 8)).toBe(false);
    expect(window.isChosen(1)).toBe(false);
  });

  test("a quorum that knows it to be chosen: the highest ballot's value is it", () => {
    const window = late();
    window.vote(1, 0, OLD, 7, KNOWS);
    window.offer(1, OLD, 7, VALUE, 0, VALUE.length);
    expect(window.isChosen(1)).toBe(false);
    expect(window.vote(1, 1, NEW, 8, KNOWS)).toBe(true);
    expect(window.chosenBallot(1)).toBe(NEW);
    expect(window.isReady(1)).toBe(false);
    window.offer(1, NEW, 8, VALUE, 0, VALUE.length);
    expect(window.isReady(1)).toBe(true);
  });

  test("one that knows and one that does not are no quorum that knows", () => {
    const window = late();
    window.vote(1, 0, OLD, 7, KNOWS);
    expect(window.vote(1, 1, NEW, 8)).toBe(false);
    expect(window.isChosen(1)).toBe(false);
  });

  test("the same acceptor twice is one", () => {
    const window = late();
    window.vote(1, 0, OLD, 7, KNOWS);
    expect(window.vote(1, 0, NEW, 8, KNOWS)).toBe(false);
    expect(window.isChosen(1)).toBe(false);
  });

  test("late news of an acceptor says that it knew, and changes nothing else", () => {
    const window = late();
    window.vote(1, 0, NEW, 8);
    window.vote(1, 1, OLD, 7, KNOWS);
    expect(window.vote(1, 0, OLD, 7, KNOWS)).toBe(true);
    expect(window.chosenBallot(1)).toBe(NEW);
  });
});

describe("acceptors that know, and have no record", () => {
  test("with one that knows and has a record they are a quorum: its value is it", () => {
    const window = late();
    expect(window.vote(1, 2, NO_BALLOT, 0, KNOWS)).toBe(false);
    expect(window.isChosen(1)).toBe(false);
    expect(window.vote(1, 0, OLD, 7, KNOWS)).toBe(true);
    expect([window.chosenBallot(1), window.chosenLife(1)]).toEqual([OLD, 7]);
    window.offer(1, OLD, 7, VALUE, 0, VALUE.length);
    expect(window.isReady(1)).toBe(true);
  });

  test("with one of which it is not known that it knows they are none", () => {
    const window = late();
    window.vote(1, 0, OLD, 7);
    expect(window.vote(1, 2, NO_BALLOT, 0, KNOWS)).toBe(false);
    expect(window.isChosen(1)).toBe(false);
  });

  test("no record is no vote, however many have none", () => {
    const window = late();
    for (const aid of [0, 1, 2]) expect(window.vote(1, aid, NO_BALLOT, 0, KNOWS)).toBe(false);
    expect(window.isChosen(1)).toBe(false);
    // Nor does it take back what one was heard of before.
    const other = late();
    other.vote(2, 0, NEW, 8);
    other.vote(2, 0, NO_BALLOT, 0, KNOWS);
    expect(other.vote(2, 1, OLD, 7, KNOWS)).toBe(true);
    expect(other.chosenBallot(2)).toBe(NEW);
  });

  test("one that accepted it after it had none is one", () => {
    const window = late();
    window.vote(1, 2, NO_BALLOT, 0, KNOWS);
    expect(window.vote(1, 2, NEW, 8, KNOWS)).toBe(false);
    expect(window.isChosen(1)).toBe(false);
    expect(window.vote(1, 0, OLD, 7, KNOWS)).toBe(true);
    expect(window.chosenBallot(1)).toBe(NEW);
  });
});

describe("the value of the highest record found no room, and who had it is gone", () => {
  const settled = (): LearnerWindow => {
    const window = late();
    window.vote(1, 1, NEW, 8, KNOWS);
    expect(window.vote(1, 2, NO_BALLOT, 0, KNOWS)).toBe(true);
    expect(window.isReady(1)).toBe(false);
    return window;
  };

  test("the others know, too: theirs is the chosen value", () => {
    const window = settled();
    expect(window.vote(1, 0, OLD, 7, KNOWS)).toBe(false);
    window.offer(1, OLD, 7, VALUE, 0, VALUE.length);
    expect(window.isReady(1)).toBe(false);
    expect(window.vote(1, 2, NO_BALLOT, 0, KNOWS)).toBe(true);
    expect(window.chosenBallot(1)).toBe(OLD);
    expect(window.isReady(1)).toBe(true);
  });

  test("where it is there, or the other does not know, nothing is taken back", () => {
    const window = settled();
    window.vote(1, 0, OLD, 7);
    expect(window.chosenBallot(1)).toBe(NEW);
    window.offer(1, NEW, 8, VALUE, 0, VALUE.length);
    window.vote(1, 0, OLD, 7, KNOWS);
    expect(window.isReady(1)).toBe(true);
    expect(window.chosenBallot(1)).toBe(NEW);
  });

  test("a marked record that is gone does not keep the others from proving it", () => {
    const window = late();
    expect(window.vote(1, 1, NEW, 8, KNOWS | RepeatFlag.marked)).toBe(true);
    expect(window.vote(1, 0, OLD, 7, KNOWS)).toBe(false);
    expect(window.vote(1, 2, OLD, 7, KNOWS)).toBe(true);
    expect(window.chosenBallot(1)).toBe(OLD);
  });
});

/** What an acceptor may hold of an instance that was chosen at `CHOSEN`: those who chose it that or more, others anything. */
const [LOWER, CHOSEN, HIGHER] = [65536, 131073, 196608] as const;
const CHOSE = [CHOSEN, HIGHER];
const DID_NOT = [0, LOWER, HIGHER];

/** An answer to a repeat: a record with its value, or none. */
function tell(window: LearnerWindow, aid: number, ballot: Ballot, flags: number): void {
  window.vote(1, aid, ballot, ballot > 0 ? 7 : 0, flags);
  if (ballot > 0) window.offer(1, ballot, 7, VALUE, 0, VALUE.length);
}

/** All ways to draw one of each. */
function* combinations<T>(...sets: readonly (readonly T[])[]): Generator<T[]> {
  const [first, ...rest] = sets;
  if (first === undefined) yield [];
  else for (const one of first) for (const more of combinations(...rest)) yield [one, ...more];
}

describe.each([1, 2, 3, 4, 5])(
  "%d acceptors: whatever they hold of what a quorum of them has chosen",
  (n) => {
    const quorum = quorumOf(n);
    const aids = Array.from({ length: n }, (_, aid) => aid);
    const states = [...combinations(...aids.map((aid) => (aid < quorum ? CHOSE : DID_NOT)))];
    const answering = [...combinations(...aids.map(() => [false, true]))].map((answers) =>
      aids.filter((aid) => answers[aid]),
    );

    test("those who answer and know prove the chosen value or a repeat of it when they are a quorum, in any order", () => {
      for (const held of states) {
        for (const some of answering) {
          for (const order of [some, some.toReversed()]) {
            const window = new LearnerWindow(4, 1 << 10, n);
            for (const aid of order) tell(window, aid, held[aid] as Ballot, KNOWS);
            const label = `held ${held}, answers of ${order}`;
            const sees = `${label}: ${window.isReady(1) ? window.chosenBallot(1) >= CHOSEN : "nothing"}`;
            expect(sees).toBe(`${label}: ${some.length >= quorum ? true : "nothing"}`);
          }
        }
      }
    });

    test("one answer less, and a record of somebody who does not know: nothing below the chosen ballot", () => {
      for (const held of states) {
        for (const some of answering.filter(({ length }) => length === quorum)) {
          for (const unknowing of some) {
            const window = new LearnerWindow(4, 1 << 10, n);
            for (const aid of some) {
              if (aid === unknowing && held[aid] === 0) continue;
              tell(window, aid, held[aid] as Ballot, aid === unknowing ? 0 : KNOWS);
            }
            // Equal votes of a quorum prove it, too.
            if (window.isChosen(1)) expect(window.chosenBallot(1)).toBeGreaterThanOrEqual(CHOSEN);
          }
        }
      }
    });
  },
);
