/**
 * Makes a client core, and what takes its own learner's values, for the wire that is spoken.
 */
import type { Client, ClientSink } from "../protocol/client/client.ts";
import { OwnLog } from "../protocol/client/own_log.ts";
import { RecordClient, type ValueFormat } from "../protocol/client/record_client.ts";
import { SessionClient } from "../protocol/client/session_client.ts";
import { PatternValues, type ValueSource } from "../protocol/client/value_source.ts";
import type { Application } from "../protocol/learner/learner.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { MAX_IID } from "../protocol/types.ts";
import { KernelPaxosValues } from "../wire/kernel_paxos_values.ts";
import type { CoreContext } from "./context.ts";

export interface ClientPlan {
  readonly clients: number;
  readonly outstanding: number;
  /** Sizes are drawn evenly from least…most, in bytes. */
  readonly leastSize: number;
  readonly mostSize: number;
  readonly proposerId: number;
  /** Nobody has said which proposer: it goes to whoever leads (native wire). */
  readonly followsLeader?: boolean;
  /** Stop after so many values; `Infinity`: never. */
  readonly values: number;
}

/** Of `client` it is one or the other. */
export interface BuiltClient {
  readonly client: Client;
  /** Native wire. */
  readonly sessions: SessionClient | undefined;
}

/** A client that measures: its values are a pattern. In the Kernel_Paxos wire its ids begin with the process's. */
export function buildClient(
  context: CoreContext,
  plan: ClientPlan,
  outbox: Outbox,
  sink: ClientSink,
): BuiltClient {
  const { leastSize, mostSize, clients } = plan;
  if (context.native)
    return buildSessionClient(
      context,
      plan,
      new PatternValues(leastSize, mostSize, context.random),
      outbox,
      sink,
    );
  return buildRecordClient(context, plan, new KernelPaxosValues(context.id, clients, mostSize), outbox, sink);
}

export function buildSessionClient(
  context: CoreContext,
  plan: Omit<ClientPlan, "leastSize" | "mostSize">,
  source: ValueSource,
  outbox: Outbox,
  sink: ClientSink,
): { client: SessionClient; sessions: SessionClient } {
  const { config, random } = context;
  const { clientTimeoutMs: timeoutMs, queueDelayMs, batching } = config.settings;
  const { length: proposers } = config.proposers;
  const options = { ...plan, proposers, timeoutMs, queueDelayMs, batching, random };
  const client = new SessionClient(options, source, outbox, sink);
  return { client, sessions: client };
}

export function buildRecordClient(
  context: CoreContext,
  plan: ClientPlan,
  format: ValueFormat,
  outbox: Outbox,
  sink: ClientSink,
): BuiltClient {
  const { clientTimeoutMs: timeoutMs, queueDelayMs } = context.config.settings;
  const options = { ...plan, timeoutMs, queueDelayMs, random: context.random };
  const client = new RecordClient(options, format, outbox, sink);
  return { client, sessions: undefined };
}

/** What the client's own learner delivers to. */
export function ownApplication(
  context: CoreContext,
  { client, sessions }: BuiltClient,
  onSkipped: (first: number, last: number) => void,
): Application {
  if (sessions !== undefined) return new OwnLog(sessions, context.config.settings.sessionLimit, onSkipped);
  return {
    deliver: (iid, bytes, offset, length) => {
      client.onDelivered(0, 0, iid, bytes, offset, length);
      return true;
    },
    skipped: onSkipped,
    acknowledged: () => MAX_IID,
  };
}
