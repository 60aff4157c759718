import { describe, expect, test } from "bun:test";
import { Port } from "../src/net/link.ts";
import { Audience } from "../src/protocol/acceptor/audience.ts";
import { AckKind, type Ballot, Busy, type Peer, Role, Standing } from "../src/protocol/types.ts";
import { formatHex } from "../src/wire/frame_fields.ts";
import { type Bench, bench, bytesOf, ip, mac, userFrames } from "./support/kernel_paxos_fixture.ts";

/** Of three acceptors that nobody has heard of. */
const STANDING = new Uint8Array(36);

const hex = (...words: number[]): string => words.map((word) => word.toString(16).padStart(8, "0")).join("");
const ballot = (number: number): Ballot => number as Ballot;
const NOTHING = new Uint8Array(0);

const ACCEPTORS = [mac(1), mac(2), mac(3)];
const PROPOSERS = [mac(4), mac(5)];
const CLIENT = mac(9);
const node = (roles: number, own: Uint32Array, id = 0, txSlots = 8): Bench =>
  bench({ roles, id, own, acceptors: ACCEPTORS, proposers: PROPOSERS, txSlots });
const acceptor = (): Bench => node(Role.acceptor, mac(1));
const proposer = (): Bench => node(Role.proposer, mac(4));
const learner = (): Bench => node(Role.learner, CLIENT);

describe("an acceptor hears", () => {
  test("prepare and accept of a configured proposer", () => {
    const at = acceptor();
    expect(at.hear(0xcafa, hex(1, 10), mac(4))).toEqual([["onPrepare", 1, 10, 0]]);
    expect(at.hear(0xcafc, `${hex(1, 2, 11, 2)}6869`, mac(5))).toEqual([["onAccept", 1, 2, 11, 0, "6869"]]);
    expect(at.hear(0xcafc, hex(1, 0, 11, 0), mac(5))).toEqual([["onAccept", 1, 0, 11, 0, ""]]);
    expect(at.peers.heard(at.peers.find(0, 0, mac(5), 0))).toBe(true);
  });

  test("repeat, trim, hi and del of anyone", () => {
    const at = acceptor();
    expect(at.hear(0xcaff, hex(3, 9), CLIENT)).toEqual([["onRepeat", 3, 9]]);
    expect(at.hear(0xcb00, hex(7), CLIENT)).toEqual([["onTrim", 7, true, 0]]);
    expect(at.hear(0xcb03, hex(0xcb03), CLIENT)).toEqual([["onLearnerHi"]]);
    expect(at.hear(0xcb04, hex(0), CLIENT)).toEqual([["onLearnerDel"]]);
  });

  test("nothing of strangers in the proposers' name (fault 3)", () => {
    const at = acceptor();
    expect(at.hear(0xcafa, hex(1, 10), CLIENT)).toEqual([]);
    expect(at.hear(0xcafc, hex(1, 0, 10, 0), mac(2))).toEqual([]);
    expect(at.wire.counters.stranger).toBe(2);
    expect(at.peers.find(0, 0, CLIENT, 0)).toBe(-1 as Peer);
  });

  test("no instance 0, no ballot 0, no backward range (fault 24)", () => {
    const at = acceptor();
    expect(at.hear(0xcafa, hex(0, 10), mac(4))).toEqual([]);
    expect(at.hear(0xcafa, hex(1, 0), mac(4))).toEqual([]);
    expect(at.hear(0xcafc, hex(0, 1, 10, 0), mac(4))).toEqual([]);
    expect(at.hear(0xcaff, hex(0, 5), CLIENT)).toEqual([]);
    expect(at.hear(0xcaff, hex(5, 4), CLIENT)).toEqual([]);
    expect(at.hear(0xcb00, hex(0), CLIENT)).toEqual([]);
    expect(at.wire.counters.badField).toBe(6);
  });

  test("no values that the store of the reference would cut (fault 5)", () => {
    const at = acceptor();
    const accept = (length: number) => hex(1, 0, 10, length) + "ab".repeat(length);
    expect(at.hear(0xcafc, accept(1461), mac(4))).toEqual([]);
    expect(at.wire.counters.tooLarge).toBe(1);
    expect(at.hear(0xcafc, accept(1460), mac(4))).toHaveLength(1);
  });

  test("nothing that is for other roles, of the other wire, or of no wire", () => {
    const at = acceptor();
    for (const etherType of [0xcafb, 0xcafd, 0xcafe, 0xcb01, 0xcb02, 0xcb05]) {
      expect(at.hear(etherType, hex(0, 1, 10, 0, 0, 0), mac(1))).toEqual([]);
    }
    expect(at.wire.counters.notForUs).toBe(6);
    expect(at.hear(0x88b5, hex(1, 2, 3), mac(4))).toEqual([]);
    expect(at.wire.counters.otherWire).toBe(1);
    expect(at.hear(0xcb06, hex(1, 2, 3), mac(4))).toEqual([]);
    expect(at.wire.counters.malformed).toBe(1);
  });
});

