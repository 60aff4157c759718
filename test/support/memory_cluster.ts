/**
 * Whole clusters in one process: the real nodes, wires and cores on a network in memory, with a virtual clock. The same
 * seed is the same run. Every learner's deliveries are checked as they come: one value an instance, in order, no gap.
 */
import type { Config, WireName } from "../../src/config/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { LearnerGate } from "../../src/delivery/client_gates.ts";
import { createLog } from "../../src/log.ts";
import { parseMac } from "../../src/net/address.ts";
import { type Faults, type MemoryLink, MemoryNetwork, NO_FAULTS } from "../../src/net/memory.ts";
import { Peers } from "../../src/net/peers.ts";
import { buildAcceptor, buildLearner, buildProposer } from "../../src/node/build.ts";
import { type Claim, Claims } from "../../src/node/claims.ts";
import { clusterIdOf } from "../../src/node/identity.ts";
import type { CoreContext } from "../../src/node/process.ts";
import { type Cores, type Extra, Roles } from "../../src/node/roles.ts";
import { Node } from "../../src/node/turn.ts";
import { Client } from "../../src/protocol/client.ts";
import { NativeValues } from "../../src/protocol/native_values.ts";
import { type Peer, Role } from "../../src/protocol/types.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";
import { KernelPaxosWire } from "../../src/wire/kernel_paxos.ts";
import { KernelPaxosValues } from "../../src/wire/kernel_paxos_values.ts";
import { Members } from "../../src/wire/members.ts";
import { NativeWire } from "../../src/wire/native.ts";
import { LENGTH_OFFSET } from "../../src/wire/native_layout.ts";
import { Delivered, Recorder } from "./delivered.ts";
import { seededRandom } from "./random.ts";

const START_US = 1_000_000;
const WALL_OFFSET_US = 1_700_000_000_000_000;
/** As in node/run.ts. */
const BURST = 8;
const STALLED_WAIT_US = 300;
/** So many events without time passing: somebody asks for the clock again and again. */
const STUCK_EVENTS = 5_000;

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

export interface Host {
  readonly name: string;
  readonly link: MemoryLink;
  readonly node: Node;
  readonly cores: Omit<Cores, "extras">;
  /** Of a host with a learner that delivers. */
  readonly recorder: Recorder | undefined;
  ntx: number;
  wakeUs: number;
}

interface Parts {
  readonly cores: Partial<Pick<Cores, "acceptor" | "proposer" | "learner" | "client">>;
  readonly extras?: readonly Extra[];
  readonly recorder?: Recorder;
}

