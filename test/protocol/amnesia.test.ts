/**
 * What goes wrong when an acceptor that has forgotten everything is believed too soon: stories that take so many coincidences
 * that random walks hardly meet them, each told with the rule that prevents it and without.
 */
import { describe, expect, test } from "bun:test";
import { Roles } from "../../src/node/roles.ts";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { AcceptorRestore } from "../../src/protocol/acceptor/acceptor_restore.ts";
import { ballotOwner, NATIVE_BALLOTS, RECOVERY_IDS } from "../../src/protocol/ballot.ts";
import { type Ballot, Standing } from "../../src/protocol/types.ts";
import {
  BornByQuorum,
  BornInOneRound,
  Eager,
  GoesOnUnknowing,
  KeepsOldAnswers,
  TrustsTheForgetful,
} from "../../src/sim/amnesiac_roles.ts";
import { acceptorOptions } from "../support/acceptor_options.ts";
import { peerOf, Recorder } from "../support/recorder.ts";
import { ACCEPTING, ALL, P0, P1, Scene } from "../support/scene.ts";
import type { Flight } from "../support/walk_network.ts";

const is = (flight: Flight, name: string): boolean => flight.text().includes(name);

/**
 * Acceptor 2 promises a high ballot to proposer 1, whom nobody else hears, and forgets. It recovers; proposer 0 has a value
 * chosen with it and acceptor 1. Then proposer 1 gets the promise of acceptor 0.
 */
function oldPromise(make: (cores: Roles["cores"]) => Roles): Scene {
  const scene = new Scene(make);
  proposerOnePromisedByTwo(scene);
  scene.startAcceptor(2, 222);
  scene.runUntil(() => scene.acceptor(2).isVoting, ACCEPTING);
  scene.submit(P0, "a");
  scene.runUntil(() => scene.observer.chosen.size > 0, [1, 2, P0]);
  expect(scene.proposer(0).ballot).toBeLessThan(scene.proposer(1).ballot);
  scene.submit(P1, "b");
  scene.run([0, P1], 30);
  return scene;
}

/** Proposer 0 leads; acceptor 2 alone has promised a higher ballot to proposer 1. */
function proposerOnePromisedByTwo(scene: Scene): void {
  scene.runUntil(
    () => scene.proposer(0).stage === "leading",
    ALL,
    ({ from, to }) => to !== P1 && from !== P1,
  );
  const deaf = (flight: Flight): boolean => {
    const isNews = flight.to === P1 && (flight.from === P0 || is(flight, "onEcho"));
    const isPrepare = flight.from === P1 && is(flight, "onPrepare");
    return !isNews && (!isPrepare || flight.to === 2);
  };
  scene.runUntil(() => ballotOwner(NATIVE_BALLOTS, scene.acceptor(2).promised) === 1, ALL, deaf);
  scene.run(ALL, 1, deaf);
  expect(scene.proposer(1).stage).toBe("preparing");
}

