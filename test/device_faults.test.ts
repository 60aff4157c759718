import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deviceName, placeOffset, ringOffset } from "../src/delivery/device_layout.ts";
import { DeviceReader } from "../src/delivery/device_reader.ts";
import { SharedMemory } from "../src/native/shared_memory.ts";
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
import { until } from "./support/until.ts";

useDevices();

describe("fault 27: a slow reader loses nothing", () => {
  test("when one ring is full nothing is written to any; the value comes later, once", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const slow = newReader();
    const quick = newReader();
    poll(writer);
    let next = 1;
    let slowNext = 1;
    let quickNext = 1;
    for (let round = 0; round < 20; round++) {
      next = fill(writer, next);
      quickNext = readFrom(quick, quickNext);
      expect(quickNext).toBe(next);
      // Refused again and again: the quick one must not see it twice.
      for (let i = 0; i < 5; i++) expect(deliver(writer, next)).toBe(false);
      expect(quick.read()).toBe(false);
      slowNext = readFrom(slow, slowNext);
      expect(slowNext).toBe(next);
    }
    expect(warnings).toEqual([]);
  });

  test("a reader that blocks longer than a second is named, once", () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const reader = newReader();
    writer.poll(1_000_000);
    const refused = fill(writer, 1);
    for (let us = 1_000_000; us < 6_000_000; us += 50_000) {
      writer.poll(us);
      expect(deliver(writer, refused)).toBe(false);
    }
    expect(warnings).toEqual([
      `reader 0 (process ${process.pid}) has taken nothing for 1000 ms and holds up delivery`,
    ]);
    expect(readFrom(reader, 1)).toBe(refused);
    expect(deliver(writer, refused)).toBe(true);
  });

  test("where that is wanted it is dropped, reads what it has, and is told", () => {
    const writer = newWriter({ ringBytes: SMALL_RING, dropBlockedMs: 2000 });
    const reader = newReader();
    writer.poll(0);
    const refused = fill(writer, 1);
    writer.poll(2_000_000);
    expect(deliver(writer, refused)).toBe(true);
    expect(warnings.at(-1)).toContain("is dropped");
    expect(readFrom(reader, 1)).toBe(refused);
    expect(reader.state).toBe("dropped");
    expect(reader.reconnect()).toBe(true);
    writer.poll(3_000_000);
    deliver(writer, refused + 1);
    expect(reader.read()).toBe(true);
    expect([reader.afterIid, reader.iid]).toEqual([refused, refused + 1]);
  });

  test("a killed reader is dropped and holds up nobody", async () => {
    const writer = newWriter({ ringBytes: SMALL_RING });
    const child = start("idle");
    const quick = newReader();
    await until("both attach", () => {
      poll(writer);
      return writer.readers === 2;
    });
    await ready(child);
    const refused = fill(writer, 1);
    expect(readFrom(quick, 1)).toBe(refused);
    expect(deliver(writer, refused)).toBe(false);
    child.kill("SIGKILL");
    await until("the dead one is dropped", () => {
      poll(writer);
      return writer.readers === 1;
    });
    expect(deliver(writer, refused)).toBe(true);
    expect(readFrom(quick, refused)).toBe(refused + 1);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`(process ${child.pid}) ended without a word`);
    expect(writer.readersLost).toBe(1);
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
    deliver(again, 1);
    expect(readFrom(reader, 1)).toBe(2);
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
    const readers = Array.from({ length: 16 }, newReader);
    expect(new Set(readers.map((reader) => reader.place)).size).toBe(16);
    expect(hintOf(newReader)).toContain("all 16 places");
    poll(writer);
    for (let iid = 1; iid <= 5; iid++) expect(deliver(writer, iid)).toBe(true);
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
    expect(hintOf(newReader)).toContain("all 1 places");
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
      expect(hintOf(newReader)).toContain("not a delivery device of this version");
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
