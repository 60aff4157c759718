/**
 * What happened, for people: every message that a process heard, with its fields by name, and what was done to the hosts. The
 * last lines are kept; all of them can go to a file as well.
 */
import type { Log, LogText } from "../log.ts";

export interface TraceOptions {
  readonly keep: number;
  /** Takes every line. */
  readonly write?: (line: string) => void;
}

export class Trace {
  readonly #options: TraceOptions;
  readonly #lines: string[] = [];
  #next = 0;

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  add(nowUs: number, who: string, text: string): void {
    const line = `${(nowUs / 1000).toFixed(3).padStart(12)} ms  ${who.padEnd(12)} ${text}`;
    this.#options.write?.(line);
    if (this.#lines.length < this.#options.keep) this.#lines.push(line);
    else this.#lines[this.#next++ % this.#options.keep] = line;
  }

  /** The last lines, oldest first. */
  lines(): string[] {
    const from = this.#next % this.#options.keep;
    return [...this.#lines.slice(from), ...this.#lines.slice(0, from)];
  }
}

/** A log whose lines go to the trace. */
export function traceLog(add: (text: string) => void): Log {
  const line = (text: LogText): void => add(typeof text === "string" ? text : text());
  const log: Log = {
    verbosity: "debug",
    enabled: () => true,
    error: line,
    warn: line,
    info: line,
    debug: line,
    once: (_key, _level, text) => line(text),
    withPrefix: () => log,
  };
  return log;
}
