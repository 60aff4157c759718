import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { crc32c } from "../src/net/crc32c.ts";
import { UNNAMED } from "../src/protocol/generations.ts";
import type { Receiver } from "../src/protocol/receiver.ts";
import { STANDING_BYTES } from "../src/protocol/standing.ts";
import { type Ballot, MAX_IID, RepeatFlag, Role } from "../src/protocol/types.ts";
import { type FrameFields, formatHex } from "../src/wire/frame_fields.ts";
import { decodeHex, encodeFields, formatMessage, parseFields } from "../src/wire/frame_text.ts";
import { HEADER_BYTES, NATIVE_MESSAGES, NATIVE_NAMES, type NativeName } from "../src/wire/native_layout.ts";
import { decodeNativeText, encodeNativeText } from "../src/wire/native_text.ts";
import {
  ACCEPTORS,
  addressOf,
  CLUSTER,
  Endpoint,
  ETHERTYPE,
  GROUP,
  memoryNetwork,
} from "./support/native_fixture.ts";
import { SAYINGS } from "./support/native_sayings.ts";
import { entry, expected, PLAYERS, perform, stage, standingOf } from "./support/native_stage.ts";

const ALL_ROLES = Role.acceptor | Role.proposer | Role.learner | Role.client | Role.host;
/** Arguments that name an acceptor stand first in these. */
const NAMES_ACCEPTOR =
  /^on(Promise(Begin|Record|End)|Accepted(Range)?|Repeated|Preempted|AcceptorState|Echo|PreVoted|Standing(Ask)?|Recover)$/;
/** Arguments (after the sender, the value counted as none) that are at least 1. */
const FROM_ONE: Readonly<Record<string, readonly number[]>> = {
  onPrepare: [0, 1],
  onPromiseBegin: [1, 3, 4],
  onPromiseRecord: [1, 2],
  onAccept: [0, 2],
  onAccepted: [1, 3],
  onRepeated: [1, 4],
  onAcceptedRange: [1, 2, 3],
  onChosen: [1],
  onHeartbeat: [1],
  onEcho: [2, 4],
  onPreVote: [0, 1],
  onPreVoted: [1],
  onStandingAsk: [1, 2],
  onStanding: [1, 2],
  onRecover: [1, 2, 4],
  onPreempted: [1, 2],
  onRepeat: [0, 1],
  onBusy: [0],
  onAcknowledge: [1],
  onReadAsk: [0],
  onAdvance: [0],
  onReadIndex: [0],
  onSnapshotInfo: [1],
  onSnapshotFetch: [1],
  onSnapshotChunk: [1],
};
/** The largest of an argument. */
const AT_MOST: Readonly<Record<string, readonly [index: number, most: number]>> = {
  onBusy: [0, 6],
  onAcknowledge: [0, 3],
  onStandingAsk: [2, 3],
  onStanding: [2, 3],
  onRepeated: [4, 7],
  onPromiseRecord: [4, 3],
  onAcceptorState: [3, 3],
  onHeartbeat: [4, 2 ** 32 - 1],
  onSnapshotAsk: [0, 2 ** 32 - 1],
  onSnapshotFetch: [3, 2 ** 32 - 1],
};

/** Fails on any number out of range and any view beyond the frame. */
function strict(frameEnd: () => number, told: string[]): Receiver {
  return new Proxy({} as Receiver, {
    get:
      (_, name: string) =>
      (from: number, ...args: unknown[]) => {
        if (name === "onGenerations") {
          expect(from).toBeWithin(UNNAMED, 2 ** 32);
          expect(args[0]).toBeWithin(0, 128);
          return;
        }
        if (name === "onAcceptorLife") {
          expect(from).toBeWithin(0, ACCEPTORS);
          expect(args[0]).toBeWithin(0, Number.MAX_SAFE_INTEGER + 1);
          return;
        }
        told.push(name);
        expect(from).toBeGreaterThanOrEqual(0);
        const at = args.findIndex((arg) => arg instanceof Uint8Array);
        if (at >= 0) {
          const [, offset, length] = args.slice(at) as [Uint8Array, number, number];
          expect(length).toBeGreaterThanOrEqual(0);
          expect(offset + length).toBeLessThanOrEqual(frameEnd());
        }
        const numbers = at >= 0 ? [...args.slice(0, at), ...args.slice(at + 3)] : args;
        for (const number of numbers)
          if (typeof number !== "boolean")
            expect(Number.isSafeInteger(number) && (number as number) >= 0).toBe(true);
        if (NAMES_ACCEPTOR.test(name)) expect(args[0]).toBeLessThan(ACCEPTORS);
        // Who knows that an instance is chosen and has no record of it tells no ballot.
        if (name === "onRepeated" && numbers[2] === 0)
          expect([numbers[4], args.at(-1)]).toEqual([RepeatFlag.known, 0]);
        for (const index of FROM_ONE[name] ?? []) expect(numbers[index]).toBeGreaterThanOrEqual(1);
        const bound = AT_MOST[name];
        if (bound !== undefined) expect(numbers[bound[0]]).toBeLessThanOrEqual(bound[1]);
        if (name === "onRepeat" || name === "onSessionOpen")
          expect(args[1]).toBeGreaterThanOrEqual(args[0] as number);
        if (name === "onAcceptedRange") expect(args[2]).toBeGreaterThanOrEqual(args[1] as number);
      },
  });
}

