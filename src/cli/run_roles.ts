/**
 * `kpaxos run acceptor|proposer|learner|replica`: the roles of a cluster.
 */
import type { Config } from "../config/config.ts";
import { configsOfGroups } from "../config/groups.ts";
import { buildLearning, type Learning, type LearningPlan } from "../delivery/learning.ts";
import { CliError, ExitCode } from "../error.ts";
import { buildAcceptor, buildFilter, buildProposer } from "../node/build.ts";
import type { Built, Context } from "../node/context.ts";
import { StageLog } from "../node/stage_log.ts";
import type { SessionFilter } from "../protocol/learner/session_filter.ts";
import { Role } from "../protocol/types.ts";
import { type ArgValues, defineKpaxosCommand } from "./command.ts";
import { memberOf, placeIn, roleArgs, runProcess, start, startAll } from "./run_common.ts";
import { buildHost, deliveryArgs, hostLearner, mergedLearner } from "./run_host.ts";

const idArg = (role: string) =>
  ({
    type: "integer",
    alias: "d",
    min: 0,
    max: 65534,
    default: 0,
    description: `which ${role} of paxos.conf this is`,
  }) as const;

const freshArg = {
  type: "boolean",
  description:
    "vote at once instead of asking the others first: only where none of them has ever voted, or all is lost anyway; if this acceptor voted before, what it promised is forgotten, and two values may be chosen",
} as const;

export const acceptorCommand = defineKpaxosCommand({
  meta: {
    name: "acceptor",
    description: "promise and accept: the memory of the cluster",
    examples: [
      { command: "kpaxos run acceptor --id 0 -f paxos.conf", what: "acceptor 0 of this configuration" },
    ],
  },
  args: { id: idArg("acceptor"), fresh: freshArg, ...roleArgs },
  run: async ({ args }) => {
    const { config, log } = start(args, `acceptor ${args.id}`);
    const member = memberOf(config.acceptors, args.id, "acceptor", config);
    const role = Role.acceptor;
    return await runProcess({ config, log, id: args.id, member, listens: role, owns: role }, (context) => {
      const { acceptor, watch } = buildAcceptor(context, args.fresh);
      return {
        cores: { acceptor },
        extras: [watch],
        dozes: always,
        progress: () => null,
        farewell: () =>
          log.info(`last instance ${acceptor.log.highestIid}, trimmed to ${acceptor.log.trimIid}`),
      };
    });
  },
});

export const proposerCommand = defineKpaxosCommand({
  meta: {
    name: "proposer",
    description: "take client values and have them chosen",
    examples: [
      { command: "kpaxos run proposer --id 0 -f paxos.conf", what: "proposer 0 of this configuration" },
    ],
  },
  args: { id: idArg("proposer"), ...roleArgs },
  run: async ({ args }) => {
    const { config, log } = start(args, `proposer ${args.id}`);
    const member = memberOf(config.proposers, args.id, "proposer", config);
    const options = {
      config,
      log,
      id: args.id,
      member,
      listens: Role.proposer | Role.learner,
      owns: Role.proposer,
    };
    return await runProcess(options, (context) => {
      const filter = context.native ? buildFilter(context, null) : undefined;
      const own = filter === undefined ? undefined : proposersLearning(context, filter);
      const { proposer, learner } = buildProposer(context, own && { learner: own.learner, filter });
      return {
        cores: { proposer, learner },
        extras: [...(own === undefined ? [] : [own.snapshots]), new StageLog(context, proposer)],
        dozes: always,
        progress: () => proposer.progress(),
        farewell: () => learner.close(),
      };
    });
  },
});

const always = (): boolean => true;

const learnerArgs = { id: idArg("learner"), ...deliveryArgs, ...roleArgs } as const;

