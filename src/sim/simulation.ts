/**
 * One run: a cluster drawn from a scenario and a seed, its load, what goes wrong in it, and after all is healed the end, at
 * which everything that was submitted has to be delivered everywhere. The same scenario, seed and options are the same run.
 */
import { createLog } from "../log.ts";
import { ADDRESS_WORDS } from "../net/link.ts";
import { MemoryNetwork, NO_FAULTS } from "../net/memory.ts";
import type { Peers } from "../net/peers.ts";
import type { Roles } from "../node/roles.ts";
import { traceReceiver } from "../node/trace.ts";
import type { Client } from "../protocol/client.ts";
import type { Outbox } from "../protocol/outbox.ts";
import type { Receiver } from "../protocol/receiver.ts";
import { Role } from "../protocol/types.ts";
import { MemoryStorage } from "../storage/memory.ts";
import type { Storage } from "../storage/storage.ts";
import { Agenda } from "./agenda.ts";
import { type Host, type Seat, SimCluster, type Surroundings } from "./cluster.ts";
import { SimApplication, Submissions } from "./deliveries.ts";
import { DiskFailure, SimDisk, SimStorage } from "./disk.ts";
import { startMishaps } from "./mishaps.ts";
import { Observer } from "./observer.ts";
import { acceptorParts, clientParts, learnerParts, proposerParts, replicaParts, simConfig } from "./parts.ts";
import type { Plant } from "./plants.ts";
import { Random } from "./random.ts";
import type { Scenario } from "./scenario.ts";
import { drawClock, type Kind, Station } from "./station.ts";
import { type Trace, traceLog } from "./trace.ts";
import { Violation } from "./violation.ts";
import { WatchedStorage } from "./watched_storage.ts";

/** How long a healed cluster may take to be done. */
const HEALING_US = 30_000_000;
const BOUNDS_US = 50_000;
/** A first session number has room for a client's sessions. */
const SESSIONS = 2 ** 20;

export interface SimulationOptions {
  readonly scenario: Scenario;
  readonly seed: number;
  /** Until everything is healed, in simulated time. */
  readonly durationUs: number;
  readonly trace?: Trace;
  readonly plant?: Plant;
}

export interface Figures {
  readonly simulatedUs: number;
  readonly turns: number;
  readonly frames: number;
  readonly values: number;
  readonly chosen: number;
  readonly delivered: number;
  readonly mishaps: Readonly<Record<string, number>>;
  /** Follows from everything that happened. */
  readonly digest: string;
}

export class Simulation {
  readonly scenario: Scenario;
  readonly cluster: SimCluster;
  readonly network: MemoryNetwork;
  readonly agenda = new Agenda();
  readonly stations: Station[] = [];
  readonly observer: Observer;
  readonly submissions = new Submissions();
  readonly mishaps: Record<string, number> = {};
  /** For what goes wrong. */
  readonly random: Random;
  readonly #options: SimulationOptions;
  readonly #draws: Random;
  readonly #load: Random;
  readonly #lives: Random;
  readonly #byName = new Map<string, Station>();
  #clientsMade = 0;
  #sessions = 0;
  #delivered = 0;
  /** The highest instance that anybody has delivered. */
  #deliveredIid = 0;
  #frames = 0;

  constructor(options: SimulationOptions) {
    const { scenario, seed } = options;
    this.#options = options;
    this.scenario = scenario;
    const stream = (name: string): Random => new Random(seed, `${scenario.name} ${name}`);
    this.random = stream("mishaps");
    this.#draws = stream("draws");
    this.#load = stream("load");
    this.#lives = stream("lives");
    const draw = this.#draws;
    const replicas = draw.pick(scenario.replicas ?? [0]);
    const acceptors = replicas > 0 ? replicas : draw.pick(scenario.acceptors);
    const [proposers, learners] = [draw.pick(scenario.proposers), draw.pick(scenario.learners)];
    const config = simConfig({ acceptors, proposers, learners, replicas }, scenario.settings);
    this.network = new MemoryNetwork(stream("network").next, scenario.network);
    this.observer = new Observer({
      acceptors,
      onChosen: (iid, value) => this.submissions.chosen(iid, value),
    });
    const { trace } = options;
    this.cluster = new SimCluster({
      config,
      network: this.network,
      link: { rxSlots: 32, txSlots: 128, maxPayload: 600, queueFrames: 512 },
      log: trace === undefined ? createLog("quiet", "") : traceLog((text) => this.note("log", text)),
      random: stream("cores").next,
      around: this.#surroundings(),
    });
    const { members } = this.#members(replicas, acceptors, proposers, learners);
    const clients = draw.pick(scenario.clients);
    for (const [kind, number] of draw.shuffled(members)) this.#add(kind, number);
    for (let i = 0; i < clients; i++) this.addClient();
  }

