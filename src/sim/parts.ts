/**
 * The processes of a simulated cluster, made by the same functions as the real ones (node/build.ts).
 */
import type { Config } from "../config/config.ts";
import { parseConfig } from "../config/parse.ts";
import { LearnerGate } from "../delivery/client_gates.ts";
import { buildLearning, type Learning, type LearningPlan } from "../delivery/learning.ts";
import { PlainState } from "../delivery/plain_state.ts";
import type { SnapshotPlace } from "../delivery/snapshot_file.ts";
import type { LogState } from "../delivery/snapshots.ts";
import { parseMac } from "../net/address.ts";
import { buildAcceptor, buildLearner, buildProposer } from "../node/build.ts";
import type { CoreContext } from "../node/process.ts";
import { Client, type ValueFormat } from "../protocol/client.ts";
import { type Application, NO_APPLICATION } from "../protocol/learner.ts";
import { NativeValues } from "../protocol/native_values.ts";
import { Role } from "../protocol/types.ts";
import { KernelPaxosValues } from "../wire/kernel_paxos_values.ts";
import type { Parts } from "./cluster.ts";

export function acceptorParts(context: CoreContext): Parts {
  const { acceptor, watch } = buildAcceptor(context);
  return { cores: { acceptor }, extras: [watch] };
}

/** `place`: where its snapshots are kept; else in memory alone. */
export function proposerParts(context: CoreContext, place?: SnapshotPlace): Parts {
  if (!context.native) return { cores: buildProposer(context, undefined) };
  const plan = { role: Role.proposer, canTrim: true, ofProposer: true, start: "near", place } as const;
  const state = new PlainState(NO_APPLICATION);
  const { learner, snapshots } = learning(context, plan, state, () => undefined, Role.proposer);
  return { cores: buildProposer(context, learner), extras: [snapshots] };
}

function learning(
  context: CoreContext,
  plan: Pick<LearningPlan, "role" | "canTrim" | "ofProposer" | "start" | "place">,
  state: LogState,
  onGap: (first: number, last: number) => void,
  role: Role,
): Learning {
  const name = `${role}-${context.id}`;
  return buildLearning(context, { ...plan, name, state, onGap }, context.outbox(role));
}

/** What a learner delivers to, in the native wire with a state. */
export interface Consumer extends Application {
  readonly state?: LogState;
  /** Where its snapshots are kept; else in memory alone. */
  readonly place?: SnapshotPlace | undefined;
}

export function learnerParts(
  context: CoreContext,
  consumer: Consumer,
  catchUp: boolean,
  canTrim: boolean,
): Parts {
  if (!context.native) {
    const plan = { role: Role.learner, catchUp, canTrim };
    return { cores: { learner: buildLearner(context, plan, context.outbox(Role.learner), consumer) } };
  }
  const { place } = consumer;
  const plan = { role: Role.learner, canTrim, start: catchUp ? "first" : "newest", place } as const;
  const state = consumer.state ?? new PlainState(consumer);
  const onGap = (first: number, last: number): void => consumer.skipped(first, last);
  const { learner, snapshots } = learning(context, plan, state, onGap, Role.learner);
  return { cores: { learner }, extras: [snapshots] };
}

export function replicaParts(context: CoreContext, consumer: Consumer): Parts {
  const { acceptor, watch } = buildAcceptor(context);
  const { cores, extras = [] } = learnerParts(context, consumer, true, context.native);
  const { proposer, learner } = buildProposer(context, cores.learner);
  return { cores: { acceptor, proposer, learner }, extras: [watch, ...extras] };
}

export interface ClientPlan {
  /** Its first session (native wire) or client id. */
  readonly firstSession: number;
  readonly clients: number;
  readonly outstanding: number;
  readonly leastSize: number;
  readonly mostSize: number;
  readonly values: number;
  readonly proposerId: number;
  readonly canTrim: boolean;
}

/** A client with a learner inside; `applicationOf`: what its learner delivers to. */
export function clientParts(
  context: CoreContext,
  plan: ClientPlan,
  applicationOf: (client: Client) => Application,
): Parts {
  const { config, native, id } = context;
  const { clients, outstanding, mostSize } = plan;
  const outbox = context.outbox(Role.client);
  const format: ValueFormat = native
    ? new NativeValues(plan.firstSession, clients, outstanding, mostSize)
    : new KernelPaxosValues(id, clients, mostSize);
  const options = { ...plan, timeoutMs: config.settings.clientTimeoutMs, random: context.random };
  const client = new Client(options, format, outbox, { delivered: () => undefined });
  const learnerPlan = { role: Role.client, catchUp: false, canTrim: plan.canTrim };
  const learner = buildLearner(context, learnerPlan, outbox, applicationOf(client));
  const gate = new LearnerGate(client, learner, config.acceptors.length, native);
  return { cores: { client, learner }, extras: [gate] };
}

/** How many of each there are; with replicas, these are all the members. */
export interface Shape {
  readonly acceptors: number;
  readonly proposers: number;
  readonly learners: number;
  readonly replicas?: number;
  /** One MAC for acceptor, proposer and learner of each id. */
  readonly sharedHosts?: boolean;
}

/** The MAC of a process: what it is, and its number from 0. */
export function macOf(kind: number, number: number): Uint32Array {
  const text = `02:4b:50:00:${hex(kind)}:${hex(number + 1)}`;
  return parseMac(text)!.words;
}

/** A configuration of such a cluster. Windows are small, so that they are reached. */
export function simConfig(shape: Shape, settings: readonly string[]): Config {
  const { acceptors, proposers, learners, replicas = 0, sharedHosts = false } = shape;
  const lines = ["acceptor-window-instances 4096", "acceptor-window-bytes 2097152"];
  lines.push("learner-window-instances 256", "learner-window-bytes 262144", "client-timeout 200ms");
  const add = (role: string, kind: number, count: number): void => {
    for (let id = 0; id < count; id++) lines.push(`${role} ${id} 02:4b:50:00:${hex(kind)}:${hex(id + 1)}`);
  };
  if (replicas > 0) add("replica", 4, replicas);
  else {
    add("acceptor", 1, acceptors);
    add("proposer", sharedHosts ? 1 : 2, proposers);
    add("learner", sharedHosts ? 1 : 3, learners);
  }
  const { config, diagnostics } = parseConfig(`${[...lines, ...settings].join("\n")}\n`, "memory.conf");
  if (config === undefined) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return config;
}

function hex(byte: number): string {
  return (byte & 0xff).toString(16).padStart(2, "0");
}
