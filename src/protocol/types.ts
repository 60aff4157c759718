/**
 * The words every module shares. Pure data; imports nothing.
 *
 * Instance ids (`iid`) are plain numbers: integers from 1 to 2^53 − 1 in the native wire, to 2^32 − 1 in the
 * Kernel_Paxos wire. 0 is "no instance".
 */

/** An ordered proposal number; see `ballot.ts` for how a proposer's id is part of it. 0 is "no ballot". */
export type Ballot = number & { readonly __brand: "Ballot" };

/** The number of one process start: random, 53 bits. 0 where the wire cannot carry it (Kernel_Paxos). */
export type Life = number;

/** An index into the node's table of peers (`net/peers.ts`): who a frame came from, where an answer goes. */
export type Peer = number & { readonly __brand: "Peer" };

export const NO_BALLOT = 0 as Ballot;
/** "Nobody": the peer of a message that this process made itself. */
export const NO_PEER = -1 as Peer;
/** Stands for "no upper bound" in ranges of instances. */
export const MAX_IID = Number.MAX_SAFE_INTEGER;

/** Roles as bits, so that one byte of a frame header can address several of them at once. */
export const Role = { acceptor: 1, proposer: 2, learner: 4, client: 8, host: 16 } as const;
export type Role = (typeof Role)[keyof typeof Role];
export type RoleName = keyof typeof Role;

/** Why a proposer does not take a client value now (native wire, message `busy`). */
export const Busy = {
  noQuorum: 1,
  queueFull: 2,
  windowFull: 3,
  tooLarge: 4,
  notLeader: 5,
  noSnapshot: 6,
} as const;
export type Busy = (typeof Busy)[keyof typeof Busy];

/** What an acceptor is (PROTOCOL: birth and amnesia): only a voting one promises, accepts and answers repeats. */
export const Standing = { fresh: 1, recovering: 2, voting: 3 } as const;
export type Standing = (typeof Standing)[keyof typeof Standing];

/** What an acceptor says about a record that it repeats; bits. 0: its own vote, not known to be chosen. */
export const RepeatFlag = {
  /** The acceptor knows that the instance is chosen, if perhaps at another ballot. */
  known: 1,
  /** This very record is the chosen value. */
  marked: 2,
  /** Not this acceptor's vote. */
  hearsay: 4,
} as const;

/** What a proposer tells a client about its session. */
export const AckKind = {
  /** Everything up to the sequence is delivered. */
  delivered: 0,
  /** The next value wanted is the one after it, up to which all is delivered or under way: what was sent beyond is not taken. */
  gap: 1,
  /** The session is not known (any more): its values are not taken. */
  expired: 2,
  /** The session is open; the sequence is the nonce it was opened with. */
  opened: 3,
} as const;
export type AckKind = (typeof AckKind)[keyof typeof AckKind];

/** Flags of `acceptorState`. */
export const StateFlag = { halfFull: 1, full: 2 } as const;
