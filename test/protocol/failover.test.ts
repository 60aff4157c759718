/**
 * What a leader's death costs clients, in whole clusters on the network in memory: from the kill until every client has
 * values delivered that it submitted since, whichever proposer it sends to, the dead one included. Each run follows from
 * its seed.
 */
import { describe, expect, test } from "bun:test";
import { ballotAbove, NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { ProposerChoice } from "../../src/protocol/client/proposer_choice.ts";
import type { Ballot } from "../../src/protocol/types.ts";
import { Busy } from "../../src/protocol/types.ts";
import { type Host, MemoryCluster } from "../support/memory_cluster.ts";

const MS = 1000;
const PROPOSERS = [0, 1, 2];
const OUTSTANDING = 4;
const SEEDS = 20 * Number(process.env.KPAXOS_SEEDS ?? 1);

/** Room for what is under way while nobody trims; clients as patient as they are by default. */
const SETTINGS = [
  "acceptor-window-instances 131072",
  "acceptor-window-bytes 67108864",
  "client-timeout 1000ms",
];

class Service {
  readonly cluster: MemoryCluster;
  readonly clients: Host[];

  constructor(seed: number, settings: readonly string[], loss = 0) {
    this.cluster = new MemoryCluster({
      seed,
      wire: "native",
      proposers: PROPOSERS.length,
      settings: [...SETTINGS, ...settings],
      faults: { loss },
    });
    const { cluster } = this;
    for (const { id } of cluster.config.acceptors) cluster.acceptor(id);
    for (const id of PROPOSERS) cluster.proposer(id);
    cluster.learner(0);
    cluster.runUntil("one leads", () => this.leader !== undefined);
    this.clients = PROPOSERS.map((proposerId) =>
      cluster.client({ values: 1_000_000, outstanding: OUTSTANDING, proposerId }),
    );
    this.allGoOn(60_000 * MS);
    cluster.runFor(Math.floor(cluster.random() * 50 * MS));
  }

  get leader(): Host | undefined {
    return this.cluster.hosts.find(({ cores }) => cores.proposer?.stage === "leading");
  }

  get campaigns(): number {
    return this.cluster.proposers().reduce((sum, { counters }) => sum + counters.campaigns, 0);
  }

  /** Runs until every client has had values delivered that it had not submitted before; returns how long that took. */
  allGoOn(limitUs: number): number {
    const { cluster } = this;
    const began = cluster.nowUs;
    const before = this.clients.map(({ cores }) => cores.client!.counters.submitted);
    cluster.runUntil(
      "every client goes on",
      () => this.clients.every(({ cores }, i) => cores.client!.counters.delivered > before[i]!),
      limitUs,
    );
    return cluster.nowUs - began;
  }
}

describe("every client goes on after the leader's death", () => {
  for (const { name, settings, loss, withinMs } of [
    { name: "by default within 1 s", settings: [], loss: 0, withinMs: 1000 },
    { name: "by default within 1 s, though frames are lost", settings: [], loss: 0.02, withinMs: 1000 },
    {
      name: "with leader-timeout 20ms within 50 ms",
      settings: ["leader-timeout 20ms"],
      loss: 0,
      withinMs: 50,
    },
  ]) {
    test(`${name} (${SEEDS} seeds)`, () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const service = new Service(seed, settings, loss);
        for (let kill = 0; kill < 2; kill++) {
          const leader = service.leader!;
          const { id } = leader.cores.proposer!;
          service.cluster.stop(leader, false);
          service.allGoOn(withinMs * MS);
          service.cluster.proposer(id);
          service.allGoOn(withinMs * MS);
        }
      }
    }, 120_000);
  }

  test("it is not told again of what nobody lost: a leader that stays asks for nothing", () => {
    const service = new Service(1, []);
    const { cluster } = service;
    const before = service.clients.map(({ cores }) => cores.client!.counters.resent);
    cluster.stop(cluster.host("acceptor 0"), false);
    const { acceptor } = cluster.acceptor(0).cores;
    const { campaigns } = service;
    cluster.runUntil("it has recovered", () => acceptor!.isVoting && service.campaigns > campaigns);
    service.allGoOn(1000 * MS);
    expect(service.clients.map(({ cores }) => cores.client!.counters.resent)).toEqual(before);
  });
});

