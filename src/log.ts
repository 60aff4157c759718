/**
 * Logs: what a process tells its operator, on standard error, never on standard out (that is data).
 *
 * May be called synchronously from the node loop at any time: lines wait until consola is loaded (it costs 25 ms
 * and is imported with the first line only), and are written plainly if the process ends first. Verbosity `error`
 * lets errors and warnings through, `info` and `debug` more, `quiet` nothing. On a terminal consola draws; anywhere
 * else each line is `TIME LEVEL PREFIX: MESSAGE`, without colour. What can happen per frame goes through `once`.
 */
import { writeSync } from "node:fs";
import type { Verbosity } from "./config/config.ts";
import { standardError, streamsAreEnding } from "./streams.ts";

export type LogLevel = "error" | "warn" | "info" | "debug";
/** A function is called only when the line is really written. */
export type LogText = string | (() => string);

export interface Log {
  readonly verbosity: Verbosity;
  enabled(level: LogLevel): boolean;
  error(text: LogText): void;
  warn(text: LogText): void;
  info(text: LogText): void;
  debug(text: LogText): void;
  /**
   * Writes at most once per `everyMs` for one `key`; the next line that gets through says how many did not. The
   * keys are bounded: the one not heard for longest is forgotten first.
   */
  once(key: string, level: LogLevel, text: LogText, everyMs?: number): void;
  /** The same log with another prefix. */
  withPrefix(prefix: string): Log;
}

export interface LogRecord {
  readonly level: LogLevel;
  readonly prefix: string;
  readonly message: string;
  readonly atMs: number;
}
export type Sink = (record: LogRecord) => void;

const RANK: Readonly<Record<LogLevel | "quiet", number>> = { quiet: 0, error: 1, warn: 1, info: 2, debug: 3 };
/** Above what a start-up says before the sink is there; what does not fit is counted and said. */
const WAITING_LINES = 1000;
const STANDARD_ERROR = 2;
const ONCE_KEYS = 1024;
const ONCE_EVERY_MS = 60_000;

/** One line as it stands in a file or a journal. Control characters of foreign text cannot forge a line. */
export function plainLine(record: LogRecord): string {
  const where = record.prefix === "" ? "" : `${record.prefix}: `;
  return `${new Date(record.atMs).toISOString()} ${record.level} ${where}${printable(record.message)}`;
}

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) =>
    c === "\n" ? "\n  " : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** The process's sink: loads consola with the first record. */
class ConsolaSink {
  readonly #waiting: LogRecord[] = [];
  #lost = 0;
  #state: "idle" | "loading" | "ready" = "idle";
  #write: Sink = writePlainly;

