/**
 * The order of things within a turn: what a replica's acceptor answers to an accept that came alone leaves before the rest of the
 * process acts, but never before the commit.
 */
import { describe, expect, test } from "bun:test";
import { type Host, MemoryCluster } from "./support/memory_cluster.ts";

interface Turn {
  readonly received: number;
  /** What happened, in order: a commit, a sending ahead (and how many frames that sent), the cores acting. */
  readonly steps: readonly ("commit" | "pump" | number)[];
}

/** Writes down the turns of a host from now on. */
function watch({ node, link }: Host): Turn[] {
  const turns: Turn[] = [];
  let steps: Turn["steps"][number][] = [];
  const { storage, roles } = node;
  const turn = node.turn.bind(node);
  const commit = storage.commit.bind(storage);
  const pump = roles.pump.bind(roles);
  const send = link.send.bind(link);
  node.turn = (nowUs, received) => {
    steps = [];
    turns.push({ received, steps });
    return turn(nowUs, received);
  };
  storage.commit = () => {
    steps.push("commit");
    return commit();
  };
  roles.pump = (nowUs) => {
    steps.push("pump");
    return pump(nowUs);
  };
  link.send = (ntx) => {
    const before = link.counters().txFrames;
    send(ntx);
    steps.push(link.counters().txFrames - before);
  };
  return turns;
}

function replicas(wire: "native" | "kernel-paxos", outstanding: number): { hosts: Host[]; done: () => void } {
  // A value to an instance, so that many values are many frames.
  const cluster = new MemoryCluster({ seed: 7, wire, replicas: 3, settings: ["batching no"] });
  const hosts = [0, 1, 2].map((id) => cluster.replica(id));
  const client = cluster.client({ values: 10_000, outstanding });
  const delivered = () => client.cores.client!.counters.delivered;
  cluster.runUntil("values are chosen", () => delivered() > 20);
  return {
    hosts,
    done: () => cluster.runUntil("more values are chosen", () => delivered() > 400),
  };
}

describe("an accept that comes alone", () => {
  for (const wire of ["native", "kernel-paxos"] as const) {
    test(`${wire}: the acceptor's answer is committed and sent, then the others act`, () => {
      const { hosts, done } = replicas(wire, 1);
      const turns = hosts.map(watch);
      done();
      const ahead = turns.flat().filter(({ steps }) => steps.some((step) => typeof step === "number"));
      // Of each value the turns of the two replicas that do not lead, at least.
      expect(ahead.length).toBeGreaterThan(600);
      for (const { received, steps } of ahead) {
        expect(received).toBeGreaterThan(0);
        expect(steps.slice(0, 3)).toEqual(["commit", expect.any(Number), "pump"]);
        expect(steps[1]).toBeGreaterThan(0);
      }
    });
  }

  test("what was sent ahead is not sent again", () => {
    const { hosts, done } = replicas("native", 1);
    const frames = hosts.map(({ link, node }) => link.counters().txFrames - node.wire.counters.framesOut);
    done();
    // Each frame that was filled left once, or was for the process itself.
    hosts.forEach(({ link, node }, i) => {
      expect(link.counters().txFrames - node.wire.counters.framesOut).toBeLessThanOrEqual(frames[i]!);
    });
  });
});

test("accepts that come many at once are answered at the end of the turn", () => {
  const { hosts, done } = replicas("native", 400);
  const turns = hosts.map(watch);
  done();
  const full = turns.flat().filter(({ received }) => received > 2);
  expect(full.length).toBeGreaterThan(10);
  for (const { steps } of full) expect(steps.filter((step) => typeof step === "number")).toEqual([]);
});
