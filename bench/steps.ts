/**
 * Each role's work for one value as a function to call again and again: frames in, core, frames out. Both wires.
 */
import { Roles } from "../src/node/roles.ts";
import { Acceptor } from "../src/protocol/acceptor/acceptor.ts";
import { KERNEL_PAXOS_BALLOTS, NATIVE_BALLOTS } from "../src/protocol/ballot.ts";
import { EntryFlag, entryBytes, writeEntryHeader } from "../src/protocol/batch.ts";
import type { Client } from "../src/protocol/client/client.ts";
import { RecordClient } from "../src/protocol/client/record_client.ts";
import { SessionClient } from "../src/protocol/client/session_client.ts";
import { PatternValues } from "../src/protocol/client/value_source.ts";
import { type Application, Learner, NO_APPLICATION } from "../src/protocol/learner/learner.ts";
import { SessionFilter } from "../src/protocol/learner/session_filter.ts";
import { SessionTable } from "../src/protocol/learner/session_table.ts";
import { Admission } from "../src/protocol/proposer/admission.ts";
import { Proposer } from "../src/protocol/proposer/proposer.ts";
import { StandingVector } from "../src/protocol/standing.ts";
import { AckKind, MAX_IID, NO_BALLOT, Role } from "../src/protocol/types.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { KernelPaxosValues } from "../src/wire/kernel_paxos_values.ts";
import { type Cluster, Party, VALUE_BYTES } from "./parties.ts";

const TRIM_EVERY = 1024;
const PREEXEC_WINDOW = 128;
const NOTHING = new Uint8Array(0);
const STANDING = new StandingVector(3).bytes;
const journal = new MemoryStorage();

/** A client value as the wire wants it: an entry, or anything. */
export function clientValue(): Uint8Array {
  const bytes = new Uint8Array(entryBytes(VALUE_BYTES));
  writeEntryHeader(new DataView(bytes.buffer), 0, 1, 1, VALUE_BYTES, 0);
  return bytes;
}

export function rolesOf(
  cluster: Cluster,
  party: Party,
  cores: { acceptor?: Acceptor; learner?: Learner; proposer?: Proposer },
): Roles {
  return new Roles({
    ...cores,
    pairsAccepts: cluster.native,
    acceptorOf: (peer) => party.members.acceptors.indexOf(peer),
    wallOffsetUs: 0,
  });
}

/** Native wire: a table that knows one session, 1. */
function filterOf(cluster: Cluster): SessionFilter | undefined {
  if (!cluster.native) return undefined;
  const filter = new SessionFilter(new SessionTable({ sessions: 1024, maxValueBytes: 1 << 16 }), null);
  const bytes = new Uint8Array(entryBytes(0));
  writeEntryHeader(new DataView(bytes.buffer), 0, 99, 0, 0, EntryFlag.open);
  filter.deliver(1, bytes, 0, bytes.length);
  filter.iid = 0;
  return filter;
}

export function learnerOf(
  cluster: Cluster,
  party: Party,
  ofProposer: boolean,
  application: Application = NO_APPLICATION,
): Learner {
  const options = {
    acceptors: 3,
    windowInstances: 1024,
    windowBytes: 4 << 20,
    catchUp: !ofProposer,
    statesTellHighest: cluster.native,
    waitsForStart: ofProposer,
    beginning: PREEXEC_WINDOW,
    canTrim: false,
    hasApplications: true,
    trimEvery: TRIM_EVERY,
    trimBytes: 1 << 20,
  };
  return new Learner(options, party.outbox, application);
}

