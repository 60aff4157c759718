/**
 * `cluster-key` on the wire: HMAC-SHA-256 in C against another implementation, and what nodes do with frames of every
 * message and role that have no MAC, another key's, a cut one, or one wrong bit: nothing at all.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { library } from "../src/native/library.ts";
import { FrameSeal } from "../src/net/frame_seal.ts";
import { frameMac } from "../src/net/hmac.ts";
import { type Link, MAC_BYTES, Port } from "../src/net/link.ts";
import type { MemoryLink, MemoryNetwork } from "../src/net/memory.ts";
import type { SystemLink } from "../src/net/system_link.ts";
import { openUdp } from "../src/net/udp.ts";
import { Role, type RoleName } from "../src/protocol/types.ts";
import { BundlePaths } from "../src/wire/bundle_paths.ts";
import { maxNativeValue } from "../src/wire/native.ts";
import { NativeFrames } from "../src/wire/native_frames.ts";
import {
  FIXED_BYTES,
  HEADER_BYTES,
  LENGTH_OFFSET,
  NATIVE_MESSAGES,
  type NativeName,
  NativeType,
} from "../src/wire/native_layout.ts";
import { decodeNativeText, encodeNativeText } from "../src/wire/native_text.ts";
import { TxFrames } from "../src/wire/tx_frames.ts";
import { WireCounters } from "../src/wire/wire.ts";
import { put, receive, send } from "./support/link_frames.ts";
import { addressOf, CLUSTER, Endpoint, ETHERTYPE, GROUP, memoryNetwork } from "./support/native_fixture.ts";
import { seededRandom } from "./support/random.ts";

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i + 1);
const OTHER = Uint8Array.from({ length: 32 }, (_, i) => 200 - i);
const CHECKSUM = { lengthOffset: LENGTH_OFFSET };
const NAMES = Object.keys(NATIVE_MESSAGES) as NativeName[];
const ROLES = Object.keys(Role) as RoleName[];
const ALL_ROLES = Object.values(Role).reduce((bits, role) => bits | role, 0);
const VALUE = new TextEncoder().encode("value");

describe("HMAC-SHA-256 in C", () => {
  test("is that of another implementation, for any key and any bytes", () => {
    const c = library();
    const words = new Uint32Array(16);
    const digest = new Uint8Array(32);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 3000 }), (key, bytes) => {
        // The library takes a pointer, and an empty array has none.
        const [k, b] = [key, bytes].map((one) => (one.length === 0 ? new Uint8Array(1) : one));
        expect(c.kpx_hmac_prepare(k!, key.length, words)).toBe(0);
        expect(c.kpx_hmac_sha256(words, b!, bytes.length, digest)).toBe(0);
        const expected = createHmac("sha256", key).update(bytes).digest();
        expect(Buffer.from(digest).equals(expected)).toBe(true);
        expect(Buffer.from(frameMac(key, bytes, 0, bytes.length))).toEqual(expected.subarray(0, MAC_BYTES));
      }),
      { numRuns: 500 },
    );
  });
});

const links: SystemLink[] = [];
afterEach(() => {
  for (const link of links.splice(0)) link.close();
});

function udp(keys?: readonly Uint8Array[] | "plain"): SystemLink {
  const link = openUdp({
    rxSlots: 64,
    txSlots: 64,
    maxPayload: 1452,
    ...(keys === "plain" ? {} : { checksum: { ...CHECKSUM, keys } }),
  });
  links.push(link);
  return link;
}

/** The link's address, from this host. */
function localhost(link: SystemLink): Uint32Array {
  const words = link.address.slice();
  words.set([0, 0, 0xffff0000, 0x0100007f]);
  return words;
}

/** Every sender's frames go to an address of their own. */
let taps = 0;

/** A frame of one message as the real encoder makes it, and a real link seals it: what is on the wire. */
class Sender {
  readonly endpoint: Endpoint;
  readonly #frames: NativeFrames;
  readonly #tx: TxFrames;
  readonly #to: number;
  readonly #tap: MemoryLink;

