/**
 * What a learner of a process delivers to: the programs of its host and standard output; and the learner that does, of one group or
 * of all groups in one order.
 */
import type { Config } from "../config/config.ts";
import { ALL_GROUPS } from "../config/groups.ts";
import { BareApplication, HostConsumer, type ValueSink } from "../delivery/applications.ts";
import { DeliveryLog } from "../delivery/delivery_log.ts";
import { DeviceWriter } from "../delivery/device.ts";
import { deviceDirectories, makeDeviceDirectory } from "../delivery/device_directory.ts";
import { FifoDevice, fifoPath } from "../delivery/fifo_device.ts";
import { buildLearning, type LearningPlan } from "../delivery/learning.ts";
import { LOG_RECORD_BYTES } from "../delivery/log_record.ts";
import { Merge } from "../delivery/merge.ts";
import { PrintSink } from "../delivery/print.ts";
import { LocalDelivery, type Readers } from "../delivery/readers.ts";
import { SocketServer, socketPath } from "../delivery/socket_server.ts";
import type { Log } from "../log.ts";
import { buildFilter, buildLearner } from "../node/build.ts";
import type { Built, Context } from "../node/context.ts";
import type { Extra } from "../node/roles.ts";
import type { Learner } from "../protocol/learner/learner.ts";
import type { SessionFilter } from "../protocol/learner/session_filter.ts";
import { Role } from "../protocol/types.ts";
import type { ArgsDef } from "./command.ts";
import { canTrimArg } from "./run_common.ts";

/** How often it is said that the order of all groups waits for one of them. */
const WAITS_AGAIN_MS = 10_000;

export const deliveryArgs = {
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

export interface Host {
  readonly consumer: HostConsumer;
  readonly extras: readonly Extra[];
  /** Values are printed, or a program of this host reads them. */
  readonly isUsed: boolean;
  close(): void;
}

interface HostArgs {
  readonly cantrim: boolean | undefined;
  readonly print: boolean | undefined;
  readonly json: boolean | undefined;
  readonly device: boolean | undefined;
  readonly "device-path": string | undefined;
}

export interface HostedLearner {
  readonly learner: Learner;
  /** Native wire. */
  readonly filter: SessionFilter | undefined;
  readonly extras: readonly Extra[];
}

/** The learner that delivers to the host's programs; in the native wire with its snapshots. */
export function hostLearner(
  context: Context,
  args: HostArgs,
  host: Host,
  name: string,
  catchUp: boolean,
): HostedLearner {
  const outbox = context.outbox(Role.learner);
  if (!context.native) {
    const plan = { role: Role.learner, catchUp, canTrim: args.cantrim ?? false };
    const learner = buildLearner(context, plan, outbox, new BareApplication(host.consumer));
    return { learner, filter: undefined, extras: host.extras };
  }
  const filter = buildFilter(context, host.consumer);
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
  return { learner, filter, extras: [snapshots, ...host.extras] };
}

/** Makes, group by group, the learner that delivers all of them in one order. `config`, `log`: of the whole. */
export function mergedLearner(config: Config, log: Log, args: HostArgs): (context: Context) => Built {
  let host: Host | undefined;
  let merge: Merge | undefined;
  return (context) => {
    const { id } = context;
    const { group, settings } = context.config;
    host ??= buildHost({ ...context, config, log }, args);
    merge ??= new Merge(settings.groups, host.consumer);
    const lane = merge.lanes[group]!;
    lane.state = buildFilter(context, lane.consumer);
    const outbox = context.outbox(Role.learner);
    const plan: LearningPlan = {
      role: Role.learner,
      canTrim: args.cantrim ?? true,
      name: `learner-${id}`,
      start: settings.learnerCatchUp ? "first" : "newest",
      state: lane,
      onGap: (_first, last) => lane.leftOut(last),
    };
    const { learner, snapshots } = buildLearning(context, plan, outbox);
    const onWait = (iid: number): void =>
      context.log.once(
        "merge",
        "warn",
        `the order of all groups waits for instance ${iid} of this one: does it have a leader, and \`merge yes\`?`,
        WAITS_AGAIN_MS,
      );
    lane.attach(learner, { outbox, proposers: config.proposers.length, onWait });
    return {
      cores: { learner, isMerged: true },
      // Any group's turn may have had values delivered.
      extras: [snapshots, lane, ...host.extras],
      dozes: () => host?.isUsed === false,
      progress: () => (merge?.holdsUp(group) === true ? learner.counters.delivered : null),
      hears: () => learner.hearsQuorum,
      farewell: () => learner.close(),
      ...(group === 0 ? { close: host.close } : {}),
    };
  };
}

/** What a learner delivers to: the programs of this host, and standard output if asked for. */
export function buildHost(context: Context, args: HostArgs): Host {
  const { config, log, id, native } = context;
  const local = args.device === false ? undefined : buildLocal(context, args);
  const sinks: ValueSink[] = [];
  const extras: Extra[] = local === undefined ? [] : [local];
  let print: PrintSink | undefined;
  if (args.print === true || args.json === true) {
    print = new PrintSink(
      args.json === true,
      config.settings.groups > 1 && config.group !== ALL_GROUPS ? config.group : undefined,
    );
    sinks.push(print);
    extras.push(print);
  }
  const consumer = new HostConsumer(local, sinks, (first, last, applications) => {
    const text = `instances ${first} to ${last} were trimmed before learner ${id} got them, or came before it knew the sessions`;
    // Without anybody to lose them, this is how a late learner begins.
    const isLoss = !native || applications > 0;
    const what = isLoss
      ? `${text}: they are not delivered here`
      : `${text}: programs of this host will read from there on`;
    const level = isLoss ? "error" : "info";
    // Of one group in an order of several that may be every other one.
    if (config.group === ALL_GROUPS) log.once("left out", level, what, WAITS_AGAIN_MS);
    else log[level](what);
  });
  log.debug(`cluster ${config.settings.cluster}`);
  return {
    consumer,
    extras,
    get isUsed() {
      return sinks.length > 0 || (local?.readers ?? 0) > 0;
    },
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
