/**
 * What the `run` subcommands share: reading the configuration, finding one's place in it, and running a process.
 */
import type { Config, Member } from "../config/config.ts";
import { groupOfKey, oneGroup } from "../config/groups.ts";
import { readConfig } from "../config/read.ts";
import { formatDiagnostic } from "../config/report.ts";
import { CliError, ExitCode as Exit, type ExitCode } from "../error.ts";
import { createLog, type Log } from "../log.ts";
import type { Built, Context, Place, ProcessOptions } from "../node/context.ts";
import { Process } from "../node/process.ts";
import type { ArgsDef, ArgValue } from "./command.ts";
import { fileArg, settingArgs, settingFlags } from "./settings.ts";

/** For what belongs to one group. */
export const groupArg = {
  group: {
    type: "integer",
    alias: "g",
    min: 0,
    max: 63,
    description: "which group, where paxos.conf has several (groups)",
  },
} as const satisfies ArgsDef;

/** Arguments of every role. */
export const roleArgs = {
  ...groupArg,
  ...fileArg,
  ...settingArgs,
} as const satisfies ArgsDef;

/** Of who has values. */
export const proposerArg = {
  "proposer-id": {
    type: "integer",
    alias: "p",
    min: 0,
    max: 65534,
    description:
      "the proposer that values are sent to; native wire: when it is silent, or knows no leader, another takes its place. " +
      "Unless given: 0 (with groups: the one that leads the group when all run); native wire: then each new leader that is heard of",
  },
} as const satisfies ArgsDef;

/** `--cantrim`, as the manuals spell it. */
export const canTrimArg = {
  type: "boolean",
  alias: "can-trim",
  description:
    "let this learner have the log trimmed up to what it has delivered (native wire: yes unless --no-cantrim; Kernel_Paxos wire: no)",
} as const;

export interface Started {
  readonly config: Config;
  readonly log: Log;
}

type Args = Readonly<Record<string, ArgValue>>;

/** Reads the configuration with the flags given, and prints its warnings: that of the one group that is meant. */
export function start(args: Args, name: string): Started {
  const all = readConfig(String(args.file), { flags: settingFlags(args) });
  const config = oneGroup(all, groupMeant(args, all));
  const log = createLog(config.settings.verbosity, nameIn(config, name));
  tellWarnings(config, log);
  return { config, log };
}

/** By its number, or by the key of values. */
function groupMeant({ group, key }: Args, { settings }: Config): number | undefined {
  if (typeof key === "string") return groupOfKey(new TextEncoder().encode(key), settings.groups);
  return typeof group === "number" ? group : undefined;
}

/** The same for what may be of all groups: the configuration of one, if that is named. */
export function startAll(args: Args, name: string): Started {
  const all = readConfig(String(args.file), { flags: settingFlags(args) });
  const log = createLog(all.settings.verbosity, name);
  tellWarnings(all, log);
  return { config: typeof args.group === "number" ? oneGroup(all, args.group) : all, log };
}

/** What a process that is `name` is in the group of this configuration. */
export function placeIn(config: Config, name: string, member: Member | undefined): Place {
  return { config, log: createLog(config.settings.verbosity, nameIn(config, name)), member };
}

function nameIn({ settings, group }: Config, name: string): string {
  return settings.groups === 1 ? name : `${name} group ${group}`;
}

function tellWarnings(config: Config, log: Log): void {
  for (const warning of config.warnings) log.warn(formatDiagnostic(warning));
}

/** The configured member with this id. */
export function memberOf(
  list: readonly Member[],
  id: number,
  role: string,
  config: Config,
  flag = "--id",
): Member {
  const member = list.find((one) => one.id === id);
  if (member !== undefined) return member;
  const ids = list.map((one) => one.id).join(", ");
  throw new CliError(`${config.file} has no ${role} ${id}`, {
    exitCode: Exit.config,
    hint:
      ids === ""
        ? `add a line: ${role} ${id} ADDRESS`
        : `it has ${role} ${ids}: give one of them with ${flag}`,
  });
}

export async function runProcess(
  options: ProcessOptions,
  build: (context: Context) => Built,
): Promise<ExitCode> {
  return await new Process(options, build).run();
}
