/**
 * Whole clusters in one process: the real nodes, wires and cores on a network in memory, with a virtual clock. The same
 * seed is the same run. Every learner's deliveries are checked as they come: one value an instance, in order, no gap.
 */
import type { Config, WireName } from "../../src/config/config.ts";
import { createLog } from "../../src/log.ts";
import { type Faults, MemoryNetwork, NO_FAULTS } from "../../src/net/memory.ts";
import type { CoreContext } from "../../src/node/context.ts";
import type { Roles } from "../../src/node/roles.ts";
import type { Acceptor } from "../../src/protocol/acceptor/acceptor.ts";
import type { Client } from "../../src/protocol/client/client.ts";
import type { SessionFilter } from "../../src/protocol/learner/session_filter.ts";
import type { Proposer } from "../../src/protocol/proposer/proposer.ts";
import type { Receiver } from "../../src/protocol/receiver.ts";
import { Role } from "../../src/protocol/types.ts";
import { HostClock } from "../../src/sim/clock.ts";
import { type Parts, type Host as Plain, type Seat, SimCluster } from "../../src/sim/cluster.ts";
import { SimDisk, SimStorage } from "../../src/sim/disk.ts";
import {
  acceptorParts,
  type Consumer,
  clientParts,
  learnerParts,
  macOf,
  proposerParts,
  replicaParts,
  simConfig,
} from "../../src/sim/parts.ts";
import { Random } from "../../src/sim/random.ts";
import { type Checker, ValueLog } from "../../src/sim/value_log.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { Delivered, Recorder } from "./delivered.ts";
import { seededRandom } from "./random.ts";

export interface ClusterOptions {
  readonly seed: number;
  readonly wire: WireName;
  readonly acceptors?: number;
  readonly proposers?: number;
  readonly learners?: number;
  /** Instead of the others. */
  readonly replicas?: number;
  readonly faults?: Partial<Faults>;
  /** More lines of paxos.conf. */
  readonly settings?: readonly string[];
  /** One MAC for acceptor, proposer and learner of each id. */
  readonly sharedHosts?: boolean;
  readonly txSlots?: number;
  readonly maxPayload?: number;
  /** Acceptors keep what they know over a restart. */
  readonly durable?: boolean;
  /** What an acceptor keeps, where it is not as `durable` says. */
  readonly storage?: (seat: Seat) => Storage | undefined;
  /** A host that has to end because another has its place; unless given nobody has to. */
  readonly ends?: (host: Plain, why: string) => void;
  /** What hears a process's frames; unless given, its cores. */
  readonly receiver?: (seat: Seat, roles: Roles) => Receiver;
  /** A process has ended with an error; unless given that fails the test. */
  readonly threw?: (host: Plain, error: unknown) => void;
  /** A bug at the sessions of learners and replicas. */
  readonly planted?: (filter: SessionFilter, nowUs: () => number) => void;
}

export interface ClientPlan {
  readonly values: number;
  readonly clients?: number;
  readonly outstanding?: number;
  readonly leastSize?: number;
  readonly mostSize?: number;
  readonly proposerId?: number;
  /** Default: in the native wire. */
  readonly canTrim?: boolean;
}

/** `recorder`: of a host with a learner that delivers. */
export type Host = Plain & { readonly recorder: Recorder | undefined };

const CLOCK = new HostClock();

export class MemoryCluster {
  readonly config: Config;
  readonly network: MemoryNetwork;
  readonly hosts: Host[] = [];
  readonly delivered = new Delivered();
  /** Native wire. */
  readonly values = new ValueLog();
  readonly random: () => number;
  readonly #options: ClusterOptions;
  readonly #cluster: SimCluster;
  readonly #disks = new Map<string, SimDisk>();
  #clients = 0;

