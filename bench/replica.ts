/**
 * What a replica's acceptor and learner do for full instances, without wire: accepts come in by turns, the leader's vote within
 * them, then its own vote, then, too late to matter, the other acceptor's. The memory is that of a process under load: receive
 * slots in turn, and an acceptor's window of 64 MiB that fills until a trim empties most of it. So one call is a whole time
 * between two trims.
 */
import { HostConsumer } from "../src/delivery/applications.ts";
import { Roles } from "../src/node/roles.ts";
import { Acceptor } from "../src/protocol/acceptor/acceptor.ts";
import { copyBytes } from "../src/protocol/bytes.ts";
import { Learner } from "../src/protocol/learner/learner.ts";
import { Role } from "../src/protocol/types.ts";
import { MemoryStorage } from "../src/storage/memory.ts";
import { filterWith, PACKED, PackedMessage } from "./packed.ts";
import { Cluster, Party } from "./parties.ts";

/** Between two trims. */
export const INSTANCES = 32768;
/** What a trim leaves: it goes as far as a snapshot. */
const KEPT = 8192;
const WINDOW_BYTES = 64 << 20;
/** Accepts that a turn finds. */
const TURN = 8;
const SLOTS = 128;
const SLOT_BYTES = 2048;
const LEADER = 0;
const SELF = 1;
const OTHER = 2;

interface Cores {
  readonly acceptor: boolean;
  readonly learner: boolean;
}

export const CORES: readonly [name: string, cores: Cores][] = [
  ["a replica's acceptor", { acceptor: true, learner: false }],
  ["a replica's learner", { acceptor: false, learner: true }],
  ["a replica's acceptor and learner", { acceptor: true, learner: true }],
];

/** `INSTANCES` full instances go through the cores. */
export function replicaStep(cores: Cores): () => void {
  const cluster = new Cluster("native");
  const party = new Party(cluster, Role.acceptor, SELF);
  const proposer = party.members.proposers[0]!;
  const acceptor = cores.acceptor ? acceptorOf(party) : undefined;
  const consumer = new HostConsumer(undefined, [], () => undefined);
  const filter = filterWith(consumer);
  filter.iid = 0;
  const learner = cores.learner ? learnerOf(party, filter) : undefined;
  const roles = new Roles({
    ...(acceptor === undefined ? {} : { acceptor }),
    ...(learner === undefined ? {} : { learner }),
    pairsAccepts: true,
    acceptorOf: (peer) => party.members.acceptors.indexOf(peer),
    wallOffsetUs: 0,
  });
  const { ballot, life } = cluster;
  const message = new PackedMessage();
  const { length } = message.bytes;
  const slots = new Uint8Array(SLOTS * SLOT_BYTES);
  let iid = 0;
  const turn = (): void => {
    const first = iid + 1;
    roles.tick(iid);
    for (let i = 0; i < TURN; i++) {
      iid++;
      const at = (iid % SLOTS) * SLOT_BYTES;
      // As the kernel does.
      copyBytes(message.bytes, 0, slots, at, length);
      message.next();
      roles.onChosen(proposer, first - 1, ballot, life);
      roles.onAccept(proposer, iid, 0, ballot, life, slots, at, length);
      roles.onAcceptedRange(proposer, LEADER, iid, iid, ballot, life);
    }
    roles.pump(iid);
    party.drop();
    roles.onAcceptedRange(proposer, SELF, first, iid, ballot, life);
    roles.pump(iid);
    roles.onAcceptedRange(proposer, OTHER, first, iid, ballot, life);
    roles.pump(iid);
  };
  return () => {
    for (let i = 0; i < INSTANCES; i += TURN) turn();
    acceptor?.onTrim(proposer, iid - KEPT, true, 0);
    if (learner !== undefined && consumer.values !== iid * PACKED)
      throw new Error("values were not delivered");
    if (acceptor !== undefined && acceptor.log.trimIid !== Math.max(0, iid - KEPT))
      throw new Error("the acceptor did not trim");
  };
}

function acceptorOf(party: Party): Acceptor {
  const options = {
    aid: SELF,
    acceptors: 3,
    perInstance: false,
    life: 1,
    fresh: true,
    durable: false,
    random: () => 0.5,
    leaderTimeoutMs: 500,
    maxLeaseMs: 0,
    instances: 2 ** 19,
    bytes: WINDOW_BYTES,
    trimRule: null,
  };
  const acceptor = new Acceptor(options, new MemoryStorage(), party.outbox);
  party.outbox.setAudience(acceptor.audience);
  return acceptor;
}

function learnerOf(party: Party, filter: ReturnType<typeof filterWith>): Learner {
  const options = {
    acceptors: 3,
    windowInstances: 8192,
    windowBytes: 16 << 20,
    catchUp: true,
    statesTellHighest: true,
    waitsForStart: false,
    beginning: 1,
    canTrim: false,
    hasApplications: true,
    trimEvery: 65536,
    trimBytes: 8 << 20,
  };
  return new Learner(options, party.outbox, filter);
}
