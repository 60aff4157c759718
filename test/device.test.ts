import { describe, expect, spyOn, test } from "bun:test";
import { mkdirSync, readdirSync, readSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import {
  deviceDirectories,
  findDeviceDirectory,
  makeDeviceDirectory,
} from "../src/delivery/device_directory.ts";
import { deviceName, LEARNER_LOCK, PAGE_BYTES, placeOffset } from "../src/delivery/device_layout.ts";
import { deviceRecord } from "../src/delivery/device_record.ts";
import { MAX_INDEX } from "../src/delivery/log_record.ts";
import { LocalDelivery } from "../src/delivery/readers.ts";
import { SharedMemory, WakePipe } from "../src/native/shared_memory.ts";
import { MAX_IID } from "../src/protocol/types.ts";
import {
  deliver,
  directory,
  hintOf,
  newReader,
  newWriter,
  open,
  poll,
  readFrom,
  SMALL_RING,
  start,
  useDevices,
  warnings,
} from "./support/device_fixture.ts";
import { until } from "./support/until.ts";

useDevices();

describe("delivery", () => {
  test("a record keeps all its numbers and bytes", () => {
    const writer = newWriter();
    const reader = newReader();
    poll(writer);
    const number = fc.oneof(fc.nat(), fc.maxSafeNat());
    let iid = 0;
    fc.assert(
      fc.property(
        number,
        number,
        fc.nat(MAX_INDEX),
        fc.uint8Array({ maxLength: 600 }),
        fc.nat(8),
        fc.nat(2 ** 46),
        (session, sequence, index, value, offset, step) => {
          iid += step + 1;
          const source = new Uint8Array(offset + value.length + 3);
          source.set(value, offset);
          writer.log.append(iid, index, false, session, sequence, source, offset, value.length);
          writer.pump();
          expect(reader.read()).toBe(true);
          const { bytes } = reader;
          expect([reader.iid, reader.index, reader.session, reader.sequence, reader.length]).toEqual([
            iid,
            index,
            session,
            sequence,
            value.length,
          ]);
          expect(bytes.slice(reader.offset, reader.offset + reader.length)).toEqual(value);
          expect(reader.read()).toBe(false);
        },
      ),
      { numRuns: 100 },
    );
    expect(warnings).toEqual([]);
  });

  test("the largest value fits", () => {
    const writer = newWriter({ maxValueBytes: 1_000_000, ringBytes: SMALL_RING, logBytes: 1 << 22 });
    const reader = newReader();
    poll(writer);
    const value = new Uint8Array(writer.maxValue).fill(9);
    expect(writer.maxValue).toBeGreaterThanOrEqual(1_000_000);
    for (let iid = 1; iid < 5; iid++) {
      writer.log.append(iid, 0, true, 0, 0, value, 0, value.length);
      writer.pump();
      expect(reader.read()).toBe(true);
      expect(reader.length).toBe(writer.maxValue);
      expect(reader.read()).toBe(false);
    }
  });

  test("another process reads many records in order", async () => {
    const writer = newWriter({ ringBytes: 1 << 16 });
    const child = start("reader", { COUNT: "100000" });
    await until("the reader attaches", () => {
      poll(writer);
      return writer.readers === 1;
    });
    for (let iid = 1; iid <= 100_000; iid++) {
      deliver(writer, iid);
      while (writer.isStuck) {
        await Bun.sleep(0);
        writer.pump();
      }
    }
    expect(await child.exited).toBe(0);
    poll(writer);
    expect(writer.readers).toBe(0);
    expect(writer.readersLost).toBe(0);
    expect(warnings).toEqual([]);
  }, 30_000);

  test("without readers a value is delivered to nobody, and nothing holds a trim back", () => {
    const writer = newWriter();
    deliver(writer, 1);
    expect(writer.acknowledged()).toBe(MAX_IID);
    expect(writer.trim).toBe(0);
  });

  test("a reader begins after what was delivered before, and knows where", () => {
    const writer = newWriter();
    deliver(writer, 41);
    writer.log.append(42, 5, true, 0, 0, new Uint8Array(0), 0, 0);
    const reader = newReader();
    expect(reader.read()).toBe(false);
    expect(reader.state).toBe("attaching");
    poll(writer);
    deliver(writer, 43);
    expect(reader.read()).toBe(true);
    expect([reader.afterIid, reader.afterIndex, reader.iid]).toEqual([42, 5, 43]);
  });

  test("record for a pipe: u64 size, then the value", () => {
    const into = new Uint8Array(16).fill(255);
    expect(deviceRecord(into, 1, Uint8Array.of(0, 104, 105), 1, 2)).toBe(10);
    expect([...into.slice(0, 12)]).toEqual([255, 2, 0, 0, 0, 0, 0, 0, 0, 104, 105, 255]);
    expect(deviceRecord(into, 1, new Uint8Array(8), 0, 8)).toBe(-1);
  });
});

describe("acknowledgements", () => {
  test("the slowest reader counts, and nobody is believed beyond what was delivered", () => {
    const writer = newWriter();
    const one = newReader();
    const two = newReader();
    poll(writer);
    expect(writer.acknowledged()).toBe(0);
    for (let iid = 1; iid <= 10; iid++) deliver(writer, iid);
    one.acknowledge(8);
    expect(writer.acknowledged()).toBe(0);
    two.acknowledge(3);
    expect(writer.acknowledged()).toBe(3);
    two.acknowledge(2);
    two.acknowledge(MAX_IID);
    expect(writer.acknowledged()).toBe(8);
    one.close();
    poll(writer);
    expect(writer.acknowledged()).toBe(10);
  });

  test("a trim is asked for through the device, and waits for the other readers", () => {
    const writer = newWriter();
    const local = new LocalDelivery(writer.log, [writer]);
    const one = newReader();
    const two = newReader();
    newReader({});
    poll(writer);
    for (let iid = 1; iid <= 10; iid++) deliver(writer, iid);
    one.requestTrim(6);
    expect(local.acknowledged()).toBe(0);
    two.acknowledge(4);
    expect(local.acknowledged()).toBe(4);
    two.acknowledge(9);
    expect(local.acknowledged()).toBe(6);
  });

  test("a reader that died while it wrote its report holds nobody up", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const reader = newReader();
    poll(writer);
    for (let iid = 1; iid <= 5; iid++) deliver(writer, iid);
    reader.acknowledge(2);
    expect(writer.acknowledged()).toBe(2);
    const memory = SharedMemory.open(writer.path);
    open.push(memory);
    Atomics.add(memory.words, (placeOffset(0, SMALL_RING) >> 2) + 16, 1);
    Atomics.store(memory.words, (placeOffset(0, SMALL_RING) >> 2) + 17, 4);
    expect(writer.acknowledged()).toBe(2);
  });
});

