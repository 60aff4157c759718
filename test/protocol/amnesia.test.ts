/**
 * What goes wrong when an acceptor that has forgotten everything is believed too soon: stories that take so many coincidences
 * that random walks hardly meet them, each told with the rule that prevents it and without.
 */
import { describe, expect, test } from "bun:test";
import { Roles } from "../../src/node/roles.ts";
import { ballotOwner, NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { BornByQuorum, Eager, TrustsTheForgetful } from "../../src/sim/amnesiac_roles.ts";
import { ACCEPTING, ALL, P0, P1, Scene } from "../support/scene.ts";
import type { Flight } from "../support/walk_network.ts";

const is = (flight: Flight, name: string): boolean => flight.text().includes(name);

/**
 * Acceptor 2 promises a high ballot to proposer 1, whom nobody else hears, and forgets. It recovers; proposer 0 has a value
 * chosen with it and acceptor 1. Then proposer 1 gets the promise of acceptor 0.
 */
function oldPromise(make: (cores: Roles["cores"]) => Roles): Scene {
  const scene = new Scene(make);
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
  scene.startAcceptor(2, 222);
  scene.runUntil(() => scene.acceptor(2).isVoting, ACCEPTING);
  scene.submit(P0, "a");
  scene.runUntil(() => scene.observer.chosen.size > 0, [1, 2, P0]);
  expect(scene.proposer(0).ballot).toBeLessThan(scene.proposer(1).ballot);
  scene.submit(P1, "b");
  scene.run([0, P1], 30);
  return scene;
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
    const scene = oldPromise((cores) => new TrustsTheForgetful(cores));
    expect(scene.proposer(1).stage).toBe("leading");
    expect(() => scene.run([0, 1, P1], 300)).toThrow(/^agreement/);
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
    expect(() => secondBirth((cores) => new BornByQuorum(cores))).toThrow(/^agreement/);
  });
});
