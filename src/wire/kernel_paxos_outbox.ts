/**
 * How one role speaks in the Kernel_Paxos wire: every message is one frame, written whole into a transmit slot, one copy
 * for each address. What the wire cannot carry is either silent by design (busy, claim), a bug to ask for (range
 * promises), or dropped and counted (instances and ballots beyond 32 bits).
 */

import { KERNEL_PAXOS_FIRST } from "../net/ethertypes.ts";
import { ADDRESS, LENGTH, type Link, PORTS, Port, PROTOCOL } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { type AudienceView, NOBODY } from "../protocol/acceptor/audience.ts";
import { assert } from "../protocol/assert.ts";
import { copyBytes } from "../protocol/bytes.ts";
import type { Outbox } from "../protocol/outbox.ts";
import {
  type AckKind,
  type Ballot,
  type Busy,
  type Life,
  NO_BALLOT,
  NO_PEER,
  type Peer,
  Role,
  type Standing,
} from "../protocol/types.ts";
import { writeU32 } from "./bytes.ts";
import {
  CLOSE_CODE,
  DEVICE_RECORD_BYTES,
  OK_CODE,
  OPEN_BYTES,
  writeDeviceRecord,
  writeSessionConnection,
  writeSessionOpen,
} from "./client_record.ts";
import { encodeKernelPaxos } from "./kernel_paxos_encode.ts";
import { KernelPaxosMessage, MAX_WORD, MessageType } from "./kernel_paxos_message.ts";
import { type Members, portTo } from "./members.ts";
import type { TxFrames } from "./tx_frames.ts";
import type { WireCounters } from "./wire.ts";

export interface KernelPaxosOutboxOptions {
  readonly link: Link;
  readonly peers: Peers;
  readonly members: Members;
  readonly tx: TxFrames;
  readonly counters: WireCounters;
  /** Bits of all roles of the process. */
  readonly roles: number;
  /** The role and id that speak here. */
  readonly role: Role;
  readonly id: number;
  readonly maxValue: number;
}

const NOTHING = new Uint8Array(0);
/** Whoever may sit in an acceptor's audience. */
const LISTENERS = Role.proposer | Role.learner;

export class KernelPaxosOutbox implements Outbox {
  readonly maxValue: number;
  readonly role: Role;
  readonly #link: Link;
  readonly #udp: boolean;
  readonly #peers: Peers;
  readonly #members: Members;
  readonly #tx: TxFrames;
  readonly #counters: WireCounters;
  readonly #roles: number;
  readonly #id: number;
  readonly #message = new KernelPaxosMessage();
  readonly #session = new Uint8Array(OPEN_BYTES);
  /** One peer for each distinct acceptor address. */
  readonly #acceptors: readonly Peer[];
  #audience: AudienceView = NOBODY;
  #host: Peer = NO_PEER;

  constructor(options: KernelPaxosOutboxOptions) {
    this.#link = options.link;
    this.#udp = options.link.kind === "udp";
    this.#peers = options.peers;
    this.#members = options.members;
    this.#tx = options.tx;
    this.#counters = options.counters;
    this.#roles = options.roles;
    this.role = options.role;
    this.#id = options.id;
    this.maxValue = options.maxValue;
    this.#acceptors = [...new Set(options.members.acceptors)];
  }

  /** Whom `accepted` and `acceptorState` go to (acceptor). */
  setAudience(audience: AudienceView): void {
    this.#audience = audience;
  }

  /** The learner host that session frames go to (client): 6 address words. */
  setHost(words: Uint32Array): void {
    this.#host = this.#peers.pin(0, 0, words, portTo(this.#link, words));
  }

  room(): number {
    return this.#tx.room();
  }

