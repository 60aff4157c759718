/**
 * What the programs of this folder have in common: their flags and what is wrong with them, the program that they measure, how
 * they end, rows of a Markdown table. A flag that nobody knows is an error that names those there are.
 */
import { existsSync, rmSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { stoppable } from "../../src/cli/stoppable.ts";
import { CliError, ExitCode } from "../../src/error.ts";
import { makeOwnDirectory } from "../../src/ops/own_directory.ts";

const EXECUTABLE = join(import.meta.dir, "../../dist/kpaxos");
const MAIN = join(import.meta.dir, "../../src/main.ts");

/** The flag of those that measure a program: dist/kpaxos where it is built, else src/main.ts. */
export const MAIN_FLAG = {
  main: { type: "string", default: existsSync(EXECUTABLE) ? EXECUTABLE : MAIN },
} as const;

type Flags = NonNullable<ParseArgsConfig["options"]>;
type Values<T extends Flags> = ReturnType<typeof parseArgs<{ options: T; allowNegative: true }>>["values"];

export function usageError(message: string, hint: string): CliError {
  return new CliError(message, { exitCode: ExitCode.usage, hint });
}

/** One line: each flag with its default. */
function usageOf(flags: Flags): string {
  const words = Object.entries(flags).map(([name, { type, multiple, default: usual }]) => {
    if (type === "boolean") return usual === true ? `[--no-${name}]` : `[--${name}]`;
    const value = typeof usual === "string" && /^[\w.,-]+$/.test(usual) ? usual : "…";
    return `[--${name} ${value}]${multiple === true ? "…" : ""}`;
  });
  return ["bun", relative(process.cwd(), Bun.main), ...words].join(" ");
}

/** The flags that were given, and the defaults of the others. */
export function flags<const T extends Flags>(
  options: T,
  args: readonly string[] = process.argv.slice(2),
): Values<T> {
  try {
    return parseArgs({ args: [...args], options, allowNegative: true }).values;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw usageError(why, usageOf(options));
  }
}

export function number(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && Number.isFinite(value)) return value;
  throw usageError(`--${flag}: ${JSON.stringify(text)} is no number above 0`, `for example --${flag} 1.5`);
}

export function whole(flag: string, text: string, least = 1): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= least) return value;
  const form = least === 0 ? "from 0 on" : `above ${least - 1}`;
  throw usageError(
    `--${flag}: ${JSON.stringify(text)} is no whole number ${form}`,
    `for example --${flag} ${Math.max(least, 3)}`,
  );
}

/** Numbers with commas between them. */
export function wholes(flag: string, text: string, least = 1): number[] {
  return text.split(",").map((one) => whole(flag, one, least));
}

/** How to start a program: the executable, or the src/main.ts of a checkout. */
export function commandOf(main: string = MAIN_FLAG.main.default): string[] {
  const path = resolve(main);
  if (!existsSync(path)) {
    throw usageError(
      `--main: there is no ${path}`,
      "it is a built kpaxos (npm run build makes dist/kpaxos) or the src/main.ts of a checkout",
    );
  }
  return path.endsWith(".ts") ? [process.execPath, path] : [path];
}

/** Ends a program that nobody reads any more (`| head`). */
class ReaderGone extends Error {}

let hasReader = true;

/** To standard output: data. Throws when its reader has gone, so that all that was begun is cleaned up. */
export function write(text: string): void {
  if (!hasReader) throw new ReaderGone("nobody reads standard output any more");
  process.stdout.write(text);
}

export function printRow(cells: readonly (string | number)[]): void {
  write(`| ${cells.join(" | ")} |\n`);
}

/** Runs `body`, which hears `stop`, with a directory that is gone afterwards, also when a signal ends it. */
export async function inOwnDirectory(
  body: (directory: string, stop: AbortSignal) => Promise<void>,
): Promise<void> {
  await stoppable(async (stop) => {
    const directory = makeOwnDirectory();
    try {
      await body(directory, stop);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

/** Runs the program; what it throws is told, and makes the exit code. */
export async function script(main: () => void | Promise<void>): Promise<void> {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    hasReader = false;
    if (error.code !== "EPIPE") tell(new Error(`cannot write to standard output: ${error.message}`));
  });
  // What is told of progress needs no reader.
  process.stderr.on("error", () => undefined);
  try {
    await main();
  } catch (error) {
    if (!(error instanceof ReaderGone)) tell(error);
  }
}

function tell(error: unknown): void {
  const isOurs = error instanceof CliError;
  const hint = isOurs && error.hint !== undefined ? `hint: ${error.hint}\n` : "";
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${hint}`);
  process.exitCode = isOurs ? error.exitCode : ExitCode.failure;
}
