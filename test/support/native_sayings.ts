/**
 * Every message of the native wire once: who says it, how, who hears it over Ethernet and over UDP, and what they are told.
 * `n` (from 1 to 2^53 − 1) stands in all its numbers.
 */
import { AckKind, type Ballot, Busy, MAX_IID, Role, Standing } from "../../src/protocol/types.ts";
import { formatHex } from "../../src/wire/frame_fields.ts";
import { entry, HELLO, HELLO_HEX, type Player, type Saying, standingOf } from "./native_stage.ts";

const b = (n: number): Ballot => n as Ballot;
const low = (n: number): number => n % 2 ** 32;
const ACCEPTING: readonly Player[] = ["a1", "a2"];
const PROPOSING: readonly Player[] = ["p0", "p1"];
const AUDIENCE: readonly Player[] = ["p0", "l1"];

const OF_PROPOSERS: readonly Saying[] = [
  {
    name: "prepare",
    by: "p0",
    say: ({ outbox }, n) => outbox.prepare(n, b(n)),
    ethernet: ACCEPTING,
    told: (n, life) => [["onPrepare", n, n, life]],
  },
  {
    name: "prepare",
    by: "p0",
    say: ({ outbox }, n) => outbox.prepareTo(2, n, b(n)),
    ethernet: ["a2"],
    told: (n, life) => [["onPrepare", n, n, life]],
  },
  {
    name: "accept",
    by: "p0",
    say: ({ outbox }, n) => {
      outbox.chosen(n - 1);
      outbox.accept(n, 0, b(n), HELLO, 0, 5);
    },
    ethernet: ["a1", "a2", "l0", "l1"],
    udp: ACCEPTING,
    told: (n, life) => [
      ["onChosen", n - 1, n, life],
      ["onAccept", n, 0, n, life, HELLO_HEX],
    ],
  },
  {
    name: "heartbeat",
    by: "p0",
    say: ({ outbox }, n) => outbox.heartbeat(n - 1, b(n), n, low(n)),
    ethernet: ["a1", "a2", "p1", "l0", "l1"],
    udp: ["a1", "a2", "p1"],
    told: (n, life) => [["onHeartbeat", n - 1, n, life, n, low(n)]],
  },
  {
    name: "preVote",
    by: "p0",
    say: ({ outbox }, n) => outbox.preVote(n, b(n)),
    ethernet: ACCEPTING,
    told: (n) => [["onPreVote", n, n]],
  },
  ...Object.values(Busy).map(
    (reason): Saying => ({
      name: "busy",
      by: "p0",
      say: (from) => from.outbox.busy(from.peer("client", 40000), reason),
      ethernet: ["c"],
      told: () => [["onBusy", reason]],
    }),
  ),
  ...Object.values(AckKind).map(
    (kind): Saying => ({
      name: "acknowledge",
      by: "p0",
      say: (from, n) => from.outbox.acknowledge(from.peer("client", 40000), kind, n, n - 1, n - 1),
      ethernet: ["c"],
      told: (n) => [["onAcknowledge", kind, n, n - 1, n - 1]],
    }),
  ),
  ...[true, false].map(
    (confirmed): Saying => ({
      name: "readIndex",
      by: "p0",
      say: (from, n) => from.outbox.readIndex(from.peer("learner", 0), n, n - 1, confirmed),
      ethernet: ["l0"],
      told: (n) => [["onReadIndex", n, n - 1, confirmed]],
    }),
  ),
  {
    name: "clientValue",
    by: "p0",
    say: ({ outbox }) => outbox.clientValue(1, entry(3), 0, 20, 1),
    ethernet: ["p1"],
    told: () => [["onClientValue", formatHex(entry(3)), 1]],
  },
];

const promise = (
  to: "proposer" | "acceptor",
  id: number,
  name: "promise" | "promiseRecord",
  player: Player,
): Saying => ({
  name,
  by: "a1",
  say: (from, n) => {
    const { outbox } = from;
    const peer = from.peer(to, id);
    // Something else for the same peer does not take the promise's room.
    outbox.preempted(peer, n, b(n));
    outbox.promiseBegin(peer, b(n), n, n, n, n - 1, standingOf(low(n), n), 1);
    for (let flags = 0; flags < 4; flags++) outbox.promiseRecord(n, b(n), n, flags, HELLO, 0, 5);
    outbox.promiseRecord(n, b(1), 0, 0, HELLO, 0, 0);
    outbox.promiseEnd(MAX_IID);
  },
  ethernet: [player],
  told: (n) => [
    ["onPreempted", 1, n, n],
    ["onPromiseBegin", 1, n, n, n, n, MAX_IID, n - 1, formatHex(standingOf(low(n), n))],
    ...[0, 1, 2, 3].map((flags) => ["onPromiseRecord", 1, n, n, n, flags, HELLO_HEX]),
    ["onPromiseRecord", 1, n, 1, 0, 0, ""],
    ["onPromiseEnd", 1, false],
  ],
});

/** A record so long that it does not fit beside the standing. */
const LONGEST = new Uint8Array(1384).fill(7);

