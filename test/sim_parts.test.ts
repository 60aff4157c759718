/**
 * What a simulation is made of: chance, clocks, disks, the agenda, and the observer, which has to see what is wrong.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Journal } from "../src/protocol/acceptor/journal.ts";
import { RecordFlag } from "../src/protocol/acceptor/journal.ts";
import {
  ENTRY_HEADER_BYTES,
  entryBytes,
  SHORT_HEADER_BYTES,
  shortEntryBytes,
  writeEntryHeader,
  writeShortHeader,
} from "../src/protocol/batch.ts";
import { crc32c } from "../src/protocol/crc32c.ts";
import type { Ballot } from "../src/protocol/types.ts";
import { Agenda } from "../src/sim/agenda.ts";
import { HostClock } from "../src/sim/clock.ts";
import { DiskFailure, GOOD_DISK, SimDisk, SimStorage } from "../src/sim/disk.ts";
import { drawLeftDead, type Mortal } from "../src/sim/left_dead.ts";
import { MergedOrder } from "../src/sim/merged_order.ts";
import { Observer } from "../src/sim/observer.ts";
import { Random } from "../src/sim/random.ts";
import { type Checker, ValueLog } from "../src/sim/value_log.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const ballot = (number: number): Ballot => number as Ballot;

describe("chance", () => {
  test("a seed and a stream are one sequence, others are others", () => {
    const draw = (seed: number, stream: string): number[] => {
      const random = new Random(seed, stream);
      return Array.from({ length: 8 }, random.next);
    };
    expect(draw(1, "a")).toEqual(draw(1, "a"));
    expect(draw(1, "a")).not.toEqual(draw(2, "a"));
    expect(draw(1, "a")).not.toEqual(draw(1, "b"));
    expect(draw(1, "a")).not.toEqual(draw(1 + 2 ** 32, "a"));
  });

  test("draws are even, within their bounds, and waiting times have their mean", () => {
    const random = new Random(7, "draws");
    const counts = [0, 0, 0];
    let waited = 0;
    for (let i = 0; i < 30_000; i++) {
      const drawn = random.between(5, 7);
      counts[drawn - 5] = counts[drawn - 5]! + 1;
      waited += random.around(1000);
    }
    for (const count of counts) expect(count).toBeWithin(9_500, 10_500);
    expect(waited / 30_000).toBeWithin(970, 1030);
    expect(random.shuffled([1, 2, 3, 4]).sort()).toEqual([1, 2, 3, 4]);
  });
});

describe("who does not come back in the end", () => {
  const disk = { isEmpty: false };
  const votes = {
    hasAcceptor: true,
    hasForgotten: false,
    disk,
    host: { cores: { acceptor: { isVoting: true } } },
  };
  const down = { ...votes, host: undefined };
  const inMemory = { ...votes, disk: undefined };
  const unborn = { ...votes, disk: { isEmpty: true }, host: { cores: { acceptor: { isVoting: false } } } };
  const forgot = { ...down, hasForgotten: true };
  const learner = { ...votes, hasAcceptor: false };

  /** How many each of many draws leaves dead; none of those that may not be. */
  function drawn(...stations: readonly Mortal[]): number[] {
    const random = new Random(3, "left dead");
    const counts = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const all = stations.map((one) => ({ ...one, kept: one }));
      const dead = drawLeftDead(all, random);
      for (const { kept } of dead) expect([votes, down, inMemory]).toContain(kept as never);
      expect(new Set(dead).size).toBe(dead.length);
      counts.add(dead.length);
    }
    return [...counts].sort();
  }

  test.each([
    ["a minority of those that vote, or that have their disks", [votes, down, inMemory, learner], [0, 1]],
    ["of five up to two", [votes, down, votes, votes, down], [0, 1, 2]],
    ["nobody of two", [votes, votes, learner], [0]],
    ["nobody where the others are needed by one that recovers", [votes, votes, forgot], [0]],
    ["of five one, where one recovers", [votes, votes, votes, down, forgot], [0, 1]],
    ["nobody before the cluster is born", [unborn, unborn, unborn], [0]],
  ])("%s", (_, stations, counts) => {
    expect(drawn(...(stations as Mortal[]))).toEqual(counts);
  });
});

test("a clock shows what it should when it should, and never goes back", () => {
  fc.assert(
    fc.property(
      fc.nat(2 ** 40),
      fc.double({ min: -10_000, max: 10_000, noNaN: true }),
      fc.nat(10 ** 10),
      (offsetUs, driftPpm, localUs) => {
        const clock = new HostClock(offsetUs, driftPpm);
        const at = clock.when(offsetUs + localUs);
        expect(clock.read(at)).toBeGreaterThanOrEqual(offsetUs + localUs);
        if (at > 0) expect(clock.read(at - 1)).toBeLessThan(offsetUs + localUs);
        expect(clock.read(at + 1)).toBeGreaterThanOrEqual(clock.read(at));
      },
    ),
  );
});