describe("an acceptor that has forgotten everything", () => {
  test("what it promised before completes no quorum with one that knows", () => {
    const scene = oldPromise((cores) => new Eager(cores));
    expect(scene.proposer(1).stage).not.toBe("leading");
    const chosen = scene.observer.chosen.get(1);
    scene.run([0, 1, P1], 300);
    scene.run(ALL, 1000);
    expect(scene.observer.chosen.get(1)).toBe(chosen!);
  });

  test("planted: a proposer that counts it all the same has another value chosen", () => {
    expect(() => oldPromise((cores) => new TrustsTheForgetful(cores))).toThrow(/^what is chosen stays/);
  });

  /**
   * Acceptor 2 promises a high ballot to proposer 1 and forgets. Acceptor 1 hears of its recovery, but not of its generation; then of
   * proposer 1, which leads with both promises. When acceptor 2 votes, proposer 0 has a value chosen with it and acceptor 0. Question and request share a
   * frame of the wire, so simulated clusters do not meet this.
   */
  function unknownGeneration(make: (cores: Roles["cores"]) => Roles): Scene {
    const scene = new Scene(make);
    proposerOnePromisedByTwo(scene);
    scene.startAcceptor(2, 222);
    const { birth } = scene.acceptor(2).fellows!;
    const isQuestion = (flight: Flight): boolean => flight.to === 1 && is(flight, "onStandingAsk");
    scene.runUntil(
      () => ballotOwner(NATIVE_BALLOTS, scene.acceptor(1).promised) === RECOVERY_IDS + 2,
      ACCEPTING,
      (flight) => !birth.isRecovering || !isQuestion(flight),
    );
    scene.submit(P1, "b");
    scene.runUntil(() => scene.acceptor(1).log.highestIid > 0, [1, P1]);
    // Now the question comes; that acceptor 1 has promised more is lost the first time it says so.
    let warnings = 0;
    scene.runUntil(
      () => scene.acceptor(2).isVoting,
      ACCEPTING,
      (flight) => without(2)(flight) || flight.from !== 1 || ++warnings > 1,
    );
    scene.submit(P0, "a");
    scene.runUntil(() => scene.observer.chosen.size > 0, [0, 2, P0]);
    scene.run([0, 1, P1], 30);
    return scene;
  }

  test("a leader that counted its former self with one that did not know its generation has its say first", () => {
    const scene = unknownGeneration((cores) => new Eager(cores));
    const chosen = scene.observer.chosen.get(1);
    scene.run(ALL, 1000);
    expect(scene.observer.chosen.get(1)).toBe(chosen!);
  });

  test("planted: who promised its ballot before it knew goes on with its recovery, and another value is chosen", () => {
    expect(() => unknownGeneration((cores) => new (cores.acceptor ? GoesOnUnknowing : Eager)(cores))).toThrow(
      /^what is chosen stays/,
    );
  });

  /** Acceptors 0 and 1 begin without acceptor 2 and have a value chosen; then 0 forgets, and meets 2. */
  function secondBirth(make: (cores: Roles["cores"]) => Roles): Scene {
    const scene = new Scene(make);
    scene.submit(P0, "a");
    scene.run([0, 1, P0], 300);
    scene.startAcceptor(0, 200);
    scene.submit(P1, "b");
    scene.run([0, 2, P1], 1000);
    return scene;
  }

  test("a cluster is not born without all of them", () => {
    const scene = secondBirth((cores) => new Roles(cores));
    expect(scene.observer.chosen.size).toBe(0);
    expect(ACCEPTING.map((aid) => scene.acceptor(aid).isVoting)).toEqual([false, false, false]);
    // Once they are all there, it is.
    scene.runUntil(() => ACCEPTING.every((aid) => scene.acceptor(aid).isVoting), ALL);
    scene.runUntil(() => scene.observer.chosen.size > 0, ALL);
  });

  test("planted: a birth by a mere quorum is followed by another one", () => {
    expect(() => secondBirth((cores) => new BornByQuorum(cores))).toThrow(
      /^(agreement|what is chosen stays)/,
    );
  });
});

const FIVE = [0, 1, 2, 3, 4];
const plain = (cores: Roles["cores"]): Roles => new Roles(cores);
/** All but the answers that tell these acceptors who votes. */
const without =
  (...aids: number[]) =>
  (flight: Flight): boolean =>
    !aids.includes(flight.to) || !is(flight, "onStanding ");
const allVote = (scene: Scene): boolean => scene.acceptors.every((one) => one.isVoting);

