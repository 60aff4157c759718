/**
 * What a leader's header says beside who speaks: a word that names generations, and the mark of its log. In its own frames only, as they
 * are when each frame begins, and to its own process too. And the life with which an acceptor speaks.
 */
import { describe, expect, test } from "bun:test";
import { DESCRIPTOR_WORDS, OFFSET, PORTS, Port } from "../src/net/link.ts";
import { UNNAMED } from "../src/protocol/generations.ts";
import { NO_MARK } from "../src/protocol/log_mark.ts";
import { type Ballot, Role } from "../src/protocol/types.ts";
import { decodeNativeText, encodeNativeText } from "../src/wire/native_text.ts";
import { addressOf, Endpoint, memoryNetwork } from "./support/native_fixture.ts";
import { HELLO, HELLO_HEX } from "./support/native_stage.ts";

const BALLOT = 65536 as Ballot;
const LIFE = 41;
/** A number that needs all 32 bits. */
const NAMED = 0xfedcba98;
const LATER = 3;

const accepted = (iid: number, life = LIFE): unknown[][] => [
  ["onChosen", "proposer 0", 0, BALLOT, life],
  ["onAccept", "proposer 0", iid, 0, BALLOT, life, HELLO_HEX],
];

/** A leader and an acceptor. */
function pair(udp: boolean): { leader: Endpoint; acceptor: Endpoint; propose: (iid: number) => void } {
  const network = memoryNetwork();
  const leader = new Endpoint(network, { role: "proposer", id: 0, life: LIFE, udp });
  const acceptor = new Endpoint(network, { role: "acceptor", id: 1, udp });
  const propose = (iid: number): void => leader.outbox.accept(iid, 0, BALLOT, HELLO, 0, 5);
  return { leader, acceptor, propose };
}

describe.each([
  ["Ethernet", false],
  ["UDP", true],
])("over %s", (_, udp) => {
  test("a leader's frames name them, from when it leads until it does not", () => {
    const { leader, acceptor, propose } = pair(udp);
    leader.outbox.prepare(1, BALLOT);
    leader.outbox.leads(NAMED, NO_MARK);
    propose(1);
    leader.outbox.heartbeat(0, BALLOT, 1, 0);
    leader.outbox.leads(UNNAMED, NO_MARK);
    leader.outbox.prepare(2, BALLOT);
    leader.send();
    expect(acceptor.hear().filter(([name]) => name !== "onHeartbeat")).toEqual([
      ["onPrepare", "proposer 0", 1, BALLOT, LIFE],
      ["onGenerations", NAMED],
      ...accepted(1),
      ...(udp ? [] : [["onGenerations", NAMED]]),
      ["onPrepare", "proposer 0", 2, BALLOT, LIFE],
    ]);
  });

  test("a change closes the frame that is open, the same once more does not", () => {
    const { leader, acceptor, propose } = pair(udp);
    leader.outbox.leads(NAMED, NO_MARK);
    propose(1);
    leader.outbox.leads(NAMED, NO_MARK);
    propose(2);
    leader.outbox.leads(LATER, NO_MARK);
    propose(3);
    leader.send();
    expect(acceptor.hear()).toEqual([
      ["onGenerations", NAMED],
      ...accepted(1),
      ...accepted(2),
      ["onGenerations", LATER],
      ...accepted(3),
    ]);
  });
});

test("a word of zeros is named as well; no word is not", () => {
  const { leader, propose } = pair(false);
  leader.outbox.leads(0, NO_MARK);
  propose(1);
  leader.outbox.leads(UNNAMED, NO_MARK);
  propose(2);
  const shown = leader.sealed().map((payload) => {
    const whole = new Uint8Array(payload.length + 4);
    whole.set(payload);
    return [payload[2], new DataView(payload.buffer, payload.byteOffset).getUint32(24, true)];
  });
  expect(shown).toEqual([
    [1, 0],
    [0, 0],
  ]);
});

test("in a process with all roles only what it says as a proposer names them, and its own acceptor hears that", () => {
  const network = memoryNetwork();
  const all = Role.acceptor | Role.proposer | Role.learner;
  const leader = new Endpoint(network, {
    role: "proposer",
    id: 0,
    life: LIFE,
    listens: all,
    owns: all,
    replicas: true,
    address: addressOf("acceptor", 0),
  });
  const own = leader.wire.outbox(Role.acceptor, 0);
  leader.outbox.leads(NAMED, NO_MARK);
  leader.outbox.accept(1, 0, BALLOT, HELLO, 0, 5);
  own.echo(0, BALLOT, LIFE, 1);
  const frames = leader.wire.seal();
  const told: unknown[][] = [];
  const flags: number[] = [];
  const receiver = new Proxy(
    {},
    { get: (_, name) => (first: unknown) => told.push(name === "onGenerations" ? [name, first] : [name]) },
  );
  for (let slot = 0; slot < frames; slot++) {
    const descriptor = leader.link.txBase + slot * DESCRIPTOR_WORDS;
    expect(leader.link.area.words[descriptor + PORTS]! & Port.self).toBe(Port.self);
    const { words, bytes } = leader.link.area;
    flags.push(bytes[words[descriptor + OFFSET]! + 2]!);
    leader.wire.decode(descriptor, Port.self, receiver as never, 1);
  }
  expect(flags).toEqual([1, 0]);
  expect(told).toEqual([
    ["onGenerations", NAMED],
    ["onChosen"],
    ["onAccept"],
    ["onAcceptorLife"],
    ["onEcho"],
  ]);
});

