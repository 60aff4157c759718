/**
 * Messages of the Kernel_Paxos wire as fields for people and scripts, in both directions. Shows whatever the bytes say, also what a
 * node would refuse (an instance 0, a value beyond 1460 bytes); makes whatever fits a frame.
 */

import { KERNEL_PAXOS_FIRST } from "../net/ethertypes.ts";
import { classifySession, SessionFrame, sessionNumber } from "./client_record.ts";
import {
  type DecodedFrame,
  type EncodedFrame,
  type EncodeOptions,
  type FrameFields,
  formatEtherType,
  formatHex,
  parseHex,
  type Refusal,
} from "./frame_fields.ts";
import { encodeKernelPaxos } from "./kernel_paxos_encode.ts";
import {
  KernelPaxosMessage,
  MAX_DATAGRAM,
  MAX_ETHERNET_PAYLOAD,
  MAX_ETHERNET_VALUE,
  MAX_HEADER,
  MAX_WORD,
  MESSAGE_NAMES,
  type MessageName,
  MessageType,
  presentBytes,
  REJECT_TEXT,
  Reject,
} from "./kernel_paxos_message.ts";
import { parseKernelPaxos, parseKernelPaxosUdp } from "./kernel_paxos_parse.ts";

type NumberField = "aid" | "iid" | "promiseIid" | "ballot" | "valueBallot" | "from" | "to" | "trimIid";

/** In the order of the wire. `promiseIid` exists on Ethernet only. */
const NUMBERS: Readonly<Record<MessageName, readonly NumberField[]>> = {
  prepare: ["iid", "ballot"],
  promise: ["aid", "iid", "ballot", "valueBallot"],
  accept: ["iid", "promiseIid", "ballot"],
  accepted: ["aid", "iid", "promiseIid", "ballot", "valueBallot"],
  preempted: ["aid", "iid", "ballot"],
  repeat: ["from", "to"],
  trim: ["iid"],
  acceptorState: ["aid", "trimIid"],
  clientValue: [],
  learnerHi: [],
  learnerDel: [],
  acceptorOk: [],
};
const VALUED: readonly MessageName[] = ["promise", "accept", "accepted", "clientValue"];
/** What the reference sends cut. */
const CUT: readonly MessageName[] = ["accept", "accepted"];
const CUT_BYTES = 4;

function numbersOf(name: MessageName, udp: boolean): readonly NumberField[] {
  return udp ? NUMBERS[name].filter((field) => field !== "promiseIid") : NUMBERS[name];
}

/** `etherType` undefined: a datagram. */
export function decodeKernelPaxosText(
  payload: Uint8Array,
  etherType: number | undefined,
): DecodedFrame | Refusal {
  const message = new KernelPaxosMessage();
  const udp = etherType === undefined;
  const reject = udp
    ? parseKernelPaxosUdp(payload, 0, payload.length, message)
    : parseKernelPaxos(payload, 0, payload.length, etherType, message);
  const name = MESSAGE_NAMES[message.type]!;
  if (reject !== Reject.none) return { error: refusalText(reject, name, payload, etherType) };

  const fields: Record<string, string | number> = { message: name };
  for (const field of numbersOf(name, udp)) fields[field] = message[field];
  if (VALUED.includes(name)) {
    const value = new Uint8Array(message.valueLength);
    value.set(payload.subarray(message.valueOffset, message.valueOffset + presentBytes(message)));
    fields.value = formatHex(value);
  }
  if (message.missing > 0) fields.missing = message.missing;
  return { messages: [fields], notes: notesOn(message, name, payload, udp) };
}

function refusalText(
  reject: Reject,
  name: MessageName,
  payload: Uint8Array,
  etherType: number | undefined,
): string {
  if (reject !== Reject.unknownType) return `${name} of ${payload.length} bytes: ${REJECT_TEXT[reject]}`;
  const what = etherType === undefined ? "the first word" : `EtherType ${formatEtherType(etherType)}`;
  return `${what} is ${REJECT_TEXT[reject]} (kernel-paxos)`;
}

function notesOn(
  message: KernelPaxosMessage,
  name: MessageName,
  payload: Uint8Array,
  udp: boolean,
): readonly string[] {
  const notes: string[] = [];
  if (message.missing > 0) notes.push("cut by its sender; missing bytes shown as zero");
  if (message.maybeCut) notes.push("padded to 46 bytes, so it may have been cut");
  if (!udp && message.valueLength > MAX_ETHERNET_VALUE)
    notes.push(`nodes refuse values over ${MAX_ETHERNET_VALUE} bytes`);
  const own = KERNEL_PAXOS_FIRST + message.type;
  if (!udp && message.type >= MessageType.learnerHi && message.word !== own) {
    notes.push(`says ${message.word} where its EtherType ${own} belongs`);
  }
  if (name === "clientValue") notes.push(...sessionNotes(payload, message.valueOffset, message.valueLength));
  return notes;
}

