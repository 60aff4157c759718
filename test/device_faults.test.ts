import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deviceName, placeOffset, ringOffset } from "../src/delivery/device_layout.ts";
import { DeviceReader } from "../src/delivery/device_reader.ts";
import { LAST_INDEX } from "../src/delivery/log_record.ts";
import { LocalDelivery } from "../src/delivery/readers.ts";
import { SharedMemory } from "../src/native/shared_memory.ts";
import { MAX_IID } from "../src/protocol/types.ts";
import {
  deliver,
  directory,
  fill,
  hintOf,
  newReader,
  newWriter,
  open,
  poll,
  readFrom,
  ready,
  SMALL_RING,
  start,
  useDevices,
  warnings,
} from "./support/device_fixture.ts";
import { deviceValue } from "./support/device_value.ts";
import { until } from "./support/until.ts";

useDevices();

describe("fault 27: a slow reader delays nobody, and is told what it missed", () => {
  /** Reads all there is, in order: values count up from `first`, and so do missed ranges. */
  function readOn(reader: DeviceReader, first: number): { next: number; missed: [number, number][] } {
    let next = first;
    const missed: [number, number][] = [];
    while (reader.read()) {
      expect(reader.iid).toBe(next);
      if (reader.kind === "missed") {
        expect(reader.index).toBe(0);
        missed.push([reader.iid, reader.lastIid]);
      } else {
        const value = Buffer.from(reader.bytes.buffer, reader.offset, reader.length);
        expect(value.equals(deviceValue(next))).toBe(true);
      }
      next = reader.lastIid + 1;
    }
    return { next, missed };
  }

  test("what its ring does not take waits in the log", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const slow = newReader();
    const quick = newReader();
    poll(writer);
    let slowNext = 1;
    for (let iid = 1; iid <= 1000; iid++) {
      deliver(writer, iid);
      expect(readFrom(quick, iid)).toBe(iid + 1);
    }
    expect(quick.read()).toBe(false);
    expect(writer.isStuck).toBe(true);
    while (slowNext <= 1000) {
      const before = slowNext;
      slowNext = readFrom(slow, slowNext);
      expect(slowNext).toBeGreaterThan(before);
      writer.pump();
    }
    expect(writer.isStuck).toBe(false);
    expect(warnings).toEqual([]);
  });

  test("what falls off the log it misses, and learns exactly which", () => {
    const writer = newWriter({ ringBytes: SMALL_RING, logBytes: 1 << 14 });
    const slow = newReader();
    const quick = newReader();
    poll(writer);
    const full = fill(writer, 1) - 1;
    expect(readFrom(quick, 1)).toBe(full);
    writer.pump();
    expect(readFrom(quick, full)).toBe(full + 1);
    for (let iid = full + 1; iid <= 5000; iid++) {
      deliver(writer, iid);
      expect(readFrom(quick, iid)).toBe(iid + 1);
    }
    let next = 1;
    const missed: [number, number][] = [];
    while (next <= 5000) {
      const read = readOn(slow, next);
      expect(read.next).toBeGreaterThan(next);
      next = read.next;
      missed.push(...read.missed);
      writer.pump();
    }
    // A short value may have found room between two ranges.
    expect(missed[0]![0]).toBe(full);
    expect(missed.at(-1)![1]).toBe(writer.log.floorIid);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(
      `reader 0 (process ${process.pid}) was too slow and has missed ${full}.0 to `,
    );
    expect(writer.log.counters.overwritten).toBe(writer.log.floorIid);
  });

  test("who missed values holds no trim back until it has acknowledged something beyond them", () => {
    const writer = newWriter({ ringBytes: SMALL_RING, logBytes: 1 << 14 });
    const local = new LocalDelivery(writer.log, [writer]);
    const slow = newReader();
    poll(writer);
    slow.acknowledge(0);
    let iid = fill(writer, 1);
    const full = iid;
    expect(local.acknowledged()).toBe(0);
    while (writer.log.floorIid < full) deliver(writer, iid++);
    for (let more = 0; more < 300; more++) deliver(writer, iid++);
    expect(local.acknowledged()).toBe(MAX_IID);
    let read = readOn(slow, 1);
    for (writer.pump(); slow.state === "attached" && read.next < iid; writer.pump())
      read = readOn(slow, read.next);
    expect(local.acknowledged()).toBe(MAX_IID);
    slow.acknowledge(iid - 2);
    expect(local.acknowledged()).toBe(iid - 2);
  });

  test("a killed reader holds up nobody", async () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const child = start("idle");
    const quick = newReader();
    await until("both attach", () => {
      poll(writer);
      return writer.readers === 2;
    });
    await ready(child);
    const full = fill(writer, 1);
    expect(readFrom(quick, 1)).toBe(full - 1);
    child.kill("SIGKILL");
    await until("the dead one is dropped", () => {
      poll(writer);
      return writer.readers === 1;
    });
    deliver(writer, full);
    expect(writer.isStuck).toBe(false);
    expect(readFrom(quick, full - 1)).toBe(full + 1);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`(process ${child.pid}) ended without a word`);
    expect(writer.readersLost).toBe(1);
  });

  test("instances that the learner itself could not get are told", () => {
    const writer = newWriter();
    const reader = newReader();
    poll(writer);
    deliver(writer, 1);
    writer.log.gap(2, 9);
    deliver(writer, 10);
    expect(readOn(reader, 1)).toEqual({ next: 11, missed: [[2, 9]] });
  });
});

