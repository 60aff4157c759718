/**
 * What goes wrong in a simulation, and when: each kind of a scenario comes again and again, after times drawn around its mean,
 * hits what chance picks, and passes.
 */
import type { Faults } from "../net/memory.ts";
import { quorumOf } from "../protocol/quorum.ts";
import { addTo } from "./faults.ts";
import { type Mishap, STORM } from "./scenario.ts";
import type { Simulation } from "./simulation.ts";
import type { Station } from "./station.ts";

/** By then every acceptor has heard everybody of a new cluster: who comes to a trimmed log later has no place to begin. */
const KNOWN_US = 3_000_000;

/** Who stands still for so long may wake before the one that takes its place tells anybody of a new generation … */
const SHORT_PAUSE_US: readonly [number, number] = [100_000, 300_000];
/** … or long after that one has recovered. */
const LONG_PAUSE_US: readonly [number, number] = [300_000, 4_000_000];

/** Two in one place hear each other so long after the first has woken at the latest: one that has been replaced begins anew when it hears nobody for longer. */
const DEAF_US = 1_200_000;

/** False: there was nothing that it could befall. */
type Act = (simulation: Simulation) => boolean;

/** Before the simulation runs. */
export function startMishaps(simulation: Simulation): void {
  for (const [kind, meanMs] of Object.entries(simulation.scenario.mishaps) as [Mishap, number][]) {
    const again = (): void => {
      const inUs = simulation.random.around(meanMs * 1000);
      simulation.agenda.at(simulation.nowUs + inUs, () => {
        if (ACTS[kind](simulation)) addTo(simulation.mishaps, kind, 1);
        again();
      });
    };
    again();
  }
}