function sessionNotes(payload: Uint8Array, at: number, length: number): readonly string[] {
  const first = (): number => sessionNumber(payload, at, 1);
  switch (classifySession(payload, at, length)) {
    case SessionFrame.open:
      return [`OPEN_CONN of client ids ${first()} to ${sessionNumber(payload, at, 2) - 1}`];
    case SessionFrame.ok:
      return [`OK, connection ${first()}`];
    case SessionFrame.close:
      return [`CLOSE_CONN, connection ${first()}`];
    case SessionFrame.delivered:
      return [`delivered to client ${sessionNumber(payload, at, 2)}`];
    default:
      return [];
  }
}

export function encodeKernelPaxosText(
  fields: FrameFields,
  options: Pick<EncodeOptions, "udp" | "cut">,
): EncodedFrame | Refusal {
  const { udp } = options;
  const name = MESSAGE_NAMES.find((known) => known === fields.message);
  if (name === undefined) {
    return {
      error: `message ${JSON.stringify(fields.message ?? "")} is none of ${MESSAGE_NAMES.join(", ")}`,
    };
  }
  const unknown = Object.keys(fields).find((field) => !knows(name, field, udp, fields));
  if (unknown !== undefined) {
    const has = [...numbersOf(name, udp), ...(VALUED.includes(name) ? ["value"] : [])].join(", ");
    const what = `${name}${udp ? " of the UDP form" : ""}`;
    return { error: `${what} has no ${unknown}: it has ${has === "" ? "no fields" : has}` };
  }

  const message = new KernelPaxosMessage();
  message.type = MessageType[name];
  for (const field of numbersOf(name, udp)) {
    const number = fields[field] ?? defaultOf(name, field, fields);
    if (number === undefined) return { error: `${name} needs ${field}` };
    if (!isWord(number)) return { error: `${field}: a whole number from 0 to ${MAX_WORD} is needed` };
    message[field] = number;
  }
  const value = parseHex(String(fields.value ?? ""));
  if (value === undefined) return { error: "value: an even number of hex digits is needed" };
  message.valueLength = value.length;

  const missing = fields.missing ?? (options.cut ? CUT_BYTES : 0);
  if (!isWord(missing) || missing > CUT_BYTES) return { error: `missing: 0 to ${CUT_BYTES} is needed` };
  if (missing > 0 && (udp || !CUT.includes(name))) {
    return { error: `only accept and accepted are cut, and on Ethernet only: ${name} is not` };
  }
  const whole = new Uint8Array(MAX_HEADER + value.length);
  const length = encodeKernelPaxos(message, value, udp, whole, 0) - missing;
  const limit = udp ? MAX_DATAGRAM : MAX_ETHERNET_PAYLOAD;
  if (length > limit) {
    const carrier = udp ? "a datagram" : "an Ethernet frame";
    const most = value.length - (length - limit);
    return {
      error: `value of ${value.length} bytes: ${carrier} carries ${limit} bytes, ${name} a value of ${most}`,
    };
  }
  const tooLong = !udp && value.length > MAX_ETHERNET_VALUE;
  return {
    etherType: udp ? undefined : KERNEL_PAXOS_FIRST + message.type,
    payload: whole.slice(0, length),
    notes: tooLong
      ? [`nodes refuse values over ${MAX_ETHERNET_VALUE} bytes; this one has ${value.length}`]
      : [],
  };
}

function knows(name: MessageName, field: string, udp: boolean, fields: FrameFields): boolean {
  if (field === "message" || field === "missing") return true;
  if (field === "value") return VALUED.includes(name);
  if (field === "promiseIid" && udp && fields.promiseIid === 0) return true;
  return (numbersOf(name, udp) as readonly string[]).includes(field);
}

/** What need not be said: no riding promise, nothing accepted yet, accepted at the ballot it was asked with. */
function defaultOf(name: MessageName, field: NumberField, fields: FrameFields): string | number | undefined {
  if (field === "promiseIid") return 0;
  if (field === "valueBallot") return name === "promise" ? 0 : fields.ballot;
  return undefined;
}

function isWord(value: string | number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_WORD;
}