describe("a proposer and a learner hear", () => {
  test("promise: no value without a ballot, an empty value with one (fault 6)", () => {
    const at = proposer();
    expect(at.hear(0xcafb, hex(1, 5, 10, 0, 0), mac(2))).toEqual([["onPromise", 1, 5, 10, 0, null]]);
    expect(at.hear(0xcafb, hex(1, 5, 20, 10, 0), mac(2))).toEqual([["onPromise", 1, 5, 20, 10, ""]]);
    expect(at.hear(0xcafb, `${hex(1, 5, 20, 10, 1)}aa`, mac(2))).toEqual([["onPromise", 1, 5, 20, 10, "aa"]]);
  });

  test("accepted with the ballot at which it was accepted (fault 10)", () => {
    const at = learner();
    const fresh = `${hex(1, 5, 6, 10, 10, 1)}aa`;
    expect(at.hear(0xcafd, fresh, mac(2))).toEqual([["onAccepted", 1, 5, 6, 10, 0, "aa"]]);
    const repeated = `${hex(1, 5, 6, 20, 10, 1)}aa`;
    expect(at.hear(0xcafd, repeated, mac(2))).toEqual([["onAccepted", 1, 5, 0, 10, 0, "aa"]]);
    expect(at.hear(0xcafd, `${hex(1, 5, 6, 20, 0, 1)}aa`, mac(2))).toEqual([]);
    expect(at.wire.counters.badField).toBe(1);
  });

  test("preempted, state and ok", () => {
    const at = proposer();
    expect(at.hear(0xcafe, hex(2, 5, 21), mac(3))).toEqual([["onPreempted", 2, 5, 21]]);
    expect(at.hear(0xcb01, hex(0, 100), mac(1))).toEqual([["onAcceptorState", 0, 100, 0, 0, 0]]);
    const listener = learner();
    expect(listener.hear(0xcb01, hex(0, 0), mac(1))).toEqual([["onAcceptorState", 0, 0, 0, 0, 0]]);
    expect(listener.hear(0xcb05, hex(0xcb05), mac(2))).toEqual([["onAcceptorOk"]]);
  });

  test("acceptors only in their own name, and only those that exist (faults 2 and 3)", () => {
    const at = node(Role.proposer | Role.learner, mac(4));
    const accepted = (aid: number) => hex(aid, 5, 0, 10, 10, 0);
    expect(at.hear(0xcafd, accepted(0), mac(2))).toEqual([]);
    expect(at.hear(0xcafd, accepted(0), CLIENT)).toEqual([]);
    expect(at.hear(0xcb05, hex(0xcb05), CLIENT)).toEqual([]);
    expect(at.wire.counters.stranger).toBe(3);
    expect(at.hear(0xcafd, accepted(3), mac(3))).toEqual([]);
    expect(at.hear(0xcafb, hex(0xffff_ffff, 5, 10, 0, 0), mac(3))).toEqual([]);
    expect(at.hear(0xcafe, hex(0, 5, 0), mac(1))).toEqual([]);
    expect(at.wire.counters.badField).toBe(3);
  });
});

