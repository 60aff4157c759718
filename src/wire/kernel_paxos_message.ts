/**
 * The vocabulary of the Kernel_Paxos wire: its twelve messages, their numbers, limits and the reusable record that the
 * parser fills and the encoder reads. Two forms share it: Ethernet (2018; the EtherType is the message type) and UDP
 * (2017; the first word is). Pure data.
 */

/** In the order of their EtherTypes, and of the type words of the UDP form. */
export const MessageType = {
  prepare: 0,
  promise: 1,
  accept: 2,
  accepted: 3,
  preempted: 4,
  repeat: 5,
  trim: 6,
  acceptorState: 7,
  clientValue: 8,
  learnerHi: 9,
  learnerDel: 10,
  acceptorOk: 11,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];
export type MessageName = keyof typeof MessageType;

export const MESSAGE_NAMES = Object.keys(MessageType) as readonly MessageName[];

/** Instances and ballots are 32-bit words here. */
export const MAX_WORD = 0xffff_ffff;
/** What the store of the reference holds; longer values would be cut there. */
export const MAX_ETHERNET_VALUE = 1460;
/** An Ethernet frame's payload without jumbo frames. */
export const MAX_ETHERNET_PAYLOAD = 1500;
export const MAX_DATAGRAM = 65507;
/** The largest header before a value, in either form: that of `accepted`. */
export const MAX_HEADER = 24;

/** Why the parser refuses a payload. */
export const Reject = { none: 0, unknownType: 1, tooShort: 2, tooLong: 3 } as const;
export type Reject = (typeof Reject)[keyof typeof Reject];

export const REJECT_TEXT: Readonly<Record<Reject, string>> = {
  [Reject.none]: "",
  [Reject.unknownType]: "not a message type of this wire",
  [Reject.tooShort]: "shorter than the message, or than its length field says",
  [Reject.tooLong]: `longer than a datagram can be (${MAX_DATAGRAM} bytes)`,
};

/** One message. Fields that its type does not have are 0. Reused: valid until the next parse into it. */
export class KernelPaxosMessage {
  type: MessageType = 0;
  aid = 0;
  iid = 0;
  promiseIid = 0;
  ballot = 0;
  valueBallot = 0;
  from = 0;
  to = 0;
  trimIid = 0;
  /** The word of learnerHi, learnerDel and acceptorOk (Ethernet form): the reference repeats the EtherType there. */
  word = 0;
  /** Where the value lies in the byte array that was parsed; its last `missing` bytes are not there and read as zero. */
  valueOffset = 0;
  valueLength = 0;
  /** Bytes by which the frame falls short of the whole message; they may reach into the length field. */
  missing = 0;
  /** A padded frame that looks whole although its sender may have cut it. */
  maybeCut = false;

  clear(): void {
    this.type = 0;
    this.aid = 0;
    this.iid = 0;
    this.promiseIid = 0;
    this.ballot = 0;
    this.valueBallot = 0;
    this.from = 0;
    this.to = 0;
    this.trimIid = 0;
    this.word = 0;
    this.valueOffset = 0;
    this.valueLength = 0;
    this.missing = 0;
    this.maybeCut = false;
  }
}

/** How many bytes of the value are really in the frame. */
export function presentBytes(message: KernelPaxosMessage): number {
  return Math.max(0, message.valueLength - message.missing);
}
