/**
 * Which of the planted bugs (`src/sim/bugs.ts`) random walks have to find, and how soon.
 */
import { BUGS, type Bug } from "../../src/sim/bugs.ts";

/** A bug, and within how many seeds a walk finds it; 0: not asked of this wire. */
export interface WalkBug {
  readonly bug: Bug;
  readonly native: number;
  readonly kernelPaxos: number;
  /** In walks in which those whom it is about restart all the time. */
  readonly restless?: boolean;
  /** In walks in which now and then a proposer reaches one acceptor only, until that one has forgotten it. */
  readonly holds?: boolean;
}

/** Two proposers of the Kernel_Paxos wire seldom compete, so what takes three ballots at one instance is rare there. */
export const WALK_BUGS: readonly WalkBug[] = [
  { bug: BUGS.forgottenPromise, native: 60, kernelPaxos: 100 },
  { bug: BUGS.messagesAsQuorum, native: 40, kernelPaxos: 40 },
  { bug: BUGS.mixedBallots, native: 60, kernelPaxos: 60 },
  { bug: BUGS.forgottenProposals, native: 40, kernelPaxos: 120 },
  { bug: BUGS.promisesAsQuorum, native: 200, kernelPaxos: 0 },
  { bug: BUGS.reusedBallot, native: 60, kernelPaxos: 100, restless: true },
  { bug: BUGS.votesAtOnce, native: 60, kernelPaxos: 60 },
  { bug: BUGS.bornByQuorum, native: 20, kernelPaxos: 0, restless: true },
  { bug: BUGS.anyoneBegins, native: 60, kernelPaxos: 0, restless: true },
  { bug: BUGS.hearsayAsVotes, native: 60, kernelPaxos: 0 },
  { bug: BUGS.oldPromise, native: 240, kernelPaxos: 0, holds: true },
  { bug: BUGS.tooFewRecovered, native: 120, kernelPaxos: 0 },
  { bug: BUGS.earlyAnswers, native: 120, kernelPaxos: 0 },
];