test("who reads a frame is shown them", () => {
  const network = memoryNetwork();
  const leader = new Endpoint(network, { role: "proposer", id: 0 });
  const taps: Uint8Array[] = [];
  const other = new Endpoint(network, { role: "acceptor", id: 1 });
  leader.outbox.leads(LATER, NO_MARK);
  leader.outbox.heartbeat(0, BALLOT, 1, 0);
  taps.push(...leader.sealed());
  leader.link.send(1);
  expect(other.hear()).toContainEqual(["onGenerations", LATER]);
  // With the checksum that the link appends.
  const { words, bytes } = leader.link.area;
  const at = words[leader.link.txBase]!;
  const [header] = decodeNativeText(bytes.slice(at, at + taps[0]!.length + 4)) as readonly object[];
  expect(header).toMatchObject({ generations: LATER });
});

describe("the mark of the log", () => {
  test("stands beside the generations, and without them", () => {
    const { leader, acceptor, propose } = pair(false);
    leader.outbox.leads(UNNAMED, 127);
    leader.outbox.prepare(1, BALLOT);
    leader.outbox.leads(NAMED, 127);
    propose(1);
    leader.outbox.leads(NAMED, 1);
    propose(2);
    leader.outbox.leads(UNNAMED, NO_MARK);
    leader.outbox.prepare(2, BALLOT);
    leader.send();
    expect(acceptor.hear()).toEqual([
      ["onGenerations", UNNAMED, 127],
      ["onPrepare", "proposer 0", 1, BALLOT, LIFE],
      ["onGenerations", NAMED, 127],
      ...accepted(1),
      ["onGenerations", NAMED, 1],
      ...accepted(2),
      ["onPrepare", "proposer 0", 2, BALLOT, LIFE],
    ]);
  });

  test("is no part of what the process says in other roles", () => {
    const network = memoryNetwork();
    const owns = Role.acceptor | Role.proposer;
    const leader = new Endpoint(network, { role: "proposer", id: 0, listens: owns, owns, replicas: true });
    leader.outbox.leads(UNNAMED, 9);
    leader.wire.outbox(Role.acceptor, 0).acceptorState(0, 0, 0, 5);
    leader.outbox.prepare(1, BALLOT);
    expect(leader.sealed().map((payload) => [payload[8], payload[2]! >>> 1])).toEqual([
      [Role.acceptor, 0],
      [Role.proposer, 9],
    ]);
  });

  test("is shown to who reads a frame, and can be written", () => {
    const made = encodeNativeText({ message: "prepare", iid: 1, ballot: BALLOT, mark: 100, generations: 3 });
    expect(made).not.toHaveProperty("error");
    const { payload } = made as { payload: Uint8Array };
    expect(payload[2]).toBe(201);
    const [header] = decodeNativeText(payload) as readonly object[];
    expect(header).toMatchObject({ mark: 100, generations: 3 });
    expect(encodeNativeText({ message: "prepare", iid: 1, ballot: BALLOT, mark: 128 })).toHaveProperty(
      "error",
    );
  });
});

test("an acceptor's frames tell its life before anything else, and so does a leader's vote within its accept", () => {
  const network = memoryNetwork();
  const owns = Role.acceptor | Role.proposer;
  const replica = new Endpoint(network, {
    ...{ role: "proposer", id: 0, life: LIFE, listens: owns, owns, replicas: true },
    address: addressOf("acceptor", 0),
  });
  const own = replica.wire.outbox(Role.acceptor, 0);
  replica.outbox.accept(1, 0, BALLOT, HELLO, 0, 5);
  own.accepted(1, 0, BALLOT, LIFE, HELLO, 0, 5);
  own.acceptorState(0, 1, 0, 5);
  const frames = replica.wire.seal();
  const told: unknown[][] = [];
  const receiver = new Proxy(
    {},
    {
      get:
        (_, name) =>
        (...args: unknown[]) =>
          told.push([name, ...args]),
    },
  );
  for (let slot = 0; slot < frames; slot++) {
    replica.wire.decode(replica.link.txBase + slot * DESCRIPTOR_WORDS, Port.self, receiver as never, 1);
  }
  const names = told.map(([name]) => name);
  expect(names.slice(-2)).toEqual(["onAcceptorLife", "onAcceptorState"]);
  expect(names.slice(1, 5)).toEqual(["onChosen", "onAccept", "onAcceptorLife", "onAcceptedRange"]);
  for (const [name, aid, life] of told) if (name === "onAcceptorLife") expect([aid, life]).toEqual([0, LIFE]);
});
