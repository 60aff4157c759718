/**
 * `kpaxos run acceptor|proposer|learner|replica`: the roles of a cluster.
 */
import { BareApplication, HostConsumer, type ValueSink } from "../delivery/applications.ts";
import { DeliveryLog } from "../delivery/delivery_log.ts";
import { DeviceWriter } from "../delivery/device.ts";
import { deviceDirectories, makeDeviceDirectory } from "../delivery/device_directory.ts";
import { FifoDevice, fifoPath } from "../delivery/fifo_device.ts";
import { buildLearning, type Learning, type LearningPlan } from "../delivery/learning.ts";
import { LOG_RECORD_BYTES } from "../delivery/log_record.ts";
import { PrintSink } from "../delivery/print.ts";
import { LocalDelivery, type Readers } from "../delivery/readers.ts";
import { SocketServer, socketPath } from "../delivery/socket_server.ts";
import { buildAcceptor, buildFilter, buildLearner, buildProposer } from "../node/build.ts";
import type { Context } from "../node/process.ts";
import type { Extra } from "../node/roles.ts";
import { StageLog } from "../node/stage_log.ts";
import type { Application, Learner } from "../protocol/learner/learner.ts";
import type { SessionFilter } from "../protocol/learner/session_filter.ts";
import { Role } from "../protocol/types.ts";
import { type ArgsDef, defineKpaxosCommand } from "./command.ts";
import { canTrimArg, memberOf, roleArgs, runProcess, start } from "./run_common.ts";

const idArg = (role: string) =>
  ({
    type: "integer",
    alias: "d",
    min: 0,
    max: 65534,
    default: 0,
    description: `which ${role} of paxos.conf this is`,
  }) as const;

const deliveryArgs = {
  cantrim: canTrimArg,
  print: {
    type: "boolean",
    description: "print delivered values: iid, index, session, sequence, value in hex",
  },
  json: { type: "boolean", description: "with --print: one JSON object a value" },
  device: {
    type: "boolean",
    description:
      "serve programs of Kernel_Paxos too, at /dev/paxos/klearnerN; --no-device: serve no program of this host at all",
  },
  "device-path": {
    type: "string",
    valueHint: "PATH",
    description: "serve programs of Kernel_Paxos at another path",
  },
} as const satisfies ArgsDef;

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
        progress: () => proposer.progress(),
        farewell: () => learner.close(),
      };
    });
  },
});

export const learnerCommand = defineKpaxosCommand({
  meta: {
    name: "learner",
    description: "deliver what is chosen, in order, to the applications of this host",
    examples: [
      { command: "kpaxos run learner --id 0 -f paxos.conf", what: "deliver to this host's applications" },
      { command: "kpaxos run learner --print --catch-up", what: "print every value from instance 1 on" },
    ],
  },
  args: { id: idArg("learner"), ...deliveryArgs, ...roleArgs },
  run: async ({ args }) => {
    const { config, log } = start(args, `learner ${args.id}`);
    const member = config.learners.find((one) => one.id === args.id);
    const role = Role.learner;
    return await runProcess({ config, log, id: args.id, member, listens: role, owns: role }, (context) => {
      const host = buildHost(context, args);
      const { learner, extras } = hostLearner(context, args, host, "learner", config.settings.learnerCatchUp);
      return {
        cores: { learner },
        extras,
        progress: () => (learner.isBehind ? learner.counters.delivered : null),
        farewell: () => learner.close(),
        close: host.close,
      };
    });
  },
});

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
      const { learner, extras } = hostLearner(context, args, host, "replica", true);
      const { proposer } = buildProposer(context, { learner, filter: host.filter });
      return {
        cores: { acceptor, proposer, learner },
        extras: [watch, ...extras, new StageLog(context, proposer)],
        progress: () => proposer.progress(),
        farewell: () => learner.close(),
        close: host.close,
      };
    });
  },
});

interface Host {
  readonly consumer: HostConsumer;
  readonly application: Application;
  /** Native wire. */
  readonly filter: SessionFilter | undefined;
  readonly extras: readonly Extra[];
  close(): void;
}

