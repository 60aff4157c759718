/**
 * An acceptor that another one has voted in place of: it never votes again with the state it has, which lacks what the other one
 * voted for. Never is more than one of the three acceptors without its memory at once.
 */
import { describe, expect, test } from "bun:test";
import { OutlivedError } from "../../src/node/acceptor_voice.ts";
import { SimDisk, SimStorage } from "../../src/sim/disk.ts";
import { Random } from "../../src/sim/random.ts";
import { type Host, MemoryCluster } from "../support/memory_cluster.ts";

const SETTINGS = ["learner-window-instances 1024", "learner-window-bytes 4MiB"];
const SECOND_US = 1_000_000;

class Story {
  readonly cluster: MemoryCluster;
  readonly ended: { readonly host: Host; readonly why: string }[] = [];
  readonly #disks = new Map<string, SimDisk>();
  /** Which disk each acceptor finds; without disks: none. */
  mounted: string | undefined;

  constructor(mounted?: string) {
    this.mounted = mounted;
    this.cluster = new MemoryCluster({
      seed: 7,
      wire: "native",
      proposers: 2,
      settings: SETTINGS,
      storage: ({ name }) => (name.startsWith("acceptor") ? this.#storage(name) : undefined),
      ends: (host, why) => this.ended.push({ host: host as Host, why }),
    });
    for (let aid = 0; aid < 3; aid++) this.cluster.acceptor(aid);
    this.cluster.proposer(0);
    this.values(10);
    this.cluster.runFor(SECOND_US);
  }

  #storage(name: string): SimStorage | undefined {
    if (this.mounted === undefined) return undefined;
    const key = name === "acceptor 2" ? `${name} ${this.mounted}` : name;
    const disk = this.#disks.get(key) ?? new SimDisk(new Random(1, key));
    this.#disks.set(key, disk);
    return new SimStorage(disk);
  }

  acceptor(aid: number): Host {
    return this.cluster.host(`acceptor ${aid}`);
  }

  generation(host: Host): number {
    return host.cores.acceptor!.standing.generations[2]!;
  }

  /** Nothing comes to this host, or from it if it is alone. */
  cut(host: Host, isAlone: boolean): void {
    for (const other of this.cluster.hosts) {
      if (other === host) continue;
      this.cluster.network.cut(other.link, host.link);
      if (isAlone) this.cluster.network.cut(host.link, other.link);
    }
  }

  /** So many values are acknowledged. */
  values(count: number, cut: () => void = () => undefined, proposerId = 0): void {
    const client = this.cluster.client({ values: count, canTrim: false, proposerId });
    cut();
    this.cluster.runUntil("acknowledged", () => client.cores.client!.isDone, 20 * SECOND_US);
    this.cluster.stop(client);
  }

  votes(aid: number): Host {
    const host = this.acceptor(aid);
    this.cluster.runUntil(`${host.name} votes`, () => host.cores.acceptor!.isVoting, 20 * SECOND_US);
    return host;
  }

  /** Values are chosen without acceptor 0; then their proposer dies. */
  chooseWithout0(also: () => void): void {
    this.values(30, () => {
      this.cut(this.acceptor(0), true);
      also();
    });
    this.cluster.stop(this.cluster.host("proposer 0"), false);
  }

  /** Another proposer finds what was chosen; a minority is away. */
  goesOn(): void {
    this.cluster.proposer(1);
    this.cluster.learner(0);
    this.values(30, undefined, 1);
    this.cluster.finish();
  }
}

