/**
 * The wire of Kernel_Paxos: one message a frame, told apart by EtherType (Ethernet, 2018) or by a first word (UDP, 2017).
 * It carries no life, role, id or checksum, so a peer is an address (role 0, id 0) and a sender is judged by that alone.
 *
 * It sends whole messages and understands those that the reference cuts short. It never proposes a session frame, and
 * never hands on a number that the configuration does not allow. On Ethernet the kernel has filtered the destination.
 */

import { NATIVE_ETHERTYPE } from "../net/ethertypes.ts";
import { ADDRESS, LENGTH, type Link, OFFSET, PROTOCOL } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { copyBytes } from "../protocol/bytes.ts";
import type { Receiver } from "../protocol/receiver.ts";
import { type Ballot, NO_BALLOT, type Peer, Role } from "../protocol/types.ts";
import { classifySession, DEVICE_RECORD_BYTES, SessionFrame, sessionNumber } from "./client_record.ts";
import {
  KernelPaxosMessage,
  MAX_DATAGRAM,
  MAX_ETHERNET_VALUE,
  MAX_HEADER,
  MAX_WORD,
  MessageType,
  presentBytes,
  Reject,
} from "./kernel_paxos_message.ts";
import { KernelPaxosOutbox } from "./kernel_paxos_outbox.ts";
import { parseKernelPaxos, parseKernelPaxosUdp } from "./kernel_paxos_parse.ts";
import type { Members } from "./members.ts";
import { NATIVE_MAGIC } from "./native_layout.ts";
import { TxFrames } from "./tx_frames.ts";
import { type Wire, WireCounters, type WireOptions } from "./wire.ts";

/** Largest value that one message can carry over this link. */
export function maxKernelPaxosValue(link: Link): number {
  const limit = link.kind === "udp" ? MAX_DATAGRAM - MAX_HEADER : MAX_ETHERNET_VALUE;
  return Math.max(0, Math.min(limit, link.maxPayload - MAX_HEADER));
}

/** Roles that take each message; clientValue depends on what the value is. */
const TAKERS = new Uint8Array(12);
TAKERS[MessageType.prepare] = Role.acceptor;
TAKERS[MessageType.accept] = Role.acceptor;
TAKERS[MessageType.repeat] = Role.acceptor;
TAKERS[MessageType.trim] = Role.acceptor;
TAKERS[MessageType.learnerHi] = Role.acceptor;
TAKERS[MessageType.learnerDel] = Role.acceptor;
TAKERS[MessageType.promise] = Role.proposer;
TAKERS[MessageType.preempted] = Role.proposer;
TAKERS[MessageType.accepted] = Role.proposer | Role.learner;
TAKERS[MessageType.acceptorState] = Role.proposer | Role.learner;
TAKERS[MessageType.acceptorOk] = Role.proposer | Role.learner;
TAKERS[MessageType.clientValue] = Role.proposer | Role.client | Role.host;

/** The EtherTypes that these roles take: bit i is 0xCAFA + i. */
export function kernelPaxosTypes(roles: number): number {
  let types = 0;
  for (let type = 0; type < TAKERS.length; type++) if ((TAKERS[type]! & roles) !== 0) types |= 1 << type;
  return types;
}

export class KernelPaxosWire implements Wire {
  readonly name = "kernel-paxos";
  readonly maxValue: number;
  readonly counters = new WireCounters();
  readonly #link: Link;
  readonly #peers: Peers;
  readonly #members: Members;
  readonly #roles: number;
  readonly #tx: TxFrames;
  readonly #message = new KernelPaxosMessage();
  /** Values that arrived cut are completed here. */
  readonly #completed: Uint8Array;

  constructor(options: WireOptions) {
    this.#link = options.link;
    this.#peers = options.peers;
    this.#members = options.members;
    this.#roles = options.roles;
    this.maxValue = maxKernelPaxosValue(options.link);
    this.#tx = new TxFrames(options.link, this.counters);
    this.#completed = new Uint8Array(this.maxValue);
  }

  outbox(role: Role, id: number): KernelPaxosOutbox {
    return new KernelPaxosOutbox({
      link: this.#link,
      peers: this.#peers,
      members: this.#members,
      tx: this.#tx,
      counters: this.counters,
      roles: this.#roles,
      role,
      id,
      maxValue: this.maxValue,
    });
  }

  /** Every message is a frame of its own, so none is ever open. */
  seal(): number {
    return this.#tx.used;
  }