test("an agenda is done in the order of time, then of noting", () => {
  const agenda = new Agenda();
  const done: string[] = [];
  for (const [at, name] of [
    [5, "c"],
    [1, "a"],
    [5, "d"],
    [3, "b"],
  ] as const)
    agenda.at(at, () => done.push(name));
  expect(agenda.dueUs()).toBe(1);
  while (agenda.dueUs() < Number.POSITIVE_INFINITY) agenda.next();
  expect(done).toEqual(["a", "b", "c", "d"]);
});

/** What a disk tells, call by call. */
function told(disk: SimDisk): unknown[][] {
  const calls: unknown[][] = [];
  const journal: Journal = {
    promised: (...args) => calls.push(["promised", ...args]),
    promisedAt: (...args) => calls.push(["promisedAt", ...args]),
    accepted: (iid, at, life, flags, from, offset, length) =>
      calls.push(["accepted", iid, at, life, flags, [...from.subarray(offset, offset + length)]]),
    trimmed: (...args) => calls.push(["trimmed", ...args]),
    standing: (a, b) => calls.push(["standing", [...a], [...b]]),
  };
  expect(disk.tell(journal)).toBe(calls.length > 0);
  return calls;
}

describe("a disk", () => {
  test("keeps what was committed, in the order that a storage tells it; the rest is gone", () => {
    const disk = new SimDisk(new Random(1, "disk"));
    expect(disk.isEmpty).toBe(true);
    const storage = new SimStorage(disk);
    storage.accepted(3, ballot(10), 7, 0, bytes(9, 1, 2), 1, 2);
    storage.accepted(2, ballot(10), 7, RecordFlag.hearsay, bytes(5), 0, 1);
    storage.promised(ballot(10), 7);
    expect(told(disk)).toEqual([]);
    expect(storage.commit()).toBe(storage.durable());
    storage.trimmed(1);
    storage.standing(Float64Array.of(1, 2), Float64Array.of(3, 4));
    storage.promised(ballot(20), 8);
    storage.commit();
    storage.accepted(4, ballot(20), 8, 0, bytes(1), 0, 1);
    expect(told(disk)).toEqual([
      ["trimmed", 1],
      ["standing", [1, 2], [3, 4]],
      ["promised", 20, 8],
      ["accepted", 2, 10, 7, RecordFlag.hearsay, [5]],
      ["accepted", 3, 10, 7, 0, [1, 2]],
    ]);
    disk.lose();
    expect(disk.isEmpty).toBe(true);
  });

  test("a host that dies inside a commit has kept all of it, nothing, or a part that is dropped, and all happen", () => {
    const kept = new Set<number>();
    let torn = 0;
    for (let seed = 0; seed < 50; seed++) {
      const disk = new SimDisk(new Random(seed, "disk"));
      const storage = new SimStorage(disk);
      disk.fuse = 1;
      storage.promised(ballot(10), 7);
      storage.accepted(1, ballot(10), 7, 0, bytes(1), 0, 1);
      expect(() => storage.commit()).toThrow(DiskFailure);
      kept.add(told(disk).length);
      torn += disk.counters.torn;
      told(disk);
      expect(disk.counters.torn).toBeLessThanOrEqual(1);
    }
    expect([...kept].sort()).toEqual([0, 2]);
    expect(torn).toBeWithin(5, 45);
  });

  test("commits take their time, and fail as often as asked; a turn without anything to keep commits nothing", () => {
    const disk = new SimDisk(new Random(1, "disk"));
    const storage = new SimStorage(disk);
    disk.faults = { ...GOOD_DISK, leastUs: 5, mostUs: 9 };
    storage.commit();
    expect([storage.busyUs, disk.counters.commits]).toEqual([0, 0]);
    storage.promised(ballot(10), 7);
    storage.commit();
    expect(storage.busyUs).toBeWithin(5, 10);
    disk.faults = { ...GOOD_DISK, failure: 1 };
    storage.promised(ballot(20), 7);
    expect(() => storage.commit()).toThrow(DiskFailure);
  });
});