  constructor(network: MemoryNetwork, role: RoleName, keys?: readonly Uint8Array[]) {
    this.endpoint = new Endpoint(network, { role, id: 0, ...(keys === undefined ? {} : { keys }) });
    const { link, peers, members, life } = this.endpoint;
    this.#tx = new TxFrames(link, new WireCounters());
    this.#frames = new NativeFrames({
      link,
      peers,
      tx: this.#tx,
      roles: Role[role],
      id: 0,
      life,
      clusterId: CLUSTER,
      group: GROUP,
      multicast: null,
      bundles: new BundlePaths(link, peers, members, Role[role]),
    });
    const tap = addressOf("host", 1 + (taps++ % 15));
    this.#to = peers.pin(Role.learner, 0, tap, Port.wire);
    this.#tap = network.open({ address: tap });
  }

  make(name: NativeName): Uint8Array {
    const { fields, value } = NATIVE_MESSAGES[name];
    const type = NativeType[name];
    const length = FIXED_BYTES[type]! + (value ? (VALUE.length + 3) & ~3 : 0);
    const frames = this.#frames;
    const role = this.endpoint.outbox.role;
    expect(frames.begin(role, 0, ALL_ROLES, 0xffff, this.#to, type, 0, length)).toBe(true);
    fields.forEach(([, words], i) => {
      if (words === 2) frames.pair(i + 1);
      else frames.word(i + 1);
    });
    if (value) frames.value(VALUE, 0, VALUE.length);
    frames.seal();
    this.endpoint.link.step(1, 0);
    const [frame] = receive(this.#tap);
    this.#tx.clear();
    return frame!.payload.slice(0, HEADER_BYTES + length + this.endpoint.link.trailerBytes);
  }
}

/** What must not pass, by name: a frame of `name` from `role`, made wrong in some way. */
function wrongFrames(
  good: Uint8Array,
  none: Uint8Array,
  other: Uint8Array,
  random: () => number,
): Uint8Array[] {
  const list = [none, other];
  for (let cut = 1; cut <= MAC_BYTES; cut++) list.push(good.slice(0, -cut));
  for (let at = 0; at < good.length; at++) {
    const flipped = good.slice();
    flipped[at]! ^= 1 << Math.floor(random() * 8);
    list.push(flipped);
  }
  return list;
}

/** Senders of one role: with the key, without one, with another one. */
function senders(network: MemoryNetwork, role: RoleName): readonly [Sender, Sender, Sender] {
  return [new Sender(network, role, [KEY]), new Sender(network, role), new Sender(network, role, [OTHER])];
}

describe("every message of every role", () => {
  for (const role of ROLES) {
    test(`${role}: a node with the key hears frames of the key, and nothing of others`, () => {
      const random = seededRandom(7);
      const network = memoryNetwork();
      const target = new Endpoint(network, {
        role: "learner",
        id: 0,
        life: 5,
        listens: ALL_ROLES,
        keys: [KEY],
      });
      const wire = network.open({ address: addressOf(role, 0) });
      const [own, none, other] = senders(network, role);
      for (const name of NAMES) {
        const good = own.make(name);
        const bad = wrongFrames(good, none.make(name), other.make(name), random);
        const before = { ...target.link.counters(), ...target.wire.counters };
        for (const frame of bad) {
          send(wire, target.link.address, Port.wire, frame, ETHERTYPE);
          expect(target.hear(), name).toEqual([]);
        }
        const after = { ...target.link.counters(), ...target.wire.counters };
        expect(after.rxBadMac - before.rxBadMac, name).toBe(bad.length);
        expect([after.rxFrames, after.framesIn], name).toEqual([before.rxFrames, before.framesIn]);
        // The same frame unharmed is heard: it was the MAC that mattered.
        send(wire, target.link.address, Port.wire, good, ETHERTYPE);
        target.hear();
        expect(target.link.counters().rxFrames - before.rxFrames, name).toBe(1);
        expect(target.wire.counters.messagesIn - before.messagesIn, name).toBe(1);
      }
    });

    test(`${role}: a node without a key drops what has one, and counts it as that`, () => {
      const network = memoryNetwork();
      const target = new Endpoint(network, { role: "learner", id: 0, life: 5, listens: ALL_ROLES });
      const wire = network.open({ address: addressOf(role, 0) });
      const [own, none] = senders(network, role);
      for (const name of NAMES) {
        send(wire, target.link.address, Port.wire, own.make(name), ETHERTYPE);
        expect(target.hear(), name).toEqual([]);
      }
      expect(target.link.counters()).toMatchObject({ rxFrames: 0, rxBadChecksum: 0, rxBadMac: NAMES.length });
      for (const name of NAMES) send(wire, target.link.address, Port.wire, none.make(name), ETHERTYPE);
      target.hear();
      expect(target.wire.counters.messagesIn).toBe(NAMES.length);
    });

    test(`${role}: so does the C library`, () => {
      const random = seededRandom(11);
      const network = memoryNetwork();
      const [own, none, other] = senders(network, role);
      const [keyed, keyless, from] = [udp([KEY]), udp(), udp("plain")];
      const [toKeyed, toKeyless] = [localhost(keyed), localhost(keyless)];
      let bad = 0;
      for (const name of NAMES) {
        const good = own.make(name);
        const wrong = wrongFrames(good, none.make(name), other.make(name), random);
        for (let at = 0; at < wrong.length; at += 64) {
          const some = wrong.slice(at, at + 64);
          for (const [slot, frame] of some.entries()) put(from, slot, toKeyed, Port.wire, frame);
          from.step(some.length, 0);
          expect(keyed.step(0, 0), name).toBe(0);
        }
        bad += wrong.length;
        put(from, 0, toKeyed, Port.wire, good);
        put(from, 1, toKeyless, Port.wire, good);
        from.step(2, 0);
        expect(keyed.step(0, 1_000_000), name).toBe(1);
        expect(keyless.step(0, 0), name).toBe(0);
      }
      expect(keyed.counters()).toMatchObject({ rxFrames: NAMES.length, rxBadMac: bad, rxBadChecksum: 0 });
      expect(keyless.counters()).toMatchObject({ rxFrames: 0, rxBadMac: NAMES.length, rxBadChecksum: 0 });
    });
  }
});

describe("two keys", () => {
  /** Whether a frame of the one link reaches the other. */
  const reaches = (from: SystemLink, to: SystemLink): boolean => {
    const payload = new Uint8Array(HEADER_BYTES);
    payload[LENGTH_OFFSET] = payload.length;
    send(from, localhost(to), Port.wire, payload);
    return to.step(0, 10_000) === 1;
  };

  test("in each step of a rotation old and new hear each other", () => {
    const steps = [[KEY], [KEY, OTHER], [OTHER, KEY], [OTHER]];
    for (let at = 0; at + 1 < steps.length; at++) {
      const [before, after] = [udp(steps[at]), udp(steps[at + 1])];
      expect([reaches(before, after), reaches(after, before)]).toEqual([true, true]);
    }
    const [first, last] = [udp([KEY]), udp([OTHER])];
    expect([reaches(first, last), reaches(last, first)]).toEqual([false, false]);
  });

  test("a step left out is noticed", () => {
    const [behind, ahead] = [udp([KEY]), udp([OTHER, KEY])];
    expect([reaches(behind, ahead), reaches(ahead, behind)]).toEqual([true, false]);
  });
});

describe("room", () => {
  test("what C seals the in-memory link accepts, and the other way round", () => {
    const seal = new FrameSeal({ ...CHECKSUM, keys: [KEY] });
    const [keyed, plain] = [udp([KEY]), udp("plain")];
    const counters = keyed.counters();
    for (let length = HEADER_BYTES; length <= 1436; length += 64) {
      const payload = Uint8Array.from({ length: length + MAC_BYTES }, (_, i) => i * 7);
      payload[LENGTH_OFFSET] = length & 0xff;
      payload[LENGTH_OFFSET + 1] = length >> 8;
      send(keyed, localhost(plain), Port.wire, payload.slice(0, length));
      const sealed = receive(plain, 10_000)[0]!.payload;
      expect(seal.admits(sealed, 0, sealed.length, counters)).toBe(true);
      expect(seal.seal(payload, 0, length)).toBe(true);
      expect(Buffer.from(payload).equals(sealed)).toBe(true);
    }
    expect(counters.rxBadMac).toBe(0);
  });

  test("an instance carries as much with a key as without, and it fits", () => {
    const network = memoryNetwork();
    const [keyed, keyless]: Link[] = [[KEY], undefined].map(
      (keys) =>
        new Endpoint(network, { role: "acceptor", id: 0, ...(keys === undefined ? {} : { keys }) }).link,
    );
    expect([keyed!.trailerBytes, keyless!.trailerBytes]).toEqual([16, 4]);
    expect(maxNativeValue(keyed!, 3)).toBe(maxNativeValue(keyless!, 3));
    const promise = FIXED_BYTES[NativeType.promisePart]!;
    const record = FIXED_BYTES[NativeType.promiseRecord]! + maxNativeValue(keyed!, 3);
    const bytes = HEADER_BYTES + promise + record + keyed!.trailerBytes;
    expect(bytes).toBeLessThanOrEqual(keyed!.maxPayload);
    expect(bytes).toBeGreaterThan(keyed!.maxPayload - 4);
  });
});

describe("frames as text", () => {
  test("with the key they are read, without it the refusal names the flag", () => {
    const sender = new Sender(memoryNetwork(), "acceptor", [KEY]);
    const keyed = sender.make("trim");
    expect(decodeNativeText(keyed, [KEY])).toMatchObject([{ message: "frame" }, { message: "trim", iid: 1 }]);
    expect(decodeNativeText(keyed, [OTHER, KEY])).toMatchObject([{ message: "frame" }, { message: "trim" }]);
    expect(decodeNativeText(keyed, [OTHER])).toEqual({ error: "no MAC of this key" });
    expect(decodeNativeText(keyed)).toMatchObject({ error: expect.stringContaining("--cluster-key") });
    const plain = encodeNativeText({ message: "trim", iid: 1, kind: 0 });
    if ("error" in plain) throw new Error(plain.error);
    expect(decodeNativeText(plain.payload, [KEY])).toMatchObject({
      error: expect.stringContaining("no key"),
    });
  });
});