describe("frames of EtherType 0xCB02", () => {
  const payload = (name: string): string => userFrames.find((frame) => frame.name === name)!.payload_hex!;

  test("sessions are for the learner host and the client, never proposed (fault 29)", () => {
    const host = node(Role.host, CLIENT);
    expect(host.hear(0xcb02, payload("OPEN_CONN"), mac(8))).toEqual([["onSessionOpen", 5, 15]]);
    expect(host.hear(0xcb02, payload("CLOSE_CONN"), mac(8))).toEqual([["onSessionClose", 3]]);
    const client = node(Role.client, CLIENT);
    expect(client.hear(0xcb02, payload("OK"), mac(8))).toEqual([["onSessionOk", 3]]);
    const value = payload("client_to_proposer-v64").slice(8);
    expect(client.hear(0xcb02, payload("learner_to_client-v64"), mac(8))).toEqual([
      ["onSessionValue", value],
    ]);

    const at = proposer();
    for (const name of ["OPEN_CONN", "OK", "CLOSE_CONN", "learner_to_client-v1"]) {
      expect(at.hear(0xcb02, payload(name), mac(8))).toEqual([]);
    }
    expect(at.wire.counters.notForUs).toBe(4);
    for (const at of [host, client])
      expect(at.hear(0xcb02, payload("client_to_proposer-v1"), mac(8))).toEqual([]);
  });

  test("everything else is a value, also with client id 100 (fault 28)", () => {
    const at = proposer();
    const value = payload("client_to_proposer-v1").slice(8);
    expect(at.hear(0xcb02, payload("client_to_proposer-v1"), mac(8))).toEqual([["onClientValue", value, 0]]);
    const hundred = `64${value.slice(2)}`;
    expect(at.hear(0xcb02, hex(33) + hundred, mac(8))).toEqual([["onClientValue", hundred, 0]]);
    expect(at.hear(0xcb02, hex(0), mac(8))).toEqual([["onClientValue", "", 0]]);
    expect(at.hear(0xcb02, hex(1461) + "00".repeat(1461), mac(8))).toEqual([]);
    expect(at.wire.counters.tooLarge).toBe(1);
  });

  test("an OPEN_CONN of no client ids is refused", () => {
    const host = node(Role.host, CLIENT);
    expect(host.hear(0xcb02, `${hex(12)}640000000500000005000000`, mac(8))).toEqual([]);
    expect(host.hear(0xcb02, `${hex(12)}64000000ffffffff05000000`, mac(8))).toEqual([]);
    expect(host.wire.counters.badField).toBe(2);
  });
});

