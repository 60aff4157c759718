import { expect, test } from "bun:test";
import fc from "fast-check";
import { KERNEL_PAXOS_FIRST } from "../src/net/ethertypes.ts";
import { type FrameFields, formatHex } from "../src/wire/frame_fields.ts";
import { type DecodeOptions, decodeHex, encodeFields } from "../src/wire/frame_text.ts";
import { encodeKernelPaxos } from "../src/wire/kernel_paxos_encode.ts";
import {
  KernelPaxosMessage,
  MAX_HEADER,
  MESSAGE_NAMES,
  MessageType,
  Reject,
} from "../src/wire/kernel_paxos_message.ts";
import { parseKernelPaxos, parseKernelPaxosUdp } from "../src/wire/kernel_paxos_parse.ts";
import { bench, bytesOf, ip, mac } from "./support/kernel_paxos_fixture.ts";

const word = fc.oneof(fc.nat(40), fc.integer({ min: 0, max: 0xffff_ffff }));
const type = fc.integer({ min: 0, max: 11 });
/** Payloads that look like messages: small words, so that lengths sometimes fit. */
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc
    .tuple(fc.array(word, { maxLength: 7 }), fc.uint8Array({ maxLength: 50 }))
    .map(([words, tail]) =>
      bytesOf(words.map((w) => w.toString(16).padStart(8, "0")).join("") + formatHex(tail)),
    ),
);

/** Throws when anything outside the payload is read. */
function guarded(bytes: Uint8Array, offset: number): Uint8Array {
  const whole = new Uint8Array(bytes.length + 2 * offset);
  whole.set(bytes, offset);
  return new Proxy(whole, {
    get(target, key) {
      const index = typeof key === "string" && /^\d+$/.test(key) ? Number(key) : undefined;
      if (index !== undefined && (index < offset || index >= offset + bytes.length)) {
        throw new Error(`read at ${index - offset} of ${bytes.length} bytes`);
      }
      return Reflect.get(target, key, target);
    },
  });
}

test("any bytes are decoded or refused, and nothing beyond them is read", () => {
  const message = new KernelPaxosMessage();
  const check = (reject: Reject, offset: number, length: number): void => {
    if (reject !== Reject.none) return;
    const present = Math.max(0, message.valueLength - message.missing);
    expect(message.missing).toBeLessThanOrEqual(4);
    if (present > 0) expect(message.valueOffset).toBeGreaterThanOrEqual(offset);
    if (present > 0) expect(message.valueOffset + present).toBeLessThanOrEqual(offset + length);
  };
  fc.assert(
    fc.property(
      payload,
      fc.integer({ min: KERNEL_PAXOS_FIRST - 1, max: KERNEL_PAXOS_FIRST + 12 }),
      (bytes, etherType) => {
        check(parseKernelPaxos(guarded(bytes, 16), 16, bytes.length, etherType, message), 16, bytes.length);
        check(parseKernelPaxosUdp(guarded(bytes, 16), 16, bytes.length, message), 16, bytes.length);
      },
    ),
    { numRuns: 2000 },
  );
});

test("the wire takes any bytes from anyone without throwing, and counts each frame once", () => {
  const acceptors = [mac(1), mac(2), mac(3)];
  const node = bench({ roles: 31, own: mac(1), acceptors, proposers: [mac(1), mac(4)] });
  const datagrams = bench({ roles: 31, own: ip(1), acceptors: [ip(1)], proposers: [ip(1)], kind: "udp" });
  const sender = fc.integer({ min: 1, max: 6 });
  const total = (of: typeof node): number => {
    const c = of.wire.counters;
    return c.messagesIn + c.malformed + c.badField + c.notForUs + c.stranger + c.otherWire + c.tooLarge;
  };
  fc.assert(
    fc.property(payload, type, sender, (bytes, kind, last) => {
      node.hear(KERNEL_PAXOS_FIRST + kind, formatHex(bytes), mac(last));
      datagrams.hear(0, formatHex(bytes), ip(last));
      datagrams.hear(0, kind.toString(16).padStart(8, "0") + formatHex(bytes), ip(last));
    }),
    { numRuns: 2000 },
  );
  expect(total(node)).toBe(node.wire.counters.framesIn);
  expect(total(datagrams)).toBe(datagrams.wire.counters.framesIn);
});