describe("a cluster is born once", () => {
  test("who has not heard of its birth is born with the record of anyone who votes, whatever acceptor 0 asks", () => {
    const scene = new Scene(plain, 5);
    const born = [0, 1, 2, 4];
    scene.runUntil(() => born.every((aid) => scene.acceptor(aid).isVoting), FIVE, without(3));
    // Acceptor 0 has forgotten, and hears that 3 is fresh; then it is not heard of for a while.
    scene.startAcceptor(0, 200);
    scene.run([0, 3], 30, without(3));
    expect(scene.acceptor(3).isVoting).toBe(false);
    const unpromised = (flight: Flight): boolean => flight.to !== 3 || !is(flight, "range promise");
    scene.runUntil(() => scene.acceptor(3).isVoting, [1, 2, 3, 4], unpromised);
    expect(scene.acceptor(3).fellows!.birth.voice).toBe("born");
    // Another one forgets: two of five are no majority.
    scene.startAcceptor(2, 202);
    scene.runUntil(() => allVote(scene), FIVE);
    scene.observer.checkBirths(scene.acceptors);
  });

  /** Acceptors 0 and 1 vote and forget, never more than two at once; in between 2 tells the new 0 that it is fresh, and is born. */
  function oneAfterTheOther(make: (cores: Roles["cores"]) => Roles): Scene {
    const scene = new Scene(make, 5);
    scene.runUntil(() => scene.acceptor(1).isVoting, FIVE, without(2, 3, 4));
    scene.startAcceptor(0, 200);
    scene.run([0, 2], 30, without(2));
    scene.runUntil(() => scene.acceptor(2).isVoting, [1, 2]);
    scene.startAcceptor(1, 201);
    scene.run([0, 1, 3, 4], 300, without(1, 3, 4));
    return scene;
  }

  test("that all others were fresh one after the other does not begin it", () => {
    const scene = oneAfterTheOther(plain);
    expect(scene.acceptor(0).isVoting).toBe(false);
    scene.runUntil(() => allVote(scene), FIVE);
    scene.observer.checkBirths(scene.acceptors);
  });

  test("planted: one round of answers begins it a second time", () => {
    const scene = oneAfterTheOther((cores) => new BornInOneRound(cores));
    expect(scene.acceptor(0).isVoting).toBe(true);
    expect(() => scene.observer.checkBirths(scene.acceptors)).toThrow(/^one birth/);
  });

  /** The record of an acceptor 0 that is gone comes when the next one has begun the cluster anew. */
  function lateRecord(make: (cores: Roles["cores"]) => Roles): Scene {
    const scene = new Scene(make);
    const late: Flight[] = [];
    scene.runUntil(
      () => scene.acceptor(0).isVoting,
      ACCEPTING,
      (flight) => without(1, 2)(flight),
    );
    scene.run(ACCEPTING, 50, (flight) => {
      if (flight.from === 0 && flight.to !== 0 && is(flight, "onStanding ")) late.push(flight);
      return without(1, 2)(flight);
    });
    scene.startAcceptor(0, 200);
    scene.runUntil(() => scene.acceptor(0).isVoting, ACCEPTING, without(1, 2));
    for (const flight of late) scene.deliver(flight);
    return scene;
  }

  test("what was said before acceptor 0 asked does not count after it", () => {
    const scene = lateRecord(plain);
    expect([1, 2].map((aid) => scene.acceptor(aid).isVoting)).toEqual([false, false]);
    scene.runUntil(() => allVote(scene), ACCEPTING);
    scene.observer.checkBirths(scene.acceptors);
  });

  test("planted: with answers to older questions some are born with the former record", () => {
    const scene = lateRecord((cores) => new KeepsOldAnswers(cores));
    expect(() => scene.observer.checkBirths(scene.acceptors)).toThrow(/^one birth/);
  });
});

test("a recovery goes on with an acceptor that restarted with its storage: its ballot is promised, and nothing else was", () => {
  const recovering = peerOf("a2");
  const ballot = (7 * NATIVE_BALLOTS.stride + RECOVERY_IDS + 2) as Ballot;
  /** What the one that restarted says to the life that asks, with this promise kept. */
  const answers = (kept: Ballot, life: number): string[] => {
    const recorder = new Recorder();
    const options = acceptorOptions({ aid: 1, life: 300, durable: true });
    const acceptor = new Acceptor(options, recorder.journal, recorder);
    const restore = new AcceptorRestore(acceptor);
    restore.promised(kept, 202);
    restore.standing(Float64Array.of(1, 1, 2), Float64Array.of(100, 101, 202));
    acceptor.fellows!.birth.resume();
    acceptor.tick(1);
    acceptor.fellows!.onStandingAsk(recovering, 2, 5, Standing.recovering, 2, life);
    recorder.take();
    acceptor.fellows!.onRecover(recovering, 2, 4, ballot, life, 1);
    return recorder.take().flatMap((line) => /^\w+/.exec(line)?.[0] ?? []);
  };
  expect(answers(ballot, 202)).toEqual(["promise"]);
  expect(answers(ballot, 203)).toEqual(["standing"]);
  expect(answers((ballot + 1) as Ballot, 202)).toEqual(["standing"]);
  expect(answers((ballot - 1) as Ballot, 202)).toEqual(["write", "promise"]);
});
