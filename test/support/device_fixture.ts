/**
 * What the tests of delivery devices share: a directory, learners and readers in this process, and others.
 */
import { afterEach, beforeEach, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeliveryLog } from "../../src/delivery/delivery_log.ts";
import { type DeviceOptions, DeviceWriter } from "../../src/delivery/device.ts";
import { DeviceReader, type ReaderOptions } from "../../src/delivery/device_reader.ts";
import { CliError } from "../../src/error.ts";
import { deviceValue } from "./device_value.ts";

export const SMALL_RING = 4096;
export let directory = "";
export const open: { close(): void }[] = [];
const children: Bun.Subprocess<"ignore", "pipe", "inherit">[] = [];
export const warnings: string[] = [];

/** A fresh directory for each test, and nothing left open or running after it. */
export function useDevices(): void {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "kpaxos-device-"));
    warnings.length = 0;
  });
  afterEach(async () => {
    for (const one of open.splice(0)) one.close();
    for (const child of children.splice(0)) {
      child.kill("SIGKILL");
      await child.exited;
    }
    rmSync(directory, { recursive: true });
  });
}

/** With a log of `logBytes`, unless it is given one. */
export function newWriter(options: Partial<DeviceOptions> & { logBytes?: number } = {}): DeviceWriter {
  const onWarning = (message: string) => warnings.push(message);
  const log = options.log ?? new DeliveryLog(options.logBytes ?? 1 << 22);
  const writer = DeviceWriter.create({ directory, cluster: "test", id: 3, onWarning, ...options, log });
  open.push(writer);
  return writer;
}

export function newReader(options: ReaderOptions = { acknowledges: true }): DeviceReader {
  const reader = DeviceReader.open(directory, "test", 3, options);
  open.push(reader);
  return reader;
}

export function poll(writer: DeviceWriter): void {
  writer.poll(performance.now() * 1000);
}

/** Puts instance `iid` into the log and gives the readers what they take. */
export function deliver(writer: DeviceWriter, iid: number): void {
  const value = deviceValue(iid);
  writer.log.append(iid, 0, true, 7, iid, value, 0, value.length);
  writer.log.closeInstance(iid);
  writer.pump();
}

/** Reads what is there and checks that it is instances `first` … in order; returns the one after the last. */
export function readFrom(reader: DeviceReader, first: number, most = Number.POSITIVE_INFINITY): number {
  let iid = first;
  for (; iid - first < most && reader.read(); iid++) {
    expect(reader.kind).toBe("value");
    expect(reader.iid).toBe(iid);
    const value = Buffer.from(reader.bytes.buffer, reader.offset, reader.length);
    expect(value.equals(deviceValue(iid))).toBe(true);
  }
  return iid;
}

/** Delivers until a reader's ring is full; returns the instance after the last. */
export function fill(writer: DeviceWriter, first: number): number {
  let iid = first;
  do deliver(writer, iid++);
  while (!writer.isStuck);
  return iid;
}

export function start(role: "learner" | "reader" | "idle", env: Record<string, string> = {}) {
  const script = join(import.meta.dir, "device_process.ts");
  const child = Bun.spawn([process.execPath, script], {
    env: { ...process.env, DIRECTORY: directory, ROLE: role, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  children.push(child);
  return child;
}

export async function ready(child: Bun.Subprocess<"ignore", "pipe", "inherit">): Promise<void> {
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  expect(new TextDecoder().decode(value)).toBe("ready\n");
  reader.releaseLock();
}

export function hintOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof CliError) return `${error.message} | ${error.hint ?? ""}`;
    throw error;
  }
  return "";
}
