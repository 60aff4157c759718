/**
 * One run: a cluster drawn from a scenario and a seed, its load, what goes wrong in it, and after all is healed the end, at
 * which everything that was submitted has to be delivered everywhere. The same scenario, seed and options are the same run.
 */
import { createLog } from "../log.ts";
import { MemoryNetwork, NO_FAULTS } from "../net/memory.ts";
import type { Client } from "../protocol/client/client.ts";
import { Agenda } from "./agenda.ts";
import { asViolation, Backstage, type Stage } from "./backstage.ts";
import { checkBounds, checkTrim } from "./bounds.ts";
import { Casting, drawCompany, membersOf } from "./casting.ts";
import { SimCluster } from "./cluster.ts";
import { Submissions } from "./deliveries.ts";
import { addTo, type Counts } from "./faults.ts";
import { Holdings } from "./holdings.ts";
import { Keyring } from "./keys.ts";
import type { KvCaller } from "./kv.ts";
import { KvHistory } from "./kv_history.ts";
import { startMishaps } from "./mishaps.ts";
import { isSame, Observer } from "./observer.ts";
import { simConfig } from "./parts.ts";
import type { Plant } from "./plants.ts";
import { Random } from "./random.ts";
import type { Scenario } from "./scenario.ts";
import { SessionOracle } from "./session_oracle.ts";
import type { Kind, Station } from "./station.ts";
import type { Trace } from "./trace.ts";
import { ValueLog } from "./value_log.ts";
import { Violation } from "./violation.ts";

/** How long a healed cluster may take to be done. */
const HEALING_US = 30_000_000;
const BOUNDS_US = 50_000;

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
  /** What was done to it, and what came of that (`faults.ts`). */
  readonly mishaps: Readonly<Counts>;
  readonly faults: Readonly<Counts>;
  /** How often each thing was checked; `undecided`: keys of which it is not known whether they are linearizable. */
  readonly checks: Readonly<Counts>;
  /** Follows from everything that happened. */
  readonly digest: string;
}

