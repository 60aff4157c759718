/**
 * The simulator's second opinion on sessions agrees with the session table and its filter, entry by entry.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { ENTRY_HEADER_BYTES, EntryFlag, entryBytes, writeEntryHeader } from "../src/protocol/batch.ts";
import { crc32c } from "../src/protocol/crc32c.ts";
import { SessionFilter } from "../src/protocol/learner/session_filter.ts";
import { SessionTable } from "../src/protocol/learner/session_table.ts";
import { type Delivery, SessionOracle } from "../src/sim/session_oracle.ts";

interface Entry {
  readonly session: number;
  readonly sequence: number;
  readonly flags: number;
  readonly size: number;
}

function batchOf(entries: readonly Entry[], iid: number): Uint8Array {
  const bytes = new Uint8Array(entries.reduce((sum, { size }) => sum + entryBytes(size), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  entries.forEach(({ session, sequence, flags, size }, index) => {
    bytes.fill((iid * 16 + index) & 0xff, at + ENTRY_HEADER_BYTES, at + ENTRY_HEADER_BYTES + size);
    writeEntryHeader(view, at, session, sequence, size, flags);
    at += entryBytes(size);
  });
  return bytes;
}

const limits = { sessions: 3, maxValueBytes: 40 };
/** Sessions are named by instances, so small numbers become sessions sooner or later. */
const data = fc.record({
  session: fc.integer({ min: 1, max: 6 }),
  sequence: fc.integer({ min: 1, max: 3 }),
  flags: fc.constantFrom(0, 0, 0, EntryFlag.more, EntryFlag.more, EntryFlag.close),
  size: fc.nat(20),
});
const opening = fc.record({
  session: fc.integer({ min: 100, max: 105 }),
  sequence: fc.constant(0),
  flags: fc.constant(EntryFlag.open),
  size: fc.constant(0),
});
/** Mostly where it counts: alone. */
const reset = fc.record({
  session: fc.constant(0),
  sequence: fc.constant(0),
  flags: fc.constantFrom(...[0, 0, 0, EntryFlag.open].map((flag) => flag | EntryFlag.reset)),
  size: fc.constantFrom(0, 0, 0, 4),
});
const entries = fc
  .tuple(
    fc.array(opening, { maxLength: 1 }),
    fc.array(fc.oneof(data, data, data, data, data, opening, reset), { maxLength: 4 }),
  )
  .map(([first, rest]): Entry[] => [...first, ...rest]);
const batch = fc.oneof(
  { weight: 19, arbitrary: entries },
  { weight: 1, arbitrary: reset.map((one) => [one]) },
);

test("oracle and session table decide alike", () => {
  let delivered = 0;
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 60, size: "max" }), (batches) => {
      const log = batches.map((entries, i) => batchOf(entries, i + 1));
      const oracle = new SessionOracle(limits, (iid) => log[iid - 1]);
      let taken: Delivery[] = [];
      const filter = new SessionFilter(new SessionTable(limits), {
        take: (_iid, index, _isLast, session, sequence, bytes, offset, length) => {
          taken.push({ index, session, sequence, length, checksum: crc32c(bytes, offset, length) });
          return true;
        },
        finished: () => undefined,
        skipped: () => undefined,
        acknowledged: () => 0,
      });
      log.forEach((value, i) => {
        taken = [];
        filter.deliver(i + 1, value, 0, value.length);
        expect(taken).toEqual([...oracle.expected(i + 1)!]);
        delivered += taken.length;
      });
      expect(oracle.expected(log.length + 1)).toBeUndefined();
    }),
    { numRuns: 1000 },
  );
  expect(delivered).toBeGreaterThan(300);
});
