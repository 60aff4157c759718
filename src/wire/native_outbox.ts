/**
 * How one role speaks in the native wire: messages gathered into frames (`native_frames.ts`), instances that were accepted
 * one after the other at one ballot merged into a range. With multicast (Ethernet) an accept reaches acceptors and
 * learners at once and `accepted` goes without its value; without it (UDP) every peer gets its own copy, with the value.
 */
import type { Link } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { assert } from "../protocol/assert.ts";
import type { AudienceView } from "../protocol/audience.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { type Ballot, type Busy, type Life, NO_PEER, type Peer, Role } from "../protocol/types.ts";
import type { Members } from "./members.ts";
import { portTo } from "./members.ts";
import { EVERYONE, type NativeFrames } from "./native_frames.ts";
import { ALL_IDS, FIXED_BYTES, NativeType } from "./native_layout.ts";

export interface NativeOutboxOptions {
  readonly link: Link;
  readonly frames: NativeFrames;
  readonly peers: Peers;
  readonly members: Members;
  readonly multicast: boolean;
  readonly maxValue: number;
  readonly role: Role;
  readonly id: number;
}

const NOBODY: AudienceView = { count: 0, peerAt: () => NO_PEER };

export class NativeOutbox implements Outbox {
  readonly maxValue: number;
  readonly role: Role;
  readonly #frames: NativeFrames;
  readonly #link: Link;
  readonly #peers: Peers;
  readonly #members: Members;
  readonly #multicast: boolean;
  readonly #id: number;
  #audience: AudienceView = NOBODY;
  #host: Peer = NO_PEER;
  /** Goes with every accept. */
  #chosenIid = 0;
  /** The last `accepted` message, while it can still grow: where its `to` stands, and what it says. */
  #rangeAt = -1;
  #rangeMessages = 0;
  #rangeClosed = 0;
  #rangeBallot = 0;
  #rangeLife = 0;
  /** The promise frame being filled. */
  #promiseLastAt = 0;

  constructor(options: NativeOutboxOptions) {
    this.#frames = options.frames;
    this.#link = options.link;
    this.#peers = options.peers;
    this.#members = options.members;
    this.#multicast = options.multicast;
    this.maxValue = options.maxValue;
    this.role = options.role;
    this.#id = options.id;
  }

  setAudience(audience: AudienceView): void {
    this.#audience = audience;
  }

  /** The learner host that session messages go to (client): its address words; any host there listens. */
  setHost(words: Uint32Array): void {
    this.#host = this.#peers.pin(Role.host, ALL_IDS, words, portTo(this.#link, words));
  }

  room(): number {
    return this.#frames.room();
  }

