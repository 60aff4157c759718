/**
 * Where delivery devices live. The default is in memory (/dev/shm); a user who may not write there gets a directory of
 * their own. Learner and application find the same place because both ask here.
 */
import { accessSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { CliError, codeOf, ExitCode, isDenied, messageOf } from "../error.ts";
import { deviceName } from "./device_layout.ts";

/** Directories in order of preference: the configured one alone when the user chose it. */
export function deviceDirectories(
  setting: string,
  chosen: boolean,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): readonly string[] {
  if (chosen) return [setting];
  const { XDG_RUNTIME_DIR: runtime } = environment;
  const own = runtime ? join(runtime, "kpaxos") : `${setting}-${process.getuid?.() ?? 0}`;
  return [setting, own];
}

/** The first of them that a learner can use, made if need be. */
export function makeDeviceDirectory(candidates: readonly string[]): string {
  const reasons: string[] = [];
  let isForbidden = false;
  for (const directory of candidates) {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
      // A stranger's directory could be emptied or filled behind our back; the one chosen alone is the user's affair.
      if (candidates.length === 1 || isTrusted(directory)) return directory;
      isForbidden = true;
      reasons.push(`${directory}: another user's`);
    } catch (error) {
      isForbidden ||= isDenied(error);
      reasons.push(`${directory}: ${codeOf(error) || messageOf(error)}`);
    }
  }
  throw new CliError(`cannot make a directory for delivery devices: ${reasons.join("; ")}`, {
    exitCode: isForbidden ? ExitCode.noPermission : ExitCode.failure,
    hint: "set `device-directory` in paxos.conf to a directory that this user may write, best on tmpfs",
  });
}

/** The first of them that holds the device, else the first: for readers. */
export function findDeviceDirectory(candidates: readonly string[], cluster: string, id: number): string {
  const name = deviceName(cluster, id);
  const found = candidates.find((directory) => existsSync(join(directory, name)));
  return found ?? candidates[0]!;
}

function isTrusted(directory: string): boolean {
  const owner = statSync(directory).uid;
  return owner === 0 || owner === process.getuid?.();
}
