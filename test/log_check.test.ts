/**
 * Whether a state is of the log that the acceptors have, step by step; with whole clusters: `snapshot_standstill.test.ts`.
 */
import { expect, test } from "bun:test";
import { LogCheck } from "../src/delivery/log_check.ts";
import type { SnapshotPlace } from "../src/delivery/snapshot_file.ts";
import { CliError, ExitCode } from "../src/error.ts";
import { Learner, NO_APPLICATION } from "../src/protocol/learner/learner.ts";
import { LEARNER_OF_STATE } from "./support/learner_of_state.ts";
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
  const learner = new Learner(LEARNER_OF_STATE, new Recorder(), NO_APPLICATION);
  const check = new LogCheck(FILE);
  let nowUs = 0;
  return {
    learner,
    check,
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
    wait: (seconds: number): void => {
      nowUs += seconds * SECOND_US;
      check.tick(nowUs, learner);
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
  const { learner, begins, told, wait } = stage();
  begins(5, 7);
  wait(10);
  expect(learner.isDoubted).toBe(true);
  told(7);
  wait(10);
  expect(learner.isDoubted).toBe(true);
  told(7, 7);
  wait(1);
  expect(learner.isDoubted).toBe(false);
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

/** A process that had delivered up to instance 9 when all acceptors lost everything. */
function running() {
  const all = stage();
  all.told(7, 7, 7);
  all.wait(1);
  all.learner.restored(9);
  return all;
}

test("a process that runs ends when a quorum tells of another log, however long that is, when it was not said late from before", () => {
  for (const highest of [0, 3, 9, 1000]) {
    const { learner, toldNew, wait } = running();
    wait(60);
    toldNew(highest);
    wait(1);
    expect(learner.isDoubted).toBe(true);
    wait(2);
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
    expect((error as CliError).hint).toContain(
      "move FILE away and start it again: it begins with the new log",
    );
  }
});

test("what was said late from before does not end it", () => {
  const { learner, told, toldNew, wait } = running();
  toldNew(3);
  wait(1);
  expect(learner.isDoubted).toBe(true);
  told(7, 7, 7);
  wait(60);
  expect([learner.isDoubted, learner.logId]).toEqual([false, 7]);
});

test("nor does a minority, nor a quorum where another that is heard has the log, nor acceptors that know of none", () => {
  for (const ids of [
    [8, 7, 7],
    [8, 8, 7],
    [0, 0, 0],
    [8, 0, 0],
  ]) {
    const { learner, told, wait } = running();
    told(...ids);
    wait(1);
    wait(60);
    expect(learner.isDoubted).toBe(false);
  }
});

test("an acceptor that is not heard any more does not keep it", () => {
  const { learner, wait } = running();
  learner.tick(10 * SECOND_US);
  for (const aid of [0, 1]) learner.onAcceptorState(aid, 0, 3, 0, 8);
  wait(1);
  expect(learner.isDoubted).toBe(true);
  expect(() => wait(3)).toThrow("have begun a new log");
});

test("one that has nothing yet takes up the log that the acceptors agree on in the end", () => {
  const { learner, told, wait } = stage();
  told(8, 8);
  wait(1);
  expect(learner.logId).toBe(8);
  told(7, 7, 7);
  wait(1);
  expect([learner.logId, learner.isDoubted]).toEqual([7, false]);
  wait(60);
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
  learner.isOf(7);
  expect(check.refusalOf(7, learner)).toBeNull();
  expect(check.refusalOf(8, learner)).toBe("its log has the id 8, and that of this process 7");
});
