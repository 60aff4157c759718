import { describe, expect, test } from "bun:test";
import { KERNEL_PAXOS_FIRST } from "../src/net/ethertypes.ts";
import {
  CLIENT_RECORD_BYTES,
  ClientRecord,
  classifySession,
  OK_CODE,
  readClientRecord,
  readDeviceRecord,
  SessionFrame,
  sessionNumber,
  writeClientRecord,
  writeDeviceRecord,
  writeSessionConnection,
  writeSessionOpen,
} from "../src/wire/client_record.ts";
import { formatHex } from "../src/wire/frame_fields.ts";
import { encodeKernelPaxos } from "../src/wire/kernel_paxos_encode.ts";
import { KernelPaxosMessage, MESSAGE_NAMES, MessageType, Reject } from "../src/wire/kernel_paxos_message.ts";
import { parseKernelPaxos, parseKernelPaxosUdp } from "../src/wire/kernel_paxos_parse.ts";
import {
  bytesOf,
  ethernetVectors,
  structOffsets,
  udpVectors,
  userFrames,
  type Vector,
} from "./support/kernel_paxos_fixture.ts";

/** Not at offset 0, and with other bytes behind it that must not be read. */
function parse(vector: Vector, hex: string): { message: KernelPaxosMessage; value: string } {
  const payload = bytesOf(hex);
  const bytes = new Uint8Array(payload.length + 64).fill(0xaa);
  bytes.set(payload, 8);
  const message = new KernelPaxosMessage();
  const reject =
    vector.etherType === undefined
      ? parseKernelPaxosUdp(bytes, 8, payload.length, message)
      : parseKernelPaxos(bytes, 8, payload.length, vector.etherType, message);
  expect(reject).toBe(Reject.none);
  const value = new Uint8Array(message.valueLength);
  const present = Math.max(0, message.valueLength - message.missing);
  value.set(bytes.subarray(message.valueOffset, message.valueOffset + present));
  return { message, value: formatHex(value) };
}

function expectFields(vector: Vector, message: KernelPaxosMessage): void {
  expect(MESSAGE_NAMES[message.type]).toBe(vector.message);
  for (const [field, number] of Object.entries(vector.fields)) {
    expect(message[field as "iid"]).toBe(number);
  }
}

function expectZeroTail(value: string, vector: Vector, missing: number): void {
  const whole = vector.value ?? "";
  const kept = Math.max(0, whole.length - 2 * missing);
  expect(value).toBe(whole.slice(0, kept) + "0".repeat(whole.length - kept));
}

describe.each([...ethernetVectors])("Ethernet vector $name", (vector) => {
  test("decodes as the reference sends it", () => {
    const { message, value } = parse(vector, vector.payload);
    expectFields(vector, message);
    expect(message.missing).toBe(vector.payload === vector.packed ? 0 : 4);
    expectZeroTail(value, vector, message.missing);
  });

  test("decodes whole", () => {
    const { message, value } = parse(vector, vector.packed);
    expectFields(vector, message);
    expect(message.missing).toBe(0);
    expect(value).toBe(vector.value ?? "");
  });

  test("encodes whole", () => expect(encode(vector, false)).toBe(vector.packed));

  test("has the EtherType of its message", () => {
    expect(vector.etherType).toBe(KERNEL_PAXOS_FIRST + MessageType[vector.message]);
  });
});

describe.each([...udpVectors])("UDP vector $name", (vector) => {
  test("decodes", () => {
    const { message, value } = parse(vector, vector.payload);
    expectFields(vector, message);
    expect(message.missing).toBe(0);
    expect(value).toBe(vector.value ?? "");
  });

  test("encodes", () => expect(encode(vector, true)).toBe(vector.payload));
});

function encode(vector: Vector, udp: boolean): string {
  const message = new KernelPaxosMessage();
  message.type = MessageType[vector.message];
  for (const [field, number] of Object.entries(vector.fields)) message[field as "iid"] = number;
  const value = bytesOf(`ffff${vector.value ?? ""}`);
  message.valueOffset = 2;
  message.valueLength = value.length - 2;
  const into = new Uint8Array(vector.packed.length / 2 + 8);
  const length = encodeKernelPaxos(message, value, udp, into, 8);
  return formatHex(into.subarray(8, 8 + length));
}

