/**
 * What it costs to write a message into a transmit slot, and to read one out of a receive slot, in both wires.
 */
import { Port } from "../src/net/link.ts";
import { Roles } from "../src/node/roles.ts";
import { Role } from "../src/protocol/types.ts";
import { Cluster, Party } from "./parties.ts";
import { clientValue } from "./steps.ts";
import type { Add } from "./support/task.ts";

/** Messages between two clearings of the slots. */
const TURN = 64;

/** What one party says to another. */
interface Saying {
  readonly from: Party;
  readonly to: Party;
  readonly say: (iid: number) => void;
}

export function codecBench(add: Add): void {
  for (const wire of ["native", "kernel-paxos"] as const) {
    const native = wire === "native";
    const sayings: [name: string, sayingIn: (cluster: Cluster) => Saying][] = [
      [native ? "accept (multicast)" : "accept (to three)", accept],
      [native ? "accepted (ranges)" : "accepted", accepted],
      ["clientValue", clientValueSaid],
    ];
    for (const [name, sayingIn] of sayings) {
      add(`${wire}: encode ${name}`, TURN, () => encode(sayingIn(new Cluster(wire))));
      add(`${wire}: decode ${name}`, TURN, () => decode(sayingIn(new Cluster(wire)), native));
    }
  }
}

function accept(cluster: Cluster): Saying {
  const [from, to] = [new Party(cluster, Role.proposer, 0), new Party(cluster, Role.acceptor, 0)];
  const value = clientValue();
  return { from, to, say: (iid) => from.outbox.accept(iid, 0, cluster.ballot, value, 0, value.length) };
}

function accepted(cluster: Cluster): Saying {
  const [from, to] = [new Party(cluster, Role.acceptor, 0), new Party(cluster, Role.learner, 0)];
  const peer = from.peerOf(to, Role.learner, cluster.native);
  from.outbox.setAudience({ count: 1, isKnown: false, peerAt: () => peer });
  const { ballot, life } = cluster;
  const value = clientValue();
  return { from, to, say: (iid) => from.outbox.accepted(iid, 0, ballot, life, value, 0, value.length) };
}

function clientValueSaid(cluster: Cluster): Saying {
  const [from, to] = [new Party(cluster, Role.learner, 0), new Party(cluster, Role.proposer, 0)];
  const value = clientValue();
  return { from, to, say: () => from.outbox.clientValue(0, value, 0, value.length, 0) };
}

function encode({ from, say }: Saying): () => void {
  let iid = 0;
  return () => {
    for (let i = 0; i < TURN; i++) say(++iid);
    from.drop();
  };
}

function decode({ from, to, say }: Saying, native: boolean): () => void {
  say(1);
  if (from.wire.seal() === 0) throw new Error("what is said fills no frame");
  from.copy(0, to);
  from.wire.clear();
  // Whoever receives has no cores: decoding alone is measured.
  const nobody = new Roles({ pairsAccepts: native, acceptorOf: () => -1, wallOffsetUs: 0 });
  const { wire, link } = to;
  const step = (): void => wire.decode(link.rxBase, Port.wire, nobody, 1);
  const { malformed, badField, notForUs, stranger, messagesIn } = wire.counters;
  step();
  const refused = malformed + badField + notForUs + stranger;
  if (refused > 0 || wire.counters.messagesIn === messagesIn) throw new Error("what is said is not decoded");
  return () => {
    for (let i = 0; i < TURN; i++) step();
  };
}
