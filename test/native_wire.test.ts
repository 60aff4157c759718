import { beforeEach, describe, expect, test } from "bun:test";
import { CRC_BYTES, MAC_BYTES } from "../src/net/link.ts";
import type { MemoryNetwork } from "../src/net/memory.ts";
import { type Ballot, Busy, MAX_IID, Role } from "../src/protocol/types.ts";
import { HEADER_BYTES, NativeType } from "../src/wire/native_layout.ts";
import { decodeNativeText } from "../src/wire/native_text.ts";
import { addressOf, Endpoint, memoryNetwork } from "./support/native_fixture.ts";
import { entry, HELLO } from "./support/native_stage.ts";

/** Of three acceptors that nobody has heard of. */
const STANDING = new Uint8Array(36);

const b = (ballot: number): Ballot => ballot as Ballot;
const hex = (text: string): string => Buffer.from(text).toString("hex");

let network: MemoryNetwork;
let acceptor: Endpoint;
let proposer: Endpoint;
let learner: Endpoint;
let client: Endpoint;
let host: Endpoint;

beforeEach(() => {
  network = memoryNetwork();
  acceptor = new Endpoint(network, { role: "acceptor", id: 1 });
  proposer = new Endpoint(network, { role: "proposer", id: 0 });
  learner = new Endpoint(network, { role: "learner", id: 1 });
  client = new Endpoint(network, { role: "client", id: 40000 });
  host = new Endpoint(network, { role: "host", id: 7 });
});

/** Of a frame's messages. */
function typesOf(payload: Uint8Array): number[] {
  const types: number[] = [];
  for (let at = HEADER_BYTES; at < payload.length; at += payload[at + 2]! | (payload[at + 3]! << 8))
    types.push(payload[at]!);
  return types;
}

/** Everyone who hears it, and what. */
function say(from: Endpoint, words: () => void): Record<string, unknown[][]> {
  words();
  from.send();
  const all = { acceptor, proposer, learner, client, host };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, one]) => {
      const calls = one.hear();
      return calls.length === 0 ? [] : [[name, calls]];
    }),
  );
}

test("a life may have 53 bits", () => {
  const old = new Endpoint(network, { role: "proposer", id: 1, life: MAX_IID });
  expect(say(old, () => old.outbox.prepare(1, b(1)))).toEqual({
    acceptor: [["onPrepare", "proposer 1", 1, 1, MAX_IID]],
  });
});

describe("values", () => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])("%d bytes are padded with zeros", (length) => {
    const { words } = host.link.area;
    words.fill(0xffff_ffff, host.link.txBase + host.link.txSlots * 16);
    const bytes = Buffer.from("abcdefghi");
    host.outbox.sessionValue(host.peer("client", 40000), bytes, 0, length);
    const [payload] = host.sealed();
    const padding = payload!.slice(28 + 8 + length);
    expect(padding).toEqual(new Uint8Array((4 - (length % 4)) % 4));
    host.send();
    expect(client.hear()).toEqual([["onSessionValue", "host 7", hex("abcdefghi".slice(0, length))]]);
  });

  test.each([
    ["empty", new Uint8Array(0)],
    ["no entry", Uint8Array.from(HELLO)],
    ["half an entry", entry(40).subarray(0, 40)],
  ])("a client value that is no batch is refused: %s", (_, bytes) => {
    client.outbox.clientValue(0, bytes, 0, bytes.length, 0);
    client.send();
    expect(proposer.hear()).toEqual([]);
    expect(proposer.wire.counters.badField).toBe(1);
  });

  test("the largest value fits every message that carries it; what is larger is refused", () => {
    const { maxValue } = proposer.wire;
    const bytes = new Uint8Array(maxValue + MAC_BYTES).fill(7);
    const to = acceptor.peer("proposer", 0);
    expect(say(proposer, () => proposer.outbox.accept(1, 0, b(1), bytes, 0, maxValue)).learner).toHaveLength(
      2,
    );
    const heard = say(acceptor, () => {
      acceptor.outbox.repeated(acceptor.peer("learner", 1), 1, b(1), 1, 0, bytes, 0, maxValue);
      acceptor.outbox.promiseBegin(to, b(1), 1, 1, 1, 0, STANDING, 1);
      // What a MAC would take is left over without one.
      const over = maxValue + MAC_BYTES - CRC_BYTES + 1;
      for (const length of [over, over + 600])
        expect(acceptor.outbox.promiseRecord(1, b(1), 1, 0, new Uint8Array(length), 0, length)).toBe(false);
      expect(acceptor.outbox.promiseRecord(1, b(1), 1, 0, bytes, 0, maxValue)).toBe(true);
      // What a MAC would take is left over without one; it holds no second record.
      expect(acceptor.outbox.promiseRecord(2, b(1), 1, 0, bytes, 0, 0)).toBe(false);
      acceptor.outbox.promiseEnd(1);
    });
    expect([heard.learner?.length, heard.proposer?.length]).toEqual([1, 5]);
    // A neighbour whose frames are larger can send one more; it does not fit the stores here.
    const big = new Endpoint(network, { role: "proposer", id: 1, maxPayload: 9000 });
    const jumbo = new Endpoint(network, { role: "acceptor", id: 2, maxPayload: 9000 });
    big.outbox.accept(1, 0, b(1), bytes, 0, maxValue + 1);
    big.send();
    expect(jumbo.hear()).toHaveLength(2);
    expect(acceptor.hear()).toEqual([]);
    expect(acceptor.wire.counters.badField).toBe(1);
  });
});