  get nowUs(): number {
    return this.cluster.nowUs;
  }

  /** Throws the violation that it meets. */
  run(): Figures {
    const { cluster, agenda } = this;
    const endUs = this.nowUs + this.#options.durationUs;
    this.#offerLoad();
    this.#lookAtBounds();
    startMishaps(this);
    while (this.nowUs < endUs) this.#step(endUs);
    agenda.clear();
    this.#heal();
    this.#lookAtBounds();
    const limitUs = this.nowUs + HEALING_US;
    while (!this.#isDone()) {
      if (this.nowUs >= limitUs) throw new Violation("liveness", this.#status());
      this.#step(limitUs);
    }
    return this.figures(cluster.turns);
  }

  figures(turns = this.cluster.turns): Figures {
    for (const { host, application } of this.stations) {
      if (host !== undefined) this.#frames += host.link.counters().txFrames;
      this.#delivered += application?.delivered ?? 0;
    }
    const { digest } = this.network;
    return {
      simulatedUs: this.nowUs,
      turns,
      frames: this.#frames,
      values: this.submissions.count,
      chosen: this.observer.counters.chosen,
      delivered: this.#delivered,
      mishaps: this.mishaps,
      digest: digest.toString(16).padStart(8, "0"),
    };
  }

  /** Writes down what is done to the cluster. */
  note(who: string, text: string): void {
    this.#options.trace?.add(this.nowUs, who, text);
  }

  // ── what can be done to it ────────────────────────────────────────────────────────────────────────────────────

  start(station: Station): void {
    if (station.host !== undefined || station.isRetired) return;
    this.note(station.name, "starts");
    station.givesWay = false;
    try {
      station.host = this.cluster.start(station.seat, (context) => station.build(station, context));
    } catch (error) {
      throw asViolation(station, error);
    }
    const { acceptor } = station.host.cores;
    if (acceptor === undefined) return;
    if (station.disk === undefined || station.disk.isEmpty) this.observer.forgets(acceptor.aid);
    else this.observer.resumes(acceptor.aid, acceptor);
  }

  /** Ends a process at once. */
  crash(station: Station, frames = 0): void {
    const { host } = station;
    if (host === undefined) return;
    this.note(station.name, "dies");
    this.cluster.crash(host, frames);
    this.#gone(station, host);
  }

  /** Ends a process as a signal does. */
  stop(station: Station): void {
    const { host } = station;
    if (host === undefined) return;
    this.note(station.name, "ends");
    this.cluster.stop(host);
    this.#gone(station, host);
  }

  startLater(station: Station, us: number): void {
    this.agenda.at(this.nowUs + us, () => this.start(station));
  }

  addClient(): void {
    const number = this.#clientsMade++;
    const station = this.#add("client", number);
    this.start(station);
  }

  // ── the run ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** To the next event of the cluster or of the agenda. */
  #step(endUs: number): void {
    const { agenda, cluster } = this;
    const dueUs = agenda.dueUs();
    if (dueUs <= this.nowUs) agenda.next();
    else cluster.advance(Math.min(endUs, dueUs));
  }