describe("where a reader begins", () => {
  function firstOf(reader: DeviceReader): string {
    expect(reader.read()).toBe(true);
    const end = reader.kind === "value" ? "" : ` ${reader.lastIid}.${reader.lastIndex}`;
    return `${reader.kind} ${reader.iid}.${reader.index}${end}`;
  }

  test("at the oldest value, at a position, and at one that can no longer be had", () => {
    const writer = newWriter({ logBytes: 1 << 14 });
    for (let iid = 1; iid <= 500; iid++) deliver(writer, iid);
    const floor = writer.log.floorIid;
    const [oldest, middle, early] = [
      newReader({ from: "oldest" }),
      newReader({ from: { iid: 480, index: 0 } }),
      newReader({ from: { iid: 7, index: 3 } }),
    ];
    poll(writer);
    writer.pump();
    expect(firstOf(oldest!)).toBe(`value ${floor + 1}.0`);
    expect(firstOf(middle!)).toBe("value 480.0");
    expect(firstOf(early!)).toBe(`missed 7.3 ${floor}.0`);
    expect(firstOf(early!)).toBe(`value ${floor + 1}.0`);
  });

  test("a learner that comes back with less, the same or more than was read", () => {
    const first = newWriter();
    const reader = newReader();
    poll(first);
    for (let iid = 1; iid <= 20; iid++) deliver(first, iid);
    first.close();
    expect(readFrom(reader, 1)).toBe(21);
    // It delivers again from the beginning: nothing is given twice.
    const second = newWriter();
    expect(reader.reconnect()).toBe(true);
    poll(second);
    for (let iid = 1; iid <= 22; iid++) deliver(second, iid);
    expect(readFrom(reader, 21)).toBe(23);
    second.close();
    expect(reader.read()).toBe(false);
    // It begins in the present, beyond what was read.
    const third = newWriter();
    expect(reader.reconnect()).toBe(true);
    poll(third);
    third.log.openInstance(30);
    deliver(third, 31);
    expect(firstOf(reader)).toBe(`missed 23.0 29.${LAST_INDEX}`);
    expect(readFrom(reader, 31)).toBe(32);
  });
});

