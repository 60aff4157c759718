/**
 * Ends what runs in network namespaces of ours and removes them. Touches only namespaces whose name `ownerOf`
 * recognises, and only processes inside those.
 */
import { existsSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { ownerOf } from "./lab_names.ts";
import { ifThere } from "./proc.ts";

const DIRECTORIES = ["/run/netns", "/var/run/netns"];

function namespacePath(name: string): string | undefined {
  return DIRECTORIES.map((directory) => `${directory}/${name}`).find((path) => existsSync(path));
}

export function listNamespaces(): string[] {
  const directory = DIRECTORIES.find((path) => existsSync(path));
  return directory === undefined ? [] : readdirSync(directory).filter((name) => ownerOf(name) !== undefined);
}

function processesIn(names: readonly string[]): number[] {
  const inodes = new Set<string>();
  for (const name of names) {
    const path = namespacePath(name);
    const status = path === undefined ? undefined : ifThere(() => statSync(path));
    if (status !== undefined) inodes.add(`net:[${status.ino}]`);
  }
  if (inodes.size === 0) return [];
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter(
      (pid) => pid !== process.pid && inodes.has(ifThere(() => readlinkSync(`/proc/${pid}/ns/net`)) ?? ""),
    );
}

/** Kills every process in these namespaces and deletes them; returns the names that could not be deleted. */
export function removeNamespaces(names: readonly string[]): string[] {
  for (const pid of processesIn(names)) ifThere(() => process.kill(pid, "SIGKILL"));
  const present = names.filter((name) => namespacePath(name) !== undefined);
  if (present.length === 0) return [];
  const script = present.map((name) => `netns delete ${name}\n`).join("");
  Bun.spawnSync(["ip", "-force", "-batch", "-"], {
    stdin: Buffer.from(script),
    stdout: "ignore",
    stderr: "ignore",
  });
  return present.filter((name) => namespacePath(name) !== undefined);
}

/** Removes what processes that no longer exist left behind; returns the names. */
export function sweepLeftovers(): string[] {
  const left = listNamespaces().filter((name) => !existsSync(`/proc/${ownerOf(name)}`));
  removeNamespaces(left);
  return left;
}
