/**
 * `kpaxos run user-learner`: reads a local learner's device and forwards the values to remote clients.
 */

import type { Member } from "../config/config.ts";
import { deviceDirectories, findDeviceDirectory } from "../delivery/device_directory.ts";
import { DeviceReader } from "../delivery/device_reader.ts";
import { DeviceSource } from "../delivery/device_source.ts";
import { SessionHost } from "../delivery/session_host.ts";
import { CliError, ExitCode } from "../error.ts";
import { parseAddress } from "../net/address.ts";
import { Role } from "../protocol/types.ts";
import { defineKpaxosCommand } from "./command.ts";
import { roleArgs, runProcess, start } from "./run_common.ts";

export const userLearnerCommand = defineKpaxosCommand({
  meta: {
    name: "user-learner",
    description: "serve remote clients from a local learner's device",
    examples: [
      {
        command: "kpaxos run user-learner --device 0",
        what: "clients reach it with --learner and this host's MAC",
      },
      { command: "kpaxos run user-learner --trim-every 100000", what: "have the log trimmed as it goes" },
      { command: "kpaxos run user-learner --device 0 --listen 10.0.0.7:9000", what: "the same over UDP" },
    ],
  },
  args: {
    device: {
      type: "integer",
      alias: ["c", "chardev-id"],
      min: 0,
      max: 65534,
      default: 0,
      valueHint: "N",
      description: "the learner whose device is read",
    },
    id: {
      type: "integer",
      alias: "d",
      min: 0,
      max: 65534,
      default: 0,
      description: "number of this user-learner",
    },
    listen: { type: "string", valueHint: "IP:PORT", description: "where clients reach it (UDP)" },
    ...roleArgs,
  },
  run: async ({ args }) => {
    const { config, log } = start(args, `user-learner ${args.id}`);
    const member = listenMember(args.listen, config.link);
    // As the manual's user-space learner: it asks for trims only when told to, on the command line or by the environment.
    const origin = config.origins.trimEvery.from;
    const trimEvery = origin === "flag" || origin === "environment" ? config.settings.trimEvery : 0;
    const options = { config, log, id: args.id, member, listens: Role.host, owns: 0 };
    return await runProcess(options, (context) => {
      const { deviceDirectory, cluster } = config.settings;
      const candidates = deviceDirectories(
        deviceDirectory,
        config.origins.deviceDirectory.from !== "default",
      );
      const reader = DeviceReader.open(
        findDeviceDirectory(candidates, cluster, args.device),
        cluster,
        args.device,
        { acknowledges: true },
      );
      const host = new SessionHost(context.outbox(Role.host), context.native, (limit) =>
        log.once(
          "full",
          "warn",
          `a client was turned away: ${limit} are served already; restart this user-learner if they are gone`,
        ),
      );
      const source = new DeviceSource(reader, host, trimEvery, log, (fd) => context.opened.link.watch(fd));
      return {
        cores: {},
        extras: [host, source],
        sleeper: source,
        progress: () => null,
        close: () => reader.close(),
      };
    });
  },
});

/** A UDP user-learner listens at an address of its own; on Ethernet its MAC is that of the interface. */
function listenMember(text: string | undefined, link: "ethernet" | "udp"): Member | undefined {
  if (link === "ethernet") {
    if (text === undefined) return undefined;
    throw new CliError("--listen is for UDP; on Ethernet clients reach this host by its MAC", {
      exitCode: ExitCode.usage,
    });
  }
  const address = parseAddress(text ?? "");
  if (address?.kind === "udp") return { id: 0, address, line: 0, column: 0 };
  throw new CliError(
    text === undefined ? "over UDP a user-learner needs --listen" : `--listen ${text} is not IP:port`,
    {
      exitCode: ExitCode.usage,
      hint: "for example --listen 10.0.0.7:9000; clients then use --learner 10.0.0.7:9000",
    },
  );
}
