/**
 * A snapshot as bytes and as a file, and when one is taken, relied on and reported.
 */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { decodeSnapshot, type Encoded, encodeSnapshot, kindOf } from "../../src/delivery/snapshot.ts";
import { SnapshotFile, type SnapshotKeeper } from "../../src/delivery/snapshot_file.ts";
import { SnapshotPolicy } from "../../src/delivery/snapshot_policy.ts";
import { SnapshotShelf } from "../../src/delivery/snapshot_shelf.ts";
import type { CliError } from "../../src/error.ts";
import { until } from "../support/until.ts";

const CLUSTER = 4711;
const folder = mkdtempSync(join(tmpdir(), "kpaxos-snapshot-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function encoded(iid: number, kind = 0, application = "state"): Encoded {
  const bytes = new TextEncoder().encode(application);
  return encodeSnapshot({ kind, iid, logId: 5, table: Uint8Array.of(1, 2, 3), application: bytes }, CLUSTER);
}

describe("the bytes of a snapshot", () => {
  test("are read as they were written", () => {
    const any = fc.record({
      kind: fc.nat(2 ** 32 - 1),
      iid: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      logId: fc.nat(Number.MAX_SAFE_INTEGER),
      table: fc.uint8Array({ maxLength: 300 }),
      application: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(any, (one) => {
        const { bytes, checksum } = encodeSnapshot(one, CLUSTER);
        const read = decodeSnapshot(bytes, CLUSTER);
        if (typeof read === "string") throw new Error(read);
        expect([read.kind, read.iid, read.logId]).toEqual([one.kind, one.iid, one.logId]);
        expect([...read.table, 0, ...read.application]).toEqual([...one.table, 0, ...one.application]);
        expect(new DataView(bytes.buffer).getUint32(bytes.length - 4, true)).toBe(checksum);
      }),
    );
  });

  test("any bit that is wrong, any length that is wrong, is refused", () => {
    const { bytes } = encoded(7);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const broken = bytes.slice();
      broken[bit >> 3] = broken[bit >> 3]! ^ (1 << (bit & 7));
      expect(typeof decodeSnapshot(broken, CLUSTER)).toBe("string");
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(typeof decodeSnapshot(bytes.slice(0, length), CLUSTER)).toBe("string");
    }
    expect(decodeSnapshot(new Uint8Array([...bytes, 0]), CLUSTER)).toBe("damaged");
  });

  test("of another cluster are refused, and kinds are told apart by name", () => {
    expect(decodeSnapshot(encoded(7).bytes, CLUSTER + 1)).toBe("cluster");
    expect(kindOf("kv")).not.toBe(kindOf("counter"));
    expect(kindOf("kv")).toBeGreaterThan(0);
  });
});

describe("the file of a snapshot", () => {
  const troubles: CliError[] = [];
  const fileOf = (name: string): SnapshotFile =>
    new SnapshotFile(folder, name, (error) => void troubles.push(error));

  test("is written whole, taken up again, and replaced", async () => {
    const file = fileOf("learner-0");
    expect(file.load(CLUSTER, 0)).toBeUndefined();
    for (const iid of [5, 9]) {
      expect(file.write(encoded(iid))).toBe(true);
      expect(file.write(encoded(iid))).toBe(false);
      await until("it is written", () => file.written === iid);
      const again = fileOf("learner-0");
      expect(again.load(CLUSTER, 0)?.snapshot.iid).toBe(iid);
      expect(again.written).toBe(iid);
    }
    expect(existsSync(`${file.path}.new`)).toBe(false);
    expect(troubles).toEqual([]);
  });

  test("is one process's: nobody else may claim it before it is given back", () => {
    const one = fileOf("learner-3");
    one.claim();
    expect(() => fileOf("learner-3").claim()).toThrow(/learner-3\.snapshot is in use by another process/);
    fileOf("learner-4").claim();
    one.release();
    fileOf("learner-3").claim();
  });

  test("is claimed where whoever made its lock was killed before that had a size", () => {
    const one = fileOf("learner-5");
    writeFileSync(`${one.path}.lock`, "");
    one.claim();
    expect(() => fileOf("learner-5").claim()).toThrow(/learner-5\.snapshot is in use by another process/);
    one.release();
  });

  test("that cannot be written leaves nothing of itself, which could fill the disk", async () => {
    const file = fileOf("learner-6");
    file.write({ ...encoded(5), bytes: { length: 9 } as Uint8Array<ArrayBuffer> });
    await until("it is told", () => troubles.length === 1);
    expect(troubles.pop()!.message).toContain("cannot write");
    expect(readdirSync(folder)).not.toContain("learner-6.snapshot.new");
  });

  test("given back while it is written, it is the next one's alone", async () => {
    troubles.length = 0;
    const large = (iid: number): Encoded =>
      encodeSnapshot(
        { kind: 0, iid, logId: 1, table: new Uint8Array(16 << 20).fill(iid), application: new Uint8Array(0) },
        CLUSTER,
      );
    const former = fileOf("learner-5");
    former.claim();
    former.write(large(5));
    await Bun.sleep(2);
    former.release();
    const next = fileOf("learner-5");
    next.claim();
    next.write(large(9));
    await until("it is written", () => next.written === 9 || troubles.length > 0);
    await Bun.sleep(100);
    expect(troubles).toEqual([]);
    expect(fileOf("learner-5").load(CLUSTER, 0)?.snapshot.iid).toBe(9);
    expect(existsSync(`${next.path}.new`)).toBe(false);
    next.release();
  });

  test("that is damaged, of another cluster or another application is refused with what to do", async () => {
    const file = fileOf("learner-1");
    file.write(encoded(5, 3));
    await until("it is written", () => file.written === 5);
    expect(() => file.load(CLUSTER, 0)).toThrow(/another application/);
    expect(() => file.load(CLUSTER + 1, 3)).toThrow(/another cluster/);
    const bytes = readFileSync(file.path);
    bytes[40] = bytes[40]! ^ 1;
    writeFileSync(file.path, bytes);
    try {
      file.load(CLUSTER, 3);
      throw new Error("it was taken");
    } catch (error) {
      expect((error as CliError).message).toContain("checksum is wrong");
      expect((error as CliError).hint).toContain("move it away");
    }
    writeFileSync(file.path, "");
    expect(() => file.load(CLUSTER, 3)).toThrow(/no snapshot of kpaxos/);
  });

  test("a crash while it is written leaves the old one", async () => {
    const file = fileOf("learner-2");
    file.write(encoded(5));
    await until("it is written", () => file.written === 5);
    writeFileSync(`${file.path}.new`, encoded(9).bytes.slice(0, 20));
    expect(fileOf("learner-2").load(CLUSTER, 0)?.snapshot.iid).toBe(5);
  });

  test("that cannot be written is told, and does not count", async () => {
    const file = fileOf("learner-3");
    rmSync(folder, { recursive: true });
    file.write(encoded(5));
    await until("it is told", () => troubles.length === 1);
    expect(troubles[0]!.hint).toContain("snapshot-path");
    expect(file.written).toBe(0);
    // Once it can be, it is.
    const again = fileOf("learner-3");
    chmodSync(folder, 0o755);
    expect(again.write(encoded(5))).toBe(true);
    await until("it is written", () => again.written === 5);
  });
});

describe("when a snapshot is taken", () => {
  const policy = (keeper?: SnapshotKeeper): SnapshotPolicy =>
    new SnapshotPolicy({ every: 100, everyBytes: 10_000, needsSecond: false }, keeper);

  test("after so many instances or bytes, earlier under pressure, never twice at one instance", () => {
    const one = policy();
    expect(one.isDue(0, 0, 0, false)).toBe(false);
    expect(one.isDue(0, 99, 0, false)).toBe(false);
    expect(one.isDue(0, 100, 0, false)).toBe(true);
    expect(one.isDue(0, 3, 10_000, false)).toBe(true);
    one.taken(encoded(100), 5000, 0);
    one.tick(0, 100, false);
    expect(one.isDue(1, 100, 90_000, true)).toBe(false);
    expect(one.isDue(1, 110, 5000, true)).toBe(false);
    expect(one.isDue(1, 113, 5000, true)).toBe(true);
    expect(one.isDue(1, 101, 6250, true)).toBe(true);
    expect(one.isDue(1_000_000, 101, 5000, true)).toBe(true);
    expect(one.isDue(9_000_000, 101, 5000, false)).toBe(false);
  });

  test("a large state waits until the log has grown by as much, but not for ever", () => {
    const one = policy();
    one.taken(encoded(1, 0, "x".repeat(25_000)), 0, 0);
    one.tick(0, 1, false);
    expect(one.isDue(1, 50, 20_000, false)).toBe(false);
    expect(one.isDue(1, 50, 26_000, false)).toBe(true);
    one.taken(encoded(50, 0, "x".repeat(900_000)), 26_000, 0);
    one.tick(0, 50, false);
    expect(one.isDue(1, 60, 55_000, false)).toBe(false);
    expect(one.isDue(1, 60, 56_000, false)).toBe(true);
  });

  test("it is reported only when it is acknowledged, kept, and has been there for a while", () => {
    const kept: number[] = [];
    const keeper = {
      written: 0,
      write: (one: Encoded) => {
        kept.push(one.iid);
        return true;
      },
    };
    const one = policy(keeper);
    one.taken(encoded(100), 0, 0);
    one.tick(0, 99, false);
    expect([kept, one.kept, one.isDue(0, 500, 0, true)]).toEqual([[], 0, false]);
    one.tick(1, 100, false);
    one.tick(2, 100, false);
    expect([kept, one.kept]).toEqual([[100], 0]);
    keeper.written = 100;
    one.tick(3, 100, false);
    expect([one.kept, one.reported]).toEqual([100, 0]);
    one.tick(1_000_002, 100, false);
    expect(one.reported).toBe(0);
    expect(one.dueUs()).toBe(1_000_003);
    one.tick(1_000_003, 100, false);
    expect(one.reported).toBe(100);
  });

  test("it is reported at once under pressure, and when the next one is kept", () => {
    const one = policy();
    one.taken(encoded(100), 0, 0);
    one.tick(0, 1000, false);
    one.taken(encoded(200), 0, 10);
    one.tick(10, 1000, false);
    expect([one.kept, one.reported]).toEqual([200, 100]);
    one.tick(11, 1000, true);
    expect(one.reported).toBe(200);
  });

  test("a write that fails is tried again, not at once", () => {
    let writes = 0;
    const one = policy({ written: 0, write: () => ++writes > 0 });
    one.taken(encoded(100), 0, 0);
    for (let us = 0; us < 12_000_000; us += 1000) one.tick(us, 100, true);
    expect(writes).toBe(3);
    expect(one.reported).toBe(0);
  });
});

test("a shelf keeps the newest snapshot, and the one that was offered or is being fetched", () => {
  const shelf = new SnapshotShelf(0);
  expect(shelf.offer(0, 0)).toBeNull();
  shelf.put(encoded(1), 0);
  expect(shelf.offer(1, 0)).toBeNull();
  expect(shelf.offer(0, 0)?.iid).toBe(1);
  shelf.put(encoded(2), 1);
  shelf.put(encoded(3), 2);
  expect(shelf.take(2, 3)).toBeNull();
  expect([shelf.offer(0, 4)?.iid, shelf.offer(1, 4)?.iid]).toEqual([1, 3]);
  expect([shelf.take(1, 900_000)?.iid, shelf.take(3, 900_000)?.iid]).toEqual([1, 3]);
  expect(shelf.take(1, 1_800_000)?.iid).toBe(1);
  shelf.put(encoded(4), 1_900_000);
  expect(shelf.take(3, 1_900_000)).toBeNull();
  expect(shelf.take(1, 2_900_000)).toBeNull();
  expect(shelf.offer(0, 2_900_000)?.iid).toBe(4);
});