/** An accept (and, in the Kernel_Paxos wire, the promise that rides on it) comes in, `accepted` goes out. */
export function acceptorStep(cluster: Cluster, alsoPrepare = false): () => void {
  const proposer = new Party(cluster, Role.proposer, 0);
  const party = new Party(cluster, Role.acceptor, 0);
  const options = {
    aid: 0,
    acceptors: 3,
    perInstance: !cluster.native,
    life: 1,
    fresh: true,
    durable: false,
    random: () => 0.5,
    leaderTimeoutMs: 500,
    maxLeaseMs: 0,
    instances: 1 << 14,
    bytes: 8 << 20,
    trimRule: null,
  };
  const acceptor = new Acceptor(options, journal, party.outbox);
  party.outbox.setAudience(acceptor.audience);
  const roles = rolesOf(cluster, party, { acceptor });
  const value = clientValue();
  const { ballot } = cluster;
  let iid = 0;
  return () => {
    iid++;
    if (alsoPrepare) proposer.outbox.prepare(iid, ballot);
    proposer.outbox.accept(iid, alsoPrepare ? 0 : iid + PREEXEC_WINDOW, ballot, value, 0, value.length);
    proposer.tell(party, roles);
    party.drop();
    if (iid % TRIM_EVERY === 0) acceptor.onTrim(party.members.proposers[0]!, iid, true, 0);
  };
}

/** A proposer's accept and two acceptors' `accepted` come in, the instance is delivered. */
export function learnerStep(cluster: Cluster): () => void {
  const proposer = new Party(cluster, Role.proposer, 0);
  const acceptors = [0, 1].map((id) => new Party(cluster, Role.acceptor, id));
  const party = new Party(cluster, Role.learner, 0);
  const audience = acceptors.map((one) => one.peerOf(party, Role.learner, cluster.native));
  for (let i = 0; i < 2; i++)
    acceptors[i]!.outbox.setAudience({ count: 1, isKnown: false, peerAt: () => audience[i]! });
  const learner = learnerOf(cluster, party, false, filterOf(cluster));
  const roles = rolesOf(cluster, party, { learner });
  const value = clientValue();
  const { ballot, life } = cluster;
  let iid = 0;
  return () => {
    iid++;
    if (cluster.native) {
      proposer.outbox.accept(iid, 0, ballot, value, 0, value.length);
      proposer.tell(party, roles);
    }
    for (let i = 0; i < 2; i++) {
      acceptors[i]!.outbox.accepted(iid, 0, ballot, life, value, 0, value.length);
      acceptors[i]!.tell(party, roles);
    }
    roles.pump(iid);
    if (learner.next !== iid + 1) throw new Error("the learner did not deliver");
  };
}

/** A proposer that leads, its acceptors, which answer as they are told to, and a client. */
export interface Led {
  readonly client: Party;
  readonly acceptors: readonly Party[];
  readonly party: Party;
  readonly proposer: Proposer;
  readonly roles: Roles;
}

export function led(cluster: Cluster): Led {
  const { native, ballot, life } = cluster;
  const client = new Party(cluster, Role.learner, 0);
  const acceptors = [0, 1].map((id) => new Party(cluster, Role.acceptor, id));
  const party = new Party(cluster, Role.proposer, 0, Role.proposer | Role.learner);
  const filter = filterOf(cluster);
  const learner = learnerOf(cluster, party, native, filter);
  const proposer = new Proposer(
    {
      id: 0,
      proposers: 1,
      acceptors: 3,
      life,
      scheme: native ? NATIVE_BALLOTS : KERNEL_PAXOS_BALLOTS,
      perInstance: !native,
      preexecWindow: PREEXEC_WINDOW,
      queueBytes: 1 << 20,
      leaderTimeoutMs: 500,
      leaseMs: 0,
      timeoutMs: 1000,
      mayJump: true,
      batching: native,
      usedBallot: 0,
      keepBallot: () => undefined,
      random: () => 0.5,
    },
    party.outbox,
    learner,
    filter === undefined ? null : new Admission(filter, party.outbox),
  );
  learner.repair.catchingUp = false;
  const roles = rolesOf(cluster, party, { proposer, learner });
  proposer.tick(1);
  roles.pump(1);
  party.drop();
  for (const one of acceptors) {
    const to = one.members.proposers[0]!;
    one.outbox.setAudience({ count: 1, isKnown: false, peerAt: () => to });
    if (native) {
      one.outbox.promiseBegin(to, ballot, life, 1, 1, 0, STANDING, 1);
      one.outbox.promiseEnd(MAX_IID);
    } else {
      for (let iid = 1; iid <= PREEXEC_WINDOW; iid++)
        one.outbox.promise(to, iid, ballot, NO_BALLOT, NOTHING, 0, 0);
    }
    one.tell(party, roles);
  }
  if (proposer.stage !== "leading") throw new Error(`the proposer is ${proposer.stage}`);
  return { client, acceptors, party, proposer, roles };
}

