/**
 * A leader names the generations that its phase 1 counted, and an acceptor of another one takes no part in what it says: of two
 * processes that take themselves for one acceptor, one alone votes at a ballot.
 */
import { describe, expect, test } from "bun:test";
import { Roles } from "../../src/node/roles.ts";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { NATIVE_BALLOTS, RECOVERY_IDS } from "../../src/protocol/ballot.ts";
import { compareGeneration, nameGenerations, UNNAMED } from "../../src/protocol/generations.ts";
import type { Ballot, Life } from "../../src/protocol/types.ts";
import { VotesInAnyGeneration } from "../../src/sim/amnesiac_roles.ts";
import { peerOf, Recorder } from "../support/recorder.ts";
import { ALL, P0, P1, Scene } from "../support/scene.ts";
import type { Flight } from "../support/walk_network.ts";

const of = (...generations: number[]): Float64Array => Float64Array.from(generations);
const named = (...generations: number[]): number => nameGenerations(of(...generations));

describe("generations in a word", () => {
  test("each acceptor has a field, the first one lowest; who is not known is in its first generation", () => {
    expect(named(1, 2, 3)).toBe(0x030201);
    expect(named(0, 1, 200, 255)).toBe(0xffc80101);
    expect(named(7)).toBe(7);
  });

  test.each([
    [1, 256],
    [3, 256],
    [4, 256],
    [5, 64],
    [6, 32],
    [8, 16],
    [10, 8],
    [16, 4],
    [32, 2],
  ])("%d acceptors: a field holds %d", (acceptors, size) => {
    for (const aid of [0, acceptors - 1]) {
      const generations = new Float64Array(acceptors).fill(1);
      generations[aid] = 3 * size + 1;
      const compared = (own: number): number =>
        compareGeneration(nameGenerations(generations), aid, acceptors, own);
      expect(compared(3 * size + 1)).toBe(0);
      expect(compared(3 * size)).toBe(1);
      expect(compared(3 * size + 2)).toBe(size === 2 ? 1 : -1);
      expect(compared(3 * size + 1 - size / 2)).toBe(size / 2);
      // What a field does not hold is not told apart.
      expect(compared(2 * size + 1)).toBe(0);
    }
  });

  test("more than 32 acceptors are not named; nor does it concern one that has never voted", () => {
    expect(nameGenerations(new Float64Array(33).fill(2))).toBe(UNNAMED);
    expect(compareGeneration(0, 0, 33, 2)).toBe(0);
    expect(compareGeneration(UNNAMED, 0, 3, 2)).toBe(0);
    expect(compareGeneration(named(5, 5, 5), 0, 3, 0)).toBe(0);
  });
});

const BALLOT = (5 * NATIVE_BALLOTS.stride) as Ballot;
const LIFE = 77 as Life;
const [LEADER, LEARNER] = [peerOf("p0"), peerOf("l0")];
const VALUE = new TextEncoder().encode("value");

/** Acceptor 1 of three, which votes in its third generation. */
class Voter {
  readonly recorder = new Recorder();
  readonly acceptor: Acceptor;
  nowUs = 1_000_000;

  constructor() {
    const { recorder } = this;
    this.acceptor = new Acceptor(
      {
        aid: 1,
        acceptors: 3,
        life: 11,
        fresh: false,
        durable: true,
        random: () => 0.5,
        maxLeaseMs: 500,
        perInstance: false,
        leaderTimeoutMs: 100,
        instances: 64,
        bytes: 1 << 16,
        trimRule: null,
      },
      recorder.journal,
      recorder,
    );
    this.acceptor.restoreStanding(of(1, 3, 1), of(10, 11, 12));
    this.acceptor.tick(this.nowUs);
    this.confirm();
    recorder.take();
  }

  /** Nobody knows of a newer generation of it. */
  confirm(): void {
    const { birth } = this.acceptor.fellows!;
    birth.resume();
  }

  /** What it says to an accept in a frame that names these. */
  accept(generations: number, iid: number, ballot = BALLOT): string[] {
    const { acceptor, recorder } = this;
    acceptor.onGenerations(generations);
    acceptor.onChosen(iid - 1, ballot, LIFE);
    acceptor.onAccept(LEADER, iid, 0, ballot, LIFE, VALUE, 0, VALUE.length);
    return recorder.take();
  }