  readonly take: Sink = (record) => {
    if (this.#state === "ready") {
      this.#write(record);
      return;
    }
    if (this.#waiting.length < WAITING_LINES) this.#waiting.push(record);
    else this.#lost++;
    if (this.#state === "loading") return;
    this.#state = "loading";
    process.once("exit", () => {
      this.#write = writeLate;
      this.#drain();
    });
    loadSink().then(
      (write) => {
        this.#write = write;
        this.#ready();
      },
      (error: unknown) => {
        // Without consola the lines are plain, which is all that is lost.
        this.#ready();
        const message = `the terminal log cannot be loaded: ${String(error)}`;
        this.take({ level: "error", prefix: "log", message, atMs: Date.now() });
      },
    );
  };

  #ready(): void {
    this.#state = "ready";
    // A short command ends before consola is there.
    if (streamsAreEnding()) this.#write = writeLate;
    this.#drain();
  }

  #drain(): void {
    for (const record of this.#waiting.splice(0)) this.#write(record);
    if (this.#lost === 0) return;
    const message = `${this.#lost} lines were logged before the log was ready and are lost`;
    this.#lost = 0;
    this.#write({ level: "error", prefix: "log", message, atMs: Date.now() });
  }
}

function writePlainly(record: LogRecord): void {
  standardError().write(`${plainLine(record)}\n`);
}

/** At exit the stream may be closed; the descriptor is not. */
function writeLate(record: LogRecord): void {
  try {
    writeSync(STANDARD_ERROR, `${plainLine(record)}\n`);
  } catch {
    // Its reader has gone: nobody is left to tell, and the exit code stays what it is.
  }
}

/** Throttling is off in consola: dropping a line because it resembles the last one is for `once` to decide. */
async function loadSink(): Promise<Sink> {
  const options = {
    stdout: standardError(),
    stderr: standardError(),
    throttle: 0,
    throttleMin: 1_000_000,
    level: 5,
  };
  const { TERM, NO_COLOR = "" } = process.env;
  const terminal = standardError().isTTY === true && TERM !== "dumb";
  if (terminal && NO_COLOR === "") {
    const { createConsola } = await import("consola");
    const consola = createConsola(options);
    return (record) =>
      consola[record.level](record.prefix === "" ? record.message : `${record.prefix}: ${record.message}`);
  }
  const { createConsola } = await import("consola/core");
  let now: LogRecord | undefined;
  const reporter = { log: () => now !== undefined && writePlainly(now) };
  const consola = createConsola({ ...options, reporters: [reporter] });
  return (record) => {
    now = record;
    consola[record.level](record.message);
  };
}

let processSink: ConsolaSink | undefined;

interface Heard {
  untilMs: number;
  hidden: number;
}

class LevelLog implements Log {
  readonly verbosity: Verbosity;
  readonly #prefix: string;
  readonly #sink: Sink;
  readonly #nowMs: () => number;
  readonly #heard: Map<string, Heard>;

  constructor(
    verbosity: Verbosity,
    prefix: string,
    sink: Sink,
    nowMs: () => number,
    heard: Map<string, Heard>,
  ) {
    this.verbosity = verbosity;
    this.#prefix = prefix;
    this.#sink = sink;
    this.#nowMs = nowMs;
    this.#heard = heard;
  }

  enabled(level: LogLevel): boolean {
    return RANK[level] <= RANK[this.verbosity];
  }

  error(text: LogText): void {
    this.#write("error", text, 0);
  }
  warn(text: LogText): void {
    this.#write("warn", text, 0);
  }
  info(text: LogText): void {
    this.#write("info", text, 0);
  }
  debug(text: LogText): void {
    this.#write("debug", text, 0);
  }

  once(key: string, level: LogLevel, text: LogText, everyMs: number = ONCE_EVERY_MS): void {
    if (!this.enabled(level)) return;
    const nowMs = this.#nowMs();
    const name = `${this.#prefix}\n${key}`;
    const heard = this.#heard.get(name);
    if (heard !== undefined && nowMs < heard.untilMs) {
      heard.hidden++;
      return;
    }
    this.#heard.delete(name);
    if (this.#heard.size >= ONCE_KEYS) {
      for (const oldest of this.#heard.keys()) {
        this.#heard.delete(oldest);
        break;
      }
    }
    this.#heard.set(name, { untilMs: nowMs + everyMs, hidden: 0 });
    this.#write(level, text, heard?.hidden ?? 0);
  }

  withPrefix(prefix: string): Log {
    return new LevelLog(this.verbosity, prefix, this.#sink, this.#nowMs, this.#heard);
  }

  #write(level: LogLevel, text: LogText, hidden: number): void {
    if (!this.enabled(level)) return;
    const said = typeof text === "string" ? text : text();
    const message = hidden === 0 ? said : `${said} (and ${hidden} more times since this was last said)`;
    this.#sink({ level, prefix: this.#prefix, message, atMs: this.#nowMs() });
  }
}

/** `prefix` names the speaker: "acceptor 0". Sink and clock are for tests. */
export function createLog(
  verbosity: Verbosity,
  prefix = "",
  options: { readonly sink?: Sink; readonly nowMs?: () => number } = {},
): Log {
  if (options.sink === undefined) processSink ??= new ConsolaSink();
  const sink = options.sink ?? processSink!.take;
  return new LevelLog(verbosity, prefix, sink, options.nowMs ?? Date.now, new Map());
}