export class MemoryCluster {
  readonly config: Config;
  readonly network: MemoryNetwork;
  readonly hosts: Host[] = [];
  readonly delivered = new Delivered();
  readonly random: () => number;
  nowUs = START_US;
  readonly #options: ClusterOptions;
  readonly #log = createLog("quiet", "");
  #clients = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.config = configOf(options);
    const faults = { ...NO_FAULTS, leastDelayUs: 20, mostDelayUs: 60, lateUs: 3000, ...options.faults };
    this.network = new MemoryNetwork(this.random, faults);
  }

  acceptor(id: number): Host {
    return this.#start(`acceptor ${id}`, id, Role.acceptor, Role.acceptor, (context) => {
      const { acceptor, watch } = buildAcceptor(context);
      return { cores: { acceptor }, extras: [watch] };
    });
  }

  proposer(id: number): Host {
    const listens = Role.proposer | Role.learner;
    return this.#start(`proposer ${id}`, id, listens, Role.proposer, (context) => ({
      cores: buildProposer(context, undefined),
    }));
  }

  learner(id: number, catchUp = true, canTrim = this.#isNative): Host {
    return this.#start(`learner ${id}`, id, Role.learner, Role.learner, (context) => {
      const recorder = new Recorder(this.delivered, catchUp);
      const plan = { role: Role.learner, catchUp, canTrim };
      const learner = buildLearner(context, plan, context.outbox(Role.learner), recorder);
      return { cores: { learner }, recorder };
    });
  }

  replica(id: number): Host {
    const roles = Role.acceptor | Role.proposer | Role.learner;
    return this.#start(`replica ${id}`, id, roles, roles, (context) => {
      const { acceptor, watch } = buildAcceptor(context);
      const recorder = new Recorder(this.delivered, true);
      const plan = { role: Role.learner, catchUp: true, canTrim: this.#isNative };
      const learner = buildLearner(context, plan, context.outbox(Role.learner), recorder);
      const { proposer } = buildProposer(context, learner);
      return { cores: { acceptor, proposer, learner }, extras: [watch], recorder };
    });
  }

  /** A client with a learner inside. */
  client(options: ClientPlan): Host {
    const number = this.#clients++;
    const { clients = 1, outstanding = 4, leastSize = 0, mostSize = 40 } = options;
    const id = this.#isNative ? 1024 + number : number * 100;
    return this.#start(`client ${number}`, id, Role.client | Role.learner, 0, (context) => {
      const outbox = context.outbox(Role.client);
      const firstSession = this.#isNative ? (number + 1) * 2 ** 33 : id;
      const format = this.#isNative
        ? new NativeValues(firstSession, clients, outstanding, mostSize)
        : new KernelPaxosValues(id, clients, mostSize);
      const plan = {
        clients,
        outstanding,
        leastSize,
        mostSize,
        proposerId: options.proposerId ?? 0,
        timeoutMs: this.config.settings.clientTimeoutMs,
        values: options.values,
        random: this.random,
      };
      const client = new Client(plan, format, outbox, { delivered: () => undefined });
      this.delivered.know(firstSession, clients, client);
      const recorder = new Recorder(this.delivered, false, client);
      const canTrim = options.canTrim ?? this.#isNative;
      const learnerPlan = { role: Role.client, catchUp: false, canTrim };
      const learner = buildLearner(context, learnerPlan, outbox, recorder);
      const gate = new LearnerGate(client, learner, this.config.acceptors.length, this.#isNative);
      return { cores: { client, learner }, extras: [gate], recorder };
    });
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
    if (politely) {
      host.cores.learner?.close();
      host.link.step(host.node.turn(this.nowUs, host.link.step(host.ntx, 0)), 0);
    }
    host.link.close();
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

  clients(): Client[] {
    return this.hosts.flatMap(({ cores }) => cores.client ?? []);
  }

  runFor(us: number): void {
    const end = this.nowUs + us;
    while (this.#advance(end));
  }

  runUntil(what: string, condition: () => boolean, limitUs = 60_000_000): void {
    const end = this.nowUs + limitUs;
    while (!condition()) {
      if (!this.#advance(end)) throw new Error(`seed ${this.#options.seed}: not ${what}\n${this.describe()}`);
    }
  }

  /** Every value of every client was delivered, and every learner has delivered everything. */
  finish(limitUs = 60_000_000): void {
    this.runUntil("all clients done", () => this.clients().every((client) => client.isDone), limitUs);
    const end = () => this.delivered.last;
    this.runUntil("all learners at the end", () => this.recorders().every((one) => one.last === end()));
    this.delivered.checkClients();
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

  get #isNative(): boolean {
    return this.#options.wire === "native";
  }

  #start(
    name: string,
    id: number,
    listens: number,
    owns: number,
    build: (context: CoreContext) => Parts,
  ): Host {
    const { config, nowUs } = this;
    const native = this.#isNative;
    const link = this.network.open({
      address: this.#addressOf(name, id, owns),
      rxSlots: 32,
      txSlots: this.#options.txSlots ?? 128,
      maxPayload: this.#options.maxPayload ?? 600,
      queueFrames: 512,
      ...(native ? { checksum: { lengthOffset: LENGTH_OFFSET } } : {}),
    });
    const peers = new Peers(128);
    const members = new Members(config, link, peers, !native, owns, id);
    const life = native ? 1 + Math.floor(this.random() * (2 ** 53 - 2)) : 0;
    const clusterId = clusterIdOf(config);
    const options = { link, peers, members, roles: listens, id, life, clusterId, group: 0 };
    const wire = native ? new NativeWire(options) : new KernelPaxosWire(options);
    const storage = new MemoryStorage();
    const claims: Claim[] = [];
    const parts = build({
      config,
      log: this.#log,
      id,
      life,
      native,
      peers,
      storage,
      random: this.random,
      outbox: (role) => {
        const outbox = wire.outbox(role, id);
        claims.push({ role, roleName: name, outbox });
        return outbox;
      },
    });
    const places = new Claims(claims, id, life, peers, name, (message) => {
      throw new Error(`${name} gives way: ${message}`);
    });
    const cores = {
      ...parts.cores,
      pairsAccepts: native,
      acceptorOf: (peer: Peer) => members.acceptors.indexOf(peer),
      wallOffsetUs: WALL_OFFSET_US,
    };
    const roles = new Roles({ ...cores, extras: [...(parts.extras ?? []), places] });
    const node = new Node(link, wire, storage, roles);
    const host: Host = { name, link, node, cores, recorder: parts.recorder, ntx: 0, wakeUs: nowUs };
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
      list.find((one) => one.id === id)?.address.words ?? macOf(0x80 + id, name.startsWith("client") ? 9 : 8)
    );
  }

  /** Goes on to the next event, at most to `endUs`; false when that is reached. */
  #advance(endUs: number): boolean {
    const { hosts, network } = this;
    for (let events = 0; ; events++) {
      let due = network.nextDueUs();
      for (const host of hosts) due = Math.min(due, host.wakeUs);
      if (due > endUs) {
        this.nowUs = endUs;
        network.deliver(endUs);
        return false;
      }
      const stands = due <= this.nowUs;
      // Clocks of processes tick in whole microseconds.
      this.nowUs = Math.max(this.nowUs, Math.ceil(due));
      network.deliver(this.nowUs);
      for (const host of hosts) {
        if (host.wakeUs <= this.nowUs || host.link.nextDueUs() <= this.nowUs) this.#turns(host);
      }
      if (!stands) return true;
      if (events > STUCK_EVENTS) throw new Error(`the clock stands still\n${this.describe()}`);
    }
  }

  /** What node/run.ts does between two sleeps. */
  #turns(host: Host): void {
    const { link, node } = host;
    for (let turn = 0; turn < BURST; turn++) {
      const received = link.step(host.ntx, 0);
      if (turn > 0 && received === 0 && host.ntx === 0 && !node.hasMore) break;
      host.ntx = node.turn(this.nowUs, received);
    }
    const tickUs = node.roles.nextTickUs();
    if (host.ntx > 0) host.wakeUs = this.nowUs;
    else host.wakeUs = node.hasMore ? Math.min(tickUs, this.nowUs + STALLED_WAIT_US) : tickUs;
  }
}

function macOf(last: number, kind: number): Uint32Array {
  return parseMac(`02:4b:50:00:0${kind}:${(last & 0xff).toString(16).padStart(2, "0")}`)!.words;
}

function configOf(options: ClusterOptions): Config {
  const { acceptors = 3, proposers = 1, learners = 1, replicas = 0, sharedHosts = false } = options;
  const lines = [`wire ${options.wire}`, "acceptor-window-instances 4096", "acceptor-window-bytes 2097152"];
  lines.push("learner-window-instances 256", "learner-window-bytes 262144", "client-timeout 200ms");
  const add = (role: string, kind: number, count: number): void => {
    for (let id = 0; id < count; id++) lines.push(`${role} ${id} 02:4b:50:00:0${kind}:0${id + 1}`);
  };
  if (replicas > 0) add("replica", 4, replicas);
  else {
    add("acceptor", 1, acceptors);
    add("proposer", sharedHosts ? 1 : 2, proposers);
    add("learner", sharedHosts ? 1 : 3, learners);
  }
  const text = `${[...lines, ...(options.settings ?? [])].join("\n")}\n`;
  const { config, diagnostics } = parseConfig(text, "memory.conf");
  if (config === undefined) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return config;
}
