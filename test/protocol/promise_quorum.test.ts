/**
 * Which answers to a phase 1 count together, when acceptors may have forgotten what they said.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PromiseQuorum } from "../../src/protocol/promise_quorum.ts";
import { StandingVector } from "../../src/protocol/standing.ts";

type Known = readonly (readonly [generation: number, incarnation: number])[];

function standing(known: Known): Uint8Array {
  const vector = new StandingVector(known.length);
  known.forEach(([generation, incarnation], aid) => {
    vector.set(aid, generation, incarnation);
  });
  return vector.bytes;
}

function note(quorum: PromiseQuorum, aid: number, known: Known): boolean {
  const bytes = standing(known);
  return quorum.note(aid, bytes, 0, bytes.length);
}

/** A whole answer in one part. */
function answer(quorum: PromiseQuorum, aid: number, known: Known): boolean {
  const counts = note(quorum, aid, known);
  if (counts) quorum.complete(aid);
  return counts;
}

const BORN: Known = [
  [1, 10],
  [1, 11],
  [1, 12],
];
/** Acceptor 1 has recovered. */
const LATER: Known = [BORN[0]!, [2, 21], BORN[2]!];

function begun(acceptors = 3): PromiseQuorum {
  const quorum = new PromiseQuorum(acceptors);
  quorum.begin();
  return quorum;
}

describe("a quorum of answers", () => {
  test("a majority of whole answers completes it, each acceptor once", () => {
    const quorum = begun();
    expect(answer(quorum, 0, BORN)).toBe(true);
    expect(answer(quorum, 0, BORN)).toBe(true);
    expect(quorum.isComplete()).toBe(false);
    expect(note(quorum, 1, BORN)).toBe(true);
    expect(quorum.isComplete()).toBe(false);
    quorum.complete(1);
    expect(quorum.isComplete()).toBe(true);
    expect([quorum.has(0), quorum.has(1), quorum.has(2), quorum.count]).toEqual([true, true, false, 2]);
  });

  test("knows the newest generations of those that count, and not of those that were dropped", () => {
    const quorum = begun();
    expect([...quorum.generations()]).toEqual([0, 0, 0]);
    answer(quorum, 1, BORN);
    note(quorum, 0, [[2, 20], BORN[1]!, BORN[2]!]);
    expect([...quorum.generations()]).toEqual([2, 1, 1]);
    answer(quorum, 2, [[2, 20], [3, 31], BORN[2]!]);
    expect([...quorum.generations()]).toEqual([2, 3, 1]);
    quorum.begin();
    answer(quorum, 2, BORN);
    expect([...quorum.generations()]).toEqual([1, 1, 1]);
  });

  test("another phase 1 begins with nothing", () => {
    const quorum = begun();
    answer(quorum, 0, BORN);
    quorum.begin();
    quorum.complete(0);
    expect(quorum.count).toBe(0);
  });

  test("what an acceptor said before it forgot everything does not count beside one that knows", () => {
    const quorum = begun();
    answer(quorum, 1, BORN);
    expect(answer(quorum, 0, LATER)).toBe(true);
    expect(quorum.isComplete()).toBe(false);
    expect(quorum.takeDropped(1)).toBe(true);
    expect(quorum.takeDropped(1)).toBe(false);
    expect(answer(quorum, 1, BORN)).toBe(false);
    expect(answer(quorum, 1, LATER)).toBe(true);
    expect(quorum.isComplete()).toBe(true);
  });

  test("parts of one acceptor before and after it forgot make no whole", () => {
    const quorum = begun();
    note(quorum, 1, BORN);
    expect(note(quorum, 1, LATER)).toBe(true);
    expect(quorum.takeDropped(1)).toBe(true);
    // A part of the former generation that was late.
    expect(note(quorum, 1, BORN)).toBe(false);
    expect(quorum.takeDropped(1)).toBe(false);
  });

  test("what is learned with a later part drops others", () => {
    const quorum = begun();
    answer(quorum, 1, BORN);
    note(quorum, 0, BORN);
    expect(note(quorum, 0, LATER)).toBe(true);
    expect([quorum.takeDropped(0), quorum.takeDropped(1)]).toEqual([false, true]);
  });

  test("a part that comes late takes back nothing of what its sender knew", () => {
    const quorum = begun();
    note(quorum, 0, LATER);
    answer(quorum, 0, BORN);
    expect(answer(quorum, 1, BORN)).toBe(false);
  });

  test("parts that tell of different births of a third make no whole", () => {
    const quorum = begun();
    const later: Known = [BORN[0]!, [2, 21], [1, 99]];
    note(quorum, 1, LATER);
    expect(note(quorum, 1, later)).toBe(true);
    expect(quorum.takeDropped(1)).toBe(true);
    expect(answer(quorum, 2, BORN)).toBe(false);
  });

  test("of two births the one that answers last counts, and the other is asked again", () => {
    const again: Known = [
      [1, 30],
      [1, 11],
      [1, 32],
    ];
    const quorum = begun();
    answer(quorum, 0, BORN);
    expect(answer(quorum, 2, again)).toBe(true);
    expect(quorum.takeDropped(0)).toBe(true);
    expect(quorum.count).toBe(1);
    answer(quorum, 1, again);
    expect(quorum.isComplete()).toBe(true);
  });

  test("an answer that is outdated drops nobody, whatever it knows", () => {
    const quorum = begun(5);
    const five: Known = [...BORN, [1, 13], [1, 14]];
    answer(quorum, 0, [[2, 20], five[1]!, [3, 32], five[3]!, five[4]!]);
    answer(quorum, 1, five);
    // Acceptor 2 has forgotten since; what it knew of acceptor 1 is not needed to see that.
    expect(answer(quorum, 2, [five[0]!, [2, 21], [2, 22], five[3]!, five[4]!])).toBe(false);
    expect(quorum.takeDropped(1)).toBe(false);
    expect(quorum.count).toBe(2);
  });

  test("an attempt to recover that came to nothing outdates nobody", () => {
    const quorum = begun();
    answer(quorum, 0, [BORN[0]!, [2, 98], BORN[2]!]);
    expect(answer(quorum, 1, [BORN[0]!, [2, 99], BORN[2]!])).toBe(true);
    expect(quorum.isComplete()).toBe(true);
  });

  test("nonsense does not count", () => {
    expect(begun().note(0, new Uint8Array(24), 0, 24)).toBe(false);
  });

  test("whatever is answered in whatever order, no two that count contradict each other", () => {
    const entry = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 2 }));
    const said = fc.tuple(fc.nat(2), fc.array(entry, { minLength: 3, maxLength: 3 }));
    fc.assert(
      fc.property(fc.array(said, { maxLength: 12 }), (answers) => {
        const quorum = begun();
        const last: (Known | undefined)[] = [undefined, undefined, undefined];
        for (const [aid, known] of answers) if (answer(quorum, aid, known)) last[aid] = known;
        for (let a = 0; a < 3; a++) {
          for (let b = 0; b < 3; b++) {
            if (a === b || !quorum.has(a) || !quorum.has(b)) continue;
            const vector = new StandingVector(3);
            const bytes = standing(last[a]!);
            vector.read(bytes, 0, bytes.length);
            expect(vector.outdates(b, ...last[b]![b]!)).toBe(false);
          }
        }
      }),
    );
  });
});
