/**
 * `kpaxos cluster up|down`: from nothing to a running cluster, and back.
 */
import { formatDiagnostic } from "../config/report.ts";
import { down, up } from "../ops/cluster.ts";
import { choosePlace, describePlace } from "../ops/cluster_place.ts";
import type { Topology } from "../ops/cluster_plan.ts";
import { configPath, speakable } from "../ops/cluster_roles.ts";
import { type ClusterState, nameOf } from "../ops/cluster_state.ts";
import { standardError } from "../streams.ts";
import { usageError } from "./args.ts";
import { clientLine, clusterArgs, clusterLine, directoryOf } from "./cluster_common.ts";
import { statusOf } from "./cluster_status.ts";
import { type ArgsDef, defineKpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { settingArgs, settingFlags } from "./settings.ts";
import { stoppable } from "./stoppable.ts";

const MAX_ROLES = 250;
const DEFAULTS = { acceptors: 3, proposers: 1, learners: 1 } as const;

const topologyArgs = {
  acceptors: {
    type: "integer",
    alias: "a",
    min: 1,
    max: MAX_ROLES,
    description: `acceptors (unless given: ${DEFAULTS.acceptors})`,
  },
  proposers: {
    type: "integer",
    alias: "p",
    min: 1,
    max: MAX_ROLES,
    description: `proposers (unless given: ${DEFAULTS.proposers})`,
  },
  learners: {
    type: "integer",
    alias: "l",
    min: 0,
    max: MAX_ROLES,
    description: `learners (unless given: ${DEFAULTS.learners})`,
  },
  replicas: {
    type: "integer",
    alias: "r",
    min: 1,
    max: MAX_ROLES,
    description: "replicas instead: acceptor, proposer and learner in one process",
  },
} as const satisfies ArgsDef;

const upArgs = {
  ...clusterArgs,
  ...topologyArgs,
  link: {
    type: "enum",
    options: ["ethernet", "udp"],
    description:
      "raw Ethernet or nothing, or UDP on 127.0.0.1 (unless given: Ethernet where it is possible, else UDP)",
  },
  "trim-learner": {
    type: "integer",
    min: 0,
    max: MAX_ROLES,
    valueHint: "ID",
    description: "only this learner (or replica) has the log trimmed (kernel-paxos wire: 0 unless given)",
  },
  replace: { type: "boolean", description: "end a cluster of this name that runs" },
  json: { type: "boolean", description: "print what `status --json` prints" },
  ...settingArgs,
} as const satisfies ArgsDef;

interface Counts {
  readonly acceptors: number | undefined;
  readonly proposers: number | undefined;
  readonly learners: number | undefined;
  readonly replicas: number | undefined;
}

function topologyOf({ acceptors, proposers, learners, replicas }: Counts): Topology {
  if (replicas === undefined) {
    return {
      acceptors: acceptors ?? DEFAULTS.acceptors,
      proposers: proposers ?? DEFAULTS.proposers,
      learners: learners ?? DEFAULTS.learners,
    };
  }
  if (acceptors === undefined && proposers === undefined && learners === undefined) return { replicas };
  throw usageError(
    "--replicas excludes --acceptors, --proposers and --learners",
    "a replica is all three at once; add learners later with kpaxos cluster add learner",
  );
}

/** One line: what runs where, and why there. */
function headline(state: ClusterState): string {
  const what = `${state.seats.length} roles, ${describePlace(state, state.hosts)}`;
  return `cluster ${state.name}: ${what} (${state.reason})`;
}

export const upCommand = defineKpaxosCommand({
  meta: {
    name: "up",
    description: "start a cluster and wait until it is ready",
    examples: [
      { command: "kpaxos cluster up", what: "3 acceptors, a proposer, a learner" },
      { command: "kpaxos cluster up --name three --replicas 3", what: "three replicas, beside it" },
      { command: "kpaxos cluster up --learners 3 --trim-learner 0", what: "only learner 0 trims" },
      { command: "kpaxos cluster up --replace --wire kernel-paxos", what: "the other wire, anew" },
      { command: "kpaxos cluster up --link udp --proposer-timeout 200ms", what: "UDP, another setting" },
      {
        command: "kpaxos cluster up --replicas 3 --groups 2",
        what: "two groups; roles are replica/0@0, replica/0@1, …",
      },
    ],
    notes: [
      "A start that fails is undone completely, with the reason. A cluster of this name that runs is replaced only " +
        "with --replace; what a crash left of one is removed without asking.",
      "Every setting of paxos.conf is a flag here and ends up in the cluster's own file, for all roles. The host for " +
        "clients has no role: kpaxos cluster exec client -- COMMAND runs a command there.",
      "With --storage-backend sqlite or log and no --storage-path the acceptors' files lie in the cluster's directory, " +
        "and kpaxos cluster down removes them with it.",
      "In place of the manuals' scripts: prop_acc.sh and learn.sh N T are `cluster up --learners N --trim-learner T`, " +
        "replica.sh N T is `cluster up --replicas N --trim-learner T`, run.sh is any `cluster up`.",
    ],
  },
  args: upArgs,
  run: async ({ args }) => {
    const topology = topologyOf(args);
    const directory = directoryOf(args);
    const flags = settingFlags(args);
    const choice = choosePlace(args.link as "ethernet" | "udp" | undefined);
    const state = await stoppable((stop) =>
      up({
        name: args.name,
        directory,
        choice,
        topology,
        flags,
        trimLearner: args["trim-learner"],
        replace: args.replace === true,
        stop,
        onWarning: (warning) => standardError().write(`${formatDiagnostic(warning)}\n`),
        onRemoved: (what) => standardError().write(`removed ${what}\n`),
      }),
    );
    if (args.json === true) {
      printJson(await statusOf(state));
      return;
    }
    print(headline(state));
    for (const seat of state.seats) {
      print(`  ${nameOf(seat).padEnd(14)} ready  pid ${String(seat.process?.pid).padEnd(8)} ${seat.address}`);
    }
    if (state.trimLearner !== undefined) print(`  only ${trimmer(state)} has the log trimmed`);
    print(`configuration: ${configPath(state)}`);
    print("next:");
    print(`  ${clientLine(state, ["--seconds", "5"])}`);
    print(`  ${clusterLine(state, "status")}`);
    print(`  ${clusterLine(state, "down")}`);
  },
});

function trimmer(state: ClusterState): string {
  const seat = state.seats.find(
    ({ role, id }) => (role === "learner" || role === "replica") && id === state.trimLearner,
  );
  return seat === undefined ? `learner ${state.trimLearner}` : speakable(seat);
}

export const downCommand = defineKpaxosCommand({
  meta: {
    name: "down",
    description: "end a cluster and remove everything of it",
    examples: [{ command: "kpaxos cluster down", what: "also after a crash; again does no harm" }],
    notes: [
      "Roles are asked to end, and killed after 3 seconds. Commands that still run in the cluster's namespaces are " +
        "killed. Logs and configuration go with it.",
    ],
  },
  args: { ...clusterArgs, json: { type: "boolean", description: "print the result as JSON" } },
  run: async ({ args }) => {
    const directory = directoryOf(args);
    const done = await down(directory);
    const killed = done?.killed.map(nameOf) ?? [];
    if (args.json === true) printJson({ name: args.name, directory, existed: done !== undefined, killed });
    else if (done === undefined) print(`there is no cluster ${args.name}: nothing to do (${directory})`);
    else {
      if (killed.length > 0) print(`did not end in time and had to be killed: ${killed.join(", ")}`);
      print(`cluster ${done.state.name} is down, nothing of it is left`);
    }
  },
});
