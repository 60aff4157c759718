/**
 * The processes of a simulated cluster, made by the same functions as the real ones (node/build.ts).
 */
import type { Config } from "../config/config.ts";
import { parseConfig } from "../config/parse.ts";
import { LearnerGate } from "../delivery/client_gates.ts";
import { buildLearning, type Learning, type LearningPlan } from "../delivery/learning.ts";
import type { SnapshotPlace } from "../delivery/snapshot_file.ts";
import type { LogState } from "../delivery/snapshots.ts";
import { parseMac } from "../net/address.ts";
import {
  buildAcceptor,
  buildFilter,
  buildLearner,
  buildProposer,
  type SharedLearner,
} from "../node/build.ts";
import { buildClient, buildSessionClient, type ClientPlan, ownApplication } from "../node/build_client.ts";
import type { CoreContext } from "../node/context.ts";
import type { Extra } from "../node/roles.ts";
import type { ClientSink } from "../protocol/client/client.ts";
import type { Application } from "../protocol/learner/learner.ts";
import type { SessionFilter } from "../protocol/learner/session_filter.ts";
import { Role } from "../protocol/types.ts";
import type { Parts } from "./cluster.ts";
import { type Checker, NumberedValues } from "./value_log.ts";
import { Violation } from "./violation.ts";

export function acceptorParts(context: CoreContext): Parts {
  const { acceptor, watch } = buildAcceptor(context);
  return { cores: { acceptor }, extras: [watch] };
}

/** Of a proposer: who looks at what its own learner delivers. */
export type ProposerConsumer = Omit<Consumer, "values">;

export function proposerParts(context: CoreContext, consumer?: ProposerConsumer): Parts {
  if (!context.native) return { cores: buildProposer(context, undefined) };
  const filter = buildFilter(context, null);
  consumer?.planted?.(filter);
  const place = consumer?.place;
  const state = consumer === undefined ? filter : new WatchedState(consumer.application, filter);
  const plan = { role: Role.proposer, canTrim: true, ofProposer: true, start: "near", place } as const;
  const outbox = context.outbox(Role.proposer);
  const { learner, snapshots } = learning(context, plan, state, outbox, () => undefined);
  return { cores: buildProposer(context, { learner, filter }), extras: [snapshots] };
}

function learning(
  context: CoreContext,
  plan: Pick<LearningPlan, "role" | "canTrim" | "ofProposer" | "start" | "place">,
  state: LogState,
  outbox: ReturnType<CoreContext["outbox"]>,
  onGap: (first: number, last: number) => void,
): Learning {
  return buildLearning(context, { ...plan, name: `${plan.role}-${context.id}`, state, onGap }, outbox);
}

/** What a learner delivers to. */
export interface Consumer {
  /** Sees every instance. */
  readonly application: Watcher;
  /** Gets the values that the sessions let through (native wire). */
  readonly values: Checker;
  /** Where its snapshots are kept; else in memory alone. */
  readonly place?: SnapshotPlace | undefined;
  /** Is shown the sessions before they begin: to look at them, to plant a bug. */
  readonly planted?: ((filter: SessionFilter) => void) | undefined;
}

/** An application that is told where a snapshot has it go on. */
export interface Watcher extends Application {
  began(iid: number): void;
  /** The same without a snapshot. */
  beganUnknown(iid: number): void;
}

export function learnerParts(
  context: CoreContext,
  consumer: Consumer,
  catchUp: boolean,
  canTrim: boolean,
): Parts {
  const { learner, extras } = sharedLearner(context, consumer, catchUp, canTrim);
  return { cores: { learner }, extras };
}

export function replicaParts(context: CoreContext, consumer: Consumer): Parts {
  const { acceptor, watch } = buildAcceptor(context);
  const { extras, ...shared } = sharedLearner(context, consumer, true, context.native);
  const { proposer, learner } = buildProposer(context, shared);
  return { cores: { acceptor, proposer, learner }, extras: [watch, ...extras] };
}

function sharedLearner(
  context: CoreContext,
  { application, values, place, planted }: Consumer,
  catchUp: boolean,
  canTrim: boolean,
): SharedLearner & { extras: readonly Extra[] } {
  const outbox = context.outbox(Role.learner);
  if (!context.native) {
    const plan = { role: Role.learner, catchUp, canTrim };
    return { learner: buildLearner(context, plan, outbox, application), filter: undefined, extras: [] };
  }
  const filter = buildFilter(context, values);
  planted?.(filter);
  const plan = { role: Role.learner, canTrim, start: catchUp ? "first" : "newest", place } as const;
  const state = new WatchedState(application, filter, values);
  const onGap = (first: number, last: number): void => application.skipped(first, last);
  const { learner, snapshots } = learning(context, plan, state, outbox, onGap);
  return { learner, filter, extras: [snapshots] };
}

