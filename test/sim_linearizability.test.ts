/**
 * The linearizability checker against histories with a known answer, and against a checker that tries every order.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { KvHistory, MOST_CALLS, MOST_LOST } from "../src/sim/kv_history.ts";
import {
  checkLinearizable,
  type Operation,
  REGISTERS,
  type RegisterInput,
  type RegisterOutput,
} from "../src/sim/linearizability.ts";
import { Random } from "../src/sim/random.ts";

type Op = Operation<RegisterInput, RegisterOutput>;
const NEVER = Number.POSITIVE_INFINITY;

function op(
  client: string,
  callUs: number,
  returnUs: number,
  input: RegisterInput,
  output?: RegisterOutput,
): Op {
  return { client, callUs, returnUs, input, output };
}
const put = (c: string, from: number, to: number, value: string, key = "x"): Op =>
  op(c, from, to, { kind: "put", key, value }, to === NEVER ? undefined : true);
const get = (c: string, from: number, to: number, found: string | null, key = "x"): Op =>
  op(c, from, to, { kind: "get", key }, found);
const swap = (
  c: string,
  from: number,
  to: number,
  expected: string | null,
  value: string,
  done: boolean,
): Op => op(c, from, to, { kind: "swap", key: "x", expected, value }, done);
const result = (history: readonly Op[]): string => checkLinearizable(history, REGISTERS).result;

describe("linearizable", () => {
  const histories: Record<string, Op[]> = {
    nothing: [],
    "one after the other": [
      put("a", 0, 1, "1"),
      get("b", 2, 3, "1"),
      put("a", 4, 5, "2"),
      get("b", 6, 7, "2"),
    ],
    "a read beside a write sees either": [put("a", 0, 10, "1"), get("b", 1, 2, null), get("c", 3, 4, "1")],
    "writes beside each other, in either order": [
      put("a", 0, 10, "1"),
      put("b", 0, 10, "2"),
      get("c", 11, 12, "1"),
    ],
    "operations that touch are concurrent": [put("a", 0, 5, "1"), get("b", 5, 6, null)],
    "a write that never returned took effect": [put("a", 0, NEVER, "1"), get("b", 5, 6, "1")],
    "a write that never returned took no effect": [put("a", 0, NEVER, "1"), get("b", 5, 6, null)],
    "a write that never returned took effect late": [
      put("a", 0, NEVER, "1"),
      get("b", 5, 6, null),
      get("b", 7, 8, "1"),
    ],
    "one of two swaps": [swap("a", 0, 10, null, "1", true), swap("b", 0, 10, null, "2", false)],
    "keys do not see each other": [put("a", 0, 1, "1", "x"), get("b", 2, 3, null, "y")],
    "a delete": [
      put("a", 0, 1, "1"),
      op("a", 2, 3, { kind: "delete", key: "x" }, true),
      get("b", 4, 5, null),
    ],
  };
  test.each(Object.entries(histories))("%s", (_name, history) => {
    expect(result(history)).toBe("linearizable");
  });
});

describe("not linearizable", () => {
  const histories: Record<string, Op[]> = {
    "a stale read": [put("a", 0, 1, "1"), put("a", 2, 3, "2"), get("b", 4, 5, "1")],
    "a read of what nobody wrote": [put("a", 0, 1, "1"), get("b", 2, 3, "2")],
    "a write that was lost": [put("a", 0, 1, "1"), get("b", 2, 3, null)],
    "two reads that disagree on the order": [
      put("a", 0, 10, "1"),
      put("b", 0, 10, "2"),
      get("c", 11, 12, "1"),
      get("d", 13, 14, "2"),
    ],
    "back in time while a write is under way": [
      put("a", 0, 100, "1"),
      get("b", 10, 20, "1"),
      get("c", 30, 40, null),
    ],
    "both swaps": [swap("a", 0, 10, null, "1", true), swap("b", 0, 10, null, "2", true)],
    "a write that never returned came and went": [
      put("a", 0, NEVER, "1"),
      get("b", 5, 6, "1"),
      get("b", 7, 8, null),
    ],
    "one key of many": [put("a", 0, 1, "1", "x"), put("a", 2, 3, "1", "y"), get("b", 4, 5, null, "y")],
  };
  test.each(Object.entries(histories))("%s", (_name, history) => {
    expect(result(history)).toBe("violated");
  });
});

test("a violation names the key, what fitted, and what did not", () => {
  const history = [put("a", 0, 1, "1"), put("a", 2, 3, "2"), get("b", 4, 5, "1")];
  const verdict = checkLinearizable(history, REGISTERS);
  expect(verdict).toEqual({
    result: "violated",
    partition: "x",
    order: [history[0]!, history[1]!],
    stuck: [history[2]!],
  });
});

/** Writes side by side, and a read of what none of them wrote: every order has to be tried. */
function puzzle(key: string): Op[] {
  const history = Array.from({ length: 12 }, (_, i) => put(`c${i}`, 0, 100, String(i), key));
  return [...history, get("d", 101, 102, "none", key)];
}

