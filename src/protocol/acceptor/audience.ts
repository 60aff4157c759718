/**
 * Whom an acceptor tells what it accepted: every proposer that has sent it a prepare and every learner that has said
 * hi. One entry a peer, with a bit for each reason, so that a learner's del leaves a proposer of the same address in
 *. Bounded: newcomers beyond the limit are refused and counted, but for members of the configuration, which take the place of one
 * that is none: a leader that is not told would get nothing chosen.
 */
import { NO_PEER, type Peer, Role } from "../types.ts";

export interface AudienceView {
  readonly count: number;
  /** Whoever listens has had the time to say so. */
  readonly isKnown: boolean;
  peerAt(index: number): Peer;
}

export const NOBODY: AudienceView = { count: 0, isKnown: false, peerAt: () => NO_PEER };

const AUDIENCE_LIMIT = 1024;

export class Audience implements AudienceView {
  count = 0;
  isKnown = false;
  /** Peers turned away because the audience was full. */
  refused = 0;
  readonly #peers: Int32Array;
  readonly #roles: Uint8Array;
  readonly #heardUs: Float64Array;
  readonly #isMember: (peer: Peer) => boolean;

  constructor(isMember: (peer: Peer) => boolean = () => false, limit: number = AUDIENCE_LIMIT) {
    this.#isMember = isMember;
    this.#peers = new Int32Array(limit);
    this.#roles = new Uint8Array(limit);
    this.#heardUs = new Float64Array(limit);
  }

  peerAt(index: number): Peer {
    return this.#peers[index]! as Peer;
  }

  /** Whether the peer is registered for any of these role bits. */
  has(peer: Peer, roles: number): boolean {
    const index = this.#find(peer);
    return index >= 0 && (this.#roles[index]! & roles) !== 0;
  }

  /** Registers the peer in a role; false when it is a newcomer and there is no place. */
  add(peer: Peer, role: Role, nowUs: number): boolean {
    let index = this.#find(peer);
    if (index < 0) {
      if (this.count === this.#peers.length && !this.#makesRoomFor(peer)) {
        this.refused++;
        return false;
      }
      index = this.count++;
      this.#peers[index] = peer;
      this.#roles[index] = 0;
    }
    this.#roles[index] = this.#roles[index]! | role;
    this.#heardUs[index] = nowUs;
    return true;
  }

  /** Takes the peer out in one role; it stays while it is there in another. */
  remove(peer: Peer, role: Role): void {
    const index = this.#find(peer);
    if (index < 0) return;
    this.#roles[index] = this.#roles[index]! & ~role;
    if (this.#roles[index] === 0) this.#drop(index);
  }

  /** Drops learners that have not repeated their hi since `sinceUs`: their host is gone. */
  expireLearners(sinceUs: number): void {
    for (let i = this.count - 1; i >= 0; i--) {
      if ((this.#roles[i]! & Role.learner) === 0 || this.#heardUs[i]! >= sinceUs) continue;
      this.#roles[i] = this.#roles[i]! & ~Role.learner;
      if (this.#roles[i] === 0) this.#drop(i);
    }
  }

  #makesRoomFor(peer: Peer): boolean {
    if (!this.#isMember(peer)) return false;
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.#isMember(this.#peers[i]! as Peer)) continue;
      this.#drop(i);
      return true;
    }
    return false;
  }

  #drop(index: number): void {
    const last = --this.count;
    this.#peers[index] = this.#peers[last]!;
    this.#roles[index] = this.#roles[last]!;
    this.#heardUs[index] = this.#heardUs[last]!;
  }

  #find(peer: Peer): number {
    for (let i = 0; i < this.count; i++) if (this.#peers[i] === peer) return i;
    return -1;
  }
}
