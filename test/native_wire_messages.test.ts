/**
 * Every message of the native wire, over Ethernet and over UDP: who hears it, with numbers at the edges; and that one whose
 * numbers, flags, value or sender are wrong is refused and counted.
 */
import { describe, expect, test } from "bun:test";
import { Port } from "../src/net/link.ts";
import { crc32c } from "../src/protocol/crc32c.ts";
import { type Ballot, MAX_IID, Role, type RoleName } from "../src/protocol/types.ts";
import { type FrameFields, formatHex } from "../src/wire/frame_fields.ts";
import {
  FIXED_BYTES,
  HEADER_BYTES,
  NATIVE_MESSAGES,
  NATIVE_NAMES,
  type NativeName,
  NativeType,
  SPEAKERS,
} from "../src/wire/native_layout.ts";
import { encodeNativeText } from "../src/wire/native_text.ts";
import { addressOf, CLUSTER, Endpoint, GROUP, memoryNetwork } from "./support/native_fixture.ts";
import { SAYINGS } from "./support/native_sayings.ts";
import { entry, expected, HELLO, HELLO_HEX, perform, stage, standingOf } from "./support/native_stage.ts";

/** At the edges of 32 and 53 bits. */
const EDGES = [1, 2, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, MAX_IID - 1, MAX_IID];
const NAMES = Object.keys(NATIVE_MESSAGES) as NativeName[];
const ROLES = Object.keys(Role) as RoleName[];
const b = (ballot: number): Ballot => ballot as Ballot;

describe("every message", () => {
  test.each([
    ["Ethernet", false],
    ["UDP", true],
  ])("over %s is heard by whom it concerns, and by nobody else", (_, udp) => {
    const players = stage(memoryNetwork(), udp);
    const said = new Set<string>(["claim"]);
    for (const saying of SAYINGS) {
      said.add(saying.name);
      for (const n of EDGES) {
        const heard = perform(players, saying.by, (from) => saying.say(from, n));
        expect({ name: saying.name, n, heard }).toEqual({
          name: saying.name,
          n,
          heard: expected(saying, players, n, udp),
        });
      }
    }
    expect([...said].sort()).toEqual([...NAMES].sort());
    for (const player of Object.values(players)) {
      expect(player.wire.counters).toMatchObject({ badField: 0, malformed: 0, stranger: 0, overflow: 0 });
    }
  });

  test.each(EDGES)("a claim at %d is heard by another process of that role and id", (n) => {
    const network = memoryNetwork();
    const { l1, l0 } = stage(network, false);
    const twin = new Endpoint(network, { role: "learner", id: 1, life: 77 });
    l1.outbox.claim(n, 7);
    l1.send();
    expect(twin.hear()).toEqual([["onClaim", "learner 1", n, 7]]);
    expect(l0.hear()).toEqual([]);
  });

  test("a claim is not made over UDP, where an address has one process", () => {
    const { l1 } = stage(memoryNetwork(), true);
    l1.outbox.claim(1, 0);
    expect(l1.send()).toBe(0);
  });

  test("without multicast a copy goes to each; with it one frame to all", () => {
    const frames = (udp: boolean, words: (players: ReturnType<typeof stage>) => Endpoint) => {
      const speaker = words(stage(memoryNetwork(), udp));
      return speaker.send();
    };
    const counts = (udp: boolean) => [
      frames(udp, ({ p0 }) => {
        p0.outbox.accept(1, 0, b(1), HELLO, 0, 5);
        return p0;
      }),
      frames(udp, ({ p0 }) => {
        p0.outbox.heartbeat(1, b(1), 1, 0);
        return p0;
      }),
      frames(udp, ({ a1 }) => {
        a1.outbox.echo(1, b(1), 1, 1);
        return a1;
      }),
      frames(udp, ({ a1 }) => {
        a1.outbox.accepted(1, 0, b(1), 1, HELLO, 0, 5);
        return a1;
      }),
    ];
    expect(counts(false)).toEqual([1, 1, 1, 1]);
    // Three acceptors; they and the other proposer; two proposers; the audience.
    expect(counts(true)).toEqual([3, 4, 2, 2]);
  });

  test("what a process asks everyone for it does not answer itself", () => {
    const { l1 } = stage(memoryNetwork(), false);
    l1.outbox.snapshotAsk(1, 5);
    l1.outbox.claim(5, 0);
    const own = l1.sealed();
    expect(own).toHaveLength(2);
    for (const payload of own)
      expect(l1.take(payload, addressOf("learner", 1), undefined, undefined, Port.self)).toEqual([]);
    expect(l1.wire.counters).toMatchObject({ messagesIn: 2, badField: 0, notForUs: 0 });
  });
});

