/**
 * The one order of all groups' logs: the same wherever it is made, whatever arrives when; with everything in it; and what it says
 * of each group's log.
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  instanceBy,
  Merge,
  type MergedLearner,
  type MergedState,
  positionOf,
} from "../src/delivery/merge.ts";
import type { ValueConsumer } from "../src/protocol/learner/session_filter.ts";
import { MAX_IID } from "../src/protocol/types.ts";

const NOTHING = new Uint8Array(0);

/** A learner whose log is a number of values for each instance, of which so many instances have arrived. */
class FakeLearner implements MergedLearner {
  next: number;
  highestIid = 0;
  readonly #application: Pick<MergedState, "deliver">;

  constructor(application: Pick<MergedState, "deliver">, next: number) {
    this.#application = application;
    this.next = next;
  }

  deliverReady(): boolean {
    while (this.next <= this.highestIid) {
      if (!this.#application.deliver(this.next, NOTHING, 0, 0)) return false;
      this.next++;
    }
    return true;
  }
}

/** Instead of the sessions: hands on so many values of each instance; goes on where it was refused. */
function plainState(values: (iid: number) => number, consumer: ValueConsumer): MergedState & { iid: number } {
  let taken = 0;
  const state = {
    iid: 0,
    isWhole: true,
    deliver: (iid: number): boolean => {
      for (; taken < values(iid); taken++) {
        if (!consumer.take(iid, taken, taken === values(iid) - 1, 1, 1, NOTHING, 0, 0)) return false;
      }
      taken = 0;
      state.iid = iid;
      consumer.finished(iid);
      return true;
    },
    skipped: (first: number, last: number) => {
      state.iid = last;
      consumer.skipped(first, last);
    },
    acknowledged: () => consumer.acknowledged(),
    snapshot: () => NOTHING,
    restore: (_bytes: Uint8Array, iid: number) => {
      state.iid = iid;
      return null;
    },
    beginUnknown: (iid: number) => {
      state.iid = iid;
    },
  };
  return state;
}

class Host implements ValueConsumer {
  readonly got: string[] = [];
  readonly gaps: [number, number][] = [];
  readonly finishedAt: number[] = [];
  done = MAX_IID;
  refuses = (): boolean => false;

  take(iid: number, index: number): boolean {
    if (this.refuses()) return false;
    this.got.push(`${iid}.${index}`);
    return true;
  }
  finished(iid: number): void {
    this.finishedAt.push(iid);
  }
  skipped(first: number, last: number): void {
    this.gaps.push([first, last]);
  }
  acknowledged(): number {
    return this.done;
  }
}

/** Logs of groups, as values in each instance. */
type Logs = readonly (readonly number[])[];

function make(logs: Logs, next: readonly number[] = logs.map(() => 1)) {
  const host = new Host();
  const merge = new Merge(logs.length, host);
  const asked: string[] = [];
  const waits: string[] = [];
  const learners = merge.lanes.map((lane, group) => {
    lane.state = plainState((iid) => logs[group]![iid - 1]!, lane.consumer);
    const learner = new FakeLearner(lane, next[group]!);
    const advance = (id: number, iid: number): void => void asked.push(`${group}: p${id} ${iid}`);
    const onWait = (iid: number): void => void waits.push(`${group}: ${iid}`);
    lane.attach(learner, { outbox: { room: () => 100, advance }, proposers: 2, onWait });
    return learner;
  });
  return { host, merge, learners, asked, waits };
}

/** Everything in order, as the definition says it, up to where a group has no more. */
function expected(logs: Logs): string[] {
  const all: string[] = [];
  for (let iid = 1; ; iid++) {
    for (let group = 0; group < logs.length; group++) {
      const values = logs[group]![iid - 1];
      if (values === undefined) return all;
      for (let index = 0; index < values; index++)
        all.push(`${positionOf(group, iid, logs.length)}.${index}`);
    }
  }
}

const logsOf = fc.array(fc.array(fc.nat({ max: 3 }), { maxLength: 30 }), { minLength: 1, maxLength: 5 });

test("the order is that of its definition, whatever arrives when and however often the host is busy", () => {
  fc.assert(
    fc.property(logsOf, fc.infiniteStream(fc.nat()), fc.infiniteStream(fc.boolean()), (logs, draw, busy) => {
      const { host, merge, learners } = make(logs);
      host.refuses = () => busy.next().value!;
      while (learners.some((learner, group) => learner.highestIid < logs[group]!.length)) {
        const group = draw.next().value! % logs.length;
        const learner = learners[group]!;
        learner.highestIid = Math.min(logs[group]!.length, learner.highestIid + (draw.next().value! % 3));
        merge.lanes[draw.next().value! % logs.length]!.pump();
      }
      host.refuses = () => false;
      expect(merge.deliver()).toBe(true);
      expect(host.got).toEqual(expected(logs));
      expect(host.finishedAt).toEqual(host.finishedAt.map((_, i) => i + 1));
    }),
  );
});

test("positions and instances say the same", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.nat(), fc.integer({ min: 1 }), (groups, drawn, iid) => {
      const group = drawn % groups;
      const position = positionOf(group, iid, groups);
      expect(instanceBy(group, position, groups)).toBe(iid);
      expect(instanceBy(group, position - 1, groups)).toBe(iid - 1);
      expect((position - 1) % groups).toBe(group);
    }),
  );
  expect(instanceBy(3, 0, 4)).toBe(0);
});

