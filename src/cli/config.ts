/**
 * `kpaxos config check|show`: is this configuration right, and what does it come to? Neither touches the network.
 */
import type { Config } from "../config/config.ts";
import { configToJson, formatConfig, summarize } from "../config/format.ts";
import type { ParseResult } from "../config/parse.ts";
import { configError, readDiagnosed } from "../config/read.ts";
import { formatDiagnostic } from "../config/report.ts";
import { clusterKeys } from "../node/key_file.ts";
import { standardError, standardOutput } from "../streams.ts";
import { defineKpaxosCommand, type KpaxosCommand } from "./command.ts";
import { print, printJson } from "./output.ts";
import { fileArg, settingArgs, settingFlags } from "./settings.ts";

const NOTES = [
  "A setting comes from its flag, else from its environment variable (KPAXOS_PROPOSER_TIMEOUT for " +
    "proposer-timeout), else from the file, else it has its default. docs/configuration.md describes each.",
] as const;

const args = {
  ...fileArg,
  json: { type: "boolean", description: "one JSON object on standard output" },
  ...settingArgs,
} as const;

const checkCommand = defineKpaxosCommand({
  meta: {
    name: "check",
    description: "check a paxos.conf: every error and warning with its line and column",
    examples: [
      { command: "kpaxos config check -f paxos.conf", what: "exit code 0, or 78 with all errors" },
      { command: "kpaxos config check --json", what: "the same, for programs" },
    ],
    notes: NOTES,
  },
  args,
  run: ({ args }) => {
    const result = readDiagnosed(args.file, { flags: settingFlags(args) });
    if (args.json === true) printJson(checkToJson(args.file, result));
    if (result.config === undefined) throw configError(args.file, result.diagnostics);
    warn(result.config);
    // A process would not start with a key file that is missing or open to others.
    for (const key of clusterKeys(result.config)) key.fill(0);
    if (args.json !== true) print(`${args.file}: ok (${summarize(result.config)})`);
  },
});

const showCommand = defineKpaxosCommand({
  meta: {
    name: "show",
    description: "print members and effective settings, each with where it came from",
    examples: [
      { command: "kpaxos config show -f paxos.conf", what: "a complete paxos.conf, origins as comments" },
      { command: "kpaxos config show --wire kernel-paxos --json", what: "what a flag would change" },
    ],
    notes: NOTES,
  },
  args,
  run: ({ args }) => {
    const result = readDiagnosed(args.file, { flags: settingFlags(args) });
    if (result.config === undefined) throw configError(args.file, result.diagnostics);
    warn(result.config);
    if (args.json === true) printJson(configToJson(result.config));
    else standardOutput().write(formatConfig(result.config));
  },
});

export const configCommand: KpaxosCommand = defineKpaxosCommand({
  meta: {
    name: "config",
    description: "check a paxos.conf, show the effective configuration",
    examples: [{ command: "kpaxos config check -f paxos.conf", what: "is the configuration right?" }],
  },
  subCommands: { check: checkCommand, show: showCommand },
});

function warn(config: Config): void {
  for (const warning of config.warnings) standardError().write(`${formatDiagnostic(warning)}\n`);
}

function checkToJson(file: string, result: ParseResult) {
  const of = (severity: string) => result.diagnostics.filter((d) => d.severity === severity);
  const { config } = result;
  const found =
    config === undefined
      ? {}
      : {
          link: config.link,
          wire: config.settings.wire,
          acceptors: config.acceptors.length,
          proposers: config.proposers.length,
          learners: config.learners.length,
          replicas: config.replicas.length,
        };
  return { file, ok: config !== undefined, ...found, errors: of("error"), warnings: of("warning") };
}
