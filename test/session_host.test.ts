/**
 * Who serves remote clients, and who asks to be served: what is forwarded to whom, for how long, how many there can be, and
 * what becomes of questions that are refused, lost, or asked from elsewhere.
 */
import { describe, expect, test } from "bun:test";
import {
  askedIds,
  askedSessions,
  DeviceGate,
  LearnerGate,
  SessionGate,
} from "../src/delivery/client_gates.ts";
import type { DeviceReader } from "../src/delivery/device_reader.ts";
import { CONNECTIONS_LIMIT, SESSIONS_LIMIT, SessionHost } from "../src/delivery/session_host.ts";
import { BatchReader, EntryFlag } from "../src/protocol/batch.ts";
import type { Client } from "../src/protocol/client/client.ts";
import { SessionClient } from "../src/protocol/client/session_client.ts";
import { PatternValues } from "../src/protocol/client/value_source.ts";
import type { Learner } from "../src/protocol/learner/learner.ts";
import type { Peer } from "../src/protocol/types.ts";
import { ClientRecord, writeClientRecord } from "../src/wire/client_record.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { batchOf } from "./support/entries.ts";
import { peerName, peerOf, Recorder } from "./support/recorder.ts";

const C0 = peerOf("c0");
const C1 = peerOf("c1");
const SECOND = 1_000_000;

interface Value {
  readonly session: number;
  readonly sequence: number;
  readonly bytes: Uint8Array;
}

/** As much of a reader as stands still at one value. */
function readerAt({ session, sequence, bytes }: Value): DeviceReader {
  const one = { session, sequence, iid: 7, bytes, offset: 0, length: bytes.length, state: "attached" };
  return one as unknown as DeviceReader;
}

class Bench {
  readonly outbox = new Recorder({ maxValue: 100 });
  readonly host: SessionHost;
  readonly full: number[] = [];
  nowUs = SECOND;

  constructor(batches: boolean, limit?: number) {
    this.host = new SessionHost(this.outbox, batches, (most) => this.full.push(most), limit);
    if (batches)
      this.outbox.sessionValue = (to, bytes, offset, length) => this.#value(to, bytes, offset, length);
    this.host.tick(this.nowUs);
  }

  after(us: number): void {
    this.nowUs += us;
    this.host.tick(this.nowUs);
  }

  /** What the host says to a question for one session or client id. */
  ask(from: Peer, first: number, end = first + 1): string[] {
    this.host.onSessionOpen(from, first, end);
    return this.outbox.take();
  }

  forward(session: number, sequence = 1, text = "v"): string[] {
    expect(this.host.take(readerAt({ session, sequence, bytes: Buffer.from(text) }))).toBe(true);
    return this.outbox.take();
  }

  #value(to: Peer, bytes: Uint8Array, offset: number, length: number): void {
    const reader = new BatchReader();
    reader.open(bytes, offset, length);
    while (reader.next()) {
      const { session, sequence, valueLength, flags } = reader;
      const cut = (flags & EntryFlag.more) !== 0 ? " cut" : "";
      this.outbox.lines.push(`${peerName(to)} ${session}/${sequence} ${valueLength} bytes${cut}`);
    }
  }
}

