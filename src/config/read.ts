/**
 * Reads a `paxos.conf` from disk. The only part of the configuration that touches the file system and the process's
 * environment; a file with errors is a `CliError` that holds all of them.
 */
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { CliError, codeOf, ExitCode, isDenied, messageOf } from "../error.ts";
import type { Config, Diagnostic } from "./config.ts";
import { type Overrides, type ParseResult, parseConfig } from "./parse.ts";
import { formatDiagnostic } from "./report.ts";

/** Far beyond any cluster: a log or a disk given by mistake is not read to its end. */
const MAX_FILE_BYTES = 1 << 20;

/** `env` is the process's own unless given. The caller reports `warnings` of the result. */
export function readConfig(path: string, overrides: Overrides = {}): Config {
  const { config, diagnostics } = readDiagnosed(path, overrides);
  if (config === undefined) throw configError(path, diagnostics);
  return config;
}

/** As `readConfig`, but returns the errors of the file; only a file that cannot be read is thrown. */
export function readDiagnosed(path: string, overrides: Overrides = {}): ParseResult {
  return parseConfig(readText(path), path, { env: process.env, ...overrides });
}

/** All diagnostics as one error. Errors of flags alone are errors of usage, not of the configuration. */
export function configError(path: string, diagnostics: readonly Diagnostic[]): CliError {
  const errors = diagnostics.filter((d) => d.severity === "error");
  const inFile = errors.filter((d) => d.line > 0).length;
  const total = `${errors.length} error${errors.length === 1 ? "" : "s"}`;
  const head = inFile > 0 ? `${path} has ${total}` : `${total} in the settings given beside ${path}`;
  const body = diagnostics.map(formatDiagnostic).join("\n");
  const isUsage = errors.every((d) => d.line === 0 && d.file.startsWith("--"));
  return new CliError(`${head}\n${body}`, { exitCode: isUsage ? ExitCode.usage : ExitCode.config });
}

function readText(path: string): string {
  try {
    const stats = statSync(path);
    if (stats.isDirectory())
      throw unreadable(path, "it is a directory", `name the file, as in -f ${path}/paxos.conf`);
    if (stats.size > MAX_FILE_BYTES) {
      throw unreadable(
        path,
        `it has ${stats.size} bytes, more than ${MAX_FILE_BYTES}`,
        "is it the right file?",
      );
    }
    return decode(stats.isFile() ? readFileSync(path) : readStream(path));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw readError(path, error);
  }
}

/** Of a pipe or a device, whose size nobody knows before its end. */
function readStream(path: string): Uint8Array {
  const bytes = new Uint8Array(MAX_FILE_BYTES + 1);
  const fd = openSync(path, "r");
  try {
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(fd, bytes, length, bytes.length - length, null);
    if (length > MAX_FILE_BYTES)
      throw unreadable(path, `it has more than ${MAX_FILE_BYTES} bytes`, "is it the right file?");
    return bytes.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

function unreadable(path: string, why: string, hint: string, cause?: unknown): CliError {
  return new CliError(`cannot read ${path}: ${why}`, { exitCode: ExitCode.config, hint, cause });
}

function readError(path: string, error: unknown): CliError {
  const code = codeOf(error);
  if (code === "ENOENT" || code === "ENOTDIR") {
    const hint =
      "name it with -f FILE. The smallest one has three lines: acceptor 0 127.0.0.1 8800, proposer 0 127.0.0.1 8801, " +
      "learner 0 127.0.0.1 8802 (raw Ethernet: a MAC address instead of address and port)";
    return unreadable(path, "there is no such file", hint, error);
  }
  if (isDenied(error)) {
    return new CliError(`cannot read ${path}: permission denied`, {
      exitCode: ExitCode.noPermission,
      hint: `make it readable: chmod a+r ${path} (and its directories searchable)`,
      cause: error,
    });
  }
  const why = messageOf(error);
  return unreadable(path, why, "it must be a text file that this user can read", error);
}
