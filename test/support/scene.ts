/**
 * Three acceptors (or more) and two proposers with their learners, on a stage: who is there, and which messages get through, is said
 * step by step. For what a random walk meets too seldom.
 */
import { Roles } from "../../src/node/roles.ts";
import { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import { NATIVE_BALLOTS } from "../../src/protocol/ballot.ts";
import { Learner, NO_APPLICATION } from "../../src/protocol/learner/learner.ts";
import { Proposer } from "../../src/protocol/proposer/proposer.ts";
import { NO_PEER, type Peer } from "../../src/protocol/types.ts";
import { seededRandom } from "./random.ts";
import { type Flight, WalkOutbox } from "./walk_network.ts";
import { Observer } from "./walk_observer.ts";

const ACCEPTORS = 3;
const PROPOSERS = 2;
export const LEADER_TIMEOUT_MS = 100;
const VALUE_BYTES = 8;
const HOPS = 50;

/** Hosts by number: acceptors 0…2, then proposers. */
export const P0 = ACCEPTORS;
export const P1 = ACCEPTORS + 1;
export const ACCEPTING = [0, 1, 2];
export const ALL = [0, 1, 2, P0, P1];

export class Scene {
  readonly observer: Observer;
  readonly #roles: Roles[] = [];
  readonly #outboxes: WalkOutbox[] = [];
  readonly #pool: Flight[] = [];
  readonly #make: (cores: Roles["cores"]) => Roles;
  readonly #random = seededRandom(1);
  readonly #acceptors: number;
  #nowUs = 1_000_000;

  /** `make`: takes the place of `Roles`, with a bug. */
  constructor(make: (cores: Roles["cores"]) => Roles = (cores) => new Roles(cores), acceptors = ACCEPTORS) {
    this.#make = make;
    this.#acceptors = acceptors;
    this.observer = new Observer({ acceptors, checksRules: true, trimOf: () => 0 });
    const peers = { acceptors, proposers: PROPOSERS, learners: 0 };
    for (let host = 0; host < acceptors + PROPOSERS; host++)
      this.#outboxes.push(new WalkOutbox(true, host as Peer, peers, this.#pool));
    for (let aid = 0; aid < acceptors; aid++) this.startAcceptor(aid, 100 + aid);
    for (let id = 0; id < PROPOSERS; id++) this.#startProposer(id);
  }

  get acceptors(): Acceptor[] {
    return Array.from({ length: this.#acceptors }, (_, aid) => this.acceptor(aid));
  }

  acceptor(aid: number): Acceptor {
    return this.#roles[aid]!.cores.acceptor!;
  }

  proposer(id: number): Proposer {
    return this.#roles[this.#acceptors + id]!.cores.proposer!;
  }

  /** Starts an acceptor with nothing, or again. */
  startAcceptor(aid: number, life: number): void {
    const outbox = this.#outboxes[aid]!;
    outbox.life = life;
    this.observer.restarts(aid);
    const acceptor = new Acceptor(
      {
        aid,
        acceptors: this.#acceptors,
        life,
        fresh: false,
        durable: false,
        random: this.#random,
        maxLeaseMs: 0,
        perInstance: false,
        leaderTimeoutMs: LEADER_TIMEOUT_MS,
        instances: 64,
        bytes: 1 << 18,
        trimRule: null,
      },
      this.observer.journal(aid),
      outbox,
    );
    outbox.audience = acceptor.audience;
    this.#roles[aid] = this.#rolesOf({ acceptor });
  }

  /** A client value of its own for each letter. */
  submit(proposer: number, letter: string): void {
    const value = Buffer.alloc(VALUE_BYTES, letter);
    this.#roles[proposer]!.onClientValue(NO_PEER, value, 0, value.length, 0);
  }

  /** Lets time pass for some hosts: of the messages those to them get through that `passes` lets, the others are lost. */
  run(hosts: readonly number[], ms: number, passes: (flight: Flight) => boolean = () => true): void {
    for (let t = 0; t < ms; t++) {
      for (const host of hosts) this.#turn(host);
      for (let hop = 0; hop < HOPS && this.#pool.length > 0; hop++) {
        for (const flight of this.#pool.splice(0)) {
          if (hosts.includes(flight.to) && passes(flight)) this.#turn(flight.to, flight);
        }
      }
      this.#nowUs += 1000;
    }
  }

  runUntil(condition: () => boolean, hosts: readonly number[], passes?: (flight: Flight) => boolean): void {
    for (let ms = 0; !condition(); ms++) {
      if (ms > 10 * LEADER_TIMEOUT_MS) throw new Error("it does not come to that");
      this.run(hosts, 1, passes);
    }
  }

  /** A message that was held back arrives after all. */
  deliver(flight: Flight): void {
    this.#turn(flight.to, flight);
  }

  #turn(host: number, flight?: Flight): void {
    const roles = this.#roles[host]!;
    roles.tick(this.#nowUs);
    flight?.deliver(roles);
    roles.pump(this.#nowUs);
  }

  #startProposer(id: number): void {
    const outbox = this.#outboxes[this.#acceptors + id]!;
    outbox.life = 1000 + id;
    const learner = new Learner(
      {
        acceptors: this.#acceptors,
        windowInstances: 32,
        windowBytes: 1,
        catchUp: false,
        keepsState: false,
        statesTellHighest: true,
        waitsForStart: true,
        beginning: 128,
        canTrim: false,
        hasApplications: false,
        trimEvery: 5,
        trimBytes: 1 << 20,
      },
      outbox,
      NO_APPLICATION,
    );
    const proposer = new Proposer(
      {
        id,
        proposers: PROPOSERS,
        acceptors: this.#acceptors,
        life: outbox.life,
        scheme: NATIVE_BALLOTS,
        perInstance: false,
        preexecWindow: 8,
        queueBytes: 4096,
        timeoutMs: LEADER_TIMEOUT_MS,
        leaderTimeoutMs: LEADER_TIMEOUT_MS,
        leaseMs: 0,
        mayJump: true,
        batching: true,
        usedBallot: 0,
        keepBallot: () => undefined,
        random: this.#random,
      },
      outbox,
      learner,
    );
    this.#roles[this.#acceptors + id] = this.#rolesOf({ proposer, learner });
  }

  #rolesOf(cores: Partial<Roles["cores"]>): Roles {
    const acceptorOf = (peer: Peer): number => (peer < this.#acceptors ? peer : -1);
    const proposerOf = (peer: Peer): number => peer - this.#acceptors;
    return this.#make({ ...cores, pairsAccepts: true, acceptorOf, proposerOf, wallOffsetUs: 0 });
  }
}