describe("a host of sessions (native wire)", () => {
  test("forwards to who asked, and to nobody what nobody asked for", () => {
    const bench = new Bench(true);
    expect(bench.ask(C0, 12)).toEqual(["sessionOk to=c0 connection=0"]);
    expect(bench.ask(C1, 13)).toEqual(["sessionOk to=c1 connection=1"]);
    expect(bench.forward(12, 3)).toEqual(["c0 12/3 1 bytes"]);
    expect(bench.forward(13, 1)).toEqual(["c1 13/1 1 bytes"]);
    expect(bench.forward(14)).toEqual([]);
    expect(bench.host.counters).toMatchObject({ opened: 2, forwarded: 2, unclaimed: 1 });
  });

  test("asked again answers again; asked from elsewhere, the client has moved", () => {
    const bench = new Bench(true);
    bench.ask(C0, 12);
    expect(bench.ask(C0, 12)).toEqual(["sessionOk to=c0 connection=0"]);
    expect(bench.ask(C1, 12)).toEqual(["sessionOk to=c1 connection=0"]);
    expect(bench.forward(12)).toEqual(["c1 12/1 1 bytes"]);
    expect(bench.host.count).toBe(1);
    expect(bench.host.counters.opened).toBe(1);
  });

  test("questions that are no single session are refused and counted", () => {
    const bench = new Bench(true);
    expect(bench.ask(C0, 0)).toEqual([]);
    expect(bench.ask(C0, 5, 9)).toEqual([]);
    expect(bench.host.counters).toMatchObject({ opened: 0, refused: 2 });
    expect(bench.full).toEqual([]);
  });

  test("has a limit, says so, and has room again when others were silent", () => {
    const bench = new Bench(true, 3);
    for (const session of [11, 12, 13]) bench.ask(C0, session);
    expect(bench.ask(C1, 14)).toEqual([]);
    expect(bench.full).toEqual([3]);
    expect(bench.host.counters.refused).toBe(1);
    // Who is served already may go on asking.
    bench.after(9 * SECOND);
    expect(bench.ask(C0, 12)).toHaveLength(1);
    bench.after(2 * SECOND);
    expect([bench.host.count, bench.host.counters.expired]).toEqual([1, 2]);
    expect(bench.ask(C1, 14)).toHaveLength(1);
    expect(bench.forward(11)).toEqual([]);
    expect(bench.forward(12)).toEqual(["c0 12/1 1 bytes"]);
    bench.after(11 * SECOND);
    expect(bench.host.count).toBe(0);
    expect(bench.host.nextTickUs()).toBe(Number.POSITIVE_INFINITY);
  });

  test("as many sessions as it says, each found, and forgotten together", () => {
    const bench = new Bench(true);
    for (let i = 0; i < SESSIONS_LIMIT; i++)
      bench.host.onSessionOpen(((i % 8) + 48) as Peer, 1 + i * 977, 2 + i * 977);
    expect([bench.host.count, bench.full]).toEqual([SESSIONS_LIMIT, []]);
    bench.outbox.take();
    expect(bench.ask(C0, 5)).toEqual([]);
    expect(bench.full).toEqual([SESSIONS_LIMIT]);
    for (const i of [0, 1, 40_000, SESSIONS_LIMIT - 1])
      expect(bench.forward(1 + i * 977)).toEqual([`c${i % 8} ${1 + i * 977}/1 1 bytes`]);
    bench.after(10 * SECOND);
    expect([bench.host.count, bench.host.counters.expired]).toEqual([0, SESSIONS_LIMIT]);
  });

  test("a value that fits no frame is announced without its bytes", () => {
    const bench = new Bench(true);
    bench.ask(C0, 12);
    expect(bench.forward(12, 4, "x".repeat(84))).toEqual(["c0 12/4 84 bytes"]);
    expect(bench.forward(12, 5, "x".repeat(85))).toEqual(["c0 12/5 0 bytes cut"]);
    expect(bench.host.counters.tooLarge).toBe(1);
  });

  test("without frames a value waits, and is forwarded once", () => {
    const bench = new Bench(true);
    bench.ask(C0, 12);
    bench.outbox.frames = 0;
    const reader = readerAt({ session: 12, sequence: 1, bytes: Buffer.from("v") });
    expect(bench.host.take(reader)).toBe(false);
    expect(bench.host.counters).toMatchObject({ forwarded: 0, unclaimed: 0 });
    bench.outbox.frames = 100;
    expect(bench.host.take(reader)).toBe(true);
    expect(bench.outbox.take()).toEqual(["c0 12/1 1 bytes"]);
  });
});

describe("a host of client ids (Kernel_Paxos wire)", () => {
  function record(clientId: number): Uint8Array {
    const bytes = new Uint8Array(33);
    writeClientRecord(Object.assign(new ClientRecord(), { clientId, size: 1 }), bytes, 0);
    return bytes;
  }

  const forward = (bench: Bench, bytes: Uint8Array): string[] => {
    expect(bench.host.take(readerAt({ session: 0, sequence: 0, bytes }))).toBe(true);
    return bench.outbox.take().map((line) => line.split(" ")[1]!);
  };

  test("forwards ranges of ids until they are closed by who asked, and nothing that is no client's", () => {
    const bench = new Bench(false);
    expect(bench.ask(C0, 0, 10)).toEqual(["sessionOk to=c0 connection=1"]);
    expect(bench.ask(C1, 10, 20)).toEqual(["sessionOk to=c1 connection=2"]);
    expect(forward(bench, record(9))).toEqual(["to=c0"]);
    expect(forward(bench, record(10))).toEqual(["to=c1"]);
    expect(forward(bench, record(20))).toEqual([]);
    expect(forward(bench, Buffer.from("no record"))).toEqual([]);
    bench.host.onSessionClose(C1, 1);
    bench.host.onSessionClose(C0, 7);
    expect(bench.host.count).toBe(2);
    bench.host.onSessionClose(C0, 1);
    expect([bench.host.count, bench.host.counters.closed]).toEqual([1, 1]);
    expect(forward(bench, record(9))).toEqual([]);
    expect(forward(bench, record(15))).toEqual(["to=c1"]);
    expect(bench.ask(C0, 10, 20)).toEqual(["sessionOk to=c0 connection=2"]);
    expect(forward(bench, record(15))).toEqual(["to=c0"]);
  });

  test("nobody is forgotten, for nobody asks again; the limit is said", () => {
    const bench = new Bench(false);
    for (let i = 0; i < CONNECTIONS_LIMIT; i++) bench.ask(C0, i * 10, i * 10 + 10);
    bench.after(3600 * SECOND);
    expect(bench.host.count).toBe(CONNECTIONS_LIMIT);
    expect(bench.ask(C1, 1_000_000)).toEqual([]);
    expect(bench.full).toEqual([CONNECTIONS_LIMIT]);
    expect(bench.host.nextTickUs()).toBe(Number.POSITIVE_INFINITY);
  });
});

