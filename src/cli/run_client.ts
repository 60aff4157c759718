/**
 * `kpaxos run client`: virtual clients in a closed loop or, at a rate, in an open one, in the manuals' three shapes: with a learner inside, on a
 * local learner's device, or served by a remote learner host.
 */
import { configsOfGroups, oneGroup } from "../config/groups.ts";
import { askedIds, askedSessions, DeviceGate, LearnerGate, SessionGate } from "../delivery/client_gates.ts";
import { deviceDirectories, findDeviceDirectory } from "../delivery/device_directory.ts";
import { DeviceReader } from "../delivery/device_reader.ts";
import { DeviceSource } from "../delivery/device_source.ts";
import { CliError, ExitCode } from "../error.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { buildLearner } from "../node/build.ts";
import { type BuiltClient, buildClient, ownApplication } from "../node/build_client.ts";
import { BusyNote } from "../node/busy_note.ts";
import { ClientFigures } from "../node/client_figures.ts";
import { ClientRun } from "../node/client_run.ts";
import type { Built, ClientView, Context } from "../node/context.ts";
import { drawId } from "../node/identity.ts";
import { JointClient, shareOf } from "../node/joint_client.ts";
import { Process } from "../node/process.ts";
import type { ClientSink } from "../protocol/client/client.ts";
import { Role } from "../protocol/types.ts";
import { CLIENT_RECORD_BYTES } from "../wire/client_record.ts";
import type { KernelPaxosOutbox } from "../wire/kernel_paxos_outbox.ts";
import type { NativeOutbox } from "../wire/native_outbox.ts";
import { type ArgsDef, type ArgValues, defineKpaxosCommand } from "./command.ts";
import { canTrimArg, memberOf, placeIn, proposerArg, roleArgs, startAll } from "./run_common.ts";

/** The largest `max-value-size`; what is allowed is checked against the configuration. */
const MAX_VALUE_SIZE = 2 ** 24 - 1;

const clientArgs = {
  id: {
    type: "integer",
    alias: "d",
    min: 0,
    max: 65534,
    description: "first client id (Kernel_Paxos wire: 0 unless given; native wire: drawn)",
  },
  ...proposerArg,
  nclients: { type: "integer", alias: "n", min: 1, max: 65535, default: 1, description: "virtual clients" },
  outstanding: {
    type: "integer",
    alias: "o",
    min: 1,
    max: 65536,
    default: 1,
    description:
      "values each virtual client has under way (closed loop; its latencies are as sent, uncorrected)",
  },
  "value-size": {
    type: "range",
    alias: "v",
    min: 0,
    max: MAX_VALUE_SIZE,
    default: { first: 64, last: 64 },
    description: "bytes of a value; A-B: drawn evenly",
  },
  device: {
    type: "integer",
    alias: ["c", "chardev-id"],
    min: 0,
    max: 65534,
    description: "take deliveries from learner N's device on this host",
    valueHint: "N",
  },
  learner: {
    type: "string",
    alias: ["l", "learner-addr"],
    valueHint: "ADDR",
    description: "take deliveries from the user-learner at this MAC or IP:port",
  },
  cantrim: {
    ...canTrimArg,
    description:
      "have the log trimmed up to what this client's learner has delivered (Kernel_Paxos wire only)",
  },
  rate: {
    type: "number",
    min: 0.1,
    max: 10_000_000,
    description:
      "values per second, whether or not earlier ones have come back (open loop); a value that has to wait for its place counts with its wait",
  },
  "warm-up": {
    type: "number",
    min: 0,
    max: 3600,
    valueHint: "SECONDS",
    description: "measure from so long after the first value on, and wait for what is under way at the end",
  },
  seconds: {
    type: "number",
    min: 0.1,
    description:
      "end after so long; where nobody answers, after so long with the warm-up, but not before 4 s nor after 10 s",
  },
  values: { type: "integer", min: 1, description: "end after so many values" },
  "stats-file": {
    type: "string",
    valueHint: "FILE",
    description: "write each value's order, latency and time of delivery (µs)",
  },
  interval: {
    type: "number",
    min: 0.01,
    max: 3600,
    default: 1,
    description: "seconds between two lines of figures",
  },
  json: {
    type: "boolean",
    description: "one JSON object an interval, and a last one with the whole run's figures",
  },
  histogram: { type: "boolean", description: "with --json: the last object has all latencies, in buckets" },
  ...roleArgs,
} as const satisfies ArgsDef;
type ClientArgs = ArgValues<typeof clientArgs>;