  constructor(options: ClusterOptions) {
    const { acceptors = 3, proposers = 1, learners = 1, txSlots = 128, maxPayload = 600 } = options;
    this.#options = options;
    this.random = seededRandom(options.seed);
    const settings = [`wire ${options.wire}`, ...(options.settings ?? [])];
    this.config = simConfig({ ...options, acceptors, proposers, learners }, settings);
    const faults = { ...NO_FAULTS, leastDelayUs: 20, mostDelayUs: 60, lateUs: 3000, ...options.faults };
    this.network = new MemoryNetwork(this.random, faults);
    this.#cluster = new SimCluster({
      config: this.config,
      network: this.network,
      link: { rxSlots: 32, txSlots, maxPayload, queueFrames: 512 },
      log: createLog("quiet", ""),
      random: this.random,
      around: {
        life: () => 1 + Math.floor(this.random() * (2 ** 53 - 2)),
        storage: (seat) => options.storage?.(seat) ?? this.#storage(seat.name),
        receiver: (seat, roles) => options.receiver?.(seat, roles) ?? roles,
        outbox: (_seat, _role, outbox) => outbox,
        turned: () => 0,
        threw: (host, error) => {
          if (options.threw === undefined) throw error;
          options.threw(host, error);
          this.stop(this.host(host.name), false);
        },
        givesWay: (host, message) => {
          if (options.ends !== undefined) return options.ends(host, message);
          throw new Error(`${host.name} gives way: ${message}`);
        },
      },
    });
  }

  get nowUs(): number {
    return this.#cluster.nowUs;
  }

  acceptor(id: number): Host {
    return this.start(`acceptor ${id}`, id, Role.acceptor, Role.acceptor, acceptorParts);
  }

  proposer(id: number): Host {
    const listens = Role.proposer | Role.learner;
    return this.start(`proposer ${id}`, id, listens, Role.proposer, proposerParts);
  }

  learner(id: number, catchUp = true, canTrim = this.#isNative): Host {
    const recorder = new Recorder(this.delivered, catchUp);
    const values = this.values.consumer(`learner ${id}`);
    const build = (context: CoreContext): Parts =>
      learnerParts(context, this.#consumer(recorder, values), catchUp, canTrim);
    return this.start(`learner ${id}`, id, Role.learner, Role.learner, build, recorder);
  }

  replica(id: number): Host {
    const roles = Role.acceptor | Role.proposer | Role.learner;
    const recorder = new Recorder(this.delivered, true);
    const values = this.values.consumer(`replica ${id}`);
    const build = (context: CoreContext): Parts => replicaParts(context, this.#consumer(recorder, values));
    return this.start(`replica ${id}`, id, roles, roles, build, recorder);
  }

  /** A client with a learner inside. */
  client(options: ClientPlan): Host {
    const number = this.#clients++;
    const id = this.#isNative ? 1024 + number : number * 100;
    const recorder = new Recorder(this.delivered, false);
    const plan = {
      process: number,
      clients: 1,
      outstanding: 4,
      leastSize: 0,
      mostSize: 40,
      proposerId: 0,
      canTrim: this.#isNative,
      ...options,
    };
    const build = (context: CoreContext): Parts => {
      const parts = clientParts(context, plan, this.values.sink(number), (behind) => {
        recorder.behind = behind;
        return recorder;
      });
      if (!this.#isNative) this.delivered.know(id, plan.clients, parts.cores.client!);
      return parts;
    };
    return this.start(`client ${number}`, id, Role.client | Role.learner, 0, build, recorder);
  }

  /** Starts everything of the configuration, and `more`, in an order drawn from the seed, some of it a little later. */
  startAll(more: readonly (() => Host)[] = []): void {
    const { acceptors, proposers, learners, replicas } = this.config;
    const joined = replicas.length > 0;
    const starts: (() => unknown)[] = [
      ...replicas.map(
        ({ id }) =>
          () =>
            this.replica(id),
      ),
      ...(joined
        ? []
        : acceptors.map(
            ({ id }) =>
              () =>
                this.acceptor(id),
          )),
      ...(joined
        ? []
        : proposers.map(
            ({ id }) =>
              () =>
                this.proposer(id),
          )),
      ...(joined
        ? []
        : learners.map(
            ({ id }) =>
              () =>
                this.learner(id),
          )),
      ...more,
    ];
    while (starts.length > 0) {
      starts.splice(Math.floor(this.random() * starts.length), 1)[0]!();
      if (this.random() < 0.3) this.runFor(Math.floor(this.random() * 150_000));
    }
  }

  /** Ends a process; `politely`: with its last words. */
  stop(host: Host, politely = true): void {
    if (politely) this.#cluster.stop(host);
    else this.#cluster.crash(host);
    this.hosts.splice(this.hosts.indexOf(host), 1);
  }

  host(name: string): Host {
    const host = this.hosts.find((one) => one.name === name);
    if (host === undefined) throw new Error(`no ${name} runs`);
    return host;
  }

  /** All that deliver, clients included. */
  recorders(): Recorder[] {
    return this.hosts.flatMap(({ recorder }) => recorder ?? []);
  }

  acceptors(): Acceptor[] {
    return this.hosts.flatMap(({ cores }) => cores.acceptor ?? []);
  }

  /** Up to here all acceptors have trimmed. */
  get trimmedIid(): number {
    return Math.min(...this.acceptors().map(({ log }) => log.trimIid));
  }

  proposers(): Proposer[] {
    return this.hosts.flatMap(({ cores }) => cores.proposer ?? []);
  }

  clients(): Client[] {
    return this.hosts.flatMap(({ cores }) => cores.client ?? []);
  }

  runFor(us: number): void {
    this.#cluster.runFor(us);
  }

  runUntil(what: string, condition: () => boolean, limitUs = 60_000_000): void {
    const end = this.nowUs + limitUs;
    while (!condition()) {
      if (!this.#cluster.advance(end))
        throw new Error(`seed ${this.#options.seed}: not ${what}\n${this.describe()}`);
    }
  }

  /** Every value of every client was delivered, and every learner has delivered everything. */
  finish(limitUs = 60_000_000): void {
    this.runUntil("all clients done", () => this.clients().every((client) => client.isDone), limitUs);
    // An acknowledgement can be ahead of every learner that delivers.
    if (this.#isNative)
      this.runUntil("all that was told is there", () => this.values.missing() === undefined);
    const end = () => this.delivered.last;
    this.runUntil("all learners at the end", () => this.recorders().every((one) => one.last === end()));
    if (!this.#isNative) this.delivered.checkClients();
  }

  describe(): string {
    const lines = this.hosts.map(({ name, cores: { acceptor, proposer, learner, client } }) => {
      const words = [name];
      if (acceptor !== undefined)
        words.push(
          `promised ${acceptor.promised} trim ${acceptor.log.trimIid} highest ${acceptor.log.highestIid}`,
        );
      if (proposer !== undefined)
        words.push(
          `${proposer.stage} ${proposer.ballot} low ${proposer.window.low} queue ${proposer.queue.count}`,
        );
      if (learner !== undefined) words.push(`next ${learner.next} highest ${learner.highestIid}`);
      if (client !== undefined) words.push(JSON.stringify(client.counters), `ready ${client.ready}`);
      return words.join(", ");
    });
    return [`at ${this.nowUs} µs, delivered up to ${this.delivered.last}`, ...lines].join("\n");
  }

  #storage(name: string): Storage {
    if (this.#options.durable !== true) return new MemoryStorage();
    const disk = this.#disks.get(name) ?? new SimDisk(new Random(this.#options.seed, name));
    this.#disks.set(name, disk);
    return new SimStorage(disk);
  }

  #consumer(application: Recorder, values: Checker): Consumer {
    const { planted } = this.#options;
    if (planted === undefined) return { application, values };
    return { application, values, planted: (filter) => planted(filter, () => this.nowUs) };
  }

  get #isNative(): boolean {
    return this.#options.wire === "native";
  }

  /** Any process. */
  start(
    name: string,
    id: number,
    listens: number,
    owns: number,
    build: (context: CoreContext) => Parts,
    recorder?: Recorder,
  ): Host {
    const address = this.#addressOf(name, id, owns);
    const plain = this.#cluster.start({ name, id, listens, owns, address, clock: CLOCK }, build);
    const host = Object.assign(plain, { recorder });
    this.hosts.push(host);
    return host;
  }

  #addressOf(name: string, id: number, owns: number): Uint32Array {
    const { acceptors, proposers, learners } = this.config;
    const list =
      (owns & Role.acceptor) !== 0
        ? acceptors
        : (owns & Role.proposer) !== 0
          ? proposers
          : owns !== 0
            ? learners
            : [];
    return (
      list.find((one) => one.id === id)?.address.words ??
      macOf(name.startsWith("client") ? 9 : 8, 0x7f + (id & 0x7f))
    );
  }
}