describe("an acceptor in memory that stands still while another takes its place", () => {
  function replaced(): { story: Story; old: Host; second: Host } {
    const story = new Story();
    const old = story.acceptor(2);
    old.heldUntilUs = story.cluster.nowUs + 8 * SECOND_US;
    story.cut(old, false);
    // By name the first of two is found: the one that stands still is found no more.
    story.cluster.hosts.splice(story.cluster.hosts.indexOf(old), 1);
    const second = story.cluster.acceptor(2);
    story.votes(2);
    expect(story.generation(second)).toBe(2);
    story.cluster.hosts.push(old);
    story.chooseWithout0(() => story.cut(old, false));
    return { story, old, second };
  }

  test("ends when it goes on, and the other one stays", () => {
    const { story, old, second } = replaced();
    const { cluster } = story;
    cluster.network.heal();
    cluster.runUntil("one of them ends", () => story.ended.length > 0);
    cluster.stop(story.ended[0]!.host, false);
    cluster.runFor(4 * SECOND_US);
    expect(story.ended[0]!.host.life).toBe(old.life);
    expect(story.ended[0]!.why).toMatch(/^acceptor 2 runs already at .* and votes with a newer generation/);
    expect(second.cores.acceptor!.isVoting).toBe(true);
    cluster.stop(story.acceptor(1), false);
    story.goesOn();
  });

  test("recovers when it goes on, if the other one is gone", () => {
    const { story, old, second } = replaced();
    const { cluster } = story;
    const { acceptor } = old.cores;
    cluster.stop(second, false);
    cluster.runUntil("it goes on", () => cluster.nowUs > old.heldUntilUs + SECOND_US / 10);
    expect(acceptor!.isVoting).toBe(false);
    cluster.network.heal();
    cluster.runUntil("it has recovered", () => acceptor!.isVoting);
    expect(acceptor!.fellows!.birth.voice).toBe("recovered");
    expect(story.generation(old)).toBe(3);
    cluster.stop(story.acceptor(1), false);
    story.goesOn();
    expect(story.ended).toEqual([]);
  });

  test("recovers also when it stood still for no longer than that took", () => {
    const story = new Story();
    const { cluster } = story;
    const old = story.acceptor(2);
    old.heldUntilUs = cluster.nowUs + 0.9 * SECOND_US;
    // What came for it was too much for its buffer.
    story.cut(old, false);
    cluster.hosts.splice(cluster.hosts.indexOf(old), 1);
    const second = cluster.acceptor(2);
    cluster.network.cut(second.link, old.link);
    story.votes(2);
    cluster.hosts.push(old);
    story.chooseWithout0(() => story.cut(old, false));
    cluster.stop(second, false);
    expect(cluster.nowUs).toBeLessThan(old.heldUntilUs);
    // Nor has it heard what the other one said.
    cluster.runUntil("it goes on", () => cluster.nowUs > old.heldUntilUs + SECOND_US / 10);
    expect(old.cores.acceptor!.isVoting).toBe(false);
    cluster.network.heal();
    cluster.runUntil("it has recovered", () => old.cores.acceptor!.isVoting);
    expect(story.generation(old)).toBe(3);
    cluster.stop(story.acceptor(1), false);
    story.goesOn();
    expect(story.ended).toEqual([]);
  });

  test("a second process that is started by mistake leaves the first one as it is", () => {
    const story = new Story();
    const { cluster } = story;
    const first = story.acceptor(2);
    const second = cluster.acceptor(2);
    cluster.runFor(2 * SECOND_US);
    expect(story.ended[0]!.host.life).toBe(second.life);
    expect(story.ended[0]!.why).toMatch(/^acceptor 2 runs already at .*\(for \d\.\d s\)/);
    expect(first.cores.acceptor!.isVoting).toBe(true);
    expect(story.generation(story.acceptor(0))).toBe(1);
  });
});

describe("an acceptor with a disk that once ran without it", () => {
  function ranWithout(): Story {
    const story = new Story("disk");
    story.cluster.stop(story.acceptor(2), false);
    story.mounted = "mount point";
    story.cluster.acceptor(2);
    expect(story.generation(story.votes(2))).toBe(2);
    return story;
  }

  test("does not go on with it, and says why before it votes", () => {
    const story = ranWithout();
    const { cluster } = story;
    story.chooseWithout0(() => undefined);
    cluster.stop(story.acceptor(2), true);
    story.mounted = "disk";
    cluster.network.heal();
    const old = cluster.acceptor(2);
    expect(() => cluster.runFor(SECOND_US)).toThrow(OutlivedError);
    expect(() => cluster.runFor(1)).not.toThrow();
    expect(old.cores.acceptor!.fellows!.birth.voice).toBe(null);
    cluster.stop(old, false);
    // With the files that it had last it goes on.
    story.mounted = "mount point";
    cluster.acceptor(2);
    story.votes(2);
    cluster.stop(story.acceptor(1), false);
    story.goesOn();
  });

  test("says which file, and what to do", () => {
    const story = ranWithout();
    story.cluster.stop(story.acceptor(2), false);
    story.mounted = "disk";
    story.cluster.acceptor(2);
    let error: unknown;
    try {
      story.cluster.runFor(SECOND_US);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(OutlivedError);
    const { message, hint } = error as OutlivedError;
    expect(message).toMatch(
      /^acceptor 2 was replaced: the others know of one of generation 2, and \S*acceptor-2\.db has what one of generation 1 kept/,
    );
    expect(hint).toContain("--acceptor-trash-files");
  });
});