export const clientCommand = defineKpaxosCommand({
  meta: {
    name: "client",
    description: "submit values and measure",
    examples: [
      {
        command: "kpaxos run client --outstanding 100 --seconds 10",
        what: "100 values under way, ten seconds",
      },
      {
        command: "kpaxos run client --rate 5000 --outstanding 1000 --seconds 10",
        what: "5000 a second, answered or not",
      },
      {
        command: "kpaxos run client --device 0 --nclients 10",
        what: "deliveries from learner 0 on this host",
      },
      {
        command: "kpaxos run client --learner 02:00:00:00:00:07",
        what: "deliveries from a remote user-learner",
      },
    ],
    notes: [
      "Exit code 1: not one value came back, or --values was not reached. The reasons are on standard error.",
      "With --rate or --warm-up, values under way at the end are waited for, up to 10 s; where not one has come back, as long as --seconds says of a cluster that does not answer.",
      "A value that is not delivered is sent again, within client-timeout at the latest; in the native wire it is delivered once all the same.",
    ],
  },
  args: clientArgs,
  run: async ({ args }) => {
    const { config, log } = startAll(args, "client");
    if (args.device !== undefined && args.learner !== undefined) {
      throw new CliError("--device and --learner exclude each other", { exitCode: ExitCode.usage });
    }
    const proposer = args["proposer-id"];
    if (proposer !== undefined) memberOf(config.proposers, proposer, "proposer", config, "--proposer-id");
    const native = config.settings.wire === "native";
    const id = args.id ?? (native ? drawId() : 0);
    const ownLearner = args.device === undefined && args.learner === undefined;
    const listens = Role.client | (ownLearner ? Role.learner : 0);
    const run = await ClientRun.create({
      log,
      json: args.json === true,
      seconds: args.seconds ?? Number.POSITIVE_INFINITY,
      values: args.values ?? Number.POSITIVE_INFINITY,
      statsFile: args["stats-file"],
      rate: args.rate,
      warmUp: args["warm-up"],
      interval: args.interval,
      histogram: args.histogram === true,
    });
    const figures = new ClientFigures({
      clients: args.nclients,
      outstanding: args.outstanding,
      intervalUs: args.rate === undefined ? undefined : 1_000_000 / args.rate,
      onValue: run.onValue,
    });
    const joint = new JointClient();
    // Virtual client i is one of group i modulo their number; a device or a host is that of one group.
    const groups = configsOfGroups(ownLearner ? config : oneGroup(config, args.group)).slice(
      0,
      args.nclients,
    );
    if (groups.length < config.settings.groups && args.group === undefined) {
      log.warn(
        `${args.nclients} clients are for groups 0 to ${groups.length - 1} only: all groups need --nclients ${config.settings.groups} or more`,
      );
    }
    const [first, ...others] = groups.map((group) => placeIn(group, "client", undefined));
    const options = { ...first!, others, wholeLog: log, id, listens, owns: 0 };
    let part = 0;
    const process = new Process(options, (context) =>
      build(context, args, { run, joint, figures, part: part++, parts: groups.length }),
    );
    run.attach(joint, figures, () => process);
    return await run.finish(process);
  },
});

/** Which of the groups of this run a client is of. */
interface Part {
  readonly run: ClientRun;
  readonly joint: JointClient;
  readonly figures: ClientFigures;
  readonly part: number;
  readonly parts: number;
}

function build(context: Context, args: ClientArgs, { run, joint, figures, part, parts }: Part): Built {
  const { config } = context;
  const outbox = context.outbox(Role.client);
  const size = args["value-size"];
  refuseTooLarge(size.last, context);
  // Those of an open loop are let go one by one.
  const values = args.rate !== undefined ? 0 : (args.values ?? Number.POSITIVE_INFINITY);
  const plan = {
    clients: shareOf(args.nclients, part, parts),
    outstanding: args.outstanding,
    leastSize: size.first,
    mostSize: size.last,
    proposerId: args["proposer-id"] ?? config.group % config.proposers.length,
    followsLeader: args["proposer-id"] === undefined,
    values: shareOf(values, part, parts),
  };
  const built = buildClient(context, plan, outbox, sinkOf(figures, part, parts));
  const { client } = built;
  const busy = new BusyNote();
  joint.add(client);
  const { silentHost, ...source } = buildSource(context, args, built, outbox);
  return {
    ...source,
    cores: { client, ...source.cores },
    extras: [...(source.extras ?? []), run, busy],
    dozes: () => source.sleeper === undefined,
    client: {
      proposerId: () => client.proposerId,
      busy: () => busy.reason,
      silentHost,
    },
    progress: () => (client.ready && !client.isWaiting ? null : client.counters.delivered),
  };
}

