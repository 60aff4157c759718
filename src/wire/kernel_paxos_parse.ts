/**
 * Bytes → message, for both forms of the Kernel_Paxos wire. Total and pure: any bytes are read or refused with a
 * reason, nothing beyond `length` is looked at, nothing is thrown, nothing is allocated. Ranges of the numbers are not
 * checked here: that is the wire's part, and a person who decodes a frame wants to see them.
 */

import { KERNEL_PAXOS_FIRST, KERNEL_PAXOS_LAST } from "../net/ethertypes.ts";
import { readU32 } from "./bytes.ts";
import { type KernelPaxosMessage, MAX_DATAGRAM, MessageType, Reject } from "./kernel_paxos_message.ts";

/** NICs pad frames to 60 bytes: 46 of payload. */
const PADDED_PAYLOAD = 46;
/** What the reference leaves away from the end of accept and accepted. */
const CUT_BYTES = 4;

/** Ethernet form: `length` may include padding. */
export function parseKernelPaxos(
  bytes: Uint8Array,
  offset: number,
  length: number,
  etherType: number,
  out: KernelPaxosMessage,
): Reject {
  out.clear();
  if (etherType < KERNEL_PAXOS_FIRST || etherType > KERNEL_PAXOS_LAST) return Reject.unknownType;
  const type = (etherType - KERNEL_PAXOS_FIRST) as MessageType;
  out.type = type;
  switch (type) {
    case MessageType.accept:
      if (length < 12) return Reject.tooShort;
      out.iid = readU32(bytes, offset);
      out.promiseIid = readU32(bytes, offset + 4);
      out.ballot = readU32(bytes, offset + 8);
      return cutValue(bytes, offset, length, 16, out);
    case MessageType.accepted:
      if (length < 20) return Reject.tooShort;
      out.aid = readU32(bytes, offset);
      out.iid = readU32(bytes, offset + 4);
      out.promiseIid = readU32(bytes, offset + 8);
      out.ballot = readU32(bytes, offset + 12);
      out.valueBallot = readU32(bytes, offset + 16);
      return cutValue(bytes, offset, length, 24, out);
    case MessageType.learnerHi:
    case MessageType.learnerDel:
    case MessageType.acceptorOk:
      if (length < 4) return Reject.tooShort;
      out.word = readU32(bytes, offset);
      return Reject.none;
    default:
      return parseCommon(bytes, offset, length, type, out);
  }
}

/** UDP form: the whole datagram, its type word included. */
export function parseKernelPaxosUdp(
  bytes: Uint8Array,
  offset: number,
  length: number,
  out: KernelPaxosMessage,
): Reject {
  out.clear();
  if (length > MAX_DATAGRAM) return Reject.tooLong;
  if (length < 4) return Reject.tooShort;
  const type = readU32(bytes, offset);
  if (type > MessageType.acceptorOk) return Reject.unknownType;
  out.type = type as MessageType;
  const at = offset + 4;
  const rest = length - 4;
  switch (type) {
    case MessageType.accept:
      if (rest < 12) return Reject.tooShort;
      out.iid = readU32(bytes, at);
      out.ballot = readU32(bytes, at + 4);
      return wholeValue(bytes, at, rest, 12, out);
    case MessageType.accepted:
      return parsePromise(bytes, at, rest, out);
    case MessageType.learnerHi:
    case MessageType.learnerDel:
    case MessageType.acceptorOk:
      return Reject.none;
    default:
      return parseCommon(bytes, at, rest, type as MessageType, out);
  }
}

/** The messages whose words are the same in both forms. */
function parseCommon(
  bytes: Uint8Array,
  at: number,
  length: number,
  type: MessageType,
  out: KernelPaxosMessage,
): Reject {
  switch (type) {
    case MessageType.prepare:
      if (length < 8) return Reject.tooShort;
      out.iid = readU32(bytes, at);
      out.ballot = readU32(bytes, at + 4);
      return Reject.none;
    case MessageType.promise:
      return parsePromise(bytes, at, length, out);
    case MessageType.preempted:
      if (length < 12) return Reject.tooShort;
      out.aid = readU32(bytes, at);
      out.iid = readU32(bytes, at + 4);
      out.ballot = readU32(bytes, at + 8);
      return Reject.none;
    case MessageType.repeat:
      if (length < 8) return Reject.tooShort;
      out.from = readU32(bytes, at);
      out.to = readU32(bytes, at + 4);
      return Reject.none;
    case MessageType.trim:
      if (length < 4) return Reject.tooShort;
      out.iid = readU32(bytes, at);
      return Reject.none;
    case MessageType.acceptorState:
      if (length < 8) return Reject.tooShort;
      out.aid = readU32(bytes, at);
      out.trimIid = readU32(bytes, at + 4);
      return Reject.none;
    case MessageType.clientValue:
      return wholeValue(bytes, at, length, 4, out);
    default:
      return Reject.unknownType;
  }
}

/** Promise in both forms, and the UDP form's accepted: aid, iid, ballot, valueBallot, then the value. */
function parsePromise(bytes: Uint8Array, at: number, length: number, out: KernelPaxosMessage): Reject {
  if (length < 20) return Reject.tooShort;
  out.aid = readU32(bytes, at);
  out.iid = readU32(bytes, at + 4);
  out.ballot = readU32(bytes, at + 8);
  out.valueBallot = readU32(bytes, at + 12);
  return wholeValue(bytes, at, length, 20, out);
}

/** A value whose length is the last word of the `header` bytes before it. What follows it is padding. */
function wholeValue(
  bytes: Uint8Array,
  at: number,
  length: number,
  header: number,
  out: KernelPaxosMessage,
): Reject {
  if (length < header) return Reject.tooShort;
  const valueLength = readU32(bytes, at + header - 4);
  if (valueLength > length - header) return Reject.tooShort;
  out.valueOffset = at + header;
  out.valueLength = valueLength;
  return Reject.none;
}

/**
 * The value of an accept or accepted, which the reference sends without the message's last four bytes. `length` is at
 * least `header` − 4.
 */
function cutValue(
  bytes: Uint8Array,
  at: number,
  length: number,
  header: number,
  out: KernelPaxosMessage,
): Reject {
  out.valueOffset = at + header;
  if (length < header) {
    // The cut reaches into the length field, so the frame's own length tells it.
    out.valueLength = length - (header - CUT_BYTES);
    out.missing = CUT_BYTES;
    return Reject.none;
  }
  const valueLength = readU32(bytes, at + header - 4);
  const missing = header + valueLength - length;
  if (missing > 0) {
    if (missing > CUT_BYTES || (missing < CUT_BYTES && length !== PADDED_PAYLOAD)) return Reject.tooShort;
    out.missing = missing;
  }
  out.valueLength = valueLength;
  out.maybeCut = missing <= 0 && length === PADDED_PAYLOAD;
  return Reject.none;
}