/** A message whose numbers are all 1 (or what they need be), as its sender may say it. */
function good(name: NativeName): FrameFields {
  const { fields, value, flags } = NATIVE_MESSAGES[name];
  const all: Record<string, string | number> = { message: name };
  for (const [field] of fields) all[field] = 1;
  if (flags !== undefined) all[flags] = 1;
  if (name === "sessionOpen") all.end = 2;
  if (name === "promisePart") all.standing = crc32c(contentOf("promise"));
  if (value) all.value = formatHex(contentOf(name));
  return all;
}

function contentOf(name: NativeName): Uint8Array {
  if (name === "promise" || name === "standing") return standingOf(1, 1);
  return name === "clientValue" ? entry(3) : HELLO;
}

/** They stand behind a promise only. */
const BEHIND_A_PROMISE: readonly string[] = ["promiseRecord", "promisePart"];

const speakerOf = (name: NativeName): RoleName =>
  ROLES.find((role) => (NATIVE_MESSAGES[name].from & Role[role]) !== 0)!;

/** Where replicas 0 and others 0 are. */
const placeOf = (role: RoleName): Uint32Array => addressOf(role === "proposer" ? "acceptor" : role, 0);

/** Someone who listens to everything, and what became of one message. */
function judge() {
  const listens = Object.values(Role).reduce((all, bit) => all | bit, 0);
  const ear = new Endpoint(memoryNetwork(), { role: "learner", id: 1, listens, life: 5, replicas: true });
  const frame = (fields: FrameFields, role: RoleName): Uint8Array => {
    const header = { from: `${role} 0`, to: "acceptor|proposer|learner|client|host *", life: 1 };
    const made = encodeNativeText({ ...fields, ...header, cluster: CLUSTER, group: GROUP });
    if ("error" in made) throw new Error(made.error);
    return made.payload.slice(0, -4);
  };
  return {
    ear,
    frame,
    /** "taken", or the counter that rose. */
    take(payload: Uint8Array, role: RoleName): string {
      const { counters } = ear.wire;
      const before = { badField: counters.badField, malformed: counters.malformed };
      const calls = ear.take(payload, placeOf(role));
      if (counters.malformed > before.malformed) return "malformed";
      if (counters.badField > before.badField) return calls.length === 0 ? "badField" : "half";
      return calls.length > 0 ? "taken" : "nothing";
    },
    /** The same behind the beginning of a promise, if it is said so only. */
    framed(fields: FrameFields, role: RoleName): Uint8Array {
      const one = frame(fields, role);
      return BEHIND_A_PROMISE.includes(String(fields.message))
        ? joined(frame(good("promise"), role), one.slice(HEADER_BYTES))
        : one;
    },
  };
}

function joined(payload: Uint8Array, ...messages: readonly Uint8Array[]): Uint8Array {
  const all = Buffer.concat([payload, ...messages]);
  all.writeUInt16LE(all.length, 10);
  return new Uint8Array(all);
}