function taker(): { endpoint: Endpoint; take: (payload: Uint8Array, from: Uint32Array) => string[] } {
  const endpoint = new Endpoint(memoryNetwork(), { role: "learner", id: 0, listens: ALL_ROLES, life: 12345 });
  let end = 0;
  const told: string[] = [];
  const receiver = strict(() => end, told);
  return {
    endpoint,
    take(payload, from) {
      told.length = 0;
      end = endpoint.link.area.words[0]! + payload.length;
      const { framesIn } = endpoint.wire.counters;
      endpoint.take(payload, from, receiver);
      expect(endpoint.wire.counters.framesIn).toBe(framesIn + 1);
      return told;
    },
  };
}

const number = fc.oneof(
  fc.nat(20),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, MAX_IID - 1, MAX_IID),
  fc.maxSafeNat(),
);
const role = fc.constantFrom("acceptor", "proposer", "learner", "client", "host");
const name = fc.constantFrom(...(Object.keys(NATIVE_MESSAGES) as NativeName[]));
const value = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc.constantFrom(entry(3), standingOf(1, MAX_IID), new Uint8Array(ACCEPTORS * STANDING_BYTES)),
);

/** Fields of a message, as `frame encode` takes them. */
const message: fc.Arbitrary<FrameFields> = fc
  .tuple(
    name,
    fc.array(number, { minLength: 6, maxLength: 6 }),
    value,
    fc.oneof({ weight: 4, arbitrary: fc.nat(4) }, { weight: 1, arbitrary: fc.nat(255) }),
  )
  .map(([kind, numbers, bytes, flags]) => {
    const { fields, value: has, flags: flag } = NATIVE_MESSAGES[kind];
    const all: Record<string, string | number> = { message: kind };
    if (flag !== undefined) all[flag] = flags;
    fields.forEach(([field, words], i) => {
      all[field] = words === 2 ? numbers[i]! : numbers[i]! % 2 ** 32;
    });
    if (has) all.value = formatHex(bytes);
    return all;
  });
const frame = fc
  .tuple(message, role, fc.boolean(), fc.nat(2), number, fc.option(fc.nat(2 ** 32 - 1)))
  .map(([fields, anyRole, own, id, life, generations]) => {
    // Half of them from somebody who may say that.
    const from = own ? speakerOf(fields.message as NativeName) : anyRole;
    const made = encodeNativeText({
      ...fields,
      from: `${from} ${id}`,
      to: "acceptor|proposer|learner|client|host *",
      // A message that names a life of its own gives it to the header as well.
      life: fields.life ?? life,
      cluster: CLUSTER,
      group: GROUP,
      ...(generations === null ? {} : { generations }),
    });
    if ("error" in made) throw new Error(made.error);
    return { payload: made.payload, address: addressOf(from as "acceptor", id), fields };
  });

function speakerOf(message: NativeName): string {
  const { from } = NATIVE_MESSAGES[message];
  return Object.entries(Role).find(([, bit]) => (from & bit) !== 0)![0];
}

function reseal(payload: Uint8Array): void {
  const length = Math.min(payload[10]! | (payload[11]! << 8), payload.length - 4);
  new DataView(payload.buffer, payload.byteOffset).setUint32(length, crc32c(payload, 0, length), true);
}

