/**
 * Collects diagnostics, so that one reading of a file names every fault; and writes them out.
 */
import type { Diagnostic, Origin } from "./config.ts";

/** `line` 0: not in a file; `file` then names the flag or variable. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export class Report {
  readonly file: string;
  readonly #diagnostics: Diagnostic[] = [];

  constructor(file: string) {
    this.file = file;
  }

  at(line: number, column: number): Place {
    return { file: this.file, line, column };
  }

  error(place: Place, message: string, hint?: string): void {
    this.#diagnostics.push({ severity: "error", ...place, message, hint });
  }

  warning(place: Place, message: string, hint?: string): void {
    this.#diagnostics.push({ severity: "warning", ...place, message, hint });
  }

  /** In the order of the file; what comes from flags and variables last. */
  diagnostics(): Diagnostic[] {
    const rank = (d: Diagnostic) => (d.line === 0 ? Number.MAX_SAFE_INTEGER : d.line);
    return this.#diagnostics.toSorted((a, b) => rank(a) - rank(b) || a.column - b.column);
  }
}

/** `paxos.conf:3:12: error: bad MAC address "aa:bb"` and, on a second line, the hint. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, severity, message, hint } = diagnostic;
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  const head = `${place}: ${severity}: ${message}`;
  const text = hint === undefined ? [head] : [head, `  hint: ${hint}`];
  // Words of the file stand in both: none of them may steer a terminal.
  return text.map((line) => line.replace(/\p{Cc}/gu, "?")).join("\n");
}

export function formatOrigin(origin: Origin, file: string): string {
  switch (origin.from) {
    case "default":
      return origin.like === undefined ? "default" : `default: that of ${origin.like}`;
    case "file":
      return `${file}:${origin.line}`;
    case "environment":
      return origin.variable;
    case "flag":
      return origin.flag;
  }
}
