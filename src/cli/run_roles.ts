/**
 * `kpaxos run acceptor|proposer|learner|replica`: the roles of a cluster.
 */
import { DeviceHousekeeping, HostApplication, type ValueSink } from "../delivery/applications.ts";
import { DeviceWriter } from "../delivery/device.ts";
import { deviceDirectories, makeDeviceDirectory } from "../delivery/device_directory.ts";
import { PrintSink } from "../delivery/print.ts";
import { buildAcceptor, buildLearner, buildProposer, StageLog } from "../node/build.ts";
import type { Context } from "../node/process.ts";
import type { Extra } from "../node/roles.ts";
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
  "no-device": { type: "boolean", description: "make no delivery device for applications on this host" },
} as const satisfies ArgsDef;

export const acceptorCommand = defineKpaxosCommand({
  meta: {
    name: "acceptor",
    description: "promise and accept: the memory of the cluster",
    examples: [
      { command: "kpaxos run acceptor --id 0 -f paxos.conf", what: "acceptor 0 of this configuration" },
    ],
  },
  args: { id: idArg("acceptor"), ...roleArgs },
  run: async ({ args }) => {
    const { config, log } = start(args, `acceptor ${args.id}`);
    const member = memberOf(config.acceptors, args.id, "acceptor", config);
    const role = Role.acceptor;
    return await runProcess({ config, log, id: args.id, member, listens: role, owns: role }, (context) => {
      const { acceptor, watch } = buildAcceptor(context);
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
      const { proposer, learner } = buildProposer(context, undefined);
      return {
        cores: { proposer, learner },
        extras: [new StageLog(context, proposer)],
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
      const outbox = context.outbox(Role.learner);
      const plan = { role, catchUp: config.settings.learnerCatchUp, canTrim: args.cantrim ?? context.native };
      const learner = buildLearner(context, plan, outbox, host.application);
      return {
        cores: { learner },
        extras: host.extras,
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
  args: { id: idArg("replica"), ...deliveryArgs, ...roleArgs },
  run: async ({ args }) => {
    const { config, log } = start(args, `replica ${args.id}`);
    const member = memberOf(config.replicas, args.id, "replica", config);
    const roles = Role.acceptor | Role.proposer | Role.learner;
    return await runProcess({ config, log, id: args.id, member, listens: roles, owns: roles }, (context) => {
      const { acceptor, watch } = buildAcceptor(context);
      const host = buildHost(context, args);
      const plan = { role: Role.learner, catchUp: true, canTrim: args.cantrim ?? context.native };
      const learner = buildLearner(context, plan, context.outbox(Role.learner), host.application);
      const { proposer } = buildProposer(context, learner);
      return {
        cores: { acceptor, proposer, learner },
        extras: [watch, ...host.extras, new StageLog(context, proposer)],
        progress: () => proposer.progress(),
        farewell: () => learner.close(),
        close: host.close,
      };
    });
  },
});

interface Host {
  readonly application: HostApplication;
  readonly extras: readonly Extra[];
  close(): void;
}

/** What a learner delivers to: this host's device, and standard output if asked for. */
function buildHost(
  context: Context,
  args: {
    readonly print: boolean | undefined;
    readonly json: boolean | undefined;
    readonly "no-device": boolean | undefined;
  },
): Host {
  const { config, log, id, native, opened } = context;
  const device = args["no-device"] === true ? undefined : makeDevice(context);
  const sinks: ValueSink[] = [];
  const extras: Extra[] = [];
  if (device !== undefined) extras.push(new DeviceHousekeeping(device));
  let print: PrintSink | undefined;
  if (args.print === true || args.json === true) {
    print = new PrintSink(args.json === true);
    sinks.push(print);
    extras.push(print);
  }
  const application = new HostApplication(native, device, sinks, (first, last) =>
    log.error(
      `instances ${first} to ${last} were trimmed before learner ${id} got them: they are not delivered here`,
    ),
  );
  if (device !== undefined)
    log.info(`delivers to applications at ${device.path} (values up to ${opened.wire.maxValue} bytes)`);
  log.debug(`cluster ${config.settings.cluster}`);
  return {
    application,
    extras,
    close: () => {
      print?.flush();
      device?.close();
    },
  };
}

function makeDevice({ config, id, log, opened }: Context): DeviceWriter {
  const { deviceDirectory, cluster } = config.settings;
  const chosen = config.origins.deviceDirectory.from !== "default";
  const directory = makeDeviceDirectory(deviceDirectories(deviceDirectory, chosen));
  return DeviceWriter.create({
    directory,
    cluster,
    id,
    maxValueBytes: opened.wire.maxValue,
    onWarning: (message) => log.warn(message),
  });
}
