/**
 * What a subcommand is: a definition as data (name, examples, flags, positionals, subcommands) and a `run`.
 * Help, checking, completion and docs are all derived from the definition; nothing is said twice.
 *
 * A `run` gets values already checked and converted. It never exits: it returns an exit code (or nothing, for 0)
 * or throws a `CliError`. Keys of `args` are the flags' names in kebab-case: `"trim-every"` is `--trim-every`.
 */
import type { ExitCode } from "../error.ts";
import type { LocalWords } from "./completion_local.ts";

interface Common {
  readonly description: string;
  /** One letter makes `-x`, more make another `--name`. */
  readonly alias?: string | readonly string[];
  /** What stands for the value in help: `--if NAME`. */
  readonly valueHint?: string;
  readonly required?: boolean;
  /** Names by which it is looked for, and which it has not: an error names it instead. */
  readonly lookedForAs?: readonly string[];
  /** A setting of `paxos.conf`: help lists these apart. */
  readonly isSetting?: boolean;
}

/** What completion offers for it. */
type Completes = LocalWords | (() => Promise<readonly string[]>);

/** `--x`, `--no-x`, `--x=yes|no|true|false`. */
export interface BooleanArg extends Common {
  readonly type: "boolean";
  readonly default?: boolean;
}
export interface StringArg extends Common {
  readonly type: "string";
  readonly completes?: Completes;
  /** Its value is a list of these, with commas between them. */
  readonly listOf?: readonly string[];
  readonly default?: string;
}
export interface EnumArg extends Common {
  readonly type: "enum";
  readonly options: readonly string[];
  readonly default?: string;
}
/** A whole number in decimal (`kind` is the conversion, so the value is a number). */
export interface IntegerArg extends Common {
  readonly type: "integer";
  readonly min?: number;
  readonly max?: number;
  readonly default?: number;
}
/** A decimal number, such as seconds. */
export interface NumberArg extends Common {
  readonly type: "number";
  readonly min?: number;
  readonly max?: number;
  readonly default?: number;
}
/** `N` or `A-B` with A ≤ B, both whole numbers. */
export interface RangeArg extends Common {
  readonly type: "range";
  readonly min?: number;
  readonly max?: number;
  readonly default?: Range;
}
/** Required unless `required: false` or a default is given. `repeat`: takes all that is left (must be last). */
export interface PositionalArg {
  readonly type: "positional";
  readonly description: string;
  readonly valueHint?: string;
  readonly required?: boolean;
  readonly default?: string;
  readonly options?: readonly string[];
  readonly completes?: Completes;
  readonly repeat?: boolean;
  /** A command line of its own, behind `--`. */
  readonly isCommand?: boolean;
}
export type FlagArg = BooleanArg | StringArg | EnumArg | IntegerArg | NumberArg | RangeArg;
export type ArgDef = FlagArg | PositionalArg;
export type ArgsDef = Readonly<Record<string, ArgDef>>;

export interface Range {
  readonly first: number;
  readonly last: number;
}

type Raw<A extends ArgDef> = A extends { type: "boolean" }
  ? boolean
  : A extends { type: "integer" | "number" }
    ? number
    : A extends { type: "range" }
      ? Range
      : A extends { repeat: true }
        ? readonly string[]
        : A extends { options: readonly (infer U)[] }
          ? U
          : string;
type Given<A extends ArgDef> = A extends { default: string | number | boolean | Range } | { repeat: true }
  ? Raw<A>
  : A extends { type: "positional" }
    ? A extends { required: false }
      ? Raw<A> | undefined
      : Raw<A>
    : A extends { required: true }
      ? Raw<A>
      : Raw<A> | undefined;
/** The values a `run` gets. What was not given and has no default is undefined. */
export type ArgValues<T extends ArgsDef> = { readonly [K in keyof T]: Given<T[K]> };
export type ArgValue = string | number | boolean | Range | readonly string[] | undefined;

export interface Example {
  readonly command: string;
  readonly what: string;
}

export interface CommandMeta {
  readonly name: string;
  readonly description: string;
  readonly examples?: readonly Example[];
  /** Paragraphs printed after the options. */
  readonly notes?: readonly string[];
}

export interface CommandContext<T extends ArgsDef> {
  readonly args: ArgValues<T>;
  /** The words of the command line that belong to this command, as they were typed. */
  readonly rawArgs: readonly string[];
}

export type RunResult = ExitCode | undefined;

/** A subcommand that is loaded only when it is used; help of the parent needs its description alone. */
export interface LazyCommand {
  readonly description: string;
  readonly load: () => Promise<KpaxosCommand>;
}

/** A command with the type of its arguments forgotten, as help, completion and the runner see it. */
export interface KpaxosCommand {
  readonly meta: CommandMeta;
  readonly args: ArgsDef;
  readonly subCommands: Readonly<Record<string, KpaxosCommand | LazyCommand>>;
  readonly run:
    | ((args: Readonly<Record<string, ArgValue>>, rawArgs: readonly string[]) => Promise<RunResult>)
    | undefined;
}

export interface KpaxosCommandDef<T extends ArgsDef> {
  readonly meta: CommandMeta;
  readonly args?: T;
  readonly subCommands?: Readonly<Record<string, KpaxosCommand | LazyCommand>>;
  readonly run?: (context: CommandContext<T>) => RunResult | Promise<RunResult> | Promise<void> | void;
}

export function defineKpaxosCommand<const T extends ArgsDef = Record<never, never>>(
  def: KpaxosCommandDef<T>,
): KpaxosCommand {
  const run = def.run;
  return {
    meta: def.meta,
    args: def.args ?? {},
    subCommands: def.subCommands ?? {},
    run:
      run === undefined
        ? undefined
        : async (args, rawArgs) => (await run({ args: args as ArgValues<T>, rawArgs })) ?? undefined,
  };
}

export async function resolveCommand(command: KpaxosCommand | LazyCommand): Promise<KpaxosCommand> {
  return "load" in command ? await command.load() : command;
}

export function describe(command: KpaxosCommand | LazyCommand): string {
  return "load" in command ? command.description : command.meta.description;
}

export function aliasesOf(arg: ArgDef): readonly string[] {
  if (arg.type === "positional" || arg.alias === undefined) return [];
  return typeof arg.alias === "string" ? [arg.alias] : arg.alias;
}