describe("whatever comes is decoded or refused", () => {
  test("any bytes", () => {
    const { take } = taker();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), role, (bytes, from) => {
        take(bytes, addressOf(from as "acceptor", 0));
      }),
      { numRuns: 2000 },
    );
  });

  test("any body behind a good header", () => {
    const { take } = taker();
    fc.assert(
      fc.property(frame, fc.uint8Array({ maxLength: 120 }), ({ payload, address }, body) => {
        const whole = new Uint8Array(HEADER_BYTES + body.length + 4);
        whole.set(payload.subarray(0, HEADER_BYTES));
        whole.set(body, HEADER_BYTES);
        whole[10] = (HEADER_BYTES + body.length) & 0xfc;
        whole[11] = 0;
        reseal(whole);
        take(whole, address);
      }),
      { numRuns: 2000 },
    );
  });

  test("any mutation of a valid frame, its checksum made good", () => {
    const { take } = taker();
    const mutation = fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { minLength: 1, maxLength: 4 });
    let told = 0;
    fc.assert(
      fc.property(frame, mutation, ({ payload, address }, changes) => {
        const copy = payload.slice();
        for (const [at, byte] of changes) copy[at % copy.length] = byte;
        reseal(copy);
        told += take(copy, address).length;
      }),
      { numRuns: 5000 },
    );
    expect(told).toBeGreaterThan(100);
  });

  test("a frame cut anywhere", () => {
    const { take } = taker();
    fc.assert(
      fc.property(frame, fc.nat(), ({ payload, address }, cut) => {
        take(payload.slice(0, cut % payload.length), address);
      }),
    );
  });

  test("many valid frames are taken, of every message", () => {
    const { take } = taker();
    const told = new Set<string>();
    let count = 0;
    fc.assert(
      fc.property(frame, ({ payload, address, fields }) => {
        if (take(payload, address).length === 0) return;
        told.add(String(fields.message));
        count++;
      }),
      { numRuns: 10_000, seed: 1 },
    );
    expect(count).toBeGreaterThan(3000);
    // Alone in its frame a record belongs to no promise, and what goes on with one that was not heard is not told.
    const behind = ["promiseRecord", "promisePart"];
    const names = Object.keys(NATIVE_MESSAGES).filter((one) => !behind.includes(one));
    expect([...told].sort()).toEqual(names.sort());
  });
});