describe("the observer", () => {
  const watch = () => {
    const chosen: number[] = [];
    const observer = new Observer({ acceptors: 3, onChosen: (iid) => chosen.push(iid) });
    const processes = [0, 1, 2].map((aid) => observer.witness(aid));
    const accept = (aid: number, iid: number, at: number, value: number, flags = 0): void =>
      observer.journal(processes[aid]!).accepted(iid, ballot(at), 1, flags, bytes(value), 0, 1);
    const vote = (aid: number, iid: number, at: number, value: number): void => {
      accept(aid, iid, at, value);
      observer.commits(processes[aid]!);
    };
    return { observer, chosen, processes, accept, vote };
  };

  test("knows what is chosen: a quorum of acceptors, one ballot, committed", () => {
    const { observer, chosen, processes, accept, vote } = watch();
    vote(0, 1, 10, 7);
    vote(0, 1, 10, 7);
    vote(1, 1, 20, 7);
    accept(2, 1, 20, 7);
    expect(observer.chosen(1)).toBeUndefined();
    observer.commits(processes[2]!);
    expect(observer.chosen(1)).toEqual(bytes(7));
    expect(chosen).toEqual([1]);
  });

  test("what a crash took is no vote, nor is hearsay", () => {
    const { observer, processes, accept, vote } = watch();
    vote(0, 1, 10, 7);
    accept(1, 1, 10, 7);
    observer.ends(processes[1]!);
    observer.commits(processes[1]!);
    accept(2, 1, 10, 7, RecordFlag.hearsay);
    observer.commits(processes[2]!);
    expect(observer.chosen(1)).toBeUndefined();
  });

  test("two values chosen, or another one accepted above a chosen one", () => {
    const { vote } = watch();
    vote(0, 1, 10, 7);
    vote(1, 1, 10, 7);
    expect(() => vote(2, 1, 20, 8)).toThrow("agreement");
    const other = watch();
    other.vote(2, 1, 20, 8);
    other.vote(0, 1, 10, 7);
    other.vote(1, 1, 10, 7);
    expect(() => other.vote(0, 1, 20, 8)).toThrow("agreement");
  });

  test("two values at one ballot and life", () => {
    const { vote } = watch();
    vote(0, 1, 10, 7);
    expect(() => vote(1, 1, 10, 8)).toThrow("one value per ballot");
  });

  test("promises that fall, and votes below them; not after the acceptor has forgotten", () => {
    const { observer, processes, vote } = watch();
    const promise = (at: number, life: number): void => {
      observer.journal(processes[0]!).promised(ballot(at), life);
      observer.commits(processes[0]!);
    };
    promise(20, 1);
    expect(() => promise(10, 1)).toThrow("promises never fall");
    expect(() => promise(20, 2)).toThrow("promises never fall");
    expect(() => vote(0, 1, 10, 7)).toThrow("below a promise");
    observer.ends(processes[0]!);
    observer.forgets(processes[0]!, 2);
    promise(10, 1);
  });

  test("two processes in one place: neither's promise binds the other, and at one ballot one of them votes", () => {
    const { observer, processes, vote } = watch();
    vote(0, 1, 10, 7);
    const former = processes[0]!;
    observer.journal(former).promised(ballot(20), 1);
    observer.commits(former);
    processes[0] = observer.witness(0);
    observer.forgets(processes[0], 2);
    vote(0, 2, 15, 7);
    expect(() => vote(0, 1, 10, 7)).toThrow("one generation per ballot");
    observer.journal(former).promised(ballot(21), 1);
    observer.commits(former);
    observer.journal(former).promised(ballot(19), 1);
    expect(() => observer.commits(former)).toThrow("promises never fall");
  });
});

describe("the log of values", () => {
  /** Instance `iid` with values of these numbers of one client. */
  const deliver = (to: Checker, iid: number, ...numbers: number[]): void => {
    numbers.forEach((number, index) => {
      const value = new Uint8Array(12);
      value[8] = number;
      to.take(iid, index, index === numbers.length - 1, 1, number, value, 0, 12);
    });
    to.finished(iid);
  };

  test("what the first learner had in a snapshot comes later, from another one, in its place", () => {
    const log = new ValueLog();
    const [first, second] = [log.consumer("first"), log.consumer("second")];
    for (const one of [first, second]) deliver(one, 1, 1, 2);
    first.began(4);
    deliver(first, 5, 6);
    deliver(second, 2, 3);
    deliver(second, 3);
    deliver(second, 4, 4, 5);
    deliver(second, 5, 6);
    log.checkWhole();
    expect(log.count).toBe(6);
  });

  test("that the order of a client breaks there is seen in the end", () => {
    const log = new ValueLog();
    const [first, second] = [log.consumer("first"), log.consumer("second")];
    first.began(4);
    deliver(first, 5, 6);
    deliver(second, 4, 7);
    expect(() => log.checkWhole()).toThrow("order");
  });

  const faults: Record<string, (log: ValueLog, other: Checker) => void> = {
    "another value": (_log, other) => deliver(other, 1, 1, 3),
    "a value left out": (_log, other) => deliver(other, 1, 1),
    "an instance left out": (_log, other) => {
      deliver(other, 1, 1, 2);
      deliver(other, 3, 4);
    },
    "one more value": (_log, other) => deliver(other, 1, 1, 2, 3),
    "a value twice": (_log, other) => {
      deliver(other, 1, 1, 2);
      deliver(other, 2, 3);
      deliver(other, 3, 1);
    },
    "out of a client's order": (log) => deliver(log.consumer("newest"), 4, 0),
  };
  test.each(Object.entries(faults))("%s", (_what, spoil) => {
    const log = new ValueLog();
    const first = log.consumer("first");
    deliver(first, 1, 1, 2);
    deliver(first, 2, 3);
    expect(() => spoil(log, log.consumer("other"))).toThrow(/^(order|integrity): /);
  });
});

