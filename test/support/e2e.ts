/**
 * What the end-to-end tests share beyond the cluster itself: both wires, applications beside a cluster, and
 * expectations about clients.
 */
import { expect } from "bun:test";
import { join } from "node:path";
import { DeviceReader } from "../../src/delivery/device_reader.ts";
import { type ClientFigures, lastFigures } from "../../src/ops/lab_figures.ts";
import { hostMac } from "../../src/ops/lab_names.ts";
import { how, type LabProcess } from "../../src/ops/lab_process.ts";
import type { TestCluster } from "./cluster.ts";
import type { ExecResult } from "./lab.ts";
import { until } from "./until.ts";

export const WIRES = ["native", "kernel-paxos"] as const;
export type WireName = (typeof WIRES)[number];

/** A resend takes this long instead of a second, so that a test of lost values is short. */
export const QUICK = { "client-timeout": "200ms" } as const;

/** A command of a laboratory did what it was for, without a word. */
export function expectDone({ exitCode, stderr }: ExecResult): void {
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
}

/** Starts a user-learner that reads the device of learner `device`; resolves when it can be reached. */
export async function startUserLearner(
  cluster: TestCluster,
  host: number,
  device: number,
  args: readonly string[] = [],
): Promise<LabProcess> {
  const words = ["run", "user-learner", "-f", cluster.configPath, "--device", `${device}`, ...args];
  const started = cluster.launch("user-learner", host, words);
  await started.ready();
  return started;
}

/** The words that send a client to the user-learner on `host`. */
export function learnerAt(host: number): string[] {
  return ["--learner", hostMac(host)];
}

/** What an application in this very process gets from a learner's device, in order. */
export class DeviceValues {
  readonly reader: DeviceReader;
  readonly iids: number[] = [];

  constructor(cluster: TestCluster, learner: number) {
    this.reader = DeviceReader.open(join(cluster.directory, "devices"), "kpaxos", learner, {
      acknowledges: true,
    });
  }

  /** Resolves once the learner has seen the reader: from then on nothing passes it by. */
  async attached(): Promise<void> {
    await until("the learner knows its reader", () => this.reader.read() || this.reader.state === "attached");
  }

  /** Takes what is there now. */
  take(): void {
    const { reader } = this;
    while (reader.read()) {
      if (reader.kind === "missed") throw new Error(`missed ${reader.iid} to ${reader.lastIid}`);
      this.iids.push(reader.iid);
      reader.acknowledge(reader.iid);
    }
  }
}

/** Waits for a client that has been told when to end; its exit code must be 0. */
export async function finished(client: LabProcess, timeoutMs = 30_000): Promise<void> {
  const ending = await client.ending(timeoutMs);
  if (ending.exitCode !== 0) throw new Error(`the client ended${how(ending)}:\n${client.tail()}`);
}

/** Ends a client that would run for ever, and returns its figures. */
export async function endClient(client: LabProcess): Promise<ClientFigures> {
  client.kill("SIGINT");
  await finished(client);
  return lastFigures(client.stdout);
}

/** Values that a client (with `--json`) got back in each interval so far. */
function intervals(client: LabProcess): number[] {
  return client.stdout
    .map((line) => JSON.parse(line) as { second?: number; values: number })
    .flatMap(({ second, values }) => (second === undefined ? [] : [values]));
}

/** Waits until the client got values back in an interval that began after this call. */
export async function goesOn(client: LabProcess, timeoutMs = 15_000): Promise<void> {
  const before = intervals(client).length;
  try {
    await until(
      "the client goes on",
      () => {
        if (!client.isRunning) throw new Error("the client has ended");
        return intervals(client)
          .slice(before + 1)
          .some((values) => values > 0);
      },
      timeoutMs,
    );
  } catch (cause) {
    throw new Error(`values each interval: ${intervals(client).join(" ")}`, { cause });
  }
}

/** Waits until the client has got its first values. */
export async function hasBegun(client: LabProcess, timeoutMs = 10_000): Promise<void> {
  await client.waitForLine(/^\{"second":[\d.]+,"values":[1-9]/, timeoutMs, "stdout");
}
