/**
 * What `kpaxos bench` makes of its measurements: loads, medians, tables, and whether two results differ.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cellsOf, groupsOf, halfOf, keyOf, type Sweep } from "../src/bench/cells.ts";
import { readTold } from "../src/bench/commit_when_told.ts";
import { lacksFloor } from "../src/bench/floor.ts";
import { inTurns } from "../src/bench/pairs.ts";
import { QuorumRounds } from "../src/bench/quorum_rounds.ts";
import { type Round, readResult } from "../src/bench/result.ts";
import { median } from "../src/bench/statistics.ts";
import {
  floorRowsOf,
  rateToFloor,
  ratiosToFloor,
  roundsText,
  rowsOf,
  summaryOf,
  tableOf,
} from "../src/bench/table.ts";
import { framesBetween, type Sample, sentFrames } from "../src/bench/usage.ts";
import { heaviest, warmUpOf, warmUpsOf } from "../src/bench/warm_up.ts";
import { benchResult, besideFloor, CELL, cellResult, roundOf } from "./support/bench_result.ts";

const SWEEP: Sweep = {
  wires: ["native"],
  storages: ["memory"],
  layouts: ["roles"],
  acceptors: [3],
  batchings: [true],
  groups: [1],
  windows: [1, 100],
  clients: [1],
  sizes: [64],
  rates: [null],
};

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "kpaxos-bench-test-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("loads", () => {
  test("a sweep is the product of its lists, and one cluster serves those that differ in load only", () => {
    const cells = cellsOf({ ...SWEEP, acceptors: [3, 5], sizes: [64, 1000] });
    expect(cells).toHaveLength(8);
    expect(groupsOf(cells).map((group) => [group.shape.acceptors, group.cells.length])).toEqual([
      [3, 4],
      [5, 4],
    ]);
    expect(new Set(cells.map(keyOf)).size).toBe(8);
  });

  test("in the Kernel_Paxos wire packed and unpacked are one", () => {
    const cells = cellsOf({ ...SWEEP, wires: ["native", "kernel-paxos"], batchings: [true, false] });
    expect(cells).toHaveLength(6);
    expect(cells.filter(({ wire }) => wire === "kernel-paxos").map(({ batching }) => batching)).toEqual([
      false,
      false,
    ]);
  });

  test("half of a load has the same name whatever was reached, and room for what waits", () => {
    const [first, second] = [halfOf(CELL, 100_000, 1), halfOf(CELL, 123_456, 1)];
    expect(first).toMatchObject({ rate: 50_000, window: 4096, halfOfWindow: 100 });
    expect(second).toMatchObject({ rate: 61_700 });
    expect(keyOf(first!)).toBe(keyOf(second!));
    expect(keyOf(first!)).not.toBe(keyOf(CELL));
    expect(halfOf(CELL, 0, 1)).toBeUndefined();
    // Two values are no load.
    expect(halfOf(CELL, 20, 0.2)).toBeUndefined();
    expect(halfOf(CELL, Number.NaN, 1)).toBeUndefined();
    expect(halfOf({ ...CELL, rate: 5 }, 100, 1)).toBeUndefined();
    expect(halfOf({ ...CELL, clients: 65_535, window: 1 }, 100, 1)?.window).toBe(4);
  });
});

describe("before anything is measured", () => {
  test("a fresh cluster is loaded for longer, unless somebody says how long", () => {
    expect(warmUpsOf(undefined)).toEqual({ warmUp: 4, firstWarmUp: 5, halfWarmUp: 25 });
    for (const asked of [0, 0.1, 30])
      expect(warmUpsOf(asked)).toEqual({ warmUp: asked, firstWarmUp: asked, halfWarmUp: asked });
  });

  test("rounds at half load are loaded for longest", () => {
    const half = halfOf(CELL, 100_000, 1)!;
    expect([CELL, half].map((cell) => warmUpOf(cell, warmUpsOf(undefined)))).toEqual([4, 25]);
  });

  test("by the heaviest of its loads", () => {
    const cells = cellsOf({ ...SWEEP, windows: [1, 1000, 10], clients: [1, 2] });
    expect(heaviest(cells)).toMatchObject({ window: 1000, clients: 2 });
    // The window of an open loop is a bound, not a load.
    const open = cellsOf({ ...SWEEP, windows: [4096, 1], rates: [10, 30, 20] });
    expect(heaviest(open)).toMatchObject({ rate: 30, window: 4096 });
  });

  test("the floor says which loads it does not have", () => {
    expect(lacksFloor(CELL)).toBeUndefined();
    expect(lacksFloor({ ...CELL, rate: 1000, window: 4096, clients: 100 })).toBeUndefined();
    expect(lacksFloor({ ...CELL, window: 4096, clients: 100 })).toContain("32768 values under way");
    expect(lacksFloor({ ...CELL, rate: 1000, storage: "sqlite" })).toContain("disk");
    expect(lacksFloor({ ...CELL, size: 7 })).toContain("8 to 1400");
  });
});

describe("commits of a quorum", () => {
  test("take until a majority is done; who is not goes on, and takes up in its next commit what it was told since", () => {
    const rounds = new QuorumRounds(3);
    expect(rounds.isOver).toBe(true);
    rounds.tell(10);
    rounds.done(1, 1, 10.25);
    expect(rounds.isOver).toBe(false);
    rounds.done(0, 1, 10.125);
    expect(rounds.isOver).toBe(true);
    rounds.tell(20);
    // The third is done with the first round only now, and goes on to the second.
    rounds.done(2, 1, 20.125);
    rounds.done(0, 2, 20.25);
    expect(rounds.isOver).toBe(false);
    rounds.done(2, 2, 20.5);
    expect(rounds.isOver).toBe(true);
    rounds.tell(30);
    rounds.done(0, 3, 30.125);
    // Two rounds in one commit.
    rounds.done(1, 3, 30.375);
    expect([rounds.isOver, rounds.isDoneByAll]).toEqual([true, false]);
    rounds.done(2, 3, 40);
    expect(rounds.isDoneByAll).toBe(true);
    expect(rounds.timesUs).toEqual([250, 500, 375]);
  });

  test("are those of the first to be done, in whatever order they are heard", () => {
    const rounds = new QuorumRounds(5);
    rounds.tell(0);
    [4, 1, 3, 5, 2].forEach((atMs, party) => {
      rounds.done(party, 1, atMs);
      expect(rounds.isOver).toBe(party >= 2);
    });
    expect(rounds.timesUs).toEqual([3000]);
  });

  test("one party is a quorum of one, and of four it takes three", () => {
    for (const [parties, needed] of [
      [1, 1],
      [2, 2],
      [4, 3],
    ] as const) {
      const rounds = new QuorumRounds(parties);
      rounds.tell(0);
      for (let party = 0; party < parties; party++) {
        expect(rounds.isOver).toBe(party >= needed);
        rounds.done(party, 1, party + 1);
      }
      expect(rounds.timesUs).toEqual([needed * 1000]);
    }
  });

  test("no round begins before the last one is over, and nothing is done that nobody was told", () => {
    const rounds = new QuorumRounds(3);
    expect(() => rounds.done(0, 1, 1)).toThrow("what it was told");
    rounds.tell(0);
    expect(() => rounds.tell(1)).toThrow("when the one before is over");
  });

  test("a line of one that commits is read back", () =>
    expect(readTold("12 1795374006907.25")).toEqual({ records: 12, atMs: 1_795_374_006_907.25 }));
});

test("medians", () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([7])]).toEqual([2, 2.5, 7]);
  expect(median([])).toBeNaN();
});

describe("a result", () => {
  test("is read back from its file; what is none is refused", () => {
    const path = join(directory, "result.json");
    const result = benchResult([cellResult([roundOf(1000)])]);
    writeFileSync(path, JSON.stringify(result));
    expect(readResult(path)).toEqual(result);
    const torn = [{ startedAt: 1 }, { machine: null }, { cells: [{ cell: CELL, rounds: [{}] }] }].map(
      (part) => JSON.stringify({ ...result, ...part }),
    );
    const none = ["", "{}", "[]", "null", '{"format":"kpaxos-bench","version":99,"cells":[]}'];
    for (const text of [...none, ...torn]) {
      writeFileSync(path, text);
      expect(() => readResult(path)).toThrow(path);
    }
    expect(() => readResult(join(directory, "none"))).toThrow("cannot read");
  });

  test("as a table says what all loads have in common once", () => {
    const floor = { valuesPerSecond: 4000, p50: 50, p90: 60, p99: 70, lost: 0 };
    const rounds = [1000, 3000, 2000].map((rate) => ({ ...roundOf(rate), floor }));
    const one = cellResult(rounds);
    expect(summaryOf(one)).toMatchObject({
      valuesPerSecond: 2000,
      framesPerValue: 0.5,
      residentBytes: 70e6,
      floorRate: 0.5,
      floorP50: 2,
    });
    expect(summaryOf(one).cpuUs).toBeCloseTo(500, 6);
    expect(summaryOf(one).coresByRole.get("acceptor")).toBeCloseTo(0.3, 6);
    const lines = tableOf(benchResult([one, cellResult(rounds, { window: 1 })]));
    expect(lines[0]).toContain("wire native, storage memory, cluster 3 acceptors, values packed");
    const titles = lines.find((line) => line.startsWith("window"));
    expect(titles).toContain("values/s ÷ floor");
    expect(titles).not.toContain("wire");
  });

  test("has the median of the rounds' processor time a value, and all that any round lost", () => {
    const busy = (rate: number, times: number, unanswered = 0): Round => {
      const round = roundOf(rate);
      const processes = round.processes.map((one) => ({
        ...one,
        userCores: one.userCores * times,
        systemCores: one.systemCores * times,
      }));
      return { ...round, processes, unanswered };
    };
    // A core kept busy is 1000, 250 and, four of them, 2000 µs a value.
    const one = cellResult([busy(1000, 1, 3), busy(4000, 1), busy(2000, 4, 2)]);
    expect(summaryOf(one).cpuUs).toBeCloseTo(1000, 6);
    expect(summaryOf(one).unanswered).toBe(5);
    expect(summaryOf(cellResult([roundOf(0)])).cpuUs).toBe(0);
    const lossy = cellResult([busy(1000, 1), busy(1000, 1, 7), busy(1000, 1)]);
    expect(tableOf(benchResult([lossy])).join("\n")).toContain("7 values did not come back in time");
  });

  test("of an open loop has no ratio of throughputs, but those of latencies, and the floor's own figures", () => {
    const open = besideFloor(cellResult([roundOf(2000, 200)], { rate: 2000 }), 3000, 50);
    expect(summaryOf(open)).toMatchObject({ floorRate: null, floorP50: 4, floorP99: 4 });
    const [titles] = rowsOf(benchResult([open]));
    expect(titles!.filter((title) => title.includes("floor"))).toEqual(["p50 ÷ floor", "p99 ÷ floor"]);
    expect(floorRowsOf(benchResult([open]), () => "it")).toEqual([
      ["load", "rate", "values/s", "p50 µs", "p90", "p99", "p99.9", "max", "lost"],
      ["it", "3,000", "3,000", "50", "50", "50", "50", "50", "0"],
    ]);
    expect(floorRowsOf(benchResult([cellResult([roundOf(1)])]), () => "it")).toEqual([]);
    // Numbered as the loads are, also where some have none.
    const closed = besideFloor(cellResult([roundOf(2000)]), null, 50);
    const lines = tableOf(benchResult([cellResult([roundOf(1)]), closed]));
    expect(lines[lines.indexOf("the floor beside them:") + 2]).toMatch(/^ +2\. +closed/);
    expect(tableOf(benchResult([cellResult([roundOf(1)])])).join("")).not.toContain("floor");
  });

  test("has no ratio to a floor that lost something: nothing behind it was delivered there", () => {
    const stalled = besideFloor(cellResult([roundOf(8000, 200), roundOf(2000)]), null, 50, 7);
    expect(summaryOf(stalled)).toMatchObject({ floorRate: null, floorP50: null, floorP99: null });
    const [first, second] = stalled.rounds;
    const once = { ...stalled, rounds: [first!, { ...second!, floor: { ...second!.floor!, lost: 0 } }] };
    expect(summaryOf(once)).toMatchObject({ floorRate: 0.5, floorP50: 2, floorP99: 2 });
    expect(ratiosToFloor(once.rounds, rateToFloor)).toEqual([0.5]);
    expect(floorRowsOf(benchResult([stalled]), () => "it")[1]!.at(-1)).toBe("14");
    // Nor to one that did nothing at all.
    const idle = {
      ...once,
      rounds: [{ ...first!, floor: { ...first!.floor!, lost: 0, valuesPerSecond: 0 } }],
    };
    expect(summaryOf(idle)).toMatchObject({ floorRate: null, floorP50: null, floorP99: null });
  });

  test("tells how many rounds its figures are of, also where a load failed early", () => {
    const of = (...counts: readonly number[]): string =>
      roundsText(
        benchResult(counts.map((count) => cellResult(Array.from({ length: count }, () => roundOf(1000))))),
      );
    expect(of(1)).toStartWith("One round of 1.0 s");
    expect(of(5, 5)).toStartWith("Medians of 5 rounds");
    expect(of(5, 2)).toStartWith("Medians of 2 to 5 rounds");
    expect(of(1, 5)).toStartWith("Medians of 1 to 5 rounds");
  });

  test("is of pairs with the floor whose order changes from round to round", async () => {
    for (const [round, order] of [
      [1, ["floor", "ours"]],
      [2, ["ours", "floor"]],
      [3, ["floor", "ours"]],
    ] as const) {
      const done: string[] = [];
      const one = (name: string) => async (): Promise<string> => {
        await Bun.sleep(0);
        done.push(name);
        return name;
      };
      expect(await inTurns(round, one("floor"), one("ours"))).toEqual({ floor: "floor", ours: "ours" });
      expect(done).toEqual([...order]);
    }
  });

  test("frames are counted from /proc/net/dev", () => {
    const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       3    0    0    0     0       0          0
  eth0: 5000      40    0    0    0     0          0         0     7000      50    0    0    0     0       0          0
`;
    expect([sentFrames(text, true), sentFrames(text, false)]).toEqual([3, 50]);
  });

  test("frames of a host whose last process has ended are not known, rather than taken from the others", () => {
    const at = (frames: Record<string, number>): Sample => ({
      atMs: 0,
      cpu: new Map(),
      frames: new Map(Object.entries(frames)),
    });
    expect(framesBetween(at({ a: 5, b: 100 }), at({ a: 8, b: 140 }))).toBe(43);
    expect(framesBetween(at({ a: 5, b: 100 }), at({ a: 8 }))).toBeNull();
    expect(framesBetween(at({ a: 5 }), { atMs: 0, cpu: new Map(), frames: undefined })).toBeNull();
  });
});