describe("a role says", () => {
  test("prepare and accept to every acceptor, one copy an address", () => {
    const at = proposer();
    const out = at.wire.outbox(Role.proposer, 0);
    out.prepare(1, ballot(10));
    expect(at.sent()).toEqual(
      ACCEPTORS.map((to) => ({ etherType: 0xcafa, payload: hex(1, 10), ports: Port.wire, to })),
    );
    out.accept(1, 2, ballot(10), bytesOf("ffff6869"), 2, 2);
    const frames = at.sent();
    expect(frames.map((frame) => frame.payload)).toEqual(new Array(3).fill(`${hex(1, 2, 10, 2)}6869`));
    expect(frames.map((frame) => frame.to)).toEqual(ACCEPTORS);
    out.prepareTo(2, 4, ballot(20));
    expect(at.sent()).toEqual([{ etherType: 0xcafa, payload: hex(4, 20), ports: Port.wire, to: mac(3) }]);
    expect(at.wire.counters).toMatchObject({ framesOut: 7, messagesOut: 7 });
  });

  test("accepted and state to the audience, promise, preempted, ok and repeats to one", () => {
    const at = node(Role.acceptor, mac(2), 1);
    at.hear(0xcafa, hex(1, 10), mac(4));
    at.hear(0xcb03, hex(0xcb03), CLIENT, Port.lo);
    const [leader, listener] = [mac(4), CLIENT].map((words) => at.peers.find(0, 0, words, 0)) as [Peer, Peer];
    const audience = new Audience();
    audience.add(leader, Role.proposer, 0);
    audience.add(listener, Role.learner, 0);
    const out = at.wire.outbox(Role.acceptor, 1);
    out.setAudience(audience);

    out.accepted(5, 6, ballot(10), 0, bytesOf("6869"), 0, 2);
    const payload = `${hex(1, 5, 6, 10, 10, 2)}6869`;
    expect(at.sent()).toEqual([
      { etherType: 0xcafd, payload, ports: Port.wire, to: mac(4) },
      { etherType: 0xcafd, payload, ports: Port.lo, to: CLIENT },
    ]);
    out.acceptorState(99, 0, 0);
    out.promise(leader, 5, ballot(20), ballot(10), bytesOf("6869"), 0, 2);
    out.promise(leader, 5, ballot(20), ballot(0), NOTHING, 0, -1);
    out.preempted(leader, 5, ballot(20));
    out.acceptorOk(listener);
    // Repeat answers carry the accepted ballot in both places, never the promised one.
    out.repeated(listener, 5, ballot(10), 0, 0, bytesOf("aa"), 0, 1);
    expect(at.sent().map(({ etherType, payload }) => [etherType, payload])).toEqual([
      [0xcb01, hex(1, 99)],
      [0xcb01, hex(1, 99)],
      [0xcafb, `${hex(1, 5, 20, 10, 2)}6869`],
      [0xcafb, hex(1, 5, 20, 0, 0)],
      [0xcafe, hex(1, 5, 20)],
      [0xcb05, hex(0xcb05)],
      [0xcafd, `${hex(1, 5, 0, 10, 10, 1)}aa`],
    ]);
  });

  test("hi, del, repeat and trim to acceptors", () => {
    const at = learner();
    const out = at.wire.outbox(Role.learner, 0);
    out.learnerHi(0);
    out.repeat(1, 5, Number.MAX_SAFE_INTEGER);
    out.learnerDel();
    out.trim(7, true, 0);
    expect(at.sent().map(({ etherType, payload }) => [etherType, payload])).toEqual([
      [0xcb03, hex(0xcb03)],
      [0xcaff, hex(5, 0xffff_ffff)],
      ...new Array(3).fill([0xcb04, hex(0xcb04)]),
      ...new Array(3).fill([0xcb00, hex(7)]),
    ]);
  });

  test("client values and sessions, as the reference forms them", () => {
    const at = node(Role.client, CLIENT);
    const out = at.wire.outbox(Role.client, 0);
    const host = mac(8);
    out.setHost(host);
    const value = userFrames.find((frame) => frame.name === "client_to_proposer-v64")!.payload_hex!;
    out.clientValue(1, bytesOf(value), 4, 96, 0);
    out.sessionOpen(5, 15);
    out.sessionClose(3);
    const client = at.peers.intern(0, 0, mac(7), 0, Port.wire, 0);
    out.sessionOk(client, 3);
    out.sessionValue(client, bytesOf(value), 4, 96);
    const names = ["client_to_proposer-v64", "OPEN_CONN", "CLOSE_CONN", "OK", "learner_to_client-v64"];
    const frames = at.sent();
    expect(frames.map((frame) => frame.payload)).toEqual(
      names.map((name) => userFrames.find((frame) => frame.name === name)!.payload_hex!),
    );
    expect(frames.map((frame) => frame.to)).toEqual([mac(5), host, host, mac(7), mac(7)]);
    expect(frames.every((frame) => frame.etherType === 0xcb02)).toBe(true);
  });

  test("nothing that this wire has no word for", () => {
    const at = proposer();
    const out = at.wire.outbox(Role.proposer, 0);
    out.busy(0 as Peer, Busy.queueFull);
    out.claim(5, 0);
    out.chosen(5);
    out.heartbeat(5, ballot(10), 0, 0);
    out.preVote(1, ballot(10));
    out.echo(5, ballot(10), 1, 1);
    out.preVoted(0 as Peer, 1, ballot(10), true);
    out.standingAsk(0, 1, Standing.fresh, 0);
    out.standing(0 as Peer, 1, Standing.voting, ballot(10), STANDING);
    out.recover(0, 1, ballot(10), 1);
    out.acknowledge(0 as Peer, AckKind.delivered, 1, 1, 1);
    out.readAsk(0, 1);
    out.advance(0, 1);
    out.readIndex(0 as Peer, 1, 1, true);
    out.snapshotAsk(0, 1);
    out.snapshotInfo(0 as Peer, 0, 1, 1, 1);
    out.snapshotFetch(0 as Peer, 0, 1, 0, 1);
    out.snapshotChunk(0 as Peer, 0, 1, 0, NOTHING, 0, 0);
    expect(at.sent()).toEqual([]);
    expect(() => out.promiseBegin(0 as Peer, ballot(1), 0, 1, 1, 0, STANDING, 1)).toThrow("invariant");
    expect(() => out.promiseEnd(1)).toThrow("invariant");
  });

  test("nothing beyond 32 bits: counted, never wrapped (faults 8 and 24)", () => {
    const at = proposer();
    const out = at.wire.outbox(Role.proposer, 0);
    out.prepare(2 ** 32, ballot(10));
    out.accept(1, 0, ballot(2 ** 32), NOTHING, 0, 0);
    expect(at.sent()).toEqual([]);
    expect(at.wire.counters.badField).toBe(2);
    out.accept(2 ** 32 - 1, 2 ** 32, ballot(10), NOTHING, 0, 0);
    expect(at.sent()[0]!.payload).toBe(hex(0xffff_ffff, 0, 10, 0));
  });

  test("no more frames than there are slots, and counts the rest", () => {
    const at = node(Role.proposer, mac(4), 0, 4);
    const out = at.wire.outbox(Role.proposer, 0);
    expect(out.room()).toBe(4);
    out.prepare(1, ballot(10));
    out.prepare(2, ballot(10));
    expect(at.wire.room()).toBe(0);
    expect(at.wire.counters.overflow).toBe(2);
    expect(at.sent()).toHaveLength(4);
    expect(at.wire.room()).toBe(4);
  });

  test("values up to the limit: 1460 bytes, less on a small MTU", () => {
    const at = proposer();
    expect(at.wire.maxValue).toBe(1460);
    const out = at.wire.outbox(Role.proposer, 0);
    out.accept(1, 0, ballot(10), new Uint8Array(1460), 0, 1460);
    expect(at.sent()[0]!.payload).toHaveLength(2 * 1476);
    expect(() => out.accept(1, 0, ballot(10), new Uint8Array(1461), 0, 1461)).toThrow("invariant");
    const small = bench({
      roles: 2,
      own: mac(4),
      acceptors: ACCEPTORS,
      proposers: PROPOSERS,
      slotBytes: 576,
    });
    expect(small.wire.maxValue).toBe(576 - 24);
  });
});

