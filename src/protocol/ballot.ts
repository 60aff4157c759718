/**
 * Ballots: (round, proposer id) as one number, ordered. `round * stride + id`, first round 1, so that two proposers
 * never share one and 0 is none. Kernel_Paxos: stride 10, 32 bits (first ballot `10 + id`, then `+ 10`).
 */
import type { Ballot } from "./types.ts";

export interface BallotScheme {
  readonly stride: number;
  /** Largest ballot the wire can carry. */
  readonly max: number;
}

export const NATIVE_BALLOTS: BallotScheme = { stride: 65536, max: 2 ** 48 - 1 };
/** Ballots of owners from here on are of acceptors that recover (this + acceptor id); nothing is ever proposed at them. */
export const RECOVERY_IDS = 61440;
export const KERNEL_PAXOS_BALLOTS: BallotScheme = { stride: 10, max: 2 ** 32 - 1 };

/**
 * The lowest ballot of proposer `id` above `seen`: jumps over a rival's instead of stepping towards it.
 * 0 when the scheme has none left.
 */
export function ballotAbove(scheme: BallotScheme, seen: number, id: number): Ballot {
  const round = Math.max(1, Math.floor(seen / scheme.stride) + (seen % scheme.stride >= id ? 1 : 0));
  const ballot = round * scheme.stride + id;
  return (ballot > scheme.max ? 0 : ballot) as Ballot;
}

/** The id of the proposer whose ballot this is. */
export function ballotOwner(scheme: BallotScheme, ballot: Ballot): number {
  return ballot % scheme.stride;
}

/** The round of a ballot: what a proposer keeps on disk. */
export function ballotRound(scheme: BallotScheme, ballot: Ballot): number {
  return Math.floor(ballot / scheme.stride);
}