describe("what an outbox says is what is heard", () => {
  test.each([
    ["Ethernet", false],
    ["UDP", true],
  ])("every message, any numbers, over %s", (_, udp) => {
    const players = stage(memoryNetwork(), udp);
    const saying = fc.constantFrom(...SAYINGS);
    fc.assert(
      fc.property(saying, fc.integer({ min: 1, max: MAX_IID }), (one, n) => {
        const heard = perform(players, one.by, (from) => one.say(from, n));
        expect(heard).toEqual(expected(one, players, n, udp));
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["Ethernet", false],
    ["UDP", true],
  ])("many messages of one turn, in order for each peer, over %s", (_, udp) => {
    const players = stage(memoryNetwork(), udp);
    const saying = fc.constantFrom(...SAYINGS.filter((one) => one.by === "a1" && one.name !== "accepted"));
    const item = fc.tuple(saying, fc.integer({ min: 1, max: MAX_IID }));
    fc.assert(
      fc.property(fc.array(item, { maxLength: 12 }), (items) => {
        const heard = perform(players, "a1", (from) => {
          for (const [one, n] of items) one.say(from, n);
        });
        const calls: Record<string, unknown[]> = {};
        for (const [one, n] of items) {
          for (const [player, list] of Object.entries(expected(one, players, n, udp))) {
            const before = calls[player] ?? [];
            before.push(...(list as unknown[]));
            calls[player] = before;
          }
        }
        // What goes to everyone of a role travels in frames of its own; the order holds in each.
        const among = (list: unknown[], name: string) =>
          list.filter((call) => udp || multicastOf(call as unknown[]) === name);
        for (const player of PLAYERS) {
          const [said, got] = [calls[player] ?? [], (heard[player] ?? []) as unknown[]];
          for (const name of ["onEcho", "onAcceptorState", ""])
            expect(among(got, name)).toEqual(among(said, name));
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** Of an acceptor's calls those that come by multicast: the echo, and the state for everyone (whose flags are 3 in `SAYINGS`). */
function multicastOf(call: unknown[]): string {
  if (call[0] === "onEcho") return "onEcho";
  return call[0] === "onAcceptorState" && call.at(-2) === 3 ? "onAcceptorState" : "";
}

test("what is said by an outbox is what is heard, however it shares frames", () => {
  const network = memoryNetwork();
  const acceptor = new Endpoint(network, { role: "acceptor", id: 2, txSlots: 200, maxPayload: 300 });
  const learner = new Endpoint(network, { role: "learner", id: 1 });
  const to = acceptor.peer("learner", 1);
  const item = fc.oneof(
    fc.record({ iid: fc.integer({ min: 1, max: 6 }), ballot: fc.integer({ min: 1, max: 2 }) }),
    fc.record({
      iid: number.map((n) => Math.max(1, n)),
      ballot: fc.integer({ min: 1, max: 9 }),
      bytes: value,
    }),
  );
  fc.assert(
    fc.property(fc.array(item, { maxLength: 40 }), (items) => {
      const values: string[] = [];
      const votes: string[] = [];
      for (const one of items) {
        const ballot = one.ballot as Ballot;
        if ("bytes" in one) {
          acceptor.outbox.repeated(to, one.iid, ballot, 3, 0, one.bytes, 0, one.bytes.length);
          values.push(`${one.iid} ${one.ballot} ${formatHex(one.bytes)}`);
        } else {
          acceptor.outbox.accepted(one.iid, 0, ballot, 3, new Uint8Array(0), 0, 0);
          votes.push(`${one.iid} ${one.ballot}`);
        }
      }
      acceptor.send();
      const heard = learner.hear();
      const ranges = heard.filter(([called]) => called === "onAcceptedRange") as number[][];
      const unrolled = ranges.flatMap(([, , , first, last, ballot]) =>
        Array.from({ length: last! - first! + 1 }, (_, i) => `${first! + i} ${ballot}`),
      );
      const repeats = heard.filter(([called]) => called === "onAccepted");
      expect(unrolled).toEqual(votes);
      expect(repeats.map(([, , , iid, , ballot, , hex]) => `${iid} ${ballot} ${hex}`)).toEqual(values);
      expect(acceptor.wire.counters.overflow).toBe(0);
    }),
  );
});

describe("frame decode and encode", () => {
  test("every message of the layout has its type", () => {
    expect(NATIVE_NAMES.filter((one) => one !== undefined)).toEqual(
      Object.keys(NATIVE_MESSAGES) as NativeName[],
    );
  });

  test("give back what they were given", () => {
    fc.assert(
      fc.property(frame, ({ payload, fields }) => {
        const shown = decodeNativeText(payload);
        if ("error" in shown) throw new Error(shown.error);
        const [header, ...messages] = shown;
        expect(messages).toEqual([fields]);
        const { message: _, version, length, ...given } = header!;
        expect(encodeNativeText({ ...fields, ...given } as FrameFields)).toEqual({ payload });
      }),
    );
  });

  test("also as the command does it: hex and JSON", async () => {
    await fc.assert(
      fc.asyncProperty(message, async (fields) => {
        const line = parseFields(JSON.stringify(fields));
        const made = await encodeFields(line as FrameFields, { wire: "native", udp: false, cut: false });
        if ("error" in made) throw new Error(made.error);
        expect(made.etherType).toBe(ETHERTYPE);
        const options = { wire: undefined, etherType: ETHERTYPE, udp: false, frame: false };
        const shown = await decodeHex(formatHex(made.payload), options);
        if ("error" in shown) throw new Error(shown.error);
        expect(shown.messages[1]).toEqual(fields);
        expect(formatMessage(shown.messages[1]!)).toStartWith(String(fields.message));
      }),
      { numRuns: 200 },
    );
  });

  test("any bytes are shown or refused with a reason", () => {
    fc.assert(
      fc.property(
        frame,
        fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }),
        fc.boolean(),
        (made, list, seal) => {
          const copy = made.payload.slice();
          for (const [at, byte] of list) copy[at % copy.length] = byte;
          if (seal) reseal(copy);
          const shown = decodeNativeText(copy);
          if ("error" in shown) expect(shown.error).not.toBe("");
          else expect(shown[0]!.message).toBe("frame");
        },
      ),
      { numRuns: 1000 },
    );
  });
});
