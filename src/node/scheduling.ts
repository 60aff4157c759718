/**
 * The setting `scheduling`: whether the turns of a process run at real-time priority. Those of equal priority do not preempt each
 * other, so a frame that wakes its receiver does not push its sender aside in the middle of a batch; and no ordinary process
 * keeps any of them waiting. Only the thread that runs the turns has it: the runtime's compilers and collectors stay ordinary.
 */
import { getPriority } from "node:os";
import type { Settings } from "../config/config.ts";
import { CliError, ExitCode } from "../error.ts";
import type { Log } from "../log.ts";
import { Policy, schedulingPolicy, setRealtime } from "../native/cpus.ts";

/** What a process wants that is nobody's but ours, unless told otherwise; of one that belongs to an application: nothing. */
function isWanted({ scheduling, busyPoll }: Settings, isOurs: boolean): boolean {
  if (scheduling !== "auto") return scheduling === "realtime";
  // Whoever started it with another policy or behind others meant it so; and a spinning thread would leave nobody anything.
  return isOurs && !busyPoll && schedulingPolicy() === Policy.other && getPriority() <= 0;
}

function isRealtime(): boolean {
  const policy = schedulingPolicy();
  return policy === Policy.fifo || policy === Policy.roundRobin || policy === Policy.deadline;
}

/** Processes for which this thread was made real-time: an application may contain several. The last one to end gives it back. */
let holders = 0;

/** Returns what undoes it. `isOurs`: the process runs for this program alone. */
export function schedule(settings: Settings, isOurs: boolean, log: Log): () => void {
  const nothing = (): void => {};
  if (!isWanted(settings, isOurs) || (holders === 0 && isRealtime())) return nothing;
  if (holders > 0 || setRealtime(true)) {
    holders++;
    log.info("turns run at real-time priority");
    return () => {
      if (--holders === 0) setRealtime(false);
    };
  }
  if (settings.scheduling === "realtime") {
    throw new CliError("scheduling realtime: this process may not", {
      exitCode: ExitCode.noPermission,
      hint: "run it as root, give the program CAP_SYS_NICE, or allow a real-time priority of 1 (ulimit -r)",
    });
  }
  log.info("turns run at ordinary priority: real-time needs CAP_SYS_NICE (scheduling normal asks for none)");
  return nothing;
}
