/**
 * What a deposed leader had proposed, and its successor's quorum has no record of. Nobody sends anything afterwards: it is chosen all
 * the same, behind what fills its instances, each value once.
 */
import { expect, test } from "bun:test";
import { Roles } from "../../src/node/roles.ts";
import { OverlooksRecords, OverlooksRequests } from "../../src/sim/wrong_roles.ts";
import { ACCEPTING, ALL, P0, P1, Scene } from "../support/scene.ts";
import type { Flight } from "../support/walk_network.ts";

const SECONDS = 4_000;
const noAccept = (flight: Flight): boolean => !/onAccept /.test(flight.text());
const onlyTo0 = (flight: Flight): boolean => flight.to === 0 || noAccept(flight);

/** Proposer 0 has proposed three values, which `passes` lets through, and then proposer 1 leads with acceptors 1 and 2. */
function story(
  passes: (flight: Flight) => boolean,
  make = (cores: Roles["cores"]) => new Roles(cores),
): Scene {
  const scene = new Scene(make);
  scene.runUntil(() => scene.proposer(0).stage === "leading", [...ACCEPTING, P0]);
  for (const letter of "abc") {
    scene.submit(P0, letter);
    scene.run([...ACCEPTING, P0], 1, passes);
  }
  expect(scene.proposer(0).openIid).toBe(3);
  scene.runUntil(() => scene.proposer(1).stage === "leading", [1, 2, P1]);
  expect(scene.observer.chosen.size).toBe(0);
  return scene;
}

function chosen({ observer }: Scene): string[] {
  return [...observer.chosen].sort(([one], [other]) => one - other).map(([, value]) => value[0] ?? "");
}

const ways = [
  ["one acceptor has accepted it", onlyTo0],
  ["nobody has", noAccept],
] as const;

test.each(ways)("%s: the former leader sends it on when its instances are filled", (_, passes) => {
  const scene = story(passes);
  scene.run(ALL, SECONDS);
  expect(chosen(scene)).toEqual(["", "", "", "a", "b", "c"]);
  expect([0, 1].map((id) => scene.proposer(id).progress())).toEqual([null, null]);
});

test("one acceptor has accepted it, and the former leader is gone: nobody waits for it any more", () => {
  const scene = story(onlyTo0);
  scene.run([...ACCEPTING, P1], SECONDS);
  expect(chosen(scene)).toEqual(["", "", ""]);
});

test("one acceptor has accepted it, and is gone, too", () => {
  const scene = story(onlyTo0);
  scene.run([1, 2, P0, P1], SECONDS);
  expect(chosen(scene)).toEqual(["", "", "", "a", "b", "c"]);
});

test("a new leader that finds it proposes it where it was, and nothing else", () => {
  const scene = new Scene();
  scene.runUntil(() => scene.proposer(0).stage === "leading", [...ACCEPTING, P0]);
  scene.submit(P0, "a");
  scene.run([...ACCEPTING, P0], 1, onlyTo0);
  scene.runUntil(() => scene.proposer(1).stage === "leading", [0, 2, P1]);
  scene.run(ALL, SECONDS);
  expect(chosen(scene)).toEqual(["a"]);
});

test("values of others take the places as well: no instance is filled", () => {
  const scene = story(noAccept);
  for (const letter of "xyz") {
    scene.submit(P1, letter);
    scene.run(ALL, 1);
  }
  scene.run(ALL, SECONDS);
  expect(chosen(scene).sort().join("")).toBe("abcxyz");
  expect(scene.observer.chosen.size).toBe(6);
});

test("planted: a leader that overlooks what it is told leaves it open", () => {
  const forever = story(onlyTo0, (cores) => new OverlooksRecords(cores));
  forever.run([...ACCEPTING, P1], SECONDS);
  expect(chosen(forever)).toEqual([]);
  const stranded = story(noAccept, (cores) => new OverlooksRequests(cores));
  stranded.run(ALL, SECONDS);
  expect(chosen(stranded)).toEqual([]);
  expect(stranded.proposer(0).progress()).not.toBe(null);
});
