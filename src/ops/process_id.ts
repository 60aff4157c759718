/**
 * Which process a pid meant when it was written down: pid, start time and boot together name one process for ever, so
 * that a pid the kernel gave to somebody else is never signalled. Also finds processes by a token in their environment.
 */
import { readdirSync } from "node:fs";
import { codeOf } from "../error.ts";
import { readProc, readStat } from "./proc.ts";

export interface ProcessId {
  readonly pid: number;
  /** Clock ticks from boot to its start, as /proc has it. */
  readonly start: string;
  readonly boot: string;
}

export type ProcessState = "running" | "stopped" | "dead";

let boot: string | undefined;

function bootId(): string {
  boot ??= readProc("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  return boot;
}

/** State letter and start time. */
function statOf(pid: number): { readonly state: string; readonly start: string } | undefined {
  const field = readStat(`/proc/${pid}/stat`);
  return field === undefined ? undefined : { state: field(3), start: field(22) };
}

/** Names the process that has this pid now; one that has ended already gets a name that is never alive. */
export function identify(pid: number): ProcessId {
  return { pid, start: statOf(pid)?.start ?? "ended", boot: bootId() };
}

export function stateOf(id: ProcessId): ProcessState {
  if (id.boot !== bootId()) return "dead";
  const stat = statOf(id.pid);
  if (stat === undefined || stat.start !== id.start || stat.state === "Z" || stat.state === "X")
    return "dead";
  return stat.state === "T" ? "stopped" : "running";
}

export function isAlive(id: ProcessId | undefined): boolean {
  return id !== undefined && stateOf(id) !== "dead";
}

/** Sends a signal to that very process; false when it has ended. */
export function signal(id: ProcessId, name: NodeJS.Signals): boolean {
  if (!isAlive(id)) return false;
  try {
    process.kill(id.pid, name);
    return true;
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false;
    throw error;
  }
}

/** Whether it has a handler for SIGTERM: a role installs its own when it is ready, and Bun alone has none. */
export function handlesTerm(id: ProcessId): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readProc(`/proc/${id.pid}/status`) ?? "")?.[1];
  return isAlive(id) && caught !== undefined && (Number.parseInt(caught.slice(-4), 16) & 0x4000) !== 0;
}

/** Processes other than this one whose environment has this very line. */
export function processesWith(line: string): ProcessId[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((entry) => readProc(`/proc/${entry}/environ`)?.split("\0").includes(line) === true)
    .map((entry) => identify(Number(entry)));
}
