/**
 * How one role speaks in the native wire about everything but the log itself: client values and their answers, reads,
 * snapshots, sessions of remote clients, claims. `native_outbox.ts` adds the messages of Paxos.
 */
import type { Link } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { assert } from "../protocol/assert.ts";
import { type AckKind, type Busy, NO_PEER, type Peer, Role } from "../protocol/types.ts";
import { type Members, portTo } from "./members.ts";
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

export class NativeSideOutbox {
  readonly maxValue: number;
  readonly role: Role;
  protected readonly frames: NativeFrames;
  protected readonly link: Link;
  protected readonly peers: Peers;
  protected readonly members: Members;
  /** The link reaches everyone with one frame. */
  protected readonly multicast: boolean;
  protected readonly id: number;
  #host: Peer = NO_PEER;

  constructor(options: NativeOutboxOptions) {
    this.frames = options.frames;
    this.link = options.link;
    this.peers = options.peers;
    this.members = options.members;
    this.multicast = options.multicast;
    this.maxValue = options.maxValue;
    this.role = options.role;
    this.id = options.id;
  }

  /** The learner host that session messages go to (client): its address words; any host there listens. */
  setHost(words: Uint32Array): void {
    this.#host = this.peers.pin(Role.host, ALL_IDS, words, portTo(this.link, words));
  }

  room(): number {
    return this.frames.room();
  }

  clientValue(proposerId: number, bytes: Uint8Array, offset: number, length: number, hops: number): void {
    const proposer = this.members.proposers[proposerId];
    assert(proposer !== undefined, "the proposer is configured");
    if (this.to(proposer, Role.proposer, NativeType.clientValue, hops, length)) {
      this.frames.value(bytes, offset, length);
    }
  }

  busy(to: Peer, reason: Busy): void {
    this.to(to, this.peers.role[to]!, NativeType.busy, reason, 0);
  }

  acknowledge(to: Peer, kind: AckKind, session: number, sequence: number, iid: number): void {
    if (!this.to(to, this.peers.role[to]!, NativeType.acknowledge, kind, 0)) return;
    this.frames.pair(session);
    this.frames.pair(sequence);
    this.frames.pair(iid);
  }

  readAsk(proposerId: number, nonce: number): void {
    if (!this.to(this.members.proposers[proposerId]!, Role.proposer, NativeType.readAsk, 0, 0)) return;
    this.frames.pair(nonce);
  }

  advance(proposerId: number, iid: number): void {
    if (!this.to(this.members.proposers[proposerId]!, Role.proposer, NativeType.advance, 0, 0)) return;
    this.frames.pair(iid);
  }

  readIndex(to: Peer, nonce: number, iid: number, confirmed: boolean): void {
    this.pairs(to, this.peers.role[to]!, NativeType.readIndex, confirmed ? 1 : 0, nonce, iid);
  }

  snapshotAsk(kind: number, above: number): void {
    if (this.multicast) {
      this.#snapshotAsk(EVERYONE, Role.learner | Role.proposer, kind, above);
      return;
    }
    const { learners, proposers } = this.members;
    for (let i = 0; i < learners.length; i++) this.#snapshotAsk(learners[i]!, Role.learner, kind, above);
    for (let i = 0; i < proposers.length; i++) this.#snapshotAsk(proposers[i]!, Role.proposer, kind, above);
  }

  snapshotInfo(to: Peer, kind: number, iid: number, size: number, checksum: number): void {
    if (!this.pairs(to, this.peers.role[to]!, NativeType.snapshotInfo, 0, iid, size)) return;
    this.frames.word(kind);
    this.frames.word(checksum);
  }

  snapshotFetch(to: Peer, kind: number, iid: number, position: number, size: number): void {
    if (!this.pairs(to, this.peers.role[to]!, NativeType.snapshotFetch, 0, iid, position)) return;
    this.frames.word(kind);
    this.frames.word(size);
  }

  snapshotChunk(
    to: Peer,
    kind: number,
    iid: number,
    position: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ): void {
    if (!this.to(to, this.peers.role[to]!, NativeType.snapshotChunk, 0, length)) return;
    this.frames.pair(iid);
    this.frames.pair(position);
    this.frames.word(kind);
    this.frames.value(bytes, offset, length);
  }

  /** Only where a second process can take the same role and id at all: an UDP address belongs to one process. */
  claim(uptimeMs: number, generation: number): void {
    if (this.link.kind !== "udp" && this.begin(this.role, this.id, EVERYONE, NativeType.claim, 0, 0)) {
      this.frames.pair(uptimeMs);
      this.frames.word(generation);
    }
  }

  sessionOpen(first: number, end: number): void {
    if (!this.to(this.#host, Role.host, NativeType.sessionOpen, 0, 0)) return;
    this.frames.pair(first);
    this.frames.pair(end);
  }

  sessionOk(to: Peer, connection: number): void {
    if (this.to(to, Role.client, NativeType.sessionOk, 0, 0)) this.frames.word(connection);
  }

  sessionClose(connection: number): void {
    if (this.to(this.#host, Role.host, NativeType.sessionClose, 0, 0)) this.frames.word(connection);
  }

  sessionValue(to: Peer, bytes: Uint8Array, offset: number, length: number): void {
    if (this.to(to, Role.client, NativeType.sessionValue, 0, length)) {
      this.frames.value(bytes, offset, length);
    }
  }

  #snapshotAsk(peer: number, roles: number, kind: number, above: number): void {
    const toId = peer < 0 ? ALL_IDS : this.peers.id[peer]!;
    if (!this.begin(roles, toId, peer, NativeType.snapshotAsk, 0, 0)) return;
    this.frames.pair(above);
    this.frames.word(kind);
  }

  /** Begins a message to one peer with its first two numbers; false: no frame is left. */
  protected pairs(
    peer: Peer,
    role: number,
    type: NativeType,
    flags: number,
    first: number,
    second: number,
  ): boolean {
    if (!this.to(peer, role, type, flags, 0)) return false;
    this.frames.pair(first);
    this.frames.pair(second);
    return true;
  }

  protected to(peer: Peer, role: number, type: NativeType, flags: number, valueLength: number): boolean {
    assert(peer >= 0, "a message has somebody to go to");
    return this.begin(role, this.peers.id[peer]!, peer, type, flags, valueLength);
  }

  protected toAll(roles: number, type: NativeType, flags: number = 0): boolean {
    return this.begin(roles, ALL_IDS, EVERYONE, type, flags, 0);
  }

  protected begin(
    roles: number,
    toId: number,
    peer: number,
    type: NativeType,
    flags: number,
    valueLength: number,
  ): boolean {
    const length = messageBytes(type, valueLength);
    return this.frames.begin(this.role, this.id, roles, toId, peer, type, flags, length);
  }
}

/** Bytes of a message with a value of so many. */
export function messageBytes(type: NativeType, valueLength: number): number {
  return FIXED_BYTES[type]! + ((valueLength + 3) & ~3);
}
