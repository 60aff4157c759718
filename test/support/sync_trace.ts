/**
 * Judges a trace of an acceptor's system calls (`strace -ff -xx`): whatever a frame reveals was written to the storage's
 * files, and synced, before the call that sent it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The lines of the thread that opened the storage's file; undefined while strace still writes. */
export function calls(prefix: string, path: string): readonly string[] | undefined {
  const name = `${prefix.slice(dirname(prefix).length + 1)}.`;
  const opened = escaped(Buffer.from(path).toString("hex"));
  for (const file of readdirSync(dirname(prefix))) {
    if (!file.startsWith(name)) continue;
    const text = readFileSync(join(dirname(prefix), file), "latin1");
    if (text.includes(opened)) return text.includes("+++ exited") ? text.split("\n") : undefined;
  }
  return undefined;
}

/** Of what is not filled; no value has so many, and all that was synced is searched for each. */
const ZEROS = /(?:\\x00){32,}/g;

export interface Judgement {
  readonly sends: number;
  readonly syncs: number;
  /** Values that were sent. */
  readonly revealed: number;
  readonly early: readonly string[];
}

/** `values` in hex: what the acceptor accepted, each unlike all others. */
export function revealedTooEarly(
  lines: readonly string[],
  directory: string,
  values: readonly string[],
): Judgement {
  const wanted = new Map(values.map((value) => [value, escaped(value)]));
  const root = escaped(Buffer.from(`${directory}/`).toString("hex"));
  const storage = new Set<string>();
  /** By descriptor: what was written since the last sync. */
  const written = new Map<string, string>();
  const early: string[] = [];
  let synced = "";
  let sends = 0;
  let syncs = 0;
  for (const [at, line] of lines.entries()) {
    const call = /(\w+)\((.*)\)\s+= (-?\d+)/.exec(line);
    if (call === null) continue;
    const [, name, args, result] = call as unknown as [string, string, string, string];
    const fd = /^\d+/.exec(args)?.[0] ?? "";
    if (name === "openat") {
      if (args.includes(root)) storage.add(result);
      else storage.delete(result);
    } else if (name === "pwrite64" && storage.has(fd)) {
      written.set(fd, `${written.get(fd) ?? ""}${args.replace(ZEROS, " ")}`);
    } else if (name.endsWith("sync") && written.has(fd)) {
      synced += written.get(fd)!;
      written.delete(fd);
      syncs++;
    } else if (name.startsWith("send")) {
      sends++;
      for (const [value, bytes] of wanted) {
        if (!args.includes(bytes)) continue;
        wanted.delete(value);
        if (!synced.includes(bytes)) early.push(`${value} is revealed on line ${at + 1}`);
      }
      if (written.size > 0) early.push(`line ${at + 1} sends before a sync`);
    }
  }
  return { sends, syncs, revealed: values.length - wanted.size, early };
}

/** As `strace -xx` writes bytes. */
function escaped(hex: string): string {
  return hex.replace(/../g, "\\x$&");
}