describe("frames", () => {
  const instances = (calls: unknown[][]) => calls.map((call) => [call[3], call[4]]);
  const accept = (...iids: number[]) => {
    for (const iid of iids) acceptor.outbox.accepted(iid, 0, b(9), 5, HELLO, 0, 5);
  };

  test("client values have frames of their own, in their order, so that the first message tells them", () => {
    const value = (sequence: number) => {
      const bytes = entry(sequence);
      client.outbox.clientValue(0, bytes, 0, bytes.length, 0);
    };
    client.outbox.readAsk(0, 1);
    value(40);
    client.outbox.readAsk(0, 2);
    value(41);
    client.outbox.clientValue(1, entry(42), 0, entry(42).length, 0);
    const { readAsk, clientValue } = NativeType;
    expect(client.sealed().map(typesOf)).toEqual([
      [readAsk, readAsk],
      [clientValue, clientValue],
      [clientValue],
    ]);
    client.send();
    const heard = proposer.hear();
    expect(heard.map(([name]) => name)).toEqual(["onReadAsk", "onReadAsk", "onClientValue", "onClientValue"]);
  });

  test("accepted instances in a row are one range", () => {
    accept(5, 6, 7, 8);
    expect(acceptor.send()).toBe(1);
    expect(learner.hear()).toEqual([["onAcceptedRange", "acceptor 1", 1, 5, 8, 9, 5]]);
  });

  test.each([
    ["a gap", () => accept(5, 7)],
    ["the same again", () => accept(5, 5)],
    ["backwards", () => accept(5, 4)],
  ])("%s is two ranges", (_, words) => {
    words();
    acceptor.send();
    expect(learner.hear()).toHaveLength(2);
  });

  test("another ballot, another life, another message in between: no merging", () => {
    accept(1);
    acceptor.outbox.accepted(2, 0, b(10), 5, HELLO, 0, 5);
    acceptor.outbox.accepted(3, 0, b(10), 6, HELLO, 0, 5);
    acceptor.outbox.acceptorOk(acceptor.peer("learner", 1));
    acceptor.outbox.accepted(4, 0, b(10), 6, HELLO, 0, 5);
    acceptor.send();
    const ranges = learner.hear().filter(([name]) => name === "onAcceptedRange");
    expect(instances(ranges)).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 4],
    ]);
  });

  test("a sealed frame is not touched again", () => {
    accept(1);
    acceptor.send();
    accept(2);
    acceptor.send();
    expect(instances(learner.hear())).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test("messages to one destination share a frame, in order; another destination has its own", () => {
    learner.outbox.learnerHi(1);
    learner.outbox.repeat(1, 3, 4);
    learner.outbox.learnerHi(0);
    learner.outbox.trim(2, true, 0);
    // Acceptors 0, 1 and 2.
    expect(learner.send()).toBe(3);
    expect(acceptor.hear().map(([name]) => name)).toEqual(["onLearnerHi", "onRepeat", "onTrim"]);
  });

  test("a full frame is followed by the next", () => {
    for (let i = 0; i < 5; i++) client.outbox.clientValue(0, entry(684 - 4 * i), 0, 700 - 4 * i, 0);
    expect(client.send()).toBe(3);
    expect(proposer.hear().map((call) => (call[2] as string).length / 2)).toEqual([700, 696, 692, 688, 684]);
  });

  test("more destinations than frames can be open at once: all arrive", () => {
    const busy = new Endpoint(network, { role: "proposer", id: 1, txSlots: 100 });
    for (let id = 0; id < 50; id++) busy.outbox.busy(busy.peer("client", id), Busy.queueFull);
    expect(busy.send()).toBe(50);
  });

  test("without a free slot a message is dropped and counted, and nothing else is harmed", () => {
    const value = entry(984);
    const room = client.outbox.room();
    for (let i = 0; i < room + 5; i++) client.outbox.clientValue(0, value, 0, 1000, 0);
    expect(client.outbox.room()).toBe(0);
    expect(client.wire.counters.overflow).toBe(5);
    expect(client.send()).toBe(room);
    expect(proposer.hear()).toHaveLength(room);
    client.outbox.clientValue(0, value, 0, 1000, 0);
    client.send();
    expect(proposer.hear()).toHaveLength(1);
    expect(proposer.wire.counters).toMatchObject({ malformed: 0, badField: 0 });
  });

  test("a promise has its frame to itself, whatever else goes to that peer", () => {
    const to = acceptor.peer("proposer", 0);
    const value = new Uint8Array(proposer.wire.maxValue);
    acceptor.outbox.preVoted(to, 1, b(1), true);
    acceptor.outbox.promiseBegin(to, b(1), 1, 1, 1, 0, STANDING, 1);
    expect(acceptor.outbox.promiseRecord(1, b(1), 1, 0, value, 0, value.length)).toBe(true);
    acceptor.outbox.promiseEnd(MAX_IID);
    acceptor.outbox.preempted(to, 1, b(1));
    expect(acceptor.send()).toBe(4);
    expect(proposer.hear().map(([name]) => name)).toEqual([
      "onPreVoted",
      "onPromiseBegin",
      "onPromiseEnd",
      "onPromiseBegin",
      "onPromiseRecord",
      "onPromiseEnd",
      "onPreempted",
    ]);
  });

  test("a promise gets a second frame only for a record that would not fit even alone beside the standing", () => {
    const to = acceptor.peer("proposer", 0);
    const value = new Uint8Array(acceptor.wire.maxValue);
    const say = (...lengths: readonly number[]) => {
      acceptor.outbox.promiseBegin(to, b(1), 1, 1, 1, 0, STANDING, 1);
      const fits = lengths.map((length, i) =>
        acceptor.outbox.promiseRecord(1 + i, b(1), 1, 0, value, 0, length),
      );
      acceptor.outbox.promiseEnd(lengths.length);
      acceptor.send();
      const ends = proposer.hear().filter(([name]) => name === "onPromiseEnd").length;
      return [...fits, ends];
    };
    const beside = 1500 - CRC_BYTES - HEADER_BYTES - 56 - STANDING.length - 32;
    expect(say(beside)).toEqual([true, 1]);
    expect(say(beside + 4)).toEqual([true, 2]);
    expect(say(0, beside)).toEqual([true, false, 1]);
    expect(say(value.length, 0)).toEqual([true, false, 2]);
  });

  test.each([1, 3, 5, 7, 41])(
    "with %d acceptors, with and without a key, the largest value fits",
    (count) => {
      const network = memoryNetwork();
      const standing = new Uint8Array(12 * count);
      for (const keys of [undefined, [new Uint8Array(32)]]) {
        for (const maxPayload of [1280, 1452, 1499, 1500, 9000]) {
          const one = new Endpoint(network, { role: "acceptor", id: 0, maxPayload, acceptors: count, keys });
          const { maxValue } = one.wire;
          expect(maxValue).toBe((maxPayload - 116) & ~3);
          const to = one.peer("proposer", 0);
          const value = new Uint8Array(maxValue);
          one.outbox.promiseBegin(to, b(1), 1, 1, 1, 0, standing, 1);
          expect(one.outbox.promiseRecord(1, b(1), 1, 0, value, 0, maxValue)).toBe(true);
          one.outbox.promiseEnd(MAX_IID);
          const frames = one.sealed().map(({ length }) => length);
          expect(frames).toEqual([84 + 12 * count, 116 - 16 + maxValue]);
        }
      }
    },
  );

  test("ranges and promises without a slot", () => {
    const tight = new Endpoint(network, { role: "acceptor", id: 2, txSlots: 1 });
    const to = tight.peer("proposer", 0);
    expect(tight.outbox.promiseBegin(to, b(1), 1, 1, 1, 0, STANDING, 1)).toBe(true);
    // Nor is there one for a record that needs a frame of its own: the promise ends before it.
    const longest = new Uint8Array(tight.wire.maxValue);
    expect(tight.outbox.promiseRecord(1, b(1), 1, 0, longest, 0, longest.length)).toBe(false);
    tight.outbox.promiseEnd(0);
    expect(tight.outbox.promiseBegin(to, b(1), 1, 1, 1, 0, STANDING, 1)).toBe(false);
    tight.outbox.accepted(1, 0, b(1), 1, HELLO, 0, 5);
    tight.outbox.accepted(2, 0, b(1), 1, HELLO, 0, 5);
    expect(tight.wire.counters.overflow).toBe(4);
    tight.send();
    expect(proposer.hear().map(([name]) => name)).toEqual(["onPromiseBegin", "onPromiseEnd"]);
    tight.outbox.accepted(3, 0, b(1), 1, HELLO, 0, 5);
    tight.send();
    expect(learner.hear()).toEqual([["onAcceptedRange", "acceptor 2", 2, 3, 3, 1, 1]]);
  });
});

