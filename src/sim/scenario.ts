/**
 * Scenarios, as data: what a cluster looks like, how much it has to do, and what goes wrong in it, how often. Everything else is
 * drawn from the seed.
 */
import { type Faults, NO_FAULTS } from "../net/memory.ts";

/** What can be done to a cluster; `mishaps.ts` knows how. */
export type Mishap =
  /** A process dies at once and comes back. */
  | "crash"
  /** … in the middle of a turn: inside its commit, or when some of its frames have left. */
  | "crashInTurn"
  /** The proposer that leads dies. */
  | "crashLeader"
  /** All processes die at once. */
  | "powerCut"
  /** An acceptor loses what it keeps, and dies. */
  | "amnesia"
  /** An acceptor that keeps nothing stands still for long, and another takes its place. */
  | "replace"
  /** An acceptor dies, and comes back with another disk: an empty one the first time, then the old one. */
  | "otherDisk"
  /** A replica of a store dies, while another, or the log, has what it had. */
  | "crashHolder"
  /** All but acceptors and clients die at once, or all of them but one that nobody reaches for a while. */
  | "bereave"
  /** A process ends as asked, and comes back. */
  | "restart"
  /** A client ends for good, another comes. */
  | "churn"
  /** One or two hosts are alone. */
  | "isolate"
  /** The hosts fall into two parts. */
  | "split"
  /** Some ways between hosts are cut, each in one direction. */
  | "oneWay"
  /** Some pairs of hosts do not reach each other, and both reach others. */
  | "partial"
  /** Some ways get slow. */
  | "spike"
  /** All ways get bad. */
  | "storm"
  /** A host stands still. */
  | "pause"
  /** A disk gets slow. */
  | "slowDisk"
  /** A disk fails. */
  | "badDisk"
  /** An application takes nothing for a while. */
  | "stall";

export interface Scenario {
  readonly name: string;
  readonly summary: string;
  /** Drawn from these. */
  readonly acceptors: readonly number[];
  readonly proposers: readonly number[];
  readonly learners: readonly number[];
  readonly clients: readonly number[];
  /** Replicas of a key-value store, besides the others. */
  readonly kvs?: readonly number[];
  /** Instead of the others; 0: none. */
  readonly replicas?: readonly number[];
  /** The same, each a replica of the store too. */
  readonly voters?: readonly number[];
  /** Hosts that are none of the cluster, and have another key or none; the cluster's own frames are signed then. */
  readonly strangers?: number;
  /** So many logs side by side, with all of these in each, … */
  readonly groups?: readonly number[];
  /** … and so many learners of all of them, which merge them. */
  readonly mergers?: number;
  /** Whether acceptors keep anything over a restart. */
  readonly durable: boolean;
  /** Where learners, proposers and replicas of a store keep theirs; unless set on disks of their own. */
  readonly snapshots?: "memory";
  readonly network: Faults;
  /** Mean time between two of a kind, in ms. */
  readonly mishaps: Readonly<Partial<Record<Mishap, number>>>;
  /** Proposers have little room in all runs, not in some (`room.ts`). */
  readonly isCrowded?: true;
  /** In the end a leader loses its place when it has proposed values (`deposed.ts`). */
  readonly deposes?: true;
  /** Values that all clients together send in a second, about. */
  readonly valuesPerSecond: number;
  /** Most bytes of a value. */
  readonly mostSize: number;
  /** How long a commit takes when the disk is well, in µs. */
  readonly commitUs: number;
  /** Clocks gain or lose up to so much, in µs a second. */
  readonly driftPpm: number;
  /** More lines of paxos.conf. */
  readonly settings: readonly string[];
}

const LAN: Faults = { ...NO_FAULTS, leastDelayUs: 20, mostDelayUs: 80 };
const LOSSY: Faults = {
  ...LAN,
  loss: 0.08,
  duplication: 0.05,
  reordering: 0.1,
  lateUs: 4_000,
  corruption: 0.01,
  stale: 0.002,
  staleUs: 3_000_000,
};
/** What a storm is, wherever it comes. */
export const STORM: Faults = { ...LOSSY, loss: 0.35, duplication: 0.2, reordering: 0.3, lateUs: 20_000 };

const CALM: Scenario = {
  name: "calm",
  summary: "nothing goes wrong",
  acceptors: [3, 5],
  proposers: [1, 2, 3],
  learners: [1, 2],
  clients: [1, 2],
  durable: true,
  network: LAN,
  mishaps: {},
  valuesPerSecond: 150,
  mostSize: 60,
  commitUs: 1_000,
  driftPpm: 200,
  settings: [],
};

