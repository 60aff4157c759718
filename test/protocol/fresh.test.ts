/**
 * `--fresh`, the way out when a majority has lost what it had: one acceptor of three is left, and another is told to vote with nothing.
 */
import { describe, expect, test } from "bun:test";
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
    return this.cluster.start(`acceptor ${aid}`, aid, Role.acceptor, Role.acceptor, (context) => {
      const { acceptor, watch } = buildAcceptor(context, true);
      return { cores: { acceptor }, extras: [watch] };
    });
  }

  /** Some are acknowledged. */
  values(): void {
    const client = this.cluster.client({ values: 10, canTrim: false });
    this.cluster.runUntil("acknowledged", () => client.cores.client!.isDone, 20 * SECOND_US);
    this.cluster.stop(client);
  }
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