const OF_ACCEPTORS: readonly Saying[] = [
  promise("proposer", 0, "promise", "p0"),
  promise("acceptor", 2, "promiseRecord", "a2"),
  {
    name: "promisePart",
    by: "a1",
    say: (from, n) => {
      const { outbox } = from;
      outbox.promiseBegin(from.peer("proposer", 0), b(n), n, n, n, n - 1, standingOf(low(n), n), 1);
      outbox.promiseRecord(n, b(n), n, 0, LONGEST, 0, LONGEST.length);
      outbox.promiseEnd(MAX_IID);
    },
    ethernet: ["p0"],
    told: (n) => {
      const standing = formatHex(standingOf(low(n), n));
      const longest = formatHex(LONGEST);
      return [
        ["onPromiseBegin", 1, n, n, n, n, n - 1, n - 1, standing],
        ["onPromiseEnd", 1, true],
        ["onPromiseBegin", 1, n, n, n, n, MAX_IID, n - 1, standing],
        ["onPromiseRecord", 1, n, n, n, 0, longest],
        ["onPromiseEnd", 1, false],
      ];
    },
  },
  {
    name: "preempted",
    by: "a1",
    say: (from, n) => from.outbox.preempted(from.peer("acceptor", 2), n, b(n)),
    ethernet: ["a2"],
    told: (n) => [["onPreempted", 1, n, n]],
  },
  {
    name: "accepted",
    by: "a1",
    say: ({ outbox }, n) => outbox.accepted(n, 0, b(n), n, HELLO, 0, 5),
    ethernet: ["p0", "p1", "l0", "l1"],
    udp: AUDIENCE,
    told: (n, _life, udp) =>
      udp ? [["onAccepted", 1, n, 0, n, n, HELLO_HEX]] : [["onAcceptedRange", 1, n, n, n, n]],
  },
  {
    name: "acceptorState",
    by: "a1",
    say: ({ outbox }, n) => outbox.acceptorState(n - 1, n, 3, n),
    ethernet: ["p0", "p1", "l0", "l1"],
    udp: AUDIENCE,
    told: (n) => [["onAcceptorState", 1, n - 1, n, 3, n]],
  },
  {
    name: "acceptorState",
    by: "a1",
    say: (from, n) => from.outbox.acceptorStateTo(from.peer("learner", 0), n, n, 0, n - 1),
    ethernet: ["l0"],
    told: (n) => [["onAcceptorState", 1, n, n, 0, n - 1]],
  },
  ...[0, 1, 2, 3, 4, 5, 6, 7].map(
    (flags): Saying => ({
      name: "acceptedValue",
      by: "a1",
      say: (from, n) => from.outbox.repeated(from.peer("learner", 0), n, b(n), n, flags, HELLO, 0, flags % 6),
      ethernet: ["l0"],
      told: (n) => {
        const value = formatHex(HELLO.subarray(0, flags % 6));
        return flags === 0
          ? [["onAccepted", 1, n, 0, n, n, value]]
          : [["onRepeated", 1, n, n, n, flags, value]];
      },
    }),
  ),
  {
    name: "acceptorOk",
    by: "a1",
    say: (from) => from.outbox.acceptorOk(from.peer("learner", 0)),
    ethernet: ["l0"],
    told: () => [["onAcceptorOk"]],
  },
  {
    name: "echo",
    by: "a1",
    say: ({ outbox }, n) => outbox.echo(n - 1, b(n), n, n),
    ethernet: PROPOSING,
    told: (n) => [["onEcho", 1, n - 1, n, n, n]],
  },
  ...[true, false].map(
    (granted): Saying => ({
      name: "preVoted",
      by: "a1",
      say: (from, n) => from.outbox.preVoted(from.peer("proposer", 1), n, b(n - 1), granted),
      ethernet: ["p1"],
      told: (n) => [["onPreVoted", 1, n, n - 1, granted]],
    }),
  ),
  ...Object.values(Standing).flatMap((standing): Saying[] => [
    {
      name: "standingAsk",
      by: "a1",
      say: ({ outbox }, n) => outbox.standingAsk(2, n, standing, low(n)),
      ethernet: ["a2"],
      told: (n, life) => [["onStandingAsk", 1, n, standing, low(n), life]],
    },
    {
      name: "standing",
      by: "a1",
      say: (from, n) =>
        from.outbox.standing(from.peer("acceptor", 2), n, standing, b(n - 1), standingOf(low(n), n)),
      ethernet: ["a2"],
      told: (n) => [["onStanding", 1, n, standing, n - 1, formatHex(standingOf(low(n), n))]],
    },
  ]),
  {
    name: "recover",
    by: "a1",
    say: ({ outbox }, n) => outbox.recover(2, n, b(n), Math.max(1, low(n))),
    ethernet: ["a2"],
    told: (n, life) => [["onRecover", 1, n, n, life, Math.max(1, low(n))]],
  },
];