describe("headers", () => {
  /** A prepare of proposer 0, as its wire makes it. */
  const prepare = (): Uint8Array => {
    proposer.outbox.prepare(1, b(1));
    const [payload] = proposer.sealed();
    proposer.wire.clear();
    return payload!;
  };
  const patched = (at: number, byte: number): Uint8Array => {
    const payload = prepare();
    payload[at] = byte;
    return payload;
  };
  const home = addressOf("proposer", 0);

  test("as it is made it is taken", () => {
    expect(acceptor.take(prepare(), home)).toHaveLength(1);
    expect(acceptor.wire.counters).toMatchObject({ framesIn: 1, messagesIn: 1, malformed: 0, notForUs: 0 });
  });

  test.each([
    ["wrong magic", 0, 0x6c, "malformed"],
    ["a message of the UDP form of the other wire", 0, 0, "otherWire"],
    ["wrong version", 1, 1, "otherVersion"],
    ["wrong cluster", 4, 0, "otherCluster"],
    ["wrong group", 3, 9, "otherCluster"],
    ["for another role", 9, Role.learner, "notForUs"],
    ["for another id", 14, 2, "notForUs"],
    ["a length beyond the frame", 11, 4, "malformed"],
    ["a length that is no multiple of 4", 10, 49, "malformed"],
    ["a length below the header", 10, 24, "malformed"],
    ["a source role nobody has", 8, 0, "stranger"],
    ["two source roles at once", 8, Role.acceptor | Role.proposer, "stranger"],
    ["a life beyond 53 bits", 23, 0x20, "malformed"],
    ["a proposer that is not configured", 12, 7, "stranger"],
    ["an acceptor's place from a proposer's address", 8, Role.acceptor, "stranger"],
  ] as const)("%s", (name, at, byte, counter) => {
    const payload = patched(at, byte);
    if (counter === "otherWire") payload.set([0, 0, 0], 0);
    if (name === "for another id") payload[15] = 0;
    expect(acceptor.take(payload, home)).toEqual([]);
    expect(acceptor.wire.counters[counter]).toBe(1);
  });

  test("one's own life is not heard", () => {
    const twin = new Endpoint(network, { role: "acceptor", id: 2, life: proposer.life });
    expect(twin.take(prepare(), home)).toEqual([]);
    expect(twin.wire.counters.notForUs).toBe(1);
  });

  test("a configured place from another address is a stranger's", () => {
    expect(acceptor.take(prepare(), addressOf("proposer", 1))).toEqual([]);
    expect(acceptor.wire.counters.stranger).toBe(1);
  });

  test("frames of the other wire are counted as such", () => {
    expect(acceptor.take(prepare(), home, undefined, 0xcafa)).toEqual([]);
    expect(acceptor.wire.counters.otherWire).toBe(1);
  });

  test("what only an acceptor or a proposer may say is refused from others", () => {
    acceptor.outbox.accepted(1, 0, b(1), 1, HELLO, 0, 5);
    acceptor.outbox.acceptorState(1, 1, 0, 0);
    proposer.outbox.prepare(1, b(1));
    proposer.outbox.accept(1, 0, b(1), HELLO, 0, 5);
    proposer.outbox.heartbeat(1, b(1), 0, 0);
    for (const [from, to] of [
      [acceptor, proposer],
      [proposer, acceptor],
    ] as const) {
      for (const payload of from.sealed()) {
        payload[8] = Role.learner;
        expect(to.take(payload, addressOf("learner", 0))).toEqual([]);
      }
    }
    expect(proposer.wire.counters.badField).toBe(2);
    expect(acceptor.wire.counters.badField).toBe(3);
  });

  test("a broken message ends its frame; those before it count", () => {
    learner.outbox.learnerHi(1);
    learner.outbox.repeat(1, 5, 4);
    learner.outbox.trim(3, true, 0);
    const payload = learner.sealed().find((one) => one.length > 40)!;
    expect(acceptor.take(payload, addressOf("learner", 1)).map(([name]) => name)).toEqual([
      "onLearnerHi",
      "onTrim",
    ]);
    expect(acceptor.wire.counters.badField).toBe(1);
    payload[32] = 99;
    expect(acceptor.take(payload, addressOf("learner", 1)).map(([name]) => name)).toEqual(["onLearnerHi"]);
    expect(acceptor.wire.counters.malformed).toBe(1);
  });
});

test("frame decode shows what was sent", () => {
  proposer.outbox.chosen(4);
  proposer.outbox.accept(5, 0, b(65536), HELLO, 0, 5);
  proposer.outbox.heartbeat(5, b(65536), 6, 7);
  proposer.send();
  const { words, bytes } = learner.link.area;
  expect(learner.link.step(0, 0)).toBe(2);
  const shown = [0, 16].map((descriptor) => {
    const at = words[descriptor]!;
    return decodeNativeText(bytes.slice(at, at + words[descriptor + 1]!));
  });
  const header = {
    message: "frame",
    version: 7,
    group: 3,
    cluster: 0xc0ffee11,
    from: "proposer 0",
    life: 1200,
  };
  expect(shown).toEqual([
    [
      { ...header, to: "acceptor|learner *", length: 68 },
      { message: "accept", voted: 0, iid: 5, ballot: 65536, chosenIid: 4, value: hex("hello") },
    ],
    [
      { ...header, to: "acceptor|proposer|learner *", length: 60 },
      { message: "heartbeat", iid: 5, ballot: 65536, round: 6, leaseMs: 7 },
    ],
  ]);
});
