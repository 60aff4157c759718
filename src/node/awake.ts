/**
 * The setting `keep-awake`: while a process runs, idle processors of its host wait awake for work instead of halting, so that whoever
 * is woken does not wait for one to wake up first. The kernel keeps to it as long as the device of its latency requests is open.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { CliError, codeOf, ExitCode } from "../error.ts";

/** Takes a request as 4 bytes: how many microseconds a processor may take to wake up. */
const DEVICE = "/dev/cpu_dma_latency";
const AT_ONCE = new Uint8Array(4);

/** Returns what undoes it. */
export function keepAwake(wanted: boolean): () => void {
  if (!wanted) return () => {};
  try {
    const device = openSync(DEVICE, "w");
    writeSync(device, AT_ONCE);
    return () => closeSync(device);
  } catch (error) {
    const code = codeOf(error);
    throw new CliError(`keep-awake: ${DEVICE} cannot be written (${code})`, {
      exitCode: code === "ENOENT" ? ExitCode.config : ExitCode.noPermission,
      hint: "run it as root, or let its user write that device (a rule of udev); containers mostly have none: leave keep-awake out",
    });
  }
}