describe("user-space sessions of the reference", () => {
  const frame = (name: string) => {
    const found = userFrames.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no frame ${name}`);
    return found;
  };
  /** The frame's value, behind the length word. */
  const sessionValue = (name: string): Uint8Array => {
    const payload = bytesOf(frame(name).payload_hex!);
    const message = new KernelPaxosMessage();
    expect(parseKernelPaxos(payload, 0, payload.length, 0xcb02, message)).toBe(Reject.none);
    expect(message.valueLength).toBe(payload.length - 4);
    return payload.slice(4);
  };

  test("OPEN_CONN", () => {
    const value = sessionValue("OPEN_CONN");
    expect(classifySession(value, 0, value.length)).toBe(SessionFrame.open);
    expect([sessionNumber(value, 0, 1), sessionNumber(value, 0, 2)]).toEqual([5, 15]);
    const made = new Uint8Array(12);
    expect(writeSessionOpen(made, 0, 5, 15)).toBe(12);
    expect(formatHex(made)).toBe(formatHex(value));
  });

  test.each([
    ["OK", OK_CODE, SessionFrame.ok],
    ["CLOSE_CONN", 102, SessionFrame.close],
  ] as const)("%s", (name, code, kind) => {
    const value = sessionValue(name);
    expect(classifySession(value, 0, value.length)).toBe(kind);
    expect(sessionNumber(value, 0, 1)).toBe(3);
    const made = new Uint8Array(8);
    expect(writeSessionConnection(made, 0, code, 3)).toBe(8);
    expect(formatHex(made)).toBe(formatHex(value));
  });

  test.each([1, 64])("client value and delivered value of %d bytes", (size) => {
    const value = sessionValue(`client_to_proposer-v${size}`);
    expect(classifySession(value, 0, value.length)).toBe(SessionFrame.none);
    const record = new ClientRecord();
    expect(readClientRecord(value, 0, value.length, record)).toBe(true);
    expect({ ...record }).toEqual({ clientId: 7, seconds: 1795300148, microseconds: 687168, size });
    const made = new Uint8Array(CLIENT_RECORD_BYTES);
    writeClientRecord(record, made, 0);
    expect(formatHex(made)).toBe(formatHex(value.subarray(0, CLIENT_RECORD_BYTES)));

    const delivered = sessionValue(`learner_to_client-v${size}`);
    expect(classifySession(delivered, 0, delivered.length)).toBe(SessionFrame.delivered);
    expect(formatHex(delivered)).toBe(frame(`chardev_record-v${size}`).record_hex!);
    expect(readDeviceRecord(delivered, 0, delivered.length)).toBe(value.length);
    const head = new Uint8Array(8);
    writeDeviceRecord(head, 0, value.length);
    expect(formatHex(head) + formatHex(value)).toBe(formatHex(delivered));
  });

  test("the records lie as the reference's compiler laid them", () => {
    const bytes = new Uint8Array(structOffsets.client_value.sizeof);
    expect(bytes.length).toBe(CLIENT_RECORD_BYTES);
    const offsets = structOffsets.client_value;
    const record = new ClientRecord();
    record.clientId = 0x01020304;
    record.seconds = 2 ** 40 + 5;
    record.microseconds = 6;
    record.size = 7;
    writeClientRecord(record, bytes, 0);
    const view = new DataView(bytes.buffer);
    expect(view.getInt32(offsets.client_id, true)).toBe(0x01020304);
    expect(view.getBigInt64(offsets["t.tv_sec"], true)).toBe(2n ** 40n + 5n);
    expect(view.getBigInt64(offsets["t.tv_usec"], true)).toBe(6n);
    expect(view.getBigUint64(offsets.size, true)).toBe(7n);
    expect(structOffsets.user_msg).toEqual({ sizeof: 8, size: 0, value: 8 });
  });

  test("frames that are not a session's exact form are values", () => {
    const none = (hex: string) => {
      const value = bytesOf(hex);
      expect(classifySession(value, 0, value.length)).toBe(SessionFrame.none);
    };
    none("");
    none("64000000");
    none("6400000005000000");
    none("640000000500000000000000ff");
    none("000000640000000500000000");
    none("670000000300000000");
    // Fault 28: client id 100 is a client like any other.
    const record = new ClientRecord();
    record.clientId = 100;
    record.size = 0;
    const value = new Uint8Array(CLIENT_RECORD_BYTES);
    writeClientRecord(record, value, 0);
    none(formatHex(value));
  });
});