test(`a session whose opening died with the leader is opened by the next one, before its client misses it (${SEEDS} seeds)`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const service = new Service(seed, ["client-timeout 10s"]);
    const { cluster } = service;
    const leader = service.leader!;
    const { id } = leader.cores.proposer!;
    // Nobody knows yet that it is dead: the others send on to it.
    cluster.stop(leader, false);
    const others = PROPOSERS.filter((one) => one !== id);
    const late = others.map((proposerId) => cluster.client({ values: 5, clients: 20, proposerId }));
    cluster.runUntil("another one leads", () => service.leader !== undefined);
    const isOpen = ({ cores }: Host): boolean => cores.client!.counters.delivered === 5;
    cluster.runUntil(`seed ${seed}: they are open`, () => late.every(isOpen), 100 * MS);
  }
});

describe("a leadership is not fragile", () => {
  test.each([1, 2, 3])("whoever is cut off for 200 ms, nobody campaigns (seed %p)", (seed) => {
    const service = new Service(seed, []);
    const { cluster, campaigns } = service;
    for (const client of service.clients) cluster.stop(client);
    for (const host of cluster.hosts) {
      cluster.network.isolate([host.link]);
      cluster.runFor(200 * MS);
      cluster.network.heal();
      cluster.runFor(200 * MS);
    }
    expect(service.campaigns).toBe(campaigns);
  });
});

describe("which proposer a client sends to", () => {
  const ballotOf = (id: number, above = 0): Ballot => ballotAbove(NATIVE_BALLOTS, above, id);

  test("the one that calls, if the one in use has said nothing since it is", () => {
    const choice = new ProposerChoice(0, 3);
    choice.expects(0);
    expect(choice.calls(1, 10)).toBe(true);
    expect([choice.id, choice.switches]).toEqual([1, 1]);
    choice.heard(20);
    expect(choice.calls(2, 30)).toBe(false);
    choice.refused(Busy.noQuorum, 40);
    expect([choice.calls(2, 50), choice.calls(-1, 50), choice.id]).toEqual([false, false, 1]);
  });

  test("the leader's successor, if it sent to the leader; late words of a former leader change nothing", () => {
    const choice = new ProposerChoice(0, 3);
    const first = ballotOf(0);
    const second = ballotOf(2, first);
    expect(choice.follows(first, 10)).toBe(false);
    expect(choice.follows(second, 20)).toBe(true);
    expect(choice.id).toBe(2);
    expect([choice.follows(first, 30), choice.follows(second, 30), choice.id]).toEqual([false, false, 2]);
    expect([choice.follows(ballotOf(2, second), 40), choice.id]).toEqual([false, 2]);
  });

  test("each leader that is heard of, if it follows leaders, until that one is silent", () => {
    const choice = new ProposerChoice(0, 3, true);
    const first = ballotOf(1);
    const second = ballotOf(2, first);
    choice.expects(0);
    expect([choice.follows(first, 10), choice.id]).toEqual([true, 1]);
    expect([choice.follows(first, 20), choice.switches]).toEqual([false, 1]);
    // Silence of three retries: the next, whoever still calls himself leader at that ballot.
    expect([choice.review(340, 110), choice.id]).toEqual([true, 2]);
    expect([choice.follows(first, 350), choice.id]).toEqual([false, 2]);
    expect([choice.follows(second, 360), choice.id]).toEqual([false, 2]);
    const back = ballotOf(0, second);
    expect([choice.follows(back, 370), choice.follows(second, 380), choice.id]).toEqual([true, false, 0]);
    expect([choice.follows(ballotOf(7, back), 390), choice.id]).toEqual([false, 0]);
  });

  test("not the successor of somebody it did not send to, nor one that is not configured", () => {
    const choice = new ProposerChoice(1, 3);
    const first = ballotOf(0);
    choice.follows(first, 10);
    expect([choice.follows(ballotOf(2, first), 20), choice.id]).toEqual([false, 1]);
    const other = new ProposerChoice(0, 3);
    other.follows(first, 10);
    expect([other.follows(ballotOf(7, first), 20), other.id]).toEqual([false, 0]);
  });
});
