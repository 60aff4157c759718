/**
 * What a replica of a state machine is made of: the learner that applies the log, the client that submits to it, its reads, and
 * where it votes an acceptor and a proposer. The same for a real process and a simulated one.
 */
import { LearnerGate } from "../delivery/client_gates.ts";
import { buildLearning } from "../delivery/learning.ts";
import type { SnapshotPlace } from "../delivery/snapshot_file.ts";
import type { LogState, SnapshotMachine, Snapshots } from "../delivery/snapshots.ts";
import { Bell } from "../node/bell.ts";
import { buildAcceptor, buildFilter, buildProposer } from "../node/build.ts";
import { buildSessionClient } from "../node/build_client.ts";
import type { CoreContext } from "../node/context.ts";
import type { Cores, Extra } from "../node/roles.ts";
import type { SessionClient } from "../protocol/client/session_client.ts";
import { GivenValues } from "../protocol/client/value_source.ts";
import type { Learner } from "../protocol/learner/learner.ts";
import type { SessionFilter, ValueConsumer } from "../protocol/learner/session_filter.ts";
import type { Proposer } from "../protocol/proposer/proposer.ts";
import { Role } from "../protocol/types.ts";
import { type MachineHost, PENDING_LIMIT } from "./machine_host.ts";
import { Reads } from "./reads.ts";
import type { StateMachine } from "./state_machine.ts";

/** Commands under way in the cluster; more wait here. */
const OUTSTANDING = 1024;
/** Bytes of all commands that wait, or are under way: four of the largest that can be configured. */
export const WAITING_BYTES = 64 << 20;
const EXPIRE_US = 100_000;

export interface ReplicaPlan {
  readonly host: MachineHost;
  readonly machine: StateMachine;
  readonly votes: boolean;
  readonly timeoutMs: number;
  /** Who is between the log and the machine: a checker. */
  readonly consumer?: ValueConsumer;
  readonly state?: (filter: SessionFilter) => LogState;
  /** It may begin with an empty state where the log is trimmed (`Snapshots`). */
  readonly beginsEmpty?: boolean | undefined;
  /** For people: how it is told so; undefined: it was. */
  readonly beginEmptyBy?: string | undefined;
  /** Instead of the file that the settings name. */
  readonly place?: SnapshotPlace | undefined;
}

export interface ReplicaParts {
  readonly cores: Partial<Pick<Cores, "acceptor">> & {
    readonly learner: Learner;
    readonly client: SessionClient;
    readonly proposer?: Proposer;
  };
  readonly extras: readonly Extra[];
  readonly reads: Reads;
  readonly snapshots: Snapshots;
  /** Has a value submitted with the next turn. */
  submit(value: Uint8Array): void;
  /** The next turn is to come at once. */
  wake(): void;
}

export function buildReplica(context: CoreContext, plan: ReplicaPlan): ReplicaParts {
  const { config, id } = context;
  const { host, machine, votes, timeoutMs } = plan;
  const filter = buildFilter(context, plan.consumer ?? host);
  const values = new GivenValues();
  const acceptor = votes ? buildAcceptor(context) : undefined;
  const { learner, snapshots } = buildLearning(
    context,
    {
      role: Role.learner,
      canTrim: true,
      votes,
      name: `${machine.name}-${id}`,
      start: "newest",
      beginsEmpty: plan.beginsEmpty,
      beginEmptyBy: plan.beginEmptyBy,
      state: plan.state?.(filter) ?? filter,
      machine: snapshotMachine(machine, host, filter, values),
      onGap: () => undefined,
      place: plan.place,
    },
    context.outbox(Role.learner),
  );
  const proposer = votes ? buildProposer(context, { learner, filter }).proposer : undefined;
  const outbox = context.outbox(Role.client);
  const { client } = buildSessionClient(
    context,
    // Its own proposer, if it has one; else they are spread until they hear who leads.
    {
      clients: 1,
      outstanding: OUTSTANDING,
      proposerId: votes ? id : id % config.proposers.length,
      followsLeader: !votes,
      values: 0,
    },
    values,
    outbox,
    { delivered: () => undefined, uncertain: (_client, number) => host.uncertain(number) },
  );
  host.hasRoom = (bytes) => values.count < PENDING_LIMIT && values.bytes + bytes <= WAITING_BYTES;
  host.onDelivered = (session, sequence, iid) => client.onDelivered(session, sequence, iid);
  const reads = new Reads(
    {
      proposers: config.proposers.length,
      timeoutMs,
      firstNonce: 1 + Math.floor(context.random() * 2 ** 52),
      applied: () => host.applied,
      reason: () => host.reason(),
    },
    outbox,
  );
  const bell = new Bell();
  const extras: Extra[] = [snapshots, new LearnerGate(client, learner, config.acceptors.length, true)];
  if (acceptor !== undefined) extras.push(acceptor.watch);
  extras.push(reads, new Expiry(host), bell);
  let given = 0;
  return {
    cores: {
      learner,
      client,
      ...(acceptor === undefined ? {} : { acceptor: acceptor.acceptor }),
      ...(proposer === undefined ? {} : { proposer }),
    },
    extras,
    reads,
    snapshots,
    submit: (value) => {
      values.give(value);
      client.limit = ++given;
      bell.ring();
    },
    wake: () => bell.ring(),
  };
}

function snapshotMachine(
  machine: StateMachine,
  host: MachineHost,
  filter: SessionFilter,
  values: GivenValues,
): SnapshotMachine {
  return {
    name: machine.name,
    snapshot: () => machine.snapshot(),
    restore: (bytes) => {
      machine.restore(bytes);
      host.restored(filter.iid, values.begun);
    },
    beginEmpty: () => host.restored(filter.iid, values.begun),
  };
}

/** Gives up on results that are late. */
class Expiry implements Extra {
  readonly #host: MachineHost;
  #dueUs = 0;

  constructor(host: MachineHost) {
    this.#host = host;
  }

  tick(nowUs: number): void {
    if (nowUs < this.#dueUs) return;
    this.#dueUs = nowUs + EXPIRE_US;
    this.#host.expire();
  }

  nextTickUs(): number {
    return this.#host.pending === 0 ? Number.POSITIVE_INFINITY : this.#dueUs;
  }
}
