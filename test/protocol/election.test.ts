/**
 * Who leads, in whole clusters on the network in memory: at the start, after a death, and through every partition that has
 * ever held up such an election: chains, hubs, links of one direction, the deaf and the mute. Each run follows from its seed.
 */
import { describe, expect, test } from "bun:test";
import type { Proposer } from "../../src/protocol/proposer/proposer.ts";
import { type ClusterOptions, type Host, MemoryCluster } from "../support/memory_cluster.ts";

const TIMEOUT_US = 500_000;
const MS = 1000;

function proposerOf(host: Host): Proposer {
  return host.cores.proposer!;
}

/** A cluster of replicas, or of acceptors and proposers, in which one leads and a client's values are delivered. */
class Electorate {
  readonly cluster: MemoryCluster;

  constructor(options: Partial<ClusterOptions> & { readonly seed: number }) {
    this.cluster = new MemoryCluster({ wire: "native", learners: 1, ...options });
    const { acceptors, proposers, learners, replicas } = this.cluster.config;
    if (replicas.length > 0) for (const { id } of replicas) this.cluster.replica(id);
    else {
      for (const { id } of acceptors) this.cluster.acceptor(id);
      for (const { id } of proposers) this.cluster.proposer(id);
      for (const { id } of learners) this.cluster.learner(id);
    }
  }

  get electors(): Host[] {
    return this.cluster.hosts.filter(({ cores }) => cores.proposer !== undefined);
  }

  get campaigns(): number {
    return this.electors.reduce((sum, host) => sum + proposerOf(host).counters.campaigns, 0);
  }

  get leaders(): Host[] {
    return this.electors.filter((host) => proposerOf(host).stage === "leading");
  }

  /** The one that leads and is echoed by a quorum. */
  get leader(): Host | undefined {
    const heard = this.leaders.filter((host) => !proposerOf(host).isUnheard);
    return heard.length === 1 ? heard[0] : undefined;
  }

  /** Everyone but the leader knows who leads. */
  get isSettled(): boolean {
    const { leader } = this;
    if (leader === undefined || this.leaders.length > 1) return false;
    return this.electors.every(
      (host) => host === leader || proposerOf(host).leader === proposerOf(leader).id,
    );
  }

  settle(limitUs = 5 * TIMEOUT_US): Host {
    this.cluster.runUntil("settled", () => this.isSettled, limitUs);
    return this.leader!;
  }

  /** Waits for a leader that a quorum echoes, and whose id is one of these. */
  elects(hosts: readonly Host[], limitUs = 5 * TIMEOUT_US): Host {
    this.cluster.runUntil("elected", () => this.leader !== undefined && hosts.includes(this.leader), limitUs);
    return this.leader!;
  }

  others(...but: readonly Host[]): Host[] {
    return this.electors.filter((host) => !but.includes(host));
  }

  /** Values sent to this proposer are delivered. */
  serves(through: Host, values = 20): void {
    const host = this.cluster.client({ values, proposerId: proposerOf(through).id });
    const client = host.cores.client!;
    this.cluster.runUntil("served", () => client.isDone, 10_000 * MS);
    this.cluster.stop(host);
  }

  /** Nothing goes from one to the other. */
  cut(from: Host, to: Host): void {
    this.cluster.network.cut(from.link, to.link);
  }

  part(one: Host, other: Host): void {
    this.cut(one, other);
    this.cut(other, one);
  }

  /** For so long the same one leads, and nobody even tries to. */
  staysQuiet(us: number): void {
    const { leader, campaigns } = this;
    expect(leader).toBeDefined();
    for (let step = 0; step < 20; step++) {
      this.cluster.runFor(us / 20);
      expect(this.leader?.name).toBe(leader!.name);
    }
    expect(this.campaigns).toBe(campaigns);
  }

  healed(): void {
    this.cluster.network.heal();
    // Whoever was about to give up does.
    this.cluster.runFor(2 * TIMEOUT_US);
    this.settle();
    this.staysQuiet(20 * TIMEOUT_US);
    this.serves(this.leader!);
    for (const host of this.others(this.leader!)) this.serves(host);
  }
}

const SEEDS = Array.from({ length: 5 * Number(process.env.KPAXOS_SEEDS ?? 1) }, (_, i) => 1 + i);