test("what applications are done with is, for each group, what came up to there", () => {
  fc.assert(
    fc.property(logsOf, fc.nat(), (logs, drawn) => {
      const { host, merge, learners } = make(logs);
      learners.forEach((learner, group) => {
        learner.highestIid = logs[group]!.length;
      });
      merge.deliver();
      host.done = host.finishedAt.length === 0 ? 0 : drawn % (host.finishedAt.length + 1);
      const acknowledged = merge.lanes.map((lane) => lane.acknowledged());
      acknowledged.forEach((iid, group) => {
        expect(iid === 0 || positionOf(group, iid, logs.length) <= host.done).toBe(true);
        expect(positionOf(group, iid + 1, logs.length)).toBeGreaterThan(host.done);
      });
      host.done = MAX_IID;
      expect(merge.lanes.map((lane) => lane.acknowledged())).toEqual(logs.map(() => MAX_IID));
    }),
  );
});

test("a run of values is handed on at its position, or left out with what is left out", () => {
  const { host, merge } = make([[], []]);
  const runs: number[] = [];
  const take = (iid: number): boolean | undefined =>
    merge.lanes[1]!.consumer.takeRun?.(iid, 0, 3, true, 1, 1, NOTHING, 0, 0);
  // A host that takes no runs is offered values one by one.
  expect(take(4)).toBe(false);
  (host as ValueConsumer).takeRun = (iid) => runs.push(iid) > 0;
  expect(take(4)).toBe(true);
  merge.from = 9;
  expect(take(4)).toBe(true);
  expect(runs).toEqual([8]);
});

