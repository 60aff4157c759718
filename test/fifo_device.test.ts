/**
 * The Kernel_Paxos device: a FIFO read by a program in C that knows nothing of kpaxos.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeliveryLog } from "../src/delivery/delivery_log.ts";
import { FifoDevice, fifoPath } from "../src/delivery/fifo_device.ts";
import { CliError, ExitCode } from "../src/error.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { compileC } from "./support/compile.ts";
import { until } from "./support/until.ts";

const PROGRAM = compileC(join(import.meta.dir, "support/device_reader.c"));
let directory = "";
let path = "";
const open: { close(): void }[] = [];
const children: Bun.Subprocess<"ignore", "pipe", "inherit">[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "kpaxos-fifo-"));
  path = join(directory, "paxos", "klearner0");
});
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
  rmSync(directory, { recursive: true });
});

function newDevice(logBytes = 1 << 20) {
  const delivery = new DeliveryLog(logBytes);
  const { log, lines } = collectingLog();
  const device = new FifoDevice(delivery, path, log);
  open.push(device);
  let iid = 0;
  return {
    device,
    delivery,
    lines,
    /** Values of these lengths, each of one byte: the lowest of its instance. */
    deliver: (...lengths: number[]): void => {
      for (const length of lengths) {
        iid++;
        delivery.append(iid, 0, true, 0, 0, new Uint8Array(length).fill(iid), 0, length);
        delivery.closeInstance(iid);
      }
      device.pump(performance.now() * 1000);
    },
  };
}

/** Starts the program; its output by lines. */
function startReader(): { child: Bun.Subprocess<"ignore", "pipe", "inherit">; lines: string[] } {
  const child = Bun.spawn([PROGRAM, path], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  children.push(child);
  const lines: string[] = [];
  const read = async (): Promise<void> => {
    let rest = "";
    for await (const chunk of child.stdout) {
      const parts = (rest + new TextDecoder().decode(chunk)).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts);
    }
  };
  read().catch((error: unknown) => lines.push(String(error)));
  return { child, lines };
}

/** Its so many-th reader is there. */
async function isRead(device: FifoDevice, readers = 1): Promise<void> {
  await until("the device is read", () => {
    device.poll();
    return device.counters.readers === readers;
  });
}

describe("the Kernel_Paxos device", () => {
  test("each read is one record, and the FIFO outlives its learners", async () => {
    const first = newDevice();
    first.deliver(1, 2, 3);
    const reader = startReader();
    await isRead(first.device);
    first.deliver(5, 0, 300, 4088);
    await until("four records", () => reader.lines.length === 5);
    expect(reader.lines).toEqual(["open", "5 13 4", "0 8 -1", "300 308 6", "4088 4096 7"]);
    const { ino, mode } = statSync(path);
    expect(mode & 0o777).toBe(0o600);
    first.device.close();
    await until("the reader sees the end", () => reader.lines.at(-1) === "end");
    const second = startReader();
    const again = newDevice();
    expect(statSync(path).ino).toBe(ino);
    await isRead(again.device);
    again.deliver(9);
    await until("a record of the second learner", () => second.lines.length === 2);
    expect(second.lines).toEqual(["open", "9 17 1"]);
  });

  test("a killed reader costs nothing, and the next one is served", async () => {
    const { device, deliver, lines } = newDevice();
    const first = startReader();
    await isRead(device);
    deliver(7);
    await until("a record", () => first.lines.length === 2);
    first.child.kill("SIGKILL");
    await first.child.exited;
    deliver(8, 8, 8);
    expect(lines.map(({ message }) => message)).toEqual([
      `a program reads ${path}`,
      `nobody reads ${path} any more`,
    ]);
    const second = startReader();
    await isRead(device, 2);
    deliver(9);
    await until("a record", () => second.lines.length === 2);
    expect(second.lines).toEqual(["open", "9 17 5"]);
  });

  test("a slow reader loses what the log cannot keep: counted and said", async () => {
    const { device, delivery, deliver, lines } = newDevice(1 << 16);
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      device.poll();
      while (!device.isStuck) deliver(100);
      const written = device.counters.written;
      for (let more = 0; more < 2000; more++) deliver(100);
      const buffer = Buffer.alloc(4096);
      const got: number[] = [];
      const take = (): void => {
        for (;;) {
          try {
            expect(readSync(fd, buffer)).toBe(108);
            got.push(buffer[8]!);
          } catch (error) {
            expect((error as NodeJS.ErrnoException).code).toBe("EAGAIN");
            return;
          }
        }
      };
      await until("everything is read", () => {
        take();
        device.pump(performance.now() * 1000);
        return !device.isStuck && !device.hasMore && device.counters.missed > 0;
      });
      take();
      const { floorIid, lastIid } = delivery;
      const missed = floorIid - written;
      expect(device.counters.missed).toBe(missed);
      expect(lines.at(-1)!.message).toBe(
        `the program at ${path} was too slow: it has missed ${missed} values, ${written + 1}.0 to ${floorIid}.0; a larger delivery-log gives it more time`,
      );
      expect(lines.filter(({ level }) => level === "warn")).toHaveLength(1);
      const iids = Array.from({ length: lastIid }, (_, at) => at + 1);
      expect(got).toEqual(iids.filter((iid) => iid <= written || iid > floorIid).map((iid) => iid & 255));
    } finally {
      closeSync(fd);
    }
  });

  test("a value that fits no record is left out, and said", async () => {
    const { device, deliver, lines } = newDevice();
    const reader = startReader();
    await isRead(device);
    deliver(4089, 3);
    await until("the other record", () => reader.lines.length === 2);
    expect(reader.lines[1]).toBe("3 11 2");
    expect(lines.at(-1)!.message).toContain("more than 4088 bytes");
  });

  test("a second writer is refused while the device is read", async () => {
    const { device } = newDevice();
    startReader();
    await isRead(device);
    const other = newDevice();
    expect(other.device.counters.readers).toBe(0);
    expect(other.lines[0]!.message).toContain("another process writes to");
  });

  test("what stands in its way is an error with the fix", () => {
    expect(fifoPath(3)).toBe("/dev/paxos/klearner3");
    const { log } = collectingLog();
    const delivery = new DeliveryLog(4096);
    const file = join(directory, "file");
    writeFileSync(file, "");
    const trouble = (at: string): CliError => {
      try {
        new FifoDevice(delivery, at, log);
      } catch (error) {
        if (error instanceof CliError) return error;
        throw error;
      }
      throw new Error("no error");
    };
    expect(trouble(file).message).toBe(`${file} is there and is not a FIFO`);
    expect(trouble(join(file, "x")).hint).toContain("--device-path");
    expect(trouble("/proc/paxos/x").exitCode).toBe(ExitCode.failure);
  });
});