/** A client of which only what gates use is looked at. */
function clientOf(delivered: string[]): Client {
  const client = {
    ready: false,
    onDelivered: (
      session: number,
      sequence: number,
      iid: number,
      _bytes: Uint8Array,
      _o: number,
      length: number,
    ) => delivered.push(`${session}/${sequence} at ${iid}, ${length} bytes`),
  };
  return client as unknown as Client;
}

describe("a client of a host", () => {
  function gateOf(batches: boolean, asked = askedIds(5, 8)) {
    const outbox = new Recorder();
    const delivered: string[] = [];
    const client = clientOf(delivered);
    const { log, lines } = collectingLog();
    const gate = new SessionGate(client, outbox, asked, batches, "the host", log);
    const told = (): string[] => lines.splice(0).map(({ level, message }) => `${level} ${message}`);
    return { outbox, delivered, client, gate, told };
  }

  test("a host that never answers is silent, but only once it was asked", () => {
    const asked = { count: 1, first: 0, firstOf: () => asked.first, endOf: () => 6 };
    const { gate } = gateOf(true, asked);
    gate.tick(SECOND);
    expect(gate.silentHost).toBeUndefined();
    asked.first = 5;
    gate.tick(2 * SECOND);
    expect(gate.silentHost).toBe("the host");
    gate.onSessionOk(C1, 3);
    expect(gate.silentHost).toBeUndefined();
  });

  test("asks until it is answered, then each second, and knows when the host falls silent and says when it is back", () => {
    const { outbox, client, gate, told } = gateOf(false);
    gate.tick(SECOND);
    gate.tick(SECOND + 50_000);
    expect(outbox.take()).toEqual(["sessionOpen first=5 end=8"]);
    expect(gate.nextTickUs()).toBe(SECOND + 100_000);
    gate.tick(SECOND + 100_000);
    expect(outbox.take()).toHaveLength(1);
    expect(client.ready).toBe(false);
    gate.onSessionOk(C1, 3);
    expect([client.ready, gate.isConnected]).toEqual([true, true]);
    expect(told()).toEqual(["info connected with the learner host the host (id 3)"]);
    // The question under way is asked once more; from then on each second.
    for (const [us, questions] of [
      [200_000, 1],
      [1_000_000, 0],
      [1_200_000, 1],
      [2_100_000, 0],
      [2_200_000, 1],
    ] as const) {
      gate.tick(SECOND + us);
      expect(outbox.take()).toHaveLength(questions);
      // A question that is not answered is a reason, before it is the end.
      expect([gate.isConnected, gate.silentHost]).toEqual([true, us < 1_600_000 ? undefined : "the host"]);
    }
    gate.tick(5 * SECOND);
    expect([gate.isConnected, gate.silentHost]).toEqual([false, "the host"]);
    // It is asked more often, and the client goes on.
    outbox.take();
    for (let us = 100_000; us <= 500_000; us += 50_000) gate.tick(5 * SECOND + us);
    expect(outbox.take()).toHaveLength(5);
    expect(client.ready).toBe(true);
    expect(told()).toEqual([]);
    gate.onSessionOk(C1, 4);
    expect(told()).toEqual(["info connected with the learner host the host (id 4)"]);
  });

  test("an answer makes a client that was stopped not ready again", () => {
    const { client, gate } = gateOf(false);
    gate.tick(SECOND);
    gate.onSessionOk(C1, 3);
    client.ready = false;
    gate.onSessionOk(C1, 3);
    expect(client.ready).toBe(false);
  });

  test("without frames the question waits", () => {
    const { outbox, gate } = gateOf(false);
    outbox.frames = 0;
    gate.tick(SECOND);
    expect(outbox.take()).toEqual([]);
    outbox.frames = 100;
    gate.tick(SECOND + 1);
    expect(outbox.take()).toHaveLength(1);
  });

  test("at its end closes a connection that can only be its own (Kernel_Paxos wire)", () => {
    const own = gateOf(false);
    own.gate.tick(SECOND);
    own.gate.onSessionOk(C1, 3);
    own.outbox.take();
    own.gate.close();
    expect(own.outbox.take()).toEqual(["sessionClose connection=3"]);
    const doubtful = gateOf(false);
    doubtful.gate.tick(SECOND);
    doubtful.gate.onSessionOk(C1, 3);
    doubtful.gate.onSessionOk(C1, 4);
    doubtful.outbox.take();
    doubtful.gate.close();
    expect(doubtful.outbox.take()).toEqual([]);
  });

  test("each session is asked for by itself, as soon as it is open, and again when it is another (native wire)", () => {
    const options = {
      clients: 3,
      outstanding: 1,
      proposerId: 0,
      proposers: 1,
      timeoutMs: 1000,
      queueDelayMs: 5,
      values: 0,
      batching: true,
      random: () => 0.5,
    };
    let draws = 0;
    const random = (): number => (++draws % 1000) / 1000;
    const sessions = new SessionClient(
      { ...options, random },
      new PatternValues(1, 1, random),
      new Recorder(),
      { delivered: () => undefined },
    );
    const { outbox, gate } = gateOf(true, askedSessions(sessions));
    gate.tick(SECOND);
    expect([gate.pump(), outbox.take()]).toEqual([false, []]);
    sessions.opened(sessions.sessions.nonce[1]!, 40);
    sessions.opened(sessions.sessions.nonce[2]!, 41);
    expect([gate.pump(), outbox.take()]).toEqual([
      false,
      ["sessionOpen first=40 end=41", "sessionOpen first=41 end=42"],
    ]);
    expect([gate.pump(), outbox.take()]).toEqual([false, []]);
    gate.onSessionOk(C1, 0);
    sessions.opened(sessions.sessions.nonce[0]!, 42);
    outbox.frames = 0;
    expect([gate.pump(), outbox.take()]).toEqual([true, []]);
    outbox.frames = 100;
    expect([gate.pump(), outbox.take()]).toEqual([false, ["sessionOpen first=42 end=43"]]);
    // Hosts forget sessions that nobody asks for: nothing is closed.
    gate.close();
    expect(outbox.take()).toEqual([]);
  });

  test("tells its client each value of a message, and that one of whose bytes there are none here", () => {
    const { delivered, gate } = gateOf(true);
    const bytes = batchOf([
      { session: 40, sequence: 1, value: "one" },
      { session: 41, sequence: 2, flags: EntryFlag.more },
    ]);
    gate.onSessionValue(C1, bytes, 0, bytes.length);
    expect(delivered).toEqual(["40/1 at 0, 0 bytes", "41/2 at 0, 0 bytes"]);
    const plain = gateOf(false);
    plain.gate.onSessionValue(C1, Buffer.from("record"), 0, 6);
    expect(plain.delivered).toEqual(["0/0 at 0, 6 bytes"]);
  });
});

