/**
 * What a cluster does that nobody uses, over some seconds of virtual time: how often each process wakes, by itself or for frames of
 * others, and how many frames it sends. A timer that asks for the clock again and again is found here.
 */
import { describe, expect, test } from "bun:test";
import type { WireName } from "../src/config/config.ts";
import { TurnCluster } from "./support/turn_cluster.ts";

const VALUES = 50;
const SETTLE_US = 5_000_000;
const SECONDS = 20;
const TIMEOUT_MS = 60_000;

interface Idle {
  /** Turns a second, those after a turn's own frames included. */
  readonly turns: number;
  /** Turns a second that no frame had called for. */
  readonly own: number;
  readonly frames: number;
}

/** At most so much of each kind of process. */
const BOUNDS: Readonly<Record<WireName, Readonly<Record<string, Idle>>>> = {
  native: {
    acceptor: { turns: 45, own: 20, frames: 20 },
    proposer: { turns: 45, own: 28, frames: 16 },
    learner: { turns: 55, own: 28, frames: 5 },
    replica: { turns: 80, own: 60, frames: 36 },
    client: { turns: 32, own: 6, frames: 5 },
  },
  "kernel-paxos": {
    acceptor: { turns: 8, own: 4, frames: 10 },
    proposer: { turns: 8, own: 6, frames: 8 },
    learner: { turns: 30, own: 26, frames: 8 },
    replica: { turns: 32, own: 28, frames: 15 },
    client: { turns: 9, own: 7, frames: 8 },
  },
};

function idle(wire: WireName, replicas: boolean): Map<string, Idle> {
  const turns = new Map<string, { all: number; own: number; heard: number }>();
  const cluster = new TurnCluster({
    wire,
    replicas,
    proposers: wire === "native" ? 2 : 1,
    outstanding: 4,
    values: VALUES,
    turned: ({ name, link }) => {
      const count = turns.get(name) ?? { all: 0, own: 0, heard: 0 };
      const heard = link.counters().rxFrames;
      count.all++;
      if (heard === count.heard) count.own++;
      count.heard = heard;
      turns.set(name, count);
    },
  });
  const { hosts } = cluster.sim;
  cluster.runTo(VALUES);
  cluster.sim.runFor(SETTLE_US);
  const before = new Map(
    hosts.map(({ name, link }) => [name, { ...turns.get(name)!, frames: link.counters().txFrames }]),
  );
  cluster.sim.runFor(SECONDS * 1_000_000);
  return new Map(
    hosts.map(({ name, link }) => {
      const was = before.get(name)!;
      const now = turns.get(name)!;
      const per = (a: number, b: number): number => (a - b) / SECONDS;
      const frames = per(link.counters().txFrames, was.frames);
      return [name, { turns: per(now.all, was.all), own: per(now.own, was.own), frames }];
    }),
  );
}

describe.each(["native", "kernel-paxos"] as const)("wire %s", (wire) => {
  test.each([false, true])(
    "nothing asks for the clock without need (replicas: %p)",
    (replicas) => {
      for (const [name, { turns, own, frames }] of idle(wire, replicas)) {
        const most = BOUNDS[wire][name.replace(/ \d+$/, "")]!;
        expect({ name, turns, enough: turns <= most.turns }).toEqual({ name, turns, enough: true });
        expect({ name, own, enough: own <= most.own }).toEqual({ name, own, enough: true });
        expect({ name, frames, enough: frames <= most.frames }).toEqual({ name, frames, enough: true });
        // And nobody has stopped.
        expect(turns).toBeGreaterThan(1);
      }
    },
    TIMEOUT_MS,
  );
});
