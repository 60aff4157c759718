/**
 * The logs of a cluster's roles: the last lines, those of several roles in the order of their times, and what comes next.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { codeOf } from "../error.ts";
import { logPath, newestLog } from "./cluster_roles.ts";
import { type ClusterState, readState, type SeatState } from "./cluster_state.ts";

const CHUNK_BYTES = 64 * 1024;
const POLL_MS = 100;
const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z/;

interface Line {
  readonly time: string;
  readonly text: string;
}

interface Reading {
  readonly path: string;
  at: number;
  rest: string;
}

/** undefined: there is no such file (any more). */
function openLog(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Complete lines that came since the last call. A file that became shorter is read from its beginning. */
function readMore(reading: Reading): string[] {
  const file = openLog(reading.path);
  if (file === undefined) return [];
  try {
    const { size } = fstatSync(file);
    if (size < reading.at) reading.at = 0;
    const bytes = Buffer.alloc(size - reading.at);
    const count = readSync(file, bytes, 0, bytes.length, reading.at);
    reading.at += count;
    const lines = (reading.rest + bytes.toString("utf8", 0, count)).split("\n");
    reading.rest = lines.pop() ?? "";
    return lines;
  } finally {
    closeSync(file);
  }
}

/** The last lines of a file, read from its end. */
function lastLines(reading: Reading, count: number): string[] {
  const file = openLog(reading.path);
  if (file === undefined) return [];
  try {
    const { size } = fstatSync(file);
    let from = size;
    let bytes = Buffer.alloc(0);
    while (from > 0 && bytes.filter((byte) => byte === 0x0a).length <= count) {
      const next = Math.max(0, from - CHUNK_BYTES);
      const part = Buffer.alloc(from - next);
      readSync(file, part, 0, part.length, next);
      bytes = Buffer.concat([part, bytes]);
      from = next;
    }
    reading.at = size;
    const lines = bytes.toString().split("\n");
    reading.rest = lines.pop() ?? "";
    return count === 0 ? [] : lines.slice(-count);
  } finally {
    closeSync(file);
  }
}

/** A line that has no time of its own belongs to the one before it. */
function timed(lines: readonly string[]): Line[] {
  let time = "";
  return lines.map((text) => {
    time = TIME.exec(text)?.[0] ?? time;
    return { time, text };
  });
}

function merge(parts: readonly (readonly Line[])[]): string[] {
  const all = parts.flat();
  all.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  return all.map((line) => line.text);
}

export interface LogOptions {
  readonly seats: readonly SeatState[];
  readonly lines: number;
  readonly follow: boolean;
  readonly print: (line: string) => void;
}

/** Prints; with `follow`, until the cluster is removed. */
export async function showLogs(state: ClusterState, options: LogOptions): Promise<void> {
  const readings = options.seats.map((seat) => ({ path: logPath(state, seat), at: 0, rest: "" }));
  const before = merge(readings.map((reading) => timed(lastLines(reading, options.lines))));
  for (const line of options.lines === 0 ? [] : before.slice(-options.lines)) options.print(line);
  while (options.follow) {
    for (const line of merge(readings.map((reading) => timed(readMore(reading))))) options.print(line);
    if (readState(state.directory)?.token !== state.token) return;
    await Bun.sleep(POLL_MS);
  }
}

/** The last warning or error of a role since it was started; undefined when it has had none. */
export function lastTrouble(state: ClusterState, seat: SeatState): string | undefined {
  return newestLog(state, seat)
    .split("\n")
    .findLast((line) => /^\S+ (?:warn|error) |^error: /.test(line));
}