describe("several roles on one address", () => {
  const HOSTS = [mac(1), mac(2), mac(3)];

  test("a replica's frames to itself go no further, others' copies go out", () => {
    const roles = Role.acceptor | Role.proposer | Role.learner;
    const at = bench({ roles, own: mac(1), acceptors: HOSTS, proposers: HOSTS });
    // A client on the same host has been heard through lo.
    at.hear(0xcb02, hex(0), mac(1), Port.lo);
    const out = at.wire.outbox(Role.proposer, 0);
    out.prepare(1, ballot(10));
    expect(at.sent().map((frame) => frame.ports)).toEqual([Port.self, Port.wire, Port.wire]);
    // Learners of this host hear through lo what our own proposer hears through itself.
    const audience = new Audience();
    audience.add(at.peers.find(0, 0, mac(1), 0), Role.proposer, 0);
    const speaker = at.wire.outbox(Role.acceptor, 0);
    speaker.setAudience(audience);
    speaker.acceptorState(0, 0, 0);
    expect(at.sent().map((frame) => frame.ports)).toEqual([Port.self | Port.lo]);
  });

  test("separate processes of one host hear each other through lo", () => {
    const at = bench({ roles: Role.proposer, own: mac(1), acceptors: HOSTS, proposers: HOSTS });
    at.wire.outbox(Role.proposer, 0).prepare(1, ballot(10));
    expect(at.sent().map((frame) => frame.ports)).toEqual([Port.lo, Port.wire, Port.wire]);
    const promise = hex(0, 1, 10, 0, 0);
    expect(at.hear(0xcafb, promise, mac(1), Port.lo)).toEqual([["onPromise", 0, 1, 10, 0, null]]);
  });

  test("acceptors that share an address get one copy", () => {
    const at = bench({
      roles: Role.proposer,
      own: mac(4),
      acceptors: [mac(1), mac(1)],
      proposers: PROPOSERS,
    });
    at.wire.outbox(Role.proposer, 0).prepare(1, ballot(10));
    expect(at.sent()).toHaveLength(1);
  });
});

