/**
 * One place of a simulated cluster: what lives there survives its processes (the disk, the clock, the address); the process
 * comes and goes.
 */
import type { Snapshots } from "../delivery/snapshots.ts";
import type { CoreContext } from "../node/context.ts";
import type { SessionFilter } from "../protocol/learner/session_filter.ts";
import { RangeLeadership } from "../protocol/proposer/range_leadership.ts";
import { Role } from "../protocol/types.ts";
import { HostClock } from "./clock.ts";
import type { Host, Parts, Seat } from "./cluster.ts";
import type { SimApplication } from "./deliveries.ts";
import type { SimDisk, SimStorage } from "./disk.ts";
import { addTo, type Counts } from "./faults.ts";
import type { Group } from "./group.ts";
import type { KvCaller } from "./kv.ts";
import type { MergingProcess } from "./merging.ts";
import type { Witness } from "./observer.ts";
import { macOf } from "./parts.ts";
import type { Random } from "./random.ts";
import type { SnapshotDisk } from "./snapshot_disk.ts";

export type Kind =
  | "acceptor"
  | "proposer"
  | "learner"
  | "merger"
  | "replica"
  | "client"
  | "kv"
  | "voter"
  | "stranger";

/** Clients and replicas of a store have no place in the configuration; their ids count from here. */
const CLIENT_IDS = 1024;
const KV_IDS = 2048;

const VOTING = Role.acceptor | Role.proposer | Role.learner;

/**
 * MAC kind, roles listened for, roles owned. A `merger` is one of the learners, in one of its groups; a `kv` is a replica of
 * the store, a `voter` one that votes; a stranger says that it is the first of every role.
 */
const KINDS: Readonly<Record<Kind, readonly [number, number, number]>> = {
  acceptor: [1, Role.acceptor, Role.acceptor],
  proposer: [2, Role.proposer | Role.learner, Role.proposer],
  learner: [3, Role.learner, Role.learner],
  merger: [3, Role.learner, Role.learner],
  replica: [4, VOTING, VOTING],
  client: [9, Role.client | Role.learner, 0],
  kv: [8, Role.client | Role.learner, Role.learner],
  voter: [4, VOTING | Role.client, VOTING],
  stranger: [10, VOTING | Role.client, VOTING],
};

export class Station {
  readonly kind: Kind;
  /** Among those of its kind. */
  readonly number: number;
  readonly group: Group;
  readonly seat: Seat;
  /** Of one with an acceptor that keeps something. */
  readonly disk: SimDisk | undefined;
  /** Of one whose learner keeps its snapshots over a restart. */
  snapshots: SnapshotDisk | undefined;
  /** The present process's snapshots, where it keeps a state. */
  holder: Snapshots | undefined;
  /** The present process's view of the disk. */
  storage: SimStorage | undefined;
  /** The process, while one runs. */
  host: Host | undefined;
  /** One that stands still, or has, while this one took its place. */
  former: Host | undefined;
  /** Who sees what their acceptors say. */
  witness: Witness | undefined;
  formerWitness: Witness | undefined;
  /** Of a merger: the process, of which this is what belongs to one group. */
  merging: MergingProcess | undefined;
  /** What its learner delivers to. */
  application: SimApplication | undefined;
  /** Who calls the present process: a replica of the store. */
  caller: KvCaller | undefined;
  /** The sessions as the present process knows them, and what its client may have under way. */
  sessions: SessionFilter | undefined;
  mostOutstanding: number | undefined;
  /** Processes that ran here. */
  starts = 0;
  /** The number of its first process. */
  firstLife: number | undefined;
  /** It ended for good. */
  isRetired = false;
  /** Its disk is not the one that it had last; and how often it has refused to go on since. */
  hasOtherDisk = false;
  refusals = 0;
  /** Its acceptor has lost all it had, and does not vote again yet. */
  hasForgotten = false;
  /** After so many turns it dies in one; 0: it does not. */
  fuse = 0;
  /** Another process has its place: it ends with this turn. */
  givesWay = false;
  /** Its application takes nothing until then. */
  stalledUntilUs = 0;
  readonly build: (station: Station, context: CoreContext) => Parts;

  constructor(
    kind: Kind,
    number: number,
    group: Group,
    place: number,
    clock: HostClock,
    disk: SimDisk | undefined,
    build: (station: Station, context: CoreContext) => Parts,
  ) {
    const [mac, listens, owns] = KINDS[kind];
    this.kind = kind;
    this.number = number;
    this.group = group;
    this.disk = disk;
    this.build = build;
    this.seat = {
      name: `${kind} ${number}${group.suffix}`,
      id: idOf(kind, number),
      listens,
      owns,
      address: macOf(mac, number),
      clock,
      place,
      group: group.number,
    };
  }

  /** What came of mishaps to its disks. */
  countFaults(faults: Counts): void {
    const { disk, snapshots } = this;
    addTo(faults, "midCommit", disk?.counters.cutShort ?? 0);
    addTo(faults, "torn", disk?.counters.torn ?? 0);
    addTo(faults, "failedCommit", disk?.counters.failures ?? 0);
    addTo(faults, "slowCommit", disk?.counters.slow ?? 0);
    addTo(faults, "snapshots", snapshots?.counters.written ?? 0);
    addTo(faults, "cutSnapshot", snapshots?.counters.cut ?? 0);
  }

  /** What came of mishaps to the process that is here, or was until now. */
  countProcess({ link, cores }: Host, faults: Counts): void {
    const { application, isStranger } = this;
    const { rxDropped, rxBadChecksum, rxBadMac } = link.counters();
    addTo(faults, "overflowed", rxDropped);
    if (!isStranger) addTo(faults, "refused", rxBadChecksum + rxBadMac);
    addTo(faults, "restored", application?.restored ?? 0);
    addTo(faults, "unknown", application?.unknown ?? 0);
    const leadership = cores.proposer?.leadership;
    if (!(leadership instanceof RangeLeadership)) return;
    addTo(faults, "crowded", leadership.range.cuts);
    addTo(faults, "cleared", leadership.clearing.times);
  }

  /** The stations of its process: mostly it is one. */
  get mates(): readonly Station[] {
    return this.merging?.stations ?? [this];
  }

  get name(): string {
    return this.seat.name;
  }

  /** Who dies here forgets: that it was to be born with the cluster, too. */
  get isForgetful(): boolean {
    return this.hasAcceptor && (this.disk === undefined || this.disk.isEmpty);
  }

  /** Whether an acceptor of the cluster lives here; its id is the station's. */
  get hasAcceptor(): boolean {
    return !this.isStranger && (this.seat.owns & Role.acceptor) !== 0;
  }

  /** It is none of the cluster, whatever it says. */
  get isStranger(): boolean {
    return this.kind === "stranger";
  }
}

function idOf(kind: Kind, number: number): number {
  switch (kind) {
    case "client":
      return CLIENT_IDS + number;
    case "kv":
      return KV_IDS + number;
    case "stranger":
      return 0;
    default:
      return number;
  }
}

/** A clock that began at some other time and is off by up to `driftPpm`. */
export function drawClock(random: Random, driftPpm: number): HostClock {
  return new HostClock(random.between(0, 2 ** 40), (random.next() * 2 - 1) * driftPpm);
}