/** Fields that may be 0; every other one may not. */
const MAY_BE_ZERO: Readonly<Record<string, readonly string[]>> = {
  promise: ["life", "trimIid"],
  promiseRecord: ["valueLife"],
  promisePart: ["life", "standing"],
  accept: ["chosenIid"],
  accepted: ["life"],
  acceptedValue: ["life"],
  trim: ["iid", "kind"],
  acceptorState: ["trimIid", "highestIid", "logId"],
  claim: ["uptimeMs", "generation"],
  heartbeat: ["iid", "round", "leaseMs"],
  sessionOpen: ["first"],
  sessionOk: ["connection"],
  sessionClose: ["connection"],
  echo: ["iid", "life"],
  preVoted: ["ballot"],
  standingAsk: ["generation"],
  standing: ["ballot"],
  acknowledge: ["sequence", "iid"],
  readIndex: ["iid"],
  snapshotAsk: ["above", "kind"],
  snapshotInfo: ["size", "kind", "checksum"],
  snapshotFetch: ["position", "kind", "size"],
  snapshotChunk: ["position", "kind"],
};
/** `last` 0 of a promise: this frame says nothing of `first` yet. */
const PROMISE_OF_NOTHING = "promise.last";

/** The flags that a message knows. */
const FLAGS: Readonly<Record<string, readonly number[]>> = {
  promise: [0, 1],
  promiseRecord: [0, 1, 2, 3],
  promisePart: [0, 1],
  accept: [0, 1],
  acceptedValue: [0, 1, 2, 3, 4, 5, 6, 7],
  trim: [0, 1],
  acceptorState: [0, 1, 2, 3],
  clientValue: [0, 1],
  busy: [1, 2, 3, 4, 5, 6],
  preVoted: [0, 1],
  standingAsk: [1, 2, 3],
  standing: [1, 2, 3],
  acknowledge: [0, 1, 2, 3],
  readIndex: [0, 1],
  bundleAsk: [0, 1, 2, 3],
  bundleAnswer: [0, 1, 2, 3],
};