/** What a part tells of its clients is told of the run's. */
function sinkOf(figures: ClientSink, part: number, parts: number): ClientSink {
  if (parts === 1) return figures;
  const of = (client: number): number => client * parts + part;
  return {
    made: (client, first, count) => figures.made?.(of(client), first, count),
    delivered: (latencyUs, bytes, client, first, count, iid) =>
      figures.delivered(latencyUs, bytes, of(client), first, count, iid),
    uncertain: (client, number) => figures.uncertain?.(of(client), number),
  };
}

function buildSource(
  context: Context,
  args: ClientArgs,
  built: BuiltClient,
  outbox: NativeOutbox | KernelPaxosOutbox,
): Omit<Built, "client" | "progress"> & Pick<ClientView, "silentHost"> {
  const { config, native, log, opened, id } = context;
  const { client, sessions } = built;
  const closeSessions = (): void => sessions?.close();
  if (args.learner !== undefined) {
    const address = hostAddress(args.learner, config.link);
    outbox.setHost(address.words);
    const asked = sessions === undefined ? askedIds(id, id + args.nclients) : askedSessions(sessions);
    const gate = new SessionGate(client, outbox, asked, native, args.learner, log);
    // The host is asked for sessions that are open.
    if (sessions !== undefined) sessions.opens = true;
    const farewell = (): void => {
      closeSessions();
      gate.close();
    };
    return { cores: {}, extras: [gate], farewell, silentHost: () => gate.silentHost };
  }
  if (args.device !== undefined) {
    const { deviceDirectory, cluster } = config.settings;
    const candidates = deviceDirectories(deviceDirectory, config.origins.deviceDirectory.from !== "default");
    const reader = DeviceReader.open(
      findDeviceDirectory(candidates, cluster, args.device),
      cluster,
      args.device,
    );
    const gate = new DeviceGate(client, reader);
    const source = new DeviceSource(reader, gate, 0, log, (fd) => opened.link.watch(fd));
    const close = (): void => reader.close();
    return { cores: {}, extras: [source, gate], sleeper: source, farewell: closeSessions, close };
  }
  const application = ownApplication(context, built, (first, last) => {
    const text = `instances ${first} to ${last} were trimmed before this client's learner got them`;
    // What it cannot see there it is told by acknowledgements.
    if (native) log.debug(text);
    else log.error(text);
  });
  if (native && args.cantrim === true)
    log.warn(
      "--cantrim has no effect on a client of the native wire: it reports nothing, for it has no snapshots",
    );
  const plan = { role: Role.client, catchUp: false, canTrim: args.cantrim === true };
  const learner = buildLearner(context, plan, outbox, application);
  const gate = new LearnerGate(client, learner, config.acceptors.length, native);
  const farewell = (): void => {
    closeSessions();
    learner.close();
  };
  return { cores: { learner }, extras: [gate], farewell };
}

function refuseTooLarge(size: number, { native, config, opened }: Context): void {
  const { maxValue } = opened.wire;
  const limit = native ? config.settings.maxValueBytes : maxValue - CLIENT_RECORD_BYTES;
  if (size <= limit) return;
  const why = native ? "max-value-size" : "one instance carries";
  throw new CliError(`--value-size ${size} is more than ${why}: at most ${limit} bytes`, {
    exitCode: ExitCode.usage,
    hint: native
      ? "raise max-value-size on every host"
      : `the kernel-paxos wire carries ${maxValue} bytes an instance here, of which ${CLIENT_RECORD_BYTES} say whose the value is`,
  });
}

function hostAddress(text: string, link: "ethernet" | "udp"): Address {
  const address = parseAddress(text);
  if (address?.kind === link) return address;
  const form = link === "ethernet" ? "a MAC, as 02:00:00:00:00:07" : "IP:port, as 10.0.0.7:9000";
  throw new CliError(`--learner ${text} is not ${form}`, {
    exitCode: ExitCode.usage,
    hint: `the addresses of this paxos.conf are ${link === "ethernet" ? "MACs" : "IP addresses"}`,
  });
}