describe("a search that takes too long", () => {
  test("is not decided, key by key; what is decided counts all the same", () => {
    const history = [...puzzle("y"), put("a", 0, 1, "1"), get("b", 2, 3, "1")];
    expect(checkLinearizable(history, REGISTERS, 1000)).toEqual({ result: "unknown", partitions: ["y"] });
    const violated = [...history, get("b", 4, 5, "2")];
    expect(checkLinearizable(violated, REGISTERS, 1000).result).toBe("violated");
  });

  test("is no violation, and the key is told", () => {
    const history = new KvHistory(1000);
    for (const { client, input, output, callUs, returnUs } of puzzle(history.key("a")))
      history.ends(history.begins(client, input, callUs), output!, returnUs);
    expect(history.check()).toEqual(["a.0"]);
    history.ends(history.begins("e", { kind: "get", key: history.key("b") }, 0), "nobody's", 1);
    expect(() => history.check()).toThrow("linearizability: key b.0: nothing can follow the beginning");
  });
});

describe("the histories of a key are small enough to be decided", () => {
  test("another key takes its place after so many calls, or so many writes that may or may not have been", () => {
    const history = new KvHistory();
    const keys = new Map<string, number>();
    for (let i = 0; i < 3 * MOST_CALLS; i++) {
      const key = history.key("a");
      keys.set(key, (keys.get(key) ?? 0) + 1);
      history.ends(history.begins("c", { kind: "put", key, value: "1" }, i), true, i);
    }
    expect([...keys.values()]).toEqual([MOST_CALLS, MOST_CALLS, MOST_CALLS]);
    const before = history.key("a");
    for (let i = 0; i < MOST_LOST; i++)
      history.loses(history.begins("c", { kind: "put", key: before, value: `${i}` }, 1_000));
    expect(history.key("a")).not.toBe(before);
    expect(history.check()).toEqual([]);
  });

  // Ten callers side by side all the time, as many writes without an answer as one key may have.
  test("each of 100 drawn histories of full size is, and of each with one false answer that it is false", () => {
    const random = new Random(7, "histories");
    for (let round = 0; round < 100; round++) {
      const history = drawHistory(random);
      expect(result(history)).toBe("linearizable");
      const reads = history.filter(({ input, output }) => input.kind === "get" && output !== null);
      const read = random.pick(reads);
      const spoilt = history.map((one) => (one === read ? { ...one, output: "nobody's" } : one));
      expect(result(spoilt)).toBe("violated");
    }
  }, 120_000);
});

