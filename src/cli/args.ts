/**
 * The words of a command line, checked against the command's own definition: what citty would swallow in silence
 * (unknown flags, missing values, surplus words, bad numbers) is refused here, naming the flag and the form it
 * takes. What passes is handed to citty in one plain form, `--name=value … -- positionals`, and its answer is
 * converted to the types that `run` expects. Never prints, never exits.
 */
import { type ArgsDef as CittyArgsDef, parseArgs } from "citty";
import { CliError, ExitCode } from "../error.ts";
import { nearest } from "../text/nearest.ts";
import { type ArgDef, type ArgsDef, type ArgValue, aliasesOf, type FlagArg, type Range } from "./command.ts";

const TRUE_WORDS: readonly string[] = ["yes", "true", "1", "on"];
const FALSE_WORDS: readonly string[] = ["no", "false", "0", "off"];
const NUMBER = /^-?(\d+(\.\d*)?|\.\d+)$/;
/** How a number below zero begins, whatever unit it has. */
const NEGATIVE = /^-\.?\d/;

export function kebab(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1-$2").toLowerCase();
}

export function usageError(message: string, hint?: string): CliError {
  return new CliError(
    message,
    hint === undefined ? { exitCode: ExitCode.usage } : { exitCode: ExitCode.usage, hint },
  );
}

interface Flag {
  readonly key: string;
  readonly arg: FlagArg;
}

/** Every way of writing a flag: `--trim-every`, `--trimEvery`, `--trim_every`, `-t`, and `--no-x` (value false) of booleans. */
function spellings(args: ArgsDef): Map<string, Flag & { readonly negated: boolean }> {
  const table = new Map<string, Flag & { readonly negated: boolean }>();
  for (const [key, arg] of Object.entries(args)) {
    if (arg.type === "positional") continue;
    for (const name of [key, ...aliasesOf(arg)].flatMap(spellingsOf)) {
      table.set(dashed(name), { key, arg, negated: false });
      if (arg.type === "boolean" && name.length > 1) table.set(`--no-${name}`, { key, arg, negated: true });
    }
  }
  return table;
}

function spellingsOf(word: string): readonly string[] {
  // Of one word in small letters there is one.
  return /^[a-z0-9]*$/.test(word) ? [word] : [word, kebab(word), camel(word), snake(word)];
}