interface HostArgs {
  readonly cantrim: boolean | undefined;
  readonly print: boolean | undefined;
  readonly json: boolean | undefined;
  readonly device: boolean | undefined;
  readonly "device-path": string | undefined;
}

/** The learner that delivers to the host's programs; in the native wire with its snapshots. */
function hostLearner(
  context: Context,
  args: HostArgs,
  host: Host,
  name: string,
  catchUp: boolean,
): { learner: Learner; extras: readonly Extra[] } {
  const outbox = context.outbox(Role.learner);
  const { application, filter } = host;
  if (filter === undefined) {
    const plan = { role: Role.learner, catchUp, canTrim: args.cantrim ?? false };
    return { learner: buildLearner(context, plan, outbox, application), extras: host.extras };
  }
  const plan: LearningPlan = {
    role: Role.learner,
    votes: name === "replica",
    canTrim: args.cantrim ?? true,
    name: `${name}-${context.id}`,
    start: catchUp ? "first" : "newest",
    state: filter,
    onGap: (first, last) => host.consumer.skipped(first, last),
  };
  const { learner, snapshots } = buildLearning(context, plan, outbox);
  return { learner, extras: [snapshots, ...host.extras] };
}

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

/** What a learner delivers to: the programs of this host, and standard output if asked for. */
function buildHost(context: Context, args: HostArgs): Host {
  const { config, log, id, native } = context;
  const local = args.device === false ? undefined : buildLocal(context, args);
  const sinks: ValueSink[] = [];
  const extras: Extra[] = local === undefined ? [] : [local];
  let print: PrintSink | undefined;
  if (args.print === true || args.json === true) {
    print = new PrintSink(args.json === true);
    sinks.push(print);
    extras.push(print);
  }
  const consumer = new HostConsumer(local, sinks, (first, last, applications) => {
    const text = `instances ${first} to ${last} were trimmed before learner ${id} got them`;
    // Without anybody to lose them, this is how a late learner begins.
    if (native && applications === 0) log.info(`${text}: programs of this host will read from there on`);
    else log.error(`${text}: they are not delivered here`);
  });
  log.debug(`cluster ${config.settings.cluster}`);
  const filter = native ? buildFilter(context, consumer) : undefined;
  return {
    consumer,
    application: filter ?? new BareApplication(consumer),
    filter,
    extras,
    close: () => {
      print?.flush();
      local?.close();
    },
  };
}

/** The rings, the socket and, if asked for, the Kernel_Paxos device of this learner. */
function buildLocal({ config, id, log, opened }: Context, args: HostArgs): LocalDelivery {
  const { deviceDirectory, cluster, deliveryLogBytes, wire } = config.settings;
  const maxValueBytes = wire === "native" ? config.settings.maxValueBytes : opened.wire.maxValue;
  const chosen = config.origins.deviceDirectory.from !== "default";
  const directory = makeDeviceDirectory(deviceDirectories(deviceDirectory, chosen));
  const delivery = new DeliveryLog(Math.max(deliveryLogBytes, 4 * (maxValueBytes + LOG_RECORD_BYTES)));
  const kinds: Readers[] = [];
  const local = new LocalDelivery(delivery, kinds);
  try {
    const device = DeviceWriter.create({
      directory,
      cluster,
      id,
      log: delivery,
      maxValueBytes,
      onWarning: (message) => log.warn(message),
    });
    kinds.push(device);
    const path = socketPath(device.path);
    // Before the device, whose lock guards the socket's name, when they end.
    kinds.unshift(new SocketServer({ log: delivery, path, id, maxValueBytes, logger: log }));
    log.info(`delivers to programs at ${device.path} and ${path} (values up to ${maxValueBytes} bytes)`);
    const fifo = args["device-path"] ?? (args.device === true ? fifoPath(id) : undefined);
    if (fifo !== undefined) {
      kinds.push(new FifoDevice(delivery, fifo, log));
      log.info(`delivers to programs of Kernel_Paxos at ${fifo}`);
    }
    return local;
  } catch (error) {
    local.close();
    throw error;
  }
}
