/**
 * Runs the demo with a program behind it that only looks like kpaxos. Afterwards nothing of it may be left.
 */
import { expect } from "bun:test";
import { randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownerOf } from "../../src/ops/lab_names.ts";
import { LabProcess } from "../../src/ops/lab_process.ts";
import { listNamespaces } from "../../src/ops/lab_sweep.ts";
import { until } from "./until.ts";

export const FAKE = join(import.meta.dir, "fake_main.ts");

/** With a directory in which clusters that are kept are written down. */
export async function withStates<T>(body: (states: string) => Promise<T>): Promise<T> {
  const states = mkdtempSync(join(tmpdir(), "kpaxos-demo-test-"));
  try {
    return await body(states);
  } finally {
    rmSync(states, { recursive: true, force: true });
  }
}

interface Ended {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the demo; `during` gets it while it runs. Afterwards nothing of it may be left. */
export async function demo(
  args: readonly string[],
  wrong = "",
  during: (process: LabProcess) => Promise<void> = async () => {},
): Promise<Ended> {
  return await withStates((states) => demoWith(states, args, wrong, during));
}

async function demoWith(
  states: string,
  args: readonly string[],
  wrong: string,
  during: (process: LabProcess) => Promise<void>,
): Promise<Ended> {
  const argv = [process.execPath, FAKE, "demo", ...args];
  const marker = randomUUID();
  const child = Bun.spawn(argv, {
    env: { ...process.env, FAKE: wrong, FAKE_MARKER: marker, XDG_STATE_HOME: states },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const running = new LabProcess("demo", argv, child);
  await during(running);
  const ending = await running.ending(50_000);
  expect(ending.killed).toBe(false);
  expect(listNamespaces().filter((name) => ownerOf(name) === child.pid)).toEqual([]);
  expect(clusterDirectories().filter((name) => name.includes(`-${child.pid}-`))).toEqual([]);
  await until("no process of the demo is left", () => withMarker(marker).length === 0);
  return {
    exitCode: ending.exitCode,
    signal: ending.signal,
    stdout: running.stdout.join("\n"),
    stderr: running.stderr.join("\n"),
  };
}

function clusterDirectories(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith("kpaxos-cluster-"));
}

/** Processes that inherited the marker. */
export function withMarker(marker: string): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      const path = `/proc/${pid}/environ`;
      try {
        return existsSync(path) && readFileSync(path, "utf8").includes(`FAKE_MARKER=${marker}`);
      } catch {
        return false; // It has just ended.
      }
    });
}
