/**
 * The help text of a command, from its definition: examples first, then usage, words, flags. Returns text only.
 */
import { dashed, kebab, placeholder } from "./args.ts";
import { type ArgDef, aliasesOf, describe, type FlagArg, type KpaxosCommand } from "./command.ts";
import { PLAIN, type Style, wrap } from "./style.ts";

const INDENT = "  ";
/** Left columns wider than this put their text on the next line. */
const MAX_LEFT = 30;

type Row = readonly [left: string, right: string];

function rows(list: readonly Row[], style: Style): string[] {
  const left = Math.min(MAX_LEFT, Math.max(0, ...list.map(([l]) => l.length)));
  const margin = INDENT.length + left + 2;
  const out: string[] = [];
  for (const [name, text] of list) {
    const lines = wrap(text, Math.max(24, style.width - margin));
    const head = `${INDENT}${name}`;
    if (name.length > left) out.push(head);
    else out.push(`${head.padEnd(margin)}${lines.shift() ?? ""}`.trimEnd());
    for (const line of lines) out.push(" ".repeat(margin) + line);
  }
  return out;
}

/** `-f, --file FILE`. */
function flagUsage(key: string, arg: FlagArg): string {
  const names = [...aliasesOf(arg).map(dashed), dashed(kebab(key))].sort((a, b) => a.length - b.length);
  const switches = names.map((n) =>
    arg.type === "boolean" && arg.default === true && n.startsWith("--") ? `--[no-]${n.slice(2)}` : n,
  );
  const value = arg.type === "boolean" ? "" : ` ${placeholder(key, arg)}`;
  return switches.join(", ") + value;
}

/** The description with default and limits. */
export function flagText(arg: ArgDef): string {
  const facts: string[] = [];
  if (arg.type === "integer" || arg.type === "number" || arg.type === "range") {
    if (arg.min !== undefined && arg.max !== undefined) facts.push(`${arg.min} to ${arg.max}`);
  }
  if (arg.type === "positional" && arg.options !== undefined) facts.push(arg.options.join(", "));
  if (arg.type !== "positional" && arg.required === true) facts.push("required");
  if (arg.default !== undefined && arg.default !== false) facts.push(`default ${defaultText(arg.default)}`);
  return facts.length === 0 ? arg.description : `${arg.description} (${facts.join("; ")})`;
}

function defaultText(value: NonNullable<ArgDef["default"]>): string {
  if (typeof value === "object")
    return value.first === value.last ? `${value.first}` : `${value.first}-${value.last}`;
  return value === true ? "yes" : String(value);
}

function wordUsage(key: string, arg: ArgDef): string {
  return placeholder(key, arg) + (arg.type === "positional" && arg.repeat === true ? "…" : "");
}

/** `kpaxos frame decode [HEX] [flags]`. */
function usageLine(command: KpaxosCommand, path: string): string {
  const words = [path];
  for (const [key, arg] of Object.entries(command.args)) {
    if (arg.type !== "positional") continue;
    const name = wordUsage(key, arg);
    words.push(arg.required === false || arg.default !== undefined ? `[${name}]` : name);
  }
  if (Object.keys(command.subCommands).length > 0)
    words.push(command.run === undefined ? "COMMAND" : "[COMMAND]");
  words.push("[flags]");
  return words.join(" ");
}

export function helpText(command: KpaxosCommand, path: string, style: Style = PLAIN): string {
  const out: string[] = [...wrap(`${path}: ${command.meta.description}`, style.width)];
  const section = (title: string, lines: readonly string[]): void => {
    if (lines.length > 0) out.push("", style.bold(`${title}:`), ...lines);
  };
  section("Examples", examples(command, style));
  section("Usage", [INDENT + usageLine(command, path)]);
  const subCommands = Object.entries(command.subCommands).map(([n, c]): Row => [n, describe(c)]);
  section("Commands", rows(subCommands, style));
  const args = Object.entries(command.args);
  const positionals = args.filter(([, a]) => a.type === "positional");
  section(
    "Words",
    rows(
      positionals.map(([k, a]): Row => [wordUsage(k, a), flagText(a)]),
      style,
    ),
  );
  const flags = (settings: boolean): Row[] =>
    args.flatMap(([k, a]): Row[] =>
      a.type === "positional" || (a.isSetting === true) !== settings ? [] : [[flagUsage(k, a), flagText(a)]],
    );
  section("Flags", rows([...flags(false), ["-h, --help", "show this help"]], style));
  section("Settings of paxos.conf as flags", rows(flags(true), style));
  for (const note of command.meta.notes ?? []) out.push("", ...wrap(note, style.width));
  if (subCommands.length > 0) out.push("", `${path} COMMAND --help says more about a command.`);
  return `${out.join("\n")}\n`;
}

function examples(command: KpaxosCommand, style: Style): string[] {
  const list = command.meta.examples ?? [];
  const widest = Math.max(0, ...list.map((e) => e.command.length));
  if (INDENT.length + widest + 2 + 24 <= style.width) {
    return rowsOf(
      list.map((e): Row => [e.command, e.what]),
      widest,
      style,
    );
  }
  return list.flatMap((e) => [`${INDENT}${style.dim(`# ${e.what}`)}`, `${INDENT}${e.command}`]);
}

function rowsOf(list: readonly Row[], left: number, style: Style): string[] {
  return list.map(([l, r]) => `${INDENT}${l.padEnd(left + 2)}${style.dim(`# ${r}`)}`);
}