  room(): number {
    return this.#tx.room();
  }

  /** A frame is one message there, and complete when it is written. */
  left(): void {}

  clear(): void {
    this.#tx.clear();
  }

  decode(descriptor: number, port: number, receiver: Receiver, nowUs: number): void {
    const { words, bytes } = this.#link.area;
    const counters = this.counters;
    const message = this.#message;
    counters.framesIn++;
    const offset = words[descriptor + OFFSET]!;
    const length = words[descriptor + LENGTH]!;
    let reject: Reject;
    if (this.#link.kind === "udp") {
      reject = parseKernelPaxosUdp(bytes, offset, length, message);
    } else {
      const etherType = words[descriptor + PROTOCOL]!;
      if (etherType === NATIVE_ETHERTYPE) {
        counters.otherWire++;
        return;
      }
      reject = parseKernelPaxos(bytes, offset, length, etherType, message);
    }
    if (reject !== Reject.none && this.#link.kind === "udp" && length > 0 && bytes[offset] === NATIVE_MAGIC) {
      counters.otherWire++;
    } else if (reject !== Reject.none) counters.malformed++;
    else if ((TAKERS[message.type]! & this.#roles) === 0) counters.notForUs++;
    else this.#dispatch(descriptor + ADDRESS, port, receiver, nowUs);
  }

  /** `at`: where the sender's address stands in the area's words. */
  #dispatch(at: number, port: number, receiver: Receiver, nowUs: number): void {
    switch (this.#message.type) {
      case MessageType.prepare:
      case MessageType.accept:
        this.#fromProposer(at, port, receiver, nowUs);
        return;
      case MessageType.promise:
      case MessageType.accepted:
      case MessageType.preempted:
      case MessageType.acceptorState:
        this.#fromAcceptor(at, port, receiver, nowUs);
        return;
      case MessageType.acceptorOk:
        if (!this.#members.includes(this.#members.acceptors, this.#link.area.signed, at)) {
          this.counters.stranger++;
          return;
        }
        this.#fromAnyone(at, port, receiver, nowUs);
        return;
      case MessageType.clientValue:
        this.#clientFrame(at, port, receiver, nowUs);
        return;
      default:
        this.#fromAnyone(at, port, receiver, nowUs);
    }
  }

  #fromProposer(at: number, port: number, receiver: Receiver, nowUs: number): void {
    const message = this.#message;
    if (!this.#members.includes(this.#members.proposers, this.#link.area.signed, at)) {
      this.counters.stranger++;
      return;
    }
    if (message.iid === 0 || message.ballot === 0) {
      this.counters.badField++;
      return;
    }
    if (message.valueLength > this.maxValue) {
      this.counters.tooLarge++;
      return;
    }
    const from = this.#intern(at, port, nowUs);
    if (from < 0) return;
    const ballot = message.ballot as Ballot;
    if (message.type === MessageType.prepare) {
      receiver.onPrepare(from, message.iid, ballot, 0);
      return;
    }
    const bytes = this.#valueBytes();
    const { valueOffset, valueLength } = message;
    receiver.onAccept(from, message.iid, message.promiseIid, ballot, 0, bytes, valueOffset, valueLength);
  }

