/**
 * `--fresh`, the way out when a majority has lost what it had: one acceptor of three is left, and another is told to vote with nothing.
 * Or where half of an even number has, and one of the others has to ask whether it was replaced.
 */
import { describe, expect, test } from "bun:test";
import { NO_FAULTS } from "../../src/net/memory.ts";
import { silenceText } from "../../src/node/acceptor_voice.ts";
import { buildAcceptor } from "../../src/node/build.ts";
import { Role } from "../../src/protocol/types.ts";
import { SimDisk, SimStorage } from "../../src/sim/disk.ts";
import { Random } from "../../src/sim/random.ts";
import { type Host, MemoryCluster } from "../support/memory_cluster.ts";

const SECOND_US = 1_000_000;

class Story {
  readonly cluster: MemoryCluster;
  readonly #disks = new Map<string, SimDisk>();

  /** Acceptors 1 and 2 have lost everything and do not run; something was chosen before. */
  constructor() {
    this.cluster = new MemoryCluster({
      seed: 7,
      wire: "native",
      storage: ({ name }) => (name.startsWith("acceptor") ? this.#storage(name) : undefined),
    });
    for (let aid = 0; aid < 3; aid++) this.cluster.acceptor(aid);
    this.cluster.proposer(0);
    this.values();
    for (const name of ["acceptor 1", "acceptor 2"]) {
      this.cluster.stop(this.cluster.host(name), false);
      this.#disks.delete(name);
    }
  }

  #storage(name: string): SimStorage {
    const disk = this.#disks.get(name) ?? new SimDisk(new Random(1, name));
    this.#disks.set(name, disk);
    return new SimStorage(disk);
  }

  fresh(aid: number): Host {
    return fresh(this.cluster, aid);
  }

  values(): void {
    values(this.cluster);
  }
}

function fresh(cluster: MemoryCluster, aid: number): Host {
  return cluster.start(`acceptor ${aid}`, aid, Role.acceptor, Role.acceptor, (context) => {
    const { acceptor, watch } = buildAcceptor(context, true);
    return { cores: { acceptor }, extras: [watch] };
  });
}

/** Some are acknowledged. */
function values(cluster: MemoryCluster): void {
  const client = cluster.client({ values: 10, canTrim: false });
  cluster.runUntil("acknowledged", () => client.cores.client!.isDone, 20 * SECOND_US);
  cluster.stop(client);
}

describe("an acceptor that was told to vote with nothing", () => {
  test("is enough for the one that is left", () => {
    const story = new Story();
    const { cluster } = story;
    const { standing } = story.fresh(1).cores.acceptor!;
    cluster.runFor(SECOND_US);
    // Another leader needs the promises of both.
    cluster.stop(cluster.host("proposer 0"), false);
    cluster.proposer(0);
    story.values();
    expect([...standing.generations]).toEqual([1, 2, 1]);
  });

  test("goes on with its files when it starts again, and is not told to any more", () => {
    const story = new Story();
    const { cluster } = story;
    const first = story.fresh(1);
    story.values();
    cluster.stop(first, false);
    const again = cluster.acceptor(1);
    story.values();
    expect(again.cores.acceptor!.fellows!.birth.voice).toBe("kept");
  });

  test("helps the third, which starts empty, to recover", () => {
    const story = new Story();
    story.fresh(1);
    const third = story.cluster.acceptor(2);
    story.values();
    story.cluster.runUntil("it votes", () => third.cores.acceptor!.isVoting, 20 * SECOND_US);
    expect(third.cores.acceptor!.fellows!.birth.voice).toBe("recovered");
  });
});

test.each([2, 4])(
  "of %p, where half have forgotten and one has to ask, it says what to do, and that does it",
  (acceptors) => {
    const cluster = new MemoryCluster({ seed: 7, wire: "native", acceptors });
    for (let aid = 0; aid < acceptors; aid++) cluster.acceptor(aid);
    cluster.proposer(0);
    values(cluster);
    const last = cluster.host(`acceptor ${acceptors - 1}`);
    const acceptor = last.cores.acceptor!;
    for (let aid = 0; aid < acceptors / 2; aid++) cluster.stop(cluster.host(`acceptor ${aid}`), false);
    last.heldUntilUs = cluster.nowUs + 3 * SECOND_US;
    for (let aid = 0; aid < acceptors / 2; aid++) cluster.acceptor(aid);
    cluster.runFor(10 * SECOND_US);
    expect(acceptor.isVoting).toBe(false);
    const who = acceptors === 2 ? "acceptor 0 has" : "acceptors 0, 1 have";
    expect(silenceText(acceptor.fellows!, acceptors)).toEndWith(
      `: ${who} forgotten everything, and wait for this one: as many at once that chosen values may be lost; one of them goes on with --fresh`,
    );
    cluster.stop(cluster.host("acceptor 0"), false);
    fresh(cluster, 0);
    values(cluster);
    const all = cluster.hosts.flatMap((host) => host.cores.acceptor ?? []);
    cluster.runUntil("all vote", () => all.every((one) => one.isVoting), 20 * SECOND_US);
  },
);

test("that only the leader and one other acceptor hear does not have the leader campaign without end", () => {
  const cluster = new MemoryCluster({ seed: 7, wire: "native", acceptors: 5 });
  for (let aid = 0; aid < 5; aid++) cluster.acceptor(aid);
  const leader = cluster.proposer(0);
  values(cluster);
  cluster.stop(cluster.host("acceptor 4"), false);
  const second = cluster.acceptor(4);
  cluster.runUntil("it votes", () => second.cores.acceptor!.isVoting);
  values(cluster);
  cluster.stop(second, false);
  const third = fresh(cluster, 4);
  const { network } = cluster;
  for (let aid = 1; aid < 4; aid++) {
    const other = cluster.host(`acceptor ${aid}`).link;
    network.cut(third.link, other);
    network.cut(other, third.link);
  }
  // The three that do not know of it are the first to promise.
  const far = { ...NO_FAULTS, leastDelayUs: 5000, mostDelayUs: 6000 };
  for (const { link } of [third, cluster.host("acceptor 0")])
    network.worsen(link.place, leader.link.place, far);
  cluster.runFor(3 * SECOND_US);
  const { counters } = leader.cores.proposer!;
  const before = counters.campaigns;
  cluster.runFor(10 * SECOND_US);
  expect(third.cores.acceptor!.standing.generations[4]).toBe(3);
  expect(counters.campaigns - before).toBeWithin(1, 12);
  values(cluster);
});
