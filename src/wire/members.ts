/**
 * The configured members as peers: where each acceptor and proposer is, and who may speak for them.
 */
import type { Config, Member } from "../config/config.ts";
import { type Link, Port } from "../net/link.ts";
import type { Peers } from "../net/peers.ts";
import { NO_PEER, type Peer, Role } from "../protocol/types.ts";

export class Members {
  readonly acceptors: readonly Peer[];
  readonly proposers: readonly Peer[];
  readonly learners: readonly Peer[];
  readonly #peers: Peers;

  /**
   * `byAddress`: peers are told apart by address alone (Kernel_Paxos wire). `own` are the bits of this process's
   * roles and `ownId` their id: such a member is reached by `Port.self`.
   */
  constructor(config: Config, link: Link, peers: Peers, byAddress: boolean, own: number, ownId: number) {
    this.#peers = peers;
    const pin = (role: number) => (member: Member) => {
      const isSelf = (own & role) !== 0 && member.id === ownId;
      const ports = isSelf ? Port.self : portTo(link, member.address.words);
      return peers.pin(byAddress ? 0 : role, byAddress ? 0 : member.id, member.address.words, ports);
    };
    this.acceptors = config.acceptors.map(pin(Role.acceptor));
    this.proposers = config.proposers.map(pin(Role.proposer));
    this.learners = config.learners.map(pin(Role.learner));
  }

  /** Whether the address (6 words at `at`) is that of one of `members`. */
  includes(members: readonly Peer[], words: Int32Array, at: number): boolean {
    for (let i = 0; i < members.length; i++) if (this.#peers.isAt(members[i]!, words, at)) return true;
    return false;
  }

  /** The acceptor at the address of the proposer of this id, under the same one: what one process can be. `NO_PEER`: none. */
  acceptorWith(id: number): Peer {
    const acceptor = this.acceptors[id];
    const proposer = this.proposers[id];
    if (acceptor === undefined || proposer === undefined) return NO_PEER;
    return this.#peers.haveOneAddress(acceptor, proposer) ? acceptor : NO_PEER;
  }
}

/** By which port a frame for this address leaves: a peer that has this host's MAC is reached through `lo`. */
export function portTo(link: Link, words: Uint32Array): number {
  if (link.kind !== "ethernet") return Port.wire;
  return words[0] === link.address[0] && words[1] === link.address[1] ? Port.lo : Port.wire;
}
