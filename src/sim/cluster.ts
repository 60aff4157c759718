/**
 * A whole cluster in one process: the real nodes, wires and cores, each host on a network in memory with a clock of its own
 * that follows a virtual one. Nothing else passes the time: the same calls with the same `random` are the same run.
 *
 * A host lives from `start` to `stop` or `crash`; between two sleeps it does what node/run.ts does. A host that is held (a
 * slow disk, a pause) sends nothing and hears nothing until its time; what it has decided meanwhile leaves then.
 */
import type { Config } from "../config/config.ts";
import { configsOfGroups } from "../config/groups.ts";
import type { Log } from "../log.ts";
import type { MemoryLink, MemoryLinkOptions, MemoryNetwork } from "../net/memory.ts";
import { Peers } from "../net/peers.ts";
import { type Claim, Claims } from "../node/claims.ts";
import type { CoreContext } from "../node/context.ts";
import { clusterIdOf } from "../node/identity.ts";
import { type Cores, type Extra, Roles } from "../node/roles.ts";
import { Node } from "../node/turn.ts";
import { SessionClient } from "../protocol/client/session_client.ts";
import type { WindowSize } from "../protocol/proposer/proposer_window.ts";
import type { Receiver } from "../protocol/receiver.ts";
import type { Peer } from "../protocol/types.ts";
import type { Storage } from "../storage/storage.ts";
import { KernelPaxosWire } from "../wire/kernel_paxos.ts";
import { Members } from "../wire/members.ts";
import { NativeWire } from "../wire/native.ts";
import { LENGTH_OFFSET } from "../wire/native_layout.ts";
import type { PromiseHeads } from "../wire/promise_heads.ts";
import type { HostClock } from "./clock.ts";

const START_US = 1_000_000;
const WALL_OFFSET_US = 1_700_000_000_000_000;
/** As in node/run.ts. */
const BURST = 8;
const STALLED_WAIT_US = 300;
/** So many events without time passing: somebody asks for the clock again and again. */
const STUCK_EVENTS = 5_000;

/** What a process is made of, besides its link and wire. */
export interface Parts {
  readonly cores: Partial<Pick<Cores, "acceptor" | "proposer" | "learner" | "client" | "isMerged">>;
  readonly extras?: readonly Extra[];
}

export interface Seat {
  readonly name: string;
  readonly id: number;
  /** Bits of the roles it listens for, and of those it is as a member of the configuration. */
  readonly listens: number;
  readonly owns: number;
  readonly address: Uint32Array;
  readonly clock: HostClock;
  /** Where it is in the network; see `MemoryLinkOptions.place`. */
  readonly place?: number;
  /** Whose member it is, where there are groups. */
  readonly group?: number;
}

/** What goes on around the hosts; each has its default. */
export interface Surroundings {
  /** The number of a process start. */
  life(seat: Seat): number;
  /** Where it says what it has to say, if not where all do. */
  log?(seat: Seat): Log | undefined;
  /** What its frames are signed with; without: they end in a checksum. */
  keys?(seat: Seat): readonly Uint8Array[] | undefined;
  storage(seat: Seat): Storage;
  /** What is between the wire and the cores: a trace, a planted bug. `heads`: of promises, in the native wire. */
  receiver(seat: Seat, roles: Roles, peers: Peers, heads?: PromiseHeads): Receiver;
  /** The outbox of one role of a host, as its cores get it. */
  outbox<T extends ReturnType<CoreContext["outbox"]>>(seat: Seat, role: number, outbox: T): T;
  /** A host's turn is over; returns for how long it is held now. */
  turned(host: Host): number;
  /** A turn has thrown. */
  threw(host: Host, error: unknown): void;
  /** Another process has its place. */
  givesWay(host: Host, message: string): void;
}