describe("fault 30: learners and readers come and go", () => {
  test("a killed learner is a state, and the next learner is joined", async () => {
    const first = start("learner", { COUNT: "100" });
    await ready(first);
    const reader = newReader();
    let next = 1;
    await until("all is read", () => {
      next = readFrom(reader, next);
      return next === 101;
    });
    expect(reader.learnerPid).toBe(first.pid);
    expect(hintOf(() => newWriter())).toContain(`process ${first.pid} owns`);
    first.kill("SIGKILL");
    await first.exited;
    expect(reader.wait(300_000)).toBe(false);
    expect(reader.state).toBe("gone");
    expect(reader.read()).toBe(false);
    expect(reader.reconnect()).toBe(false);
    reader.acknowledge(50);

    const second = start("learner", { COUNT: "10", FIRST: "101" });
    await ready(second);
    expect(reader.reconnect()).toBe(true);
    expect(reader.learnerPid).toBe(second.pid);
    await until("the new one delivers", () => {
      next = readFrom(reader, next);
      return next === 111;
    });
  });

  test("a learner that closes lets readers read to the end, and leaves no file behind", () => {
    const writer = newWriter();
    const reader = newReader();
    expect(reader.fd).toBeGreaterThan(2);
    poll(writer);
    for (let iid = 1; iid <= 20; iid++) deliver(writer, iid);
    writer.close();
    writer.close();
    expect(readdirSync(directory)).toEqual([]);
    expect(readFrom(reader, 1)).toBe(21);
    expect(reader.state).toBe("gone");
    expect(hintOf(() => DeviceReader.open(directory, "test", 3))).toContain(
      "is `kpaxos run learner --id 3` running",
    );
    expect(reader.reconnect()).toBe(false);
    const again = newWriter();
    expect(reader.reconnect()).toBe(true);
    poll(again);
    deliver(again, 21);
    expect(readFrom(reader, 21)).toBe(22);
    reader.close();
    again.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test("a learner whose directory was removed still ends in order", () => {
    const writer = newWriter({ directory: join(directory, "inner") });
    rmSync(join(directory, "inner"), { recursive: true });
    expect(() => writer.close()).not.toThrow();
  });

  test("a learner that ends before it saw its reader is noticed too", () => {
    const writer = newWriter();
    const reader = newReader();
    writer.close();
    expect(reader.check()).toBe("gone");
  });

  test("a live learner's device is not taken over", () => {
    newWriter();
    expect(hintOf(() => newWriter())).toContain("learner 3 runs on this host already");
    newWriter({ id: 4 });
    newWriter({ cluster: "other" });
    expect(readdirSync(directory)).toHaveLength(3);
  });

  test("several readers; the 17th is refused, and gets the place of one that leaves", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const readers = Array.from({ length: 16 }, () => newReader());
    expect(new Set(readers.map((reader) => reader.place)).size).toBe(16);
    expect(hintOf(() => newReader())).toContain("all 16 places");
    poll(writer);
    for (let iid = 1; iid <= 5; iid++) deliver(writer, iid);
    for (const reader of readers) expect(readFrom(reader, 1)).toBe(6);
    readers[7]!.close();
    poll(writer);
    expect(newReader().place).toBe(7);
    poll(writer);
    expect(writer.readers).toBe(16);
    expect(writer.readersLost).toBe(0);
  });

  test("a claim that its maker did not live to finish is undone", () => {
    const writer = newWriter({ ringBytes: SMALL_RING, places: 1 });
    const memory = SharedMemory.open(writer.path);
    open.push(memory);
    Atomics.store(memory.words, placeOffset(0, SMALL_RING) >> 2, 1);
    expect(hintOf(() => newReader())).toContain("all 1 places");
    writer.poll(0);
    expect(newReader().place).toBe(0);
  });
});

describe("what is not believed", () => {
  function plant(name: string, bytes: Uint8Array): void {
    writeFileSync(join(directory, name), bytes);
  }

  test("a file that is no device, for readers and learners", () => {
    const name = deviceName("test", 3);
    for (const bytes of [new Uint8Array(0), new Uint8Array(1), new Uint8Array(5), new Uint8Array(8192)]) {
      plant(name, bytes);
      expect(hintOf(() => DeviceReader.open(directory, "test", 3))).toContain("not a delivery device");
    }
    rmSync(join(directory, name));
    symlinkSync("/etc/passwd", join(directory, name));
    expect(hintOf(() => DeviceReader.open(directory, "test", 3))).toContain("not a delivery device");
    rmSync(join(directory, name));
    mkdirSync(join(directory, name));
    expect(hintOf(() => DeviceReader.open(directory, "test", 3))).toContain("not a delivery device");
    expect(hintOf(() => newWriter())).toContain("not a delivery device");
  });

  test("control words that contradict the file", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const memory = SharedMemory.open(writer.path);
    open.push(memory);
    for (const [word, value] of [
      [0, 0],
      [1, 99],
      [2, 0],
      [2, 17],
      [2, -1],
      [3, 0],
      [3, -4096],
      [3, 1 << 30],
    ] as const) {
      const before = memory.words[word]!;
      memory.words[word] = value;
      expect(hintOf(() => newReader())).toContain("not a delivery device of this version");
      memory.words[word] = before;
    }
    newReader();
  });

  test("a reader that scribbles over its ring is dropped, the others go on", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const bad = newReader();
    const good = newReader();
    poll(writer);
    const memory = SharedMemory.open(writer.path);
    open.push(memory);
    Atomics.store(memory.words, (ringOffset(bad.place, SMALL_RING) + 128) >> 2, 12345);
    let next = 1;
    for (let round = 0; round < 4; round++) {
      next = fill(writer, next);
      while (writer.isStuck) {
        readFrom(good, good.iid + 1);
        writer.pump();
      }
      expect(readFrom(good, good.iid + 1)).toBe(next);
    }
    expect(writer.readers).toBe(1);
    expect(warnings).toEqual([
      `reader 0 (process ${process.pid}) is dropped: wrong consumer index in its ring`,
    ]);
    while (bad.read());
    expect(bad.state).toBe("dropped");
  });

  test("a learner that scribbles over a ring is a state of its reader", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const reader = newReader();
    poll(writer);
    const memory = SharedMemory.open(writer.path);
    open.push(memory);
    Atomics.store(memory.words, (ringOffset(0, SMALL_RING) + 64) >> 2, 4);
    expect(reader.read()).toBe(false);
    expect(reader.state).toBe("corrupt");
  });

  test("a reader whose ring makes no sense is refused at once", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const reader = newReader();
    const memory = SharedMemory.open(writer.path);
    open.push(memory);
    Atomics.store(memory.words, (ringOffset(0, SMALL_RING) + 8) >> 2, 2048);
    poll(writer);
    expect(writer.readers).toBe(0);
    expect(warnings[0]).toContain("is refused: the ring has another size");
    expect(reader.read()).toBe(false);
    expect(reader.state).toBe("dropped");
  });
});
