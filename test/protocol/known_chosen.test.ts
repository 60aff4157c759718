/**
 * A learner that comes late to an instance whose acceptors stand at different ballots: it was chosen at one, and a later
 * leader reached only some of them with the same value at a higher one.
 */
import { describe, expect, test } from "bun:test";
import { LearnerWindow } from "../../src/protocol/learner/learner_window.ts";
import { type Ballot, RepeatFlag } from "../../src/protocol/types.ts";

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
