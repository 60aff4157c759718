/**
 * What a proposer takes from clients, against any mixture of messages.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Judging } from "../../src/protocol/proposer/admission.ts";
import { AdmissionBench, C0, values } from "../support/admission_bench.ts";
import { type Entry, open } from "../support/entries.ts";

test("of what is admitted strictly, and proposed in that order, nothing is discarded", () => {
  const message = fc.record({
    who: fc.nat(2),
    first: fc.integer({ min: -2, max: 3 }),
    count: fc.integer({ min: 1, max: 4 }),
    delivers: fc.nat(3),
    begins: fc.nat(15).map((n) => n === 0),
  });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 80, size: "max" }), (messages) => {
      const bench = new AdmissionBench();
      for (let nonce = 70; nonce < 73; nonce++) bench.deliver(open(nonce));
      const next = [1, 1, 1];
      const queue: Entry[] = [];
      for (const { who, first, count, delivers, begins } of messages) {
        const from = Math.max(1, next[who]! + first);
        const entries = values(who + 1, from, from + count - 1);
        if (from <= next[who]!) next[who] = Math.max(next[who]!, from + count);
        if (begins) {
          bench.admission.begin();
          queue.length = 0;
          for (let i = 0; i < 3; i++) next[i] = bench.filter.table.nextAt(bench.filter.table.find(i + 1));
          continue;
        }
        for (const run of bench.admit(entries)) {
          for (const one of run.split(" ")) {
            const [session, sequence] = one.split("/").map(Number);
            queue.push(...values(session!, sequence!));
          }
        }
        bench.deliver(...queue.splice(0, delivers));
      }
      expect(bench.filter.counters.duplicates).toBe(0);
      expect(bench.filter.counters.gaps).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test("how entries are written makes no difference", () => {
  const message = fc.record({
    entries: fc.array(
      fc.record({ session: fc.integer({ min: 1, max: 4 }), first: fc.nat(6), count: fc.nat(4) }),
      {
        maxLength: 3,
      },
    ),
    judging: fc.constantFrom(Judging.pass, Judging.lenient, Judging.strict),
    isForwarded: fc.boolean(),
    delivers: fc.array(
      fc.record({ session: fc.integer({ min: 1, max: 2 }), first: fc.nat(6), count: fc.nat(4) }),
    ),
    begins: fc.nat(9).map((n) => n === 0),
  });
  const entriesOf = (plan: readonly { session: number; first: number; count: number }[]): Entry[] =>
    // Session 900 is not known here yet; 4 is nobody's.
    plan.flatMap(({ session, first, count }) =>
      values(session === 3 ? 900 : session, first + 1, first + count),
    );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 40, size: "max" }), (messages) => {
      const [short, full] = [new AdmissionBench(), new AdmissionBench()];
      for (const bench of [short, full]) for (const nonce of [70, 71]) bench.deliver(open(nonce));
      for (const { entries, judging, isForwarded, delivers, begins } of messages) {
        const admitted = [short, full].map((bench) => {
          if (begins) bench.admission.begin();
          const runs = bench.admit(entriesOf(entries), judging, C0, isForwarded, bench === short);
          bench.deliver(...entriesOf(delivers));
          return [runs, bench.said(), bench.admission.counters];
        });
        expect(admitted[0]).toEqual(admitted[1]);
      }
    }),
    { numRuns: 200 },
  );
});
