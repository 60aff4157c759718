/** Frames that may leave in bundles (raw Ethernet): how long they are, what marks them, and how one asks whether they arrive. */
import { describe, expect, test } from "bun:test";
import { DESCRIPTOR_WORDS, LENGTH, MARK, MARK_BUNDLE } from "../src/net/link.ts";
import { type Ballot, Role } from "../src/protocol/types.ts";
import { EVERYONE } from "../src/wire/native_frames.ts";
import { BundleFlag, HEADER_BYTES, NativeType } from "../src/wire/native_layout.ts";
import { Endpoint, memoryNetwork } from "./support/native_fixture.ts";

const CRC = 4;
const ballot = 65536 as Ballot;

function proposer(bundlePayload: number): Endpoint {
  return new Endpoint(memoryNetwork(), { role: "proposer", id: 0, bundlePayload, txSlots: 64 });
}

interface Sealed {
  readonly mark: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

function sealed(endpoint: Endpoint): Sealed[] {
  const { txBase, area } = endpoint.link;
  const frames = endpoint.sealed().map((bytes, slot) => {
    const at = txBase + slot * DESCRIPTOR_WORDS;
    return { mark: area.words[at + MARK]!, length: area.words[at + LENGTH]!, bytes };
  });
  endpoint.wire.clear();
  return frames;
}

/** Everyone is asked, and all that count answer. */
function answered(endpoint: Endpoint): void {
  const { bundles } = endpoint.wire;
  bundles.tick(1);
  bundles.want(EVERYONE);
  bundles.pump();
  for (const member of [...endpoint.members.acceptors, ...endpoint.members.proposers]) {
    endpoint.peers.life[member] = 7000 + member;
    endpoint.peers.lastHeardUs[member] = 1;
    bundles.onBundleAnswer(member, 1, BundleFlag.everyone | BundleFlag.bundled);
    bundles.onBundleAnswer(member, 1, BundleFlag.bundled);
  }
  sealed(endpoint);
}

describe("frames", () => {
  test.each([
    [0, 1500],
    [1472, 1472],
    [800, 800],
  ])(
    "of several messages fit a bundle of frames of %d bytes; a message alone may need all %d or more",
    (payload, most) => {
      const endpoint = proposer(payload);
      const { outbox } = endpoint;
      for (let i = 1; i <= 100; i++) outbox.accept(i, 0, ballot, new Uint8Array(20), 0, 20);
      const lengths = sealed(endpoint).map(({ length }) => length);
      expect(lengths.length).toBeGreaterThan(3);
      for (const length of lengths) expect(length + CRC).toBeLessThanOrEqual(most);
      // As many as fit: another message of 52 bytes would not.
      for (const length of lengths.slice(0, -1)) expect(length + CRC + 52).toBeGreaterThan(most);
      outbox.accept(101, 0, ballot, new Uint8Array(outbox.maxValue), 0, outbox.maxValue);
      outbox.accept(102, 0, ballot, new Uint8Array(20), 0, 20);
      const alone = sealed(endpoint).map(({ length }) => length);
      expect(alone[0]).toBe(HEADER_BYTES + 32 + outbox.maxValue + (payload === 0 ? 52 : 0));
      expect(alone).toHaveLength(payload === 0 ? 1 : 2);
    },
  );

  test("are marked by who they are for, once bundles are known to arrive", () => {
    const endpoint = proposer(1472);
    const { outbox } = endpoint;
    const say = (): void => {
      outbox.accept(1, 0, ballot, new Uint8Array(8), 0, 8);
      outbox.prepareTo(1, 1, ballot);
      outbox.readAsk(1, 5);
      outbox.clientValue(1, new Uint8Array(8), 0, 8, 0);
    };
    say();
    expect(sealed(endpoint).map(({ mark }) => mark)).toEqual([0, 0, 0, 0]);
    answered(endpoint);
    say();
    const marks = sealed(endpoint).map(({ mark }) => mark);
    expect(new Set(marks).size).toBe(4);
    for (const mark of marks) expect(mark > 0 && mark < MARK_BUNDLE).toBe(true);
    outbox.busy(endpoint.peer("client", 1), 1);
    expect(sealed(endpoint)[0]!.mark).toBe(0);
  });

  test("whose link has no bundles are not marked", () => {
    const endpoint = proposer(0);
    endpoint.link.area.words.fill(0xffff_ffff, endpoint.link.txBase + MARK, endpoint.link.txBase + MARK + 1);
    answered(endpoint);
    endpoint.outbox.readAsk(1, 5);
    expect(sealed(endpoint)[0]!.mark).toBe(0);
  });
});

describe("asking", () => {
  test("takes a bundle of two full frames, and one frame alone", () => {
    const endpoint = proposer(1472);
    const { bundles } = endpoint.wire;
    for (let i = 1; i <= 100; i++) endpoint.outbox.accept(i, 0, ballot, new Uint8Array(20), 0, 20);
    sealed(endpoint);
    bundles.tick(1);
    bundles.pump();
    const asked = sealed(endpoint);
    expect(asked.map(({ length }) => length + CRC)).toEqual([1472, 1472, HEADER_BYTES + 16 + CRC]);
    expect(asked.map(({ mark }) => mark >= MARK_BUNDLE)).toEqual([true, true, false]);
    expect(asked[0]!.mark).toBe(asked[1]!.mark);
    expect(asked.map(({ bytes }) => bytes[HEADER_BYTES])).toEqual(Array(3).fill(NativeType.bundleAsk));
    expect(asked.map(({ bytes }) => bytes[HEADER_BYTES + 1])).toEqual([3, 3, 2]);
  });

  test("leaves other messages where they are, and takes no frame that is open", () => {
    const endpoint = proposer(1472);
    endpoint.outbox.prepareTo(1, 1, ballot);
    endpoint.wire.bundles.speaker!.bundleAsk(Role.acceptor, endpoint.members.acceptors[1]!, 9);
    endpoint.outbox.prepareTo(1, 2, ballot);
    const types = sealed(endpoint).map(({ bytes, mark }) => [bytes[HEADER_BYTES], mark >= MARK_BUNDLE]);
    expect(types).toEqual([
      [NativeType.prepare, false],
      [NativeType.bundleAsk, true],
      [NativeType.bundleAsk, true],
      [NativeType.bundleAsk, false],
      // Who knows no such message drops its frame.
      [NativeType.prepare, false],
    ]);
  });

  test("is put off where frames are short", () => {
    const endpoint = new Endpoint(memoryNetwork(), {
      role: "proposer",
      id: 0,
      bundlePayload: 1472,
      txSlots: 2,
    });
    endpoint.wire.bundles.speaker!.bundleAsk(Role.acceptor, endpoint.members.acceptors[1]!, 9);
    expect(sealed(endpoint)).toEqual([]);
    expect(endpoint.wire.counters.overflow).toBe(0);
  });

  test("is heard and answered through the wire", () => {
    const network = memoryNetwork();
    const from = new Endpoint(network, { role: "proposer", id: 0, bundlePayload: 1472 });
    const to = new Endpoint(network, { role: "acceptor", id: 1, bundlePayload: 1472 });
    from.wire.bundles.speaker!.bundleAsk(Role.acceptor, EVERYONE, 9);
    from.send();
    expect(to.hear()).toEqual([3, 3, 2].map((flags) => ["onBundleAsk", "proposer 0", 9, flags]));
    to.wire.bundles.speaker!.bundleAnswer(to.peer("proposer", 0), 9, 2);
    to.send();
    expect(from.hear()).toEqual([["onBundleAnswer", "acceptor 1", 9, 2]]);
  });
});
