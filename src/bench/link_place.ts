/**
 * A link to be measured on this machine alone: two network namespaces on a bridge, or UDP on the loopback interface. Both
 * ends are processes of this very program.
 *
 * Invariant: after `close` nothing of it is left.
 */
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../error.ts";
import { diesWithUs } from "../ops/child.ts";
import { type Choice, commandOn, makePlace, removePlace } from "../ops/cluster_place.ts";
import { clusterEnvironment } from "../ops/cluster_roles.ts";
import type { ClusterState } from "../ops/cluster_state.ts";
import { freePorts } from "../ops/free_ports.ts";
import { selfCommand } from "../ops/lab_capability.ts";
import { HOST_INTERFACE, hostMac, labPrefix } from "../ops/lab_names.ts";
import { how, LabProcess } from "../ops/lab_process.ts";
import { sweepLeftovers } from "../ops/lab_sweep.ts";
import { makeOwnDirectory } from "../ops/own_directory.ts";

const LOOPBACK = "127.0.0.1";
const READY_MS = 10_000;

/** A place for two hosts and no role. */
function stateOf({ kind, reason }: Choice, directory: string): ClusterState {
  return {
    format: 1,
    name: "link",
    directory,
    token: randomUUID(),
    createdAtMs: Date.now(),
    kind,
    reason,
    prefix: labPrefix(process.pid, 0),
    wire: "native",
    saysReady: true,
    trimLearner: undefined,
    deviceDirectory: join(directory, "devices"),
    command: selfCommand(),
    phase: "up",
    keeper: undefined,
    hosts: 2,
    clientHost: 1,
    seats: [],
  };
}

/** Runs both ends; returns what the one that measures printed. */
export async function runBothEnds(
  choice: Choice,
  words: readonly string[],
  patienceMs: number,
  stop: AbortSignal,
): Promise<string> {
  sweepLeftovers();
  const directory = makeOwnDirectory();
  const state = stateOf(choice, directory);
  const started: LabProcess[] = [];
  const spawn = (host: number, name: string, more: readonly string[]): LabProcess => {
    // Who comes after the stop is not ended by it.
    stop.throwIfAborted();
    const argv = [...state.command, "bench", "link", ...more];
    const child = Bun.spawn(commandOn(state, host, diesWithUs(argv), directory), {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: clusterEnvironment(state),
      cwd: directory,
      detached: true,
    });
    const one = new LabProcess(name, argv, child);
    started.push(one);
    return one;
  };
  const onStop = (): void => {
    for (const one of started) one.kill("SIGKILL");
  };
  stop.addEventListener("abort", onStop);
  try {
    await makePlace(state, true);
    const [there, here] = await addresses(choice);
    const listener = spawn(0, "the end that answers", ["--listen", ...there]);
    await listener.ready(READY_MS);
    const driver = spawn(1, "the end that measures", [...here, ...words, "--json"]);
    const ending = await driver.ending(patienceMs);
    stop.throwIfAborted();
    if (ending.exitCode !== 0) throw new CliError(`${driver.name} ended${how(ending)}:\n${driver.tail()}`);
    return driver.stdout.join("\n");
  } catch (error) {
    stop.throwIfAborted();
    throw error;
  } finally {
    stop.removeEventListener("abort", onStop);
    onStop();
    removePlace(state);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** How each end is told where it and the other one are. */
async function addresses({ kind }: Choice): Promise<[string[], string[]]> {
  if (kind !== "loopback") {
    const on = ["--interface", HOST_INTERFACE];
    return [on, [...on, "--peer", hostMac(0)]];
  }
  const [port] = await freePorts(1, LOOPBACK);
  const address = `${LOOPBACK}:${port}`;
  return [
    ["--address", address],
    ["--peer", address],
  ];
}