  prepare(iid: number, ballot: Ballot): void {
    if (!this.#begin(MessageType.prepare, iid, ballot)) return;
    this.#toAcceptors(NOTHING);
  }

  prepareTo(aid: number, iid: number, ballot: Ballot): void {
    if (!this.#begin(MessageType.prepare, iid, ballot)) return;
    this.#send(this.#acceptor(aid), Role.acceptor, NOTHING);
  }

  accept(
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (!this.#begin(MessageType.accept, iid, ballot)) return;
    this.#message.promiseIid = promiseIid <= MAX_WORD ? promiseIid : 0;
    this.#value(offset, length);
    this.#toAcceptors(bytes);
  }

  // What follows has no message in this wire.
  leads(_generations: number, _logMark: number): void {}
  chosen(_iid: number): void {}
  heartbeat(_iid: number, _ballot: Ballot, _round: number, _leaseMs: number): void {}
  preVote(_round: number, _ballot: Ballot): void {}
  echo(_iid: number, _ballot: Ballot, _life: Life, _round: number): void {}
  preVoted(_to: Peer, _round: number, _ballot: Ballot, _granted: boolean): void {}
  standingAsk(_aid: number, _nonce: number, _standing: Standing, _generation: number): void {}
  standing(_to: Peer, _nonce: number, _standing: Standing, _ballot: Ballot, _vector: Uint8Array): void {}
  recover(_aid: number, _iid: number, _ballot: Ballot, _frames: number): void {}
  acknowledge(_to: Peer, _kind: AckKind, _session: number, _sequence: number, _iid: number): void {}
  readAsk(_proposerId: number, _nonce: number): void {}
  advance(_proposerId: number, _iid: number): void {}
  readIndex(_to: Peer, _nonce: number, _iid: number, _confirmed: boolean): void {}
  snapshotAsk(_kind: number, _above: number): void {}
  snapshotInfo(_to: Peer, _kind: number, _iid: number, _size: number, _checksum: number): void {}
  snapshotFetch(_to: Peer, _kind: number, _iid: number, _position: number, _size: number): void {}
  snapshotChunk(
    _to: Peer,
    _kind: number,
    _iid: number,
    _position: number,
    _bytes: Uint8Array,
    _offset: number,
    _length: number,
  ): void {}

  promise(
    to: Peer,
    iid: number,
    ballot: Ballot,
    valueBallot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (!this.#begin(MessageType.promise, iid, ballot)) return;
    this.#message.valueBallot = valueBallot;
    if (valueBallot !== NO_BALLOT) this.#value(offset, length);
    this.#send(to, Role.proposer, bytes);
  }

  promiseBegin(
    _to: Peer,
    _ballot: Ballot,
    _life: Life,
    _asked: number,
    _first: number,
    _trimIid: number,
    _standing: Uint8Array,
    _frames: number,
  ): boolean {
    assert(false, "promises of the Kernel_Paxos wire are for one instance");
  }

  promiseRecord(
    _iid: number,
    _valueBallot: Ballot,
    _valueLife: Life,
    _flags: number,
    _bytes: Uint8Array,
    _offset: number,
    _length: number,
  ): boolean {
    assert(false, "promises of the Kernel_Paxos wire are for one instance");
  }

  promiseEnd(_last: number): void {
    assert(false, "promises of the Kernel_Paxos wire are for one instance");
  }

  preempted(to: Peer, iid: number, ballot: Ballot): void {
    if (!this.#begin(MessageType.preempted, iid, ballot)) return;
    this.#send(to, Role.proposer, NOTHING);
  }

  accepted(
    iid: number,
    promiseIid: number,
    ballot: Ballot,
    _life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (!this.#begin(MessageType.accepted, iid, ballot)) return;
    this.#message.promiseIid = promiseIid <= MAX_WORD ? promiseIid : 0;
    this.#message.valueBallot = ballot;
    this.#value(offset, length);
    this.#toAudience(bytes);
  }

  acceptorState(trimIid: number, _highestIid: number, _flags: number): void {
    this.#beginState(trimIid);
    this.#toAudience(NOTHING);
  }

  repeated(
    to: Peer,
    iid: number,
    ballot: Ballot,
    _life: Life,
    _flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (!this.#begin(MessageType.accepted, iid, ballot)) return;
    this.#message.valueBallot = ballot;
    this.#value(offset, length);
    this.#send(to, LISTENERS, bytes);
  }

  acceptorStateTo(to: Peer, trimIid: number, _highestIid: number, _flags: number): void {
    this.#beginState(trimIid);
    this.#send(to, LISTENERS, NOTHING);
  }

  acceptorOk(to: Peer): void {
    this.#clear(MessageType.acceptorOk);
    this.#send(to, LISTENERS, NOTHING);
  }

  learnerHi(aid: number): void {
    this.#clear(MessageType.learnerHi);
    this.#send(this.#acceptor(aid), Role.acceptor, NOTHING);
  }

  learnerDel(): void {
    this.#clear(MessageType.learnerDel);
    this.#toAcceptors(NOTHING);
  }

  repeat(aid: number, first: number, last: number): void {
    const message = this.#clear(MessageType.repeat);
    if (!this.#fits(first)) return;
    message.from = first;
    message.to = Math.min(last, MAX_WORD);
    this.#send(this.#acceptor(aid), Role.acceptor, NOTHING);
  }

  trim(iid: number, _hasApplications: boolean, _kind: number): void {
    const message = this.#clear(MessageType.trim);
    if (!this.#fits(iid)) return;
    message.iid = iid;
    this.#toAcceptors(NOTHING);
  }

  /** `hops` has no place here: proposers forward only towards the higher ballot, which cannot run in circles. */
  clientValue(proposerId: number, bytes: Uint8Array, offset: number, length: number, _hops: number): void {
    const proposer = this.#members.proposers[proposerId];
    assert(proposer !== undefined, "the proposer is configured");
    this.#clear(MessageType.clientValue);
    this.#value(offset, length);
    this.#send(proposer, Role.proposer, bytes);
  }

  /** The wire has no such message: a client learns of it by sending again after a second without delivery. */
  busy(_to: Peer, _reason: Busy): void {}

  /** The wire has no such message: two processes with one role and id cannot be told apart. */
  claim(_uptimeMs: number, _generation: number): void {}

  sessionOpen(first: number, end: number): void {
    this.#clear(MessageType.clientValue);
    this.#value(0, writeSessionOpen(this.#session, 0, first, end));
    this.#toHost();
  }

  sessionOk(to: Peer, connection: number): void {
    this.#clear(MessageType.clientValue);
    this.#value(0, writeSessionConnection(this.#session, 0, OK_CODE, connection));
    this.#send(to, Role.client, this.#session);
  }

  sessionClose(connection: number): void {
    this.#clear(MessageType.clientValue);
    this.#value(0, writeSessionConnection(this.#session, 0, CLOSE_CODE, connection));
    this.#toHost();
  }

  /** The value goes out as a device record, which is what the reference's clients read. */
  sessionValue(to: Peer, bytes: Uint8Array, offset: number, length: number): void {
    assert(length >= 0 && length <= this.maxValue, "a delivered value fits the wire");
    this.#clear(MessageType.clientValue);
    const descriptor = this.#tx.open();
    if (descriptor < 0) return;
    const area = this.#link.area.bytes;
    const start = this.#tx.payload(descriptor);
    let at = start;
    if (this.#udp) {
      writeU32(area, at, MessageType.clientValue);
      at += 4;
    }
    writeU32(area, at, DEVICE_RECORD_BYTES + length);
    writeDeviceRecord(area, at + 4, length);
    at += 4 + DEVICE_RECORD_BYTES;
    copyBytes(bytes, offset, area, at, length);
    this.#address(descriptor, to, Role.client, at + length - start);
  }

  #clear(type: MessageType): KernelPaxosMessage {
    const message = this.#message;
    message.clear();
    message.type = type;
    return message;
  }

  /** Begins a message about an instance; false when the wire's 32 bits cannot name it. */
  #begin(type: MessageType, iid: number, ballot: number): boolean {
    const message = this.#clear(type);
    if (!this.#fits(iid) || !this.#fits(ballot)) return false;
    message.aid = this.#id;
    message.iid = iid;
    message.ballot = ballot;
    return true;
  }

  #beginState(trimIid: number): void {
    const message = this.#clear(MessageType.acceptorState);
    message.aid = this.#id;
    message.trimIid = Math.min(trimIid, MAX_WORD);
  }

  #fits(word: number): boolean {
    if (word <= MAX_WORD) return true;
    this.#counters.badField++;
    return false;
  }

  #value(offset: number, length: number): void {
    assert(length >= 0 && length <= this.maxValue, "every value sent fits the wire");
    this.#message.valueOffset = offset;
    this.#message.valueLength = length;
  }

  #acceptor(aid: number): Peer {
    const peer = this.#members.acceptors[aid];
    assert(peer !== undefined, "the acceptor is configured");
    return peer;
  }

  #toHost(): void {
    assert(this.#host !== NO_PEER, "a client of sessions knows its learner host");
    this.#send(this.#host, Role.host, this.#session);
  }

  #toAcceptors(bytes: Uint8Array): void {
    let first = -1;
    for (let i = 0; i < this.#acceptors.length; i++) {
      const peer = this.#acceptors[i]!;
      if (first < 0) first = this.#send(peer, Role.acceptor, bytes);
      else this.#copy(first, peer, Role.acceptor);
    }
  }

  #toAudience(bytes: Uint8Array): void {
    let first = -1;
    for (let i = 0; i < this.#audience.count; i++) {
      const peer = this.#audience.peerAt(i);
      if (first < 0) first = this.#send(peer, LISTENERS, bytes);
      else this.#copy(first, peer, LISTENERS);
    }
  }

  /** Encodes the message for one peer; returns the slot's descriptor, or −1 when there was none. */
  #send(to: Peer, roles: number, bytes: Uint8Array): number {
    const descriptor = this.#tx.open();
    if (descriptor < 0) return descriptor;
    const at = this.#tx.payload(descriptor);
    const length = encodeKernelPaxos(this.#message, bytes, this.#udp, this.#link.area.bytes, at);
    this.#address(descriptor, to, roles, length);
    return descriptor;
  }

  /** The frame just encoded, once more for another peer. */
  #copy(from: number, to: Peer, roles: number): void {
    const descriptor = this.#tx.open();
    if (descriptor < 0) return;
    const start = this.#tx.payload(from);
    const length = this.#link.area.words[from + LENGTH]!;
    this.#link.area.bytes.copyWithin(this.#tx.payload(descriptor), start, start + length);
    this.#address(descriptor, to, roles, length);
  }

  #address(descriptor: number, to: Peer, roles: number, length: number): void {
    const words = this.#link.area.words;
    words[descriptor + LENGTH] = length;
    words[descriptor + PROTOCOL] = this.#udp ? 0 : KERNEL_PAXOS_FIRST + this.#message.type;
    words[descriptor + PORTS] = this.#portsTo(to, roles);
    this.#peers.copyAddress(to, words, descriptor + ADDRESS);
    this.#counters.messagesOut++;
  }

  /**
   * One address may be this very process, other processes of this host, or both. An address has one acceptor and one
   * proposer at most, so when that is our own nobody else there wants the frame; and when we do not run the role that
   * it is for, it need not come back to us.
   */
  #portsTo(to: Peer, roles: number): number {
    const ports = this.#peers.ports[to]!;
    if ((ports & Port.self) === 0) return ports;
    if ((this.#roles & roles) === 0) return ports === Port.self ? ports : ports & ~Port.self;
    return roles === Role.acceptor || roles === Role.proposer ? Port.self : ports;
  }
}
