/**
 * The judge of chaos runs finds each kind of fault in a history that has it, and none in one that has none.
 */
import { expect, test } from "bun:test";
import { History, valueText } from "./history.ts";

/** Client "a" has three values, all acknowledged; two learners deliver them at 1.0, 1.1 and 3.0. */
function good(): History {
  const history = new History();
  const client = history.client("a");
  for (const _ of [1, 2, 3]) client.next();
  client.acknowledged = 3;
  for (const name of ["x", "y"]) {
    const learner = history.learner(name);
    history.deliver(learner, 1, 0, valueText("a", 1));
    history.deliver(learner, 1, 1, valueText("a", 2));
    history.deliver(learner, 3, 0, valueText("a", 3));
  }
  return history;
}

test("a good history has no problem", () => {
  const history = good();
  for (const one of history.learners) history.judgeComplete(one);
  expect(history.judge()).toEqual([]);
  expect(history.missing()).toEqual([]);
  expect(history.acknowledged).toBe(3);
});

const FAULTS: readonly [rule: string, spoil: (history: History) => void][] = [
  ["agreement", (history) => history.deliver(history.learner("z"), 1, 1, valueText("a", 1))],
  [
    "order",
    (history) => {
      const learner = history.learner("z");
      history.deliver(learner, 3, 0, valueText("a", 3));
      history.deliver(learner, 1, 1, valueText("a", 2));
    },
  ],
  ["integrity", (history) => history.deliver(history.learners[0]!, 4, 0, valueText("a", 2))],
  [
    "durability",
    (history) => {
      const client = history.client("b");
      client.next();
      client.acknowledged = 1;
    },
  ],
  ["validity", (history) => history.deliver(history.learners[0]!, 4, 0, valueText("a", 4))],
  ["validity", (history) => history.deliver(history.learners[0]!, 4, 0, "a:1:spoilt")],
  ["validity", (history) => history.deliver(history.learners[0]!, 4, 0, "")],
  [
    "order",
    (history) => {
      const client = history.client("b");
      client.next();
      history.deliver(history.learners[0]!, 4, 0, client.next());
    },
  ],
  [
    "gap",
    (history) => {
      const learner = history.learner("z");
      history.deliver(learner, 1, 0, valueText("a", 1));
      history.deliver(learner, 3, 0, valueText("a", 3));
    },
  ],
  [
    "complete",
    (history) => {
      const learner = history.learner("z");
      history.deliver(learner, 3, 0, valueText("a", 3));
      history.judgeComplete(learner);
    },
  ],
];

for (const [at, [rule, spoil]] of FAULTS.entries()) {
  test(`fault ${at} breaks ${rule}`, () => {
    const history = good();
    spoil(history);
    const problems = history.judge();
    expect(problems.length).toBeGreaterThan(0);
    expect(problems[0]).toStartWith(`${rule}: `);
  });
}

test("what a learner says it skips is no gap", () => {
  const history = good();
  const learner = history.learner("z");
  learner.skipped.push([1, 2]);
  history.deliver(learner, 3, 0, valueText("a", 3));
  history.judgeComplete(learner);
  expect(history.judge()).toEqual([]);
});

test("a flood of problems is cut", () => {
  const history = good();
  for (let at = 0; at < 100; at++) history.problem(`x: ${at}`);
  expect(history.judge().at(-1)).toBe("and 60 more");
});
