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
        afterMs: fc.oneof(fc.nat(300), fc.nat(3000)),
        leaves: fc.nat(9).map((n) => n === 0),
      });
      fc.assert(
        fc.property(fc.array(op, { maxLength: 60, size: "max" }), (ops) => {
          const rule = new TrimRule(2000, policy, expects);
          const model = new Map<number, Report>();
          let nowUs = 5 * SECOND_US;
          // The first second is for hearing everybody.
          rule.report(peer(9), 0, false, nowUs);
          rule.forget(peer(9));
          nowUs += SECOND_US;
          for (const { id, iid, strong, kind, afterMs, leaves } of ops) {
            nowUs += afterMs * 1000;
            if (leaves) {
              rule.forget(peer(id));
              model.delete(id);
              continue;
            }
            model.set(id, { iid, strong, kind, heardUs: nowUs });
            const reports = [...model.values()];
            expect(rule.report(peer(id), iid, strong, nowUs, kind)).toBe(
              allowed(reports, policy, nowUs, 2 * SECOND_US, expects),
            );
            const heard = reports.filter(({ heardUs }) => nowUs - heardUs <= 2 * SECOND_US);
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
  );

  test("learners of one kind do not outvote those of another", () => {
    const rule = new TrimRule(10_000, "quorum");
    const [plain, store] = [0, 7];
    rule.report(peer(1), 90, true, SECOND_US, plain);
    rule.report(peer(2), 90, true, 2 * SECOND_US, plain);
    expect(rule.report(peer(3), 0, true, 2 * SECOND_US, store)).toBe(0);
    expect(rule.report(peer(1), 95, true, 2 * SECOND_US, plain)).toBe(0);
    expect(rule.report(peer(3), 40, true, 2 * SECOND_US, store)).toBe(40);
    rule.forget(peer(3));
    expect(rule.report(peer(1), 96, true, 2 * SECOND_US, plain)).toBe(90);
  });

  test("an acceptor that has just begun believes nobody for a second", () => {
    const rule = new TrimRule(10_000, "quorum");
    expect(rule.report(peer(1), 7, true, SECOND_US)).toBe(0);
    expect(rule.report(peer(2), 3, true, 2 * SECOND_US - 1)).toBe(0);
    expect(rule.report(peer(1), 8, true, 2 * SECOND_US)).toBe(3);
  });

  test("where learners are expected, nothing is trimmed while all of them are away, whatever proposers report", () => {
    const rule = new TrimRule(1000, "quorum", true);
    rule.report(peer(1), 5, true, SECOND_US);
    expect(rule.report(peer(2), 90, false, 2 * SECOND_US)).toBe(5);
    expect(rule.report(peer(2), 99, false, 4 * SECOND_US)).toBe(0);
    expect(rule.slowest(4 * SECOND_US)).toBe(peer(-1));
    expect(rule.report(peer(1), 7, true, 5 * SECOND_US)).toBe(7);
  });

  test("with nobody heard nobody is the slowest", () => {
    const rule = new TrimRule(1000, "all");
    expect(rule.slowest(SECOND_US)).toBe(-1 as Peer);
    rule.report(peer(1), 7, true, SECOND_US);
    expect(rule.slowest(3 * SECOND_US)).toBe(-1 as Peer);
    expect(rule.counted(3 * SECOND_US).count).toBe(0);
  });

  test("one more than there is place for: nothing is trimmed on its account", () => {
    const rule = new TrimRule(10_000, "quorum");
    for (let id = 0; id < REPORTING_LEARNERS_LIMIT; id++) rule.report(peer(id), 5, true, SECOND_US);
    expect(rule.report(peer(REPORTING_LEARNERS_LIMIT), 5, true, 3 * SECOND_US)).toBe(0);
    expect(rule.report(peer(0), 5, true, 3 * SECOND_US)).toBe(5);
    // When all have fallen silent there is room again.
    expect(rule.report(peer(REPORTING_LEARNERS_LIMIT), 9, true, 14 * SECOND_US)).toBe(9);
  });
});