test("with a learner inside: ready once a quorum of acceptors knows it, and it knows where the log is", () => {
  const registered = [false, false, false];
  const learner = { next: 0, isRegistered: (aid: number) => registered[aid] };
  for (const startsByItself of [true, false]) {
    const client = clientOf([]);
    const gate = new LearnerGate(client, learner as unknown as Learner, 3, startsByItself);
    registered.fill(false);
    registered[2] = true;
    learner.next = 0;
    expect([gate.pump(), client.ready]).toEqual([false, false]);
    registered[0] = true;
    expect([gate.pump(), client.ready]).toEqual([!startsByItself, !startsByItself]);
    learner.next = 5;
    gate.pump();
    expect(client.ready).toBe(true);
    // Once is enough: whoever stops the client is not contradicted.
    client.ready = false;
    expect([gate.pump(), client.ready]).toEqual([false, false]);
  }
});

test("on a device: ready once the learner has seen the reader; values go to the client", () => {
  const delivered: string[] = [];
  const client = clientOf(delivered);
  const reader = { state: "waiting" };
  const gate = new DeviceGate(client, reader as unknown as DeviceReader);
  expect([gate.pump(), client.ready]).toEqual([false, false]);
  reader.state = "attached";
  expect([gate.pump(), client.ready]).toEqual([true, true]);
  expect(gate.pump()).toBe(false);
  expect(gate.take(readerAt({ session: 3, sequence: 9, bytes: Buffer.from("xyz") }))).toBe(true);
  expect(delivered).toEqual(["3/9 at 7, 3 bytes"]);
});