describe("values that come as a run", () => {
  const SESSION = 9;
  /** Of values of these numbers; `shift`: what its entries say that their sequence is ahead. */
  const run = (numbers: readonly number[], shift = 0): Uint8Array => {
    const size = 12;
    const batch = new Uint8Array(256);
    const view = new DataView(batch.buffer);
    let at = 0;
    for (const [i, number] of numbers.entries()) {
      const header = i === 0 ? ENTRY_HEADER_BYTES : SHORT_HEADER_BYTES;
      if (i === 0) writeEntryHeader(view, at, SESSION, 1 + shift, size, 0);
      else writeShortHeader(view, at, size, 0);
      batch[at + header + 8] = number;
      at += i === 0 ? entryBytes(size) : shortEntryBytes(size);
    }
    return batch.subarray(0, at);
  };
  const give = (to: Checker, count: number, batch: Uint8Array): boolean =>
    to.takeRun(1, 0, count, true, SESSION, 1, batch, 0, batch.length);

  test("are looked at one by one, where runs are taken", () => {
    const log = new ValueLog();
    const [first, second] = [log.consumer("first"), log.consumer("second")];
    expect(give(first, 3, run([1, 2, 3]))).toBe(false);
    log.takesRuns = () => true;
    expect(give(first, 3, run([1, 2, 3]))).toBe(true);
    first.finished(1);
    expect([log.count, log.runs]).toEqual([3, 1]);
    expect(() => give(second, 3, run([1, 2, 4]))).toThrow(/^order: /);
  });

  test.each([
    ["too few", 3, run([1, 2])],
    ["too many", 2, run([1, 2, 3])],
    ["of another sequence", 2, run([1, 2], 1)],
  ] as const)("%s", (_what, count, batch) => {
    const log = new ValueLog();
    log.takesRuns = () => true;
    expect(() => give(log.consumer("one"), count, batch)).toThrow(/^integrity: /);
  });
});

describe("the order of a learner of all groups", () => {
  /** Two logs: each instance has one value of session 1, but for the first of group 1, which is empty. */
  const sum = crc32c(bytes(7), 0, 1);
  const log = (values: readonly number[]): ValueLog =>
    Object.assign(new ValueLog(), {
      expected: (iid: number) =>
        Array.from({ length: values[iid - 1] ?? 0 }, (_, index) => ({
          index,
          session: 1,
          sequence: iid,
          length: 1,
          checksum: sum,
        })),
    });
  const order = (): MergedOrder => new MergedOrder("merger 0", [log([1, 1, 1]), log([0, 1, 1])]);
  const take = (to: MergedOrder, position: number, sequence: number, byte = 7): boolean =>
    to.take(position, 0, true, 1, sequence, bytes(byte), 0, 1);

  test("is that of the logs, and goes on where snapshots have it go on", () => {
    const right = order();
    take(right, 1, 1);
    right.finished(1);
    right.finished(2);
    right.goesOn(1, 2);
    right.skipped(3, 4);
    take(right, 5, 3);
    right.finished(5);
    expect([right.acknowledged(), right.compared]).toEqual([5, 3]);
    const late = order();
    late.goesOn(0, 2);
    late.goesOn(1, 1);
    take(late, 4, 2);
    late.finished(4);
    expect(late.acknowledged()).toBe(4);
  });

  test.each([
    ["another group first", "order", (one: MergedOrder) => take(one, 2, 1)],
    ["other bytes", "order", (one: MergedOrder) => take(one, 1, 1, 8)],
    ["a value that is not due", "order", (one: MergedOrder) => take(one, 1, 2)],
    ["a value left out", "integrity", (one: MergedOrder) => one.finished(1)],
    ["a value twice", "order", (one: MergedOrder) => [take(one, 1, 1), take(one, 1, 1)]],
    ["what no snapshot covers", "no gap", (one: MergedOrder) => one.skipped(1, 2)],
  ] as const)("%s: %s", (_what, property, wrong) => {
    expect(() => wrong(order())).toThrow(property);
  });
});