describe("the start", () => {
  test("a lone proposer leads at once", () => {
    const { cluster } = new Electorate({ seed: 1 });
    cluster.runUntil("leading", () => proposerOf(cluster.host("proposer 0")).stage === "leading", 30 * MS);
  });

  test.each(SEEDS)(
    "of three that start together the lowest id leads, before the others even try (seed %p)",
    (seed) => {
      const electorate = new Electorate({ seed, proposers: 3 });
      const leader = electorate.settle(60 * MS);
      expect(leader.name).toBe("proposer 0");
      expect(electorate.campaigns).toBe(1);
    },
  );

  test("one that comes later follows, whatever its id", () => {
    const cluster = new MemoryCluster({ seed: 3, wire: "native", proposers: 2 });
    for (const id of [0, 1, 2]) cluster.acceptor(id);
    const second = proposerOf(cluster.proposer(1));
    cluster.runUntil("1 leads", () => second.stage === "leading", 100 * MS);
    const first = proposerOf(cluster.proposer(0));
    cluster.runUntil("0 follows", () => first.stage === "passive", TIMEOUT_US / 4);
    cluster.runFor(10 * TIMEOUT_US);
    expect([first.leader, second.stage, first.counters.campaigns]).toEqual([1, "leading", 0]);
  });
});

describe("a stable cluster", () => {
  const FAULTS = { loss: 0.05, duplication: 0.01, reordering: 0.02, lateUs: 80_000 };

  test.each(SEEDS)(
    "keeps its leader for minutes, though frames are lost and late (seed %p)",
    (seed) => {
      const electorate = new Electorate({ seed, proposers: 3, faults: FAULTS });
      electorate.serves(electorate.settle());
      const { campaigns } = electorate;
      electorate.staysQuiet(180_000 * MS);
      electorate.serves(electorate.others(electorate.leader!)[0]!);
      expect(electorate.campaigns).toBe(campaigns);
    },
    30_000,
  );

  test("scales its patience with the round trip", () => {
    const slow = { leastDelayUs: 60 * MS, mostDelayUs: 70 * MS };
    const electorate = new Electorate({ seed: 7, proposers: 3, faults: slow });
    electorate.settle(20 * TIMEOUT_US);
    electorate.staysQuiet(60_000 * MS);
  });
});

describe("a death", () => {
  test.each(SEEDS)(
    "of the leader: the next one leads within one and a third of the timeout, and few campaign (seed %p)",
    (seed) => {
      const electorate = new Electorate({ seed, proposers: 3 });
      electorate.serves(electorate.settle());
      const { campaigns, cluster } = electorate;
      const leader = electorate.leader!;
      const died = proposerOf(leader).counters.campaigns;
      cluster.stop(leader, false);
      electorate.elects(electorate.electors, 1.33 * TIMEOUT_US);
      electorate.settle();
      expect(electorate.campaigns - (campaigns - died)).toBeLessThanOrEqual(2);
      electorate.serves(electorate.others(electorate.leader!)[0]!);
      electorate.staysQuiet(20 * TIMEOUT_US);
    },
  );

  test("of the leader, which comes back at once: its new life leads without waiting for the old one to be missed", () => {
    const electorate = new Electorate({ seed: 9, proposers: 2 });
    const { cluster } = electorate;
    electorate.serves(electorate.settle());
    const { id } = proposerOf(electorate.leader!);
    cluster.stop(electorate.leader!, false);
    cluster.proposer(id);
    cluster.runUntil("leads again", () => electorate.leader?.name === `proposer ${id}`, 100 * MS);
    electorate.settle();
    electorate.staysQuiet(10 * TIMEOUT_US);
  });

  test("of one acceptor of three changes nothing; of two ends the leadership, and the third brings it back", () => {
    const electorate = new Electorate({ seed: 11, proposers: 2 });
    const { cluster } = electorate;
    electorate.serves(electorate.settle());
    const acceptors = [0, 1].map((id) => cluster.host(`acceptor ${id}`));
    cluster.network.isolate([acceptors[0]!.link]);
    electorate.staysQuiet(20 * TIMEOUT_US);
    cluster.network.isolate(acceptors.map(({ link }) => link));
    cluster.runUntil("nobody leads", () => electorate.leaders.length === 0, 3 * TIMEOUT_US);
    cluster.runFor(10 * TIMEOUT_US);
    expect(electorate.leaders).toEqual([]);
    electorate.healed();
  });
});