const ACTS: Readonly<Record<Mishap, Act>> = {
  crash: (simulation) => {
    const station = pick(simulation, (one) => one.kind !== "client" && mayDie(one));
    if (station === undefined) return false;
    simulation.crash(station);
    simulation.startLater(station, downUs(simulation));
    return true;
  },

  crashInTurn: (simulation) => {
    const station = pick(simulation, (one) => one.hasAcceptor && mayDie(one));
    if (station === undefined) return false;
    if (station.disk !== undefined && simulation.random.happens(0.6))
      station.disk.fuse = simulation.random.between(1, 20);
    else station.fuse = simulation.random.between(1, 30);
    return true;
  },

  crashLeader: (simulation) => {
    const leads = ({ host }: Station): boolean => host?.cores.proposer?.stage === "leading";
    const station = pick(simulation, (one) => leads(one) && mayDie(one));
    if (station === undefined) return false;
    simulation.crash(station);
    simulation.startLater(station, downUs(simulation));
    return true;
  },

  crashHolder: (simulation) => {
    const station = pick(simulation, (one) => one.kind === "kv" && mayLose(simulation, one));
    if (station === undefined) return false;
    simulation.crash(station);
    simulation.startLater(station, downUs(simulation));
    return true;
  },

  bereave: (simulation) => {
    const knowing = running(simulation).filter(({ kind }) => kind === "proposer" || kind === "learner");
    if (knowing.length === 0) return false;
    const { random, stations } = simulation;
    const spared = random.happens(0.5) ? random.pick(knowing) : undefined;
    simulation.note("network", `all that know the sessions die but ${spared?.name ?? "none"}`);
    for (const station of knowing) {
      if (station === spared) continue;
      simulation.crash(station);
      simulation.startLater(station, random.between(1_000, 200_000));
    }
    if (spared === undefined) return true;
    cutBothWays(
      simulation,
      [spared],
      stations.filter((one) => one !== spared),
    );
    healLater(simulation);
    return true;
  },

  powerCut: (simulation) => {
    simulation.note("power", "is cut");
    for (const station of running(simulation)) {
      if (station.kind === "client" || station.isForgetful) continue;
      simulation.crash(station);
      simulation.startLater(station, simulation.random.between(10_000, 500_000));
    }
    return true;
  },

  amnesia: (simulation) => {
    const station = pick(simulation, (one) => one.hasAcceptor && mayForget(one));
    if (station === undefined) return false;
    simulation.crash(station);
    simulation.note(station.name, "forgets everything");
    station.disk?.lose();
    station.hasForgotten = true;
    simulation.startLater(station, downUs(simulation));
    return true;
  },

  replace: (simulation) => {
    const suits = (one: Station): boolean =>
      one.kind === "acceptor" && one.disk === undefined && one.former === undefined && mayForget(one);
    const station = pick(simulation, (one) => suits(one) && one.host?.cores.acceptor?.isVoting === true);
    if (station === undefined) return false;
    const { random } = simulation;
    const us = random.between(...(random.happens(0.5) ? SHORT_PAUSE_US : LONG_PAUSE_US));
    simulation.replace(station, us);
    if (random.happens(0.5)) keepApart(simulation, station, us + random.between(0, DEAF_US));
    simulation.startLater(station, random.between(1_000, 200_000));
    // Now and then the other one is gone when it goes on.
    simulation.agenda.at(simulation.nowUs + us - 1, () => {
      if (random.happens(0.5) && mayForget(station)) simulation.crash(station);
    });
    return true;
  },

  otherDisk: (simulation) => {
    const station = pick(simulation, (one) => one.kind === "acceptor" && mayForget(one));
    if (station?.disk === undefined) return false;
    simulation.crash(station);
    simulation.note(station.name, "has another disk");
    station.disk.swap();
    station.hasOtherDisk = true;
    station.refusals = 0;
    station.hasForgotten = true;
    simulation.startLater(station, simulation.random.between(1_000, 200_000));
    return true;
  },

  restart: (simulation) => {
    const station = pick(simulation, (one) => one.kind !== "client" && mayDie(one));
    if (station === undefined) return false;
    simulation.stop(station);
    simulation.startLater(station, simulation.random.between(1_000, 500_000));
    return true;
  },

  churn: (simulation) => {
    const station = pick(simulation, (one) => one.kind === "client");
    if (station === undefined) return false;
    if (simulation.random.happens(0.5)) simulation.stop(station);
    else simulation.crash(station);
    station.isRetired = true;
    simulation.addClient(station.group);
    return true;
  },

  isolate: (simulation) => {
    const all = simulation.stations;
    const alone = simulation.random.shuffled(all).slice(0, simulation.random.between(1, 2));
    simulation.note("network", `${names(alone)} alone`);
    cutBothWays(
      simulation,
      alone,
      all.filter((one) => !alone.includes(one)),
    );
    healLater(simulation);
    return true;
  },

  split: (simulation) => {
    const all = simulation.random.shuffled(simulation.stations);
    const half = all.slice(0, simulation.random.between(1, all.length - 1));
    simulation.note("network", `${names(half)} on one side`);
    cutBothWays(
      simulation,
      half,
      all.filter((one) => !half.includes(one)),
    );
    healLater(simulation);
    return true;
  },

  oneWay: (simulation) => {
    const { random, stations, network } = simulation;
    for (let i = random.between(1, 2 * stations.length); i > 0; i--) {
      const [from, to] = [random.pick(stations), random.pick(stations)];
      simulation.note("network", `no way from ${from.name} to ${to.name}`);
      network.cutPlaces(from.seat.place!, to.seat.place!);
    }
    healLater(simulation);
    return true;
  },

  partial: (simulation) => {
    const { random, stations } = simulation;
    for (let i = random.between(1, stations.length); i > 0; i--) {
      const [one, other] = [random.pick(stations), random.pick(stations)];
      simulation.note("network", `no way between ${one.name} and ${other.name}`);
      cutBothWays(simulation, [one], [other]);
    }
    healLater(simulation);
    return true;
  },

  spike: (simulation) => {
    const { random, stations, network } = simulation;
    const leastDelayUs = random.between(1_000, 100_000);
    const slow: Faults = { ...network.faults, leastDelayUs, mostDelayUs: 2 * leastDelayUs };
    for (let i = random.between(1, stations.length); i > 0; i--) {
      const [from, to] = [random.pick(stations), random.pick(stations)];
      simulation.note("network", `slow from ${from.name} to ${to.name}: ${leastDelayUs} µs`);
      network.worsen(from.seat.place!, to.seat.place!, slow);
    }
    healLater(simulation);
    return true;
  },

  storm: (simulation) => {
    simulation.note("network", "a storm");
    simulation.network.faults = STORM;
    healLater(simulation);
    return true;
  },

  pause: (simulation) => {
    const station = pick(simulation, () => true);
    if (station?.host === undefined) return false;
    const us = simulation.random.around(300_000);
    simulation.note(station.name, `stands still for ${us} µs`);
    for (const { host } of station.mates)
      if (host !== undefined) host.heldUntilUs = Math.max(host.heldUntilUs, simulation.nowUs + us);
    return true;
  },

  slowDisk: (simulation) => {
    const { disk, name } = pick(simulation, (one) => one.disk !== undefined) ?? {};
    if (disk === undefined) return false;
    const before = disk.faults;
    const mostUs = simulation.random.between(5_000, 200_000);
    simulation.note(name!, `its disk takes up to ${mostUs} µs`);
    disk.faults = { ...before, mostUs };
    simulation.agenda.at(simulation.nowUs + simulation.random.around(500_000), () => {
      disk.faults = { ...disk.faults, mostUs: before.mostUs };
    });
    return true;
  },

  badDisk: (simulation) => {
    const disk = pick(simulation, (one) => one.disk !== undefined)?.disk;
    if (disk === undefined) return false;
    disk.faults = { ...disk.faults, failure: 0.2 };
    return true;
  },

  stall: (simulation) => {
    const station = pick(
      simulation,
      ({ application, kind }) => application !== undefined && kind !== "proposer",
    );
    if (station === undefined) return false;
    station.stalledUntilUs = simulation.nowUs + simulation.random.around(500_000);
    return true;
  },
};

