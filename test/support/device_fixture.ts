/**
 * What the tests of delivery devices share: a directory, learners and readers in this process, and others.
 */
import { afterEach, beforeEach, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DeviceOptions, DeviceWriter } from "../../src/delivery/device.ts";
import { DeviceReader } from "../../src/delivery/device_reader.ts";
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

export function newWriter(options: Partial<DeviceOptions> = {}): DeviceWriter {
  const onWarning = (message: string) => warnings.push(message);
  const writer = DeviceWriter.create({ directory, cluster: "test", id: 3, onWarning, ...options });
  open.push(writer);
  return writer;
}

export function newReader(): DeviceReader {
  const reader = DeviceReader.open(directory, "test", 3);
  open.push(reader);
  return reader;
}

export function poll(writer: DeviceWriter): void {
  writer.poll(performance.now() * 1000);
}

export function deliver(writer: DeviceWriter, iid: number): boolean {
  const value = deviceValue(iid);
  return writer.deliver(iid, 0, 7, iid, value, 0, value.length);
}

/** Reads what is there and checks that it is instances `first` … in order; returns the one after the last. */
export function readFrom(reader: DeviceReader, first: number, most = Number.POSITIVE_INFINITY): number {
  let iid = first;
  for (; iid - first < most && reader.read(); iid++) {
    expect(reader.iid).toBe(iid);
    const value = Buffer.from(reader.bytes.buffer, reader.offset, reader.length);
    expect(value.equals(deviceValue(iid))).toBe(true);
  }
  return iid;
}

/** Delivers until a reader's ring is full; returns the instance that was refused. */
export function fill(writer: DeviceWriter, first: number): number {
  let iid = first;
  while (deliver(writer, iid)) iid++;
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