describe.each(SEEDS)("acceptors that restart with nothing (seed %p)", (seed) => {
  test.each(["lease 0", "lease 500ms"])(
    "recover, and the leader stays: it goes above them at once (%s)",
    (lease) => {
      const electorate = new Electorate({ seed, proposers: 3, settings: [lease] });
      const { cluster } = electorate;
      const leader = electorate.settle();
      electorate.serves(leader);
      for (let i = 0; i < 6; i++) {
        const { campaigns } = electorate;
        cluster.stop(cluster.host(`acceptor ${i % 3}`), false);
        cluster.runFor(Math.floor(cluster.random() * TIMEOUT_US));
        const { acceptor } = cluster.acceptor(i % 3).cores;
        cluster.runUntil("recovered", () => acceptor!.isVoting, 10 * TIMEOUT_US);
        electorate.serves(electorate.others(leader)[0]!);
        expect(electorate.leader).toBe(leader);
        // Once for the acceptor's own ballot; more only where messages crossed.
        expect(electorate.campaigns - campaigns).toBeLessThanOrEqual(2);
        electorate.staysQuiet(4 * TIMEOUT_US);
      }
    },
  );
});

describe("leases", () => {
  test.each(SEEDS)("of a dead leader end before the next one is needed (seed %p)", (seed) => {
    const electorate = new Electorate({ seed, proposers: 3, settings: ["lease 500ms"] });
    const { cluster } = electorate;
    // Acceptors that may have granted one in a former life wait it out first.
    electorate.serves(electorate.settle(10 * TIMEOUT_US));
    cluster.stop(electorate.leader!, false);
    electorate.elects(electorate.electors, 1.8 * TIMEOUT_US);
    electorate.serves(electorate.leader!);
    electorate.staysQuiet(20 * TIMEOUT_US);
  });
});

