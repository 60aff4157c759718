/**
 * Makes a learner of the native wire with the state that its log makes and the snapshots of it.
 */
import type { Config } from "../config/config.ts";
import { hasMulticast } from "../config/multicast.ts";
import { IN_MEMORY } from "../config/schema.ts";
import { buildLearner, type LearnerPlan } from "../node/build.ts";
import type { CoreContext } from "../node/context.ts";
import { clusterIdOf } from "../node/identity.ts";
import type { Learner } from "../protocol/learner/learner.ts";
import type { SnapshotStart } from "./beginning.ts";
import { SnapshotFile, type SnapshotPlace } from "./snapshot_file.ts";
import { type LogState, type SnapshotMachine, Snapshots } from "./snapshots.ts";

/** A snapshot is taken as often as this share of an acceptor's window is delivered. */
const WINDOW_SHARE = 8;

export interface LearningPlan extends Omit<LearnerPlan, "catchUp" | "keepsState" | "kind"> {
  /** The process is an acceptor, too. */
  readonly votes?: boolean;
  /** Of the process in its cluster: names its file. */
  readonly name: string;
  readonly start: SnapshotStart;
  /** Told to (`Snapshots`): where there is nothing to go on with, it begins with an empty state. */
  readonly beginsEmpty?: boolean | undefined;
  /** For people: how it is told so; undefined: it was, or may not be. */
  readonly beginEmptyBy?: string | undefined;
  /** What the log makes. */
  readonly state: LogState;
  /** Instead of the file that the settings name. */
  readonly place?: SnapshotPlace | undefined;
  /** What is behind it, if that has a state of its own. */
  readonly machine?: SnapshotMachine;
  /** Told of what a snapshot has left out, where there is no machine that it was put into. */
  readonly onGap: (first: number, last: number) => void;
}

export interface Learning {
  readonly learner: Learner;
  /** An `Extra` of the process. */
  readonly snapshots: Snapshots;
}

export function buildLearning(
  context: CoreContext,
  plan: LearningPlan,
  outbox: ReturnType<CoreContext["outbox"]>,
): Learning {
  const { config, log } = context;
  const { snapshotPath, snapshotEvery, trimEvery, acceptorWindowBytes, acceptorWindowInstances } =
    config.settings;
  const file =
    plan.place !== undefined || snapshotPath === IN_MEMORY
      ? plan.place
      : new SnapshotFile(snapshotPath, plan.name, (error) =>
          log.once("snapshot file", "error", `${error.message} (${error.hint})`),
        );
  const snapshots = new Snapshots(
    {
      clusterId: clusterIdOf(config),
      state: plan.state,
      machine: plan.machine,
      onGap: plan.onGap,
      start: plan.start,
      beginsEmpty: plan.machine !== undefined && plan.beginsEmpty === true,
      beginEmptyBy: plan.beginEmptyBy,
      learnerTimeoutMs: config.settings.learnerTimeoutMs,
      every: Math.min(snapshotEvery, trimEvery, Math.ceil(acceptorWindowInstances / WINDOW_SHARE)),
      everyBytes: acceptorWindowBytes / WINDOW_SHARE,
      file,
      isListed: !hasMulticast(config),
      needsSecond: file === undefined && needsSecond(config, plan),
      log,
    },
    outbox,
  );
  file?.claim?.();
  const { kind } = snapshots;
  const learner = buildLearner(
    context,
    { ...plan, catchUp: false, keepsState: true, kind },
    outbox,
    snapshots,
  );
  try {
    snapshots.attach(learner);
  } catch (error) {
    snapshots.release();
    throw error;
  }
  return { learner, snapshots };
}

/**
 * Whether what is in memory here alone must not be trimmed. It may be where the log dies with the process, and it may be of a
 * proposer: nobody has a state behind it, and where learners or replicas are expected its reports do not count.
 */
function needsSecond({ acceptors, settings }: Config, plan: LearningPlan): boolean {
  const isAll = plan.votes === true && acceptors.length === 1 && settings.storageBackend === "memory";
  return plan.canTrim && plan.ofProposer !== true && !isAll;
}
