/**
 * How one role speaks in the native wire: messages gathered into frames (`native_frames.ts`), instances that were accepted
 * one after the other at one ballot merged into a range. With multicast (Ethernet) an accept reaches acceptors and
 * learners at once and `accepted` goes without its value; without it (UDP) every peer gets its own copy, with the value.
 */

import { Port } from "../net/link.ts";
import { type AudienceView, NOBODY } from "../protocol/acceptor/audience.ts";
import { assert } from "../protocol/assert.ts";
import { crc32c } from "../protocol/crc32c.ts";
import type { Outbox } from "../protocol/outbox.ts";
import {
  type Ballot,
  type Life,
  NO_BALLOT,
  NO_PEER,
  type Peer,
  Role,
  type Standing,
} from "../protocol/types.ts";
import { AcceptedRange, MOST_LISTENERS } from "./accepted_range.ts";
import { EVERYONE } from "./native_frames.ts";
import { ALL_IDS, MORE, NativeType, VOTED } from "./native_layout.ts";
import { messageBytes, NativeSideOutbox } from "./native_side_outbox.ts";

const NO_BYTES = new Uint8Array(0);
/** So many copies that are received in vain cost as much as one more frame (measured: docs/performance.md). */
const VAIN_COPIES = 3;

export class NativeOutbox extends NativeSideOutbox implements Outbox {
  #audience: AudienceView = NOBODY;
  /** Goes with every accept. */
  #chosenIid = 0;
  readonly #range = new AcceptedRange(this.frames);
  /** The promise being said: to whom, what it answers, its standing, where the present frame's `last` stands. */
  #promiseTo: Peer = NO_PEER;
  #promiseBallot: Ballot = NO_BALLOT;
  #promiseLife: Life = 0;
  #promiseStanding: Uint8Array = NO_BYTES;
  #promiseLastAt = 0;
  #promiseHead = 0;
  /** Frames that it may still take, the present one included. */
  #promiseFrames = 0;
  /** Its frame holds no record yet, and is its first. */
  #promiseIsBare = false;

  setAudience(audience: AudienceView): void {
    this.#audience = audience;
  }

  prepare(iid: number, ballot: Ballot): void {
    if (this.multicast) this.#prepare(EVERYONE, iid, ballot);
    else for (let aid = 0; aid < this.members.acceptors.length; aid++) this.prepareTo(aid, iid, ballot);
  }

  prepareTo(aid: number, iid: number, ballot: Ballot): void {
    this.#prepare(this.members.acceptors[aid]!, iid, ballot);
  }

  accept(
    iid: number,
    _promiseIid: number,
    ballot: Ballot,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (this.multicast) {
      this.#accept(EVERYONE, Role.acceptor | Role.learner, iid, ballot, bytes, offset, length);
      return;
    }
    for (let aid = 0; aid < this.members.acceptors.length; aid++) {
      this.#accept(this.members.acceptors[aid]!, Role.acceptor, iid, ballot, bytes, offset, length);
    }
  }

  leads(generations: number, logMark: number): void {
    this.frames.name(generations, logMark);
  }

  chosen(iid: number): void {
    this.#chosenIid = iid;
  }

  heartbeat(iid: number, ballot: Ballot, round: number, leaseMs: number): void {
    this.#chosenIid = iid;
    if (this.multicast) {
      this.#heartbeat(EVERYONE, Role.acceptor | Role.proposer | Role.learner, iid, ballot, round, leaseMs);
      return;
    }
    const { acceptors, proposers } = this.members;
    for (let i = 0; i < acceptors.length; i++) {
      this.#heartbeat(acceptors[i]!, Role.acceptor, iid, ballot, round, leaseMs);
    }
    for (let i = 0; i < proposers.length; i++) {
      if (i !== this.id) this.#heartbeat(proposers[i]!, Role.proposer, iid, ballot, round, leaseMs);
    }
  }

