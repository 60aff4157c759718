/**
 * A cluster whose processes are made as `kpaxos run` makes them, in one process on links in memory with a virtual clock: real
 * cores, wires and turns, a delivery log with a reader behind each learner, one client. It checks only that values come back in
 * order, and neither it nor what passes its frames on allocates anything while it runs.
 */
import type { WireName } from "../../src/config/config.ts";
import { BareApplication, HostConsumer } from "../../src/delivery/applications.ts";
import { LearnerGate } from "../../src/delivery/client_gates.ts";
import { DeliveryLog } from "../../src/delivery/delivery_log.ts";
import { buildLearning } from "../../src/delivery/learning.ts";
import type { LogCursor } from "../../src/delivery/log_cursor.ts";
import { LocalDelivery, type Readers } from "../../src/delivery/readers.ts";
import { createLog } from "../../src/log.ts";
import { MemoryNetwork, NO_FAULTS } from "../../src/net/memory.ts";
import { buildAcceptor, buildFilter, buildLearner, buildProposer } from "../../src/node/build.ts";
import { buildClient, ownApplication } from "../../src/node/build_client.ts";
import type { CoreContext } from "../../src/node/context.ts";
import type { Extra } from "../../src/node/roles.ts";
import type { Client } from "../../src/protocol/client/client.ts";
import type { Application, Learner } from "../../src/protocol/learner/learner.ts";
import type { SessionFilter } from "../../src/protocol/learner/session_filter.ts";
import type { Receiver } from "../../src/protocol/receiver.ts";
import { MAX_IID, Role } from "../../src/protocol/types.ts";
import { HostClock } from "../../src/sim/clock.ts";
import { type Host, type Parts, SimCluster } from "../../src/sim/cluster.ts";
import { macOf, proposerParts, simConfig } from "../../src/sim/parts.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";
import { seededRandom } from "./random.ts";

export interface TurnClusterOptions {
  readonly wire: WireName;
  /** 3 replicas instead of 3 acceptors, a proposer and a learner. */
  readonly replicas?: boolean;
  /** Several values share an instance (native wire). */
  readonly packs?: boolean;
  readonly outstanding?: number;
  readonly valueBytes?: number;
  /** The client has no more than so many; default: it never ends. */
  readonly values?: number;
  readonly proposers?: number;
  /** A turn of a process is over. */
  readonly turned?: (host: Host) => void;
  /** What is between a process's wire and its cores. */
  readonly receiver?: (name: string, roles: Receiver) => Receiver;
}

const LOG_BYTES = 1 << 20;
const STEP_US = 10_000;
const LONGEST_US = 3_600_000_000;
const CLOCK = new HostClock();

/** An application that reads what its learner delivers, and acknowledges nothing. */
class Reader implements Readers {
  readonly hasMore = false;
  readonly isStuck = false;
  readonly trim = 0;
  readonly readers = 1;
  values = 0;
  /** Of the values read. */
  #iid = 0;
  #index = 0;
  readonly #cursor: LogCursor;

  constructor(log: DeliveryLog) {
    this.#cursor = log.open("oldest");
  }

  pump(): number {
    const cursor = this.#cursor;
    let given = 0;
    while (cursor.peek() !== 0) {
      const isNext = cursor.iid > this.#iid || (cursor.iid === this.#iid && cursor.index > this.#index);
      if (!cursor.isValue || !isNext) throw new Error("a reader that keeps up misses nothing");
      this.#iid = cursor.iid;
      this.#index = cursor.index;
      this.values++;
      given++;
      cursor.advance();
    }
    return given;
  }

  poll(): void {}

  acknowledged(): number {
    return MAX_IID;
  }

  close(): void {
    this.#cursor.close();
  }
}

export class TurnCluster {
  readonly sim: SimCluster;
  readonly client: Client;
  readonly readers: Reader[] = [];

