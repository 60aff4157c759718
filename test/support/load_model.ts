/**
 * A model of queues: whole clusters of real nodes, wires and cores on a network in memory with a virtual clock, in which every
 * turn of a host takes time (so much for itself, for each frame and for the bytes received) and a host's receive buffer is
 * small. What values wait for is then exact, and the same in each run.
 */
import type { Config } from "../../src/config/config.ts";
import { LearnerGate } from "../../src/delivery/client_gates.ts";
import { createLog } from "../../src/log.ts";
import { MemoryNetwork, NO_FAULTS } from "../../src/net/memory.ts";
import { buildLearner } from "../../src/node/build.ts";
import { buildClient, ownApplication } from "../../src/node/build_client.ts";
import type { CoreContext } from "../../src/node/context.ts";
import type { Extra } from "../../src/node/roles.ts";
import type { Client, ClientSink } from "../../src/protocol/client/client.ts";
import { Role } from "../../src/protocol/types.ts";
import { HostClock } from "../../src/sim/clock.ts";
import { type Host, type Parts, SimCluster } from "../../src/sim/cluster.ts";
import { acceptorParts, macOf, proposerParts, simConfig } from "../../src/sim/parts.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";
import { seededRandom } from "./random.ts";

/** What a turn costs its host. */
export interface Costs {
  readonly turnUs: number;
  readonly rxFrameUs: number;
  readonly rxKibUs: number;
  readonly txFrameUs: number;
}

/** About what a process of this program takes on one core of its own. */
export const COSTS: Costs = { turnUs: 4, rxFrameUs: 1.5, rxKibUs: 4, txFrameUs: 1.3 };

export interface LoadOptions {
  readonly seed: number;
  /** Client processes, and what each of them has. */
  readonly clients: number;
  readonly sessions?: number;
  readonly outstanding: number;
  readonly valueBytes?: number;
  /** Values a second of each process; without: as fast as they come back. */
  readonly rate?: number;
  /** Frames that a host's receive buffer holds; 92 is a kernel's default of 212 kB. */
  readonly queueFrames?: number;
  readonly acceptors?: number;
  readonly proposers?: number;
  readonly costs?: Costs;
  /** Of these hosts (by the beginning of their names) turns cost so many times as much. */
  readonly slower?: Readonly<Record<string, number>>;
  readonly settings?: readonly string[];
}

export interface Figures {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly resent: number;
  /** Frames that found a full receive buffer, by host. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly refused: number;
}

const CLOCK = new HostClock();
const ETHERNET = { ...NO_FAULTS, leastDelayUs: 5, mostDelayUs: 5 };
const FRAME_BYTES = 1500;

export class LoadModel {
  readonly config: Config;
  readonly cluster: SimCluster;
  readonly clients: Client[] = [];
  readonly #options: LoadOptions;
  readonly #costs: Costs;
  readonly #seen = new Map<Host, { frames: number; bytes: number }>();
  #latencies: number[] = [];
  #sinceUs = 0;
  #resent = 0;

  constructor(options: LoadOptions) {
    const { seed, acceptors = 3, proposers = 1, queueFrames = 1800, settings = [] } = options;
    this.#options = options;
    this.#costs = options.costs ?? COSTS;
    const random = seededRandom(seed);
    const real = [
      "acceptor-window-instances 1048576",
      "acceptor-window-bytes 1G",
      "learner-window-instances 8192",
      "learner-window-bytes 16M",
    ];
    this.config = simConfig({ acceptors, proposers, learners: 0 }, [...real, ...settings]);
    const network = new MemoryNetwork(random, ETHERNET);
    this.cluster = new SimCluster({
      config: this.config,
      network,
      link: { rxSlots: 32, txSlots: 512, maxPayload: FRAME_BYTES, queueFrames },
      log: createLog("quiet", ""),
      random,
      around: {
        life: () => 1 + Math.floor(random() * (2 ** 53 - 2)),
        storage: () => new MemoryStorage(),
        receiver: (_seat, roles) => roles,
        outbox: (_seat, _role, outbox) => outbox,
        turned: (host) => this.#costOf(host),
        threw: (_host, error) => {
          throw error;
        },
        givesWay: (host, message) => {
          throw new Error(`${host.name} gives way: ${message}`);
        },
      },
    });
    for (let id = 0; id < acceptors; id++) this.#start("acceptor", id, Role.acceptor, true, acceptorParts);
    for (let id = 0; id < proposers; id++)
      this.#start("proposer", id, Role.proposer | Role.learner, true, proposerParts);
    for (let number = 0; number < options.clients; number++)
      this.#start("client", number, Role.client | Role.learner, false, (context) => this.#client(context));
  }

  /** Runs for so long, and forgets what was measured before. */
  warmUp(us: number): void {
    this.cluster.runFor(us);
    this.#latencies = [];
    this.#sinceUs = this.cluster.nowUs;
    this.#resent = this.#resentInAll();
  }

