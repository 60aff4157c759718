/**
 * From the words of a command line to an exit code: finds the command, answers --help, checks the arguments, runs,
 * and turns whatever is thrown into "error:" and "hint:" on standard error. Prints data nowhere else than stdout,
 * and sets no exit code: that is main.ts.
 */
import { CliError, codeOf, ExitCode, messageOf } from "../error.ts";
import { standardError, standardOutput } from "../streams.ts";
import { nearest } from "../text/nearest.ts";
import { readArgs, usageError } from "./args.ts";
import { type ArgsDef, aliasesOf, type KpaxosCommand, resolveCommand } from "./command.ts";
import { styleFor } from "./style.ts";

export interface Invocation {
  readonly command: KpaxosCommand;
  /** "kpaxos run learner". */
  readonly path: string;
  /** What is left for the command. */
  readonly words: readonly string[];
}

/** Follows the subcommands that `words` name. */
export async function findCommand(root: KpaxosCommand, words: readonly string[]): Promise<Invocation> {
  let command = root;
  let path = root.meta.name;
  let at = 0;
  for (; at < words.length; at++) {
    const names = Object.keys(command.subCommands);
    const word = words[at]!;
    if (names.length === 0 || word.startsWith("-")) break;
    const found = Object.hasOwn(command.subCommands, word) ? command.subCommands[word] : undefined;
    if (found === undefined) {
      if (command.run !== undefined && takesWords(command.args)) break;
      throw unknownCommand(word, names, path);
    }
    command = await resolveCommand(found);
    path = `${path} ${word}`;
  }
  return { command, path, words: words.slice(at) };
}

function takesWords(args: ArgsDef): boolean {
  return Object.values(args).some((arg) => arg.type === "positional");
}

function unknownCommand(word: string, names: readonly string[], path: string): CliError {
  const near = nearest(word, names);
  return usageError(
    `unknown command "${word}" for "${path}"`,
    near === undefined ? `commands: ${names.join(", ")}` : `did you mean ${path} ${near}?`,
  );
}

function asksHelp(words: readonly string[], args: ArgsDef): boolean {
  const end = words.indexOf("--");
  const ours = end < 0 ? words : words.slice(0, end);
  const taken = Object.values(args).some((arg) => aliasesOf(arg).includes("h"));
  return ours.includes("--help") || (!taken && ours.includes("-h"));
}

/** Runs; throws what the command throws. */
export async function dispatch(root: KpaxosCommand, argv: readonly string[]): Promise<ExitCode> {
  const words = argv[0] === "help" ? [...argv.slice(1), "--help"] : argv;
  const { command, path, words: rest } = await findCommand(root, words);
  if (asksHelp(rest, command.args)) {
    await showHelp(standardOutput(), command, path);
    return ExitCode.ok;
  }
  if (command.run === undefined || argv.length === 0) {
    // Flags in front of the command, or no command at all.
    if (rest.length > 0)
      throw usageError(`unknown flag ${rest[0]} for "${path}"`, "flags follow the command");
    await showHelp(standardError(), command, path);
    return ExitCode.usage;
  }
  return (await command.run(readArgs(rest, command.args, path), rest)) ?? ExitCode.ok;
}

async function showHelp(to: NodeJS.WriteStream, command: KpaxosCommand, path: string): Promise<void> {
  const { helpText } = await import("./help.ts");
  to.write(helpText(command, path, styleFor(to, process.env)));
}

/** What the system has no more of: wherever that shows first, it is no bug. */
const WANTING: Readonly<Record<string, string>> = {
  ENOSPC: "free space on that file system, or name another: TMPDIR, --dir, device-directory, storage-path",
  EDQUOT: "this user's quota is used up on that file system: free space there",
  EMFILE: "this process may open more files after: ulimit -n 4096",
  ENFILE: "the system has too many open files: end programs, or raise fs.file-max",
  ENOMEM: "the system gives no more memory: end programs, or raise the limit of this one",
  EAGAIN: "the system gives no more processes or threads: end programs, or raise ulimit -u",
};

/** Says on standard error what went wrong; returns the exit code that says the same. */
export function report(error: unknown): ExitCode {
  const style = styleFor(standardError(), process.env);
  const lines: string[] = [];
  if (error instanceof CliError) {
    lines.push(`${style.red("error:")} ${error.message}`);
    if (error.hint !== undefined) lines.push(`${style.bold("hint:")} ${error.hint}`);
    if (debugging()) lines.push(stackOf(error));
  } else {
    lines.push(`${style.red("error:")} ${messageOf(error)}`);
    const wanting = WANTING[codeOf(error)];
    if (wanting !== undefined) lines.push(`${style.bold("hint:")} ${wanting}`);
    else lines.push("this is a bug in kpaxos; please report it with the output of kpaxos --version");
    if (debugging()) lines.push(stackOf(error));
    else if (wanting === undefined) lines.push("set KPAXOS_DEBUG=1 to see where it happened");
  }
  standardError().write(`${lines.join("\n")}\n`);
  return error instanceof CliError ? error.exitCode : ExitCode.failure;
}

function debugging(): boolean {
  return (process.env.KPAXOS_DEBUG ?? "") !== "" && process.env.KPAXOS_DEBUG !== "0";
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return "(no stack: what was thrown is not an Error)";
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\ncaused by: ${stackOf(error.cause)}`;
}
