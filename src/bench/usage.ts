/**
 * What processes use: processor time, memory, and frames of their hosts, read from /proc.
 */
import { readlinkSync } from "node:fs";
import { ifThere, readProc, readStat } from "../ops/proc.ts";

/** Clock ticks of /proc are hundredths of a second on every machine. */
const TICK_SECONDS = 0.01;
const KIB = 1024;

export interface Watched {
  readonly name: string;
  readonly pid: number;
}

export interface Sample {
  readonly atMs: number;
  readonly cpu: ReadonlyMap<string, { readonly user: number; readonly system: number }>;
  /** Frames sent by each host, by its network namespace; undefined: not known. */
  readonly frames: ReadonlyMap<string, number> | undefined;
}

/** Seconds of processor time of all threads that there ever were, or of one. */
export function cpuOf(
  pid: number,
  thread?: number,
): { readonly user: number; readonly system: number } | undefined {
  const field = readStat(`/proc/${pid}/${thread === undefined ? "" : `task/${thread}/`}stat`);
  if (field === undefined) return undefined;
  return { user: Number(field(14)) * TICK_SECONDS, system: Number(field(15)) * TICK_SECONDS };
}

export function residentOf(pid: number): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(readProc(`/proc/${pid}/status`) ?? "")?.[1] ?? 0) * KIB;
}

/** How often a thread has slept, the first one unless told; 0: it has ended. */
export function wakeUpsOf(pid: number, thread = pid): number {
  const text = readProc(`/proc/${pid}/task/${thread}/status`) ?? "";
  return Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(text)?.[1] ?? 0);
}

/** Frames that the interfaces of a network namespace have sent, by the text of its /proc/net/dev. */
export function sentFrames(text: string, loopback: boolean): number {
  let frames = 0;
  for (const [, name, numbers] of text.matchAll(/^\s*(\S+):(.*)$/gm)) {
    if ((name === "lo") !== loopback) continue;
    frames += Number(numbers!.trim().split(/\s+/)[9] ?? 0);
  }
  return frames;
}

/** Of each namespace once. `loopback`: all of them talk over `lo`, of which there is one. */
function framesOf(pids: readonly number[], loopback: boolean): Map<string, number> {
  const frames = new Map<string, number>();
  for (const pid of pids) {
    const text = readProc(`/proc/${pid}/net/dev`);
    const namespace = ifThere(() => readlinkSync(`/proc/${pid}/ns/net`));
    if (text === undefined || namespace === undefined || frames.has(namespace)) continue;
    frames.set(namespace, sentFrames(text, loopback));
  }
  return frames;
}

/** Frames that all hosts sent between two samples; null: a host's last process had ended by the second. */
export function framesBetween({ frames: before }: Sample, { frames: after }: Sample): number | null {
  if (before === undefined || after === undefined) return null;
  let sum = 0;
  for (const [namespace, first] of before) {
    const last = after.get(namespace);
    if (last === undefined) return null;
    sum += last - first;
  }
  return sum;
}

export function sample(watched: readonly Watched[], onLoopback: boolean, isAll: boolean): Sample {
  const cpu = new Map<string, { user: number; system: number }>();
  for (const { name, pid } of watched) {
    const used = cpuOf(pid);
    if (used !== undefined) cpu.set(name, used);
  }
  const pids = watched.map(({ pid }) => pid);
  return { atMs: performance.now(), cpu, frames: isAll ? framesOf(pids, onLoopback) : undefined };
}