export interface ClusterOptions {
  readonly config: Config;
  readonly network: MemoryNetwork;
  readonly link: Omit<MemoryLinkOptions, "address" | "place" | "checksum">;
  readonly log: Log;
  /** Uniform in 0…1, for the cores. */
  readonly random: () => number;
  readonly proposerWindow?: WindowSize | undefined;
  readonly around: Surroundings;
}

export class Host {
  readonly seat: Seat;
  readonly link: MemoryLink;
  readonly node: Node;
  readonly cores: Omit<Cores, "extras">;
  readonly storage: Storage;
  readonly life: number;
  /** Frames of the last turn that have not been sent yet. */
  ntx = 0;
  /** Hosts of the same process, in other groups: what one does can give another something to do. */
  mates: readonly Host[] = [];
  /** When it wants to wake, by the cluster's clock. */
  wakeUs: number;
  /** Until then it does nothing. */
  heldUntilUs = 0;
  isDead = false;

  constructor(
    seat: Seat,
    node: Node,
    link: MemoryLink,
    cores: Omit<Cores, "extras">,
    life: number,
    nowUs: number,
  ) {
    this.seat = seat;
    this.node = node;
    this.link = link;
    this.cores = cores;
    this.storage = node.storage;
    this.life = life;
    this.wakeUs = nowUs;
  }

  get name(): string {
    return this.seat.name;
  }

  /** When something happens here next. */
  dueUs(): number {
    return Math.max(this.heldUntilUs, Math.min(this.wakeUs, this.link.nextDueUs()));
  }
}

