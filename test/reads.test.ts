/**
 * Reads of a replica: who is asked, whose answer counts for whom, and when a read goes on.
 */
import { expect, test } from "bun:test";
import { Reads } from "../src/api/reads.ts";
import type { Peer } from "../src/protocol/types.ts";
import { Recorder } from "./support/recorder.ts";

const FROM = 7 as Peer;

function bench(proposers = 2): {
  reads: Reads;
  said: () => string[];
  applied: { iid: number };
  trouble: { reason: string | undefined };
  read: (name: string) => void;
  done: string[];
} {
  const recorder = new Recorder();
  const applied = { iid: 0 };
  const trouble = { reason: undefined as string | undefined };
  const reads = new Reads(
    { proposers, timeoutMs: 1000, firstNonce: 100, applied: () => applied.iid, reason: () => trouble.reason },
    recorder,
  );
  const done: string[] = [];
  const read = (name: string): void => {
    reads.confirm().then(
      () => done.push(name),
      (error: Error) => done.push(`${name}: ${error.message}`),
    );
  };
  return { reads, said: () => recorder.lines.splice(0), applied, trouble, read, done };
}

/** What was resolved has reached whoever waits. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a read goes on when the point it was told is applied", async () => {
  const { reads, said, applied, read, done } = bench();
  reads.tick(1);
  read("a");
  reads.pump();
  expect(said()).toEqual(["readAsk to=p0 nonce=101"]);
  reads.onReadIndex(FROM, 101, 5, true);
  applied.iid = 4;
  reads.pump();
  await settle();
  expect(done).toEqual([]);
  applied.iid = 5;
  reads.pump();
  await settle();
  expect(done).toEqual(["a"]);
  expect(reads.waiting).toBe(0);
});

test("a read that began after the question was asked waits for the next one", async () => {
  const { reads, said, read, done } = bench();
  read("a");
  reads.pump();
  read("b");
  reads.pump();
  expect(said()).toEqual(["readAsk to=p0 nonce=101"]);
  reads.onReadIndex(FROM, 101, 0, true);
  reads.pump();
  await settle();
  expect(done).toEqual(["a"]);
  expect(said()).toEqual(["readAsk to=p0 nonce=102"]);
  reads.onReadIndex(FROM, 101, 0, true);
  reads.pump();
  await settle();
  expect(done).toEqual(["a"]);
  reads.onReadIndex(FROM, 102, 0, true);
  reads.pump();
  await settle();
  expect(done).toEqual(["a", "b"]);
});

test("who does not lead says so, and the next one is asked; silence is the same, later", () => {
  const { reads, said, read } = bench(3);
  reads.tick(1);
  read("a");
  reads.pump();
  reads.onReadIndex(FROM, 101, 0, false);
  reads.tick(reads.nextTickUs());
  expect(said()).toEqual(["readAsk to=p0 nonce=101", "readAsk to=p1 nonce=101"]);
  const due = reads.nextTickUs();
  reads.tick(due - 1);
  expect(said()).toEqual([]);
  reads.tick(due);
  expect(said()).toEqual(["readAsk to=p2 nonce=101"]);
});

test("nobody confirms: the read fails in time, and says why", async () => {
  const { reads, read, done, trouble } = bench();
  reads.tick(1);
  read("a");
  reads.pump();
  for (let nowUs = 1; nowUs < 1_100_000; nowUs += 10_000) reads.tick(nowUs);
  await settle();
  expect(done).toEqual(["a: no leader confirmed the read within 1000 ms"]);
  read("b");
  trouble.reason = "it is trimmed";
  reads.pump();
  reads.onReadIndex(FROM, 102, 9, true);
  for (let nowUs = 1_100_000; nowUs < 2_200_000; nowUs += 10_000) reads.tick(nowUs);
  await settle();
  expect(done[1]).toBe("b: this replica has not caught up to instance 9 within 1000 ms: it is trimmed");
  expect(reads.waiting).toBe(0);
});

test("a read has all its time, however long ago the last turn was: before the first one, or behind work of the program", async () => {
  const { reads, read, done } = bench();
  read("first");
  for (const nowUs of [60_000_000, 60_999_999]) {
    reads.tick(nowUs);
    reads.pump();
  }
  await settle();
  expect(done).toEqual([]);
  reads.tick(61_000_000);
  await settle();
  expect(done).toEqual(["first: no leader confirmed the read within 1000 ms"]);
  read("later");
  reads.tick(70_000_000);
  reads.pump();
  reads.tick(70_999_999);
  await settle();
  expect(done).toHaveLength(1);
  reads.tick(71_000_000);
  await settle();
  expect(done).toHaveLength(2);
});

test("the replica ends: whoever waits is told", async () => {
  const { reads, read, done } = bench();
  read("a");
  reads.pump();
  read("b");
  reads.close(new Error("ended"));
  await settle();
  expect(done.sort()).toEqual(["a: ended", "b: ended"]);
});