  prepare(iid: number, ballot: Ballot): void {
    if (this.#multicast) this.#prepare(EVERYONE, iid, ballot);
    else for (let aid = 0; aid < this.#members.acceptors.length; aid++) this.prepareTo(aid, iid, ballot);
  }

  prepareTo(aid: number, iid: number, ballot: Ballot): void {
    this.#prepare(this.#members.acceptors[aid]!, iid, ballot);
  }

  accept(
    iid: number,
    _promiseIid: number,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (this.#multicast) {
      this.#accept(EVERYONE, Role.acceptor | Role.learner, iid, ballot, bytes, offset, length);
      return;
    }
    for (let aid = 0; aid < this.#members.acceptors.length; aid++) {
      this.#accept(this.#members.acceptors[aid]!, Role.acceptor, iid, ballot, bytes, offset, length);
    }
  }

  chosen(iid: number, ballot: Ballot, now: boolean): void {
    this.#chosenIid = iid;
    if (!now) return;
    if (this.#multicast) {
      this.#chosen(EVERYONE, Role.acceptor | Role.proposer | Role.learner, iid, ballot);
      return;
    }
    const { acceptors, proposers } = this.#members;
    for (let i = 0; i < acceptors.length; i++) this.#chosen(acceptors[i]!, Role.acceptor, iid, ballot);
    for (let i = 0; i < proposers.length; i++) {
      if (i !== this.#id) this.#chosen(proposers[i]!, Role.proposer, iid, ballot);
    }
  }

  promise(
    _to: Peer,
    _iid: number,
    _ballot: Ballot,
    _valueBallot: Ballot,
    _bytes: Uint8Array,
    _offset: number,
    _length: number,
  ): void {
    assert(false, "promises of the native wire are for a range");
  }

  promiseBegin(to: Peer, ballot: Ballot, life: Life, asked: number, first: number, trimIid: number): boolean {
    const frames = this.#frames;
    // A promise has its frame to itself, so that its records have all the room there is.
    if (!this.#to(to, Role.proposer, NativeType.promise, 0, 0)) return false;
    frames.pair(ballot);
    frames.pair(life);
    frames.pair(asked);
    frames.pair(first);
    this.#promiseLastAt = frames.position();
    frames.pair(0);
    frames.pair(trimIid);
    return true;
  }

  promiseRecord(
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const frames = this.#frames;
    const size = messageBytes(NativeType.promiseRecord, length);
    if (frames.roomInFrame() < size) return false;
    frames.append(NativeType.promiseRecord, 0, size);
    frames.pair(iid);
    frames.pair(valueBallot);
    frames.pair(valueLife);
    frames.value(bytes, offset, length);
    return true;
  }

  promiseEnd(last: number): void {
    this.#frames.patchPair(this.#promiseLastAt, last);
    this.#frames.closeLast();
  }

  preempted(to: Peer, iid: number, ballot: Ballot): void {
    if (!this.#to(to, Role.proposer, NativeType.preempted, 0, 0)) return;
    this.#frames.pair(iid);
    this.#frames.pair(ballot);
  }

  accepted(
    iid: number,
    _promiseIid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (!this.#multicast) {
      for (let i = 0; i < this.#audience.count; i++) {
        this.repeated(this.#audience.peerAt(i), iid, ballot, life, bytes, offset, length);
      }
      return;
    }
    const frames = this.#frames;
    const grows =
      this.#rangeAt >= 0 &&
      this.#rangeMessages === frames.messages &&
      this.#rangeClosed === frames.closed &&
      this.#rangeBallot === ballot &&
      this.#rangeLife === life &&
      frames.pairAt(this.#rangeAt) + 1 === iid;
    if (grows) {
      frames.patchPair(this.#rangeAt, iid);
      return;
    }
    this.#rangeAt = -1;
    if (!this.#toAll(Role.proposer | Role.learner, NativeType.accepted)) return;
    frames.pair(iid);
    this.#rangeAt = frames.position();
    frames.pair(iid);
    frames.pair(ballot);
    frames.pair(life);
    this.#rangeMessages = frames.messages;
    this.#rangeClosed = frames.closed;
    this.#rangeBallot = ballot;
    this.#rangeLife = life;
  }

  acceptorState(trimIid: number, highestIid: number, flags: number): void {
    if (this.#multicast) {
      if (this.#toAll(Role.proposer | Role.learner, NativeType.acceptorState, flags)) {
        this.#frames.pair(trimIid);
        this.#frames.pair(highestIid);
      }
      return;
    }
    for (let i = 0; i < this.#audience.count; i++) {
      this.acceptorStateTo(this.#audience.peerAt(i), trimIid, highestIid, flags);
    }
  }

  repeated(
    to: Peer,
    iid: number,
    ballot: Ballot,
    life: Life,
    bytes: Uint8Array,
    offset: number,
    length: number,
    isChosen = false,
  ): void {
    if (!this.#to(to, this.#peers.role[to]!, NativeType.acceptedValue, isChosen ? 1 : 0, length)) return;
    const frames = this.#frames;
    frames.pair(iid);
    frames.pair(ballot);
    frames.pair(life);
    frames.value(bytes, offset, length);
  }

  acceptorStateTo(to: Peer, trimIid: number, highestIid: number, flags: number): void {
    if (!this.#to(to, this.#peers.role[to]!, NativeType.acceptorState, flags, 0)) return;
    this.#frames.pair(trimIid);
    this.#frames.pair(highestIid);
  }

  acceptorOk(to: Peer): void {
    this.#to(to, this.#peers.role[to]!, NativeType.acceptorOk, 0, 0);
  }

  learnerHi(aid: number): void {
    this.#to(this.#members.acceptors[aid]!, Role.acceptor, NativeType.learnerHi, 0, 0);
  }

  learnerDel(): void {
    for (let aid = 0; aid < this.#members.acceptors.length; aid++) {
      this.#to(this.#members.acceptors[aid]!, Role.acceptor, NativeType.learnerDel, 0, 0);
    }
  }

  repeat(aid: number, first: number, last: number): void {
    if (!this.#to(this.#members.acceptors[aid]!, Role.acceptor, NativeType.repeat, 0, 0)) return;
    this.#frames.pair(first);
    this.#frames.pair(last);
  }

  trim(iid: number): void {
    for (let aid = 0; aid < this.#members.acceptors.length; aid++) {
      if (this.#to(this.#members.acceptors[aid]!, Role.acceptor, NativeType.trim, 0, 0))
        this.#frames.pair(iid);
    }
  }

  clientValue(proposerId: number, bytes: Uint8Array, offset: number, length: number, hops: number): void {
    const proposer = this.#members.proposers[proposerId];
    assert(proposer !== undefined, "the proposer is configured");
    if (this.#to(proposer, Role.proposer, NativeType.clientValue, hops, length)) {
      this.#frames.value(bytes, offset, length);
    }
  }

  busy(to: Peer, reason: Busy): void {
    this.#to(to, this.#peers.role[to]!, NativeType.busy, reason, 0);
  }

  /** Only where a second process can take the same role and id at all: an UDP address belongs to one process. */
  claim(uptimeMs: number): void {
    if (this.#multicast && this.#begin(this.role, this.#id, EVERYONE, NativeType.claim, 0, 0)) {
      this.#frames.pair(uptimeMs);
    }
  }

  sessionOpen(first: number, end: number): void {
    if (!this.#to(this.#host, Role.host, NativeType.sessionOpen, 0, 0)) return;
    this.#frames.pair(first);
    this.#frames.pair(end);
  }

  sessionOk(to: Peer, connection: number): void {
    if (this.#to(to, Role.client, NativeType.sessionOk, 0, 0)) this.#frames.word(connection);
  }

  sessionClose(connection: number): void {
    if (this.#to(this.#host, Role.host, NativeType.sessionClose, 0, 0)) this.#frames.word(connection);
  }

  sessionValue(to: Peer, bytes: Uint8Array, offset: number, length: number): void {
    if (this.#to(to, Role.client, NativeType.sessionValue, 0, length)) {
      this.#frames.value(bytes, offset, length);
    }
  }

  #prepare(peer: number, iid: number, ballot: Ballot): void {
    const toId = peer < 0 ? ALL_IDS : this.#peers.id[peer]!;
    if (!this.#begin(Role.acceptor, toId, peer, NativeType.prepare, 0, 0)) return;
    this.#frames.pair(iid);
    this.#frames.pair(ballot);
  }

  #accept(
    peer: number,
    roles: number,
    iid: number,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    const toId = peer < 0 ? ALL_IDS : this.#peers.id[peer]!;
    if (!this.#begin(roles, toId, peer, NativeType.accept, 0, length)) return;
    const frames = this.#frames;
    frames.pair(iid);
    frames.pair(ballot);
    frames.pair(this.#chosenIid);
    frames.value(bytes, offset, length);
  }

  #chosen(peer: number, roles: number, iid: number, ballot: Ballot): void {
    const toId = peer < 0 ? ALL_IDS : this.#peers.id[peer]!;
    if (!this.#begin(roles, toId, peer, NativeType.chosen, 0, 0)) return;
    this.#frames.pair(iid);
    this.#frames.pair(ballot);
  }

  #to(peer: Peer, role: number, type: NativeType, flags: number, valueLength: number): boolean {
    assert(peer >= 0, "a message has somebody to go to");
    return this.#begin(role, this.#peers.id[peer]!, peer, type, flags, valueLength);
  }

  #toAll(roles: number, type: NativeType, flags: number = 0): boolean {
    return this.#begin(roles, ALL_IDS, EVERYONE, type, flags, 0);
  }

  #begin(
    roles: number,
    toId: number,
    peer: number,
    type: NativeType,
    flags: number,
    valueLength: number,
  ): boolean {
    const length = messageBytes(type, valueLength);
    return this.#frames.begin(this.role, this.#id, roles, toId, peer, type, flags, length);
  }
}

function messageBytes(type: NativeType, valueLength: number): number {
  return FIXED_BYTES[type]! + ((valueLength + 3) & ~3);
}
