/**
 * Answers to a recovery in bursts: what they look like in frames, how much of a turn they take, and how many round trips they save.
 */
import { expect, test } from "bun:test";
import { Acceptor } from "../src/protocol/acceptor/acceptor.ts";
import { AcceptorRestore } from "../src/protocol/acceptor/acceptor_restore.ts";
import { ENTRY_HEADER_BYTES } from "../src/protocol/batch.ts";
import { type Ballot, Standing } from "../src/protocol/types.ts";
import { maxNativeValue } from "../src/wire/native.ts";
import { MemoryCluster } from "./support/memory_cluster.ts";
import { Endpoint, memoryNetwork } from "./support/native_fixture.ts";
import { peerOf, Recorder } from "./support/recorder.ts";

const BALLOT = 65536 as Ballot;
const RECOVERY_BALLOT = (2 * 65536 + 61442) as Ballot;

test("each frame of a burst says that another one follows, the last one that none does", () => {
  const network = memoryNetwork();
  const hearer = new Endpoint(network, { role: "acceptor", id: 2 });
  const value = new Uint8Array(700);
  /** Two records fill a frame. Returns how many of them fitted, and what was heard of the frames: asked, first, last, more. */
  const say = (frames: number, txSlots: number) => {
    const speaker = new Endpoint(network, { role: "acceptor", id: 1, txSlots });
    const to = speaker.peer("acceptor", 2);
    speaker.outbox.promiseBegin(to, BALLOT, 1, 1, 1, 0, new Uint8Array(36), frames);
    let iid = 1;
    while (speaker.outbox.promiseRecord(iid, BALLOT, 1, 0, value, 0, 580)) iid++;
    speaker.outbox.promiseEnd(iid - 1);
    speaker.send();
    const heard: unknown[] = [];
    for (const [name, , , ...fields] of hearer.hear()) {
      if (name === "onPromiseBegin") heard.push(...fields.slice(2, 5));
      if (name === "onPromiseEnd") heard.push(...fields);
    }
    return [iid - 1, ...heard];
  };
  expect(say(1, 16)).toEqual([2, 1, 1, 2, false]);
  expect(say(3, 16)).toEqual([6, 1, 1, 2, true, 3, 3, 4, true, 5, 5, 6, false]);
  // Without a slot for the next frame it ends with this one.
  expect(say(3, 2)).toEqual([4, 1, 1, 2, true, 3, 3, 4, false]);
});

test("a turn answers with so many frames, whoever asks how often; what is left of it is for others", () => {
  const recorder = new Recorder({ promiseRecords: 1 });
  const acceptor = new Acceptor(
    {
      ...{ aid: 1, acceptors: 3, life: 300, fresh: false, durable: false, random: () => 0.5, maxLeaseMs: 0 },
      ...{ perInstance: false, leaderTimeoutMs: 500, instances: 256, bytes: 1 << 16, trimRule: null },
    },
    recorder.journal,
    recorder,
  );
  new AcceptorRestore(acceptor).standing(Float64Array.of(1, 1, 2), Float64Array.of(100, 101, 202));
  acceptor.fellows!.birth.resume();
  acceptor.tick(1);
  acceptor.fellows!.onStandingAsk(peerOf("a2"), 2, 5, Standing.recovering, 2, 202);
  for (let iid = 1; iid <= 200; iid++)
    acceptor.onAccept(peerOf("p0"), iid, 0, BALLOT, 7, new Uint8Array(8), 0, 8);
  let nowUs = 1;
  const frames = (...requests: readonly number[]): number => {
    acceptor.tick(++nowUs);
    recorder.take();
    for (const asked of requests)
      acceptor.fellows!.onRecover(peerOf("a2"), 2, 1, RECOVERY_BALLOT, 202, asked);
    return recorder.take().filter((line) => line.startsWith("  end")).length;
  };
  expect(frames(1)).toBe(1);
  expect(frames(40)).toBe(40);
  expect(frames(4_000_000_000)).toBe(64);
  // Each gets one at least: whoever asks goes on.
  expect(frames(40, 40, 40, 40)).toBe(40 + 24 + 1 + 1);
  expect(frames(40)).toBe(40);
});

test("full instances are recovered many to a round trip", () => {
  const cluster = new MemoryCluster({
    ...{ seed: 1, wire: "native", proposers: 1 },
    // So that nothing is overtaken.
    faults: { leastDelayUs: 20, mostDelayUs: 20 },
  });
  cluster.startAll();
  const size = maxNativeValue(cluster.hosts[0]!.link, 3) - ENTRY_HEADER_BYTES;
  cluster.client({ values: 600, outstanding: 24, leastSize: size, mostSize: size });
  cluster.finish();
  cluster.stop(cluster.host("acceptor 1"), false);
  const { acceptor } = cluster.acceptor(1).cores;
  const { birth, recovery } = acceptor!.fellows!;
  cluster.runUntil("it recovers", () => birth.isRecovering);
  const begunUs = cluster.nowUs;
  cluster.runUntil("it votes again", () => acceptor!.isVoting);
  // The session's opening is an instance, too.
  expect(recovery.records).toBe(601);
  // A round trip takes 40 µs at least.
  expect(cluster.nowUs - begunUs).toBeLessThan((601 * 40) / 8);
});
