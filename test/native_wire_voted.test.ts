/**
 * An accept that says that the acceptor in its leader's process has accepted, too: when it says so, to whom, and whom others
 * believe.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { DESCRIPTOR_WORDS, PORTS, Port } from "../src/net/link.ts";
import type { MemoryNetwork } from "../src/net/memory.ts";
import { type Ballot, Role } from "../src/protocol/types.ts";
import { HEADER_BYTES, VOTED } from "../src/wire/native_layout.ts";
import type { NativeOutbox } from "../src/wire/native_outbox.ts";
import { addressOf, Endpoint, memoryNetwork } from "./support/native_fixture.ts";
import { HELLO, HELLO_HEX } from "./support/native_stage.ts";

const ALL = Role.acceptor | Role.proposer | Role.learner;
const LIFE = 41;
const BALLOT = 65536 as Ballot;

let network: MemoryNetwork;
let leader: Endpoint;
let acceptor: NativeOutbox;
let other: Endpoint;

function replica(id: number, life: number): Endpoint {
  const options = { role: "proposer", id, life, listens: ALL, owns: ALL, replicas: true } as const;
  return new Endpoint(network, { ...options, address: addressOf("acceptor", id) });
}

beforeEach(() => {
  network = memoryNetwork();
  leader = replica(0, LIFE);
  acceptor = leader.wire.outbox(Role.acceptor, 0);
  other = replica(1, LIFE + 1);
});

const propose = (iid: number): void => leader.outbox.accept(iid, 0, BALLOT, HELLO, 0, 5);
const accepted = (iid: number, ballot = BALLOT, life = LIFE): void =>
  acceptor.accepted(iid, 0, ballot, life, HELLO, 0, 5);
const vote = (first: number, last = first): unknown[] => [
  "onAcceptedRange",
  "acceptor 0",
  0,
  first,
  last,
  BALLOT,
  LIFE,
];
const proposal = (iid: number): unknown[][] => [
  ["onChosen", "proposer 0", 0, BALLOT, LIFE],
  ["onAccept", "proposer 0", iid, 0, BALLOT, LIFE, HELLO_HEX],
];

/** Where each frame of the leader's turn goes. */
function ports(): number[] {
  const frames = leader.wire.seal();
  const { words } = leader.link.area;
  return Array.from(
    { length: frames },
    (_, slot) => words[leader.link.txBase + slot * DESCRIPTOR_WORDS + PORTS]!,
  );
}

describe("what a leader says", () => {
  test("a vote on an accept that has left already goes to everybody", () => {
    propose(4);
    leader.link.send(leader.wire.seal());
    leader.wire.left();
    accepted(4);
    leader.send();
    expect(other.hear()).toEqual([...proposal(4), vote(4)]);
  });

  test("the vote of its own acceptor travels within its accepts; to itself it is told in one range", () => {
    for (const iid of [4, 5, 6]) propose(iid);
    for (const iid of [4, 5, 6]) accepted(iid);
    expect(ports()).toEqual([Port.wire | Port.self, Port.self]);
    leader.send();
    expect(other.hear()).toEqual([4, 5, 6].flatMap((iid) => [...proposal(iid), vote(iid)]));
  });

  test("its own cores hear of it from the range alone", () => {
    propose(4);
    leader.wire.seal();
    const own: unknown[] = [];
    const { txBase } = leader.link;
    const receiver = new Proxy(
      {},
      {
        get: (_, name) => (): void => {
          own.push(name);
          // As the acceptor does, in the midst of the decoding of what it answers.
          if (name === "onAccept") accepted(4);
        },
      },
    );
    leader.wire.decode(txBase, Port.self, receiver as never, 1);
    expect(own.splice(0, 1)).toEqual(["onGenerations"]);
    expect(own).toEqual(["onChosen", "onAccept"]);
    expect(leader.wire.seal()).toBe(2);
    leader.wire.decode(txBase + DESCRIPTOR_WORDS, Port.self, receiver as never, 1);
    expect(own.slice(2)).toEqual(["onAcceptorLife", "onAcceptedRange"]);
    leader.send();
    expect(other.hear()).toEqual([...proposal(4), vote(4)]);
  });

  test("what was not accepted is not said to be", () => {
    for (const iid of [4, 5, 6]) propose(iid);
    accepted(5);
    leader.send();
    expect(other.hear()).toEqual([...proposal(4), ...proposal(5), vote(5), ...proposal(6)]);
  });

  test("a vote after the accept has left, or of another ballot or life, goes by itself", () => {
    propose(4);
    leader.send();
    other.hear();
    accepted(4);
    leader.send();
    expect(other.hear()).toEqual([vote(4)]);
    propose(5);
    accepted(5, (BALLOT + 1) as Ballot);
    accepted(5, BALLOT, LIFE + 7);
    leader.send();
    const others = other.hear().slice(2);
    expect(others).toEqual([
      ["onAcceptedRange", "acceptor 0", 0, 5, 5, BALLOT + 1, LIFE],
      ["onAcceptedRange", "acceptor 0", 0, 5, 5, BALLOT, LIFE + 7],
    ]);
  });

  test("the vote for another's proposal goes by itself, a range apart from one's own", () => {
    propose(4);
    accepted(3);
    accepted(4);
    accepted(5);
    leader.send();
    expect(other.hear()).toEqual([...proposal(4), vote(4), vote(3), vote(5)]);
  });

  test("no more accepts are remembered than there is place for", () => {
    leader.wire.clear();
    const far = 4 + 1024;
    propose(4);
    propose(far);
    accepted(4);
    accepted(far);
    leader.send();
    expect(other.hear()).toEqual([...proposal(4), ...proposal(far), vote(far), vote(4)]);
  });

  test("an acceptor apart from proposers always speaks for itself", () => {
    const apart = new Endpoint(network, { role: "acceptor", id: 2, replicas: true, life: LIFE + 2 });
    const beside = apart.wire.outbox(Role.proposer, 2);
    beside.accept(4, 0, BALLOT, HELLO, 0, 5);
    apart.outbox.accepted(4, 0, BALLOT, LIFE + 2, HELLO, 0, 5);
    apart.send();
    expect(other.hear().at(-1)).toEqual(["onAcceptedRange", "acceptor 2", 2, 4, 4, BALLOT, LIFE + 2]);
    expect(other.wire.counters.badField).toBe(0);
  });
});

describe("whom others believe", () => {
  const marked = (): Uint8Array => {
    propose(4);
    accepted(4);
    return leader.sealed()[0]!;
  };

  test("a leader at the address of the acceptor of its id", () => {
    expect(other.take(marked(), addressOf("acceptor", 0))).toEqual([...proposal(4), vote(4)]);
  });

  test("nobody for an acceptor of another address", () => {
    const payload = marked();
    expect(payload[HEADER_BYTES + 1]).toBe(VOTED);
    const stranger = new Endpoint(network, { role: "learner", id: 1 });
    expect(stranger.take(payload, addressOf("proposer", 0))).toEqual([]);
    expect(stranger.wire.counters.badField).toBe(1);
  });

  test("nobody with flags that mean nothing", () => {
    const payload = marked();
    payload[HEADER_BYTES + 1] = 2;
    expect(other.take(payload, addressOf("acceptor", 0))).toEqual([]);
    expect(other.wire.counters.badField).toBe(1);
  });
});