describe("sleep", () => {
  function waiting(fd: number): boolean {
    try {
      return readSync(fd, new Uint8Array(1), 0, 1, null) === 1;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EAGAIN") return false;
      throw error;
    }
  }

  test("the descriptor is written only for a reader that sleeps on it", () => {
    const writer = newWriter();
    const reader = newReader();
    const { fd } = reader;
    poll(writer);
    deliver(writer, 1);
    expect(waiting(fd)).toBe(false);
    expect(reader.prepareSleep()).toBe(false);
    expect(readFrom(reader, 1)).toBe(2);
    expect(reader.prepareSleep()).toBe(true);
    deliver(writer, 2);
    deliver(writer, 3);
    expect(waiting(fd)).toBe(true);
    expect(waiting(fd)).toBe(false);
    reader.wokeUp();
    expect(readFrom(reader, 2)).toBe(4);
    expect(reader.prepareSleep()).toBe(true);
    reader.wokeUp();
    deliver(writer, 4);
    expect(waiting(fd)).toBe(false);
    readFrom(reader, 4);
    expect(reader.prepareSleep()).toBe(true);
    writer.close();
    expect(waiting(fd)).toBe(true);
    expect(warnings).toEqual([]);
  });

  test("a wake that comes when its sleep is over ends one more sleep at most", () => {
    const writer = newWriter();
    const reader = newReader();
    const { fd } = reader;
    const late: (() => void)[] = [];
    const { wake } = WakePipe.prototype;
    // The learner is held up between the ring and the wake.
    const held = spyOn(WakePipe.prototype, "wake").mockImplementation(function (this: WakePipe) {
      late.push(() => wake.call(this));
    });
    poll(writer);
    expect(reader.prepareSleep()).toBe(true);
    deliver(writer, 1);
    reader.wokeUp();
    held.mockRestore();
    expect(late).toHaveLength(1);
    for (const one of late) one();
    expect(readFrom(reader, 1)).toBe(2);
    expect(reader.prepareSleep()).toBe(true);
    reader.wokeUp();
    expect(reader.prepareSleep()).toBe(true);
    expect(waiting(fd)).toBe(false);
  });

  test("a blocked reader wakes with the value", async () => {
    const writer = newWriter();
    const child = start("reader", { COUNT: "3" });
    await until("the reader attaches", () => {
      poll(writer);
      return writer.readers === 1;
    });
    for (let iid = 1; iid <= 3; iid++) {
      await Bun.sleep(30);
      deliver(writer, iid);
    }
    expect(await child.exited).toBe(0);
  });
});