  run(us: number): Figures {
    this.cluster.runFor(us);
    const sorted = Float64Array.from(this.#latencies).sort();
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
    const dropped: Record<string, number> = {};
    for (const { name, link } of this.cluster.hosts)
      if (link.counters().rxDropped > 0) dropped[name] = link.counters().rxDropped;
    return {
      rate: (sorted.length * 1e6) / (this.cluster.nowUs - this.#sinceUs),
      p50: at(0.5),
      p99: at(0.99),
      p999: at(0.999),
      max: at(1),
      resent: this.#resentInAll() - this.#resent,
      dropped,
      refused: this.cluster.hosts.reduce(
        (sum, { cores }) => sum + (cores.proposer?.counters.refused ?? 0),
        0,
      ),
    };
  }

  #resentInAll(): number {
    return this.clients.reduce((sum, { counters }) => sum + counters.resent, 0);
  }

  #costOf(host: Host): number {
    const { turnUs, rxFrameUs, rxKibUs, txFrameUs } = this.#costs;
    const { rxFrames, rxBytes } = host.link.counters();
    const seen = this.#seen.get(host) ?? { frames: 0, bytes: 0 };
    this.#seen.set(host, { frames: rxFrames, bytes: rxBytes });
    const us =
      turnUs +
      (rxFrames - seen.frames) * rxFrameUs +
      ((rxBytes - seen.bytes) / 1024) * rxKibUs +
      host.ntx * txFrameUs;
    const slower = Object.entries(this.#options.slower ?? {}).find(([name]) => host.name.startsWith(name));
    return Math.ceil(us * (slower?.[1] ?? 1));
  }

  #start(
    role: string,
    id: number,
    listens: number,
    owns: boolean,
    build: (context: CoreContext) => Parts,
  ): void {
    const kind = { acceptor: 1, proposer: 2, client: 9 }[role]!;
    this.cluster.start(
      {
        name: `${role} ${id}`,
        // In the Kernel_Paxos wire a process has an id for each of its clients.
        id: owns ? id : this.cluster.native ? 1024 + id : 100 * id,
        listens,
        owns: owns ? listens & (Role.acceptor | Role.proposer) : 0,
        address: macOf(kind, id),
        clock: CLOCK,
      },
      build,
    );
  }

  #client(context: CoreContext): Parts {
    const { sessions = 1, outstanding, valueBytes = 64, rate } = this.#options;
    const outbox = context.outbox(Role.client);
    const plan = {
      clients: sessions,
      outstanding,
      leastSize: valueBytes,
      mostSize: valueBytes,
      values: rate === undefined ? Number.POSITIVE_INFINITY : 0,
      proposerId: 0,
    };
    const sink: ClientSink = {
      delivered: (latencyUs, _bytes, _client, _first, count) => {
        for (let left = count; left > 0; left--) this.#latencies.push(latencyUs);
      },
    };
    const built = buildClient(context, plan, outbox, sink);
    const { client } = built;
    this.clients.push(client);
    const application = ownApplication(context, built, () => undefined);
    const learner = buildLearner(
      context,
      // In the Kernel_Paxos wire a trim is an order, and nobody else gives it.
      { role: Role.client, catchUp: false, canTrim: !context.native },
      outbox,
      application,
    );
    const gate = new LearnerGate(client, learner, context.config.acceptors.length, context.native);
    const extras: Extra[] = [gate];
    if (rate !== undefined) extras.push(new Pace(client, rate));
    return { cores: { client, learner }, extras };
  }
}

/** Lets a client have one value more whenever its time has come. */
class Pace implements Extra {
  readonly #client: Client;
  readonly #everyUs: number;
  #nextUs = -1;

  constructor(client: Client, rate: number) {
    this.#client = client;
    this.#everyUs = 1e6 / rate;
  }

  tick(nowUs: number): void {
    if (!this.#client.ready) return;
    if (this.#nextUs < 0) this.#nextUs = nowUs;
    let due = 0;
    for (; this.#nextUs <= nowUs; this.#nextUs += this.#everyUs) due++;
    if (due > 0) this.#client.limit += due;
  }

  nextTickUs(): number {
    return this.#nextUs < 0 ? Number.POSITIVE_INFINITY : this.#nextUs;
  }
}