const OF_OTHERS: readonly Saying[] = [
  {
    name: "learnerHi",
    by: "l1",
    say: ({ outbox }) => outbox.learnerHi(1),
    ethernet: ["a1"],
    told: () => [["onLearnerHi"]],
  },
  {
    name: "learnerDel",
    by: "l1",
    say: ({ outbox }) => outbox.learnerDel(),
    ethernet: ACCEPTING,
    told: () => [["onLearnerDel"]],
  },
  {
    name: "repeat",
    by: "l1",
    say: ({ outbox }, n) => outbox.repeat(1, 1, n),
    ethernet: ["a1"],
    told: (n) => [["onRepeat", 1, n]],
  },
  {
    name: "repeat",
    by: "p1",
    say: ({ outbox }, n) => outbox.repeat(2, n, n),
    ethernet: ["a2"],
    told: (n) => [["onRepeat", n, n]],
  },
  {
    name: "trim",
    by: "l1",
    say: ({ outbox }, n) => outbox.trim(n, true, 0xfedcba98),
    ethernet: ACCEPTING,
    told: (n) => [["onTrim", n, true, 0xfedcba98]],
  },
  {
    name: "trim",
    by: "c",
    say: ({ outbox }, n) => outbox.trim(n - 1, false, 0),
    ethernet: ACCEPTING,
    told: (n) => [["onTrim", n - 1, false, 0]],
  },
  {
    name: "clientValue",
    by: "c",
    say: ({ outbox }) => outbox.clientValue(0, entry(9), 0, 28, 0),
    ethernet: ["p0"],
    told: () => [["onClientValue", formatHex(entry(9)), 0]],
  },
  ...(["c", "l1", "p1"] as const).map(
    (by): Saying => ({
      name: "readAsk",
      by,
      say: ({ outbox }, n) => outbox.readAsk(0, n),
      ethernet: ["p0"],
      told: (n) => [["onReadAsk", n]],
    }),
  ),
  {
    name: "advance",
    by: "l1",
    say: ({ outbox }, n) => outbox.advance(0, n),
    ethernet: ["p0"],
    told: (n) => [["onAdvance", n]],
  },
  ...(["l1", "p1"] as const).map(
    (by): Saying => ({
      name: "snapshotAsk",
      by,
      say: ({ outbox }, n) => outbox.snapshotAsk(low(n), n - 1),
      ethernet: (["p0", "p1", "l0", "l1"] as const).filter((player) => player !== by),
      told: (n) => [["onSnapshotAsk", low(n), n - 1]],
    }),
  ),
  {
    name: "snapshotInfo",
    by: "p0",
    say: (from, n) => from.outbox.snapshotInfo(from.peer("learner", 0), low(n), n, n - 1, low(n)),
    ethernet: ["l0"],
    told: (n) => [["onSnapshotInfo", low(n), n, n - 1, low(n)]],
  },
  {
    name: "snapshotFetch",
    by: "l1",
    say: (from, n) => from.outbox.snapshotFetch(from.peer("proposer", 1), low(n), n, n - 1, low(n)),
    ethernet: ["p1"],
    told: (n) => [["onSnapshotFetch", low(n), n, n - 1, low(n)]],
  },
  {
    name: "snapshotChunk",
    by: "l1",
    say: (from, n) => from.outbox.snapshotChunk(from.peer("learner", 0), low(n), n, n - 1, HELLO, 0, 5),
    ethernet: ["l0"],
    told: (n) => [["onSnapshotChunk", low(n), n, n - 1, HELLO_HEX]],
  },
  {
    name: "sessionOpen",
    by: "c",
    say: ({ outbox }, n) => outbox.sessionOpen(n - 1, n),
    ethernet: ["h"],
    told: (n) => [["onSessionOpen", n - 1, n]],
  },
  {
    name: "sessionOk",
    by: "h",
    say: (from, n) => from.outbox.sessionOk(from.peer("client", 40000), low(n)),
    ethernet: ["c"],
    told: (n) => [["onSessionOk", low(n)]],
  },
  {
    name: "sessionClose",
    by: "c",
    say: ({ outbox }, n) => outbox.sessionClose(low(n)),
    ethernet: ["h"],
    told: (n) => [["onSessionClose", low(n)]],
  },
  {
    name: "sessionValue",
    by: "h",
    say: (from) => from.outbox.sessionValue(from.peer("client", 40000), HELLO, 0, 5),
    ethernet: ["c"],
    told: () => [["onSessionValue", HELLO_HEX]],
  },
  {
    name: "bundleAsk",
    by: "a1",
    say: (from, n) => from.wire.bundles.speaker!.bundleAsk(Role.proposer, from.peer("proposer", 1), n),
    ethernet: ["p1"],
    told: (n, _life, udp) => [...(udp ? [] : [1, 1]), 0].map((flags) => ["onBundleAsk", n, flags]),
  },
  {
    name: "bundleAnswer",
    by: "l1",
    say: (from, n) => from.wire.bundles.speaker!.bundleAnswer(from.peer("acceptor", 1), n, 3),
    ethernet: ["a1"],
    told: (n) => [["onBundleAnswer", n, 3]],
  },
];

/** All but `claim`, which only a twin of its sender hears. */
export const SAYINGS: readonly Saying[] = [...OF_PROPOSERS, ...OF_ACCEPTORS, ...OF_OTHERS];