test("all that a learner looks at is there from the start: memory that is full is an error, no end by SIGBUS", () => {
  const places = 8;
  const { path } = newWriter({ places, ringBytes: SMALL_RING });
  const { blocks } = statSync(path);
  expect(blocks * 512).toBeGreaterThanOrEqual((1 + places) * PAGE_BYTES);
});

describe("drafts", () => {
  test("what a learner that was killed had begun goes; what a living one is about to finish stays", () => {
    const name = deviceName("test", 3);
    const draft = (of: string): SharedMemory => {
      const memory = SharedMemory.create(join(directory, of), PAGE_BYTES);
      open.push(memory);
      return memory;
    };
    const left = [`${name}.1.new`, `${name}.a0b1c2d3.new`];
    for (const one of left) draft(one).close();
    const stays = [`${name}.2.new`, `${deviceName("test", 33)}.1.new`, `${name}.3.new`, `${name}.4.new`];
    expect(draft(stays[0]!).lock(LEARNER_LOCK)).toBe(true);
    draft(stays[1]!).close();
    mkdirSync(join(directory, stays[2]!));
    symlinkSync("/etc/passwd", join(directory, stays[3]!));
    const writer = newWriter();
    expect(readdirSync(directory).sort()).toEqual([name, ...stays].sort());
    // One that finds another alive has cleared away just the same, its own too.
    draft(left[0]!).close();
    expect(hintOf(() => newWriter())).toContain("runs on this host already");
    expect(readdirSync(directory).sort()).toEqual([name, ...stays].sort());
    expect(writer.readers).toBe(0);
  });

  test("a draft that another took for one that was left behind is made again", () => {
    const make = SharedMemory.create;
    const holders: SharedMemory[] = [];
    const create = spyOn(SharedMemory, "create").mockImplementation((path, size) => {
      const memory = make(path, size);
      // The first was removed by now; the other looks at the second.
      if (create.mock.calls.length === 1) rmSync(path);
      else if (create.mock.calls.length === 2) {
        const other = SharedMemory.open(path);
        holders.push(other);
        expect(other.lock(LEARNER_LOCK)).toBe(true);
        rmSync(path);
      }
      return memory;
    });
    try {
      newWriter();
      expect(create).toHaveBeenCalledTimes(3);
    } finally {
      create.mockRestore();
      for (const one of holders) one.close();
    }
    newReader();
    expect(readdirSync(directory).filter((name) => name.endsWith(".new"))).toEqual([]);
  });
});

describe("names and directories", () => {
  test("cluster names cannot leave the directory", () => {
    expect(deviceName("kpaxos", 0)).toBe("kpaxos-klearner0");
    expect(deviceName("../ä b", 2)).toBe("%2e%2e%2f%c3%a4%20b-klearner2");
  });

  test("the default gives way to a directory of one's own, a chosen one does not", () => {
    expect(deviceDirectories("/x/y", true, { XDG_RUNTIME_DIR: "/run/user/1" })).toEqual(["/x/y"]);
    expect(deviceDirectories("/x/y", false, { XDG_RUNTIME_DIR: "/run/user/1" })).toEqual([
      "/x/y",
      "/run/user/1/kpaxos",
    ]);
    const blocked = join(directory, "file");
    writeFileSync(blocked, "x");
    const own = join(directory, "own", "kpaxos");
    expect(makeDeviceDirectory([join(blocked, "kpaxos"), own])).toBe(own);
    expect(hintOf(() => makeDeviceDirectory([join(blocked, "kpaxos")]))).toContain("device-directory");
    expect(() => makeDeviceDirectory([join(blocked, "kpaxos")])).toThrow(/: ENOTDIR$/);
    // Each with its own reason.
    const both = () => makeDeviceDirectory([join(blocked, "kpaxos"), "/proc/nowhere"]);
    expect(both).toThrow(`${blocked}/kpaxos: ENOTDIR; /proc/nowhere: ENOENT`);
    const writer = newWriter({ directory: own });
    expect(findDeviceDirectory(["/nowhere", own], "test", 3)).toBe(own);
    expect(findDeviceDirectory(["/nowhere", own], "test", 4)).toBe("/nowhere");
    writer.close();
  });
});
