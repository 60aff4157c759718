/** Fault 1: the reference leaves away the last four bytes of accept and accepted, and a NIC may pad what is left. */
import { describe, expect, test } from "bun:test";
import { formatHex } from "../src/wire/frame_fields.ts";
import { KernelPaxosMessage, REJECT_TEXT, Reject } from "../src/wire/kernel_paxos_message.ts";
import { parseKernelPaxos } from "../src/wire/kernel_paxos_parse.ts";
import { bench, bytesOf, mac } from "./support/kernel_paxos_fixture.ts";

const ACCEPT = 0xcafc;
const ACCEPTED = 0xcafd;
const hex = (word: number): string => word.toString(16).padStart(8, "0");
const filled = (length: number): string => formatHex(new Uint8Array(length).map((_, i) => 1 + (i % 250)));
const accept = (length: number): string => hex(1) + hex(2) + hex(10) + hex(length) + filled(length);
const accepted = (length: number): string =>
  hex(0) + hex(1) + hex(0) + hex(10) + hex(10) + hex(length) + filled(length);
const cutTo = (text: string, bytes: number): string => text.slice(0, 2 * bytes);
const pad = (text: string, byte = "00"): string => text.padEnd(92, byte);

function parse(etherType: number, text: string): KernelPaxosMessage | string {
  const bytes = bytesOf(text);
  const message = new KernelPaxosMessage();
  const reject = parseKernelPaxos(bytes, 0, bytes.length, etherType, message);
  return reject === Reject.none ? message : REJECT_TEXT[reject];
}

describe.each([
  ["accept", ACCEPT, accept, 16],
  ["accepted", ACCEPTED, accepted, 24],
] as const)("%s", (_, etherType, make, header) => {
  test.each([0, 1, 2, 3, 4, 5, 21, 22, 26, 30, 64, 1460])("of %d bytes, four bytes short", (length) => {
    const message = parse(etherType, cutTo(make(length), header + length - 4));
    expect(message).toMatchObject({ valueLength: length, missing: 4, maybeCut: false });
  });

  test.each([1, 2, 3])("%d bytes short is refused unless padded", (short) => {
    expect(parse(etherType, cutTo(make(100), header + 100 - short))).toBe(REJECT_TEXT[Reject.tooShort]);
    const length = 46 + short - header;
    expect(parse(etherType, cutTo(make(length), 46))).toMatchObject({ valueLength: length, missing: short });
  });

  test("five bytes short is refused, padded or not", () => {
    expect(parse(etherType, cutTo(make(100), header + 95))).toBe(REJECT_TEXT[Reject.tooShort]);
    expect(parse(etherType, cutTo(make(51 - header), 46))).toBe(REJECT_TEXT[Reject.tooShort]);
  });

  test("padded to 46 bytes and looking whole: accepted, and perhaps cut", () => {
    for (const length of [0, 1, 4, 46 - header]) {
      expect(parse(etherType, pad(make(length)))).toMatchObject({
        valueLength: length,
        missing: 0,
        maybeCut: true,
      });
    }
    expect(parse(etherType, `${pad(make(4))}00`)).toMatchObject({ missing: 0, maybeCut: false });
    expect(parse(etherType, make(64))).toMatchObject({ missing: 0, maybeCut: false });
  });

  test("a length beyond the frame is refused (fault 2)", () => {
    expect(parse(etherType, make(4).replace(hex(4), hex(0xffff_ffff)))).toBe(REJECT_TEXT[Reject.tooShort]);
  });

  test("less than its first words is refused", () => {
    for (let bytes = 0; bytes < header - 4; bytes++) {
      expect(parse(etherType, cutTo(make(0), bytes))).toBe(REJECT_TEXT[Reject.tooShort]);
    }
  });
});

test("padding after other messages is not read", () => {
  expect(parse(0xcb02, pad(hex(2) + filled(2), "ff"))).toMatchObject({ valueLength: 2, maybeCut: false });
  expect(parse(0xcafa, pad(hex(1) + hex(10), "ff"))).toMatchObject({ iid: 1, ballot: 10, maybeCut: false });
});

test("a node completes a cut value with zeros, never with what lay behind it, and counts it", () => {
  const node = bench({ roles: 1, own: mac(1), acceptors: [mac(1)], proposers: [mac(4)] });
  expect(node.hear(ACCEPT, cutTo(accept(6), 18), mac(4))).toEqual([
    ["onAccept", 1, 2, 10, 0, "010200000000"],
  ]);
  expect(node.hear(ACCEPT, cutTo(accept(3), 15), mac(4))).toEqual([["onAccept", 1, 2, 10, 0, "000000"]]);
  expect(node.wire.counters.cutValues).toBe(2);
  expect(node.hear(ACCEPT, pad(accept(6)), mac(4))).toEqual([["onAccept", 1, 2, 10, 0, "010203040506"]]);
  expect(node.wire.counters).toMatchObject({ cutValues: 2, maybeCutValues: 1, messagesIn: 3 });
});
