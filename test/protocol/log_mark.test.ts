/**
 * Of two logs: what an acceptor and a learner take of frames that bear the mark of another, and what a learner counts of acceptors
 * that have not told of their log, or tell of another.
 */
import { describe, expect, test } from "bun:test";
import { Roles } from "../../src/node/roles.ts";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { UNNAMED } from "../../src/protocol/generations.ts";
import { type Application, Learner } from "../../src/protocol/learner/learner.ts";
import { isOtherMark, markOfLog, NO_MARK } from "../../src/protocol/log_mark.ts";
import type { Ballot, Life } from "../../src/protocol/types.ts";
import { acceptorOptions } from "../support/acceptor_options.ts";
import { LEARNER_OF_STATE } from "../support/learner_of_state.ts";
import { peerOf, Recorder } from "../support/recorder.ts";

const BALLOT = 65536 as Ballot;
const LIFE = 77 as Life;
const LEADER = peerOf("p0");
const VALUE = new TextEncoder().encode("value");
const [OWN, OTHER] = [4_503_599_627_370_497, 4_503_599_627_370_498];

test("a mark has seven bits, none only where the log is not known", () => {
  const marks = new Set<number>();
  for (let id = 1; id < 2 ** 53; id += 1_000_000_000_039) marks.add(markOfLog(id));
  expect([Math.min(...marks), Math.max(...marks), marks.size]).toEqual([1, 127, 127]);
  // Ids of which only the high bits differ have different ones, too.
  expect(new Set(Array.from({ length: 100 }, (_, i) => markOfLog((i + 1) * 2 ** 40))).size).toBeGreaterThan(
    5,
  );
  expect([markOfLog(0), isOtherMark(0, 5), isOtherMark(5, 0), isOtherMark(5, 5)]).toEqual([
    NO_MARK,
    false,
    false,
    false,
  ]);
  expect(isOtherMark(5, 6)).toBe(true);
});

/** Acceptor 1 of three, which votes in the log of this id. */
function voter(logId: number): { acceptor: Acceptor; recorder: Recorder } {
  const recorder = new Recorder();
  const options = acceptorOptions({ aid: 1, life: 11, durable: true, maxLeaseMs: 500, leaderTimeoutMs: 100 });
  const acceptor = new Acceptor(options, recorder.journal, recorder);
  acceptor.restoreStanding(Float64Array.of(logId === 0 ? 0 : 1, 1, 1), Float64Array.of(logId, 11, 12));
  acceptor.tick(1_000_000);
  acceptor.fellows!.birth.resume();
  recorder.take();
  return { acceptor, recorder };
}

/** What it says to all that a leader may say, in frames of this mark. */
function said(logId: number, mark: number): string[] {
  const { acceptor, recorder } = voter(logId);
  acceptor.onGenerations(UNNAMED, mark);
  acceptor.onPrepare(LEADER, 1, BALLOT, LIFE);
  acceptor.onGenerations(0x010101, mark);
  acceptor.onHeartbeat(LEADER, 4, BALLOT, LIFE, 9, 100);
  acceptor.onChosen(4, BALLOT, LIFE);
  acceptor.onAccept(LEADER, 5, 0, BALLOT, LIFE, VALUE, 0, VALUE.length);
  const kept = `chosen ${acceptor.chosenIid} highest ${acceptor.log.highestIid} promised ${acceptor.promised}`;
  return [...recorder.take().map((line) => line.split(" ")[0]!), kept];
}

describe("an acceptor", () => {
  test("takes nothing of a proposer of another log, and does not take it for its leader", () => {
    expect(said(OWN, markOfLog(OTHER))).toEqual(["chosen 0 highest 0 promised 0"]);
    const { acceptor, recorder } = voter(OWN);
    acceptor.onGenerations(0x010101, markOfLog(OTHER));
    acceptor.tick(2_000_000);
    acceptor.fellows!.birth.resume();
    acceptor.onHeartbeat(LEADER, 4, BALLOT, LIFE, 9, 0);
    recorder.take();
    acceptor.onPreVote(peerOf("p1"), 3);
    expect(recorder.take()).toEqual([expect.stringContaining("granted")]);
  });

  test("takes all of one that has its log, or names none, and of anybody where it knows of none itself", () => {
    const all = said(OWN, markOfLog(OWN));
    expect(all.at(-1)).toBe(`chosen 4 highest 5 promised ${BALLOT}`);
    expect(said(OWN, NO_MARK)).toEqual(all);
    expect(said(0, markOfLog(OTHER))).toEqual(all);
  });

  test("does not take what is chosen while it does not vote: it may be of a former log", () => {
    const recorder = new Recorder();
    const options = acceptorOptions({ aid: 1, life: 11, leaderTimeoutMs: 100 });
    const acceptor = new Acceptor(options, recorder.journal, recorder);
    acceptor.tick(1_000_000);
    acceptor.onGenerations(0x010101, markOfLog(OTHER));
    acceptor.onChosen(40, BALLOT, LIFE);
    expect([acceptor.isVoting, acceptor.chosenIid]).toEqual([false, 0]);
  });
});

/** A learner of the log `OWN`, unless it knows of none. */
class Stage {
  readonly recorder = new Recorder();
  readonly delivered: number[] = [];
  readonly learner: Learner;

  constructor(logId = OWN) {
    const application: Application = {
      deliver: (iid) => this.delivered.push(iid) > 0,
      skipped: () => undefined,
      acknowledged: () => 0,
    };
    this.learner = new Learner(LEARNER_OF_STATE, this.recorder, application);
    if (logId !== 0) this.learner.isOf(logId);
    this.pass(1);
  }

  pass(ms: number): void {
    this.learner.tick(ms * 1000);
    this.recorder.take();
  }