function running(simulation: Simulation): Station[] {
  return simulation.stations.filter(({ host }) => host !== undefined);
}

function pick(simulation: Simulation, suits: (station: Station) => boolean): Station | undefined {
  const stations = running(simulation).filter(suits);
  return stations.length === 0 ? undefined : simulation.random.pick(stations);
}

export function names(stations: readonly Station[]): string {
  return stations.map(({ name }) => name).join(", ");
}

/** Mostly short; sometimes long enough for others to notice. */
function downUs({ random }: Simulation): number {
  return random.happens(0.7) ? random.between(1_000, 200_000) : random.between(200_000, 3_000_000);
}

/** Only a minority of a group's acceptors may have forgotten at once, until they vote again. */
function mayForget(station: Station): boolean {
  const acceptors = station.group.stations.filter(({ hasAcceptor }) => hasAcceptor);
  let forgetting = 0;
  for (const one of acceptors) {
    if (one.host?.cores.acceptor?.isVoting === true) one.hasForgotten = false;
    const willForget = one.isForgetful && (one.fuse > 0 || (one.disk?.fuse ?? 0) > 0);
    if (one === station || one.hasForgotten || willForget) forgetting++;
  }
  return forgetting <= acceptors.length - quorumOf(acceptors.length);
}

function mayDie(station: Station): boolean {
  return !station.isForgetful || mayForget(station);
}

/** Acceptors know of it, and what is trimmed of the log is in the state of another replica that runs. */
function mayLose({ nowUs }: Simulation, station: Station): boolean {
  if (nowUs < KNOWN_US) return false;
  const { stations } = station.group;
  const trims = stations.map(({ host, hasAcceptor }) =>
    hasAcceptor ? (host?.cores.acceptor?.log.trimIid ?? 0) : 0,
  );
  const trimIid = Math.max(...trims);
  const has = (one: Station): boolean => one !== station && (one.caller?.host.applied ?? 0) >= trimIid;
  return trimIid === 0 || stations.some((one) => one.kind === "kv" && has(one));
}

/** Two processes in one place do not hear each other for a while. */
function keepApart(simulation: Simulation, { name, seat }: Station, us: number): void {
  const { place } = seat;
  simulation.note(name, `and another in its place do not hear each other for ${us} µs`);
  simulation.network.cutPlaces(place!, place!);
  simulation.agenda.at(simulation.nowUs + us, () => simulation.network.joinPlaces(place!, place!));
}

export function cutBothWays(
  { network }: Simulation,
  some: readonly Station[],
  others: readonly Station[],
): void {
  for (const one of some) {
    for (const other of others) {
      network.cutPlaces(one.seat.place!, other.seat.place!);
      network.cutPlaces(other.seat.place!, one.seat.place!);
    }
  }
}

/** The network is as usual again; what else was wrong with it meanwhile ends too. */
function healLater(simulation: Simulation): void {
  simulation.agenda.at(simulation.nowUs + simulation.random.around(1_000_000), () => {
    simulation.note("network", "is as usual");
    simulation.network.heal();
    simulation.network.faults = simulation.scenario.network;
  });
}
