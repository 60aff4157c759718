import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isStanding, STANDING_BYTES, StandingVector } from "../../src/protocol/standing.ts";
import { MAX_IID } from "../../src/protocol/types.ts";

/** (generation, incarnation) of each acceptor. */
type Pairs = readonly (readonly [generation: number, incarnation: number])[];

const vector = (pairs: Pairs): StandingVector => {
  const made = new StandingVector(pairs.length);
  pairs.forEach(([generation, incarnation], aid) => {
    made.set(aid, generation, incarnation);
  });
  return made;
};
const pairsOf = ({ generations, incarnations }: StandingVector): Pairs =>
  [...generations].map((generation, aid) => [generation, incarnations[aid]!] as const);

const generation = fc.oneof(fc.nat(3), fc.constant(2 ** 32 - 1));
const incarnation = fc.oneof(
  fc.nat(3),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, MAX_IID),
  fc.maxSafeNat(),
);
const pairs = fc.array(fc.tuple(generation, incarnation), { minLength: 1, maxLength: 9 });
const two = fc
  .nat(8)
  .chain((more) =>
    fc.tuple(
      fc.array(fc.tuple(generation, incarnation), { minLength: more + 1, maxLength: more + 1 }),
      fc.array(fc.tuple(generation, incarnation), { minLength: more + 1, maxLength: more + 1 }),
    ),
  );

describe("a vector of standings", () => {
  test("begins as nothing known", () => {
    const empty = new StandingVector(3);
    expect(pairsOf(empty)).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    expect(empty.bytes).toEqual(new Uint8Array(3 * STANDING_BYTES));
  });

  test("lies in bytes as documented: generation, incarnation, little-endian", () => {
    const { bytes } = vector([
      [0x01020304, 0x5_0607_0809],
      [2, MAX_IID],
    ]);
    expect(Buffer.from(bytes).toString("hex")).toBe("040302010908070605000000" + "02000000ffffffffffff1f00");
  });

  test("read is the inverse of its bytes, wherever they lie", () => {
    fc.assert(
      fc.property(pairs, fc.nat(7), (list, offset) => {
        const { bytes } = vector(list);
        const buffer = new Uint8Array(offset + bytes.length + 5).fill(0xff);
        buffer.set(bytes, offset);
        const read = new StandingVector(list.length);
        expect(read.read(buffer, offset, bytes.length)).toBe(true);
        expect(pairsOf(read)).toEqual(list);
        expect(read.bytes).toEqual(bytes);
      }),
    );
  });

  test("copy takes over every entry, the bytes with them", () => {
    fc.assert(
      fc.property(two, ([ours, theirs]) => {
        const made = vector(ours);
        const other = vector(theirs);
        made.copy(other.generations, other.incarnations);
        expect(pairsOf(made)).toEqual(theirs);
        expect(made.bytes).toEqual(other.bytes);
      }),
    );
  });

  test("of another number of acceptors, or with an incarnation beyond 53 bits, is refused and changes nothing", () => {
    const { bytes } = vector([
      [1, 7],
      [2, 8],
    ]);
    const wide = bytes.slice();
    wide[STANDING_BYTES + 10] = 0x20;
    const made = vector([
      [3, 3],
      [4, 4],
    ]);
    expect(made.read(bytes, 0, STANDING_BYTES)).toBe(false);
    expect(made.read(bytes, 0, 2 * STANDING_BYTES - 1)).toBe(false);
    expect(made.read(wide, 0, wide.length)).toBe(false);
    expect(new StandingVector(3).read(bytes, 0, bytes.length)).toBe(false);
    expect(pairsOf(made)).toEqual([
      [3, 3],
      [4, 4],
    ]);
  });

  test("any bytes are a standing or are refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 1, max: 3 }), (bytes, acceptors) => {
        const is = isStanding(bytes, 0, bytes.length, acceptors);
        const read = new StandingVector(acceptors);
        expect(read.read(bytes, 0, bytes.length)).toBe(is);
        if (!is) return;
        expect(read.bytes).toEqual(bytes);
        for (const life of read.incarnations) expect(life).toBeLessThanOrEqual(MAX_IID);
      }),
    );
  });
});

describe("what is outdated", () => {
  test.each([
    ["nothing is known", [0, 0], [1, 5], false],
    ["nothing is known and nothing was said", [0, 9], [0, 5], false],
    ["the same generation and incarnation", [2, 5], [2, 5], false],
    ["a newer generation was said", [2, 5], [3, 6], false],
    ["a newer generation is known", [3, 6], [2, 5], true],
    ["it was born a second time", [1, 5], [1, 6], true],
    ["another attempt to recover at this generation came to nothing", [2, 5], [2, 6], false],
    ["it had not voted when it said it", [1, 5], [0, 0], true],
  ] as const)("%s", (_, known, said, outdated) => {
    const made = vector([[1, 1], known]);
    expect(made.outdates(1, said[0], said[1])).toBe(outdated);
    expect(made.outdates(0, 1, 1)).toBe(false);
  });

  test("of two answers of one acceptor of different generations, or births, at least one is", () => {
    const voting = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat(3));
    fc.assert(
      fc.property(voting, voting, (a, b) => {
        const isOutdated = vector([a]).outdates(0, ...b) || vector([b]).outdates(0, ...a);
        expect(isOutdated).toBe(a[0] !== b[0] || (a[0] === 1 && a[1] !== b[1]));
      }),
    );
  });
});

describe("merging", () => {
  test("takes the newer generation with its incarnation, and says whether there was one", () => {
    const made = vector([
      [1, 5],
      [2, 6],
      [1, 7],
    ]);
    const other = vector([
      [2, 15],
      [1, 16],
      [1, 17],
    ]);
    expect(made.merge(other)).toBe(true);
    expect(pairsOf(made)).toEqual([
      [2, 15],
      [2, 6],
      [1, 7],
    ]);
    expect(made.merge(other)).toBe(false);
  });

  test("no generation falls, and merging twice changes nothing more", () => {
    fc.assert(
      fc.property(two, ([ours, theirs]) => {
        const made = vector(ours);
        const other = vector(theirs);
        const changed = made.merge(other);
        expect(changed).toBe(theirs.some(([theirGeneration], aid) => theirGeneration > ours[aid]![0]));
        ours.forEach((pair, aid) => {
          const newer = theirs[aid]![0] > pair[0] ? theirs[aid]! : pair;
          expect([made.generations[aid], made.incarnations[aid]]).toEqual([...newer]);
        });
        expect(made.bytes).toEqual(vector(pairsOf(made)).bytes);
        expect(made.merge(other)).toBe(false);
        expect(pairsOf(other)).toEqual(theirs);
      }),
    );
  });
});