const fields = ["aid", "iid", "promiseIid", "ballot", "valueBallot", "from", "to", "trimIid"] as const;

test("what is encoded decodes to itself, and the fields that its type has are kept", () => {
  const arbitrary = fc.record({
    type,
    udp: fc.boolean(),
    words: fc.array(word, { minLength: fields.length, maxLength: fields.length }),
    value: fc.uint8Array({ maxLength: 1500 }),
    padding: fc.integer({ min: 0, max: 20 }),
  });
  fc.assert(
    fc.property(arbitrary, ({ type, udp, words, value, padding }) => {
      const sent = new KernelPaxosMessage();
      sent.type = type as MessageType;
      for (const [i, field] of fields.entries()) sent[field] = words[i]!;
      sent.valueLength = value.length;
      const bytes = new Uint8Array(MAX_HEADER + value.length + padding);
      const length = encodeKernelPaxos(sent, value, udp, bytes, 0);
      expect(length).toBeLessThanOrEqual(MAX_HEADER + value.length);

      const got = new KernelPaxosMessage();
      const reject = udp
        ? parseKernelPaxosUdp(bytes, 0, length + padding, got)
        : parseKernelPaxos(bytes, 0, length + padding, KERNEL_PAXOS_FIRST + type, got);
      expect(reject).toBe(Reject.none);
      expect(got.type).toBe(sent.type);
      expect(got.missing).toBe(0);
      const again = new Uint8Array(MAX_HEADER + value.length);
      expect(encodeKernelPaxos(got, bytes, udp, again, 0)).toBe(length);
      expect(formatHex(again.subarray(0, length))).toBe(formatHex(bytes.subarray(0, length)));
    }),
  );
});

test("frame decode | frame encode gives the same bytes, cut or whole", async () => {
  const name = fc.constantFrom(...MESSAGE_NAMES);
  const arbitrary = fc.record({
    name,
    udp: fc.boolean(),
    cut: fc.boolean(),
    value: fc.uint8Array({ maxLength: 300 }),
  });
  await fc.assert(
    fc.asyncProperty(arbitrary, fc.array(word, { minLength: 8, maxLength: 8 }), async (one, words) => {
      const cut = one.cut && !one.udp && (one.name === "accept" || one.name === "accepted");
      const message = new KernelPaxosMessage();
      message.type = MessageType[one.name];
      for (const [i, field] of fields.entries()) message[field] = words[i]!;
      message.valueLength = one.value.length;
      const bytes = new Uint8Array(MAX_HEADER + one.value.length);
      const length = encodeKernelPaxos(message, one.value, one.udp, bytes, 0) - (cut ? 4 : 0);
      const etherType = KERNEL_PAXOS_FIRST + message.type;
      const wire = "kernel-paxos";
      const options: DecodeOptions = {
        wire,
        etherType: one.udp ? undefined : etherType,
        udp: one.udp,
        frame: false,
      };
      const decoded = await decodeHex(formatHex(bytes.subarray(0, length)), options);
      if ("error" in decoded) throw new Error(decoded.error);
      const shown = JSON.parse(JSON.stringify(decoded.messages[0])) as FrameFields;
      const encoded = await encodeFields(shown, { wire, udp: one.udp, cut: false });
      if ("error" in encoded) throw new Error(encoded.error);
      expect(encoded.etherType).toBe(one.udp ? undefined : etherType);
      // Bytes that were cut read as zero, and a damaged length is made new from the frame's.
      const again = await decodeHex(formatHex(encoded.payload), options);
      expect(again).toEqual(decoded);
      if (!cut) expect(formatHex(encoded.payload)).toBe(formatHex(bytes.subarray(0, length)));
    }),
  );
});