export class SimCluster {
  readonly config: Config;
  readonly network: MemoryNetwork;
  /** Those that run, in the order of their starts. */
  readonly hosts: Host[] = [];
  nowUs = START_US;
  /** Turns of all hosts. */
  turns = 0;
  readonly native: boolean;
  readonly #options: ClusterOptions;
  /** Of each group; without groups the one there is. */
  readonly #configs: readonly Config[];

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.config = options.config;
    this.#configs = configsOfGroups(options.config);
    this.network = options.network;
    this.native = options.config.settings.wire === "native";
    this.network.deliver(START_US);
  }

  start(seat: Seat, build: (context: CoreContext) => Parts): Host {
    const { native, nowUs } = this;
    const config = this.#configs[seat.group ?? 0]!;
    const { link: linkOptions, around, log, random, proposerWindow } = this.#options;
    const { id, listens, owns, name } = seat;
    const link = this.network.open({
      ...linkOptions,
      address: seat.address,
      ...(seat.place === undefined ? {} : { place: seat.place }),
      ...(native ? { checksum: { lengthOffset: LENGTH_OFFSET, keys: around.keys?.(seat) } } : {}),
    });
    const peers = new Peers(256);
    const members = new Members(config, link, peers, !native, owns, id);
    const life = native ? around.life(seat) : 0;
    const options = {
      link,
      peers,
      members,
      roles: listens,
      id,
      life,
      clusterId: clusterIdOf(config),
      group: config.group,
    };
    const wire = native ? new NativeWire(options) : new KernelPaxosWire(options);
    const storage = around.storage(seat);
    const claims: Claim[] = [];
    const parts = build({
      config,
      log: around.log?.(seat) ?? log,
      id,
      life,
      native,
      peers,
      storage,
      random,
      proposerWindow,
      outbox: (role) => {
        const outbox = around.outbox(seat, role, wire.outbox(role, id));
        claims.push({ role, outbox });
        return outbox;
      },
    });
    const { acceptor } = parts.cores;
    const onLost = (message: string): void => around.givesWay(host, message);
    const places = new Claims({ claims, id, life, peers, where: name, acceptor, onLost });
    const cores = {
      ...parts.cores,
      pairsAccepts: native,
      acceptorOf: (peer: Peer) => members.acceptors.indexOf(peer),
      proposerOf: (peer: Peer) => members.proposers.indexOf(peer),
      wallOffsetUs: WALL_OFFSET_US,
    };
    const roles = new Roles({ ...cores, extras: [...(parts.extras ?? []), places] });
    const heads = wire instanceof NativeWire ? wire.heads : undefined;
    const node = new Node(link, wire, storage, roles, around.receiver(seat, roles, peers, heads));
    const host = new Host(seat, node, link, cores, life, nowUs);
    this.hosts.push(host);
    return host;
  }

  /** Ends a process with its last words, as node/run.ts does. */
  stop(host: Host): void {
    const { node, link, cores } = host;
    try {
      const received = link.step(host.ntx, 0);
      host.ntx = 0;
      link.step(node.turn(this.#clock(host), received), 0);
      node.wire.clear();
      if (cores.client instanceof SessionClient) cores.client.close();
      cores.learner?.close();
      link.step(node.wire.seal(), 0);
    } catch (error) {
      this.#options.around.threw(host, error);
    }
    this.crash(host);
  }

  /** Ends a process at once; `frames`: so many of those it was about to send still leave. */
  crash(host: Host, frames = 0): void {
    if (host.isDead) return;
    if (frames > 0) host.link.step(Math.min(frames, host.ntx), 0);
    host.isDead = true;
    host.link.close();
    this.hosts.splice(this.hosts.indexOf(host), 1);
  }

  host(name: string): Host {
    const host = this.hosts.find((one) => one.name === name);
    if (host === undefined) throw new Error(`no ${name} runs`);
    return host;
  }

  runFor(us: number): void {
    const end = this.nowUs + us;
    while (this.advance(end));
  }

  /** Goes on to the next event, at most to `endUs`; false when that is reached. */
  advance(endUs: number): boolean {
    const { hosts, network } = this;
    for (let events = 0; ; events++) {
      let due = Number.POSITIVE_INFINITY;
      for (let i = 0; i < hosts.length; i++) due = Math.min(due, hosts[i]!.dueUs());
      if (due > endUs) {
        this.nowUs = endUs;
        network.deliver(endUs);
        return false;
      }
      const stands = due <= this.nowUs;
      this.nowUs = Math.max(this.nowUs, Math.ceil(due));
      network.deliver(this.nowUs);
      for (let i = 0; i < hosts.length; i++) {
        const host = hosts[i]!;
        if (host.dueUs() > this.nowUs) continue;
        this.#turns(host);
        if (host.isDead) i--;
      }
      if (!stands) return true;
      if (events > STUCK_EVENTS) throw new Error("the clock stands still");
    }
  }

  #clock(host: Host): number {
    return host.seat.clock.read(this.nowUs);
  }

  /** What node/run.ts does between two sleeps. */
  #turns(host: Host): void {
    const { around } = this.#options;
    const { node } = host;
    const localUs = this.#clock(host);
    for (let turn = 0; turn < BURST; turn++) {
      const received = host.link.step(host.ntx, 0);
      if (turn > 0 && received === 0 && host.ntx === 0 && !node.hasMore) break;
      this.turns++;
      // What has been sent must not be sent again if the turn throws.
      host.ntx = 0;
      try {
        host.ntx = node.turn(localUs, received);
      } catch (error) {
        around.threw(host, error);
        return;
      }
      const heldUs = around.turned(host);
      if (host.isDead) return;
      if (heldUs > 0) {
        host.heldUntilUs = this.nowUs + heldUs;
        break;
      }
    }
    const tickUs = this.#tickUs(host);
    if (host.ntx > 0) host.wakeUs = this.nowUs;
    else host.wakeUs = node.hasMore ? Math.min(tickUs, this.nowUs + STALLED_WAIT_US) : tickUs;
    for (const mate of host.mates) if (mate !== host) mate.wakeUs = Math.min(mate.wakeUs, this.#tickUs(mate));
  }

  #tickUs({ seat, node }: Host): number {
    return seat.clock.when(node.roles.nextTickUs());
  }
}
