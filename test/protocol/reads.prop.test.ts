/**
 * Linearizable reads under everything that has ever broken them: leaders that are leaders no more, processes that stand
 * still, clocks that differ, links that are cut. Whoever is told a point of the log is told one at or above everything
 * that was chosen when it asked, and never one that is not chosen. A failure names its seed.
 */
import { describe, expect, test } from "bun:test";
import { type Cores, Roles } from "../../src/node/roles.ts";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { AcceptorRestore } from "../../src/protocol/acceptor/acceptor_restore.ts";
import { NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { Learner, NO_APPLICATION } from "../../src/protocol/learner/learner.ts";
import { Proposer } from "../../src/protocol/proposer/proposer.ts";
import type { RangeLeadership } from "../../src/protocol/proposer/range_leadership.ts";
import { type Ballot, type Life, NO_BALLOT, type Peer } from "../../src/protocol/types.ts";
import { seededRandom } from "../support/random.ts";
import { type Flight, WalkOutbox } from "../support/walk_network.ts";
import { Observer } from "../support/walk_observer.ts";

const ACCEPTORS = 3;
const PROPOSERS = 2;
const ASKER = ACCEPTORS + PROPOSERS;
const HOSTS = ASKER + 1;
const TIMEOUT_MS = 100;
const STEP_US = 500;
const STEPS = 6_000;
const CALM_US = 30_000;
const SEEDS = 60 * Number(process.env.KPAXOS_SEEDS ?? 1);

interface Plan {
  readonly seed: number;
  readonly leaseMs: number;
  /** How fast the clock of a host runs; by default a little faster or slower than time itself. */
  readonly rate?: (peer: number) => number;
  readonly roles?: (cores: Cores) => Roles;
  /** A bug: an acceptor that restarts promises at once, whatever its former life has granted. */
  readonly forgetsLeases?: boolean;
}

interface Host {
  roles: Roles;
  readonly outbox: WalkOutbox;
  readonly rate: number;
  /** Nothing happens there before this time. */
  heldUntilUs: number;
}

/** A cluster whose messages take their time, and the questions that are asked in it. */
class Reading {
  readonly counts = { confirmed: 0, unconfirmed: 0, leased: 0, leaders: 0 };
  readonly #plan: Plan;
  readonly #random: () => number;
  readonly #pool: Flight[] = [];
  /** What is under way, and when it arrives. */
  readonly #flying: { readonly message: Flight; readonly atUs: number }[] = [];
  readonly #observer: Observer;
  readonly #hosts: Host[] = [];
  readonly #cuts = new Set<number>();
  /** By nonce: the highest instance that was chosen when it was asked. */
  readonly #floors: number[] = [];
  #nowUs = 1_000_000;
  #submitted = 0;
  /** Where values go: one that gets none has nothing under way that would stop it from answering. */
  #target = 0;
  /** When the next split comes; before it nothing is submitted. */
  #splitAtUs = Number.POSITIVE_INFINITY;
  /** The acceptor that is about to restart on the other side, and when. */
  #mover = -1;
  #sides: readonly boolean[] = [];
  #moveAtUs = Number.POSITIVE_INFINITY;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#random = seededRandom(plan.seed);
    this.#observer = new Observer({ acceptors: ACCEPTORS, checksRules: true, trimOf: () => 0 });
    const peers = { acceptors: ACCEPTORS, proposers: PROPOSERS, learners: 1 };
    for (let peer = 0; peer < HOSTS; peer++) {
      const outbox = new WalkOutbox(true, peer as Peer, peers, this.#pool);
      const rate = plan.rate?.(peer) ?? 0.9955 + 0.009 * this.#random();
      this.#hosts.push({ roles: this.#roles({}), outbox, rate, heldUntilUs: 0 });
    }
    for (let aid = 0; aid < ACCEPTORS; aid++) this.#startAcceptor(aid);
    for (let id = 0; id < PROPOSERS; id++) this.#startProposer(id);
    this.#startAsker();
  }

  run(): this {
    for (let step = 0; step < STEPS; step++) {
      this.#nowUs += STEP_US;
      this.#mishap();
      this.#arrive();
      for (const host of this.#hosts) this.#turn(host);
    }
    for (let id = 0; id < PROPOSERS; id++) {
      const { leadership, counters } = this.#hosts[ACCEPTORS + id]!.roles.cores.proposer!;
      this.counts.leaders += counters.campaigns;
      this.counts.leased += (leadership as RangeLeadership).reads.counters.leased;
    }
    return this;
  }

  #mishap(): void {
    if (this.#splitAtUs <= this.#nowUs) this.#split();
    if (this.#moveAtUs <= this.#nowUs) this.#move();
    const dice = this.#random();
    if (dice < 0.3) this.#ask();
    else if (dice < 0.4) this.#submit();
    else if (dice < 0.401) this.#cuts.clear();
    else if (dice < 0.402) this.#cuts.add(this.#pick(HOSTS) * HOSTS + this.#pick(HOSTS));
    else if (dice < 0.404) this.#splitAtUs = Math.min(this.#splitAtUs, this.#nowUs + CALM_US);
    else if (dice < 0.406) {
      this.#hosts[this.#pick(HOSTS)]!.heldUntilUs = this.#nowUs + this.#random() * 3 * TIMEOUT_MS * 1000;
    }
  }

  /** Two sides that do not hear each other; who asks reaches both. */
  #split(): void {
    this.#splitAtUs = Number.POSITIVE_INFINITY;
    this.#moveAtUs = Number.POSITIVE_INFINITY;
    this.#target = this.#pick(PROPOSERS);
    if (this.#random() < 0.3) this.#isolate();
    else this.#part(Array.from({ length: ASKER }, () => this.#random() < 0.5));
  }

  /** The leader keeps two acceptors, until one of them restarts and is with the other proposer and the third. */
  #isolate(): void {
    const leader = this.#hosts.findIndex(({ roles }) => roles.cores.proposer?.stage === "leading");
    if (leader < 0) return;
    const first = this.#pick(ACCEPTORS);
    this.#mover = (first + 1) % ACCEPTORS;
    this.#moveAtUs = this.#nowUs + TIMEOUT_MS * 1000 * (1.1 + 0.4 * this.#random());
    this.#target = PROPOSERS - 1 - (leader - ACCEPTORS);
    this.#sides = this.#hosts.map((_, peer) => peer === leader || peer === first);
    this.#part(this.#sides.with(this.#mover, true));
  }

  #move(): void {
    this.#moveAtUs = Number.POSITIVE_INFINITY;
    this.#part(this.#sides);
    this.#restartAcceptor(this.#mover);
  }

  #part(sides: readonly boolean[]): void {
    this.#cuts.clear();
    for (let from = 0; from < ASKER; from++) {
      for (let to = 0; to < ASKER; to++) if (sides[from] !== sides[to]) this.#cuts.add(from * HOSTS + to);
    }
  }

  #ask(): void {
    const nonce = this.#floors.length + 1;
    this.#floors.push(Math.max(0, ...this.#observer.chosen.keys()));
    this.#hosts[ASKER]!.outbox.readAsk(this.#pick(PROPOSERS), nonce);
  }

  #submit(): void {
    if (this.#splitAtUs < Number.POSITIVE_INFINITY) return;
    const value = Buffer.alloc(8);
    value.writeUInt32BE(++this.#submitted);
    this.#hosts[ASKER]!.outbox.clientValue(this.#target, value, 0, value.length, 0);
  }

  /** What was said leaves, and what is due arrives, unless it is lost. */
  #arrive(): void {
    for (const message of this.#pool.splice(0)) {
      const isLost = this.#random() < 0.02 || this.#cuts.has(message.from * HOSTS + message.to);
      const delayUs = this.#random() < 0.02 ? this.#random() * 150_000 : this.#random() * 4_000;
      if (!isLost) this.#flying.push({ message, atUs: this.#nowUs + delayUs });
    }
  }

  #turn(host: Host): void {
    if (this.#nowUs < host.heldUntilUs) return;
    const peer = this.#hosts.indexOf(host);
    host.roles.tick(Math.floor(this.#nowUs * host.rate));
    for (let i = 0; i < this.#flying.length; i++) {
      const { message, atUs } = this.#flying[i]!;
      if (message.to !== peer || atUs > this.#nowUs) continue;
      this.#flying.splice(i--, 1);
      message.deliver(host.roles);
    }
    host.roles.pump(Math.floor(this.#nowUs * host.rate));
  }

  #answered(nonce: number, iid: number, confirmed: boolean): void {
    if (!confirmed) {
      this.counts.unconfirmed++;
      return;
    }
    this.counts.confirmed++;
    const floor = this.#floors[nonce - 1]!;
    if (iid < floor)
      throw new Error(`seed ${this.#plan.seed}: read at ${iid}, and ${floor} was chosen before`);
    if (iid > 0 && !this.#observer.chosen.has(iid))
      throw new Error(`seed ${this.#plan.seed}: read at ${iid}, which is not chosen`);
  }

  #startAcceptor(aid: number): void {
    const { leaseMs } = this.#plan;
    const host = this.#hosts[aid]!;
    const life = this.#life(host);
    const acceptor = new Acceptor(
      {
        aid,
        acceptors: ACCEPTORS,
        life,
        fresh: false,
        durable: false,
        random: this.#random,
        maxLeaseMs: leaseMs,
        perInstance: false,
        leaderTimeoutMs: TIMEOUT_MS,
        instances: 4096,
        bytes: 1 << 20,
        trimRule: null,
      },
      this.#observer.journal(aid),
      host.outbox,
    );
    host.outbox.audience = acceptor.audience;
    host.roles = this.#roles({ acceptor });
  }

  /** With all that its former life has written down. */
  #restartAcceptor(aid: number): void {
    const host = this.#hosts[aid]!;
    const { promised, promisedLife, standing, log, isVoting } = host.roles.cores.acceptor!;
    if (!isVoting) return;
    this.#startAcceptor(aid);
    const acceptor = host.roles.cores.acceptor!;
    const restore = new AcceptorRestore(acceptor);
    for (let iid = 1; iid <= log.highestIid; iid++) {
      const [ballot, life, flags] = [log.ballotAt(iid), log.lifeAt(iid), log.flagsAt(iid)];
      if (ballot === NO_BALLOT) continue;
      restore.accepted(iid, ballot, life, flags, log.arena.bytes, log.offsetAt(iid), log.lengthAt(iid));
    }
    restore.promised(promised, promisedLife);
    restore.standing(standing.generations, standing.incarnations);
    if (this.#plan.forgetsLeases !== true) return;
    host.roles.tick(Math.floor(this.#nowUs * host.rate));
    acceptor.begins("born");
  }

  #startProposer(id: number): void {
    const host = this.#hosts[ACCEPTORS + id]!;
    const learner = new Learner(
      {
        acceptors: ACCEPTORS,
        windowInstances: 4096,
        windowBytes: 1 << 20,
        catchUp: false,
        statesTellHighest: true,
        waitsForStart: true,
        beginning: 128,
        canTrim: false,
        hasApplications: false,
        trimEvery: 100,
        trimBytes: 1 << 20,
      },
      host.outbox,
      NO_APPLICATION,
    );
    const proposer = new Proposer(
      {
        id,
        proposers: PROPOSERS,
        acceptors: ACCEPTORS,
        life: this.#life(host),
        scheme: NATIVE_BALLOTS,
        perInstance: false,
        preexecWindow: 16,
        queueBytes: 1 << 16,
        timeoutMs: 200,
        leaderTimeoutMs: TIMEOUT_MS,
        leaseMs: this.#plan.leaseMs,
        mayJump: true,
        batching: true,
        usedBallot: 0,
        keepBallot: (_ballot: Ballot) => undefined,
        random: this.#random,
      },
      host.outbox,
      learner,
    );
    host.roles = this.#roles({ proposer, learner });
  }

  #startAsker(): void {
    const answered = (nonce: number, iid: number, confirmed: boolean): void =>
      this.#answered(nonce, iid, confirmed);
    const extra = {
      onReadIndex: (_from: Peer, nonce: number, iid: number, confirmed: boolean) =>
        answered(nonce, iid, confirmed),
    };
    this.#hosts[ASKER]!.roles = this.#roles({ extras: [extra] });
  }

  #life(host: Host): Life {
    host.outbox.life = 1 + Math.floor(this.#random() * 2 ** 52);
    return host.outbox.life;
  }

  #roles(cores: Partial<Cores>): Roles {
    const acceptorOf = (peer: Peer): number => (peer < ACCEPTORS ? peer : -1);
    const all = { ...cores, pairsAccepts: true, acceptorOf, wallOffsetUs: 0 };
    return cores.proposer === undefined ? new Roles(all) : (this.#plan.roles?.(all) ?? new Roles(all));
  }

  #pick(count: number): number {
    return Math.floor(this.#random() * count);
  }
}

/** A leader that takes every echo for one of another acceptor. */
class CountsEchoes extends Roles {
  #echoes = 0;

  override onEcho(from: Peer, _aid: number, iid: number, ballot: Ballot, life: Life, round: number): void {
    for (let i = 0; i < 2; i++) super.onEcho(from, this.#echoes++ % ACCEPTORS, iid, ballot, life, round);
  }
}

/** The first error of so many runs. */
function firstError(plan: Omit<Plan, "seed">, seeds: number): string {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      new Reading({ ...plan, seed }).run();
    } catch (error) {
      return (error as Error).message;
    }
  }
  return `nothing found by ${seeds} seeds`;
}

describe.each([0, TIMEOUT_MS])("with a lease of %p ms", (leaseMs) => {
  test(`what is told is linearizable (${SEEDS} seeds)`, () => {
    let [confirmed, unconfirmed, leased, leaders] = [0, 0, 0, 0];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { counts } = new Reading({ seed, leaseMs }).run();
      confirmed += counts.confirmed;
      unconfirmed += counts.unconfirmed;
      leased += counts.leased;
      leaders += counts.leaders;
    }
    // The runs are worth something.
    expect(confirmed).toBeGreaterThan(200 * SEEDS);
    expect(unconfirmed).toBeGreaterThan(50 * SEEDS);
    expect(leaders).toBeGreaterThan(2 * SEEDS);
    expect(leased > 50 * SEEDS).toBe(leaseMs > 0);
  }, 120_000);
});

describe("planted", () => {
  test("echoes are counted, not acceptors", () => {
    expect(firstError({ leaseMs: 0, roles: (cores) => new CountsEchoes(cores) }, 40)).toContain(
      "was chosen before",
    );
  });

  test("an acceptor that restarts does not wait for leases to end", () => {
    expect(firstError({ leaseMs: TIMEOUT_MS, forgetsLeases: true }, 40)).toContain("was chosen before");
  });

  test("clocks differ by more than is allowed for", () => {
    const rate = (peer: number): number => (peer === ACCEPTORS ? 0.6 : 1.2);
    expect(firstError({ leaseMs: TIMEOUT_MS, rate }, 40)).toContain("was chosen before");
  });
});