describe("what is refused", () => {
  test("of a message no field, flag or value need be wrong: as it is made it is taken", () => {
    const { take, framed } = judge();
    for (const name of NAMES) {
      const role = speakerOf(name);
      expect(`${name} ${take(framed(good(name), role), role)}`).toBe(`${name} taken`);
    }
  });

  test.each(NAMES)("%s from a role that may not say it", (name) => {
    const { take, frame } = judge();
    for (const role of ROLES) {
      const isAllowed = (NATIVE_MESSAGES[name].from & Role[role]) !== 0;
      expect((SPEAKERS[NativeType[name]]! & Role[role]) !== 0).toBe(isAllowed);
      // A record without a promise before it is refused in any case; what goes on with a lost one is not told.
      const lone = name === "promisePart" ? "nothing" : name === "promiseRecord" ? "badField" : "taken";
      const result = isAllowed ? lone : "badField";
      expect(`${role}: ${take(frame(good(name), role), role)}`).toBe(`${role}: ${result}`);
    }
  });

  test.each(NAMES)("%s with a number of more than 53 bits, or a 0 where none may be", (name) => {
    const { take, framed } = judge();
    const role = speakerOf(name);
    const isBehind = BEHIND_A_PROMISE.includes(name);
    const wrong = isBehind ? "half" : "badField";
    const start = isBehind ? framed(good("promise"), role).length : HEADER_BYTES;
    let at = start + 4;
    for (const [field, words] of NATIVE_MESSAGES[name].fields) {
      if (words === 2) {
        const payload = framed(good(name), role);
        new DataView(payload.buffer).setUint32(at + 4, 2 ** 21, true);
        expect(`${field} ${take(payload, role)}`).toBe(`${field} ${wrong}`);
        new DataView(payload.buffer).setUint32(at + 4, 0xffff_ffff, true);
        expect(`${field} ${take(payload, role)}`).toBe(`${field} ${wrong}`);
      }
      at += 4 * words;
      const mayBe = MAY_BE_ZERO[name]?.includes(field) === true || `${name}.${field}` === PROMISE_OF_NOTHING;
      const zero = take(framed({ ...good(name), [field]: 0 }, role), role);
      expect(`${field} ${zero}`).toBe(`${field} ${mayBe ? "taken" : wrong}`);
    }
  });

  test.each(NAMES)("%s with flags that mean nothing", (name) => {
    const { take, framed } = judge();
    const role = speakerOf(name);
    const known = FLAGS[name];
    const label = NATIVE_MESSAGES[name].flags;
    expect(label === undefined).toBe(known === undefined);
    if (label === undefined || known === undefined) return;
    const wrong = BEHIND_A_PROMISE.includes(name) ? "half" : "badField";
    for (let flags = 0; flags < 256; flags++) {
      const result = known.includes(flags) ? "taken" : wrong;
      const taken = take(framed({ ...good(name), [label]: flags }, role), role);
      expect(`${flags} ${taken}`).toBe(`${flags} ${result}`);
    }
  });

  test.each([
    ["repeat", { first: 2, last: 1 }],
    ["accepted", { first: 2, last: 1 }],
    ["sessionOpen", { first: 2, end: 2 }],
    ["promise", { asked: 2, first: 1 }],
    ["promise", { first: 3, last: 1 }],
    ["promisePart", { first: 2, last: 1 }],
  ] as const)("%s with a range that runs backwards: %j", (name, fields) => {
    const { take, frame } = judge();
    const role = speakerOf(name);
    expect(take(frame({ ...good(name), ...fields }, role), role)).toBe("badField");
  });

  test.each(["accept", "acceptedValue", "promiseRecord", "snapshotChunk"] as const)(
    "%s with a value beyond what one instance carries",
    (name) => {
      const { take, framed, ear } = judge();
      const role = speakerOf(name);
      const { maxValue } = ear.wire;
      const sized = (length: number) =>
        framed({ ...good(name), value: formatHex(new Uint8Array(length)) }, role);
      expect(take(sized(maxValue), role)).toBe("taken");
      expect(take(sized(maxValue + 1), role)).toBe(name === "promiseRecord" ? "half" : "badField");
    },
  );

  test.each(["promise", "standing"] as const)("%s with what is no standing of three acceptors", (name) => {
    const { take, frame } = judge();
    const standing = standingOf(1, MAX_IID);
    const wide = standing.slice();
    wide[8 + 12 + 2] = 0x20;
    const result = (value: Uint8Array) =>
      take(frame({ ...good(name), value: formatHex(value) }, "acceptor"), "acceptor");
    expect(result(standing)).toBe("taken");
    expect(result(standing.subarray(0, 24))).toBe("badField");
    expect(result(standing.subarray(0, 35))).toBe("badField");
    expect(result(new Uint8Array(48))).toBe("badField");
    expect(result(new Uint8Array(0))).toBe("badField");
    expect(result(wide)).toBe("badField");
  });

  test.each(NAMES)("%s that is longer or shorter than it should be", (name) => {
    const { take, frame } = judge();
    const role = speakerOf(name);
    const size = FIXED_BYTES[NativeType[name]]!;
    const resized = (bytes: number): Uint8Array => {
      const whole = frame(good(name), role);
      const payload = joined(whole.slice(0, HEADER_BYTES), new Uint8Array(Math.max(4, bytes)));
      payload.set(whole.subarray(HEADER_BYTES, HEADER_BYTES + bytes), HEADER_BYTES);
      new DataView(payload.buffer).setUint16(HEADER_BYTES + 2, bytes, true);
      return payload;
    };
    expect(take(resized(size - 4), role)).toBe("malformed");
    const whole = frame(good(name), role).length - HEADER_BYTES;
    expect(take(resized(whole + 4), role)).toBe("malformed");
  });

  test("types that are nobody's", () => {
    const { take, frame } = judge();
    for (let type = 0; type < 256; type++) {
      if (NATIVE_NAMES[type] !== undefined) continue;
      const payload = frame(good("learnerHi"), "learner");
      payload[HEADER_BYTES] = type;
      expect(take(payload, "learner")).toBe("malformed");
    }
  });
});

