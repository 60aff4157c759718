/**
 * A proposer whose process has nothing of the log that it knows takes up another one (`LogCheck`): what it had found and proposed in the
 * former one has no part in it. An instance has another value there, mostly at a lower ballot.
 */
import { expect, test } from "bun:test";
import { Roles } from "../../src/node/roles.ts";
import { NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { UNNAMED } from "../../src/protocol/generations.ts";
import { type Application, Learner } from "../../src/protocol/learner/learner.ts";
import { markOfLog } from "../../src/protocol/log_mark.ts";
import { Proposer } from "../../src/protocol/proposer/proposer.ts";
import { StandingVector } from "../../src/protocol/standing.ts";
import { type Ballot, type Life, MAX_IID, NO_BALLOT, RepeatFlag } from "../../src/protocol/types.ts";
import { LEARNER_OF_STATE } from "../support/learner_of_state.ts";
import { peerOf, Recorder } from "../support/recorder.ts";

const [FORMER, NEW] = [4_503_599_627_370_497, 4_503_599_627_370_498];
const LIFE = 77 as Life;
const SECOND_US = 1_000_000;
const round = (number: number): Ballot => (number * 65536) as Ballot;

class Stage {
  readonly recorder = new Recorder();
  readonly learner: Learner;
  readonly proposer: Proposer;
  readonly delivered: string[] = [];
  #nowUs = SECOND_US;

  constructor(proposers = 1) {
    const application: Application = {
      deliver: (_iid, bytes, offset, length) =>
        this.delivered.push(new TextDecoder().decode(bytes.subarray(offset, offset + length))) > 0,
      skipped: () => undefined,
      acknowledged: () => 0,
    };
    this.learner = new Learner(LEARNER_OF_STATE, this.recorder, application);
    const options = {
      ...{ id: 0, proposers, acceptors: 3, life: LIFE, scheme: NATIVE_BALLOTS, timeoutMs: 1000 },
      ...{ leaderTimeoutMs: 100, leaseMs: 0, mayJump: false, usedBallot: 0, keepBallot: () => undefined },
      ...{ random: () => 0.5, perInstance: false, preexecWindow: 32, batching: false, queueBytes: 1 << 16 },
    };
    this.proposer = new Proposer(options, this.recorder, this.learner);
  }

  /** The process takes this log up, and a turn passes. */
  isOf(logId: number): string[] {
    this.learner.isOf(logId);
    return this.turn();
  }

  turn(us = 1000): string[] {
    this.#nowUs += us;
    this.learner.tick(this.#nowUs);
    this.proposer.tick(this.#nowUs);
    this.proposer.pump();
    return this.recorder.take();
  }

  /** An acceptor tells of this log, in a life that follows from `lives`. */
  state(aid: number, lives: number, logId: number, trim = 0, highest = 1): void {
    this.learner.onAcceptorLife(aid, lives + aid);
    this.learner.onAcceptorState(aid, trim, highest, 0, logId);
  }

  /** An acceptor of this log promises, and tells of a record. */
  promise(aid: number, logId: number, iid: number, ballot: Ballot, value: string): void {
    const standing = new StandingVector(3);
    for (let other = 0; other < 3; other++) standing.set(other, 1, logId + 10 * other);
    const { proposer } = this;
    const { bytes } = standing;
    proposer.onPromiseBegin(aid, proposer.ballot, LIFE, 1, 1, MAX_IID, 0, bytes, 0, bytes.length);
    const text = new TextEncoder().encode(value);
    proposer.onPromiseRecord(iid, ballot, text, 0, text.length);
    proposer.onPromiseEnd(aid, false);
  }
}

const accepts = (lines: string[]): string[] =>
  lines.filter((line) => line.startsWith("accept ")).map((line) => line.replace(/ballot=\S+ /, ""));

test.each([
  ["it campaigned", 1],
  ["it led", 2],
])("of a value found when %s in the former log it proposes nothing in the new one", (_, promises) => {
  const stage = new Stage();
  stage.isOf(FORMER);
  for (let aid = 0; aid < promises; aid++) stage.promise(aid, FORMER, 1, round(9), "former");
  stage.turn();
  stage.isOf(NEW);
  for (const aid of [1, 2]) stage.promise(aid, NEW, 1, round(1), "new");
  expect(accepts(stage.turn())).toEqual(["accept iid=1 value=new"]);
});

test("values of its clients that were proposed in the former log come in the new one", () => {
  const stage = new Stage();
  stage.isOf(FORMER);
  for (const aid of [0, 1]) stage.promise(aid, FORMER, 1, round(9), "former");
  for (const value of ["a", "b"])
    stage.proposer.onClientValue(peerOf("c0"), new TextEncoder().encode(value), 0, 1, 0);
  expect(accepts(stage.turn())).toHaveLength(3);
  stage.isOf(NEW);
  for (const aid of [1, 2]) stage.promise(aid, NEW, 2, round(1), "new");
  const said = accepts(stage.turn());
  expect(said[1]).toBe("accept iid=2 value=new");
  expect(said.join()).not.toContain("former");
  expect(said.slice(2).map((line) => line.at(-1))).toEqual(["a", "b"]);
});

test("what was open in the former log, and how far that went, is nothing that is to be filled in the new one", () => {
  const stage = new Stage();
  const { learner, proposer } = stage;
  stage.isOf(FORMER);
  for (const aid of [0, 1]) stage.state(aid, 20, FORMER, 0, 900);
  for (const aid of [0, 1]) stage.promise(aid, FORMER, 30, round(9), "former");
  stage.turn();
  expect([proposer.openIid, learner.highestIid]).toEqual([30, 900]);
  for (const aid of [0, 1, 2]) stage.state(aid, 30, NEW, 0, 3);
  stage.isOf(NEW);
  expect([proposer.openIid, learner.highestIid, learner.chosenIid]).toEqual([0, 0, 0]);
});

test("what was counted of another log before any was known has no part in the one that is", () => {
  const stage = new Stage();
  const { learner } = stage;
  // One acceptor is left of the former log.
  stage.state(2, 20, FORMER, 0, 1);
  stage.turn();
  const [former, other] = ["former", "new"].map((value) => new TextEncoder().encode(value));
  learner.onAccepted(2, 1, round(9), LIFE, former!, 0, former!.length, RepeatFlag.known);
  for (const aid of [0, 1, 2]) stage.state(aid, 30, NEW);
  stage.isOf(NEW);
  for (const aid of [0, 1, 2]) stage.state(aid, 30, NEW);
  for (const aid of [0, 1]) {
    learner.onAcceptorLife(aid, 30 + aid);
    learner.onAccepted(aid, 1, round(1), LIFE, other!, 0, other!.length);
  }
  learner.deliver();
  expect(stage.delivered).toEqual(["new"]);
});

test("nor does who waits for a snapshot of the former log, where much is trimmed, wait on in the new one", () => {
  for (const known of [0, FORMER]) {
    const stage = new Stage();
    const { learner } = stage;
    if (known > 0) stage.isOf(known);
    for (const aid of [1, 2]) stage.state(aid, 20, FORMER, 500, 600);
    stage.turn();
    stage.turn(SECOND_US);
    expect([learner.trimmedIid, learner.waitsForSnapshot]).toEqual([500, true]);
    for (const aid of [0, 1, 2]) stage.state(aid, 30, NEW);
    stage.recorder.take();
    const asked = stage.isOf(NEW).filter((line) => line.startsWith("learnerHi"));
    expect(learner.statesKnown).toBe(false);
    for (const aid of [0, 1, 2]) stage.state(aid, 30, NEW);
    stage.turn(SECOND_US);
    expect([asked.length, learner.statesKnown, learner.trimmedIid, learner.waitsForSnapshot]).toEqual([
      ...[3, true, 0, false],
    ]);
  }
});

test("a leader of another log deposes nobody, and nobody follows it", () => {
  const stage = new Stage(2);
  const { learner, proposer } = stage;
  stage.isOf(NEW);
  for (const aid of [0, 1]) proposer.onPreVoted(aid, 1, NO_BALLOT, true);
  stage.turn(SECOND_US / 100);
  for (const aid of [1, 2]) stage.promise(aid, NEW, 1, round(1), "new");
  stage.turn();
  const roles = new Roles({ learner, proposer, pairsAccepts: true, acceptorOf: () => -1, wallOffsetUs: 0 });
  const { ballot } = proposer;
  roles.onGenerations(UNNAMED, markOfLog(FORMER));
  roles.onHeartbeat(peerOf("p1"), 40, (round(50) + 1) as Ballot, 5 as Life, 9, 0);
  roles.onChosen(peerOf("p1"), 40, (round(50) + 1) as Ballot, 5 as Life);
  stage.turn();
  expect([proposer.stage, proposer.ballot, learner.chosenIid]).toEqual(["leading", ballot, 0]);
});