/** A client value comes in, its accept goes out, two acceptors' `accepted` come in: it is learned. */
export function proposerStep(cluster: Cluster): () => void {
  const { native, ballot, life } = cluster;
  const { client, acceptors, party, proposer, roles } = led(cluster);
  const value = clientValue();
  const view = new DataView(value.buffer);
  let iid = 0;
  return () => {
    iid++;
    view.setUint32(12, iid, true);
    client.outbox.clientValue(0, value, 0, value.length, 0);
    client.tell(party, roles);
    roles.pump(iid);
    party.drop();
    for (let i = 0; i < 2; i++) {
      const one = acceptors[i]!;
      const to = one.members.proposers[0]!;
      if (native) one.outbox.repeated(to, iid, ballot, life, 0, value, 0, value.length);
      else one.outbox.accepted(iid, iid + PREEXEC_WINDOW, ballot, life, value, 0, value.length);
      one.tell(party, roles);
    }
    roles.pump(iid);
    party.drop();
    if (proposer.window.low !== iid + 1) throw new Error("the proposer's value was not learned");
  };
}

/** A value goes out, and comes back delivered. */
export function clientStep(cluster: Cluster): () => void {
  return cluster.native ? sessionClientStep(cluster) : recordClientStep(cluster);
}

export const CLIENT_PLAN = {
  clients: 1,
  outstanding: 1,
  leastSize: VALUE_BYTES,
  mostSize: VALUE_BYTES,
  proposerId: 0,
  proposers: 1,
  batching: true,
  timeoutMs: 1000,
  queueDelayMs: 5,
  values: Number.POSITIVE_INFINITY,
  random: () => 0.5,
};
const SINK = { delivered: () => undefined };

function sessionClientStep(cluster: Cluster): () => void {
  const party = new Party(cluster, Role.learner, 0);
  const source = new PatternValues(VALUE_BYTES, VALUE_BYTES, () => 0.5);
  const client = new SessionClient(CLIENT_PLAN, source, party.outbox, SINK);
  const session = 7;
  client.ready = true;
  client.opened(client.sessions.nonce[0]!, session);
  return stepOf(client, party, (sequence) =>
    client.onAcknowledge(AckKind.delivered, session, sequence, sequence),
  );
}

function recordClientStep(cluster: Cluster): () => void {
  const party = new Party(cluster, Role.learner, 0);
  const format = new KernelPaxosValues(0, 1, VALUE_BYTES);
  const client = new RecordClient(CLIENT_PLAN, format, party.outbox, SINK);
  const length = format.overheadBytes + VALUE_BYTES;
  client.ready = true;
  return stepOf(client, party, () => client.onDelivered(0, 0, 0, format.bytes, 0, length));
}

function stepOf(client: Client, party: Party, comesBack: (number: number) => void): () => void {
  let nowUs = 1_700_000_000_000_000;
  let number = 0;
  return () => {
    nowUs++;
    client.tick(nowUs);
    client.pump(nowUs);
    party.drop();
    comesBack(++number);
    if (client.outstanding !== 0) throw new Error("the client's value did not come back");
  };
}
