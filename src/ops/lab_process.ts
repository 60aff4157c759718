/**
 * A program that was started for a cluster: its output by lines, waiting for a line, and a bounded end.
 *
 * Invariants: output is kept up to a limit, the newest; `exited` resolves only after both streams were read to
 * their end; nothing here waits without a time limit except `exited`.
 */
import { CliError } from "../error.ts";
import type { LabChild } from "./child.ts";

const KEPT_LINES = 5000;
/** What is shown of a program's log when it disappoints. */
const TAIL_LINES = 15;

export interface ProcessOptions {
  /** Gets standard output as it comes; without it, lines are kept. */
  readonly onStdout?: (chunk: Uint8Array) => void;
}

export interface Ending {
  /** null: a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** It did not end in time and was killed. */
  readonly killed: boolean;
}

type Stream = "stdout" | "stderr";

interface Waiter {
  readonly stream: Stream;
  readonly pattern: RegExp;
  readonly found: (line: string) => void;
}

export class LabProcess {
  readonly name: string;
  readonly argv: readonly string[];
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  /** Resolves when it has ended and all its output was read. */
  readonly exited: Promise<Ending>;
  readonly #child: LabChild;
  readonly #waiters = new Set<Waiter>();
  #ended = false;
  #killed = false;

  constructor(name: string, argv: readonly string[], child: LabChild, options: ProcessOptions = {}) {
    this.name = name;
    this.argv = argv;
    this.#child = child;
    const { onStdout } = options;
    const reading = [
      onStdout === undefined ? this.#read(child.stdout, "stdout") : this.#feed(child.stdout, onStdout),
      this.#read(child.stderr, "stderr"),
    ];
    this.exited = Promise.all([child.exited, ...reading]).then(() => {
      this.#ended = true;
      const signal = child.signalCode === null ? null : String(child.signalCode);
      return { exitCode: child.exitCode, signal, killed: this.#killed };
    });
    // Whoever awaits `exited` gets a failure to read; that nobody awaits it yet is no failure.
    this.exited.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return !this.#ended && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last lines of its log, indented, to be shown with an error. */
  tail(lines: number = TAIL_LINES): string {
    const last = this.stderr.slice(-lines);
    return last.length === 0 ? "  (it logged nothing)" : last.map((line) => `  ${line}`).join("\n");
  }

  /** Resolves with the first line that matches, one already read included. */
  async waitForLine(pattern: RegExp, timeoutMs: number, stream: Stream = "stderr"): Promise<string> {
    const before = this[stream].find((line) => pattern.test(line));
    if (before !== undefined) return before;
    const { promise, resolve } = Promise.withResolvers<string>();
    const waiter: Waiter = { stream, pattern, found: resolve };
    this.#waiters.add(waiter);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((done) => {
      timer = setTimeout(() => done(undefined), timeoutMs);
    });
    try {
      const first = await Promise.race([promise, late, this.exited]);
      if (typeof first === "string") return first;
      const why =
        first === undefined ? `did not say ${pattern} within ${timeoutMs} ms` : `ended${how(first)}`;
      throw new CliError(`${this.name} ${why}; its log ends with:\n${this.tail()}`);
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  /** Waits until it says that it is ready. */
  async ready(timeoutMs = 10_000): Promise<void> {
    await this.waitForLine(/\bready\b/, timeoutMs);
  }

  kill(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(signal);
  }

  /** Waits for its end and kills it if that does not come in time. */
  async ending(timeoutMs: number): Promise<Ending> {
    const timer = setTimeout(() => {
      this.#killed = true;
      this.#child.kill("SIGKILL");
    }, timeoutMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(timeoutMs = 3000): Promise<Ending> {
    this.kill("SIGTERM");
    return await this.ending(timeoutMs);
  }

  async #feed(source: LabChild["stdout"], sink: (chunk: Uint8Array) => void): Promise<void> {
    if (!(source instanceof ReadableStream)) return;
    for await (const chunk of source) sink(chunk);
  }

  async #read(source: LabChild["stdout"], stream: Stream): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    await this.#feed(source, (chunk) => {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      this.#keep(lines, stream);
    });
    if (rest !== "") this.#keep([rest], stream);
  }

  #keep(lines: readonly string[], stream: Stream): void {
    const kept = this[stream];
    for (const line of lines) {
      kept.push(line);
      for (const waiter of this.#waiters) {
        if (waiter.stream === stream && waiter.pattern.test(line)) waiter.found(line);
      }
    }
    if (kept.length > 2 * KEPT_LINES) kept.splice(0, kept.length - KEPT_LINES);
  }
}

export function how(ending: Ending): string {
  if (ending.killed) return " only by SIGKILL";
  return ending.signal === null ? ` with exit code ${ending.exitCode}` : ` by ${ending.signal}`;
}