export class Simulation implements Stage {
  readonly scenario: Scenario;
  readonly cluster: SimCluster;
  readonly network: MemoryNetwork;
  /** What goes wrong, and what there is to do: until all is healed. */
  readonly agenda = new Agenda();
  /** What takes its time whatever happens. */
  readonly #chores = new Agenda();
  readonly stations: Station[] = [];
  readonly observer: Observer;
  readonly submissions = new Submissions();
  readonly values: ValueLog;
  readonly history = new KvHistory();
  readonly mishaps: Counts = {};
  readonly faults: Counts = {};
  readonly keyring: Keyring;
  readonly holdings = new Holdings(this.stations);
  /** For what goes wrong. */
  readonly random: Random;
  readonly #options: SimulationOptions;
  readonly #load: Random;
  readonly #casting: Casting;
  readonly #checks: Counts = {};
  #clientsMade = 0;
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
    this.#load = stream("load");
    const [draws, lives] = [stream("draws"), stream("lives")];
    const company = drawCompany(scenario, draws);
    this.keyring = new Keyring(stream("keys"), (scenario.strangers ?? 0) > 0);
    this.network = new MemoryNetwork(stream("network").next, scenario.network);
    this.observer = new Observer({
      acceptors: company.acceptors,
      onChosen: (iid, value) => this.submissions.chosen(iid, value),
    });
    const { trace, plant } = options;
    this.cluster = new SimCluster({
      config: simConfig({ ...company, replicas: company.replicas + company.voters }, scenario.settings),
      network: this.network,
      link: { rxSlots: 32, txSlots: 128, maxPayload: 600, queueFrames: 512 },
      log: createLog("quiet", ""),
      random: stream("cores").next,
      around: new Backstage(this, lives, plant, trace !== undefined),
    });
    const { sessionLimit: sessions, maxValueBytes } = this.cluster.config.settings;
    const chosen = (iid: number): Uint8Array | undefined => this.observer.chosen(iid);
    this.values = new ValueLog(new SessionOracle({ sessions, maxValueBytes }, chosen));
    this.values.forgets = scenario.mishaps.bereave !== undefined;
    this.#casting = new Casting({
      plant,
      scenario,
      company,
      observer: this.observer,
      draws,
      lives,
      nowUs: () => this.nowUs,
      values: this.values,
      history: this.history,
      later: (us, run) => this.#chores.at(this.nowUs + us, run),
    });
    for (const [kind, number] of draws.shuffled(membersOf(company)))
      this.startLater(this.#add(kind, number), draws.between(0, 100_000));
    for (let i = 0; i < company.clients; i++) this.addClient();
    for (let i = 0; i < company.kvs; i++) this.startLater(this.#add("kv", i), draws.between(0, 100_000));
    for (let i = 0; i < company.strangers; i++)
      this.startLater(this.#add("stranger", i), draws.between(0, 1_000_000));
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
      if (this.nowUs >= limitUs) {
        this.#checkNothingLost();
        throw new Violation("liveness", this.#status());
      }
      this.#step(limitUs);
    }
    this.#checkNothingLost();
    this.values.checkWhole();
    this.#checkSessions();
    this.#checkCalls();
    return this.figures(cluster.turns);
  }

  figures(turns = this.cluster.turns): Figures {
    for (const station of this.stations) this.#count(station);
    const { digest, counters } = this.network;
    const { faults, observer, submissions } = this;
    for (const [what, count] of Object.entries({
      promises: observer.counters.promises,
      votes: observer.counters.votes,
      entries: submissions.chosenCount,
      values: this.values.compared,
    }))
      addTo(this.#checks, what, count);
    for (const [kind, count] of Object.entries({
      lost: counters.lost,
      doubled: counters.duplicated,
      reordered: counters.late,
      stale: counters.stale,
      corrupted: counters.corrupted,
      cut: counters.cut,
      slowed: counters.worse,
      trimmed: observer.counters.trims,
      begunAnew: submissions.resetCount,
    }))
      addTo(faults, kind, count);
    addTo(this.#checks, "held", this.holdings.checked);
    for (const { disk, snapshots } of this.stations) {
      addTo(faults, "midCommit", disk?.counters.cutShort ?? 0);
      addTo(faults, "torn", disk?.counters.torn ?? 0);
      addTo(faults, "failedCommit", disk?.counters.failures ?? 0);
      addTo(faults, "slowCommit", disk?.counters.slow ?? 0);
      addTo(faults, "snapshots", snapshots?.counters.written ?? 0);
      addTo(faults, "cutSnapshot", snapshots?.counters.cut ?? 0);
    }
    return {
      simulatedUs: this.nowUs,
      turns,
      frames: this.#frames,
      values: this.submissions.count,
      chosen: this.observer.counters.chosen,
      delivered: this.#delivered,
      mishaps: this.mishaps,
      faults,
      checks: this.#checks,
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
    station.starts++;
    if (this.keyring.isSigned) addTo(this.faults, "signed", 1);
    if (station.seat.clock.isSkewed) addTo(this.faults, "skewed", 1);
    try {
      station.host = this.cluster.start(station.seat, (context) => station.build(station, context));
    } catch (error) {
      throw asViolation(station.name, error);
    }
    const { acceptor } = station.host.cores;
    if (acceptor === undefined || !station.hasAcceptor) return;
    if (!station.isForgetful) {
      addTo(this.#checks, "resumes", 1);
      this.observer.resumes(acceptor.aid, acceptor);
      return;
    }
    if (station.starts > 1) addTo(this.faults, "forgot", 1);
    this.observer.forgets(acceptor.aid);
  }

  /** Ends a process at once. */
  crash(station: Station, frames = 0): void {
    const { host } = station;
    if (host === undefined) return;
    this.note(station.name, "dies");
    this.cluster.crash(host, frames);
    this.#gone(station);
  }

  /** Ends a process as a signal does. */
  stop(station: Station): void {
    const { host } = station;
    if (host === undefined) return;
    this.note(station.name, "ends");
    this.cluster.stop(host);
    // Unless its last turn was one too many.
    if (station.host === host) this.#gone(station);
  }

  startLater(station: Station, us: number): void {
    this.agenda.at(this.nowUs + us, () => this.start(station));
  }

  addClient(): void {
    this.start(this.#add("client", this.#clientsMade++));
  }

  repair({ disk }: Station): void {
    if (disk !== undefined) disk.faults = this.#casting.goodDisk();
  }

  #add(kind: Kind, number: number): Station {
    const station = this.#casting.station(kind, number, this.stations.length);
    this.stations.push(station);
    return station;
  }

  // ── the run ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** To the next event of the cluster or of the agenda. */
  #step(endUs: number): void {
    const first = this.#chores.dueUs() <= this.agenda.dueUs() ? this.#chores : this.agenda;
    const dueUs = first.dueUs();
    if (dueUs <= this.nowUs) first.next();
    else this.cluster.advance(Math.min(endUs, dueUs));
  }

  #offerLoad(): void {
    const meanUs = 1_000_000 / this.scenario.valuesPerSecond;
    this.agenda.at(this.nowUs + this.#load.around(meanUs), () => {
      const callers = this.#callers();
      if (callers.length > 0) this.#load.pick(callers).call();
      const clients = this.#clients();
      if (clients.length > 0) this.#load.pick(clients).limit += this.#load.happens(0.1) ? 10 : 1;
      this.#offerLoad();
    });
  }

  #lookAtBounds(): void {
    for (const { application } of this.stations)
      this.#deliveredIid = Math.max(this.#deliveredIid, application?.last ?? 0);
    for (const station of this.stations) {
      checkBounds(station, this.cluster.config.settings);
      if (station.hasAcceptor) checkTrim(station, this.#deliveredIid);
    }
    addTo(this.#checks, "bounds", this.stations.length);
    this.agenda.at(this.nowUs + BOUNDS_US, () => this.#lookAtBounds());
  }

  /** In the end: whoever is equally far knows the same sessions. */
  #checkSessions(): void {
    const first = new Map<number, readonly [name: string, table: Uint8Array]>();
    for (const { name, sessions } of this.stations) {
      const table = sessions?.table.serialize();
      if (sessions === undefined || table === undefined) continue;
      const [other, known] = first.get(sessions.iid) ?? [name, table];
      first.set(sessions.iid, [other, known]);
      addTo(this.#checks, "sessions", 1);
      if (isSame(known, table)) continue;
      throw new Violation("sessions", `${other} and ${name} know different ones after ${sessions.iid}`);
    }
  }

  /** In the end: what every replica of the store holds has to follow from the calls, too. */
  #checkCalls(): void {
    const callers = this.#callers();
    for (const caller of callers) caller.gone();
    for (const caller of callers) caller.tellAll();
    const undecided = this.history.check();
    for (const key of undecided) this.note("history", `key ${key} is not decided`);
    addTo(this.#checks, "calls", this.history.answered + this.history.lost);
    addTo(this.#checks, "keys", this.history.keys().length);
    addTo(this.#checks, "undecided", undecided.length);
  }

  /** Where all acceptors vote. */
  #checkNothingLost(): void {
    const places = this.stations.filter(({ hasAcceptor }) => hasAcceptor);
    const acceptors = places.flatMap(({ host }) => host?.cores.acceptor ?? []);
    if (acceptors.length < places.length || !acceptors.every((one) => one.isVoting)) return;
    addTo(this.#checks, "lost", this.observer.highestIid);
    this.observer.checkNothingLost(acceptors);
  }

  #heal(): void {
    this.note("network", "all is healed");
    this.network.heal();
    this.network.faults = { ...NO_FAULTS, leastDelayUs: 20, mostDelayUs: 80 };
    for (const station of this.stations) {
      station.fuse = 0;
      station.stalledUntilUs = 0;
      this.repair(station);
      if (station.host !== undefined)
        station.host.heldUntilUs = Math.min(station.host.heldUntilUs, this.nowUs + 1_000);
      this.startLater(station, this.random.between(0, 200_000));
    }
  }

  #isDone(): boolean {
    const { stations, observer } = this;
    for (const { host, application, sessions, isRetired, isStranger } of stations) {
      if (isRetired || isStranger) continue;
      if (host === undefined || sessions?.isWhole === false) return false;
      if (host.cores.client?.isDone === false || host.cores.acceptor?.isVoting === false) return false;
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
          const { log, promised, isVoting } = acceptor;
          const has = `${log.trimIid + 1}…${log.highestIid}`;
          parts.push(`${isVoting ? "votes" : "does not vote"}, promised ${promised}, has ${has}`);
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
    return this.stations.flatMap(({ host, caller, isStranger }) =>
      caller === undefined && !isStranger ? (host?.cores.client ?? []) : [],
    );
  }

  #callers(): KvCaller[] {
    return this.stations.flatMap(({ caller }) => caller ?? []);
  }

  /** What the present process comes to, when it is gone, or the run is over. */
  #count({ host, application, isStranger }: Station): void {
    if (host === undefined) return;
    const { txFrames, rxFrames, rxDropped, rxBadChecksum, rxBadMac } = host.link.counters();
    this.#frames += txFrames;
    this.#delivered += application?.delivered ?? 0;
    addTo(this.faults, "overflowed", rxDropped);
    if (!isStranger) addTo(this.faults, "refused", rxBadChecksum + rxBadMac);
    else if (rxFrames > 0)
      throw new Violation(
        "authentication",
        `${host.name} is none of the cluster, and heard ${rxFrames} frames`,
      );
    addTo(this.#checks, "strangers", Number(isStranger));
    addTo(this.#checks, "deliveries", application?.delivered ?? 0);
    addTo(this.faults, "restored", application?.restored ?? 0);
    addTo(this.faults, "unknown", application?.unknown ?? 0);
  }

  #gone(station: Station): void {
    if (station.hasAcceptor) this.observer.ends(station.seat.id);
    if (station.isForgetful) station.hasForgotten = true;
    if (station.disk !== undefined) station.disk.fuse = 0;
    station.snapshots?.cut();
    this.#count(station);
    this.#deliveredIid = Math.max(this.#deliveredIid, station.application?.last ?? 0);
    station.application = undefined;
    station.holder = undefined;
    station.caller?.gone();
    station.caller = undefined;
    station.sessions = undefined;
    station.mostOutstanding = undefined;
    station.host = undefined;
    station.fuse = 0;
  }
}
