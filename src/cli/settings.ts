/**
 * The settings of a `paxos.conf` as flags, from the schema: every command that reads a configuration takes them all.
 */
import type { Flags } from "../config/parse.ts";
import { FIELDS, SCHEMA, type Spec } from "../config/schema.ts";
import { formatValue } from "../config/values.ts";
import type { ArgsDef, ArgValue, FlagArg } from "./command.ts";

const VALUE_HINTS = { integer: "N", duration: "DURATION", size: "SIZE", text: "TEXT" } as const;
/** `-i` is the interface in the programs of the 2018 manual. */
const ALIASES: Readonly<Record<string, readonly string[]>> = {
  interface: ["if", "i", "if-name"],
  "learner-catch-up": ["catch-up"],
};

/** Without defaults, so that a flag that was not given leaves the file its say. */
export const settingArgs: Readonly<Record<string, FlagArg>> = Object.fromEntries(
  FIELDS.map((field) => [SCHEMA[field].key, flagOf(SCHEMA[field])]),
);

function flagOf(spec: Spec): FlagArg {
  const usual = formatValue(spec, spec.default);
  const description = usual === "" ? spec.summary : `${spec.summary} (unless set: ${usual})`;
  const alias = ALIASES[spec.key];
  const common = { description, isSetting: true, ...(alias === undefined ? {} : { alias }) };
  if (spec.kind === "boolean") return { type: "boolean", ...common };
  if (spec.kind === "choice") {
    const options = [...spec.choices, ...Object.keys(spec.accepted ?? {})];
    return { type: "enum", options, valueHint: spec.choices.join("|"), ...common };
  }
  const path = spec.kind === "text" ? spec.path : undefined;
  return { type: "string", valueHint: path ?? VALUE_HINTS[spec.kind], ...common };
}

/** The settings among a command's arguments, as `readConfig` takes them. */
export function settingFlags(args: Readonly<Record<string, ArgValue>>): Flags {
  const flags: Record<string, string | boolean> = {};
  for (const key of Object.keys(settingArgs)) {
    const value = args[key];
    if (typeof value === "string" || typeof value === "boolean") flags[key] = value;
    else if (typeof value === "number") flags[key] = String(value);
  }
  return flags;
}

/** `-f FILE`, as every command spells it; `kpaxos cluster exec` sets the variable. */
export const fileArg = {
  file: {
    type: "string",
    alias: ["f", "path"],
    valueHint: "FILE",
    default: process.env.KPAXOS_CONFIG || "paxos.conf",
    description: "the configuration; $KPAXOS_CONFIG names another default",
  },
} as const satisfies ArgsDef;
