/**
 * Every bug that is planted, once: what it is called and what it changes. Where each has to be found is said by those who look
 * for it: simulated clusters (`plants.ts`) and random walks over the cores alone, which meet other things.
 */
import type { Merge } from "../delivery/merge.ts";
import type { Snapshots } from "../delivery/snapshots.ts";
import type { Roles } from "../node/roles.ts";
import type { SessionFilter, ValueConsumer } from "../protocol/learner/session_filter.ts";
import { NO_BALLOT } from "../protocol/types.ts";
import type { Storage } from "../storage/storage.ts";
import type { PromiseHeads } from "../wire/promise_heads.ts";
import {
  AnswersTooEarly,
  AnyoneBegins,
  BornByQuorum,
  GoesOnOutlived,
  RecoversFromTooFew,
  TrustsTheForgetful,
  VotesHearsay,
  VotesInAnyGeneration,
  votesAtOnce,
} from "./amnesiac_roles.ts";
import { believesAtOnce, deliversTwice, forgetsSessions, keepsSessions } from "./forgetful_sessions.ts";
import { HastyMerge } from "./hasty_merge.ts";
import { LateStorage } from "./late_storage.ts";
import { reportsAlone } from "./lone_holder.ts";
import {
  Adopts,
  CountsMessages,
  CountsPromises,
  CountsRecords,
  Forgetful,
  MissesHeads,
  MixesBallots,
  OverlooksRecords,
  OverlooksRequests,
  TakesProposalsForVotes,
  TrimsAll,
  VotesWithoutBallots,
} from "./wrong_roles.ts";

export interface Bug {
  readonly name: string;
  readonly summary: string;
  /** Between the wire and the cores; `heads`: of promises, where a wire has them. */
  readonly receiver?: (roles: Roles, heads?: PromiseHeads) => Roles;
  /** Between an acceptor and its storage. */
  readonly storage?: (storage: Storage) => Storage;
  /** At the sessions of a learner, before they begin. */
  readonly sessions?: (filter: SessionFilter) => void;
  /** At the snapshots of a learner, before they begin. */
  readonly snapshots?: (snapshots: Snapshots) => void;
  /** Instead of the merge of a learner of all groups. */
  readonly merge?: (groups: number, host: ValueConsumer) => Merge;
  /** How a store is read, whatever is asked for. */
  readonly reads?: "local";
  /** A proposer has one life for ever, and keeps no ballot. */
  readonly keepsLife?: true;
  /** It is about what an acceptor without a memory does: any number of them may lose it. */
  readonly forgets?: true;
}