describe.each(SEEDS)("partitions (seed %p)", (seed) => {
  function replicas(count: number): { electorate: Electorate; leader: Host; rest: Host[] } {
    const electorate = new Electorate({ seed, replicas: count });
    const leader = electorate.settle();
    electorate.serves(leader);
    return { electorate, leader, rest: electorate.others(leader) };
  }

  test("the leader with a minority: the others elect one, the old one steps down, and follows when it is back", () => {
    const { electorate, leader, rest } = replicas(5);
    for (const host of rest.slice(1)) for (const lone of [leader, rest[0]!]) electorate.part(host, lone);
    electorate.elects(rest.slice(1));
    expect(proposerOf(leader).stage).not.toBe("leading");
    electorate.serves(electorate.leader!);
    const elected = electorate.leader!;
    electorate.cluster.network.heal();
    electorate.settle();
    expect(electorate.leader).toBe(elected);
    electorate.healed();
  });

  test("two without the leader do not disturb it, apart and when they are back", () => {
    const { electorate, leader, rest } = replicas(5);
    for (const host of rest.slice(0, 2))
      for (const other of [leader, ...rest.slice(2)]) electorate.part(host, other);
    electorate.staysQuiet(20 * TIMEOUT_US);
    electorate.serves(rest[2]!);
    const { campaigns } = electorate;
    electorate.healed();
    expect(electorate.leader).toBe(leader);
    expect(electorate.campaigns).toBe(campaigns);
  });

  test("quorum loss: all are connected to one only, who is not the leader; that one leads", () => {
    const { electorate, rest, leader } = replicas(5);
    const hub = rest[seed % rest.length]!;
    const spokes = electorate.others(hub);
    for (const one of spokes) for (const other of spokes) if (one !== other) electorate.part(one, other);
    electorate.elects([hub]);
    electorate.serves(hub);
    electorate.staysQuiet(20 * TIMEOUT_US);
    expect(proposerOf(leader).stage).not.toBe("leading");
    electorate.healed();
  });

  test("constrained election: the leader is gone, and the only one that reaches a quorum is behind", () => {
    const { electorate, leader, rest } = replicas(5);
    const { cluster } = electorate;
    const hub = rest[seed % rest.length]!;
    for (const other of electorate.others(hub)) electorate.part(hub, other);
    electorate.serves(leader, 200);
    cluster.network.heal();
    for (const other of rest) electorate.part(leader, other);
    const spokes = electorate.others(hub, leader);
    for (const one of spokes) for (const other of spokes) if (one !== other) electorate.part(one, other);
    electorate.elects([hub]);
    electorate.serves(hub);
    electorate.healed();
    // Nothing of before is lost: everybody has the same log (the harness compares it as it is delivered).
    const last = () => cluster.delivered.last;
    cluster.runUntil("all are at the end", () => cluster.recorders().every((one) => one.last === last()));
  });

  test("chain: a link to the leader is cut, the two still meet in the third; nobody else tries to lead", () => {
    const { electorate, leader, rest } = replicas(3);
    electorate.part(leader, rest[0]!);
    electorate.staysQuiet(40 * TIMEOUT_US);
    electorate.serves(rest[1]!);
    electorate.healed();
    expect(electorate.leader).toBe(leader);
  });

  test("chain: the leader is at its end, and goes; the middle is reached by all", () => {
    const { electorate, leader, rest } = replicas(5);
    const chain = [leader, ...rest];
    chain.forEach((one, i) => {
      for (const other of chain.slice(i + 2)) electorate.part(one, other);
    });
    // Whoever reaches a quorum: of a chain of five, one of the three inside.
    electorate.elects(chain.slice(1, 4));
    electorate.serves(electorate.leader!);
    electorate.staysQuiet(20 * TIMEOUT_US);
    electorate.healed();
  });

  test("a leader that sends but does not hear steps down, and another leads", () => {
    const { electorate, leader, rest } = replicas(3);
    for (const other of rest) electorate.cut(other, leader);
    electorate.elects(rest);
    expect(proposerOf(leader).stage).not.toBe("leading");
    electorate.serves(electorate.leader!);
    electorate.staysQuiet(20 * TIMEOUT_US);
    electorate.healed();
  });

  test("a leader that hears but is not heard steps down, and another leads", () => {
    const { electorate, leader, rest } = replicas(3);
    for (const other of rest) electorate.cut(leader, other);
    electorate.elects(rest);
    expect(proposerOf(leader).stage).not.toBe("leading");
    electorate.serves(electorate.leader!);
    electorate.staysQuiet(20 * TIMEOUT_US);
    electorate.healed();
  });

  test("whoever sends but does not hear disturbs nobody", () => {
    const { electorate, leader, rest } = replicas(3);
    for (const other of electorate.others(rest[0]!)) electorate.cut(other, rest[0]!);
    electorate.staysQuiet(20 * TIMEOUT_US);
    electorate.serves(rest[1]!);
    electorate.healed();
    expect(electorate.leader).toBe(leader);
  });

  test("whoever hears but is not heard disturbs nobody", () => {
    const { electorate, leader, rest } = replicas(3);
    for (const other of electorate.others(rest[0]!)) electorate.cut(rest[0]!, other);
    electorate.staysQuiet(20 * TIMEOUT_US);
    electorate.serves(rest[1]!);
    electorate.healed();
    expect(electorate.leader).toBe(leader);
  });

  test("a link of one direction less, from or to the leader, changes nothing", () => {
    const { electorate, leader, rest } = replicas(3);
    electorate.cut(leader, rest[0]!);
    electorate.staysQuiet(20 * TIMEOUT_US);
    electorate.cut(rest[1]!, rest[0]!);
    electorate.cluster.network.heal();
    electorate.cut(rest[0]!, leader);
    electorate.staysQuiet(20 * TIMEOUT_US);
    electorate.healed();
    expect(electorate.leader).toBe(leader);
  });

  test("a ring of one direction: nobody reaches a quorum both ways, nobody leads; then it heals", () => {
    const { electorate, leader, rest } = replicas(3);
    const ring = [leader, ...rest];
    ring.forEach((host, i) => {
      electorate.cut(host, ring[(i + 2) % 3]!);
    });
    electorate.cluster.runUntil("nobody leads", () => electorate.leaders.length === 0, 3 * TIMEOUT_US);
    electorate.cluster.runFor(20 * TIMEOUT_US);
    expect(electorate.leaders).toEqual([]);
    electorate.healed();
  });

  test("links that come and go: when they stay, one leads", () => {
    const electorate = new Electorate({ seed, replicas: 5, faults: { loss: 0.02 } });
    const { cluster } = electorate;
    electorate.settle();
    for (let i = 0; i < 40; i++) {
      const pick = () => electorate.electors[Math.floor(cluster.random() * 5)]!;
      if (cluster.random() < 0.3) cluster.network.heal();
      else for (let n = 0; n < 3; n++) electorate.cut(pick(), pick());
      cluster.runFor(Math.floor(cluster.random() * 2 * TIMEOUT_US));
    }
    electorate.cluster.network.faults = { ...cluster.network.faults, loss: 0 };
    electorate.healed();
  });
});
