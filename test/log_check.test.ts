/**
 * Whether a state is of the log that the acceptors have, step by step; with whole clusters: `snapshot_standstill.test.ts`.
 */
import { expect, test } from "bun:test";
import { LogCheck } from "../src/delivery/log_check.ts";
import type { SnapshotPlace } from "../src/delivery/snapshot_file.ts";
import { CliError, ExitCode } from "../src/error.ts";
import { Learner, NO_APPLICATION } from "../src/protocol/learner/learner.ts";
import { collectingLog } from "./support/collecting_log.ts";
import { Recorder } from "./support/recorder.ts";

const FILE: SnapshotPlace = {
  path: "FILE",
  written: 5,
  load: () => undefined,
  write: () => false,
  refusal: (why) => new CliError(`FILE cannot be used: ${why}`),
};
const SECOND_US = 1_000_000;

function stage() {
  const options = {
    ...{ acceptors: 3, windowInstances: 32, windowBytes: 1 << 20, catchUp: true, waitsForStart: false },
    ...{ keepsState: true, statesTellHighest: true, beginning: 128, canTrim: false, hasApplications: false },
    ...{ trimEvery: 100, trimBytes: 1 << 20 },
  };
  const learner = new Learner(options, new Recorder(), NO_APPLICATION);
  const { log, lines } = collectingLog();
  const check = new LogCheck(log, FILE);
  let nowUs = 0;
  return {
    learner,
    check,
    lines,
    begins: (iid: number, logId: number) =>
      check.began({ kind: 0, iid, logId, table: new Uint8Array(0), application: new Uint8Array(0) }, learner),
    /** Acceptors tell of these logs, by id, and of instance 9. */
    told: (...ids: number[]): void => {
      for (const [aid, id] of ids.entries()) learner.onAcceptorState(aid, 0, 9, 0, id);
    },
    /** All acceptors tell of log 8, and of this instance. */
    toldNew: (highest: number): void => {
      for (let aid = 0; aid < 3; aid++) learner.onAcceptorState(aid, 0, highest, 0, 8);
    },
    /** True: it has another log at the end of these seconds. */
    wait: (seconds: number): boolean => {
      nowUs += seconds * SECOND_US;
      return check.tick(nowUs, learner);
    },
  };
}

test("a quorum is told of, in one voice, or nothing", () => {
  const { learner, told } = stage();
  told(7);
  expect(learner.toldLogId).toBe(0);
  told(7, 8);
  expect(learner.toldLogId).toBe(0);
  told(7, 8, 8);
  expect(learner.toldLogId).toBe(8);
  told(7, 0, 0);
  expect(learner.toldLogId).toBe(0);
});

test("a file of the log is in doubt until a quorum of acceptors has told how far it goes", () => {
  const { learner, begins, told, wait, lines } = stage();
  begins(5, 7);
  wait(10);
  expect(learner.isDoubted).toBe(true);
  told(7);
  wait(10);
  expect(learner.isDoubted).toBe(true);
  told(7, 7);
  expect(wait(1)).toBe(false);
  expect(learner.isDoubted).toBe(false);
  expect(lines).toEqual([]);
});

test("a file of another log ends the process, when that was not said late from before", () => {
  const { learner, begins, told, wait } = stage();
  begins(5, 7);
  told(8, 8);
  wait(1);
  wait(2);
  expect(learner.isDoubted).toBe(true);
  expect(() => wait(1)).toThrow(
    "FILE cannot be used: its log has the id 7, and that of the acceptors 8: it is of a former log",
  );
});

test("what was said late from before is taken back by those who said it", () => {
  const { learner, begins, told, wait } = stage();
  begins(5, 7);
  told(8, 8);
  wait(1);
  wait(2);
  told(7, 7);
  wait(1);
  expect(learner.isDoubted).toBe(false);
  wait(10);
});

test("a file goes on where any acceptor has its log, or where it or the acceptors know of no id", () => {
  for (const [id, ...ids] of [
    [7, 8, 8, 7],
    [7, 8, 9],
    [7, 0, 0, 0],
    [0, 8, 8, 8],
  ] as const) {
    const { learner, begins, told, wait } = stage();
    begins(5, id);
    told(...ids);
    wait(1);
    wait(10);
    expect(learner.isDoubted).toBe(false);
  }
});

test("a process that runs says that there is a new log, once, and goes on", () => {
  const { check, learner, told, wait, lines } = stage();
  told(7, 7, 7);
  wait(1);
  expect(check.logId).toBe(7);
  learner.restored(5);
  told(8, 8, 8);
  expect(wait(1)).toBe(false);
  expect(wait(3)).toBe(true);
  expect(wait(3)).toBe(false);
  expect(check.logId).toBe(8);
  expect(lines.map(({ level, message }) => [level, message.slice(0, 39)])).toEqual([
    ["error", "the acceptors have begun a new log: all"],
  ]);
  expect(lines[0]!.message).toContain("up to instance 5 is of the former one");
});

/** A process that had delivered up to instance 9 when all acceptors lost everything. */
function running() {
  const all = stage();
  all.told(7, 7, 7);
  all.wait(1);
  all.learner.restored(9);
  all.toldNew(0);
  return all;
}

test("it is of the new log once that was carried on as far", () => {
  const { check, learner, toldNew, wait, lines } = running();
  expect([wait(1), wait(3), wait(60)]).toEqual([false, false, false]);
  // Nobody has written the new log: a leader that lives on may still carry on the former one.
  expect(lines.map(({ level }) => level)).toEqual(["error"]);
  expect([check.logId, learner.isDoubted]).toEqual([7, false]);
  // It sends again what it had under way.
  toldNew(8);
  expect(wait(1)).toBe(false);
  expect(learner.isDoubted).toBe(true);
  toldNew(10);
  expect(wait(1)).toBe(true);
  expect([check.logId, learner.isDoubted, wait(60)]).toEqual([8, false, false]);
  expect(lines).toHaveLength(1);
});

test("it ends where the new log is written below what it had delivered", () => {
  const { learner, toldNew, wait } = running();
  wait(60);
  toldNew(3);
  wait(1);
  expect(learner.isDoubted).toBe(true);
  wait(2);
  toldNew(4);
  const error = (() => {
    try {
      return wait(1);
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(error).toBeInstanceOf(CliError);
  expect(error).toMatchObject({ exitCode: ExitCode.config });
  expect((error as CliError).message).toContain("What is known here up to instance 9 is of the former one");
  expect((error as CliError).hint).toContain("move FILE away and start it again: it begins with the new log");
});

test("what was said late from before does not end it", () => {
  const { learner, told, toldNew, wait, lines } = running();
  toldNew(3);
  wait(1);
  expect(learner.isDoubted).toBe(true);
  told(7, 7, 7);
  expect([wait(60), learner.isDoubted, lines]).toEqual([false, false, []]);
});

test("a snapshot of another log is of no use, where both are known", () => {
  const { check, learner, told } = stage();
  expect(check.refusalOf(7, learner)).toBeNull();
  told(8, 8, 0);
  expect(check.refusalOf(0, learner)).toBeNull();
  expect(check.refusalOf(8, learner)).toBeNull();
  expect(check.refusalOf(7, learner)).toBe(
    "its log has the id 7, and that of the acceptors 8: it is of a former log",
  );
});
