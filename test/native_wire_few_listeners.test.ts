/**
 * To whom an acceptor says what it accepted on Ethernet: to everybody at once, or, where few listen and many would hear it in vain, to
 * each of the few.
 */
import { beforeEach, expect, test } from "bun:test";
import type { MemoryNetwork } from "../src/net/memory.ts";
import type { Ballot, RoleName } from "../src/protocol/types.ts";
import { Endpoint, memoryNetwork } from "./support/native_fixture.ts";
import { HELLO } from "./support/native_stage.ts";

const LIFE = 41;
const BALLOT = 65536 as Ballot;
const ACCEPTORS = 7;

let network: MemoryNetwork;
let leader: Endpoint;
let client: Endpoint;
let learner: Endpoint;

const open = (role: RoleName, id: number, acceptors = ACCEPTORS): Endpoint =>
  new Endpoint(network, { role, id, acceptors, txSlots: 64 });

beforeEach(() => {
  network = memoryNetwork();
  leader = open("proposer", 0);
  client = open("client", 40000);
  learner = open("learner", 1);
});

/** An acceptor and those that it knows to listen. */
function acceptorWith(
  listeners: readonly (readonly [RoleName, number])[],
  isKnown = true,
  acceptors = ACCEPTORS,
): Endpoint {
  const acceptor = open("acceptor", 1, acceptors);
  const peers = listeners.map(([role, id]) => acceptor.peer(role, id));
  acceptor.outbox.setAudience({ count: peers.length, isKnown, peerAt: (i) => peers[i]! });
  return acceptor;
}

const accept = (acceptor: Endpoint, iid: number, ballot: Ballot = BALLOT): void =>
  acceptor.outbox.accepted(iid, 0, ballot, LIFE, HELLO, 0, 5);
const vote = (first: number, last: number, ballot: Ballot = BALLOT): unknown[] => [
  "onAcceptedRange",
  "acceptor 1",
  1,
  first,
  last,
  ballot,
  LIFE,
];
const PAIR = [["proposer", 0] as const, ["client", 40000] as const];

test("each of two gets one range, and nobody else hears it", () => {
  const acceptor = acceptorWith(PAIR);
  for (const iid of [4, 5, 6]) accept(acceptor, iid);
  expect(acceptor.send()).toBe(2);
  expect(leader.hear()).toEqual([vote(4, 6)]);
  expect(client.hear()).toEqual([vote(4, 6)]);
  expect(learner.hear()).toEqual([]);
});

test("a gap and another ballot begin another range for each of them", () => {
  const acceptor = acceptorWith(PAIR);
  const higher = (BALLOT + 65536) as Ballot;
  for (const iid of [4, 5, 8]) accept(acceptor, iid);
  accept(acceptor, 9, higher);
  accept(acceptor, 10, higher);
  expect(acceptor.send()).toBe(2);
  const told = [vote(4, 5), vote(8, 8), vote(9, 10, higher)];
  expect(leader.hear()).toEqual(told);
  expect(client.hear()).toEqual(told);
});

test("a range does not go on in another turn, nor behind another message", () => {
  const acceptor = acceptorWith(PAIR);
  accept(acceptor, 4);
  acceptor.outbox.acceptorOk(acceptor.peer("client", 40000));
  accept(acceptor, 5);
  acceptor.send();
  accept(acceptor, 6);
  acceptor.send();
  expect(leader.hear()).toEqual([vote(4, 4), vote(5, 5), vote(6, 6)]);
  expect(client.hear()).toEqual([vote(4, 4), ["onAcceptorOk", "acceptor 1"], vote(5, 5), vote(6, 6)]);
});

test("more frames than may be open at once: every vote is told once, none in a frame that is closed", () => {
  const others = Array.from({ length: 40 }, (_, i) => ["client", 41000 + i] as const);
  const acceptor = acceptorWith(PAIR);
  accept(acceptor, 4);
  for (const [role, id] of others) acceptor.outbox.acceptorOk(acceptor.peer(role, id));
  for (const iid of [5, 6]) accept(acceptor, iid);
  acceptor.send();
  const told = [vote(4, 4), vote(5, 5), vote(6, 6)];
  expect(leader.hear()).toEqual(told);
  expect(client.hear()).toEqual(told);
});

test("with three listeners of seven acceptors, and before it knows them, all hear it", () => {
  for (const acceptor of [acceptorWith([...PAIR, ["learner", 0]]), acceptorWith(PAIR, false)]) {
    for (const iid of [4, 5]) accept(acceptor, iid);
    expect(acceptor.send()).toBe(1);
    expect(learner.hear()).toEqual([vote(4, 5)]);
    leader.hear();
  }
});

test("of many listeners each is told all, however many acceptors there are", () => {
  for (const count of [16, 17]) {
    const others = Array.from({ length: count }, (_, i) => ["client", 41000 + i] as const);
    const acceptor = acceptorWith(others, true, 60);
    for (const iid of [4, 5, 6]) accept(acceptor, iid);
    expect(acceptor.send()).toBe(count === 16 ? 16 : 1);
  }
});