  #offerLoad(): void {
    const meanUs = 1_000_000 / this.scenario.valuesPerSecond;
    this.agenda.at(this.nowUs + this.#load.around(meanUs), () => {
      const clients = this.#clients();
      if (clients.length > 0) this.#load.pick(clients).limit += this.#load.happens(0.1) ? 10 : 1;
      this.#offerLoad();
    });
  }

  #lookAtBounds(): void {
    for (const { application } of this.stations)
      this.#deliveredIid = Math.max(this.#deliveredIid, application?.last ?? 0);
    for (const { name, host } of this.stations) {
      const log = host?.cores.acceptor?.log;
      if (log === undefined) continue;
      const { trimIid, highestIid, instances, arena } = log;
      if (highestIid - trimIid > instances || log.fill() > 1)
        throw new Violation("bounds", `${name} holds ${trimIid + 1}…${highestIid}, ${arena.used} bytes`);
      if (trimIid > this.#deliveredIid) {
        const what = `${name} has trimmed up to ${trimIid}; nobody has delivered more than ${this.#deliveredIid}`;
        throw new Violation("trim", what);
      }
    }
    this.agenda.at(this.nowUs + BOUNDS_US, () => this.#lookAtBounds());
  }

  #heal(): void {
    this.note("network", "all is healed");
    this.network.heal();
    this.network.faults = { ...NO_FAULTS, leastDelayUs: 20, mostDelayUs: 80 };
    for (const station of this.stations) {
      station.fuse = 0;
      station.stalledUntilUs = 0;
      if (station.disk !== undefined) station.disk.faults = this.#goodDisk();
      if (station.host !== undefined)
        station.host.heldUntilUs = Math.min(station.host.heldUntilUs, this.nowUs + 1_000);
      this.startLater(station, this.random.between(0, 200_000));
    }
  }

  #isDone(): boolean {
    const { stations, observer } = this;
    for (const { host, application, isRetired } of stations) {
      if (isRetired) continue;
      if (host === undefined) return false;
      if (host.cores.client?.isDone === false) return false;
      if (application !== undefined && application.last < observer.highestIid) return false;
    }
    return true;
  }

  #status(): string {
    const words = this.stations
      .filter(({ isRetired }) => !isRetired)
      .map(({ name, host, application }) => {
        if (host === undefined) return `${name} is down`;
        const { acceptor, proposer, learner, client } = host.cores;
        const parts = [name];
        if (acceptor !== undefined) {
          const { log, promised } = acceptor;
          parts.push(`promised ${promised}, has ${log.trimIid + 1}…${log.highestIid}`);
        }
        if (proposer !== undefined) {
          const { stage, ballot, leader, window, queue } = proposer;
          parts.push(`${stage} ${ballot} leader ${leader} low ${window.low} queued ${queue.count}`);
        }
        if (learner !== undefined) parts.push(`next ${learner.next}, knows of ${learner.highestIid}`);
        if (application !== undefined) parts.push(`delivered up to ${application.last}`);
        if (client !== undefined)
          parts.push(`${client.counters.delivered} of ${client.counters.submitted} values came back`);
        return parts.join(", ");
      });
    return [
      `not done ${HEALING_US / 1e6} s after all is healed; chosen up to ${this.observer.highestIid}`,
      ...words,
    ].join("\n  ");
  }

  #clients(): Client[] {
    return this.stations.flatMap(({ host }) => host?.cores.client ?? []);
  }

  #gone(station: Station, host: Host): void {
    if (station.hasAcceptor) this.observer.ends(station.seat.id);
    if (station.disk !== undefined) station.disk.fuse = 0;
    this.#frames += host.link.counters().txFrames;
    this.#delivered += station.application?.delivered ?? 0;
    this.#deliveredIid = Math.max(this.#deliveredIid, station.application?.last ?? 0);
    station.application = undefined;
    station.host = undefined;
    station.fuse = 0;
  }

  // ── stations ──────────────────────────────────────────────────────────────────────────────────────────────────

  #members(
    replicas: number,
    acceptors: number,
    proposers: number,
    learners: number,
  ): { members: [Kind, number][] } {
    const counts: [Kind, number][] =
      replicas > 0
        ? [["replica", replicas]]
        : [
            ["acceptor", acceptors],
            ["proposer", proposers],
            ["learner", learners],
          ];
    const members = counts.flatMap(([kind, count]) =>
      Array.from({ length: count }, (_, number): [Kind, number] => [kind, number]),
    );
    return { members };
  }

  #goodDisk(): { leastUs: number; mostUs: number; failure: number } {
    const { commitUs } = this.scenario;
    return { leastUs: Math.ceil(commitUs / 3), mostUs: commitUs, failure: 0 };
  }

  #add(kind: Kind, number: number): Station {
    const hasDisk = this.scenario.durable && (kind === "acceptor" || kind === "replica");
    const disk = hasDisk ? new SimDisk(this.#lives) : undefined;
    if (disk !== undefined) disk.faults = this.#goodDisk();
    const clock = drawClock(this.#draws, this.scenario.driftPpm);
    const station = new Station(kind, number, this.stations.length, clock, disk, (one, context) => {
      switch (kind) {
        case "acceptor":
          return acceptorParts(context);
        case "proposer":
          return proposerParts(context);
        case "learner":
          return learnerParts(context, this.#application(one, true), true, true);
        case "replica":
          return replicaParts(context, this.#application(one, true));
        case "client":
          return clientParts(context, this.#clientPlan(), (client) => this.#application(one, false, client));
      }
    });
    this.stations.push(station);
    this.#byName.set(station.name, station);
    if (kind !== "client") this.startLater(station, this.#draws.between(0, 100_000));
    return station;
  }

  #application(station: Station, fromStart: boolean, client?: Client): SimApplication {
    station.application = new SimApplication({
      name: station.name,
      observer: this.observer,
      fromStart,
      ...(client === undefined ? {} : { client }),
      takes: () => this.nowUs >= station.stalledUntilUs,
    });
    return station.application;
  }

  #clientPlan(): Parameters<typeof clientParts>[1] {
    const random = this.#draws;
    this.#sessions++;
    return {
      firstSession: this.#sessions * SESSIONS,
      clients: random.between(1, 3),
      outstanding: random.between(1, 6),
      leastSize: 0,
      mostSize: this.scenario.mostSize,
      values: 0,
      proposerId: random.between(0, this.cluster.config.proposers.length - 1),
      canTrim: true,
    };
  }

  // ── around the hosts ──────────────────────────────────────────────────────────────────────────────────────────

  #surroundings(): Surroundings {
    return {
      life: (seat) => this.#life(this.#byName.get(seat.name)!),
      storage: (seat) => this.#storage(this.#byName.get(seat.name)!),
      receiver: (seat, roles, peers) => this.#receiver(seat, roles, peers),
      outbox: (_seat, role, outbox) => (role === Role.client ? this.#watchSubmissions(outbox) : outbox),
      turned: (host) => this.#turned(this.#byName.get(host.name)!, host),
      threw: (host, error) => this.#threw(this.#byName.get(host.name)!, error),
      givesWay: (host, message) => {
        this.note(host.name, `gives way: ${message}`);
        this.#byName.get(host.name)!.givesWay = true;
      },
    };
  }

  #life(station: Station): number {
    const life = this.#lives.life();
    if (this.#options.plant?.keepsLife !== true || station.kind !== "proposer") return life;
    station.firstLife ??= life;
    return station.firstLife;
  }

  #storage(station: Station): Storage {
    station.storage = station.disk === undefined ? undefined : new SimStorage(station.disk);
    const plain = station.storage ?? new MemoryStorage();
    if (!station.hasAcceptor) return plain;
    const storage = this.#options.plant?.storage?.(plain) ?? plain;
    const aid = station.seat.id;
    return new WatchedStorage(storage, this.observer.journal(aid), () => this.observer.commits(aid));
  }

  #receiver(seat: Seat, roles: Roles, peers: Peers): Receiver {
    const receiver = this.#options.plant?.receiver?.(roles) ?? roles;
    if (this.#options.trace === undefined) return receiver;
    const where = (peer: number): string => (peer < 0 ? "itself" : this.#nameOf(peers, peer));
    return traceReceiver(
      receiver,
      traceLog((text) => this.note(seat.name, text)),
      where,
    );
  }

  /** Who has the address of a peer. */
  #nameOf(peers: Peers, peer: number): string {
    const at = peer * ADDRESS_WORDS;
    const found = this.stations.find(
      ({ seat: { address } }) => address[0] === peers.addresses[at] && address[1] === peers.addresses[at + 1],
    );
    return found?.name ?? "somebody";
  }

  #watchSubmissions<T extends Outbox>(outbox: T): T {
    const { submissions } = this;
    return new Proxy(outbox, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        if (key !== "clientValue") return member.bind(target);
        return (...args: Parameters<Outbox["clientValue"]>) => {
          submissions.sent(args[1], args[2], args[3]);
          target.clientValue(...args);
        };
      },
    });
  }

  #turned(station: Station, host: Host): number {
    const { storage } = station;
    const heldUs = storage?.busyUs ?? 0;
    if (storage !== undefined) storage.busyUs = 0;
    if (station.givesWay) {
      this.crash(station);
      this.startLater(station, this.random.between(100_000, 1_000_000));
    } else if (station.fuse > 0 && --station.fuse === 0) this.#dieInTurn(station, host);
    return heldUs;
  }

  /** When some of the turn's frames have left. */
  #dieInTurn(station: Station, host: Host): void {
    this.crash(station, this.random.between(0, host.ntx));
    this.startLater(station, this.random.between(1_000, 1_000_000));
  }

  #threw(station: Station, error: unknown): void {
    if (!(error instanceof DiskFailure)) throw asViolation(station, error);
    this.note(station.name, error.message);
    if (station.disk !== undefined) station.disk.faults = this.#goodDisk();
    this.crash(station);
    this.startLater(station, this.random.between(10_000, 1_000_000));
  }
}

/** What no process may do whatever happens around it: end with an error. */
function asViolation(station: Station, error: unknown): Violation {
  if (error instanceof Violation) return error;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Violation("invariant", `${station.name}: ${text}`);
}