describe("the UDP form of 2017", () => {
  const acceptors = [ip(1), ip(1, 8801)];
  const proposers = [ip(4)];
  const datagrams = (roles: number, own: Uint32Array): Bench =>
    bench({ roles, own, acceptors, proposers, kind: "udp", slotBytes: 65536, txSlots: 4 });

  test("is told apart by its first word; addresses include the port", () => {
    const at = datagrams(Role.proposer | Role.learner, ip(4));
    expect(at.hear(0, hex(1, 1, 5, 10, 0, 0), ip(1, 8801))).toEqual([["onPromise", 1, 5, 10, 0, null]]);
    expect(at.hear(0, `${hex(3, 1, 5, 10, 10, 1)}aa`, ip(1, 8801))).toEqual([
      ["onAccepted", 1, 5, 0, 10, 0, "aa"],
    ]);
    expect(at.hear(0, hex(1, 1, 5, 10, 0, 0), ip(1))).toEqual([]);
    expect(at.hear(0, hex(11), ip(1))).toEqual([["onAcceptorOk"]]);
    expect(at.hear(0, hex(12), ip(1))).toEqual([]);
    expect(at.wire.counters).toMatchObject({ stranger: 1, malformed: 1 });
    const acceptor = datagrams(Role.acceptor, ip(1));
    expect(acceptor.hear(0, `${hex(2, 5, 10, 1)}aa`, ip(4))).toEqual([["onAccept", 5, 0, 10, 0, "aa"]]);
    // Nothing is cut here.
    expect(acceptor.hear(0, `${hex(2, 5, 10, 9)}0102030405`, ip(4))).toEqual([]);
    expect(acceptor.wire.counters).toMatchObject({ malformed: 1, cutValues: 0 });
  });

  test("carries values of up to 65483 bytes, without promiseIid", () => {
    const at = datagrams(Role.proposer, ip(4));
    expect(at.wire.maxValue).toBe(65507 - 24);
    const out = at.wire.outbox(Role.proposer, 0);
    out.accept(5, 6, ballot(10), bytesOf("aa"), 0, 1);
    out.learnerHi(1);
    const frames = at.sent();
    expect(frames.map((frame) => frame.payload)).toEqual([
      `${hex(2, 5, 10, 1)}aa`,
      `${hex(2, 5, 10, 1)}aa`,
      hex(9),
    ]);
    expect(frames.map((frame) => frame.to)).toEqual([ip(1), ip(1, 8801), ip(1, 8801)]);

    const host = datagrams(Role.host, ip(9));
    const client = host.peers.intern(0, 0, ip(7), 0, Port.wire, 0);
    host.wire.outbox(Role.host, 0).sessionValue(client, new Uint8Array(65483).fill(1), 0, 65483);
    const [delivered] = host.sent();
    expect(delivered!.payload.slice(0, 32)).toBe(`${hex(8, 65491)}cbff000000000000`);
    expect(delivered!.payload).toHaveLength(2 * (16 + 65483));
    expect(formatHex(bytesOf(delivered!.payload).slice(16, 18))).toBe("0101");
  });
});