describe("what follows a message", () => {
  test.each(NAMES)("does not change what %s says", (name) => {
    const { ear, framed } = judge();
    const role = speakerOf(name);
    const payload = framed(good(name), role);
    const { bytes } = ear.link.area;
    const say = (byte: number) => {
      bytes.fill(byte, ear.link.area.words[ear.link.rxBase]!);
      return ear.take(payload, placeOf(role));
    };
    const alone = say(0);
    expect(alone.length).toBeGreaterThan(0);
    expect(say(0xff)).toEqual(alone);
    expect(ear.wire.counters.badField).toBe(0);
  });

  test("a part of a promise is told with what its promise said at its head, and beside that one only", () => {
    const standing = formatHex(standingOf(1, 1));
    const begun = ["onPromiseBegin", "acceptor 0", 0, 1, 1, 5, 5, 7, 3, standing];
    const head = { ...good("promise"), first: 4, last: 4, trimIid: 3 };
    const part = { ...good("promisePart"), first: 5, last: 7 };
    const { ear, frame } = judge();
    const heard = (fields: FrameFields, speaker = 1, life = 1) => {
      const record = frame(good("promiseRecord"), "acceptor").slice(HEADER_BYTES);
      const payload = joined(frame(fields, "acceptor"), record);
      const view = new DataView(payload.buffer);
      view.setUint32(16, speaker, true);
      view.setUint32(HEADER_BYTES + 12, life, true);
      return ear.take(payload, addressOf("acceptor", 0));
    };
    const told = [
      begun,
      ["onPromiseRecord", "acceptor 0", 0, 1, 1, 1, 1, HELLO_HEX],
      ["onPromiseEnd", "acceptor 0", 0, true],
    ];
    expect(heard(part)).toEqual([]);
    expect(heard(head)).toHaveLength(3);
    expect(heard(part)).toEqual(told);
    // To another prepare, after the acceptor came to know more, of another process.
    expect(heard({ ...part, ballot: 2 })).toEqual([]);
    expect(heard({ ...part, standing: 1 })).toEqual([]);
    expect(heard(part, 2)).toEqual([]);
    expect(heard(part, 1, 2)).toEqual([]);
    expect(heard(part)).toEqual(told);
    expect(heard({ ...head, value: formatHex(standingOf(2, 1)) })).toHaveLength(3);
    expect(heard(part)).toEqual([]);
    // Of two that ask in turns the one whose head was heard last goes on; the other asks again.
    expect(heard(head)).toHaveLength(3);
    expect(heard({ ...head, ballot: 2 })).toHaveLength(3);
    expect(heard(part)).toEqual([]);
    expect(heard({ ...part, ballot: 2 })).toHaveLength(3);
    expect(ear.wire.counters.badField).toBe(0);
  });

  test("a promise whose frame holds a record that is refused never ends", () => {
    const { ear, frame } = judge();
    const tail = (fields: FrameFields) => frame(fields, "acceptor").slice(HEADER_BYTES);
    const record = tail({ ...good("promiseRecord"), iid: 2 });
    const refused = tail({ ...good("promiseRecord"), valueBallot: 0 });
    const cut = record.slice();
    new DataView(cut.buffer).setUint16(2, record.length + 4, true);
    const names = (...messages: readonly Uint8Array[]) =>
      ear
        .take(joined(frame(good("promise"), "acceptor"), ...messages), addressOf("acceptor", 0))
        .map(([call]) => call);
    expect(names(record, record)).toEqual([
      "onPromiseBegin",
      "onPromiseRecord",
      "onPromiseRecord",
      "onPromiseEnd",
    ]);
    expect(names(record, refused)).toEqual(["onPromiseBegin", "onPromiseRecord"]);
    expect(names(refused, record)).toEqual(["onPromiseBegin"]);
    expect(names(record, cut)).toEqual(["onPromiseBegin", "onPromiseRecord"]);
    // Another message ends it: what comes after is a matter of its own.
    const preempted = tail(good("preempted"));
    expect(names(record, preempted, cut)).toEqual([
      "onPromiseBegin",
      "onPromiseRecord",
      "onPromiseEnd",
      "onPreempted",
    ]);
    expect(names(record, preempted, record)).toEqual([
      "onPromiseBegin",
      "onPromiseRecord",
      "onPromiseEnd",
      "onPreempted",
    ]);
    // And a frame that was broken off leaves nothing open for the next.
    expect(ear.take(frame(good("promiseRecord"), "acceptor"), addressOf("acceptor", 0))).toEqual([]);
  });
});
