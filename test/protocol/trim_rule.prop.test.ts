/**
 * Which trims an acceptor of the native wire believes, against a plain model of the rule.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  REPORTING_LEARNERS_LIMIT,
  type TrimPolicy,
  TrimRule,
} from "../../src/protocol/acceptor/trim_rule.ts";
import type { Peer } from "../../src/protocol/types.ts";

const SECOND_US = 1_000_000;
/** After it whoever reports is believed, if somebody is heard meanwhile. */
const HEARD_US = 2_100_000;
const NOT_PRESSED = -1;
const TIMEOUT_US = 5 * SECOND_US;
const peer = (id: number): Peer => id as Peer;

interface Report {
  readonly iid: number;
  readonly kind: number;
  readonly strong: boolean;
  readonly heardUs: number;
}

/** The rule as it is written down: the highest instance that, of each kind, enough of those that count have reported. */
function allowed(
  reports: readonly Report[],
  policy: TrimPolicy,
  nowUs: number,
  timeoutUs: number,
  expects: boolean,
): number {
  const heard = reports.filter(({ heardUs }) => nowUs - heardUs <= timeoutUs);
  const onlyStrong = expects || heard.some(({ strong }) => strong);
  const counted = onlyStrong ? heard.filter(({ strong }) => strong) : heard;
  const enough = (iid: number) =>
    [...new Set(counted.map(({ kind }) => kind))].every((kind) => {
      const same = counted.filter((one) => one.kind === kind);
      const needed = policy === "all" ? same.length : Math.floor(same.length / 2) + 1;
      return same.filter((one) => one.iid >= iid).length >= needed;
    });
  return Math.max(0, ...counted.map(({ iid }) => iid).filter(enough));
}

describe("the trim rule", () => {
  test.each([
    ["quorum", false],
    ["quorum", true],
    ["all", false],
    ["all", true],
  ] as const)(
    "%s, learners are expected %p: like the model, whoever reports, leaves or falls silent",
    (policy, expects) => {
      const op = fc.record({
        id: fc.nat(5),
        iid: fc.nat(100),
        strong: fc.boolean(),
        kind: fc.nat(2),
        afterMs: fc.oneof(fc.nat(300), fc.nat(300), fc.nat(300), fc.nat(7000)),
        leaves: fc.nat(19).map((n) => n === 0),
      });
      fc.assert(
        fc.property(fc.array(op, { maxLength: 60, size: "max" }), (ops) => {
          const rule = new TrimRule(5000, policy, expects);
          const model = new Map<number, Report>();
          let nowUs = 5 * SECOND_US;
          let firstUs = -1;
          for (const { id, iid, strong, kind, afterMs, leaves } of ops) {
            nowUs += afterMs * 1000;
            if (leaves) {
              rule.forget(peer(id));
              model.delete(id);
              continue;
            }
            const isHeard = ({ heardUs }: Report): boolean => nowUs - heardUs <= TIMEOUT_US;
            // Nobody counted: it listens again.
            if (![...model.values()].some((one) => isHeard(one) && (one.strong || !expects))) firstUs = -1;
            if (firstUs < 0 && (strong || !expects)) firstUs = nowUs;
            model.set(id, { iid, strong, kind, heardUs: nowUs });
            const reports = [...model.values()];
            const listens = firstUs < 0 || nowUs - firstUs < HEARD_US;
            expect(rule.report(peer(id), iid, strong, nowUs, kind, NOT_PRESSED)).toBe(
              listens ? 0 : allowed(reports, policy, nowUs, TIMEOUT_US, expects),
            );
            const heard = reports.filter(isHeard);
            const isStrong = expects || heard.some((one) => one.strong);
            const counted = heard.filter((one) => one.strong || !isStrong);
            expect(rule.counted(nowUs)).toEqual({ count: counted.length, strong: isStrong });
            const slowest = rule.slowest(nowUs);
            if (counted.length === 0) expect(slowest).toBe(peer(-1));
            else expect(model.get(slowest)!.iid).toBe(Math.min(...counted.map((one) => one.iid)));
          }
        }),
        { numRuns: 300 },
      );
    },
    300_000,
  );

  /** One that has listened: peer 9 was heard, and is not counted any more. */
  const heard = (timeoutMs: number, policy: TrimPolicy, expects = false): TrimRule => {
    const rule = new TrimRule(timeoutMs, policy, expects);
    rule.report(peer(9), 0, true, 0, 0, NOT_PRESSED);
    return rule;
  };

  test("learners of one kind do not outvote those of another", () => {
    const rule = heard(10_000, "quorum");
    const nowUs = 3 * SECOND_US;
    const report = (id: number, iid: number, kind: number): number =>
      rule.report(peer(id), iid, true, nowUs, kind, NOT_PRESSED);
    const [plain, store] = [0, 7];
    report(1, 90, plain);
    rule.forget(peer(9));
    report(2, 90, plain);
    expect(report(3, 0, store)).toBe(0);
    expect(report(1, 95, plain)).toBe(0);
    expect(report(3, 40, store)).toBe(40);
    rule.forget(peer(3));
    expect(report(1, 96, plain)).toBe(90);
  });

  test("where learners are expected, nothing is trimmed while all of them are away, whatever proposers report", () => {
    const rule = new TrimRule(3000, "quorum", true);
    const report = (id: number, iid: number, strong: boolean, seconds: number): number =>
      rule.report(peer(id), iid, strong, seconds * SECOND_US, 0, NOT_PRESSED);
    report(1, 5, true, 1);
    report(1, 5, true, 3);
    expect(report(2, 90, false, 4)).toBe(5);
    expect(report(2, 99, false, 7)).toBe(0);
    expect(rule.slowest(7 * SECOND_US)).toBe(peer(-1));
    // The first that is back may be ahead of the others.
    expect(report(1, 7, true, 8)).toBe(0);
    expect(report(3, 6, true, 9)).toBe(0);
    expect(report(1, 7, true, 10.1)).toBe(6);
  });

  test("with nobody heard nobody is the slowest", () => {
    const rule = new TrimRule(1000, "all");
    expect(rule.slowest(SECOND_US)).toBe(-1 as Peer);
    rule.report(peer(1), 7, true, SECOND_US, 0, NOT_PRESSED);
    expect(rule.slowest(3 * SECOND_US)).toBe(-1 as Peer);
    expect(rule.counted(3 * SECOND_US).count).toBe(0);
  });

  test("one more than there is place for: nothing is trimmed on its account", () => {
    const rule = new TrimRule(10_000, "quorum");
    const report = (id: number, iid: number, seconds: number): number =>
      rule.report(peer(id), iid, true, seconds * SECOND_US, 0, NOT_PRESSED);
    for (let id = 0; id < REPORTING_LEARNERS_LIMIT; id++) report(id, 5, 1);
    expect(report(REPORTING_LEARNERS_LIMIT, 5, 4)).toBe(0);
    expect(report(0, 5, 4)).toBe(5);
    // When all have fallen silent there is room again.
    expect(report(REPORTING_LEARNERS_LIMIT, 9, 15)).toBe(0);
    expect(report(REPORTING_LEARNERS_LIMIT, 9, 18)).toBe(9);
  });
});