  heartbeat(generations: number, iid: number, leaseMs = 0): string[] {
    this.acceptor.onGenerations(generations);
    this.acceptor.onHeartbeat(LEADER, iid, BALLOT, LIFE, 9, leaseMs);
    return this.recorder.take();
  }

  pass(us: number): void {
    for (let step = 0; step < us; step += 100_000) {
      this.nowUs += 100_000;
      this.acceptor.tick(this.nowUs);
    }
    this.recorder.take();
  }
}

const SAME = named(9, 3, 9);
const NEWER = named(1, 4, 1);
const OLDER = named(1, 2, 1);

describe("an acceptor", () => {
  test.each([
    ["its own generation", SAME],
    ["none", UNNAMED],
  ])("votes for a leader that names %s, and echoes it", (_, generations) => {
    const voter = new Voter();
    expect(voter.accept(generations, 5)).toContain("accepted iid=5 ballot=5.0 life=77 value=value");
    expect(voter.acceptor.chosenIid).toBe(4);
    expect(voter.heartbeat(generations, 4)).toEqual(["echo iid=4 ballot=5.0 life=77 round=9"]);
  });

  test("takes what is chosen from a heartbeat that names its generation, not from one that campaigns", () => {
    const voter = new Voter();
    voter.accept(SAME, 5);
    // Instance 5 may have been chosen with the vote of who was put in its place: its record is not to be taken for that value.
    expect(voter.heartbeat(UNNAMED, 5)).toEqual(["echo iid=4 ballot=5.0 life=77 round=9"]);
    voter.acceptor.onRepeat(LEARNER, 5, 5);
    // Without `known`.
    expect(voter.recorder.take()).toEqual(["repeated to=l0 iid=5 ballot=5.0 life=77 value=value"]);
    expect(voter.heartbeat(SAME, 5)).toEqual(["echo iid=5 ballot=5.0 life=77 round=9"]);
  });

  test("neither votes for one that names a newer generation nor takes anything from it, and asks whether it was replaced", () => {
    const voter = new Voter();
    const { acceptor } = voter;
    expect(voter.accept(NEWER, 5)).toEqual([
      expect.stringMatching(/^standingAsk to=a0/),
      expect.stringMatching(/^standingAsk to=a2/),
    ]);
    expect([acceptor.isVoting, acceptor.log.highestIid, acceptor.chosenIid]).toEqual([false, 0, 0]);
    expect(acceptor.counters.otherGeneration).toBe(1);
    acceptor.onRepeat(LEARNER, 1, 5);
    expect(voter.recorder.take()).toEqual([]);
  });

  test("nor echoes it, nor grants it a lease", () => {
    const voter = new Voter();
    expect(voter.heartbeat(NEWER, 4, 400)).toEqual([
      expect.stringMatching(/^standingAsk to=a0/),
      expect.stringMatching(/^standingAsk to=a2/),
    ]);
    expect([voter.acceptor.chosenIid, voter.acceptor.promised as number]).toEqual([0, 0]);
  });

  test("that was not replaced goes on, but not for that leader; it asks once a second", () => {
    const voter = new Voter();
    voter.accept(NEWER, 5);
    voter.confirm();
    expect(voter.accept(NEWER, 5)).toEqual([]);
    expect(voter.acceptor.isVoting).toBe(true);
    voter.pass(900_000);
    expect(voter.accept(NEWER, 5)).toEqual([]);
    voter.pass(100_000);
    voter.accept(NEWER, 5);
    expect(voter.acceptor.isVoting).toBe(false);
    voter.confirm();
    // What was said in a frame holds for that frame.
    expect(voter.accept(SAME, 6)).toContain("accepted iid=6 ballot=5.0 life=77 value=value");
    expect(voter.acceptor.log.ballotAt(5) as number).toBe(0);
  });

  test("that is of a newer generation than a leader names has it count anew", () => {
    const voter = new Voter();
    voter.accept(OLDER, 5);
    expect(voter.acceptor.isVoting).toBe(false);
    voter.confirm();
    const above = `5.${RECOVERY_IDS + 1}`;
    expect(voter.accept(OLDER, 5)).toEqual([
      `write promised ballot=${above} life=11`,
      `preempted to=p0 iid=5 ballot=${above}`,
    ]);
    expect(voter.accept(OLDER, 5)).toEqual([`preempted to=p0 iid=5 ballot=${above}`]);
    expect(voter.acceptor.log.highestIid).toBe(0);
  });

  test("has leaders count anew once a second at most", () => {
    const voter = new Voter();
    voter.accept(OLDER, 5);
    voter.confirm();
    voter.accept(OLDER, 5);
    const next = (7 * NATIVE_BALLOTS.stride) as Ballot;
    expect(voter.accept(OLDER, 5, next)).toEqual([]);
    voter.pass(1_000_000);
    voter.accept(OLDER, 5, next);
    voter.confirm();
    const above = `7.${RECOVERY_IDS + 1}`;
    expect(voter.accept(OLDER, 5, next)).toContain(`preempted to=p0 iid=5 ballot=${above}`);
    // Who counts it as it is has its vote all the while.
    expect(voter.accept(SAME, 6, (8 * NATIVE_BALLOTS.stride) as Ballot)).toContain(
      "accepted iid=6 ballot=8.0 life=77 value=value",
    );
  });
});