  state(aid: number, life: Life, logId: number, trim = 0, highest = 9): void {
    this.learner.onAcceptorLife(aid, life);
    this.learner.onAcceptorState(aid, trim, highest, 0, logId);
  }

  /** Acceptors vote for an instance, each in its life; what is delivered then. */
  votes(iid: number, ...voters: (readonly [aid: number, life: Life])[]): readonly number[] {
    this.learner.onLogMark(NO_MARK);
    this.learner.onAccept(iid, BALLOT, LIFE, VALUE, 0, VALUE.length);
    for (const [aid, life] of voters) {
      this.learner.onAcceptorLife(aid, life);
      this.learner.onAcceptedRange(aid, iid, iid, BALLOT, LIFE);
    }
    this.learner.deliver();
    return this.delivered;
  }
}

describe("a learner that knows its log", () => {
  test("counts votes of acceptors that have told of it in this life, or that they know of none", () => {
    const stage = new Stage();
    stage.state(0, 20, OWN);
    stage.state(1, 21, 0);
    expect(stage.votes(1, [0, 20], [1, 21])).toEqual([1]);
  });

  test("counts none in a life that has not told, and asks", () => {
    const stage = new Stage();
    for (const aid of [0, 1, 2]) {
      stage.state(aid, 20 + aid, OWN);
      stage.learner.onAcceptorOk(aid);
    }
    stage.pass(200);
    stage.pass(250);
    expect(stage.votes(1, [0, 20], [1, 31], [2, 32])).toEqual([]);
    stage.learner.tick(301_000);
    const his = stage.recorder.take().filter((line) => line.includes("learnerHi"));
    expect(his.map((line) => line.match(/[0-9]/)?.[0])).toEqual(["1", "2"]);
    stage.state(1, 31, OWN);
    expect(stage.votes(1, [1, 31])).toEqual([1]);
  });

  test("asks no more than ten times a second, whoever speaks in turn", () => {
    const stage = new Stage();
    let asked = 0;
    for (let ms = 1000; ms < 2000; ms++) {
      stage.learner.onAcceptorLife(1, ms);
      stage.learner.onAcceptorOk(1);
      stage.learner.tick(ms * 1000);
      asked += stage.recorder.take().filter((line) => /learnerHi.*1/.test(line)).length;
    }
    expect(asked).toBeWithin(8, 12);
  });

  test("counts none of another log, nor answers to a repeat, nor what is trimmed there", () => {
    const stage = new Stage();
    for (const aid of [0, 1, 2]) stage.state(aid, 20 + aid, OTHER, 5);
    expect(stage.votes(1, [0, 20], [1, 21], [2, 22])).toEqual([]);
    stage.learner.onAcceptorLife(0, 20);
    stage.learner.onAccepted(0, 1, BALLOT, LIFE, VALUE, 0, VALUE.length, 3);
    stage.learner.deliver();
    expect([stage.delivered, stage.learner.trimmedIid, stage.learner.lostIid]).toEqual([[], 0, 0]);
    expect(stage.learner.toldLogId).toBe(OTHER);
  });

  test("takes no value of a leader of another, be it at a higher ballot than the one that is chosen", () => {
    const stage = new Stage();
    stage.state(0, 20, OWN);
    stage.state(1, 21, OWN);
    const { learner } = stage;
    learner.onLogMark(markOfLog(OTHER));
    learner.onChosen(8);
    learner.onAccept(1, (BALLOT + 65536) as Ballot, 5, VALUE, 0, 2);
    for (const aid of [0, 1]) {
      learner.onAcceptorLife(aid, 20 + aid);
      learner.onAcceptedRange(aid, 1, 1, BALLOT, LIFE);
    }
    learner.deliver();
    expect([stage.delivered, learner.chosenIid]).toEqual([[], 0]);
    expect(stage.votes(1)).toEqual([1]);
  });
});

test("a read is not confirmed by a leader of another log", () => {
  const { learner } = new Stage();
  const confirmed: number[] = [];
  const extras = [{ onReadIndex: (_: unknown, nonce: number) => void confirmed.push(nonce) }];
  const roles = new Roles({ learner, extras, pairsAccepts: true, acceptorOf: () => -1, wallOffsetUs: 0 });
  for (const [nonce, mark] of [markOfLog(OTHER), markOfLog(OWN), NO_MARK].entries()) {
    roles.onGenerations(UNNAMED, mark);
    roles.onReadIndex(LEADER, nonce, 0, true);
  }
  expect(confirmed).toEqual([1, 2]);
});

test("a learner that knows of no log counts all; what it had not delivered is learned anew where it hears of two", () => {
  for (const id of [OWN, OTHER]) {
    const stage = new Stage(0);
    expect(stage.votes(1, [0, 20], [1, 31])).toEqual([1]);
    stage.votes(2, [0, 20]);
    stage.state(0, 20, id);
    stage.state(1, 21, OWN);
    stage.learner.isOf(OWN);
    expect(stage.votes(2, [1, 21])).toEqual(id === OWN ? [1, 2] : [1]);
    stage.state(2, 22, OWN);
    expect(stage.votes(2, [2, 22])).toEqual([1, 2]);
  }
});

test("nor do votes of the log that it knew before count when it takes up another", () => {
  const stage = new Stage();
  for (const aid of [0, 1]) stage.state(aid, 20 + aid, OWN);
  stage.votes(1, [0, 20]);
  for (const aid of [0, 1, 2]) stage.state(aid, 30 + aid, OTHER);
  stage.learner.isOf(OTHER);
  expect(stage.votes(1, [1, 31])).toEqual([]);
  expect(stage.votes(1, [2, 32])).toEqual([1]);
});
