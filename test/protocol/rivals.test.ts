/**
 * Three ballots at one instance: what a leader has to propose again, told with the rule and without. Since leaders are elected
 * a random walk hardly meets it.
 */
import { expect, test } from "bun:test";
import { Roles } from "../../src/node/roles.ts";
import { Eager } from "../../src/sim/amnesiac_roles.ts";
import { AdoptsLowest } from "../../src/sim/wrong_roles.ts";
import { P0, P1, Scene } from "../support/scene.ts";
import type { Flight } from "../support/walk_network.ts";

const onlyTo0 = (flight: Flight): boolean => flight.to === 0 || !/onAccept|onChosen/.test(flight.text());

/** Acceptor 0 alone takes a value of proposer 0; proposer 1 has another one chosen by the others; then proposer 0 leads again. */
function story(make: (cores: Roles["cores"]) => Roles): Scene {
  const scene = new Scene(make);
  scene.runUntil(() => scene.proposer(0).stage === "leading", [0, 1, 2, P0]);
  scene.submit(P0, "a");
  scene.runUntil(() => scene.acceptor(0).log.highestIid === 1, [0, 1, 2, P0], onlyTo0);
  scene.submit(P1, "b");
  scene.runUntil(() => scene.observer.chosen.size > 0, [1, 2, P1]);
  return scene;
}

test("the value of the highest ballot is proposed again", () => {
  const scene = story((cores) => new Roles(cores));
  const chosen = scene.observer.chosen.get(1)!;
  scene.runUntil(() => scene.proposer(0).stage === "leading", [0, 1, P0]);
  scene.run([0, 1, P0], 300);
  expect(scene.observer.chosen.get(1)).toBe(chosen);
});

test("planted: a leader that proposes the value of the lowest ballot has two chosen", () => {
  const scene = story((cores) => new AdoptsLowest(cores));
  expect(() => scene.run([0, 1, P0], 1000)).toThrow(/^(agreement|what is chosen stays)/);
});

test("a leader that learns of a choice above its ballot announces nothing: acceptors would mark what it proposed", () => {
  const scene = new Scene((cores) => new Eager(cores));
  scene.runUntil(() => scene.proposer(0).stage === "leading", [0, 1, 2, P0]);
  scene.submit(P0, "a");
  scene.runUntil(() => scene.acceptor(0).log.highestIid === 1, [0, 1, 2, P0], onlyTo0);
  scene.submit(P1, "b");
  // Neither proposer hears of the other's ballot; but proposer 0 hears what is proposed and accepted.
  const passes = ({ from, to, text }: Flight): boolean => {
    if (to === P1) return from !== P0 && !/onEcho/.test(text());
    return to === P0 ? /onEcho.* 1000 \d+$|onAccept/.test(text()) : from !== P0 || !/onAccept/.test(text());
  };
  scene.runUntil(() => scene.proposer(0).window.low === 2, [1, 2, P0, P1], passes);
  scene.run([0, P0], 50);
  scene.observer.checkMarks(scene.acceptor(0));
});