/** The sessions, behind an application that sees every instance first. */
export class WatchedState implements LogState {
  readonly #application: Watcher;
  readonly #filter: SessionFilter;
  /** Undefined: nobody wants the values. */
  readonly #values: Checker | undefined;

  constructor(application: Watcher, filter: SessionFilter, values?: Checker) {
    this.#application = application;
    this.#filter = filter;
    this.#values = values;
  }

  get iid(): number {
    return this.#filter.iid;
  }

  get isWhole(): boolean {
    return this.#filter.isWhole;
  }

  deliver(iid: number, bytes: Uint8Array, offset: number, length: number): boolean {
    if (!this.#application.deliver(iid, bytes, offset, length)) return false;
    return this.#filter.deliver(iid, bytes, offset, length);
  }

  skipped(first: number, last: number): void {
    this.#application.skipped(first, last);
  }

  acknowledged(): number {
    return this.#values === undefined ? this.#filter.acknowledged() : this.#application.acknowledged();
  }

  beginUnknown(iid: number): void {
    this.#filter.beginUnknown(iid);
    this.#application.beganUnknown(iid);
    this.#values?.began(iid);
  }

  snapshot(): Uint8Array | null {
    return this.#filter.snapshot();
  }

  restore(bytes: Uint8Array, iid: number): ReturnType<SessionFilter["restore"]> {
    const refusal = this.#filter.restore(bytes, iid);
    if (refusal !== null) return refusal;
    this.#application.began(iid);
    this.#values?.began(iid);
    return null;
  }
}

/** Takes what must never come. */
class Eavesdropper implements Application {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  deliver(iid: number): boolean {
    throw new Violation("authentication", `${this.#name} is none of the cluster, and delivers ${iid}`);
  }
  skipped(): void {}
  acknowledged(): number {
    return 0;
  }
}

/** Somebody who says that it is the first acceptor, proposer and learner, and a client who has nothing to lose. */
export function strangerParts(context: CoreContext, process: number, name: string): Parts {
  const { acceptor, watch } = buildAcceptor(context, true);
  const plan = { role: Role.learner, catchUp: true, canTrim: true };
  const learner = buildLearner(context, plan, context.outbox(Role.learner), new Eavesdropper(name));
  const { proposer } = buildProposer(context, { learner, filter: buildFilter(context, null) });
  const source = new NumberedValues(process, 0, 100, context.random);
  const load = { clients: 2, outstanding: 4, values: 1_000, proposerId: 0 };
  const sink: ClientSink = {
    delivered: () => {
      throw new Violation("authentication", `${name} is none of the cluster, and is told what is delivered`);
    },
  };
  const { client } = buildSessionClient(context, load, source, context.outbox(Role.client), sink);
  client.ready = true;
  return { cores: { acceptor, proposer, learner, client }, extras: [watch] };
}

export interface SimClientPlan extends ClientPlan {
  /** Tells its values from those of other processes. */
  readonly process: number;
  readonly canTrim: boolean;
}

/** A client with a learner inside; `applicationOf`: what its learner delivers to, which passes it on. */
export function clientParts(
  context: CoreContext,
  plan: SimClientPlan,
  sink: ClientSink,
  applicationOf: (behind: Application) => Application,
): Parts {
  const outbox = context.outbox(Role.client);
  const { process, leastSize, mostSize } = plan;
  const source = new NumberedValues(process, leastSize, mostSize, context.random);
  const built = context.native
    ? buildSessionClient(context, plan, source, outbox, sink)
    : buildClient(context, plan, outbox, { delivered: () => undefined });
  const { client } = built;
  const application = applicationOf(ownApplication(context, built, () => undefined));
  const learnerPlan = { role: Role.client, catchUp: false, canTrim: plan.canTrim };
  const learner = buildLearner(context, learnerPlan, outbox, application);
  const gate = new LearnerGate(client, learner, context.config.acceptors.length, context.native);
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
  return parseMac(macText(kind, number))!.words;
}

/** Its words have high bits, as those of half of all cards do. */
function macText(kind: number, number: number): string {
  return `02:4b:50:80:${hex(kind)}:${hex(number + 1)}`;
}

/** A configuration of such a cluster. Windows are small, so that they are reached. */
export function simConfig(shape: Shape, settings: readonly string[]): Config {
  const { acceptors, proposers, learners, replicas = 0, sharedHosts = false } = shape;
  const lines = ["learner-window-bytes 262144", "client-timeout 200ms"];
  for (const line of [
    "learner-window-instances 256",
    "acceptor-window-instances 4096",
    "acceptor-window-bytes 2097152",
    "session-limit 1024",
  ])
    if (!settings.some((one) => one.startsWith(line.slice(0, line.indexOf(" ") + 1)))) lines.push(line);
  const add = (role: string, kind: number, count: number): void => {
    for (let id = 0; id < count; id++) lines.push(`${role} ${id} ${macText(kind, id)}`);
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
