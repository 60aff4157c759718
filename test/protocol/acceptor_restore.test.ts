/**
 * An acceptor that was full, and takes up what its storage kept: in the order of instances, which is not that in which they came.
 */
import { expect, test } from "bun:test";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { AcceptorRestore } from "../../src/protocol/acceptor/acceptor_restore.ts";
import type { Ballot } from "../../src/protocol/types.ts";
import { acceptorOptions } from "../support/acceptor_options.ts";
import { Recorder } from "../support/recorder.ts";

const BALLOT = 1 as Ballot;
const LIFE = 7;
/** Two pages hold all of it, but not in any order. */
const BYTES = 131_072;
const LENGTHS = [25_000, 25_000, 40_000, 40_000];
const AS_THEY_CAME = [3, 1, 4, 2];

function acceptor(): Acceptor {
  const recorder = new Recorder();
  const options = acceptorOptions({ aid: 0, life: LIFE, durable: true, bytes: BYTES });
  return new Acceptor(options, recorder.journal, recorder);
}

const valueAt = (iid: number): Uint8Array => new Uint8Array(LENGTHS[iid - 1]!).fill(iid);

/** Takes these instances up, one after the other. */
function restored(iids: readonly number[]) {
  const one = acceptor();
  const restore = new AcceptorRestore(one);
  for (const iid of iids) restore.accepted(iid, BALLOT, LIFE, 0, valueAt(iid), 0, LENGTHS[iid - 1]!);
  return { log: one.log, restore };
}

test("what fitted in the order in which it came is taken up in the order of instances", () => {
  const { log } = acceptor();
  for (const iid of AS_THEY_CAME)
    expect(log.accept(iid, BALLOT, LIFE, 0, valueAt(iid), 0, LENGTHS[iid - 1]!)).toBe(true);
  const { log: again, restore } = restored([1, 2, 3, 4]);
  expect([restore.lacks, restore.records]).toEqual([undefined, 4]);
  for (const iid of AS_THEY_CAME) {
    const at = again.offsetAt(iid);
    expect(again.arena.bytes.subarray(at, at + again.lengthAt(iid))).toEqual(valueAt(iid));
  }
  // No more fits than before.
  expect([again.arena.used, again.fill()]).toEqual([log.arena.used, log.fill()]);
  const rest = BYTES - again.arena.used;
  expect(again.accept(5, BALLOT, LIFE, 0, new Uint8Array(BYTES), 0, rest + 1)).toBe(false);
  expect(again.accept(5, BALLOT, LIFE, 0, new Uint8Array(BYTES), 0, rest)).toBe(true);
});

test("more than the window has bytes for is not taken up", () => {
  const { restore } = restored([1, 2, 3, 4, 4]);
  expect(restore.lacks).toBe("bytes");
});
