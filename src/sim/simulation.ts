/**
 * One run: a cluster drawn from a scenario and a seed, its load, what goes wrong in it (`mishaps.ts` notes that in its agenda),
 * and after all is healed the end, at which everything that was submitted has to be delivered everywhere. The same scenario,
 * seed and options are the same run.
 */
import { configsOfGroups } from "../config/groups.ts";
import { positionOf } from "../delivery/merge.ts";
import { createLog } from "../log.ts";
import { MemoryNetwork, NO_FAULTS } from "../net/memory.ts";
import type { Client } from "../protocol/client/client.ts";
import { Agenda } from "./agenda.ts";
import { asViolation, Backstage, type Stage } from "./backstage.ts";
import { Casting, type Company, configOf, drawCompany, membersOf } from "./casting.ts";
import { SimCluster } from "./cluster.ts";
import { depose } from "./deposed.ts";
import { addTo, type Counts } from "./faults.ts";
import { Group } from "./group.ts";
import { Keyring } from "./keys.ts";
import type { KvCaller } from "./kv.ts";
import { drawLeftDead } from "./left_dead.ts";
import { MergingProcess } from "./merging.ts";
import type { Plant } from "./plants.ts";
import { Random } from "./random.ts";
import { drawRoom } from "./room.ts";
import type { Scenario } from "./scenario.ts";
import type { Kind, Station } from "./station.ts";
import type { Trace } from "./trace.ts";
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
  /** The logs; mostly it is one. */
  readonly groups: readonly Group[];
  readonly mishaps: Counts = {};
  readonly faults: Counts = {};
  readonly keyring: Keyring;
  /** For what goes wrong. */
  readonly random: Random;
  readonly #options: SimulationOptions;
  readonly #load: Random;
  readonly #casting: Casting;
  readonly #checks: Counts = {};
  readonly #merging: MergingProcess[] = [];
  #delivered = 0;
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
    const room = drawRoom(scenario, stream("room"));
    this.keyring = new Keyring(stream("keys"), (scenario.strangers ?? 0) > 0);
    this.network = new MemoryNetwork(stream("network").next, scenario.network);
    const { trace, plant } = options;
    this.cluster = new SimCluster({
      ...room.cluster,
      config: configOf(scenario, company, room.settings),
      network: this.network,
      log: createLog("quiet", ""),
      random: stream("cores").next,
      around: new Backstage(this, lives, plant, trace !== undefined),
    });
    const runs = stream("runs");
    this.groups = configsOfGroups(this.cluster.config).map((config, number) => {
      const group = new Group({ number, config, checks: this.#checks });
      group.values.mayMissTellers = scenario.mishaps.bereave !== undefined || scenario.mergers !== undefined;
      group.values.takesRuns = () => runs.happens(1 / 2);
      return group;
    });
    this.#casting = new Casting({
      plant,
      scenario,
      company,
      draws,
      lives,
      nowUs: () => this.nowUs,
      later: (us, run) => this.#chores.at(this.nowUs + us, run),
    });
    for (const group of this.groups) this.#people(group, company, draws);
    for (let i = 0; i < company.mergers; i++)
      this.startLater(this.#addMerger(company.learners + i), draws.between(0, 100_000));
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
    while (this.nowUs < endUs) this.#step(endUs);
    agenda.clear();
    for (const station of this.stations) this.endFormer(station);
    this.#heal();
    this.#lookAtBounds();
    this.#becomesDone();
    if (this.scenario.deposes === true) {
      const overUs = Math.max(...this.groups.map((group) => depose(this, group)));
      while (this.nowUs < overUs) this.#step(overUs);
      this.#becomesDone();
    }
    for (const group of this.groups) group.checkEnd((who, text) => this.note(who, text));
    return this.figures(cluster.turns);
  }

  #becomesDone(): void {
    const limitUs = this.nowUs + HEALING_US;
    while (!this.#isDone()) {
      if (this.nowUs >= limitUs) {
        for (const group of this.groups) group.checkNothingLost();
        throw new Violation("liveness", this.#status());
      }
      this.#step(limitUs);
    }
  }

  figures(turns = this.cluster.turns): Figures {
    for (const station of this.stations) this.#count(station);
    const { digest, counters } = this.network;
    let [values, chosen] = [0, 0];
    const { faults } = this;
    for (const { observer, submissions, values: log, holdings } of this.groups) {
      values += submissions.count;
      chosen += observer.counters.chosen;
      for (const [what, count] of Object.entries({
        promises: observer.counters.promises,
        votes: observer.counters.votes,
        entries: submissions.chosenCount,
        values: log.compared,
        runs: log.runs,
        held: holdings.checked,
      }))
        addTo(this.#checks, what, count);
      addTo(faults, "trimmed", observer.counters.trims);
      addTo(faults, "begunAnew", submissions.resetCount);
    }
    for (const { compared, order } of this.#merging) addTo(this.#checks, "merged", compared + order.compared);
    for (const [kind, count] of Object.entries({
      lost: counters.lost,
      doubled: counters.duplicated,
      reordered: counters.late,
      stale: counters.stale,
      corrupted: counters.corrupted,
      cut: counters.cut,
      slowed: counters.worse,
    }))
      addTo(faults, kind, count);
    for (const station of this.stations) station.countFaults(faults);
    return {
      simulatedUs: this.nowUs,
      turns,
      frames: this.#frames,
      values,
      chosen,
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
    station.merging?.begin();
    for (const one of station.mates) this.#startOne(one);
    const hosts = station.mates.flatMap(({ host }) => host ?? []);
    if (hosts.length > 1) for (const host of hosts) host.mates = hosts;
  }

  #startOne(station: Station): void {
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
    const { observer } = station.group;
    const hasOtherDisk = station.hasOtherDisk;
    station.hasOtherDisk = false;
    if (!station.isForgetful && !hasOtherDisk) {
      addTo(this.#checks, "resumes", 1);
      observer.resumes(station.witness!, acceptor);
      return;
    }
    if (station.starts > 1) addTo(this.faults, "forgot", 1);
    observer.forgets(station.witness!, acceptor.standing.generations[acceptor.aid]!);
  }

  /** Ends a process at once. */
  crash(station: Station, frames = 0): void {
    for (const one of station.mates) {
      if (one.host === undefined) continue;
      this.note(one.name, "dies");
      this.cluster.crash(one.host, frames);
      this.#gone(one);
    }
  }

  /** Its process stands still, and another one may take its place; if none is there any more when it goes on, it is there. */
  replace(station: Station, us: number): void {
    const { host } = station;
    if (host === undefined) return;
    this.note(station.name, `stands still for ${us} µs, and another may take its place`);
    host.heldUntilUs = this.nowUs + us;
    const { witness } = station;
    this.#gone(station);
    station.former = host;
    station.formerWitness = witness;
  }

  /** Who stood still is gone. */
  endFormer(station: Station): void {
    if (station.former !== undefined) this.cluster.crash(station.former);
    if (station.formerWitness !== undefined) station.group.observer.ends(station.formerWitness);
    station.former = undefined;
    station.formerWitness = undefined;
  }

  /** Ends a process as a signal does. */
  stop(station: Station): void {
    for (const one of station.mates) {
      const { host } = one;
      if (host === undefined) continue;
      this.note(one.name, "ends");
      this.cluster.stop(host);
      // Unless its last turn was one too many.
      if (one.host === host) this.#gone(one);
    }
  }

  startLater(station: Station, us: number): void {
    this.agenda.at(this.nowUs + us, () => this.start(station));
  }

  addClient(group: Group): void {
    this.start(this.#add(group, "client", group.clients++));
  }

  repair({ disk }: Station): void {
    if (disk !== undefined) disk.faults = this.#casting.goodDisk();
  }

  /** All of a group but those who merge. */
  #people(group: Group, company: Company, draws: Random): void {
    for (const [kind, number] of draws.shuffled(membersOf(company)))
      this.startLater(this.#add(group, kind, number), draws.between(0, 100_000));
    const clients = group.number === company.idle ? 0 : company.clients;
    for (let i = 0; i < clients; i++) this.addClient(group);
    for (let i = 0; i < company.kvs; i++)
      this.startLater(this.#add(group, "kv", i), draws.between(0, 100_000));
    for (let i = 0; i < company.strangers; i++)
      this.startLater(this.#add(group, "stranger", i), draws.between(0, 1_000_000));
  }

  /** A learner of all groups; returns one of its stations. */
  #addMerger(number: number): Station {
    const logs = this.groups.map(({ values }) => values);
    const merging = new MergingProcess(`merger ${number}`, logs, this.#options.plant);
    this.#merging.push(merging);
    for (const group of this.groups) merging.stations.push(this.#add(group, "merger", number));
    for (const station of merging.stations) station.merging = merging;
    return merging.stations[0]!;
  }

  #add(group: Group, kind: Kind, number: number): Station {
    const station = this.#casting.station(kind, number, group, this.stations.length);
    this.stations.push(station);
    group.stations.push(station);
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
    for (const group of this.groups) group.checkBounds();
    this.agenda.at(this.nowUs + BOUNDS_US, () => this.#lookAtBounds());
  }

  #heal(): void {
    this.note("network", "all is healed");
    this.network.heal();
    this.network.faults = { ...NO_FAULTS, leastDelayUs: 20, mostDelayUs: 80 };
    for (const { stations } of this.groups)
      for (const station of drawLeftDead(stations, this.random)) this.leaveDead(station);
    for (const station of this.stations) {
      station.fuse = 0;
      station.stalledUntilUs = 0;
      this.repair(station);
      if (station.host !== undefined)
        station.host.heldUntilUs = Math.min(station.host.heldUntilUs, this.nowUs + 1_000);
      this.startLater(station, this.random.between(0, 200_000));
    }
  }

  leaveDead(station: Station): void {
    this.note(station.name, "does not come back");
    this.crash(station);
    station.isRetired = true;
    addTo(this.faults, "leftDead", 1);
  }

  #isDone(): boolean {
    return this.groups.every((group) => group.isDone()) && this.#isMerged();
  }

  /** Everything that is chosen in any group has come through every merge. */
  #isMerged(): boolean {
    const { groups } = this;
    const last = Math.max(
      ...groups.map(({ observer }, at) => positionOf(at, observer.highestIid, groups.length)),
    );
    return this.#merging.every(({ order }) => order.done >= last);
  }

  #status(): string {
    return [
      `not done ${HEALING_US / 1e6} s after all is healed`,
      ...this.groups.flatMap((group) => group.status()),
    ].join("\n  ");
  }

  #clients(): Client[] {
    return this.stations.flatMap(({ host, caller, isStranger }) =>
      caller === undefined && !isStranger ? (host?.cores.client ?? []) : [],
    );
  }

  #callers(): KvCaller[] {
    return this.groups.flatMap((group) => group.callers());
  }

  /** What the present process comes to, when it is gone, or the run is over. */
  #count(station: Station): void {
    const { host, application, isStranger } = station;
    if (host === undefined) return;
    const { txFrames, rxFrames } = host.link.counters();
    this.#frames += txFrames;
    this.#delivered += application?.delivered ?? 0;
    station.countProcess(host, this.faults);
    if (isStranger && rxFrames > 0)
      throw new Violation(
        "authentication",
        `${host.name} is none of the cluster, and heard ${rxFrames} frames`,
      );
    addTo(this.#checks, "strangers", Number(isStranger));
    addTo(this.#checks, "deliveries", application?.delivered ?? 0);
  }

  #gone(station: Station): void {
    if (station.witness !== undefined) station.group.observer.ends(station.witness);
    if (station.isForgetful) station.hasForgotten = true;
    if (station.disk !== undefined) station.disk.fuse = 0;
    station.snapshots?.cut();
    this.#count(station);
    station.group.noteDelivered(station);
    station.application = undefined;
    station.holder = undefined;
    station.caller?.gone();
    station.caller = undefined;
    station.sessions = undefined;
    station.mostOutstanding = undefined;
    station.host = station.former;
    station.former = undefined;
    station.witness = station.formerWitness;
    station.formerWitness = undefined;
    // Who stood still is not the one that gave way.
    station.givesWay = false;
    station.fuse = 0;
    if (station.host !== undefined) station.hasForgotten = true;
  }
}