export const learnerCommand = defineKpaxosCommand({
  meta: {
    name: "learner",
    description: "deliver what is chosen, in order, to the applications of this host",
    examples: [
      { command: "kpaxos run learner --id 0 -f paxos.conf", what: "deliver to this host's applications" },
      { command: "kpaxos run learner --print --catch-up", what: "print every value from instance 1 on" },
      { command: "kpaxos run learner --groups 4 --merge --print", what: "all groups in one order" },
    ],
    notes: [
      "With groups and no --group it is of all groups: with `merge yes` in one order, the same at every such learner, else " +
        "each with a device of its own, and the group before each line that is printed.",
    ],
  },
  args: learnerArgs,
  run: async ({ args }) => {
    const { config, log } = startAll(args, `learner ${args.id}`);
    const groups = configsOfGroups(config);
    const isMerged = groups.length > 1 && config.settings.merge;
    refuseSharedDevice(args, groups.length > 1 && !isMerged);
    const build = isMerged
      ? mergedLearner(config, log, args)
      : (context: Context) => ownLearner(context, args);
    const member = (group: Config) => group.learners.find((one) => one.id === args.id);
    const [first, ...others] = groups.map((group) => placeIn(group, `learner ${args.id}`, member(group)));
    const role = Role.learner;
    const options = { ...first!, others, wholeLog: log, id: args.id, listens: role, owns: role };
    return await runProcess(options, build);
  },
});

/** The learner of one group. */
function ownLearner(context: Context, args: ArgValues<typeof learnerArgs>): Built {
  const host = buildHost(context, args);
  const { learnerCatchUp } = context.config.settings;
  const { learner, extras } = hostLearner(context, args, host, "learner", learnerCatchUp);
  return {
    cores: { learner },
    extras,
    dozes: () => !host.isUsed,
    progress: () => (learner.isBehind ? learner.counters.delivered : null),
    hears: () => learner.hearsQuorum,
    farewell: () => learner.close(),
    close: host.close,
  };
}

function refuseSharedDevice(args: ArgValues<typeof learnerArgs>, areSeveral: boolean): void {
  if (!areSeveral || (args.device !== true && args["device-path"] === undefined)) return;
  throw new CliError("a device for programs of Kernel_Paxos is one group's", {
    exitCode: ExitCode.usage,
    hint: "name the group (--group), or have all groups merged (merge yes)",
  });
}

export const replicaCommand = defineKpaxosCommand({
  meta: {
    name: "replica",
    description: "acceptor, proposer and learner in one process",
    examples: [
      { command: "kpaxos run replica --id 0 -f paxos.conf", what: "replica 0 of this configuration" },
    ],
    notes: ["A replica always learns the log from its beginning (or from where it was trimmed)."],
  },
  args: { id: idArg("replica"), fresh: freshArg, ...deliveryArgs, ...roleArgs },
  run: async ({ args }) => {
    const { config, log } = start(args, `replica ${args.id}`);
    const member = memberOf(config.replicas, args.id, "replica", config);
    const roles = Role.acceptor | Role.proposer | Role.learner;
    return await runProcess({ config, log, id: args.id, member, listens: roles, owns: roles }, (context) => {
      const { acceptor, watch } = buildAcceptor(context, args.fresh);
      const host = buildHost(context, args);
      const { learner, filter, extras } = hostLearner(context, args, host, "replica", true);
      const { proposer } = buildProposer(context, { learner, filter });
      return {
        cores: { acceptor, proposer, learner },
        extras: [watch, ...extras, new StageLog(context, proposer)],
        dozes: () => !host.isUsed,
        progress: () => proposer.progress(),
        farewell: () => learner.close(),
        close: host.close,
      };
    });
  },
});

/** A proposer's own learner: what is chosen, and the sessions. Nobody else needs its values. */
function proposersLearning(context: Context, filter: SessionFilter): Learning {
  const plan: LearningPlan = {
    role: Role.proposer,
    canTrim: true,
    ofProposer: true,
    name: `proposer-${context.id}`,
    start: "near",
    state: filter,
    onGap: () => undefined,
  };
  return buildLearning(context, plan, context.outbox(Role.proposer));
}
