/**
 * The setting `scheduling`: whether a process runs at real-time priority. Those of equal priority do not preempt each other, so a
 * frame that wakes its receiver does not push its sender aside in the middle of a batch; and no ordinary process keeps any of
 * them waiting. All threads have it: compilers and collectors that wait for a processor would keep the turns waiting.
 */
import type { Settings } from "../config/config.ts";
import { CliError, ExitCode } from "../error.ts";
import { Policy, schedulingPolicy, setRealtime } from "../native/cpus.ts";

function isRealtime(): boolean {
  const policy = schedulingPolicy();
  return policy === Policy.fifo || policy === Policy.roundRobin || policy === Policy.deadline;
}

/** Nodes for which this process was made real-time: an application may contain several. The last one to end gives it back. */
let holders = 0;

/** Returns what undoes it. Whoever started the process at another real-time priority meant it so. */
export function schedule({ scheduling }: Settings): () => void {
  if (scheduling === "normal" || (holders === 0 && isRealtime())) return () => {};
  if (holders === 0 && !setRealtime(true)) {
    throw new CliError("scheduling realtime: this process may not", {
      exitCode: ExitCode.noPermission,
      hint: "run it as root, give the program CAP_SYS_NICE, or allow a real-time priority of 1 (ulimit -r)",
    });
  }
  holders++;
  return () => {
    if (--holders === 0) setRealtime(false);
  };
}