  preVote(round: number, ballot: Ballot): void {
    const { acceptors } = this.members;
    for (let i = 0; i < acceptors.length; i++) {
      this.pairs(acceptors[i]!, Role.acceptor, NativeType.preVote, 0, round, ballot);
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

  promiseBegin(
    to: Peer,
    ballot: Ballot,
    life: Life,
    asked: number,
    first: number,
    trimIid: number,
    standing: Uint8Array,
    most: number,
  ): boolean {
    const frames = this.frames;
    const role = this.peers.role[to]!;
    // A promise has its frame to itself, so that its records have all the room there is.
    frames.closeTo(this.role, this.id, role, this.peers.id[to]!, to);
    if (!this.to(to, role, NativeType.promise, 0, standing.length)) return false;
    this.#promiseHead = frames.head();
    frames.pair(ballot);
    frames.pair(life);
    frames.pair(asked);
    frames.pair(first);
    this.#promiseLastAt = frames.position();
    frames.pair(0);
    frames.pair(trimIid);
    frames.value(standing, 0, standing.length);
    this.#promiseTo = to;
    this.#promiseBallot = ballot;
    this.#promiseLife = life;
    this.#promiseStanding = standing;
    this.#promiseFrames = most;
    this.#promiseIsBare = true;
    return true;
  }

  promiseRecord(
    iid: number,
    valueBallot: Ballot,
    valueLife: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): boolean {
    const frames = this.frames;
    const size = messageBytes(NativeType.promiseRecord, length);
    if (frames.roomInFrame() < size && !this.#promiseGoesOn(iid, size)) return false;
    this.#promiseIsBare = false;
    frames.append(NativeType.promiseRecord, flags, size);
    frames.pair(iid);
    frames.pair(valueBallot);
    frames.pair(valueLife);
    frames.value(bytes, offset, length);
    return true;
  }

  promiseEnd(last: number): void {
    this.frames.patchPair(this.#promiseLastAt, last);
    this.frames.closeLast();
  }

  /**
   * The answer goes on in a frame without the standing, where it may have one more, or for a record that has no room even as the
   * only one beside the standing.
   */
  #promiseGoesOn(iid: number, size: number): boolean {
    const fits = messageBytes(NativeType.promisePart, 0) + size <= this.frames.maxMessage;
    if (!fits || !(this.#promiseIsBare || this.#promiseFrames > 1)) return false;
    this.promiseEnd(iid - 1);
    const to = this.#promiseTo;
    if (!this.to(to, this.peers.role[to]!, NativeType.promisePart, 0, 0)) return false;
    const { frames } = this;
    if (!this.#promiseIsBare) this.#promiseFrames--;
    frames.addFlags(this.#promiseHead, MORE);
    this.#promiseHead = frames.head();
    frames.pair(this.#promiseBallot);
    frames.pair(this.#promiseLife);
    frames.pair(iid);
    this.#promiseLastAt = frames.position();
    frames.pair(iid);
    frames.word(crc32c(this.#promiseStanding));
    return true;
  }

  preempted(to: Peer, iid: number, ballot: Ballot): void {
    this.pairs(to, this.peers.role[to]!, NativeType.preempted, 0, iid, ballot);
  }

  echo(iid: number, ballot: Ballot, life: Life, round: number): void {
    if (this.multicast) {
      this.#echo(EVERYONE, iid, ballot, life, round);
      return;
    }
    const { proposers } = this.members;
    for (let i = 0; i < proposers.length; i++) this.#echo(proposers[i]!, iid, ballot, life, round);
  }

  preVoted(to: Peer, round: number, ballot: Ballot, granted: boolean): void {
    this.pairs(to, Role.proposer, NativeType.preVoted, granted ? 1 : 0, round, ballot);
  }

  standingAsk(aid: number, nonce: number, standing: Standing, generation: number): void {
    if (!this.to(this.members.acceptors[aid]!, Role.acceptor, NativeType.standingAsk, standing, 0)) return;
    this.frames.pair(nonce);
    this.frames.word(generation);
  }

  standing(to: Peer, nonce: number, standing: Standing, ballot: Ballot, vector: Uint8Array): void {
    if (!this.to(to, Role.acceptor, NativeType.standing, standing, vector.length)) return;
    this.frames.pair(nonce);
    this.frames.pair(ballot);
    this.frames.value(vector, 0, vector.length);
  }

  recover(aid: number, iid: number, ballot: Ballot, frames: number): void {
    if (!this.to(this.members.acceptors[aid]!, Role.acceptor, NativeType.recover, 0, 0)) return;
    this.frames.pair(iid);
    this.frames.pair(ballot);
    this.frames.word(frames);
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
    if (!this.multicast) {
      for (let i = 0; i < this.#audience.count; i++) {
        this.repeated(this.#audience.peerAt(i), iid, ballot, life, 0, bytes, offset, length);
      }
      return;
    }
    const range = this.#range;
    const isOwn = this.#votedWithin(iid, ballot, life);
    if (range.grow(iid, ballot, life, isOwn)) return;
    range.begin(iid, ballot, life, isOwn);
    if (isOwn) {
      if (this.#acceptedTo(this.members.proposers[this.id]!)) range.write();
    } else if (this.#hasFewListeners()) {
      const audience = this.#audience;
      for (let i = 0; i < audience.count; i++) if (this.#acceptedTo(audience.peerAt(i))) range.write();
    } else if (this.toAll(Role.proposer | Role.learner, NativeType.accepted)) range.write();
    range.end();
  }

  acceptorState(trimIid: number, highestIid: number, flags: number, logId: number): void {
    if (this.multicast) {
      if (this.toAll(Role.proposer | Role.learner, NativeType.acceptorState, flags)) {
        this.frames.pair(trimIid);
        this.frames.pair(highestIid);
        this.frames.pair(logId);
      }
      return;
    }
    for (let i = 0; i < this.#audience.count; i++) {
      this.acceptorStateTo(this.#audience.peerAt(i), trimIid, highestIid, flags, logId);
    }
  }

  repeated(
    to: Peer,
    iid: number,
    ballot: Ballot,
    life: Life,
    flags: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (!this.to(to, this.peers.role[to]!, NativeType.acceptedValue, flags, length)) return;
    const frames = this.frames;
    frames.pair(iid);
    frames.pair(ballot);
    frames.pair(life);
    frames.value(bytes, offset, length);
  }

  acceptorStateTo(to: Peer, trimIid: number, highestIid: number, flags: number, logId: number): void {
    if (this.pairs(to, this.peers.role[to]!, NativeType.acceptorState, flags, trimIid, highestIid))
      this.frames.pair(logId);
  }

  acceptorOk(to: Peer): void {
    this.to(to, this.peers.role[to]!, NativeType.acceptorOk, 0, 0);
  }

  learnerHi(aid: number): void {
    this.to(this.members.acceptors[aid]!, Role.acceptor, NativeType.learnerHi, 0, 0);
  }

  learnerDel(): void {
    for (let aid = 0; aid < this.members.acceptors.length; aid++) {
      this.to(this.members.acceptors[aid]!, Role.acceptor, NativeType.learnerDel, 0, 0);
    }
  }

  repeat(aid: number, first: number, last: number): void {
    this.pairs(this.members.acceptors[aid]!, Role.acceptor, NativeType.repeat, 0, first, last);
  }

  trim(iid: number, hasApplications: boolean, kind: number): void {
    const flags = hasApplications ? 1 : 0;
    for (let aid = 0; aid < this.members.acceptors.length; aid++) {
      if (!this.to(this.members.acceptors[aid]!, Role.acceptor, NativeType.trim, flags, 0)) continue;
      this.frames.pair(iid);
      this.frames.word(kind);
    }
  }

  /** The accept is this very process's, and has not left yet: it says from now on that this acceptor has accepted, too. */
  #votedWithin(iid: number, ballot: Ballot, life: Life): boolean {
    const { proposers } = this.members;
    if (life !== this.frames.life || this.id >= proposers.length) return false;
    if (this.peers.ports[proposers[this.id]!] !== Port.self) return false;
    const head = this.frames.ownAccepts.find(iid, ballot);
    if (head < 0) return false;
    this.frames.addFlags(head, VOTED);
    return true;
  }

  #acceptedTo(peer: Peer): boolean {
    return this.to(peer, this.peers.role[peer]!, NativeType.accepted, 0, 0);
  }

  /** A frame for each of those who listen is less work for all than one that every other acceptor is given in vain. */
  #hasFewListeners(): boolean {
    const audience = this.#audience;
    const areFew =
      audience.count <= MOST_LISTENERS && VAIN_COPIES * audience.count < this.members.acceptors.length;
    return areFew && audience.isKnown;
  }

  #prepare(peer: number, iid: number, ballot: Ballot): void {
    const toId = peer < 0 ? ALL_IDS : this.peers.id[peer]!;
    if (!this.begin(Role.acceptor, toId, peer, NativeType.prepare, 0, 0)) return;
    this.frames.pair(iid);
    this.frames.pair(ballot);
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
    const toId = peer < 0 ? ALL_IDS : this.peers.id[peer]!;
    if (!this.begin(roles, toId, peer, NativeType.accept, 0, length)) return;
    const frames = this.frames;
    if (peer < 0) frames.ownAccepts.note(iid, ballot, frames.head());
    frames.pair(iid);
    frames.pair(ballot);
    frames.pair(this.#chosenIid);
    frames.value(bytes, offset, length);
  }

  #heartbeat(peer: number, roles: number, iid: number, ballot: Ballot, round: number, leaseMs: number): void {
    const toId = peer < 0 ? ALL_IDS : this.peers.id[peer]!;
    if (!this.begin(roles, toId, peer, NativeType.heartbeat, 0, 0)) return;
    this.frames.pair(iid);
    this.frames.pair(ballot);
    this.frames.pair(round);
    this.frames.word(leaseMs);
  }

  #echo(peer: number, iid: number, ballot: Ballot, life: Life, round: number): void {
    const toId = peer < 0 ? ALL_IDS : this.peers.id[peer]!;
    if (!this.begin(Role.proposer, toId, peer, NativeType.echo, 0, 0)) return;
    this.frames.pair(iid);
    this.frames.pair(ballot);
    this.frames.pair(life);
    this.frames.pair(round);
  }
}
