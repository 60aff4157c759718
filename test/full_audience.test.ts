/**
 * Acceptors to whom as many listen as may: members of the configuration have a place all the same, others are turned away and know it.
 */
import { describe, expect, test } from "bun:test";
import { Audience } from "../src/protocol/acceptor/audience.ts";
import { type Peer, Role } from "../src/protocol/types.ts";
import { type Host, MemoryCluster } from "./support/memory_cluster.ts";
import { Bench } from "./support/transcript.ts";

const WIRES = ["native", "kernel-paxos"] as const;
const peer = (index: number): Peer => index as Peer;

describe("an audience", () => {
  const isMember = (one: Peer): boolean => one >= 100;
  const peersOf = (audience: Audience): number[] =>
    Array.from({ length: audience.count }, (_, at) => audience.peerAt(at));

  test("that is full takes a member in place of somebody else, and nobody else", () => {
    const audience = new Audience(isMember, 3);
    for (const one of [1, 100, 2]) expect(audience.add(peer(one), Role.learner, 0)).toBe(true);
    expect(audience.add(peer(3), Role.learner, 0)).toBe(false);
    expect(audience.add(peer(101), Role.proposer, 0)).toBe(true);
    expect(peersOf(audience).sort()).toEqual([1, 100, 101]);
    // Who had to go is turned away like any other, who stayed is not.
    expect(audience.add(peer(2), Role.learner, 0)).toBe(false);
    expect(audience.add(peer(1), Role.learner, 0)).toBe(true);
    expect(audience.refused).toBe(2);
  });

  test("of members alone has no place for one more", () => {
    const audience = new Audience(isMember, 2);
    for (const one of [100, 101]) audience.add(peer(one), Role.learner, 0);
    expect(audience.add(peer(102), Role.learner, 0)).toBe(false);
    expect(peersOf(audience)).toEqual([100, 101]);
  });
});

describe("a learner", () => {
  const hellos = (bench: Bench, turns: number, ...lines: string[]): number =>
    Array.from({ length: turns }, () => bench.turn(["after ms=100", ...lines]))
      .flat()
      .filter((line) => line.startsWith("learnerHi") && line.includes("to=a0")).length;
  const states = "state aid=0 from=a0 highest=0\nstate aid=1 from=a1 highest=0".split("\n");

  test.each([...WIRES])("that is told the state and never OK knows that it has no place (%s)", (wire) => {
    const bench = new Bench();
    bench.turn([`new learner wire=${wire} catch-up`]);
    const { learner } = bench.cores;
    expect(hellos(bench, 15, ...states)).toBeGreaterThan(10);
    expect(learner!.isTurnedAway(0)).toBe(false);
    hellos(bench, 10, ...states);
    expect([0, 1, 2].map((aid) => learner!.isTurnedAway(aid))).toEqual([true, true, false]);
    // It does not press.
    expect(hellos(bench, 30, ...states)).toBeLessThanOrEqual(4);
    bench.turn(["ok aid=0"]);
    expect([learner!.isRegistered(0), learner!.isTurnedAway(0)]).toEqual([true, false]);
  });

  test.each([...WIRES])(
    "that is answered no more has lost its place, where every hi is answered (%s)",
    (wire) => {
      const bench = new Bench();
      bench.turn([`new learner wire=${wire} catch-up`]);
      const { learner } = bench.cores;
      hellos(bench, 30, ...states, "ok aid=0,1");
      expect([learner!.isRegistered(0), learner!.isTurnedAway(0)]).toEqual([true, false]);
      hellos(bench, 60, ...states, "ok aid=1");
      // The reference answers once.
      const lost = wire === "native";
      expect([learner!.isRegistered(0), learner!.isTurnedAway(0)]).toEqual([!lost, lost]);
      expect([learner!.isRegistered(1), learner!.isTurnedAway(1)]).toEqual([true, false]);
    },
  );
});

test.each([...WIRES])("members have places, whoever came before; a client is turned away (%s)", (wire) => {
  const cluster = new MemoryCluster({ seed: 3, wire, proposers: 2, learners: 1 });
  const acceptors = [0, 1, 2].map((id) => cluster.acceptor(id));
  cluster.runFor(1_000_000);
  // Peers that none of this run has.
  const fill = (): void => {
    for (const { cores } of acceptors)
      for (let one = 3000; one < 3000 + 1024; one++)
        cores.acceptor!.audience.add(peer(one), Role.learner, Number.MAX_SAFE_INTEGER);
  };
  fill();
  const members = [cluster.proposer(0), cluster.proposer(1), cluster.learner(0)];
  cluster.runFor(1_000_000);
  const client = cluster.client({ values: 1, canTrim: false });
  cluster.runFor(3_000_000);
  const places = ({ cores: { learner } }: Host): boolean[] =>
    [0, 1, 2].map((aid) => learner!.isRegistered(aid));
  for (const member of members) expect(places(member)).toEqual([true, true, true]);
  expect(places(client)).toEqual([false, false, false]);
  const { learner } = client.cores;
  expect([0, 1, 2].map((aid) => learner!.isTurnedAway(aid))).toEqual([true, true, true]);
  for (const { cores } of acceptors) expect(cores.acceptor!.audience.count).toBe(1024);
});