/** What each frame of a proposer named, in order, as it was heard by acceptor 0. */
class Listens extends Roles {
  static heard: number[] = [];
  #named = UNNAMED;

  override onGenerations(generations: number, logMark: number): void {
    this.#named = generations;
    super.onGenerations(generations, logMark);
  }

  override onAccept(...args: Parameters<Roles["onAccept"]>): void {
    if (this.cores.acceptor?.aid === 0) Listens.heard.push(this.#named);
    super.onAccept(...args);
  }

  override onPrepare(...args: Parameters<Roles["onPrepare"]>): void {
    expect(this.#named).toBe(UNNAMED);
    super.onPrepare(...args);
  }
}

/** `beyond`: at a higher ballot than that. */
const leads =
  (scene: Scene, id: number, beyond = 0): (() => boolean) =>
  () =>
    scene.proposer(id).stage === "leading" && scene.proposer(id).ballot > beyond;

/** Acceptor 2 forgets everything and recovers; the leader has to count anew, for whoever answered has promised more. */
function replace(scene: Scene): void {
  scene.startAcceptor(2, 300);
  scene.runUntil(() => scene.acceptor(2).isVoting, ALL);
  scene.runUntil(leads(scene, 0, scene.acceptor(2).promised), ALL);
}

describe("a leader", () => {
  test("names what its phase 1 counted, as long as it leads at that ballot; one that campaigns names none", () => {
    Listens.heard = [];
    const scene = new Scene((cores) => new Listens(cores));
    scene.runUntil(leads(scene, 0), ALL);
    scene.submit(P0, "a");
    scene.run(ALL, 5);
    expect(new Set(Listens.heard)).toEqual(new Set([named(1, 1, 1)]));
    replace(scene);
    Listens.heard = [];
    scene.submit(P0, "b");
    scene.run(ALL, 5);
    expect(new Set(Listens.heard)).toEqual(new Set([named(1, 1, 2)]));
  });
});

describe("two processes that take themselves for acceptor 2", () => {
  /**
   * The one that recovered does not hear what is proposed next, and the former one alone does beside acceptor 0. Then another leader asks
   * acceptor 1 and the one that recovered. Returns at which ballot acceptor 0 and the former process have accepted the first value.
   */
  function story(make: (cores: Roles["cores"]) => Roles): { scene: Scene; votes: number[] } {
    const made: Roles[] = [];
    const scene = new Scene((cores) => {
      const roles = make(cores);
      made.push(roles);
      return roles;
    });
    const former = made[2]!;
    scene.runUntil(leads(scene, 0), ALL);
    replace(scene);
    scene.submit(P0, "a");
    scene.run([0, 2, P0], 5, (flight: Flight) => {
      if (flight.to !== 2) return true;
      flight.deliver(former);
      return false;
    });
    const votes = [scene.acceptor(0), former.cores.acceptor!].map(({ log }) => log.ballotAt(1) as number);
    scene.runUntil(leads(scene, 1), [1, 2, P1]);
    scene.submit(P1, "b");
    scene.run([1, 2, P1], 5);
    return { scene, votes };
  }

  test("a leader that counts the later one gets no vote of the former", () => {
    const { scene, votes } = story((cores) => new Roles(cores));
    expect(votes).toEqual([scene.proposer(0).ballot, 0]);
    expect([...scene.observer.chosen]).toEqual([[1, "bbbbbbbb"]]);
  });

  test("planted: with an acceptor that does not look, two values are chosen", () => {
    expect(() => story((cores) => new VotesInAnyGeneration(cores))).toThrow("what is chosen stays");
  });
});