/** A history of one key, by ten callers, of operations that took effect at a drawn moment between call and return. */
function drawHistory(random: Random): Op[] {
  const list: { op: Op; atUs: number }[] = [];
  const freeUs = Array.from({ length: 10 }, () => random.between(0, 1_000));
  for (let i = 0; i < MOST_CALLS; i++) {
    const caller = random.between(0, 9);
    const callUs = freeUs[caller]!;
    const isLost = i % Math.ceil(MOST_CALLS / MOST_LOST) === 0;
    const returnUs = callUs + random.between(100, 2_000);
    freeUs[caller] = returnUs + random.between(1, 300);
    const drawn = random.next();
    const key = "x";
    const input: RegisterInput =
      drawn < 0.5 && !isLost
        ? { kind: "get", key }
        : drawn < 0.75
          ? { kind: "put", key, value: `${i}` }
          : drawn < 0.82
            ? { kind: "delete", key }
            : { kind: "swap", key, expected: i > 8 ? `${i - random.between(1, 8)}` : null, value: `${i}` };
    const atUs = isLost && random.happens(0.3) ? NEVER : random.between(callUs, returnUs);
    list.push({ op: op(`c${caller}`, callUs, isLost ? NEVER : returnUs, input), atUs });
  }
  let state: string | null = null;
  for (const one of list.sort((a, b) => a.atUs - b.atUs)) {
    const { input, returnUs } = one.op;
    const before: string | null = state;
    if (one.atUs !== NEVER) state = REGISTERS.step(state, input, undefined) ?? null;
    if (returnUs === NEVER) continue;
    const output =
      input.kind === "get"
        ? before
        : input.kind === "put"
          ? true
          : input.kind === "delete"
            ? before !== null
            : before === input.expected;
    one.op = { ...one.op, output };
  }
  return list.map((one) => one.op);
}

test("long histories are quick: 4000 operations of 8 clients, and one stale read is found among them", () => {
  const history: Op[] = [];
  let held: string | null = null;
  for (let i = 0; i < 4000; i++) {
    const callUs = i * 10;
    if (i % 3 === 0) {
      held = String(i);
      history.push(put(`c${i % 8}`, callUs - 35, callUs + 5, held));
    } else history.push(get(`c${i % 8}`, callUs - 5, callUs + 35, held));
  }
  expect(result(history)).toBe("linearizable");
  history[3001] = get("c1", 30_010, 30_011, "2700");
  expect(result(history)).toBe("violated");
});

/** Tries every order. */
function isLinearizable(left: readonly Op[], state: string | null): boolean {
  if (left.length === 0) return true;
  const firstReturn = Math.min(...left.map(({ returnUs }) => returnUs));
  return left.some((one) => {
    if (one.callUs > firstReturn) return false;
    const next = REGISTERS.step(state, one.input, one.output);
    return (
      next !== undefined &&
      isLinearizable(
        left.filter((other) => other !== one),
        next,
      )
    );
  });
}

test("agrees with a checker that tries every order", () => {
  const value = fc.constantFrom("1", "2");
  const held = fc.option(value, { nil: null });
  const input = fc.oneof(
    fc.record({ kind: fc.constant("put" as const), key: fc.constant("x"), value }),
    fc.record({ kind: fc.constant("get" as const), key: fc.constant("x") }),
    fc.record({ kind: fc.constant("swap" as const), key: fc.constant("x"), expected: held, value }),
    fc.record({ kind: fc.constant("delete" as const), key: fc.constant("x") }),
  );
  const operation = fc
    .record({
      input,
      callUs: fc.nat(20),
      took: fc.option(fc.nat(8), { nil: null }),
      held,
      done: fc.boolean(),
    })
    .map(({ input: what, callUs, took, held: found, done }): Op => {
      const output = what.kind === "get" ? found : what.kind === "swap" ? done : true;
      if (took === null) return op("a", callUs, NEVER, what);
      return op("a", callUs, callUs + took, what, output);
    });
  let violated = 0;
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 7 }), (history) => {
      const expected = isLinearizable(history, null);
      if (!expected) violated++;
      expect(result(history)).toBe(expected ? "linearizable" : "violated");
    }),
    { numRuns: 2000 },
  );
  expect(violated).toBeGreaterThan(100);
});
