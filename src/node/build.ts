/**
 * Makes the cores of a process from its configuration.
 */

import { Acceptor } from "../protocol/acceptor/acceptor.ts";
import { TrimRule } from "../protocol/acceptor/trim_rule.ts";
import { KERNEL_PAXOS_BALLOTS, NATIVE_BALLOTS } from "../protocol/ballot.ts";
import { type Application, Learner, NO_APPLICATION } from "../protocol/learner/learner.ts";
import { SessionFilter, type ValueConsumer } from "../protocol/learner/session_filter.ts";
import { SessionTable } from "../protocol/learner/session_table.ts";
import { Admission } from "../protocol/proposer/admission.ts";
import { Proposer } from "../protocol/proposer/proposer.ts";
import { Role } from "../protocol/types.ts";
import { restoreAcceptor } from "./acceptor_storage.ts";
import { AcceptorWatch } from "./acceptor_watch.ts";
import type { CoreContext } from "./context.ts";
import type { Extra } from "./roles.ts";
import { RoundFile } from "./round_file.ts";

/** In the Kernel_Paxos wire a log whose first instance heard is within the first window has just begun. */
const BEGINNING = 128;
/** Where a second process can take an acceptor's place, one that starts empty listens for the first one that long. */
const LISTEN_US = 250_000;
/** A proposer's own learner keeps no more than what is in flight. */
const PROPOSER_LEARNER_BYTES = 16 << 20;

/** `fresh`: it votes at once, also where it may have forgotten what it promised. */
export function buildAcceptor(context: CoreContext, fresh = false): { acceptor: Acceptor; watch: Extra } {
  const { config, id, native, log } = context;
  const { settings } = config;
  const outbox = context.outbox(Role.acceptor);
  const trimRule = native
    ? new TrimRule(settings.learnerTimeoutMs, settings.trimRule, config.learners.length > 0)
    : null;
  const acceptor = new Acceptor(
    {
      aid: id,
      acceptors: config.acceptors.length,
      life: context.life,
      fresh,
      durable: !context.storage.forgets,
      listenUs: config.link === "ethernet" ? LISTEN_US : 0,
      random: context.random,
      perInstance: !native,
      leaderTimeoutMs: settings.leaderTimeoutMs,
      maxLeaseMs: settings.leaseMs,
      instances: settings.acceptorWindowInstances,
      bytes: settings.acceptorWindowBytes,
      trimRule,
      isMember: (peer) => context.peers.pinned[peer] === 1,
    },
    context.storage,
    outbox,
  );
  outbox.setAudience(acceptor.audience);
  restoreAcceptor(acceptor, context.storage, settings, log, outbox.maxValue);
  return { acceptor, watch: new AcceptorWatch(context, acceptor, trimRule) };
}

export interface LearnerPlan {
  /** Whose outbox it speaks through: a client's or proposer's own learner speaks as that. */
  readonly role: Role;
  readonly catchUp: boolean;
  readonly canTrim: boolean;
  /** It belongs to a proposer, which tells it where to start. */
  readonly ofProposer?: boolean;
  /** What it delivers makes a state, which is begun at instance 1 or with a snapshot (`delivery/snapshots.ts`). */
  readonly keepsState?: boolean;
  /** Of its snapshots. */
  readonly kind?: number;
}

export function buildLearner(
  context: CoreContext,
  plan: LearnerPlan,
  outbox: ReturnType<CoreContext["outbox"]>,
  application: Application,
): Learner {
  const { config, native } = context;
  const { settings } = config;
  const keepsState = plan.keepsState === true;
  return new Learner(
    {
      acceptors: config.acceptors.length,
      windowInstances: settings.learnerWindowInstances,
      windowBytes: plan.ofProposer === true ? PROPOSER_LEARNER_BYTES : settings.learnerWindowBytes,
      catchUp: plan.catchUp && !keepsState,
      statesTellHighest: native,
      waitsForStart: plan.ofProposer === true || keepsState,
      keepsState,
      beginning: BEGINNING,
      // In the native wire nobody has trimmed what he could not serve a snapshot of.
      canTrim: plan.canTrim && (keepsState || !native),
      hasApplications: plan.role === Role.learner,
      kind: plan.kind,
      trimEvery: Math.min(settings.trimEvery, Math.ceil(settings.acceptorWindowInstances / 8)),
      trimBytes: settings.acceptorWindowBytes / 8,
    },
    outbox,
    application,
  );
}

/** What stands between a learner of the native wire and whoever wants its values; null: only the sessions are wanted. */
export function buildFilter(context: CoreContext, consumer: ValueConsumer | null): SessionFilter {
  const { sessionLimit, maxValueBytes } = context.config.settings;
  return new SessionFilter(new SessionTable({ sessions: sessionLimit, maxValueBytes }), consumer);
}

/** A learner core that a proposer can share: in the native wire with its filter, which tells it what is delivered. */
export interface SharedLearner {
  readonly learner: Learner;
  readonly filter: SessionFilter | undefined;
}

/** A proposer with a learner of its own, unless it shares one: that is how it knows what is chosen. */
export function buildProposer(
  context: CoreContext,
  shared: SharedLearner | undefined,
): { proposer: Proposer; learner: Learner } {
  const { config, id, life, native, log } = context;
  const { settings } = config;
  const outbox = context.outbox(Role.proposer);
  const filter = native ? (shared?.filter ?? buildFilter(context, null)) : undefined;
  const own =
    shared?.learner ??
    buildLearner(
      context,
      { role: Role.proposer, catchUp: !native, canTrim: false, ofProposer: true },
      outbox,
      filter ?? NO_APPLICATION,
    );
  const round =
    native || settings.stateDirectory === ""
      ? undefined
      : new RoundFile(settings.stateDirectory, settings.cluster, id);
  if (!native && round === undefined) {
    log.warn(
      "the Kernel_Paxos wire cannot tell this proposer from its former self: set `state-directory`, so that it keeps its ballot over a restart",
    );
  }
  const proposers = config.proposers.length;
  const proposer = new Proposer(
    {
      id,
      // Leaders of different groups are different processes' work, and best different hosts'.
      rank: (id + proposers - (config.group % proposers)) % proposers,
      proposers,
      acceptors: config.acceptors.length,
      life: native ? life : 0,
      scheme: native ? NATIVE_BALLOTS : KERNEL_PAXOS_BALLOTS,
      perInstance: !native,
      preexecWindow: settings.proposerPreexecWindow,
      queueBytes: settings.proposerQueueBytes,
      window: context.proposerWindow,
      timeoutMs: settings.proposerTimeoutMs,
      leaderTimeoutMs: settings.leaderTimeoutMs,
      leaseMs: settings.leaseMs,
      mayJump: shared === undefined,
      batching: native && settings.batching,
      queueDelayMs: native ? settings.queueDelayMs : 0,
      isMerged: settings.merge,
      usedBallot: round?.read() ?? 0,
      keepBallot: (ballot) => round?.write(ballot),
      random: context.random,
    },
    outbox,
    own,
    filter === undefined ? null : new Admission(filter, outbox),
  );
  return { proposer, learner: own };
}