function camel(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** As the manuals write module parameters: `value_size`. */
function snake(name: string): string {
  return kebab(name).replaceAll("-", "_");
}

export function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** What a flag takes, as it is said in errors. */
export function form(arg: ArgDef): string {
  switch (arg.type) {
    case "boolean":
      return "yes or no";
    case "enum":
      return `one of ${arg.options.join(", ")}`;
    case "integer":
      return `a whole number${bounds(arg)}`;
    case "number":
      return `a number${bounds(arg)}`;
    case "range":
      return `a whole number N or a range A-B${bounds(arg)}`;
    case "positional":
      return arg.options === undefined ? "a value" : `one of ${arg.options.join(", ")}`;
    default:
      return "a value";
  }
}

function bounds(arg: { readonly min?: number; readonly max?: number }): string {
  if (arg.min !== undefined && arg.max !== undefined) return ` from ${arg.min} to ${arg.max}`;
  if (arg.min !== undefined) return ` of at least ${arg.min}`;
  return arg.max === undefined ? "" : ` of at most ${arg.max}`;
}

/** The word that stands for a flag's value in help and errors. */
export function placeholder(key: string, arg: ArgDef): string {
  if (arg.valueHint !== undefined) return arg.valueHint;
  if (arg.type === "enum") return arg.options.join("|");
  if (arg.type === "positional" || arg.type === "string") return kebab(key).toUpperCase();
  return arg.type === "range" ? "N|A-B" : "N";
}

/** Words sorted into flags and positionals; values are still text. */
interface Sorted {
  readonly flags: Map<string, string | boolean>;
  readonly positionals: readonly string[];
  /** By the index of a positional: the switch that it stands right behind. */
  readonly behind: ReadonlyMap<number, string>;
}

function sort(words: readonly string[], args: ArgsDef, path: string): Sorted {
  const table = spellings(args);
  const flags = new Map<string, string | boolean>();
  const positionals: string[] = [];
  const behind = new Map<number, string>();
  const give = (flag: Flag, typed: string, value: string | boolean): void => {
    const before = flags.get(flag.key);
    if (before !== undefined && before !== value) {
      throw usageError(`${typed} is given twice, with different values`, "give it once");
    }
    flags.set(flag.key, value);
    if (typeof value === "boolean")
      behind.set(positionals.length, `--${value ? "" : "no-"}${kebab(flag.key)}`);
    else behind.delete(positionals.length);
  };
  let at = 0;
  const next = (typed: string, flag: Flag): string => {
    const value = words[at + 1];
    if (value === undefined || looksLikeFlag(value, table)) {
      throw usageError(`${typed} needs a value`, expects(typed, flag));
    }
    at++;
    return value;
  };
  for (; at < words.length; at++) {
    const word = words[at]!;
    if (word === "--") {
      positionals.push(...words.slice(at + 1));
      break;
    }
    if (word === "-" || !word.startsWith("-") || (NUMBER.test(word) && !table.has(word.slice(0, 2)))) {
      positionals.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const typed = equals < 0 ? word : word.slice(0, equals);
    const attached = equals < 0 ? undefined : word.slice(equals + 1);
    const flag = table.get(typed);
    if (flag !== undefined) {
      if (flag.arg.type !== "boolean") give(flag, typed, attached ?? next(typed, flag));
      else give(flag, typed, switchOf(typed, attached, flag.negated));
      continue;
    }
    // -file is --file with a dash forgotten, not -f with the value "ile".
    if (table.has(`-${typed}`) || word.startsWith("--") || !table.has(word.slice(0, 2)))
      throw unknownFlag(typed, table, path);
    // -abc: switches one after the other; the first flag that takes a value takes the rest (-n5).
    for (let letter = 1; letter < word.length; letter++) {
      const short = `-${word[letter]}`;
      const one = table.get(short);
      if (one === undefined) throw unknownFlag(typed, table, path);
      if (one.arg.type === "boolean") {
        give(one, short, true);
        continue;
      }
      const rest = word.slice(letter + 1).replace(/^=/, "");
      give(one, short, rest === "" ? next(short, one) : rest);
      break;
    }
  }
  checkSurplus({ flags, positionals, behind }, args, table, path);
  return { flags, positionals, behind };
}

/** Words that nothing takes: most of them were meant for a flag. */
function checkSurplus(
  { positionals, behind }: Sorted,
  args: ArgsDef,
  table: ReturnType<typeof spellings>,
  path: string,
): void {
  const places = Object.values(args).filter((arg) => arg.type === "positional");
  if (places.some(({ repeat }) => repeat === true) || positionals.length <= places.length) return;
  const word = positionals[places.length]!;
  const typed = behind.get(places.length);
  if (typed !== undefined) throw noValue(typed, word, typed.startsWith("--no-"));
  const names = Object.entries(args).flatMap(([key, arg]) =>
    arg.type === "positional" ? [placeholder(key, arg)] : [],
  );
  const count = names.length === 1 ? "one word" : `${names.length} words`;
  const what = names.length === 0 ? "takes no words besides flags" : `takes ${count}, ${names.join(" ")}`;
  const hint = asFlag(word, table) ?? asValue(word, args) ?? `${path} --help shows how it is used`;
  throw usageError(`unexpected "${word}": ${path} ${what}`, hint);
}

/** What such a word is elsewhere: a role of a cluster, a configuration, the name of a cluster. */
function asValue(word: string, { id, file, name }: ArgsDef): string | undefined {
  const [, number] = /^[a-z-]+\/(\d+)$/.exec(word) ?? [];
  if (id?.type === "integer" && number !== undefined) return `if that is the role, write --id ${number}`;
  if (file?.type === "string" && /[./]/.test(word)) return `if that is the configuration, write -f ${word}`;
  const isName = name?.type === "string" && /^[a-z]/i.test(word);
  return isName ? `if that is the name, write --name ${word}` : undefined;
}

/** As the manuals write module parameters: `id=0`. */
function asFlag(word: string, table: ReturnType<typeof spellings>): string | undefined {
  const [, name = "", value = ""] = /^([\w-]+)=(.*)$/.exec(word) ?? [];
  const flag = name === "" ? undefined : (table.get(dashed(name)) ?? table.get(dashed(name.toLowerCase())));
  if (flag === undefined) return undefined;
  const typed = dashed(kebab(flag.key));
  if (flag.arg.type !== "boolean") return `write ${typed} ${value}`;
  return FALSE_WORDS.includes(value.toLowerCase()) ? `write --no-${kebab(flag.key)}` : `write ${typed}`;
}

/** A word that starts with a dash is a value only when it is "-" or a number, which is refused for what it is. */
function looksLikeFlag(word: string, table: ReadonlyMap<string, unknown>): boolean {
  if (!word.startsWith("-") || word === "-") return false;
  return !NEGATIVE.test(word) || table.has(word.slice(0, 2));
}

function expects(typed: string, flag: Flag): string {
  if (flag.arg.type === "string") return `write ${typed} ${placeholder(flag.key, flag.arg)}`;
  return `${typed} takes ${form(flag.arg)}`;
}

function switchOf(typed: string, attached: string | undefined, negated: boolean): boolean {
  if (attached === undefined) return !negated;
  const word = attached.toLowerCase();
  if (!negated && TRUE_WORDS.includes(word)) return true;
  if (!negated && FALSE_WORDS.includes(word)) return false;
  throw noValue(typed, attached, negated);
}

function noValue(typed: string, value: string, negated: boolean): CliError {
  const hint = negated ? `write ${typed} alone` : `write ${typed} or ${typed.replace(/^--?/, "--no-")}`;
  return usageError(`${typed} is a switch and takes no value, got "${value}"`, hint);
}

function unknownFlag(typed: string, table: ReturnType<typeof spellings>, path: string): CliError {
  const flags = [...table.keys(), "--help"].filter((f) => f.length > 2 && f === f.toLowerCase());
  const doubled = `-${typed}`;
  const word = typed.replace(/^-+/, "");
  const meant = [...table.values()].find(({ arg }) => arg.lookedForAs?.includes(word));
  const exact = meant === undefined ? undefined : dashed(kebab(meant.key));
  const near = exact ?? (table.has(doubled) ? doubled : (nearest(typed, flags) ?? flagWith(word, table)));
  return usageError(
    `unknown flag ${typed} for "${path}"`,
    near === undefined ? `${path} --help lists its flags` : `did you mean ${near}?`,
  );
}

/** The flag that takes this word, with it. */
function flagWith(word: string, table: ReturnType<typeof spellings>): string | undefined {
  for (const { key, arg } of table.values()) {
    const words = arg.type === "enum" ? arg.options : arg.type === "string" ? arg.listOf : undefined;
    if (words?.includes(word) === true) return `${dashed(kebab(key))} ${word}`;
  }
  return undefined;
}

function checkNumber(typed: string, text: string, arg: FlagArg & { type: "integer" | "number" }): number {
  const value = Number(text);
  const well =
    arg.type === "integer" ? /^-?\d+$/.test(text) && Number.isSafeInteger(value) : NUMBER.test(text);
  if (!well || value < (arg.min ?? -Infinity) || value > (arg.max ?? Infinity))
    throw badValue(typed, text, arg);
  return value;
}

function checkRange(typed: string, text: string, arg: FlagArg & { type: "range" }): Range {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (match === null) throw badValue(typed, text, arg);
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (first > last || first < (arg.min ?? 0) || last > (arg.max ?? Number.MAX_SAFE_INTEGER)) {
    throw badValue(typed, text, arg);
  }
  return { first, last };
}

function badValue(typed: string, text: string, arg: ArgDef): CliError {
  const options = arg.type === "enum" || arg.type === "positional" ? arg.options : undefined;
  const near = options === undefined ? undefined : nearest(text, options);
  return usageError(
    `${typed} expects ${form(arg)}, got "${text}"`,
    near === undefined ? undefined : `did you mean ${near}?`,
  );
}

function convert(typed: string, value: string | boolean, arg: FlagArg): ArgValue {
  if (typeof value === "boolean") return value;
  if (arg.type === "integer" || arg.type === "number") return checkNumber(typed, value, arg);
  if (arg.type === "range") return checkRange(typed, value, arg);
  if (arg.type === "enum" && !arg.options.includes(value)) throw badValue(typed, value, arg);
  return value;
}

/** The positionals by name, checked for number and options. */
function assign(words: readonly string[], args: ArgsDef, path: string): Map<string, ArgValue> {
  const named = new Map<string, ArgValue>();
  let used = 0;
  for (const [key, arg] of Object.entries(args)) {
    if (arg.type !== "positional") continue;
    const name = placeholder(key, arg);
    const taken = arg.repeat === true ? words.slice(used) : words.slice(used, used + 1);
    used += taken.length;
    if (taken.length === 0 && arg.required !== false && arg.default === undefined) {
      throw usageError(`${path} needs ${name}: ${arg.description}`, `${path} --help shows how it is used`);
    }
    for (const word of taken) {
      if (arg.options !== undefined && !arg.options.includes(word)) throw badValue(name, word, arg);
    }
    named.set(key, arg.repeat === true ? taken : (taken[0] ?? arg.default));
  }
  return named;
}

/** Of what was given only: what citty makes of each of its arguments takes time at every start. */
function cittyArgs(given: Iterable<string>): CittyArgsDef {
  const out: CittyArgsDef = {};
  for (const key of given) out[key] = { type: "string" };
  return out;
}

/** Checks and converts; `path` is the command as typed, for errors ("kpaxos run learner"). */
export function readArgs(words: readonly string[], args: ArgsDef, path: string): Record<string, ArgValue> {
  const sorted = sort(words, args, path);
  const plain: string[] = [];
  // Switches are known already, and citty would take a switch called no-device for the opposite of device.
  const texts = [...sorted.flags].filter(([, value]) => typeof value === "string");
  for (const [key, value] of texts) plain.push(`--${key}=${value}`);
  const given = texts.map(([key]) => key);
  const parsed = parseArgs([...plain, "--", ...sorted.positionals], cittyArgs(given));
  const values: Record<string, ArgValue> = {};
  for (const [key, arg] of Object.entries(args)) {
    if (arg.type === "positional") continue;
    const typed = sorted.flags.get(key);
    if (typed === undefined) {
      if (arg.required === true && arg.default === undefined) {
        throw usageError(
          `${path} needs --${kebab(key)}`,
          `--${kebab(key)} takes ${form(arg)}: ${arg.description}`,
        );
      }
      values[key] = arg.default;
      continue;
    }
    const value = typeof typed === "boolean" ? typed : String(parsed[key]);
    values[key] = convert(`--${kebab(key)}`, value, arg);
  }
  for (const [key, value] of assign(parsed._, args, path)) values[key] = value;
  return values;
}
