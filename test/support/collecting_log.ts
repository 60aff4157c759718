/**
 * A log that keeps its lines.
 */
import type { Log, LogLevel, LogText } from "../../src/log.ts";

export interface Line {
  readonly level: LogLevel;
  readonly message: string;
}

export function collectingLog(): { readonly log: Log; readonly lines: Line[] } {
  const lines: Line[] = [];
  const add = (level: LogLevel, text: LogText): void => {
    lines.push({ level, message: typeof text === "string" ? text : text() });
  };
  const log: Log = {
    verbosity: "debug",
    enabled: () => true,
    error: (text) => add("error", text),
    warn: (text) => add("warn", text),
    info: (text) => add("info", text),
    debug: (text) => add("debug", text),
    once: (_key, level, text) => add(level, text),
    withPrefix: () => log,
  };
  return { log, lines };
}