export const SCENARIOS: readonly Scenario[] = [
  CALM,
  {
    ...CALM,
    name: "lossy",
    summary: "frames are lost, doubled, late, corrupted, and seconds old",
    network: LOSSY,
    mishaps: { storm: 4_000, spike: 3_000 },
  },
  {
    ...CALM,
    name: "partitions",
    summary: "hosts alone, split clusters, ways that are cut in one direction",
    network: { ...LAN, loss: 0.01 },
    proposers: [2, 3],
    mishaps: { isolate: 2_500, split: 4_000, oneWay: 2_500, partial: 2_500, spike: 6_000 },
  },
  {
    ...CALM,
    name: "crashes",
    summary: "processes die, in the middle of commits too, and come back with their disks",
    network: { ...LAN, loss: 0.01, stale: 0.001, staleUs: 2_000_000 },
    mishaps: { crash: 1_200, crashInTurn: 1_200, crashLeader: 4_000, powerCut: 6_000, restart: 4_000 },
  },
  {
    ...CALM,
    name: "disk",
    summary: "disks are slow, fail, and lose power inside commits",
    mishaps: { slowDisk: 1_500, badDisk: 2_000, crashInTurn: 1_500, powerCut: 5_000 },
    commitUs: 3_000,
  },
  {
    ...CALM,
    name: "amnesia",
    summary: "a minority of acceptors loses its disks, again and again",
    network: { ...LAN, loss: 0.02 },
    mishaps: { amnesia: 1_200, crash: 2_500, crashLeader: 4_000, isolate: 4_000 },
  },
  {
    ...CALM,
    name: "memory",
    summary: "acceptors keep nothing, and a minority of them dies, again and again",
    durable: false,
    proposers: [2, 3],
    network: { ...LAN, loss: 0.15, reordering: 0.1, lateUs: 20_000, stale: 0.002, staleUs: 1_000_000 },
    mishaps: {
      crash: 500,
      crashInTurn: 1_500,
      crashLeader: 1_000,
      oneWay: 3_000,
      isolate: 4_000,
      pause: 3_000,
    },
  },
  {
    ...CALM,
    name: "twins",
    summary:
      "acceptors keep nothing, stand still, and find another one in their place, or that there was one; " +
      "now and then both are awake and do not hear each other",
    acceptors: [3, 3, 4, 5],
    durable: false,
    proposers: [2, 3],
    network: { ...LAN, loss: 0.02 },
    mishaps: { replace: 700, isolate: 1_500, crashLeader: 1_500 },
  },
  {
    ...CALM,
    name: "mounts",
    summary: "acceptors start without their disks, recover, and find them again",
    acceptors: [3, 3, 4, 5],
    proposers: [2, 3],
    network: { ...LAN, loss: 0.02 },
    mishaps: { otherDisk: 600, isolate: 1_500, crashLeader: 1_500 },
  },
  {
    ...CALM,
    name: "pauses",
    summary: "hosts stand still, clocks drift, applications stall",
    mishaps: { pause: 800, stall: 2_000, spike: 3_000 },
    driftPpm: 5_000,
    proposers: [2, 3],
  },
  {
    ...CALM,
    name: "failover",
    summary: "leaders die and are cut off, and frames are lost",
    network: { ...LAN, loss: 0.05, stale: 0.001, staleUs: 1_000_000 },
    mishaps: { crashLeader: 1_200, oneWay: 4_000, isolate: 4_000 },
  },
  {
    ...CALM,
    name: "deposed",
    summary:
      "leaders are cut off, and in the end one has proposed what its successor knows nothing of, and nobody goes on",
    proposers: [2, 3],
    network: { ...LAN, loss: 0.01 },
    mishaps: { isolate: 2_500, partial: 4_000 },
    deposes: true,
  },
  {
    ...CALM,
    name: "quarrels",
    summary: "leaders die again and again where a third of all frames are lost",
    proposers: [1, 2, 3],
    network: { ...LAN, loss: 0.35, duplication: 0.1, reordering: 0.3, lateUs: 5_000, mostDelayUs: 2_000 },
    mishaps: { crashLeader: 500, oneWay: 3_000 },
    valuesPerSecond: 300,
  },
  {
    ...CALM,
    name: "churn",
    summary: "clients come and go, learners restart",
    clients: [2, 3],
    mishaps: { churn: 1_000, restart: 1_500, crash: 4_000 },
  },
  {
    ...CALM,
    name: "sessions",
    summary: "values in pieces, frames lost and late, clients that come and go, few sessions at once",
    clients: [2, 3],
    proposers: [2, 3],
    network: LOSSY,
    mishaps: { churn: 800, crashLeader: 2_500, crash: 3_000, isolate: 4_000 },
    mostSize: 1_500,
    valuesPerSecond: 60,
    settings: ["session-limit 16"],
  },
  {
    ...CALM,
    name: "trim",
    summary: "windows so small that trims decide how fast everything is",
    learners: [2, 3],
    settings: ["acceptor-window-instances 64", "trim-every 8"],
    mishaps: { stall: 1_500, crash: 3_000, isolate: 4_000 },
    network: { ...LAN, loss: 0.03 },
  },
  {
    ...CALM,
    name: "crowded",
    summary:
      "proposers that have room for a few instances or values only, and all processes die at once, again and again",
    isCrowded: true,
    network: { ...LAN, loss: 0.03 },
    mishaps: { powerCut: 1_500, isolate: 1_500, partial: 3_000, crash: 2_500 },
    valuesPerSecond: 400,
    mostSize: 1_300,
  },
  {
    ...CALM,
    name: "replicas",
    summary: "acceptor, proposer and learner in one process, three or five times",
    replicas: [3, 3, 5],
    network: { ...LAN, loss: 0.02 },
    mishaps: { crash: 2_000, crashInTurn: 2_500, isolate: 3_000, pause: 3_000, powerCut: 8_000 },
  },
  {
    ...CALM,
    name: "kv",
    summary: "a key-value store that is called while leaders, its replicas and the network fail",
    proposers: [2, 3],
    learners: [1],
    clients: [1],
    kvs: [2, 3],
    network: { ...LAN, loss: 0.03, stale: 0.001, staleUs: 1_000_000 },
    mishaps: { crashLeader: 2_000, crash: 2_500, isolate: 2_500, oneWay: 3_000, pause: 2_500, spike: 3_000 },
    driftPpm: 5_000,
    settings: ["lease 200ms"],
  },
  {
    ...CALM,
    name: "kv-replicas",
    summary: "a store whose replicas are acceptors and proposers too, with a log that is trimmed under them",
    learners: [0],
    clients: [1],
    voters: [3, 3, 5],
    kvs: [0, 1],
    network: { ...LAN, loss: 0.02, stale: 0.001, staleUs: 1_000_000 },
    mishaps: {
      crash: 2_500,
      crashInTurn: 2_500,
      crashLeader: 2_500,
      amnesia: 4_000,
      powerCut: 7_000,
      isolate: 3_000,
      partial: 3_000,
      pause: 3_000,
      slowDisk: 5_000,
    },
    driftPpm: 5_000,
    settings: ["lease 200ms", "acceptor-window-instances 128", "trim-every 16"],
  },
  {
    ...CALM,
    name: "holders",
    summary: "one or two replicas of a store that have it in memory alone, and die one at a time",
    proposers: [2],
    learners: [1, 2],
    clients: [1],
    kvs: [1, 2],
    snapshots: "memory",
    network: { ...LAN, loss: 0.03, stale: 0.001, staleUs: 1_000_000 },
    mishaps: { crashHolder: 700, crashLeader: 3_000, pause: 4_000, spike: 4_000 },
    settings: ["trim-every 16"],
  },
  {
    ...CALM,
    name: "bereft",
    summary:
      "all that know the sessions have them in memory, and die at once, or all but one that is cut off",
    proposers: [1, 2, 3],
    learners: [1, 2],
    snapshots: "memory",
    network: { ...LAN, loss: 0.02, stale: 0.002, staleUs: 1_500_000 },
    mishaps: { bereave: 1_500, crashLeader: 3_000, pause: 4_000 },
    mostSize: 900,
    settings: ["trim-every 8", "learner-timeout 500ms", "leader-timeout 50ms", "client-timeout 100ms"],
  },
  {
    ...CALM,
    name: "strangers",
    summary: "hosts with another key, or none, that say they are of the cluster, and hear of nothing",
    proposers: [2, 3],
    strangers: 2,
    network: { ...LAN, loss: 0.02, corruption: 0.005, duplication: 0.02 },
    mishaps: { crash: 2_500, crashLeader: 3_000, restart: 4_000 },
    valuesPerSecond: 60,
  },
  {
    ...CALM,
    name: "groups",
    summary: "two or three logs side by side, one of them often idle, and learners that merge them",
    proposers: [2, 3],
    learners: [1],
    groups: [2, 2, 3],
    mergers: 2,
    network: { ...LAN, loss: 0.03, duplication: 0.02, reordering: 0.05, lateUs: 4_000 },
    mishaps: {
      crash: 600,
      crashInTurn: 2_000,
      crashLeader: 1_500,
      restart: 3_000,
      powerCut: 8_000,
      isolate: 2_000,
      split: 5_000,
      oneWay: 4_000,
      pause: 3_000,
      stall: 3_000,
    },
    settings: ["trim-every 16"],
  },
  {
    ...CALM,
    name: "everything",
    summary: "nearly all that befalls one cluster of separate roles",
    network: { ...LOSSY, loss: 0.03 },
    proposers: [1, 2, 3],
    learners: [1, 2, 3],
    mishaps: {
      crash: 3_000,
      crashInTurn: 3_000,
      crashLeader: 6_000,
      powerCut: 15_000,
      restart: 6_000,
      churn: 5_000,
      isolate: 5_000,
      split: 8_000,
      oneWay: 5_000,
      partial: 5_000,
      spike: 5_000,
      storm: 8_000,
      pause: 3_000,
      slowDisk: 4_000,
      badDisk: 8_000,
      stall: 5_000,
    },
    driftPpm: 2_000,
  },
];

export function findScenario(name: string): Scenario | undefined {
  return SCENARIOS.find((one) => one.name === name);
}
