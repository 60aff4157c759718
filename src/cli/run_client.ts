/**
 * `kpaxos run client`: virtual clients in a closed loop, in the manuals' three shapes: with a learner inside, on a
 * local learner's device, or served by a remote learner host.
 */
import { ClientApplication } from "../delivery/applications.ts";
import { DeviceGate, LearnerGate, SessionGate } from "../delivery/client_gates.ts";
import { deviceDirectories, findDeviceDirectory } from "../delivery/device_directory.ts";
import { DeviceReader } from "../delivery/device_reader.ts";
import { DeviceSource } from "../delivery/device_source.ts";
import { CliError, ExitCode } from "../error.ts";
import { type Address, parseAddress } from "../net/address.ts";
import { buildLearner } from "../node/build.ts";
import { BusyNote } from "../node/busy_note.ts";
import { ClientFigures } from "../node/client_figures.ts";
import { ClientRun } from "../node/client_run.ts";
import { type Built, type Context, Process } from "../node/process.ts";
import { Client, type ValueFormat } from "../protocol/client.ts";
import { NativeValues } from "../protocol/native_values.ts";
import { Role } from "../protocol/types.ts";
import type { KernelPaxosOutbox } from "../wire/kernel_paxos_outbox.ts";
import { KernelPaxosValues } from "../wire/kernel_paxos_values.ts";
import type { NativeOutbox } from "../wire/native_outbox.ts";
import { type ArgsDef, type ArgValues, defineKpaxosCommand } from "./command.ts";
import { canTrimArg, memberOf, roleArgs, start } from "./run_common.ts";

const clientArgs = {
  id: {
    type: "integer",
    alias: "d",
    min: 0,
    max: 65534,
    description: "first client id (Kernel_Paxos wire: 0 unless given; native wire: drawn)",
  },
  "proposer-id": {
    type: "integer",
    alias: "p",
    min: 0,
    max: 65534,
    default: 0,
    description: "which proposer gets the values",
  },
  nclients: { type: "integer", alias: "n", min: 1, max: 65535, default: 1, description: "virtual clients" },
  outstanding: {
    type: "integer",
    alias: "o",
    min: 1,
    max: 65536,
    default: 1,
    description: "values each virtual client has under way",
  },
  "value-size": {
    type: "range",
    alias: "v",
    min: 0,
    max: 65507,
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
  cantrim: canTrimArg,
  seconds: { type: "number", min: 0.1, description: "end after so long" },
  values: { type: "integer", min: 1, description: "end after so many values" },
  "stats-file": {
    type: "string",
    valueHint: "FILE",
    description: "write each value's order, latency and time of delivery (µs)",
  },
  json: {
    type: "boolean",
    description: "one JSON object a second, and a last one with the whole run's figures",
  },
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
      "A value that is not delivered within client-timeout is sent again.",
    ],
  },
  args: clientArgs,
  run: async ({ args }) => {
    const { config, log } = start(args, "client");
    if (args.device !== undefined && args.learner !== undefined) {
      throw new CliError("--device and --learner exclude each other", { exitCode: ExitCode.usage });
    }
    memberOf(config.proposers, args["proposer-id"], "proposer", config);
    const native = config.settings.wire === "native";
    const id = args.id ?? (native ? 1024 + Math.floor(Math.random() * 64000) : 0);
    const ownLearner = args.device === undefined && args.learner === undefined;
    const listens = Role.client | (ownLearner ? Role.learner : 0);
    const run = await ClientRun.create({
      log,
      json: args.json === true,
      seconds: args.seconds ?? Number.POSITIVE_INFINITY,
      values: args.values ?? Number.POSITIVE_INFINITY,
      statsFile: args["stats-file"],
    });
    const process = new Process({ config, log, id, member: undefined, listens, owns: 0 }, (context) =>
      build(context, args, run, () => process),
    );
    return await run.finish(process);
  },
});

function build(context: Context, args: ClientArgs, run: ClientRun, process: () => Process): Built {
  const { config, id, native, opened, log } = context;
  const outbox = context.outbox(Role.client);
  const size = args["value-size"];
  const figures = new ClientFigures(run.onValue);
  const firstSession = native ? Math.max(1, context.life - args.nclients) : id;
  const format: ValueFormat = native
    ? new NativeValues(firstSession, args.nclients, args.outstanding, size.last)
    : new KernelPaxosValues(id, args.nclients, size.last);
  refuseTooLarge(size.last, format, opened.wire.maxValue, config.settings.wire);
  const client = new Client(
    {
      clients: args.nclients,
      outstanding: args.outstanding,
      leastSize: size.first,
      mostSize: size.last,
      proposerId: args["proposer-id"],
      timeoutMs: config.settings.clientTimeoutMs,
      values: args.values ?? Number.POSITIVE_INFINITY,
      random: Math.random,
    },
    format,
    outbox,
    figures,
  );
  const busy = new BusyNote();
  run.attach(client, figures, process);
  const source = buildSource(context, args, client, outbox, [firstSession, firstSession + args.nclients]);
  log.debug(`sessions ${firstSession} to ${firstSession + args.nclients - 1}`);
  return {
    ...source,
    cores: { client, ...source.cores },
    extras: [...(source.extras ?? []), run, busy],
    client: { proposerId: args["proposer-id"], busy: () => busy.reason },
    progress: () => (client.ready && client.outstanding === 0 ? null : client.counters.delivered),
  };
}

function buildSource(
  context: Context,
  args: ClientArgs,
  client: Client,
  outbox: NativeOutbox | KernelPaxosOutbox,
  sessions: readonly [number, number],
): Omit<Built, "progress"> {
  const { config, native, log, opened } = context;
  if (args.learner !== undefined) {
    const address = hostAddress(args.learner, config.link);
    outbox.setHost(address.words);
    const gate = new SessionGate(client, outbox, sessions[0], sessions[1], args.learner, log);
    return { cores: {}, extras: [gate], farewell: () => gate.close() };
  }
  if (args.device !== undefined) {
    const { deviceDirectory, cluster } = config.settings;
    const candidates = deviceDirectories(deviceDirectory, config.origins.deviceDirectory.from !== "default");
    const reader = DeviceReader.open(
      findDeviceDirectory(candidates, cluster, args.device),
      cluster,
      args.device,
    );
    const gate = new DeviceGate(client, reader, opened.wire.maxValue, native);
    const source = new DeviceSource(reader, gate, 0, log, (fd) => opened.link.watch(fd));
    return { cores: {}, extras: [source, gate], sleeper: source, close: () => reader.close() };
  }
  const application = new ClientApplication((first, last) =>
    log.error(`instances ${first} to ${last} were trimmed before this client's learner got them`),
  );
  application.attach(client);
  const plan = { role: Role.client, catchUp: false, canTrim: args.cantrim ?? native };
  const learner = buildLearner(context, plan, outbox, application);
  const gate = new LearnerGate(client, learner, config.acceptors.length, native);
  return { cores: { learner }, extras: [gate], farewell: () => learner.close() };
}

function refuseTooLarge(size: number, format: ValueFormat, maxValue: number, wire: string): void {
  const limit = maxValue - format.overheadBytes;
  if (size <= limit) return;
  throw new CliError(`--value-size ${size} is more than one instance carries: at most ${limit} bytes`, {
    exitCode: ExitCode.usage,
    hint: `the ${wire} wire carries ${maxValue} bytes an instance here, of which ${format.overheadBytes} say whose the value is`,
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
