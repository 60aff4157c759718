/**
 * Who takes part in a simulation, drawn from its scenario: how many of each, their clocks and disks, and what their processes
 * are made of.
 */

import type { Config } from "../config/config.ts";
import { Snapshots } from "../delivery/snapshots.ts";
import type { CoreContext } from "../node/context.ts";
import type { Application } from "../protocol/learner/learner.ts";
import type { SessionFilter } from "../protocol/learner/session_filter.ts";
import type { Parts } from "./cluster.ts";
import { SimApplication } from "./deliveries.ts";
import { type DiskFaults, SimDisk } from "./disk.ts";
import type { Group } from "./group.ts";
import { KvCaller } from "./kv.ts";
import {
  acceptorParts,
  type Consumer,
  clientParts,
  learnerParts,
  proposerParts,
  replicaParts,
  simConfig,
  strangerParts,
} from "./parts.ts";
import type { Plant } from "./plants.ts";
import type { Random } from "./random.ts";
import type { Scenario } from "./scenario.ts";
import { SimSnapshotPlace, SnapshotDisk } from "./snapshot_disk.ts";
import { drawClock, type Kind, Station } from "./station.ts";

export interface Company {
  readonly acceptors: number;
  readonly proposers: number;
  readonly learners: number;
  readonly replicas: number;
  readonly clients: number;
  /** Replicas of a store: those besides the others, and those that are all the members. */
  readonly kvs: number;
  readonly voters: number;
  readonly strangers: number;
  /** All of it, but for the learners of all groups, is in each of so many. */
  readonly groups: number;
  readonly mergers: number;
  /** The group without clients; −1: there is none. */
  readonly idle: number;
}

export function drawCompany(scenario: Scenario, random: Random): Company {
  const replicas = random.pick(scenario.replicas ?? [0]);
  const voters = scenario.voters === undefined ? 0 : random.pick(scenario.voters);
  const acceptors = replicas + voters > 0 ? replicas + voters : random.pick(scenario.acceptors);
  const [proposers, learners] = [random.pick(scenario.proposers), random.pick(scenario.learners)];
  const clients = random.pick(scenario.clients);
  const kvs = scenario.kvs === undefined ? 0 : random.pick(scenario.kvs);
  const strangers = scenario.strangers ?? 0;
  const groups = scenario.groups === undefined ? 1 : random.pick(scenario.groups);
  const idle = groups > 1 ? random.between(-1, groups - 1) : -1;
  const mergers = scenario.mergers ?? 0;
  return { acceptors, proposers, learners, replicas, clients, kvs, voters, strangers, groups, mergers, idle };
}

/** Of all groups, where there are several. */
export function configOf(scenario: Scenario, company: Company, more: readonly string[]): Config {
  const { learners, replicas, voters, groups, mergers } = company;
  const shape = { ...company, learners: learners + mergers, replicas: replicas + voters };
  const lines = groups > 1 ? [...more, `groups ${groups}`, "merge yes"] : more;
  return simConfig(shape, [...scenario.settings, ...lines]);
}

/** The members of the configuration, by kind and id. */
export function membersOf(company: Company): [Kind, number][] {
  const { acceptors, proposers, learners, replicas, voters } = company;
  const counts: [Kind, number][] =
    replicas + voters > 0
      ? [
          ["replica", replicas],
          ["voter", voters],
        ]
      : [
          ["acceptor", acceptors],
          ["proposer", proposers],
          ["learner", learners],
        ];
  return counts.flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, number): [Kind, number] => [kind, number]),
  );
}

function proposersOf({ replicas, voters, proposers }: Company): number {
  return replicas + voters > 0 ? replicas + voters : proposers;
}

export interface CastingOptions {
  readonly scenario: Scenario;
  readonly company: Company;
  readonly plant: Plant | undefined;
  /** Of what there is, and of what happens to it. */
  readonly draws: Random;
  readonly lives: Random;
  readonly nowUs: () => number;
  readonly later: (us: number, run: () => void) => void;
}

export class Casting {
  readonly #options: CastingOptions;
  #processes = 0;

