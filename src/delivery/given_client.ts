/**
 * A client whose values somebody gives, with a learner of its own that sees them delivered: what `kpaxos submit` and the
 * library's `Client` are made of.
 */
import { buildLearner } from "../node/build.ts";
import {
  type BuiltClient,
  buildRecordClient,
  buildSessionClient,
  type ClientPlan,
  ownApplication,
} from "../node/build_client.ts";
import { BusyNote } from "../node/busy_note.ts";
import type { Built, Context } from "../node/context.ts";
import type { Extra } from "../node/roles.ts";
import type { Client, ClientSink } from "../protocol/client/client.ts";
import { GivenRecords } from "../protocol/client/given_values.ts";
import type { GivenValues } from "../protocol/client/value_source.ts";
import type { Outbox } from "../protocol/outbox.ts";
import { Role } from "../protocol/types.ts";
import { CLIENT_RECORD_BYTES } from "../wire/client_record.ts";
import { KernelPaxosValues } from "../wire/kernel_paxos_values.ts";
import { LearnerGate } from "./client_gates.ts";

export interface GivenPlan extends Required<Pick<ClientPlan, "proposerId" | "followsLeader">> {
  /** Values under way (native wire: they are delivered in order all the same; in the Kernel_Paxos wire it is one). */
  readonly outstanding: number;
  /** What else takes part in the turns of the process. */
  readonly extras: readonly Extra[];
}

/** Its `limit` says how many of the values that were given are to be sent. */
export interface GivenClient {
  readonly client: Client;
  readonly built: Built;
}

/** Bytes of the largest value. */
export function mostBytes({ native, config, opened }: Context): number {
  return native ? config.settings.maxValueBytes : opened.wire.maxValue - CLIENT_RECORD_BYTES;
}

export function buildGivenClient(
  context: Context,
  plan: GivenPlan,
  values: GivenValues,
  sink: ClientSink,
): GivenClient {
  const { config, native, log } = context;
  const outbox = context.outbox(Role.client);
  const busy = new BusyNote();
  const parts = buildEither(context, plan, values, outbox, sink);
  const { client, sessions } = parts;
  const application = ownApplication(context, parts, (first, last) =>
    log.debug(`instances ${first} to ${last} were trimmed before this client's learner got them`),
  );
  const learning = { role: Role.client, catchUp: false, canTrim: false };
  const learner = buildLearner(context, learning, outbox, application);
  const built: Built = {
    cores: { client, learner },
    extras: [new LearnerGate(client, learner, config.acceptors.length, native), busy, ...plan.extras],
    client: { proposerId: () => client.proposerId, busy: () => busy.reason },
    progress: () => (client.ready && !client.isWaiting ? null : client.counters.delivered),
    farewell: () => {
      sessions?.close();
      learner.close();
    },
  };
  return { client, built };
}

function buildEither(
  context: Context,
  { proposerId, followsLeader, outstanding }: GivenPlan,
  values: GivenValues,
  outbox: Outbox,
  sink: ClientSink,
): BuiltClient {
  const shape = { clients: 1, leastSize: 0, mostSize: 0, values: 0, proposerId, followsLeader };
  if (context.native) return buildSessionClient(context, { ...shape, outstanding }, values, outbox, sink);
  const records = new KernelPaxosValues(context.id + 0x10000, 1, mostBytes(context));
  const format = new GivenRecords(records, values);
  return buildRecordClient(context, { ...shape, outstanding: 1 }, format, outbox, sink);
}
