/**
 * Message → bytes, for both forms of the Kernel_Paxos wire, always the whole form. Pure; the caller has made room:
 * the result is never longer than `MAX_HEADER` plus the value.
 */

import { KERNEL_PAXOS_FIRST } from "../net/ethertypes.ts";
import { copyBytes } from "../protocol/bytes.ts";
import { writeU32 } from "./bytes.ts";
import { type KernelPaxosMessage, MessageType } from "./kernel_paxos_message.ts";

/** Writes `message` at `into[at]`; its value lies in `bytes` at `message.valueOffset`. Returns the bytes written. */
export function encodeKernelPaxos(
  message: KernelPaxosMessage,
  bytes: Uint8Array,
  udp: boolean,
  into: Uint8Array,
  at: number,
): number {
  let next = at;
  if (udp) {
    writeU32(into, next, message.type);
    next += 4;
  }
  switch (message.type) {
    case MessageType.prepare:
      next = words2(into, next, message.iid, message.ballot);
      break;
    case MessageType.promise:
      next = words3(into, next, message.aid, message.iid, message.ballot);
      writeU32(into, next, message.valueBallot);
      next = value(message, bytes, into, next + 4);
      break;
    case MessageType.accept:
      next = udp
        ? words2(into, next, message.iid, message.ballot)
        : words3(into, next, message.iid, message.promiseIid, message.ballot);
      next = value(message, bytes, into, next);
      break;
    case MessageType.accepted:
      next = words2(into, next, message.aid, message.iid);
      if (!udp) {
        writeU32(into, next, message.promiseIid);
        next += 4;
      }
      next = words2(into, next, message.ballot, message.valueBallot);
      next = value(message, bytes, into, next);
      break;
    case MessageType.preempted:
      next = words3(into, next, message.aid, message.iid, message.ballot);
      break;
    case MessageType.repeat:
      next = words2(into, next, message.from, message.to);
      break;
    case MessageType.trim:
      writeU32(into, next, message.iid);
      next += 4;
      break;
    case MessageType.acceptorState:
      next = words2(into, next, message.aid, message.trimIid);
      break;
    case MessageType.clientValue:
      next = value(message, bytes, into, next);
      break;
    default:
      // learnerHi, learnerDel, acceptorOk: on Ethernet their own EtherType, in UDP the type word alone.
      if (!udp) {
        writeU32(into, next, KERNEL_PAXOS_FIRST + message.type);
        next += 4;
      }
  }
  return next - at;
}

function words2(into: Uint8Array, at: number, a: number, b: number): number {
  writeU32(into, at, a);
  writeU32(into, at + 4, b);
  return at + 8;
}

function words3(into: Uint8Array, at: number, a: number, b: number, c: number): number {
  writeU32(into, at, a);
  writeU32(into, at + 4, b);
  writeU32(into, at + 8, c);
  return at + 12;
}

function value(message: KernelPaxosMessage, bytes: Uint8Array, into: Uint8Array, at: number): number {
  writeU32(into, at, message.valueLength);
  copyBytes(bytes, message.valueOffset, into, at + 4, message.valueLength);
  return at + 4 + message.valueLength;
}
