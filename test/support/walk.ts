/**
 * A random walk over the cores: acceptors, two proposers with their learners, two learners, their messages lost,
 * duplicated and reordered, proposers that lose their memory, acceptors that do (native wire: at any moment, but never so
 * many at once that a quorum is gone), a clock that jumps, learners that trim. Everything follows from the seed. The observer checks safety all the while; at the end the network heals and every value that
 * was submitted has to be delivered.
 *
 * A bug can be planted from outside, by changing what goes into a core: a walk that finds none of them proves nothing.
 */
import { Roles } from "../../src/node/roles.ts";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { TrimRule } from "../../src/protocol/acceptor/trim_rule.ts";
import { KERNEL_PAXOS_BALLOTS, NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { type Application, Learner } from "../../src/protocol/learner/learner.ts";
import { Proposer } from "../../src/protocol/proposer/proposer.ts";
import { quorumOf } from "../../src/protocol/quorum.ts";
import type { Ballot, Life, Peer } from "../../src/protocol/types.ts";
import type { Bug } from "../../src/sim/bugs.ts";
import { seededRandom } from "./random.ts";
import { Hold } from "./walk_hold.ts";
import { type Flight, type Peers, WalkOutbox } from "./walk_network.ts";
import { Observer, statusOf, Violation } from "./walk_observer.ts";

export interface WalkOptions {
  readonly native: boolean;
  readonly acceptors: number;
  readonly seed: number;
  readonly events: number;
  readonly bug?: Bug;
  /** Acceptors forget far more often, from before the birth of the cluster on; or proposers do, where the bug is theirs. */
  readonly restless?: boolean;
  /** Now and then a proposer reaches one acceptor only, whose answers reach it, until that one has forgotten it. */
  readonly holds?: boolean;
}

export interface WalkResult {
  readonly chosen: number;
  readonly delivered: number;
  readonly campaigns: number;
  /** Acceptors that took up again what others hold. */
  readonly recoveries: number;
}

interface Host {
  readonly name: string;
  readonly peer: Peer;
  readonly outbox: WalkOutbox;
  roles: Roles;
}

const PROPOSERS = 2;
const LEARNERS = 2;
const VALUE_BYTES = 8;
const POOL_LIMIT = 600;
const VALUES_LIMIT = 80;
const WINDOW = 64;
const TRACE_LINES = 150;
const HEAL_US = 120_000_000;
/** With a bug planted nobody waits for what may never come. */
const BUG_HEAL_US = 5_000_000;
const RESEND_US = 300_000;
/** So many messages without time passing. */
const CIRCLE_TURNS = 100_000;
/** So many events between two looks at what acceptors hold. */
const LOOK_EVERY = 20;
const CALM_BIRTHS = 0.7;
/** How often somebody restarts besides, where it is restless. */
const RESTLESSNESS = 0.01;
const BIRTH_US = 100_000;
const LOOK_US = 100_000;
/** How often a proposer is cut off when an acceptor restarts: it will come back with what it heard before. */
const RESTART_CUTS = 0.2;

export class Walk {
  readonly observer: Observer;
  /** The last things that happened. */
  readonly #trace: (() => string)[] = [];
  keepsTrace = false;
  readonly #options: WalkOptions;
  readonly #random: () => number;
  /** How much is lost differs from walk to walk. */
  readonly #loss: number;
  readonly #timeoutMs: number;
  readonly #pool: Flight[] = [];
  readonly #hosts: Host[] = [];
  readonly #acceptors: Host[] = [];
  readonly #proposers: Host[] = [];
  readonly #learners: Host[] = [];
  readonly #keptBallots = [0, 0];
  readonly #waiting = new Map<string, number>();
  #submitted = 0;
  #campaigns = 0;
  #recoveries = 0;
  readonly #hold: Hold;
  /** Acceptors that have forgotten everything and do not vote again yet. */
  readonly #lost: boolean[] = [];
  /** A host that nobody reaches and that reaches nobody; −1: none. */
  #cutOff = -1;
  #healing = false;
  #nowUs = 1_000_000;

  constructor(options: WalkOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#loss = 0.05 + this.#random() * 0.3;
    this.#timeoutMs = (options.native ? 200 : 30) + Math.floor(this.#random() * 200);
    this.#hold = new Hold(
      this.#acceptors,
      this.#proposers,
      (aid) => this.#restartAcceptor(aid),
      this.#random,
    );
    this.observer = new Observer({
      acceptors: options.acceptors,
      checksRules: options.bug === undefined,
      trimProves: options.native,
      trimOf: (aid) => {
        const { isVoting, log } = this.#acceptors[aid]!.roles.cores.acceptor!;
        return isVoting ? log.trimIid : Number.POSITIVE_INFINITY;
      },
    });
    for (let aid = 0; aid < options.acceptors; aid++) this.#acceptors.push(this.#host(`acceptor ${aid}`));
    for (let id = 0; id < PROPOSERS; id++) this.#proposers.push(this.#host(`proposer ${id}`));
    for (let id = 0; id < LEARNERS; id++) this.#learners.push(this.#host(`learner ${id}`));
    for (let aid = 0; aid < options.acceptors; aid++) this.#startAcceptor(aid);
    for (let id = 0; id < PROPOSERS; id++) this.#startProposer(id);
    for (let id = 0; id < LEARNERS; id++) this.#startLearner(id);
  }

  trace(): string {
    return this.#trace.map((line) => line()).join("\n");
  }

  run(): WalkResult {
    // Most walks are about what comes after the birth of the cluster.
    const isRestless = this.#options.restless === true && this.#options.bug?.keepsLife !== true;
    if (this.#random() < CALM_BIRTHS && !isRestless) this.#bear();
    else this.#cutOff = this.#pick(this.#acceptors).peer;
    for (let i = 0; i < this.#options.events; i++) {
      this.#event();
      if (i % LOOK_EVERY === 0) this.#look();
    }
    this.#heal();
    this.#look();
    for (const host of this.#proposers) this.#campaigns += host.roles.cores.proposer!.counters.campaigns;
    const delivered = this.#learners[0]!.roles.cores.learner!.counters.delivered;
    const { size: chosen } = this.observer.chosen;
    return { chosen, delivered, campaigns: this.#campaigns, recoveries: this.#recoveries };
  }

  // ── events ────────────────────────────────────────────────────────────────────────────────────────────────────

  #event(): void {
    const { restless, bug } = this.#options;
    if (this.#options.holds === true) this.#hold.step();
    if (restless === true && this.#random() < RESTLESSNESS)
      return bug?.keepsLife === true ? this.#restartProposer() : this.#restartAcceptor();
    const dice = this.#random();
    if (dice < 0.8) this.#message();
    else if (dice < 0.9) this.#pass(this.#random() * 3_000);
    else if (dice < 0.94) this.#submit();
    else if (dice < 0.975) this.#resend();
    else if (dice < 0.983) this.#pass(this.#random() * (this.#hold.isOn ? 20_000 : 1_000_000));
    else if (dice < 0.987) this.#restartProposer();
    else if (dice < 0.99) this.#restartAcceptor();
    else this.#cut();
  }

  /** Cuts a host off, or joins it again. */
  #cut(): void {
    const hosts = this.#random() < 0.6 ? this.#acceptors : this.#hosts;
    this.#cutOff = this.#cutOff >= 0 ? -1 : this.#pick(hosts).peer;
    const text = this.#cutOff < 0 ? "all are joined" : `${this.#hosts[this.#cutOff]!.name} is cut off`;
    this.#note(() => text);
  }

  /** One of the oldest messages, or any: delivered, lost, or delivered and still there. */
  #message(): void {
    const pool = this.#pool;
    if (pool.length === 0) return;
    while (pool.length > POOL_LIMIT) pool.splice(Math.floor(this.#random() * pool.length), 1);
    const span = this.#random() < 0.25 ? pool.length : Math.min(pool.length, 8);
    const index = this.#hold.draw(pool, span);
    if (index < 0) return;
    const fate = this.#random();
    const message = fate < 0.1 ? pool[index]! : pool.splice(index, 1)[0]!;
    if (fate > 1 - this.#loss || message.to === this.#cutOff || message.from === this.#cutOff) return;
    this.#note(() => `${fate < 0.1 ? "twice: " : ""}${message.text()}`);
    this.#turn(this.#hosts[message.to]!, message);
  }

  #pass(us: number): void {
    const endUs = this.#nowUs + Math.ceil(us);
    // An acceptor that did not look at the clock all the while would ask whether it was replaced.
    for (; this.#nowUs < endUs - LOOK_US; this.#nowUs += LOOK_US)
      for (const host of this.#acceptors) this.#turn(host);
    this.#nowUs = endUs;
    this.#turn(this.#pick(this.#hosts));
  }

  #submit(): void {
    if (this.#submitted === VALUES_LIMIT) return;
    const value = Buffer.alloc(VALUE_BYTES);
    value.writeUInt32BE(++this.#submitted);
    value.writeUInt32BE(this.#options.seed, 4);
    this.#waiting.set(value.toString("latin1"), this.#nowUs);
    this.#send(value.toString("latin1"));
  }

  #resend(): void {
    if (this.#waiting.size === 0) return;
    const values = [...this.#waiting.keys()];
    this.#send(this.#pick(values));
  }

  #send(value: string): void {
    const to = Math.floor(this.#random() * PROPOSERS);
    this.#learners[0]!.outbox.clientValue(to, Buffer.from(value, "latin1"), 0, VALUE_BYTES, 0);
    this.#waiting.set(value, this.#nowUs);
  }

  /** As long as so many remember everything that no quorum is without one of them. */
  #restartAcceptor(aid = Math.floor(this.#random() * this.#options.acceptors)): void {
    const { acceptors, bug, native } = this.#options;
    if (bug?.forgets !== true) {
      const lost = this.#lost.filter((isLost, other) => isLost && other !== aid).length + 1;
      if (!native || lost > acceptors - quorumOf(acceptors)) return;
      this.#lost[aid] = true;
    }
    this.#note(() => `acceptor ${aid} restarts`);
    this.#startAcceptor(aid);
    if (this.#random() < RESTART_CUTS && native) this.#cutOff = this.#pick(this.#proposers).peer;
  }

  #restartProposer(): void {
    const id = Math.floor(this.#random() * PROPOSERS);
    this.#note(() => `proposer ${id} restarts`);
    this.#campaigns += this.#proposers[id]!.roles.cores.proposer!.counters.campaigns;
    this.#startProposer(id);
    this.#turn(this.#proposers[id]!);
  }

  #turn(host: Host, message?: Flight): void {
    host.roles.tick(this.#nowUs);
    message?.deliver(host.roles);
    host.roles.pump(this.#nowUs);
    const { proposer } = host.roles.cores;
    if (this.#options.native && proposer?.stage === "leading") {
      const acceptors = this.#acceptors.map(({ roles }) => roles.cores.acceptor!);
      this.observer.checkLeader(proposer.ballot, acceptors);
    }
    if (this.#lost[host.peer] !== true || host.roles.cores.acceptor?.isVoting !== true) return;
    this.#lost[host.peer] = false;
    if (host.roles.cores.acceptor.fellows?.birth.voice === "recovered") this.#recoveries++;
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Nothing is lost any more and the clock runs evenly: what was submitted gets delivered, everywhere. */
  #heal(): void {
    this.#healing = true;
    this.#hold.end();
    const endUs = this.#nowUs + (this.#options.bug === undefined ? HEAL_US : BUG_HEAL_US);
    let turns = 0;
    while (!this.#isDone()) {
      if (this.#nowUs > endUs) throw new Violation("liveness", this.#status());
      for (let message = this.#pool.shift(); message !== undefined; message = this.#pool.shift()) {
        this.#note(message.text);
        if (++turns > CIRCLE_TURNS) throw new Violation("liveness", "messages go round in circles");
        this.#turn(this.#hosts[message.to]!, message);
      }
      this.#pool.length = 0;
      for (const host of this.#hosts) this.#turn(host);
      if (this.#pool.length > 0) continue;
      turns = 0;
      let due = this.#nowUs + 100_000;
      for (const host of this.#hosts) due = Math.min(due, host.roles.nextTickUs());
      this.#nowUs = Math.max(this.#nowUs + 100, Math.ceil(due));
      for (const [value, sentUs] of this.#waiting) if (this.#nowUs - sentUs > RESEND_US) this.#send(value);
    }
  }

  /** Until all acceptors vote nothing is lost; with a bug planted they may never. */
  #bear(): void {
    const endUs = this.#nowUs + BIRTH_US;
    while (this.#acceptors.some(({ roles }) => !roles.cores.acceptor!.isVoting) && this.#nowUs < endUs) {
      for (const message of this.#pool.splice(0)) this.#turn(this.#hosts[message.to]!, message);
      for (const host of this.#acceptors) this.#turn(host);
      this.#nowUs += 1000;
    }
  }

  #look(): void {
    const acceptors = this.#acceptors.map(({ roles }) => roles.cores.acceptor!);
    for (const one of acceptors) this.observer.checkMarks(one);
    this.observer.checkKnown(acceptors);
    if (this.#options.native) this.observer.checkBirths(acceptors);
  }

  #isDone(): boolean {
    if (this.#waiting.size > 0) return false;
    const next = this.#learners[0]!.roles.cores.learner!.next;
    return this.#learners.every((host) => host.roles.cores.learner!.next === next);
  }

  #status(): string {
    const rolesOf = (hosts: readonly Host[]): Roles[] => hosts.map(({ roles }) => roles);
    const missing = `${this.#waiting.size} values are missing`;
    return [
      missing,
      ...statusOf(rolesOf(this.#acceptors), rolesOf(this.#proposers), rolesOf(this.#learners)),
    ].join("; ");
  }

  // ── hosts ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #host(name: string): Host {
    const { acceptors, native } = this.#options;
    const peers: Peers = { acceptors, proposers: PROPOSERS, learners: LEARNERS };
    const peer = this.#hosts.length as Peer;
    const outbox = new WalkOutbox(native, peer, peers, this.#pool);
    const host = { name, peer, outbox, roles: this.#roles({}) };
    this.#hosts.push(host);
    return host;
  }

  #roles(cores: Partial<Roles["cores"]>): Roles {
    const { acceptors, native, bug } = this.#options;
    const acceptorOf = (peer: Peer): number => (peer < acceptors ? peer : -1);
    const proposerOf = (peer: Peer): number => (peer < acceptors + PROPOSERS ? peer - acceptors : -1);
    const roles = new Roles({ ...cores, pairsAccepts: native, acceptorOf, proposerOf, wallOffsetUs: 0 });
    return bug?.receiver?.(roles) ?? roles;
  }

  #startAcceptor(aid: number): void {
    const { native } = this.#options;
    const host = this.#acceptors[aid]!;
    const trimRule = native ? new TrimRule(10_000, "quorum") : null;
    const life = native ? 1 + Math.floor(this.#random() * 2 ** 52) : 0;
    host.outbox.life = life;
    this.observer.restarts(aid);
    const acceptor = new Acceptor(
      {
        aid,
        acceptors: this.#options.acceptors,
        life,
        fresh: false,
        durable: false,
        random: this.#random,
        maxLeaseMs: 0,
        perInstance: !native,
        leaderTimeoutMs: this.#timeoutMs,
        instances: WINDOW,
        bytes: 4 << 16,
        trimRule,
      },
      this.observer.journal(aid),
      host.outbox,
    );
    host.outbox.audience = acceptor.audience;
    host.roles = this.#roles({ acceptor });
  }

  #startProposer(id: number): void {
    const { native, acceptors, bug } = this.#options;
    const host = this.#proposers[id]!;
    const life: Life = native
      ? bug?.keepsLife === true
        ? 1 + id
        : 1 + Math.floor(this.#random() * 2 ** 52)
      : 0;
    host.outbox.life = life;
    const application = this.observer.application(host.name, true, () => true);
    const learner = this.#learner(host.outbox, application, true);
    const proposer = new Proposer(
      {
        id,
        proposers: PROPOSERS,
        acceptors,
        life,
        scheme: native ? NATIVE_BALLOTS : KERNEL_PAXOS_BALLOTS,
        perInstance: !native,
        preexecWindow: 8,
        queueBytes: 4096,
        timeoutMs: this.#timeoutMs,
        leaderTimeoutMs: this.#timeoutMs,
        leaseMs: 0,
        mayJump: true,
        batching: native,
        usedBallot: native || bug?.keepsLife === true ? 0 : this.#keptBallots[id]!,
        keepBallot: (ballot: Ballot) => {
          this.#keptBallots[id] = ballot;
        },
        random: this.#random,
      },
      host.outbox,
      learner,
    );
    host.roles = this.#roles({ proposer, learner });
  }

  #startLearner(id: number): void {
    const host = this.#learners[id]!;
    const application = this.observer.application(host.name, false, (_iid, value) => {
      // Now and then an application has no time.
      if (!this.#healing && this.#random() < 0.1) return false;
      for (let at = 0; at < value.length; at += VALUE_BYTES) {
        const one = value.slice(at, at + VALUE_BYTES);
        if (Buffer.from(one, "latin1").readUInt32BE(0) > this.#submitted) {
          throw new Violation("delivery", "a value that nobody submitted");
        }
        this.#waiting.delete(one);
      }
      return true;
    });
    host.roles = this.#roles({ learner: this.#learner(host.outbox, application, false, id) });
  }

  /** In the Kernel_Paxos wire a trim is an order: one learner gives it, of what it has delivered. */
  #learner(outbox: WalkOutbox, application: Application, ofProposer: boolean, id = 0): Learner {
    const { native, acceptors } = this.#options;
    return new Learner(
      {
        acceptors,
        windowInstances: 32,
        windowBytes: 1,
        catchUp: !ofProposer || !native,
        statesTellHighest: native,
        waitsForStart: ofProposer,
        beginning: 128,
        canTrim: !ofProposer && (native || id === 0),
        hasApplications: !ofProposer,
        trimEvery: 5,
        trimBytes: 1 << 20,
      },
      outbox,
      application,
    );
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }

  #note(text: () => string): void {
    if (!this.keepsTrace) return;
    const nowUs = this.#nowUs;
    this.#trace.push(() => `${(nowUs / 1000).toFixed(1)} ms  ${text()}`);
    if (this.#trace.length > TRACE_LINES) this.#trace.shift();
  }
}
