/**
 * Bugs to be found by simulated clusters (`bugs.ts` has what they change). A simulator that does not find them has proved
 * nothing by finding nothing.
 */
import { BUGS, type Bug } from "./bugs.ts";

export interface Plant extends Bug {
  /** Where it is found … */
  readonly scenario: string;
  /** … within so many seeds … */
  readonly seeds: number;
  /** … from this one on; unless set, from 1. */
  readonly from?: number;
  /** As what; unless set, as a violation of a safety property. */
  readonly property?: "liveness";
}

export const PLANTS: readonly Plant[] = [
  { ...BUGS.lateStorage, scenario: "crashes", seeds: 5 },
  { ...BUGS.forgottenPromise, scenario: "failover", seeds: 20 },
  { ...BUGS.messagesAsQuorum, scenario: "lossy", seeds: 5 },
  { ...BUGS.mixedBallots, scenario: "quarrels", seeds: 100 },
  { ...BUGS.recordsAlone, scenario: "quarrels", seeds: 60, property: "liveness" },
  { ...BUGS.proposalsAsVotes, scenario: "kv-replicas", seeds: 10 },
  { ...BUGS.forgottenProposals, scenario: "failover", seeds: 20 },
  { ...BUGS.overlooksRecords, scenario: "deposed", seeds: 20, property: "liveness" },
  { ...BUGS.overlooksRequests, scenario: "deposed", seeds: 20, property: "liveness" },
  { ...BUGS.missedHeads, scenario: "sessions", seeds: 150, from: 200 },
  { ...BUGS.reusedBallot, scenario: "quarrels", seeds: 100 },
  { ...BUGS.votesAtOnce, scenario: "memory", seeds: 20 },
  { ...BUGS.goesOnOutlived, scenario: "twins", seeds: 20 },
  { ...BUGS.goesOnOutlived, scenario: "mounts", seeds: 20 },
  { ...BUGS.anyGeneration, scenario: "twins", seeds: 20 },
  { ...BUGS.deliversTwice, scenario: "sessions", seeds: 20 },
  { ...BUGS.forgetsSessions, scenario: "trim", seeds: 20 },
  { ...BUGS.keepsSessions, scenario: "bereft", seeds: 40 },
  { ...BUGS.believesAtOnce, scenario: "bereft", seeds: 20 },
  { ...BUGS.trimsAll, scenario: "trim", seeds: 20 },
  { ...BUGS.reportsAlone, scenario: "holders", seeds: 10 },
  { ...BUGS.mergesAsItComes, scenario: "groups", seeds: 5 },
  { ...BUGS.staleReads, scenario: "kv", seeds: 5 },
];

export function findPlant(name: string): Plant | undefined {
  return PLANTS.find((one) => one.name === name);
}
