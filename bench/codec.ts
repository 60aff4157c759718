/**
 * What it costs to write a message into a transmit slot, and to read one out of a receive slot, in both wires.
 */
import { Port } from "../src/net/link.ts";
import { Roles } from "../src/node/roles.ts";
import { Role } from "../src/protocol/types.ts";
import type { Add } from "./micro.ts";
import { Cluster, Party } from "./parties.ts";
import { clientValue } from "./steps.ts";

/** Messages between two clearings of the slots. */
const TURN = 64;

export function codecBench(add: Add): void {
  for (const wire of ["native", "kernel-paxos"] as const) wireBench(add, new Cluster(wire));
}

function wireBench(add: Add, cluster: Cluster): void {
  const { wire, native, ballot, life } = cluster;
  const value = clientValue();
  const proposer = new Party(cluster, Role.proposer, 0);
  const acceptor = new Party(cluster, Role.acceptor, 0);
  const learner = new Party(cluster, Role.learner, 0);
  // Whoever receives has no cores: decoding alone is measured.
  const nobody = new Roles({ pairsAccepts: native, acceptorOf: () => -1, wallOffsetUs: 0 });
  const peer = acceptor.peerOf(learner, Role.learner, native);
  acceptor.outbox.setAudience({ count: 1, peerAt: () => peer });

  const pair = (name: string, from: Party, to: Party, write: (iid: number) => void): void => {
    let iid = 0;
    add(`${wire}: encode ${name}`, TURN, () => {
      for (let i = 0; i < TURN; i++) write(++iid);
      from.drop();
    });
    from.drop();
    write(1);
    if (from.wire.seal() === 0) throw new Error(`${name} fills no frame`);
    from.copy(0, to);
    from.wire.clear();
    add(`${wire}: decode ${name}`, TURN, () => {
      for (let i = 0; i < TURN; i++) to.wire.decode(to.link.rxBase, Port.wire, nobody, 1);
    });
    const { malformed, badField, notForUs, stranger, messagesIn } = to.wire.counters;
    to.wire.decode(to.link.rxBase, Port.wire, nobody, 1);
    const refused = malformed + badField + notForUs + stranger;
    if (refused > 0 || to.wire.counters.messagesIn === messagesIn) throw new Error(`${name} is not decoded`);
  };
  pair(native ? "accept (multicast)" : "accept (to three)", proposer, acceptor, (iid) =>
    proposer.outbox.accept(iid, 0, ballot, value, 0, value.length),
  );
  pair(native ? "accepted (ranges)" : "accepted", acceptor, learner, (iid) =>
    acceptor.outbox.accepted(iid, 0, ballot, life, value, 0, value.length),
  );
  pair("clientValue", learner, proposer, () => learner.outbox.clientValue(0, value, 0, value.length, 0));
}
