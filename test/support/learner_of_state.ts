/** Options of a learner of three acceptors whose values make a state, as a replica's does. */
import type { LearnerOptions } from "../../src/protocol/learner/learner.ts";

export const LEARNER_OF_STATE: LearnerOptions = {
  acceptors: 3,
  windowInstances: 64,
  windowBytes: 1 << 20,
  catchUp: true,
  waitsForStart: false,
  keepsState: true,
  statesTellHighest: true,
  beginning: 128,
  canTrim: false,
  hasApplications: false,
  trimEvery: 100,
  trimBytes: 1 << 20,
};