  constructor(options: CastingOptions) {
    this.#options = options;
  }

  goodDisk(): DiskFaults {
    const { commitUs } = this.#options.scenario;
    return { leastUs: Math.ceil(commitUs / 3), mostUs: commitUs, usualUs: commitUs, failure: 0 };
  }

  /** `place`: its number in the network. */
  station(kind: Kind, number: number, group: Group, place: number): Station {
    const { scenario, draws, lives, later } = this.#options;
    const isAcceptor = kind === "acceptor" || kind === "replica" || kind === "voter";
    const hasDisk = scenario.durable && isAcceptor;
    const disk = hasDisk ? new SimDisk(lives) : undefined;
    if (disk !== undefined) disk.faults = this.goodDisk();
    const clock = drawClock(draws, scenario.driftPpm);
    const station = new Station(kind, number, group, place, clock, disk, (one, context) => {
      const parts = this.#build(one, context);
      this.#holds(one, parts);
      return parts;
    });
    const hasState = kind !== "acceptor" && kind !== "client" && kind !== "stranger";
    if (hasState && scenario.snapshots !== "memory") station.snapshots = new SnapshotDisk(lives, later);
    return station;
  }

  #holds(station: Station, { extras = [] }: Parts): void {
    station.holder = extras.find((one) => one instanceof Snapshots);
    if (station.holder !== undefined) this.#options.plant?.snapshots?.(station.holder);
  }

  #build(station: Station, context: CoreContext): Parts {
    const { snapshots } = station;
    const { plant } = this.#options;
    const planted = (filter: SessionFilter): void => {
      station.sessions = filter;
      plant?.sessions?.(filter);
    };
    const place = snapshots === undefined ? undefined : new SimSnapshotPlace(snapshots);
    const consumer = (): Consumer => {
      const values = station.group.values.consumer(station.name);
      return { application: this.#application(station, true), values, place, planted };
    };
    switch (station.kind) {
      case "acceptor":
        return acceptorParts(context);
      case "proposer":
        return proposerParts(context, { application: this.#application(station, false), place, planted });
      case "learner":
        return learnerParts(context, consumer(), true, true);
      case "merger":
        return station.merging!.parts(context, station.group.number, consumer());
      case "replica":
        return replicaParts(context, consumer());
      case "client":
        return this.#clientParts(station, context);
      case "kv":
      case "voter":
        return this.#kvParts(station, context, consumer());
      case "stranger":
        return strangerParts(context, ++this.#processes, station.name);
    }
  }

  #application(station: Station, fromStart: boolean, behind?: Application): SimApplication {
    const { nowUs } = this.#options;
    const { observer } = station.group;
    station.application = new SimApplication({
      name: station.name,
      observer,
      fromStart,
      ...(behind === undefined ? {} : { behind }),
      // Nobody is behind a proposer's learner whom it could wait for.
      takes: () => station.kind === "proposer" || nowUs() >= station.stalledUntilUs,
    });
    return station.application;
  }

  #kvParts(station: Station, context: CoreContext, consumer: Consumer): Parts {
    const { lives, nowUs, plant } = this.#options;
    const { name, group } = station;
    const { history } = group;
    const reads = plant?.reads;
    const votes = station.kind === "voter";
    const process = ++this.#processes;
    station.caller = new KvCaller({ name, process, votes, random: lives, nowUs, history, reads });
    return station.caller.build(context, consumer);
  }

  #clientParts(station: Station, context: CoreContext): Parts {
    const { draws, scenario, company } = this.#options;
    const process = ++this.#processes;
    const plan = {
      process,
      clients: draws.between(1, 3),
      outstanding: draws.between(1, 6),
      leastSize: 0,
      mostSize: scenario.mostSize,
      values: 0,
      proposerId: draws.between(0, proposersOf(company) - 1),
      followsLeader: process % 2 === 1,
      canTrim: true,
    };
    station.mostOutstanding = plan.clients * plan.outstanding;
    return clientParts(context, plan, station.group.values.sink(process), (behind) =>
      this.#application(station, false, behind),
    );
  }
}