  #fromAcceptor(at: number, port: number, receiver: Receiver, nowUs: number): void {
    const message = this.#message;
    const { aid, iid, ballot, type } = message;
    const acceptors = this.#members.acceptors;
    const namesInstance = type !== MessageType.acceptorState;
    if (aid >= acceptors.length || (namesInstance && (iid === 0 || ballot === 0))) {
      this.counters.badField++;
      return;
    }
    if (!this.#peers.isAt(acceptors[aid]!, this.#link.area.signed, at)) {
      this.counters.stranger++;
      return;
    }
    const valueBallot = message.valueBallot as Ballot;
    if (type === MessageType.accepted && valueBallot === NO_BALLOT) {
      this.counters.badField++;
      return;
    }
    if (message.valueLength > this.maxValue) {
      this.counters.tooLarge++;
      return;
    }
    const from = this.#intern(at, port, nowUs);
    if (from < 0) return;
    if (type === MessageType.acceptorState) {
      receiver.onAcceptorState(from, aid, message.trimIid, 0, 0, 0);
      return;
    }
    if (type === MessageType.preempted) {
      receiver.onPreempted(from, aid, iid, ballot as Ballot);
      return;
    }
    const bytes = this.#valueBytes();
    const { valueOffset } = message;
    if (type === MessageType.promise) {
      // Only the ballot says that nothing was accepted: an empty value is a value.
      const length = valueBallot === NO_BALLOT ? -1 : message.valueLength;
      receiver.onPromise(from, aid, iid, ballot as Ballot, valueBallot, bytes, valueOffset, length);
      return;
    }
    // A repeat answer of the reference names the promised ballot in `ballot`: only valueBallot may be counted, and
    // the riding promise belongs to the ballot promised.
    const promiseIid = ballot === valueBallot ? message.promiseIid : 0;
    const length = message.valueLength;
    receiver.onAccepted(from, aid, iid, promiseIid, valueBallot, 0, bytes, valueOffset, length);
  }

  /** Messages whose sender needs no line in the configuration. */
  #fromAnyone(at: number, port: number, receiver: Receiver, nowUs: number): void {
    const message = this.#message;
    const { type } = message;
    if (
      (type === MessageType.repeat && (message.from === 0 || message.to < message.from)) ||
      (type === MessageType.trim && message.iid === 0)
    ) {
      this.counters.badField++;
      return;
    }
    const from = this.#intern(at, port, nowUs);
    if (from < 0) return;
    if (type === MessageType.repeat) receiver.onRepeat(from, message.from, message.to);
    else if (type === MessageType.trim) receiver.onTrim(from, message.iid, true, 0);
    else if (type === MessageType.learnerHi) receiver.onLearnerHi(from);
    else if (type === MessageType.learnerDel) receiver.onLearnerDel(from);
    else receiver.onAcceptorOk(from);
  }

  /** A value for the log, or one of the session frames that share its EtherType. */
  #clientFrame(at: number, port: number, receiver: Receiver, nowUs: number): void {
    const message = this.#message;
    const bytes = this.#link.area.bytes;
    const { valueOffset, valueLength } = message;
    const frame = classifySession(bytes, valueOffset, valueLength);
    const taker = sessionTaker(frame);
    if ((taker & this.#roles) === 0) {
      this.counters.notForUs++;
      return;
    }
    const carried = frame === SessionFrame.delivered ? valueLength - DEVICE_RECORD_BYTES : valueLength;
    if (carried > this.maxValue) {
      this.counters.tooLarge++;
      return;
    }
    const first = frame === SessionFrame.none ? 0 : sessionNumber(bytes, valueOffset, 1);
    const end = frame === SessionFrame.open ? sessionNumber(bytes, valueOffset, 2) : MAX_WORD;
    if (frame === SessionFrame.open && (first < 0 || end <= first)) {
      this.counters.badField++;
      return;
    }
    const from = this.#intern(at, port, nowUs);
    if (from < 0) return;
    if (frame === SessionFrame.none) receiver.onClientValue(from, bytes, valueOffset, valueLength, 0);
    else if (frame === SessionFrame.open) receiver.onSessionOpen(from, first, end);
    else if (frame === SessionFrame.close) receiver.onSessionClose(from, first);
    else if (frame === SessionFrame.ok) receiver.onSessionOk(from, first);
    else receiver.onSessionValue(from, bytes, valueOffset + DEVICE_RECORD_BYTES, carried);
  }

  /** The sender as a peer, once its message has passed every check. −1: the table is full, which it counts. */
  #intern(at: number, port: number, nowUs: number): Peer {
    const from = this.#peers.intern(0, 0, this.#link.area.signed, at, port, nowUs);
    if (from >= 0) this.counters.messagesIn++;
    return from;
  }

  /** Where the message's value lies: in the frame, or completed with zeros when it arrived cut. */
  #valueBytes(): Uint8Array {
    const message = this.#message;
    if (message.maybeCut) this.counters.maybeCutValues++;
    if (message.missing === 0) return this.#link.area.bytes;
    this.counters.cutValues++;
    const present = presentBytes(message);
    copyBytes(this.#link.area.bytes, message.valueOffset, this.#completed, 0, present);
    this.#completed.fill(0, present, message.valueLength);
    message.valueOffset = 0;
    return this.#completed;
  }
}

function sessionTaker(frame: SessionFrame): number {
  switch (frame) {
    case SessionFrame.none:
      return Role.proposer;
    case SessionFrame.open:
    case SessionFrame.close:
      return Role.host;
    default:
      return Role.client;
  }
}