  constructor(options: TurnClusterOptions) {
    const random = seededRandom(7);
    const network = new MemoryNetwork(random, { ...NO_FAULTS, leastDelayUs: 20, mostDelayUs: 20 });
    const { proposers = 1 } = options;
    const layout = { acceptors: 3, proposers, learners: 1, ...(options.replicas ? { replicas: 3 } : {}) };
    const native = options.wire === "native";
    const settings = [
      `wire ${options.wire}`,
      // So large that trims keep up: under pressure snapshots are taken all the time.
      "acceptor-window-instances 32768",
      "acceptor-window-bytes 33554432",
      "trim-every 512",
      ...(native ? [`batching ${options.packs ? "yes" : "no"}`] : []),
    ];
    this.sim = new SimCluster({
      config: simConfig(layout, settings),
      network,
      link: { rxSlots: 128, txSlots: 512, maxPayload: 1500, queueFrames: 1024 },
      log: createLog("quiet", ""),
      random,
      around: {
        life: () => 1 + Math.floor(random() * (2 ** 53 - 2)),
        storage: () => new MemoryStorage(),
        receiver: (seat, roles) => options.receiver?.(seat.name, roles) ?? roles,
        outbox: (_seat, _role, outbox) => outbox,
        turned: (host) => {
          options.turned?.(host);
          return 0;
        },
        threw: (_host, error) => {
          throw error;
        },
        givesWay: (host, message) => {
          throw new Error(`${host.name} gives way: ${message}`);
        },
      },
    });
    this.#startMembers(options.replicas === true, proposers);
    const { outstanding = 1, valueBytes = 64, values = Number.POSITIVE_INFINITY } = options;
    const { cores } = this.#start("client", 1024, 5, Role.client | Role.learner, 0, (context) =>
      this.#client(context, outstanding, valueBytes, values),
    );
    this.client = cores.client!;
  }

  /** Until the client has had so many values delivered. */
  runTo(delivered: number): void {
    const { sim, client } = this;
    const endUs = sim.nowUs + LONGEST_US;
    while (client.counters.delivered < delivered) {
      if (sim.nowUs > endUs) throw new Error(`${client.counters.delivered} of ${delivered} values came back`);
      sim.advance(sim.nowUs + STEP_US);
    }
  }

  /** Messages decoded by all processes so far. */
  messages(): number {
    return this.sim.hosts.reduce((sum, { node }) => sum + node.wire.counters.messagesIn, 0);
  }

  #startMembers(replicas: boolean, proposers: number): void {
    const everything = Role.acceptor | Role.proposer | Role.learner;
    if (replicas) {
      for (let id = 0; id < 3; id++)
        this.#start(`replica ${id}`, id, 4, everything, everything, (context) => this.#replica(context));
      return;
    }
    for (let id = 0; id < 3; id++)
      this.#start(`acceptor ${id}`, id, 1, Role.acceptor, Role.acceptor, (context) => {
        const { acceptor, watch } = buildAcceptor(context);
        return { cores: { acceptor }, extras: [watch] };
      });
    for (let id = 0; id < proposers; id++)
      this.#start(`proposer ${id}`, id, 2, Role.proposer | Role.learner, Role.proposer, proposerParts);
    this.#start("learner 0", 0, 3, Role.learner, Role.learner, (context) => this.#learner(context).parts);
  }

  #start(
    name: string,
    id: number,
    kind: number,
    listens: number,
    owns: number,
    build: (context: CoreContext) => Parts,
  ): Host {
    const number = name === "client" ? 0 : id;
    const seat = { name, id, listens, owns, address: macOf(kind, number), clock: CLOCK };
    return this.sim.start(seat, build);
  }

  #learner(context: CoreContext): { parts: Parts; learner: Learner; filter: SessionFilter | undefined } {
    const log = new DeliveryLog(LOG_BYTES);
    const reader = new Reader(log);
    this.readers.push(reader);
    const local = new LocalDelivery(log, [reader]);
    const consumer = new HostConsumer(local, [], () => undefined);
    const outbox = context.outbox(Role.learner);
    if (!context.native) {
      const plan = { role: Role.learner, catchUp: true, canTrim: true };
      const learner = buildLearner(context, plan, outbox, new BareApplication(consumer));
      return { parts: { cores: { learner }, extras: [local] }, learner, filter: undefined };
    }
    const filter = buildFilter(context, consumer);
    const onGap = (first: number, last: number): void => consumer.skipped(first, last);
    const plan = {
      role: Role.learner,
      canTrim: true,
      start: "first",
      name: "l",
      state: filter,
      onGap,
    } as const;
    const { learner, snapshots } = buildLearning(context, plan, outbox);
    return { parts: { cores: { learner }, extras: [snapshots, local] }, learner, filter };
  }

  #replica(context: CoreContext): Parts {
    const { acceptor, watch } = buildAcceptor(context);
    const { parts, learner, filter } = this.#learner(context);
    const { proposer } = buildProposer(context, { learner, filter });
    return { cores: { ...parts.cores, acceptor, proposer }, extras: [watch, ...(parts.extras as Extra[])] };
  }

  #client(context: CoreContext, outstanding: number, valueBytes: number, values: number): Parts {
    const outbox = context.outbox(Role.client);
    const sizes = { leastSize: valueBytes, mostSize: valueBytes };
    const plan = { clients: 1, outstanding, ...sizes, proposerId: 0, values };
    const built = buildClient(context, plan, outbox, { delivered: () => undefined });
    const application: Application = ownApplication(context, built, () => undefined);
    const learnerPlan = { role: Role.client, catchUp: false, canTrim: !context.native };
    const learner = buildLearner(context, learnerPlan, outbox, application);
    const gate = new LearnerGate(built.client, learner, context.config.acceptors.length, context.native);
    return { cores: { client: built.client, learner }, extras: [gate] };
  }
}
