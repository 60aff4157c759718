/**
 * Who does not come back when all is healed: in half of all runs, and of each group's acceptors (or replicas) so many as the others
 * can do without. What those alone could tell that are gone is not told any more.
 */
import { quorumOf } from "../protocol/quorum.ts";
import type { Random } from "./random.ts";
import type { Station } from "./station.ts";

/** What of a station decides about it. */
export type Mortal = Pick<Station, "hasAcceptor" | "hasForgotten"> & {
  readonly host?: { readonly cores: { readonly acceptor?: { readonly isVoting: boolean } } } | undefined;
  readonly disk: { readonly isEmpty: boolean } | undefined;
};

/** Drawn from a group's stations; often none. */
export function drawLeftDead<One extends Mortal>(stations: readonly One[], random: Random): One[] {
  const acceptors = stations.filter(({ hasAcceptor }) => hasAcceptor);
  // Who has forgotten recovers from the others, and a quorum of those that vote is enough for it. Before all were born nobody may be missing.
  const voting = acceptors.filter(remembers);
  const most = voting.length - quorumOf(acceptors.length);
  if (most < 1 || random.happens(1 / 2)) return [];
  return random.shuffled(voting).slice(0, random.between(1, most));
}

/** It votes, or will as soon as it runs. */
function remembers({ host, disk, hasForgotten }: Mortal): boolean {
  const acceptor = host?.cores.acceptor;
  if (acceptor !== undefined) return acceptor.isVoting;
  return disk !== undefined && !disk.isEmpty && !hasForgotten;
}