export const BUGS = {
  lateStorage: {
    name: "reply-before-persist",
    summary: "an acceptor's commit is kept with the next one only, when its answer has long left",
    storage: (storage) => new LateStorage(storage),
  },
  forgottenPromise: {
    name: "forgotten-promise",
    summary: "an acceptor accepts below what it has promised",
    receiver: (roles) => new Forgetful(roles.cores),
  },
  messagesAsQuorum: {
    name: "messages-as-quorum",
    summary: "a learner counts messages, not acceptors",
    receiver: (roles) => new CountsMessages(roles.cores),
  },
  mixedBallots: {
    name: "mixed-ballots",
    summary: "a learner counts votes of different ballots",
    receiver: (roles) => new MixesBallots(roles.cores),
  },
  recordsAlone: {
    name: "records-alone",
    summary: "of those that know of a choice a learner counts only who has a record of it",
    receiver: (roles) => new CountsRecords(roles.cores),
  },
  proposalsAsVotes: {
    name: "proposals-as-votes",
    summary:
      "a learner counts each accept as a vote of the leader's own acceptor, said to have accepted or not",
    receiver: (roles) => new TakesProposalsForVotes(roles.cores),
  },
  forgottenProposals: {
    name: "forgotten-proposals",
    summary: "a new leader proposes its own values where others may be chosen",
    receiver: (roles) => new Adopts(roles.cores, () => NO_BALLOT),
  },
  promisesAsQuorum: {
    name: "promises-as-quorum",
    summary: "a proposer counts promises, not acceptors",
    receiver: (roles) => new CountsPromises(roles.cores),
  },
  missedHeads: {
    name: "missed-heads",
    summary: "who has not heard the first frame of a promise takes the second one for all of it",
    receiver: (roles, heads) => new MissesHeads(roles.cores, heads),
  },
  overlooksRecords: {
    name: "records-overlooked",
    summary: "a leader does not hear that an acceptor has records above all that it knows of",
    receiver: (roles) => new OverlooksRecords(roles.cores),
  },
  overlooksRequests: {
    name: "requests-overlooked",
    summary: "a leader does not hear that a former one waits for what is chosen in its instances",
    receiver: (roles) => new OverlooksRequests(roles.cores),
  },
  reusedBallot: {
    name: "reused-ballot",
    summary: "a restarted proposer goes on as its former self, at the same ballot",
    keepsLife: true,
    receiver: (roles) => new VotesWithoutBallots(roles.cores),
  },
  votesAtOnce: {
    name: "votes-at-once",
    summary: "an acceptor that starts empty votes at once",
    forgets: true,
    receiver: votesAtOnce,
  },
  goesOnOutlived: {
    name: "goes-on-outlived",
    summary: "an acceptor goes on with its state, at a generation above, when another has voted in its place",
    receiver: (roles) => new GoesOnOutlived(roles.cores),
  },
  anyGeneration: {
    name: "any-generation",
    summary: "an acceptor votes for a leader that counts another generation of it",
    receiver: (roles) => new VotesInAnyGeneration(roles.cores),
  },
  bornByQuorum: {
    name: "born-by-quorum",
    summary: "an acceptor begins the cluster when a mere majority has never voted",
    receiver: (roles) => new BornByQuorum(roles.cores),
  },
  anyoneBegins: {
    name: "anyone-begins",
    summary: "any acceptor begins the cluster, not acceptor 0 alone, when all others have never voted",
    receiver: (roles) => new AnyoneBegins(roles.cores),
  },
  hearsayAsVotes: {
    name: "hearsay-as-votes",
    summary: "an acceptor takes what others told it while it recovered for its own votes",
    receiver: (roles) => new VotesHearsay(roles.cores),
  },
  oldPromise: {
    name: "old-promise",
    summary: "a proposer counts what an acceptor promised before it forgot everything",
    receiver: (roles) => new TrustsTheForgetful(roles.cores),
  },
  tooFewRecovered: {
    name: "recovery-from-too-few",
    summary: "an acceptor recovers from fewer others than half of all",
    receiver: (roles) => new RecoversFromTooFew(roles.cores),
  },
  earlyAnswers: {
    name: "early-answers",
    summary: "an acceptor promises and accepts while it recovers",
    receiver: (roles) => new AnswersTooEarly(roles.cores),
  },
  deliversTwice: {
    name: "dedupe-off",
    summary: "a learner delivers a value again when it is in the log twice",
    sessions: deliversTwice,
  },
  forgetsSessions: {
    name: "snapshot-without-sessions",
    summary: "a snapshot leaves out what was delivered of whom",
    sessions: forgetsSessions,
  },
  keepsSessions: {
    name: "sessions-kept",
    summary: "where all sessions begin anew, those who knew them go on with them",
    sessions: keepsSessions,
  },
  believesAtOnce: {
    name: "delivers-unknown",
    summary: "who does not know the sessions delivers all the same, before they begin anew",
    sessions: believesAtOnce,
  },
  trimsAll: {
    name: "trim-above-rule",
    summary: "an acceptor trims what learners have not reported",
    receiver: (roles) => new TrimsAll(roles.cores),
  },
  reportsAlone: {
    name: "lone-holder",
    summary: "who alone has a state, in memory, has the log trimmed",
    snapshots: reportsAlone,
  },
  mergesAsItComes: {
    name: "hasty-merge",
    summary: "a learner of all groups goes past one that is silent",
    merge: (groups, host) => new HastyMerge(groups, host),
  },
  staleReads: {
    name: "stale-reads",
    summary: "a replica of the store answers reads from what it has, without asking anybody",
    reads: "local",
  },
} as const satisfies Record<string, Bug>;