describe("an idle group", () => {
  test("is asked for the instances that others have, of all its proposers, less and less often", () => {
    const { merge, learners, asked, waits } = make([
      [1, 1, 1],
      [1, 1],
      [1, 1],
    ]);
    const [busy, second, idle] = learners as [FakeLearner, FakeLearner, FakeLearner];
    for (const learner of learners) learner.highestIid = 1;
    const turn = (nowUs: number): string[] => {
      asked.length = 0;
      for (const lane of merge.lanes) {
        lane.tick(nowUs);
        lane.pump();
      }
      return [...asked];
    };
    expect(turn(0)).toEqual([]);
    expect(merge.lanes.map((lane) => lane.nextTickUs())).toEqual(
      merge.lanes.map(() => Number.POSITIVE_INFINITY),
    );
    busy.highestIid = 3;
    // Instance 3 of group 0 comes before those of the others.
    expect(turn(2000)).toEqual(["1: p0 2", "1: p1 2", "2: p0 2", "2: p1 2"]);
    expect(turn(2500)).toEqual([]);
    expect(turn(4000)).toHaveLength(4);
    idle.highestIid = 2;
    expect(turn(6000)).toEqual(["1: p0 2", "1: p1 2"]);
    const times: number[] = [];
    for (let nowUs = 7000; nowUs < 400_000; nowUs += 1000) if (turn(nowUs).length > 0) times.push(nowUs);
    expect(times.length).toBeLessThan(14);
    expect(new Set(waits)).toEqual(new Set(["1: 2"]));
    second.highestIid = 2;
    expect(turn(500_000)).toEqual([]);
  });

  test("is asked at once; one that gets on by itself, when it has been behind for a while", () => {
    const { merge, learners, asked } = make([
      [1, 1, 1],
      [1, 1, 1],
    ]);
    const [busy, other] = learners as [FakeLearner, FakeLearner];
    const turn = (nowUs: number): number => {
      asked.length = 0;
      for (const lane of merge.lanes) {
        lane.tick(nowUs);
        lane.pump();
      }
      return asked.length;
    };
    other.highestIid = 1;
    busy.highestIid = 3;
    expect(turn(10_000)).toBe(0);
    expect(merge.lanes[1]!.nextTickUs()).toBe(11_000);
    expect(turn(11_000)).toBe(2);
    other.highestIid = 2;
    expect(turn(50_000)).toBe(0);
    busy.highestIid = 9;
    // It is to be noted that it is behind now.
    expect(merge.lanes[1]!.nextTickUs()).toBeLessThanOrEqual(50_000);
    expect(turn(60_000)).toBe(2);
  });

  test("is the one that holds the order up, and nobody else does", () => {
    const { merge, learners } = make([[1, 1], [1]], [1, 0]);
    const held = (): boolean[] => merge.lanes.map(({ group }) => merge.holdsUp(group));
    expect(held()).toEqual([false, false]);
    learners[0]!.highestIid = 2;
    // It is not known where group 1 begins.
    expect(held()).toEqual([false, true]);
    learners[1]!.next = 1;
    merge.deliver();
    expect(held()).toEqual([false, true]);
    learners[1]!.highestIid = 1;
    merge.deliver();
    expect(held()).toEqual([false, false]);
  });

  test("nobody is asked before it is known where all begin", () => {
    const { merge, learners, asked } = make([[1, 1], []], [1, 0]);
    learners[0]!.highestIid = 2;
    for (const lane of merge.lanes) lane.pump();
    expect(asked).toEqual([]);
  });
});

describe("who cannot have everything", () => {
  const LOGS: Logs = [Array(12).fill(1) as number[], Array(12).fill(1) as number[]];

  test("begins where the last of its snapshots is, in all groups, and says nothing of what was before", () => {
    const { host, merge, learners } = make(LOGS, [0, 0]);
    expect(merge.lanes[0]!.restore(NOTHING, 5)).toBeNull();
    learners[0]!.next = 6;
    expect(merge.lanes[1]!.restore(NOTHING, 3)).toBeNull();
    learners[1]!.next = 4;
    for (const learner of learners) learner.highestIid = 8;
    merge.deliver();
    expect(host.gaps).toEqual([]);
    // Instance 5 of group 0 is position 9.
    expect(host.got).toEqual(["10.0", "11.0", "12.0", "13.0", "14.0", "15.0", "16.0"]);
  });

  test("tells of each instance of a group that its state passes over", () => {
    const { host, merge, learners } = make(LOGS);
    (merge.lanes[0]!.state as { isWhole: boolean }).isWhole = false;
    for (const learner of learners) learner.highestIid = 2;
    const state = merge.lanes[0]!.state as { deliver: MergedState["deliver"] };
    state.deliver = () => true;
    merge.deliver();
    expect(host.gaps).toEqual([
      [1, 1],
      [3, 3],
    ]);
    expect(host.got).toEqual(["2.0", "4.0"]);
  });

  test("leaves out the same of all groups when one goes on with a snapshot, and tells it once", () => {
    const { host, merge, learners } = make(LOGS);
    for (const learner of learners) learner.highestIid = 2;
    merge.deliver();
    expect(host.got).toHaveLength(4);
    // Group 1 was trimmed away up to 7.
    expect(merge.lanes[1]!.restore(NOTHING, 7)).toBeNull();
    learners[1]!.next = 8;
    merge.lanes[1]!.leftOut(7);
    expect(host.gaps).toEqual([[5, 14]]);
    for (const learner of learners) learner.highestIid = 9;
    merge.deliver();
    expect(host.got.slice(4)).toEqual(["15.0", "16.0", "17.0", "18.0"]);
    expect(host.finishedAt).toEqual([1, 2, 3, 4, 15, 16, 17, 18]);
  });
});
